"""The Predictor keeps SamPredictor's contract, equals it, and follows the model and the image through their changes."""

import copy
import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from predictors import CLICK, DIM, GRID, logits, make_predictor, make_sam, random_image, result
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import sam_edu.predictor
from sam_edu import official
from sam_edu.predictor import NoImageError, Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import intervene, trace

SIZES = [(48, 64), (64, 64), (97, 31), (200, 333), (7, 5), (1, 300), (300, 1), (1, 1)]


@pytest.fixture(scope="module")
def theirs(sam: Sam) -> Any:
    """Meta's SamPredictor with the same weights."""
    return official.sam_predictor(
        sam.image_encoder, official.to_official(sam.prompt_encoder), official.to_official(sam.mask_decoder)
    )


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
    monkeypatch.setattr(sam_edu.predictor, "to_numpy", lambda tensor: np.zeros(tensor.shape))
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
    other = copy.deepcopy(sam)
    other.mask_decoder = nn.Identity()
    with pytest.raises(TypeError, match=r"expected a sam_edu\.MaskDecoder"):
        Predictor(other, fast=True)


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


def test_a_failing_encoder_leaves_the_image_set(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    before = result(predictor)

    def fail(x: Tensor) -> Tensor:
        raise MemoryError

    monkeypatch.setattr(predictor.model.image_encoder, "forward", fail)
    with pytest.raises(MemoryError):
        predictor.set_image(random_image(20, 20))
    assert predictor.original_size == (48, 64)
    assert all(map(np.array_equal, before, result(predictor)))


# Precision: of the model, and of autocast around a call

PRECISIONS = {
    "bfloat16": lambda model: model.bfloat16(),
    "half": lambda model: model.half(),
    "double": lambda model: model.double(),
    "encoder in half": lambda model: model.image_encoder.half(),
    "decoder in bfloat16": lambda model: model.mask_decoder.bfloat16(),
    "prompt encoder in half": lambda model: model.prompt_encoder.half(),
}


@pytest.mark.parametrize("moment", ["before the image", "after the image"])
@pytest.mark.parametrize("change", PRECISIONS.values(), ids=PRECISIONS)
@pytest.mark.parametrize("fast", [False, True])
def test_a_model_of_any_precision_predicts(sam: Sam, change: Any, moment: str, fast: bool) -> None:
    prompt = {**CLICK, "mask_input": logits(), "box": [3, 4, 50, 40], "return_logits": True}
    wanted = make_predictor(sam).predict(**prompt)
    model = copy.deepcopy(sam)
    if moment == "before the image":
        change(model)
    predictor = make_predictor(model, fast=fast)
    change(model)
    got = predictor.predict(**prompt)
    for ours, exact in zip(got, wanted, strict=True):
        assert ours.dtype in (np.float16, np.float32, np.float64)
        assert np.linalg.norm(ours.astype(float) - exact) <= 0.1 * np.linalg.norm(exact)  # 0.054 in bfloat16
    batch = predictor.predict_torch(
        torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1), mask_input=torch.from_numpy(logits())[None]
    )
    assert batch[0].shape == (1, 3, 48, 64)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("around", ["image", "prediction", "both"])
def test_autocast(sam: Sam, around: str, fast: bool) -> None:
    wanted = make_predictor(sam).predict(**CLICK, mask_input=logits(), return_logits=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around != "prediction"):
        predictor = make_predictor(sam, fast=fast)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around != "image"):
        got = predictor.predict(**CLICK, mask_input=logits(), return_logits=True)
    for ours, exact in zip(got, wanted, strict=True):
        assert ours.dtype == np.float32
        assert np.linalg.norm(ours - exact) <= 0.1 * np.linalg.norm(exact)  # 0.054 in bfloat16


# State that moves between two calls


def test_pytorchs_default_dtype_changes_nothing(sam: Sam) -> None:
    wanted = result(make_predictor(sam))
    torch.set_default_dtype(torch.float64)
    try:
        got = [*result(make_predictor(sam)), *result(make_predictor(make_sam().float()))]
        assert {array.dtype.name for array in got} == {"float32"}
        assert all(map(np.array_equal, got[:3], wanted))
    finally:
        torch.set_default_dtype(torch.float32)


WEIGHTS = {
    "in place": lambda encoder: encoder.weight.detach().mul_(2),
    "loaded": lambda encoder: encoder.load_state_dict({k: v + 1 for k, v in encoder.state_dict().items()}),
    "assigned": lambda encoder: encoder.load_state_dict(
        {k: v + 1 for k, v in encoder.state_dict().items()}, assign=True
    ),
    "another parameter": lambda encoder: setattr(encoder, "weight", nn.Parameter(encoder.weight.detach() + 1)),
    "by way of half": lambda encoder: encoder.half().float(),
    "no bias": lambda encoder: setattr(encoder, "bias", None),
}


@pytest.mark.parametrize("change", WEIGHTS.values(), ids=WEIGHTS)
def test_other_weights_of_the_encoder_ask_for_the_image_again(sam: Sam, change: Any) -> None:
    predictor = make_predictor(copy.deepcopy(sam))
    change(predictor.model.image_encoder)
    for call in (lambda: predictor.predict(**CLICK), predictor.get_image_embedding):
        with pytest.raises(ValueError, match=r"other weights since the image was set.*call set_image\(image\) again"):
            call()
    kept = copy.copy(predictor)
    kept.features = kept.features.clone()
    assert kept.predict(**CLICK)[0].shape == (3, 48, 64)
    predictor.set_image(random_image(48, 64))
    assert predictor.predict(**CLICK)[0].shape == (3, 48, 64)


UNCHANGED = {
    "eval": lambda model: model.eval(),
    "train": lambda model: model.train(),
    "no gradients": lambda model: model.requires_grad_(False),
    "the same values": lambda model: model.image_encoder.load_state_dict(
        copy.deepcopy(model.image_encoder.state_dict())
    ),
    "the decoder's weights": lambda model: model.mask_decoder.iou_token.weight.detach().mul_(1.0),
    "there and back": lambda model: model.double().float(),
    "a hook": lambda model: model.image_encoder.register_forward_hook(lambda *args: None).remove(),
}


@pytest.mark.parametrize("change", UNCHANGED.values(), ids=UNCHANGED)
def test_what_leaves_the_weights_leaves_the_image_set(sam: Sam, change: Any) -> None:
    predictor = make_predictor(copy.deepcopy(sam))
    before = result(predictor)
    change(predictor.model)
    for got, wanted in zip(result(predictor), before, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("other", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_image_and_prediction_in_different_modes(sam: Sam, mode: Any, other: Any) -> None:
    wanted = result(make_predictor(sam))
    with mode():
        predictor = make_predictor(sam)
    with other():
        assert all(map(np.array_equal, result(predictor), wanted))
        assert not predictor.predict_torch(torch.ones(1, 1, 2), torch.ones(1, 1), return_logits=True)[0].requires_grad


def test_a_model_that_was_made_in_inference_mode(sam: Sam) -> None:
    with torch.inference_mode():
        model = copy.deepcopy(sam)
    assert all(map(np.array_equal, result(make_predictor(model)), result(make_predictor(sam))))


def test_threads_share_a_predictor(predictor: Predictor) -> None:
    before = result(predictor)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: result(predictor), range(8)))
    assert all(all(map(np.array_equal, got, before)) for got in results)


def test_a_fast_predictor_follows_a_new_decoder(sam: Sam) -> None:
    model = copy.deepcopy(sam)
    predictor = make_predictor(model, fast=True)
    model.mask_decoder = copy.deepcopy(model.mask_decoder)
    model.mask_decoder.mask_tokens.weight.detach().mul_(-1)
    for got, wanted in zip(result(predictor), result(make_predictor(model)), strict=True):
        np.testing.assert_allclose(got, wanted, atol=2e-6 * max(1, np.abs(wanted).max()))


# An embedding that is put back

COPIES = {
    "another predictor": lambda predictor: Predictor(predictor.model),
    "itself": lambda predictor: predictor,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda predictor: pickle.loads(pickle.dumps(predictor)),
    "fast": lambda predictor: Predictor(predictor.model, fast=True),
}
STORED = {
    "as it is": lambda value: value,
    "torch.save": lambda value: through_a_file(value),
    "NumPy": lambda value: np.array(value),
    "lists": lambda value: value if isinstance(value, Tensor) else list(value),
    "half": lambda value: value.half() if isinstance(value, Tensor) else torch.tensor(value),
}
NAMES = ("features", "original_size", "input_size")


def through_a_file(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
@pytest.mark.parametrize("other", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("is_set", ["last", "first"])
def test_an_embedding_is_put_back_by_the_names_that_users_know(
    predictor: Predictor, other: Any, stored: Any, is_set: str
) -> None:
    before = result(predictor)
    kept = {name: stored(getattr(predictor, name)) for name in NAMES}
    again = other(predictor)
    again.set_image(random_image(20, 30, seed=5))
    again.reset_image()
    names = {**kept, "is_image_set": True} if is_set == "last" else {"is_image_set": True, **kept}
    for name, value in names.items():
        setattr(again, name, value)
    for got, wanted in zip(result(again), before, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-2, atol=1e-2 * np.abs(wanted).max())


@pytest.mark.parametrize("other", [copy.deepcopy, copy.copy, COPIES["pickle"]])
@pytest.mark.parametrize("fast", [False, True])
def test_a_copy_keeps_its_image(sam: Sam, other: Any, fast: bool) -> None:
    predictor = make_predictor(sam, fast=fast)
    for got, wanted in zip(result(other(predictor)), result(predictor), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_image_set": False}, r"set_image\(image\) first \(or is_image_set = True, where features were put back"),
        ({"features": None}, "features: .*got None; put back features, original_size and input_size together"),
        ({"original_size": None}, "original_size: expected what was stored of an image, got None"),
        ({"input_size": None}, "input_size: expected what was stored"),
        ({"features": torch.zeros(DIM, GRID, GRID)}, r"features: .*got \(32, 8, 8\); features\[None\]"),
        ({"original_size": 64}, r"original_size: expected \(height, width\) in pixels, got 64"),
    ],
)
def test_what_is_missing_of_an_embedding_is_named(predictor: Predictor, changes: dict[str, Any], words: str) -> None:
    for name, value in changes.items():
        setattr(predictor, name, value)
    with pytest.raises(NoImageError, match=words):
        predictor.predict(**CLICK)
    with pytest.raises(RuntimeError, match=words):
        predictor.get_image_embedding()
