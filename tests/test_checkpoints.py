"""load() with checkpoints: the official layout gives Meta's results; what cannot be used is refused with a reason."""

import dataclasses
import importlib
import io
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import sam_edu
from sam_edu import checkpoints, official
from sam_edu import sam as sam_module
from sam_edu.checkpoints import OFFICIAL
from sam_edu.official.predictor import IMAGE_ENCODERS
from sam_edu.sam import load_from_environment

VARIABLE = "SAM_EDU_CHECKPOINT"
NAMES = ("vit_b", "vit_l", "vit_h")
# Small image encoders instead of the three, told apart in the same way; everything behind them is full size.
SMALL = {"vit_b": (16, 1), "vit_l": (24, 2), "vit_h": (32, 3)}


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def small(monkeypatch):
    """The three models with small image encoders."""
    for name, (width, blocks) in SMALL.items():
        encoder = {"embed_dim": width, "depth": blocks, "num_heads": 2, "global_attn_indexes": ()}
        monkeypatch.setitem(IMAGE_ENCODERS, name, encoder)
        monkeypatch.setitem(OFFICIAL, name, dataclasses.replace(OFFICIAL[name], width=width, blocks=blocks))


def build_sam() -> Any:
    """Meta's own file build_sam.py, reached without the package's other imports."""
    return importlib.import_module(official.modeling().__package__.rpartition(".")[0] + ".build_sam")


def metas_sam(name: str) -> Any:
    """Meta's Sam as Meta's code builds it, with a small image encoder and random values everywhere."""
    width, blocks = SMALL[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(width)
        sam = build_sam()._build_sam(width, blocks, 2, [])
        for parameter in sam.parameters():  # zeros and ones would hide mistakes
            parameter.data += 0.02 * torch.randn_like(parameter)
    return sam.requires_grad_(False)


@pytest.fixture(scope="module")
def states() -> Callable[[str], dict[str, Tensor]]:
    """Per model a random state dict of the small official layout; a new dictionary at every call."""
    states: dict[str, dict[str, Tensor]] = {}

    def state(name: str) -> dict[str, Tensor]:
        if name == "tiny":
            return load_file(sam_module.tiny_weights())
        if name not in states:
            states[name] = metas_sam(name).state_dict()
        return dict(states[name])

    return state


# --- The official files ---


@pytest.mark.parametrize("name", NAMES)
def test_full_size_layout_is_metas(name):
    with torch.device("meta"):
        theirs = build_sam().sam_model_registry[name]()
    ours = sam_module.build_empty(name)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == shapes
    assert ours.image_size == theirs.image_encoder.img_size == 1024
    assert torch.equal(ours.pixel_mean, torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1))
    assert checkpoints.recognise(ours.state_dict()) == name
    # The published size is that of these values and of a table of contents.
    values = 4 * sum(value.numel() for value in ours.state_dict().values())
    assert 0 < OFFICIAL[name].size - values < 400 * len(shapes)


def test_official_files_are_described():
    assert tuple(OFFICIAL) == NAMES
    for name, file in OFFICIAL.items():
        assert file.name == name
        assert re.fullmatch(rf"sam_{name}_[0-9a-f]{{6}}\.pth", file.file_name)
        assert file.url == f"https://dl.fbaipublicfiles.com/segment_anything/{file.file_name}"
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert len({file.sha256 for file in OFFICIAL.values()}) == 3


def test_widths_and_blocks_are_those_that_are_built():
    assert {name: (file.width, file.blocks) for name, file in OFFICIAL.items()} == {
        name: (encoder["embed_dim"], encoder["depth"]) for name, encoder in IMAGE_ENCODERS.items()
    }


# --- Loading ---


def test_results_are_metas(small, states, tmp_path):
    path = tmp_path / OFFICIAL["vit_b"].file_name
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
    with pytest.raises(ValueError, match="none of the models tiny, vit_b, vit_l, vit_h; holds"):
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
    for wanted in (file.file_name, f"{file.size:,}", file.url, checkpoints.PAGE):
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


# --- Refusals: files ---


def saved(value: Any, **settings: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **settings)
    return stream.getvalue()


def tensors() -> dict[str, Tensor]:
    return {"a.weight": torch.ones(64, 64), "b.weight": torch.ones(64)}


def safetensors_bytes(tmp_path: Path) -> bytes:
    save_file(tensors(), tmp_path / "whole.safetensors")
    return (tmp_path / "whole.safetensors").read_bytes()


def header(content: Any) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(f"archive/{name.replace('_', '.')}", content)
    return stream.getvalue()


def shortened(content: bytes) -> bytes:
    """A whole archive, but each tensor's values end too early."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(f"archive/{name}", data[:-16] if name.startswith("data/") else data)
    return stream.getvalue()


# A length of 17 and then what a header begins with, as in a safetensors file cut after 12 bytes.
STUB = struct.pack("<Q", 17) + b'{"a"'

# Per clause: what the message says, and the files.
FILES: dict[str, tuple[str, list[Callable[[Path], bytes]]]] = {
    "empty": ("is empty", [lambda _: b""]),
    "web page": (
        "is a web page, probably a login or an error page",
        [
            lambda _: b"<!DOCTYPE html><html><body>Log in</body></html>",
            lambda _: b"<html><head><title>404</title></head></html>",
            lambda _: b"\xef\xbb\xbf\n  <!doctype HTML PUBLIC>\n",
            lambda _: b"<!-- page --><HTML>" + bytes(5000),
        ],
    ),
    "XML page": (
        "is an XML page",
        [lambda _: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', lambda _: b"\n<?XML ?>"],
    ),
    "LFS": (
        "is a Git LFS pointer",
        [
            lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:ec2d\nsize 375042383\n",
            lambda _: b"version https://git-lfs.github.com/spec/v1\r\noid sha256:a7bf\r\nsize 2564550879\r\n",
        ],
    ),
    "text": (
        "is a text file that begins with",
        [lambda _: b'{"error": "not found", "status": 404}', lambda _: b"404: Not Found, nothing here\n"],
    ),
    "too short": ("is too short to hold weights", [lambda _: b"\x00", lambda _: b"\x13\x00\x00\x00"]),
    "another kind": (
        "is neither a zip archive of torch.save nor safetensors",
        [lambda _: b"\x1f\x8b\x08" + bytes(range(200)), lambda _: b"GGUF" + bytes(100), lambda _: bytes(600)],
    ),
    "cut zip": (
        "is cut short: the end of the archive is missing",
        [
            lambda _: saved(tensors())[:-1000],
            lambda _: saved(tensors())[:8000],
            lambda _: saved(tensors())[:4],
            lambda _: saved(tensors())[:-23],
        ],
    ),
    "another zip": (
        "is a zip archive, but not one that torch.save wrote",
        [lambda _: archive(readme_txt=b"weights"), lambda _: b"PK\x05\x06" + bytes(18)],
    ),
    "cut safetensors": (
        "is cut short",
        [
            lambda folder: safetensors_bytes(folder)[:-1],
            lambda folder: safetensors_bytes(folder)[:300],
            lambda folder: safetensors_bytes(folder)[:40],
            lambda _: STUB,
        ],
    ),
    "damaged safetensors": (
        "damaged",
        [
            lambda _: header(b"{" + bytes(50)),
            lambda _: header({"a": {"dtype": "F32", "shape": [2]}}),
            lambda _: header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}) + bytes(4),
            lambda folder: safetensors_bytes(folder) + bytes(10),
        ],
    ),
    "damaged zip": (
        "damaged",
        [
            lambda _: archive(data_pkl=b"\x80\x02}q\x00(X\x05", version=b"3"),
            lambda _: archive(data_pkl=b"", version=b"3"),
            lambda _: archive(data_pkl=b"."),
            lambda _: saved(tensors()).replace(b"PK\x01\x02", b"PK\x09\x09"),
            lambda _: shortened(saved(tensors())),
        ],
    ),
    "old": (
        "written by PyTorch before 1.6",
        [
            lambda _: saved(tensors(), _use_new_zipfile_serialization=False),
            lambda _: pickle.dumps({"a": 1}, protocol=2),
            lambda _: pickle.dumps({"a": list(range(1000))}),
        ],
    ),
    "TorchScript": (
        "is a TorchScript archive: it holds code",
        [
            lambda _: archive(data_pkl=b".", constants_pkl=b"."),
            lambda _: archive(**{"code/model_py": b"", "data_pkl": b"."}),
        ],
    ),
    "no dictionary": (
        "expected a dictionary of tensors",
        [lambda _: saved(torch.ones(3)), lambda _: saved([torch.ones(3)]), lambda _: saved(None)],
    ),
    "no names": (
        "keys are not all names",
        [lambda _: saved({0: torch.ones(3)}), lambda _: saved({("a", 1): torch.ones(3), "b": torch.ones(1)})],
    ),
}


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        pytest.param(reason, make, id=f"{clause}-{i}")
        for clause, (reason, makes) in FILES.items()
        for i, make in enumerate(makes)
    ],
)
def test_files_that_are_no_checkpoints(tmp_path, reason, make):
    path = tmp_path / "weights.pth"
    path.write_bytes(make(tmp_path))
    with pytest.raises(ValueError, match=rf"^checkpoint: .*weights\.pth .*{reason}"):
        sam_edu.load("tiny", checkpoint=path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>Forbidden</html>", saved(tensors())[:5000], STUB, b"PK\x03\x04"],
    ids=["empty", "page", "cut", "stub", "start"],
)
def test_sizes_are_given_where_the_name_is_official(tmp_path, name, content):
    file = OFFICIAL[name]
    path = tmp_path / file.file_name
    path.write_bytes(content)
    sizes = re.escape(f"(it has {len(content):,} bytes; Meta's {file.file_name} has {file.size:,})")
    for model in ("tiny", name):  # the file's name is enough
        with pytest.raises(ValueError, match=sizes):
            sam_edu.load(model, checkpoint=path)
    renamed = path.rename(tmp_path / "renamed.pth")
    with pytest.raises(ValueError, match=sizes):
        sam_edu.load(name, checkpoint=renamed)
    with pytest.raises(ValueError, match=re.escape(f"(it has {len(content):,} bytes)")):
        sam_edu.load("tiny", checkpoint=renamed)


# --- Refusals: code ---


class Runs:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile(kind: str, flag: Path) -> bytes:
    """A file that makes a folder when it is unpickled carelessly."""
    trap = Runs(os.mkdir, str(flag))
    if kind == "alone":
        return saved(trap)
    if kind == "in a state dict":
        return saved({**tensors(), "c": trap})
    if kind == "eval":
        return saved({"a": Runs(eval, f"__import__('os').mkdir({str(flag)!r})")})
    if kind == "new protocol":
        return archive(data_pkl=pickle.dumps(trap, protocol=4), version=b"3")
    if kind == "text protocol":
        return archive(data_pkl=pickle.dumps(trap, protocol=0), version=b"3")
    if kind == "inst":
        return archive(data_pkl=b"(S" + repr(str(flag)).encode() + b"\nios\nmkdir\n.", version=b"3")
    if kind == "old":
        return saved(trap, _use_new_zipfile_serialization=False)
    assert kind == "bare"
    return pickle.dumps(trap)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize(
    "kind", ["alone", "in a state dict", "eval", "new protocol", "text protocol", "inst", "old", "bare"]
)
def test_code_is_refused_and_never_run(monkeypatch, tmp_path, kind, forced):
    if forced:  # this wish of the environment's is not heard either
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, flag = tmp_path / "weights.pth", tmp_path / "was run"
    path.write_bytes(hostile(kind, flag))
    with pytest.raises(ValueError, match=r"code|else than plain tensors") as refusal:
        sam_edu.load("tiny", checkpoint=path)
    assert not flag.exists()
    assert "weights_only=False" not in str(refusal.value)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(ValueError, match=VARIABLE):
        load_from_environment()
    assert not flag.exists()


def test_the_trap_would_have_worked(tmp_path):
    path, flag = tmp_path / "weights.pth", tmp_path / "was run"
    path.write_bytes(hostile("in a state dict", flag))
    torch.load(path, weights_only=False)
    assert flag.exists()


@pytest.mark.parametrize("value", [nn.Linear(2, 2), {"a": nn.ReLU()}, {"path": Path("x")}], ids=str)
def test_whole_modules_and_other_objects_are_refused(tmp_path, value):
    torch.save(value, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"holds code, or objects that only code can build.* was refused"):
        sam_edu.load("tiny", checkpoint=tmp_path / "weights.pth")


def test_the_function_that_the_code_asks_for_is_named(tmp_path):
    (tmp_path / "weights.pth").write_bytes(hostile("alone", tmp_path / "flag"))
    with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.mkdir"):
        sam_edu.load("tiny", checkpoint=tmp_path / "weights.pth")


# --- Refusals: other architectures ---


State = dict[str, Any]
IOU = "mask_decoder.iou_token.weight"


def changed(value: Any) -> Callable[[State], State]:
    return lambda state: {**state, IOU: value}


def without(pattern: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if not re.search(pattern, key)}


ENTRIES: dict[str, tuple[str, Callable[[State], State]]] = {
    "missing one": (rf"missing \(1\): {IOU}$", without(IOU)),
    "missing many": (r"missing \(2\d\): .*, \.\.\. and 1\d more$", without("hypernetworks")),
    "missing all": (r"It holds 0 entries\. missing \(", lambda _: {}),
    "extra one": (r"not expected \(1\): extra$", lambda state: {**state, "extra": torch.ones(2)}),
    "extra many": (
        r"not expected \(12\): x0, x1, .*x9, \.\.\. and 2 more$",
        lambda state: {**state, **{f"x{i}": torch.ones(2) for i in range(12)}},
    ),
    "misshaped": (rf"misshaped \(1\): {IOU} is 2x256, expected 1x256$", changed(torch.ones(2, 256))),
    "another rank": (rf"misshaped \(1\): {IOU} is a single number, expected 1x256$", changed(torch.ones(()))),
    "integers": (r"is 1x256 of torch.int64, expected 1x256$", changed(torch.ones(1, 256, dtype=torch.long))),
    "complex": (r"is 1x256 of torch.complex64, expected", changed(torch.ones(1, 256, dtype=torch.complex64))),
    "no tensor": (r"is a float, expected 1x256$", changed(0.5)),
    "no values": (r"is a tensor without ordinary values", changed(torch.ones(1, 256, device="meta"))),
    "sparse": (r"is a tensor without ordinary values", changed(torch.ones(1, 256).to_sparse())),
    "all three": (
        r"missing \(1\): .*; not expected \(1\): .*; misshaped \(1\): ",
        lambda state: {**changed(torch.ones(3))(without("no_mask_embed")(state)), "y": torch.ones(1)},
    ),
    "wrapped": (
        r"holds a dictionary under 'model': if that is the state dict, save it alone",
        lambda state: {"model": state, "step": 3},
    ),
    "prefixed": (
        r"holds \d+ entries, such as module\..* missing \(\d+\).*not expected \(\d+\): module\.",
        lambda state: {f"module.{key}": value for key, value in state.items()},
    ),
}


@pytest.mark.parametrize("name", ["tiny", "vit_b"])
@pytest.mark.parametrize("case", ENTRIES)
def test_entries_that_do_not_fit_are_listed(small, states, tmp_path, name, case):
    reason, change = ENTRIES[case]
    path = tmp_path / "weights.pth"
    torch.save(change(states(name)), path)
    with pytest.raises(ValueError, match=rf"^checkpoint: .*weights\.pth does not fit the model {name}\. .*{reason}"):
        sam_edu.load(name, checkpoint=path)


@pytest.mark.parametrize("form", ["zip", "safetensors"])
@pytest.mark.parametrize(
    ("name", "other"),
    [("vit_b", "vit_l"), ("vit_l", "vit_h"), ("vit_h", "vit_b"), ("tiny", "vit_b"), ("vit_b", "tiny")],
)
def test_another_model_is_recognised(small, states, tmp_path, name, other, form):
    path = tmp_path / "weights"
    (torch.save if form == "zip" else save_file)(states(other), path)
    with pytest.raises(ValueError, match=rf"fit the model {name}\. This looks like {other}: .*missing|misshaped"):
        sam_edu.load(name, checkpoint=path)


def test_an_unfit_checkpoint_leaves_a_model_as_it_was(small, states, tmp_path):
    model = sam_module.build_official("vit_b")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    values = {**states("vit_b"), IOU: torch.ones(7)}
    with pytest.raises(ValueError, match="misshaped"):
        checkpoints.fill(model, checkpoints.Entries(tmp_path, "checkpoint", values), "vit_b")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"image_encoder.patch_embed.proj.weight": torch.ones(768)},
        {"image_encoder.patch_embed.proj.weight": torch.ones(768, 3, 1, 1), "image_encoder.blocks.0.x": torch.ones(1)},
        {"image_encoder.patch_embed.proj.weight": "768"},
    ],
    ids=["empty", "rank", "too few blocks", "text"],
)
def test_what_looks_like_no_model_is_not_guessed(state):
    assert checkpoints.recognise(state) is None
