"""The Predictor keeps SamPredictor's contract, equals it, and refuses wrong input without losing its image."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from sam_edu import official
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.predictor import NoImageError, Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import intervene, trace

SIDE, GRID, DIM = 64, 8, 32
SIZES = [(48, 64), (64, 64), (97, 31), (200, 333), (7, 5), (1, 300), (300, 1), (1, 1)]


class OtherModel(nn.Module):
    """A model whose mask decoder is none of ours."""

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.image_size, self.mask_decoder = sam.image_size, nn.Identity()


class SmallEncoder(nn.Conv2d):
    """One convolution from images to the grid, with the attribute that Meta's Sam reads."""

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__(3, DIM, SIDE // GRID, stride=SIDE // GRID)


@pytest.fixture(scope="module")
def sam() -> Sam:
    torch.manual_seed(0)
    transformer = TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=4, mlp_dim=64)
    decoder = MaskDecoder(transformer_dim=DIM, transformer=transformer, iou_head_hidden_dim=32)
    model = Sam(SmallEncoder(), PromptEncoder(DIM, (GRID, GRID), (SIDE, SIDE), 8), decoder, image_size=SIDE)
    for parameter in model.parameters():  # norms of 1 and 0 would hide mistakes
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture
def predictor(sam: Sam) -> Predictor:
    predictor = Predictor(sam)
    predictor.set_image(random_image(48, 64))
    return predictor


@pytest.fixture(scope="module")
def theirs(sam: Sam) -> Any:
    """Meta's SamPredictor with the same weights."""
    return official.sam_predictor(
        sam.image_encoder, official.to_official(sam.prompt_encoder), official.to_official(sam.mask_decoder)
    )


def random_image(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def logits(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 5, (1, 4 * GRID, 4 * GRID)).astype(np.float32)


CLICK = {"point_coords": np.array([[20.0, 30.0]]), "point_labels": np.array([1])}


def result(predictor: Predictor) -> list[np.ndarray]:
    return list(predictor.predict(**CLICK, return_logits=True))


def embed(sam: Sam, image: Any, image_format: str = "RGB") -> Tensor:
    predictor = Predictor(sam)
    predictor.set_image(image, image_format)
    return predictor.get_image_embedding()


# The contract


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_shapes_and_types_for_any_image(sam: Sam, height: int, width: int) -> None:
    predictor = Predictor(sam)
    predictor.set_image(random_image(height, width))
    for multimask, count in ((True, 3), (False, 1)):
        masks, iou, low_res = predictor.predict(np.array([[width, height]]), np.array([1]), multimask_output=multimask)
        assert masks.shape == (count, height, width)
        assert masks.dtype == bool
        assert iou.shape == (count,)
        assert low_res.shape == (count, 4 * GRID, 4 * GRID)
    soft = predictor.predict(np.array([[0, 0]]), np.array([1]), return_logits=True)[0]
    assert soft.dtype == np.float32
    assert np.array_equal(soft > 0, predictor.predict(np.array([[0, 0]]), np.array([1]))[0])


def test_state(sam: Sam) -> None:
    predictor = Predictor(sam, device="cpu")
    assert (predictor.is_image_set, predictor.features, predictor.original_size) == (False, None, None)
    assert predictor.device == torch.device("cpu")
    predictor.set_image(random_image(100, 50))
    assert predictor.is_image_set
    assert predictor.original_size == (100, 50)
    assert predictor.input_size == (64, 32)
    assert predictor.get_image_embedding() is predictor.features
    assert predictor.features.shape == (1, DIM, GRID, GRID)
    assert not predictor.features.requires_grad
    predictor.reset_image()
    assert (predictor.is_image_set, predictor.features, predictor.input_size) == (False, None, None)


PROMPTS = {
    "click": CLICK,
    "clicks": {"point_coords": np.array([[20, 30], [0, 0], [64, 48]]), "point_labels": np.array([1, 0, 1])},
    "padding": {"point_coords": np.array([[20, 30], [0, 0]]), "point_labels": np.array([1, -1])},
    "box": {"box": np.array([3, 4, 50, 40])},
    "box in a row": {"box": np.array([[3, 4, 50, 40]])},
    "whole image": {"box": np.array([0.0, 0.0, 64.0, 48.0])},
    "box and click": {**CLICK, "box": np.array([3.5, 4, 50, 40])},
    "mask": {"mask_input": logits()},
    "mask and click": {**CLICK, "mask_input": logits()},
    "nothing": {},
    "one mask": {**CLICK, "multimask_output": False},
    "logits": {**CLICK, "return_logits": True},
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_equals_metas_predictor(sam: Sam, theirs: Any, prompt: dict[str, Any]) -> None:
    ours = Predictor(sam)
    for predictor in (ours, theirs):
        predictor.set_image(random_image(48, 64, seed=1))
    assert torch.equal(ours.features, theirs.features)
    for got, wanted in zip(ours.predict(**prompt), theirs.predict(**prompt), strict=True):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        if got.dtype == bool:
            assert (got != wanted).mean() < 1e-3  # a logit within rounding of 0
        else:
            assert np.abs(got - wanted).max() <= 2e-6 * max(1, np.abs(wanted).max())


@pytest.mark.parametrize(("height", "width"), SIZES[:5])
@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_equals_metas_predictor_for_any_size(sam: Sam, theirs: Any, height: int, width: int, image_format: str) -> None:
    ours = Predictor(sam)
    results = []
    for predictor in (ours, theirs):
        predictor.set_image(random_image(height, width), image_format)
        prompt = {"point_coords": np.array([[width / 3, height / 2]]), "point_labels": np.array([1])}
        results.append(predictor.predict(**prompt, return_logits=True)[0])
    assert torch.equal(ours.features, theirs.features)
    assert (ours.original_size, ours.input_size) == (theirs.original_size, theirs.input_size)
    assert np.abs(results[0] - results[1]).max() <= 2e-6 * max(1, np.abs(results[1]).max())


def test_a_batch_of_prompt_sets_equals_one_by_one(predictor: Predictor) -> None:
    coords = np.array([[[20.0, 30.0], [5, 5]], [[50, 10], [64, 48]]])
    labels = np.array([[1, 0], [1, 1]])
    boxes = np.array([[0, 0, 30, 40], [10, 5, 64, 48]])
    masks = np.stack([logits(1), logits(2)])
    batch = predictor.predict_torch(
        predictor.transform.apply_coords_torch(torch.from_numpy(coords), predictor.original_size),
        torch.from_numpy(labels),
        predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), predictor.original_size),
        torch.from_numpy(masks),
        return_logits=True,
    )
    assert batch[0].shape == (2, 3, 48, 64)
    assert not batch[0].requires_grad
    for i in range(2):
        single = predictor.predict(coords[i], labels[i], boxes[i], masks[i], return_logits=True)
        for got, wanted in zip(batch, single, strict=True):
            np.testing.assert_allclose(got[i].numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_lists_and_whole_numbers_serve_as_prompts(predictor: Predictor) -> None:
    for prompt in (
        {"point_coords": [[20, 30]], "point_labels": [1]},
        {"point_coords": ((20.0, 30.0),), "point_labels": [True]},
        {"point_coords": np.array([[20, 30]], dtype=np.uint8), "point_labels": np.array([1.0])},
        {"point_coords": torch.tensor([[20, 30]]), "point_labels": torch.tensor([1])},
    ):
        assert all(map(np.array_equal, predictor.predict(**prompt, return_logits=True), result(predictor)))
    box = np.array([3, 4, 50, 40])
    assert np.array_equal(predictor.predict(box=box.astype(np.uint8))[2], predictor.predict(box=box.tolist())[2])


def test_prompts_that_require_grad_serve_and_the_result_does_not(sam: Sam, predictor: Predictor) -> None:
    point, label = torch.tensor([[20.0, 30.0]], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    box, mask = torch.tensor([3.0, 4.0, 50.0, 40.0], requires_grad=True), torch.from_numpy(logits()).requires_grad_()
    plain = [tensor.detach().numpy() for tensor in (point, label, box, mask)]
    wanted = predictor.predict(*plain)
    assert all(map(np.array_equal, predictor.predict(point, label, box, mask), wanted))
    batch = predictor.predict_torch(point[None], label[None], box[None], mask[None], return_logits=True)
    assert not any(tensor.requires_grad for tensor in batch)
    np.testing.assert_allclose(batch[2][0].numpy(), wanted[2], rtol=1e-4, atol=1e-5)
    resized = torch.full((1, 3, 48, 64), 100.0, requires_grad=True)
    predictor.set_torch_image(resized, (48, 64))
    assert not predictor.get_image_embedding().requires_grad


@pytest.mark.parametrize("fast", [False, True])
def test_another_device_takes_the_model_the_image_and_the_prompts(
    sam: Sam, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's meta device stands for any other: it computes shapes alone, and mixes with no processor's tensors."""
    model, given = copy.deepcopy(sam), []
    predictor = Predictor(model, device="meta", fast=fast)
    assert predictor.device == torch.device("meta")
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    predictor.set_image(random_image(48, 64))
    assert predictor.get_image_embedding().is_meta
    embedding = model.prompt_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: given.extend(tree_leaves(kwargs)), with_kwargs=True
    )
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu"))
    masks, iou, low_res = predictor.predict(**CLICK, box=[3, 4, 50, 40], mask_input=logits())
    embedding.remove()
    assert [tensor.device.type for tensor in given] == ["meta"] * 4
    assert (masks.shape, iou.shape, low_res.shape) == ((3, 48, 64), (3,), (3, 4 * GRID, 4 * GRID))
    for scale, shape in (("apply_coords_torch", (1, 2)), ("apply_boxes_torch", (1, 4))):
        assert getattr(predictor.transform, scale)(torch.ones(shape, device="meta"), (48, 64)).is_meta


def test_without_a_device_the_model_stays_where_it_is(sam: Sam) -> None:
    assert Predictor(copy.deepcopy(sam).to("meta")).device == torch.device("meta")


def test_a_result_serves_as_the_next_mask_input(predictor: Predictor) -> None:
    low_res = predictor.predict(**CLICK)[2]
    refined = predictor.predict(**CLICK, mask_input=low_res[1:2], multimask_output=False)
    assert refined[0].shape == (1, 48, 64)
    predictor.predict(mask_input=np.zeros_like(low_res[:1]))  # logits of 0 everywhere say nothing, but are logits


@pytest.mark.parametrize("values", [(-1, 1), (0, 0.5, 1), (0, 1, 2), (-10, 255), (0, 100, 255)])
def test_logits_are_no_mask_however_round_they_are(predictor: Predictor, values: tuple[float, ...]) -> None:
    mask = np.resize(np.array(values, np.float32), (1, 4 * GRID, 4 * GRID))
    assert predictor.predict(mask_input=mask)[0].shape == (3, 48, 64)


def test_a_predictor_is_traced_and_changed_through_its_model(predictor: Predictor) -> None:
    with trace(predictor) as t:
        low_res = predictor.predict(**CLICK)[2]
    assert np.array_equal(t["masks"][0, 1:].numpy(), low_res)
    assert next(iter(t)) == "prompt_encoder.sparse_embeddings"
    with intervene(predictor, "prompt_encoder.sparse_embeddings", "zero"):
        assert not np.array_equal(predictor.predict(**CLICK)[2], low_res)
    assert np.array_equal(predictor.predict(**CLICK)[2], low_res)


def test_fast_gives_the_same_and_is_not_traced(sam: Sam) -> None:
    slow, fast = Predictor(sam), Predictor(sam, fast=True)
    for predictor in (slow, fast):
        predictor.set_image(random_image(40, 60))
    for prompt in ({"point_coords": [[5, 6], [20, 9]], "point_labels": [1, 0]}, {"box": [3, 4, 30, 20]}):
        for ours, theirs in zip(fast.predict(**prompt), slow.predict(**prompt), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-6 * max(1, np.abs(theirs).max()))
    with pytest.raises(ValueError, match="fast Predictor passes no trace point"):
        trace(fast)


@pytest.mark.no_shape_check
def test_another_decoder_is_not_made_fast(sam: Sam) -> None:
    with pytest.raises(TypeError, match=r"expected a sam_edu\.MaskDecoder"):
        Predictor(OtherModel(sam), fast=True)


def test_float64_model(sam: Sam) -> None:
    before = result_of(Predictor(sam))
    try:
        after = result_of(Predictor(sam.double()))
    finally:
        sam.float()
    assert after.dtype == np.float64
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3)


def result_of(predictor: Predictor) -> np.ndarray:
    predictor.set_image(random_image(48, 64))
    return predictor.predict(**CLICK, mask_input=logits(), return_logits=True)[0]


# Kinds of images


def test_grey_is_all_channels_alike(sam: Sam) -> None:
    grey = random_image(48, 64, 1)
    wanted = embed(sam, np.repeat(grey, 3, axis=2))
    for image in (grey, grey[..., 0], Image.fromarray(grey[..., 0]), grey[..., 0] / 255.0):
        assert torch.equal(embed(sam, image), wanted)


def test_floats_are_eight_bit_steps(sam: Sam) -> None:
    image = random_image(48, 64)
    for dtype in (np.float32, np.float64):
        assert torch.equal(embed(sam, (image / 255).astype(dtype)), embed(sam, image))
    assert torch.equal(embed(sam, np.ones((4, 4, 3), np.float16)), embed(sam, np.full((4, 4, 3), 255, np.uint8)))


def test_transparency_is_laid_on_white(sam: Sam) -> None:
    image = random_image(48, 64, 4)
    opaque, clear, half = (np.dstack([image[..., :3], np.full((48, 64), a, np.uint8)]) for a in (255, 0, 51))
    assert torch.equal(embed(sam, opaque), embed(sam, image[..., :3]))
    assert torch.equal(embed(sam, clear), embed(sam, np.full((48, 64, 3), 255, np.uint8)))
    fifth = np.round(0.2 * image[..., :3].astype(float) + 0.8 * 255).astype(np.uint8)
    assert torch.equal(embed(sam, half), embed(sam, fifth))
    assert torch.equal(embed(sam, image / 255), embed(sam, image))
    assert torch.equal(embed(sam, Image.fromarray(image, "RGBA")), embed(sam, image))
    assert torch.equal(embed(sam, image[..., [2, 1, 0, 3]], "BGR"), embed(sam, image))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pil_modes(sam: Sam, mode: str) -> None:
    image = Image.fromarray(random_image(48, 64)).convert(mode)
    assert torch.equal(embed(sam, image), embed(sam, np.asarray(image.convert("RGB"))))


@pytest.mark.parametrize("mode", ["LA", "PA"])
def test_transparent_grey_and_palettes_are_laid_on_white(sam: Sam, mode: str) -> None:
    grey, alpha = random_image(48, 64, 2)[..., 0], random_image(48, 64, 2, seed=1)[..., 1]
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    if mode == "PA":  # entry i of the palette is the grey i
        indices = np.asarray(image)
        image = Image.frombytes("PA", image.size, indices.tobytes())
        image.putpalette([value for i in range(256) for value in (i, i, i)])
    assert image.mode == mode
    assert torch.equal(embed(sam, image), embed(sam, np.dstack([grey, grey, grey, alpha])))
    assert not torch.equal(embed(sam, image), embed(sam, grey))


@pytest.mark.parametrize(("mode", "colour"), [("L", 70), ("RGB", (70, 71, 72))])
def test_a_colour_that_stands_for_transparent_is_laid_on_white(sam: Sam, mode: str, colour: Any) -> None:
    image = Image.new(mode, (64, 48), colour)
    image.info["transparency"] = colour
    image.putpixel((9, 5), 3 if mode == "L" else (3, 3, 3))
    wanted = np.full((48, 64, 3), 255, np.uint8)
    wanted[5, 9] = 3
    assert torch.equal(embed(sam, image), embed(sam, wanted))


def test_a_palette_with_a_transparent_colour(sam: Sam) -> None:
    image = Image.new("P", (64, 48), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.info["transparency"] = 1
    assert torch.equal(embed(sam, image), embed(sam, np.full((48, 64, 3), 255, np.uint8)))


def test_views_of_an_array(sam: Sam) -> None:
    image = random_image(100, 120)
    view = image[10:90:2, ::-1]
    assert torch.equal(embed(sam, view), embed(sam, view.copy()))
    assert torch.equal(embed(sam, image[..., ::-1], "BGR"), embed(sam, image))
    frozen = image.copy()
    frozen.flags.writeable = False
    assert torch.equal(embed(sam, frozen), embed(sam, image))


# What is refused


@dataclass
class Refused:
    """A call that cannot be meant: what it is, and the error's type and words."""

    call: Callable[[Predictor], object]
    error: type[Exception]
    words: str


def on_image(image: Any, error: type[Exception], words: str, **options: str) -> Refused:
    return Refused(lambda predictor: predictor.set_image(image, **options), error, words)


def on_prompt(error: type[Exception], words: str, **prompt: Any) -> Refused:
    return Refused(lambda predictor: predictor.predict(**prompt), error, words)


def on_points(coords: Any, labels: Any, error: type[Exception], words: str) -> Refused:
    return on_prompt(error, words, point_coords=coords, point_labels=labels)


def on_batch(error: type[Exception], words: str, *args: Any, **prompt: Any) -> Refused:
    return Refused(lambda predictor: predictor.predict_torch(*args, **prompt), error, words)


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.astype(np.float32)
    changed.flat[5] = value
    return changed


TENTH = np.full((8, 8, 3), 0.1)
ONE = torch.ones(1, 1)
REFUSED = {
    # images
    "no rows": on_image(np.zeros((0, 5, 3), np.uint8), ValueError, r"image: .*empty.*\(0, 5, 3\)"),
    "no columns": on_image(np.zeros((5, 0), np.uint8), ValueError, r"image: .*empty.*\(5, 0\)"),
    "empty PIL": on_image(Image.new("RGB", (0, 4)), ValueError, "image: .*empty"),
    "2 channels": on_image(random_image(8, 8, 2), ValueError, r"image: .*1, 3 or 4 channels, got \(8, 8, 2\)"),
    "5 channels": on_image(random_image(8, 8, 5), ValueError, r"image: .*got \(8, 8, 5\)"),
    "no channels": on_image(random_image(8, 8, 0), ValueError, r"image: .*got \(8, 8, 0\)"),
    "channels first": on_image(np.zeros((3, 8, 9), np.uint8), ValueError, r"image: .*got \(3, 8, 9\)"),
    "rank 1": on_image(np.zeros(8, np.uint8), ValueError, r"image: .*got \(8,\)"),
    "rank 4": on_image(np.zeros((1, 8, 8, 3), np.uint8), ValueError, r"image: .*got \(1, 8, 8, 3\)"),
    "int64": on_image(random_image(8, 8).astype(np.int64), TypeError, "image: .*uint8.*got int64"),
    "uint16": on_image(random_image(8, 8).astype(np.uint16), TypeError, "image: .*got uint16"),
    "bool": on_image(np.ones((8, 8), bool), TypeError, "image: .*got bool"),
    "complex": on_image(np.ones((8, 8), complex), TypeError, "image: .*got complex128"),
    "objects": on_image(np.full((8, 8), None), TypeError, "image: .*got object"),
    "NaN": on_image(with_value(TENTH, np.nan), ValueError, "image: .*NaN"),
    "infinity": on_image(with_value(TENTH, np.inf), ValueError, "image: .*infinity"),
    "floats to 255": on_image(random_image(8, 8) / 1.0, ValueError, "image: .*from 0 to 1, got"),
    "negative floats": on_image(with_value(TENTH, -0.2), ValueError, "image: .*got -0.2 to 0.1"),
    "image None": on_image(None, TypeError, "image: .*got NoneType"),
    "a path": on_image("cat.png", TypeError, r"image: .*got str .*PIL\.Image\.open"),
    "a Path": on_image(Path("cat.png"), TypeError, r"image: .*PIL\.Image\.open"),
    "a list": on_image([[0, 1]], TypeError, "image: .*got list"),
    "a tensor": on_image(torch.zeros(8, 8, 3), TypeError, "image: .*got Tensor"),
    "PIL 32 bits": on_image(Image.new("I", (4, 4)), ValueError, "image: .*mode.*got I"),
    "PIL floats": on_image(Image.new("F", (4, 4)), ValueError, "image: .*got F"),
    "another order": on_image(random_image(8, 8), ValueError, "image_format: .*got 'GBR'", image_format="GBR"),
    "PIL as BGR": on_image(Image.new("RGB", (4, 4)), ValueError, "image_format: ", image_format="BGR"),
    # points
    "no labels": on_prompt(ValueError, "point_labels: .*got None", point_coords=[[1, 2]]),
    "no points": on_prompt(ValueError, "point_coords: .*got None", point_labels=[1]),
    "too few labels": on_points([[1, 2], [3, 4]], [1], ValueError, r"point_labels: expected shape \(2,\).*got \(1,\)"),
    "too many labels": on_points([[1, 2]], [1, 0], ValueError, r"point_labels: expected shape \(1,\).*got \(2,\)"),
    "labels of rank 2": on_points([[1, 2]], [[1]], ValueError, r"point_labels: .*got \(1, 1\)"),
    "one bare point": on_points([1, 2], [1], ValueError, r"point_coords: expected shape .*got \(2,\)"),
    "points of rank 3": on_points([[[1, 2]]], [[1]], ValueError, r"point_coords: .*got \(1, 1, 2\)"),
    "three numbers": on_points([[1, 2, 3]], [1], ValueError, r"point_coords: .*got \(1, 3\)"),
    "ragged": on_points([[1, 2], [3]], [1, 1], ValueError, "point_coords: .*different lengths"),
    "no click": on_points(np.zeros((0, 2)), [], ValueError, "point_coords: .*at least one click"),
    "words": on_points([["1", "2"]], [1], TypeError, "point_coords: expected numbers"),
    "half a None": on_points([[1, None]], [1], TypeError, "point_coords: expected numbers"),
    "words for labels": on_points([[1, 2]], ["yes"], TypeError, "point_labels: expected numbers"),
    "label 2": on_points([[1, 2]], [2], ValueError, r"point_labels\[0\]: .*got 2"),
    "label -2": on_points([[1, 2], [3, 4]], [1, -2], ValueError, r"point_labels\[1\]: .*got -2"),
    "label 0.5": on_points([[1, 2]], [0.5], ValueError, r"point_labels\[0\]: .*got 0.5"),
    "label NaN": on_points([[1, 2]], [np.nan], ValueError, r"point_labels\[0\]: .*got nan"),
    "point NaN": on_points([[1, 2], [np.nan, 3]], [1, 1], ValueError, r"point_coords\[1\]: \(nan, 3\) is not finite"),
    "point infinite": on_points([[1, -np.inf]], [1], ValueError, r"point_coords\[0\]: \(1, -inf\) is not finite"),
    "right of it": on_points(
        [[64.5, 2]], [1], ValueError, r"point_coords\[0\]: \(64.5, 2\) lies outside .* image is 64 x 48"
    ),
    "below it": on_points([[1, 1], [2, 50]], [1, 0], ValueError, r"point_coords\[1\]: \(2, 50\) lies outside"),
    "left of it": on_points([[-1, 2]], [1], ValueError, r"\(-1, 2\) lies outside .* x goes from 0 to 64"),
    # boxes
    "box NaN": on_prompt(ValueError, "box: .*not finite", box=[1, 2, np.nan, 4]),
    "box infinite": on_prompt(ValueError, "box: .*not finite", box=[1, 2, np.inf, 4]),
    "box outside": on_prompt(ValueError, r"box: \(1, 2, 70, 4\) lies outside", box=[1, 2, 70, 4]),
    "box above": on_prompt(ValueError, "box: .*lies outside", box=[1, -2, 7, 4]),
    "box without width": on_prompt(ValueError, "box: .*it is empty", box=[5, 2, 5, 9]),
    "box without area": on_prompt(ValueError, "box: .*it is empty", box=np.zeros(4)),
    "box swapped": on_prompt(ValueError, "box: .*x0 < x1.*swapped", box=[9, 2, 5, 9]),
    "box swapped, unsigned": on_prompt(ValueError, "box: .*swapped", box=np.array([5, 9, 9, 2], np.uint8)),
    "box of 3": on_prompt(ValueError, r"box: expected four numbers.*got shape \(3,\)", box=[1, 2, 3]),
    "box of 5": on_prompt(ValueError, r"box: .*\(5,\)", box=[1, 2, 3, 4, 5]),
    "two boxes": on_prompt(ValueError, r"box: .*\(2, 4\)", box=[[1, 2, 3, 4]] * 2),
    "corners": on_prompt(ValueError, r"box: .*\(2, 2\)", box=[[1, 2], [3, 4]]),
    "a word": on_prompt(TypeError, "box: expected numbers", box="all"),
    # mask inputs
    "mask too large": on_prompt(
        ValueError, r"mask_input: .*\(1, 32, 32\), got \(1, 64, 64\)", mask_input=np.ones((1, 64, 64))
    ),
    "mask without axis": on_prompt(ValueError, r"mask_input: .*low_res\[i : i \+ 1\]", mask_input=logits()[0]),
    "three masks": on_prompt(ValueError, "mask_input: .*got", mask_input=np.repeat(logits(), 3, axis=0)),
    "mask NaN": on_prompt(ValueError, "mask_input: .*NaN", mask_input=with_value(logits(), np.nan)),
    "mask infinite": on_prompt(ValueError, "mask_input: .*infinity", mask_input=with_value(logits(), np.inf)),
    "bool mask": on_prompt(TypeError, "mask_input: .*got bool", mask_input=logits() > 0),
    "whole numbers": on_prompt(TypeError, "mask_input: .*got uint8", mask_input=np.uint8(logits() > 0)),
    "0/1 mask": on_prompt(ValueError, "mask_input: .*a mask of 0 and 1", mask_input=np.float32(logits() > 0)),
    "0/255 mask": on_prompt(ValueError, "mask_input: .*0 and 255", mask_input=255 * np.float32(logits() > 0)),
    "full mask": on_prompt(ValueError, "mask_input: .*0 and 1", mask_input=np.ones_like(logits())),
    # batches in the model's frame
    "batch without labels": on_batch(ValueError, "point_labels", torch.ones(1, 1, 2), None),
    "batch without points": on_batch(ValueError, "point_coords", None, ONE),
    "batch of an array": on_batch(TypeError, "point_coords: .*Tensor", np.ones((1, 1, 2)), ONE),
    "batch of rank 2": on_batch(ValueError, "point_coords: expected shape", torch.ones(1, 2), ONE),
    "batch of other labels": on_batch(ValueError, "point_labels: expected shape", torch.ones(2, 1, 2), ONE),
    "batch label 3": on_batch(ValueError, r"point_labels\[0, 0\]: .*got 3", torch.ones(1, 1, 2), 3 * ONE),
    "batch outside": on_batch(
        ValueError,
        r"point_coords\[1, 0\]: \(60, 60\) .*64 x 48",
        torch.tensor([[[1, 1]], [[60, 60]]]),
        torch.ones(2, 1),
    ),
    "batch box swapped": on_batch(
        ValueError, r"boxes\[1\]: .*swapped", None, None, torch.tensor([[1, 2, 3, 4], [3, 2, 1, 4]])
    ),
    "batch box of 3": on_batch(ValueError, "boxes: expected shape", None, None, torch.ones(1, 3)),
    "batch of unlike numbers": on_batch(
        ValueError, "as many boxes as prompt sets", torch.ones(2, 1, 2), torch.ones(2, 1), torch.tensor([[1, 2, 3, 4]])
    ),
    "batch mask": on_batch(ValueError, "mask_input: expected shape", None, None, mask_input=torch.ones(1, 32, 32)),
    "batch 0/1 mask": on_batch(ValueError, "0 and 1", None, None, mask_input=torch.ones(2, 1, 32, 32)),
    # images in the model's frame
    "short side": Refused(
        lambda predictor: predictor.set_torch_image(torch.zeros(1, 3, 32, 32), (32, 32)),
        ValueError,
        "longer side of 64",
    ),
    "no tensor": Refused(
        lambda predictor: predictor.set_torch_image(random_image(64, 64), (64, 64)),
        TypeError,
        "transformed_image: .*ndarray",
    ),
    "no size": Refused(
        lambda predictor: predictor.set_torch_image(torch.zeros(1, 3, 64, 9), (0, 9)), ValueError, "original_image_size"
    ),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused_and_the_next_result_is_the_same(predictor: Predictor, case: Refused) -> None:
    before = result(predictor)
    state = (predictor.features, predictor.original_size, predictor.input_size)
    with pytest.raises(case.error, match=case.words):
        case.call(predictor)
    assert state == (predictor.features, predictor.original_size, predictor.input_size)
    assert all(map(np.array_equal, before, result(predictor)))


# Words that help, and the cases that they are for: in the others they would mislead.
HINTS = {
    "take low_res": {"mask without axis"},
    "PIL.Image.open": {"a path", "a Path"},
    "leave it out where there are no clicks": {"no click"},
    "its corners are swapped": {"box swapped", "box swapped, unsigned", "batch box swapped"},
    "it is empty": {"box without width", "box without area"},
    "is not finite": {"point NaN", "point infinite", "box NaN", "box infinite"},
    "lies outside": {"right of it", "below it", "left of it", "box outside", "box above", "batch outside"},
    "NaN or infinity": {"NaN", "infinity", "mask NaN", "mask infinite"},
    "a mask of 0 and 1;": {"0/1 mask", "full mask", "batch 0/1 mask"},
    "a mask of 0 and 255;": {"0/255 mask"},
    "is converted to": {"PIL as BGR"},
}


@pytest.mark.no_shape_check
def test_hints_are_given_where_they_help_and_nowhere_else(predictor: Predictor) -> None:
    messages = {}
    for name, case in REFUSED.items():
        with pytest.raises(case.error) as refusal:
            case.call(predictor)
        messages[name] = str(refusal.value)
    assert {hint: {name for name in messages if hint in messages[name]} for hint in HINTS} == HINTS


@pytest.mark.parametrize(
    ("box", "problem"), [((5, 9, 9, 2), "swapped"), ((9, 2, 5, 2), "swapped"), ((5, 2, 9, 2), "empty")]
)
def test_a_box_is_swapped_or_empty_on_either_axis(predictor: Predictor, box: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"box: .*\({', '.join(map(str, box))}\): .* {problem}$"):
        predictor.predict(box=np.array(box))


@pytest.mark.parametrize(
    "call",
    [
        lambda predictor: predictor.predict(**CLICK),
        lambda predictor: predictor.predict_torch(torch.ones(1, 1, 2), torch.ones(1, 1)),
        lambda predictor: predictor.get_image_embedding(),
    ],
)
def test_refused_without_an_image(sam: Sam, call: Callable[[Predictor], object]) -> None:
    predictor = Predictor(sam)
    for error in (NoImageError, ValueError, RuntimeError):  # RuntimeError is what SamPredictor raises
        with pytest.raises(error, match="set_image"):
            call(predictor)
    predictor.set_image(random_image(48, 64))
    first = result(predictor)
    predictor.reset_image()
    with pytest.raises(NoImageError):
        call(predictor)
    predictor.set_image(random_image(48, 64))
    assert all(map(np.array_equal, first, result(predictor)))


@pytest.mark.no_shape_check
def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model: expected a Sam.*got str"):
        Predictor("tiny")


def test_a_failing_encoder_leaves_the_image_set(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    before = result(predictor)

    def fail(x: Tensor) -> Tensor:
        raise MemoryError

    monkeypatch.setattr(predictor.model.image_encoder, "forward", fail)
    with pytest.raises(MemoryError):
        predictor.set_image(random_image(20, 20))
    assert predictor.original_size == (48, 64)
    assert all(map(np.array_equal, before, result(predictor)))
