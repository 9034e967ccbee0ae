"""load() with checkpoints: the official layout gives Meta's results."""

import re
from typing import Any

import pytest
import torch
from checkpoint_files import NAMES, VARIABLE, metas_sam
from safetensors.torch import load_file, save_file
from torch import nn

import sam_edu
from sam_edu import checkpoints, official
from sam_edu import sam as sam_module
from sam_edu.checkpoints import OFFICIAL
from sam_edu.sam import load_from_environment

# --- Loading ---


def test_results_are_metas(small, states, tmp_path):
    path = tmp_path / "vit_b of my own.pth"
    torch.save(states("vit_b"), path)
    ours, theirs = sam_edu.load("vit_b", checkpoint=path), metas_sam("vit_b")

    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 700, 1024), generator=generator).float()
    points, labels = torch.tensor([[[300.0, 200.0], [500.0, 600.0]]]), torch.tensor([[1, 0]])
    boxes = torch.tensor([[100.0, 80.0, 620.0, 500.0]])
    record = {"image": image, "original_size": (350, 512), "point_coords": points, "point_labels": labels}
    [reference] = theirs([{**record, "boxes": boxes}], multimask_output=True)

    with torch.no_grad():
        embedding = ours.image_encoder(ours.preprocess(image[None]))
        sparse, dense = ours.prompt_encoder(points=(points, labels), boxes=boxes, masks=None)
        logits, iou = ours.mask_decoder(
            image_embeddings=embedding,
            image_pe=ours.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        masks = ours.postprocess_masks(logits, (700, 1024), (350, 512))
    for got, wanted in ((logits, reference["low_res_logits"]), (iou, reference["iou_predictions"])):
        assert got.shape == wanted.shape
        assert (got - wanted).abs().max() <= official.tolerance(wanted)
    assert wanted.std() > 0
    assert ((masks > ours.mask_threshold) == reference["masks"]).float().mean() > 0.9999


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["zip", "safetensors", "float16"])
def test_every_model_loads_ready_for_inference(small, states, tmp_path, name, form):
    state, path = states(name), tmp_path / "weights.bin"
    if form == "float16":
        state = {key: value.half() for key, value in state.items()}
    if form == "zip":
        torch.save(state, path)
    else:
        save_file(state, path)
    before = torch.get_rng_state()
    model = sam_edu.load(name, checkpoint=str(path))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.image_size == 1024
    assert not model.training
    assert {key: value.float() for key, value in state.items()}.keys() == model.state_dict().keys()
    for key, value in model.state_dict(keep_vars=True).items():
        assert value.dtype == torch.float32
        assert value.device.type == "cpu"
        assert not value.requires_grad
        assert torch.equal(value, state[key].float())
    assert {module.training for module in model.modules()} == {False}


def test_tiny_comes_with_the_package_or_from_a_file(tmp_path):
    own = {key: value.float() * 2 for key, value in load_file(sam_module.tiny_weights()).items()}
    save_file(own, tmp_path / "tiny.safetensors")
    torch.save(own, tmp_path / "tiny.pt")
    for file in ("tiny.safetensors", "tiny.pt"):
        model = sam_edu.load("tiny", checkpoint=tmp_path / file)
        assert model.image_size == 256
        assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items())
    packaged = sam_edu.load()
    assert all(torch.equal(2 * value, own[key]) for key, value in packaged.state_dict().items())
    assert not any(tensor.is_meta for tensor in (*packaged.parameters(), *packaged.buffers()))


def test_parameters_and_views_of_one_tensor_load_as_their_own(tmp_path):
    state: dict[str, Any] = {key: value.float() for key, value in load_file(sam_module.tiny_weights()).items()}
    key = "mask_decoder.mask_tokens.weight"
    state[key] = nn.Parameter(torch.arange(256.0 * 4).view(256, 4)).t()[:, :]  # not contiguous
    state["mask_decoder.iou_token.weight"] = nn.Parameter(torch.ones(1, 1)).expand(1, 256)
    torch.save(state, tmp_path / "views.pt")
    model = sam_edu.load("tiny", checkpoint=tmp_path / "views.pt")
    assert model.get_parameter(key).is_contiguous()
    assert torch.equal(model.get_parameter(key), state[key])
    assert model.get_parameter("mask_decoder.iou_token.weight").stride() == (256, 1)


@pytest.mark.parametrize("name", ["tiny", "vit_b"])
def test_a_model_is_loaded_to_another_device(small, states, monkeypatch, tmp_path, name):
    """PyTorch's meta device stands for any other."""
    torch.save(states(name), tmp_path / "weights.pt")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "weights.pt"))
    for model in (
        sam_edu.load(name, checkpoint=tmp_path / "weights.pt", device="meta"),
        load_from_environment(device=torch.device("meta")),
    ):
        assert model.device == torch.device("meta")
        assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
        assert not model.training


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.safetensors").write_bytes(sam_module.tiny_weights().read_bytes())
    assert sam_edu.load("tiny", checkpoint="~/mine.safetensors").image_size == 256


# --- The environment variable ---


def test_without_the_variable_there_is_no_model(monkeypatch):
    assert load_from_environment() is None
    monkeypatch.setenv(VARIABLE, "")
    assert load_from_environment() is None


@pytest.mark.parametrize("name", [*NAMES, "tiny"])
def test_the_variable_names_a_file_whose_model_is_recognised(small, states, monkeypatch, tmp_path, name):
    path, state = tmp_path / "any name", states(name)
    torch.save(state, path)
    monkeypatch.setenv(VARIABLE, str(path))
    model = load_from_environment()
    assert model is not None
    assert model.state_dict().keys() == state.keys()
    assert not model.training
    # load() itself does not read the variable.
    assert sam_edu.load().image_size == 256


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><title>Log in</title>", b"PK\x03\x04" + bytes(100)])
def test_the_variable_is_named_in_the_refusal(monkeypatch, tmp_path, content):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(ValueError, match=rf"^{VARIABLE}: .*file\.pth is "):
        load_from_environment()


@pytest.mark.parametrize("state", [{}, {"a.weight": torch.ones(2)}, {"model": {"a.weight": torch.ones(2)}}])
def test_the_variable_names_a_file_of_no_known_model(monkeypatch, tmp_path, state):
    torch.save(state, tmp_path / "other.pt")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.pt"))
    with pytest.raises(ValueError, match=r"none of the models tiny, vit_b, vit_l, vit_h; holds"):
        load_from_environment()


def test_the_variable_names_a_missing_file(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.pth"))
    with pytest.raises(FileNotFoundError, match=rf"{VARIABLE}.*gone\.pth"):
        load_from_environment()


# --- Refusals: arguments ---


@pytest.mark.no_shape_check
@pytest.mark.parametrize("name", ["", "vit_x", "VIT_B", "vit-h", "default", "sam_vit_b_01ec64.pth", None, 3])
def test_unknown_names(name, tmp_path):
    with pytest.raises(ValueError, match=r"^name: expected one of 'tiny', 'vit_b', 'vit_l', 'vit_h', got") as refusal:
        sam_edu.load(name, checkpoint=tmp_path / "any.pth")
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize("name", NAMES)
def test_metas_models_need_a_checkpoint(name):
    with pytest.raises(ValueError, match=r"^checkpoint: ") as refusal:
        sam_edu.load(name)
    file = OFFICIAL[name]
    for wanted in (file.file_name, f"{file.size:,}", file.url, checkpoints.PAGE, f"sam_edu download {name}"):
        assert wanted in str(refusal.value)


@pytest.mark.parametrize("name", ["tiny", "vit_b"])
@pytest.mark.parametrize("path", ["gone.pth", "no/such/folder/gone.safetensors"])
def test_missing_files(tmp_path, name, path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / path))):
        sam_edu.load(name, checkpoint=tmp_path / path)


@pytest.mark.no_shape_check
@pytest.mark.parametrize("path", [3, b"tiny.pt", ["tiny.pt"], True])
def test_no_path(path):
    with pytest.raises(TypeError, match=r"^checkpoint: expected the path of a file, got"):
        sam_edu.load("tiny", checkpoint=path)


@pytest.mark.parametrize(("path", "reason"), [("", "got an empty one"), (".", "is a folder"), ("..", "is a folder")])
def test_paths_that_are_no_files(path, reason):
    with pytest.raises(ValueError, match=f"^checkpoint: .*{reason}"):
        sam_edu.load("tiny", checkpoint=path)


def test_missing_packaged_weights_have_an_error_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(sam_module, "tiny_weights", lambda: tmp_path / "tiny.safetensors")
    with pytest.raises(FileNotFoundError, match="install sam_edu again"):
        sam_edu.load()


@pytest.mark.parametrize("name", NAMES)
def test_missing_package_has_an_error_of_its_own(monkeypatch, tmp_path, name):
    def gone() -> Any:
        raise official.OfficialPackageMissingError("not there")

    monkeypatch.setattr("sam_edu.official.predictor.modeling", gone)
    (tmp_path / "weights.pth").write_bytes(b"never read")
    with pytest.raises(
        official.OfficialPackageMissingError, match=f"{name} needs .*pip install segment-anything"
    ) as refusal:
        sam_edu.load(name, checkpoint=tmp_path / "weights.pth")
    assert isinstance(refusal.value, ImportError)
