"""Sam and load(): the same frame as Meta's Sam, the stored weights, and what is refused."""

import hashlib
from pathlib import Path

import pytest
import torch
from predictors import make_predictor, make_sam, random_image
from safetensors import safe_open
from torch import nn

import sam_edu
from sam_edu import official, sam
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam, build_mask_decoder, build_tiny, tiny_weights


class Stub(nn.Module):
    """All that Meta's Sam wants to know of an image encoder before it is called."""

    def __init__(self, img_size: int) -> None:
        super().__init__()
        self.img_size = img_size


def make_pair(image_size: int) -> tuple[Sam, nn.Module]:
    """Ours and Meta's around the same parts, none of which preprocess and postprocess_masks use."""
    decoder = MaskDecoder(transformer_dim=8, transformer=TwoWayTransformer(1, 8, 2, 4))
    prompt_encoder = PromptEncoder(8, (4, 4), (image_size, image_size), 4)
    encoder = Stub(image_size)
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]  # as in Meta's build_sam.py
    theirs = official.modeling().Sam(encoder, prompt_encoder, decoder, pixel_mean=mean, pixel_std=std)
    return Sam(encoder, prompt_encoder, decoder, image_size), theirs


def normal(*sizes: int) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(64, 64), (64, 40), (17, 64), (5, 3)])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_preprocess_equals_meta_s(size: tuple[int, int], batched: bool, dtype: torch.dtype) -> None:
    ours, theirs = make_pair(64)
    x = (60 * normal(2, 3, *size) + 120).clamp(0, 255).to(dtype)
    x = x if batched else x[0]
    got = ours.preprocess(x)
    assert got.shape == (*x.shape[:-2], 64, 64)
    assert torch.equal(got, theirs.preprocess(x))
    assert not got[..., size[0] :, :].any()
    assert not got[..., :, size[1] :].any()


@pytest.mark.parametrize(("input_size", "original"), [((64, 64), (64, 64)), ((64, 40), (130, 81)), ((17, 64), (9, 33))])
def test_postprocess_equals_meta_s(input_size: tuple[int, int], original: tuple[int, int]) -> None:
    ours, theirs = make_pair(64)
    masks = normal(2, 3, 16, 16)
    got = ours.postprocess_masks(masks, input_size, original)
    assert got.shape == (2, 3, *original)
    assert torch.equal(got, theirs.postprocess_masks(masks, input_size, original))


def test_threshold_format_and_device_are_meta_s() -> None:
    ours, theirs = make_pair(64)
    assert ours.mask_threshold == theirs.mask_threshold
    assert ours.image_format == theirs.image_format
    assert ours.device == theirs.device
    assert ours.to("meta").device == torch.device("meta")
    assert set(ours.state_dict()) == set(theirs.state_dict())


@pytest.mark.parametrize("size", [(65, 10), (10, 65)])
def test_an_image_that_is_too_large_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=f"x: expected at most 64 pixels a side, got {size[0]} x {size[1]}; resize it first"
    ):
        make_pair(64)[0].preprocess(torch.zeros(3, *size))


def whole_pair() -> tuple[Sam, nn.Module]:
    """Ours and Meta's with the same weights, none of them 0 or 1."""
    ours = make_sam()
    theirs = official.modeling().Sam(
        ours.image_encoder, official.to_official(ours.prompt_encoder), official.to_official(ours.mask_decoder)
    )
    return ours, theirs.eval()


def image(height: int, width: int) -> torch.Tensor:
    return (60 * normal(3, height, width) + 120).clamp(0, 255)


POINTS = {"point_coords": torch.tensor([[[20.0, 30.0], [4, 5]], [[50, 10], [1, 1]]]), "point_labels": torch.ones(2, 2)}
BOXES = {"boxes": torch.tensor([[3.0, 4, 50, 40], [1, 1, 9, 9]])}
MASKS = {"mask_inputs": 5 * normal(2, 1, 32, 32)}
RECORDS = {
    "clicks": [POINTS],
    "boxes": [BOXES],
    "clicks and boxes": [{**POINTS, **BOXES}],
    "mask inputs": [MASKS],
    "all": [{**POINTS, **BOXES, **MASKS}],
    "nothing": [{}],
    "three images": [POINTS, BOXES, {}],
    "other entries": [{**POINTS, "file_name": "a.jpg"}],
}


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("prompts", RECORDS.values(), ids=RECORDS)
def test_forward_equals_metas(prompts: list[dict], multimask: bool) -> None:
    ours, theirs = whole_pair()
    sizes = [(48, 64), (64, 40), (64, 64)]
    batch = [
        {"image": image(*sizes[i]), "original_size": (3 * sizes[i][0] + 1, 70), **record}
        for i, record in enumerate(prompts)
    ]
    got, wanted = ours(batch, multimask_output=multimask), theirs(batch, multimask_output=multimask)
    assert len(got) == len(wanted) == len(prompts)
    for mine, other in zip(got, wanted, strict=True):
        assert list(mine) == list(other)
        for key, tensor in other.items():
            assert (mine[key].shape, mine[key].dtype) == (tensor.shape, tensor.dtype)
            assert not mine[key].requires_grad
            if key == "masks":
                assert (mine[key] != tensor).float().mean() < 1e-3  # a logit within rounding of 0
            else:
                assert (mine[key] - tensor).abs().max() <= 2e-6 * max(1, tensor.abs().max())


def test_forward_equals_the_predictor() -> None:
    ours, _ = whole_pair()
    predictor = make_predictor(ours)
    resized = torch.from_numpy(random_image(48, 64)).permute(2, 0, 1)
    [result] = ours([{"image": resized, "original_size": (48, 64), **POINTS}], True)
    for got, wanted in zip(result.values(), predictor.predict_torch(*POINTS.values()), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_forward_in_another_precision(dtype: torch.dtype) -> None:
    ours, _ = whole_pair()
    [result] = ours.to(dtype)([{"image": image(48, 64), "original_size": [48, 64], **POINTS, **MASKS}], True)
    assert result["masks"].shape == (2, 3, 48, 64)


RECORD = {"image": torch.ones(3, 48, 64), "original_size": (48, 64)}
BAD_BATCHES = {
    "an image": (torch.ones(1, 3, 48, 64), TypeError, "batched_input: expected a list with a dictionary per image"),
    "one record": (RECORD, TypeError, "batched_input: .*got dict"),
    "none": ([], ValueError, "batched_input: expected at least one image"),
    "no dictionary": ([torch.ones(3, 4, 4)], TypeError, r"batched_input\[0\]: expected a dictionary, got Tensor"),
    "no image": ([{"original_size": (4, 4)}], ValueError, r"batched_input\[0\]: expected the key 'image'"),
    "no size": (
        [RECORD, {"image": RECORD["image"]}],
        ValueError,
        r"batched_input\[1\]: expected the key 'original_size'",
    ),
    "box": ([{**RECORD, "box": None}], ValueError, "expected the key 'boxes', got 'box'"),
    "mask_input": ([{**RECORD, "mask_input": None}], ValueError, "expected the key 'mask_inputs'"),
    "no labels": ([{**RECORD, "point_coords": torch.ones(1, 1, 2)}], ValueError, "got 'point_coords' alone"),
    "a batch of images": (
        [{**RECORD, "image": torch.ones(1, 3, 4, 4)}],
        ValueError,
        r"\['image'\]: expected shape \(3,",
    ),
    "a size": ([{**RECORD, "original_size": 48}], ValueError, "original_size: .*got 48"),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("batch", "error", "words"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_forward_refuses_by_name(batch: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        whole_pair()[0](batch, True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_pytorchs_default_dtype_does_not_leak_into_a_loaded_model(tiny: Sam, dtype: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = sam_edu.load()
    finally:
        torch.set_default_dtype(before)
    assert {tensor.dtype for tensor in (*model.parameters(), *model.buffers())} == {torch.float32}
    for (name, got), wanted in zip(model.named_buffers(), tiny.buffers(), strict=True):
        assert torch.equal(got, wanted), name


def test_mask_decoder_is_of_the_official_configuration() -> None:
    decoder = build_mask_decoder()
    assert len(decoder.state_dict()) == 120
    assert sum(p.numel() for p in decoder.parameters()) == 4_058_340


@pytest.fixture(scope="module")
def tiny() -> Sam:
    return sam_edu.load("tiny")


def test_loaded_model_is_ready_for_inference(tiny: Sam) -> None:
    assert not tiny.training
    assert not any(module.training for module in tiny.modules())
    assert {p.dtype for p in tiny.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in tiny.parameters())
    assert tiny.image_size == 256
    assert tiny.device == torch.device("cpu")


def test_loaded_model_has_the_stored_weights_and_each_call_makes_a_new_one(tiny: Sam) -> None:
    state = tiny.state_dict()
    with safe_open(tiny_weights(), "pt") as file:
        assert set(file.keys()) == set(state) == set(build_tiny().state_dict())
        for key in file.keys():  # noqa: SIM118  (not a dict)
            assert torch.equal(state[key], file.get_tensor(key).float()), key
    other = sam_edu.load()
    assert other is not tiny
    with torch.no_grad():
        other.mask_decoder.iou_token.weight.zero_()
    assert tiny.mask_decoder.iou_token.weight.any()


def test_tiny_model_has_the_official_grid(tiny: Sam) -> None:
    with torch.no_grad():
        embedding = tiny.image_encoder(tiny.preprocess(torch.zeros(1, 3, 256, 200)))
        sparse, dense = tiny.prompt_encoder((torch.zeros(1, 1, 2), torch.ones(1, 1)), None, None)
        masks, iou = tiny.mask_decoder(embedding, tiny.prompt_encoder.get_dense_pe(), sparse, dense, True)
    assert embedding.shape == (1, 256, 64, 64)
    assert masks.shape == (1, 3, 256, 256)
    assert iou.shape == (1, 3)


def test_load_touches_no_random_state_of_the_caller() -> None:
    before = torch.get_rng_state()
    sam_edu.load()
    assert torch.equal(torch.get_rng_state(), before)


def test_stored_weights_are_small_and_float16() -> None:
    assert tiny_weights().stat().st_size <= 16e6
    with safe_open(tiny_weights(), "pt") as file:
        tensors = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
    assert {tensor.dtype for tensor in tensors} == {torch.float16}
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


def test_stored_weights_have_the_noted_hash() -> None:
    noted = tiny_weights().with_suffix(".sha256").read_text().split()
    assert noted == [hashlib.sha256(tiny_weights().read_bytes()).hexdigest(), tiny_weights().name]


@pytest.mark.parametrize("name", ["huge", "", "Tiny"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"name: expected .*'tiny'.*, got '{name}'"):
        sam_edu.load(name)


def test_missing_weights_come_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sam, "tiny_weights", lambda: tmp_path / "tiny.safetensors")
    with pytest.raises(FileNotFoundError, match=r"tiny\.safetensors is missing: install sam_edu again"):
        sam_edu.load()
