"""The exercises of notebook 08: predict the shape, write the decoder's forward, read one slot too far."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import random, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_all_values,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.judging_modules import check_function
from sam_edu.exercises.judging_tables import judge_table
from sam_edu.exercises.solutions import mask_decoder as solutions
from sam_edu.modules import MaskDecoder, TwoWayTransformer, mask_product
from sam_edu.tracing import trace

# --- 1: predict the shape ---


class Situation(NamedTuple):
    """A decoder and a prompt. `dim` is the width of a token, `height` and `width` are those of the grid."""

    description: str
    prompt_sets: int
    prompt_tokens: int
    multimask_outputs: int
    dim: int
    height: int
    width: int
    multimask_output: bool


_SITUATIONS = {
    "a": Situation("one click, multimask_output=True", 1, 2, 3, 256, 64, 64, True),
    "b": Situation("three boxes, one object each, multimask_output=False", 3, 2, 3, 256, 64, 64, False),
    "c": Situation(
        "another decoder: width 128, num_multimask_outputs=5, a grid of 32 x 48; two objects, each by three clicks and"
        " a box, multimask_output=True",
        *(2, 5, 5, 128, 32, 48, True),
    ),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_NAMES = ("tokens", "src", "masks", "returned", "iou")


@cache
def _true_shapes(case: str) -> dict[str, Any]:
    """The shapes that the verified module gives. On the meta device: shapes without values."""
    _, batch, prompts, masks, dim, height, width, multimask = _SITUATIONS[case]
    with torch.device("meta"):
        transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=2048)
        decoder = MaskDecoder(transformer_dim=dim, transformer=transformer, num_multimask_outputs=masks)
        image = torch.empty(1, dim, height, width)
        with trace(decoder) as t:
            returned, iou = decoder(
                image, image, torch.empty(batch, prompts, dim), image.expand(batch, -1, -1, -1), multimask
            )
    shapes = {name: tuple(t[name].shape) for name in ("tokens", "src", "masks")}
    return {**shapes, "returned": tuple(returned.shape), "iou": tuple(iou.shape)}


def _shape_hint(case: str, name: str, shape: tuple[int, ...], targets: Mapping[str, Any]) -> str:
    _, batch, _, masks, _, height, width, multimask = _SITUATIONS[case]
    target = targets[name]
    if shape == target[1:]:
        return "The first axis is missing: the prompt sets."
    if len(shape) != len(target):
        return f"There are {len(target)} axes."
    if shape[0] != batch and shape[1:] == target[1:]:
        return "How many prompt sets are there? Each selects one object."
    if name == "tokens" and shape[1] != target[1]:
        if shape[1] == target[1] - 1:
            return (
                "One is missing. Besides a token per mask there is the IoU token; clicks without a box get a padding"
                " token."
            )
        if shape[1] == target[1] + 1:
            return "One too many: beside a box there is no padding token."
        return "Count again: the IoU token, one per mask, one per click, two per box; without a box one for padding."
    if name == "src" and shape[1:] == (height, width, target[1]):
        return "The channels come before rows and columns."
    if name in ("masks", "returned") and shape[2:] == (height, width):
        return "This is the grid of the image tokens. Step (5) doubles it twice."
    if name in ("masks", "returned") and shape[2:] == (1024, 1024):
        return "The decoder never sees the image's own size: its logits are four times as wide as the grid."
    if name == "masks" and shape[1] == masks:
        return "All masks are always computed, also the one for clear prompts; step (8) selects the masks to return."
    if name in ("returned", "iou") and shape[1] == masks + 1:
        return "Step (8) selects: never all of them are returned."
    if name in ("returned", "iou") and shape[1] in (1, masks):
        return f"multimask_output is {multimask} here: True returns all but mask 0, False only mask 0."
    return "Name each axis: is it prompt sets, tokens or masks, channels, rows or columns?"


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _DESCRIPTIONS, _NAMES, _true_shapes, _shape_hint)


# --- 2: write the decoder ---


class Case(NamedTuple):
    """The sizes of a decoder and of its inputs. `height` and `width` are those of the grid."""

    images: int
    sets: int
    prompt_tokens: int
    multimask_outputs: int
    height: int
    width: int
    multimask_output: bool
    dim: int = 16


# All sizes differ in the first two, so that an exchange of axes shows in the shape; the third has one image per prompt
# set, as many masks as image tokens, and no prompt token; the fourth another width, and one mask besides mask 0.
_CASES = (
    Case(1, 2, 3, 4, 3, 5, True),
    Case(1, 2, 3, 4, 3, 5, False),
    Case(4, 4, 0, 3, 2, 2, True),
    Case(1, 3, 6, 1, 4, 2, True, dim=24),
)


class Inputs(NamedTuple):
    """A decoder and its inputs."""

    decoder: MaskDecoder
    image: Tensor
    image_pe: Tensor
    sparse: Tensor
    dense: Tensor
    multimask_output: bool


_MISTAKES = {
    "prompt first": "The order of the tokens: the IoU token, the mask tokens, then the prompt's.",
    "masks before IoU": "The IoU token comes before the mask tokens.",
    "slots from 0": "The mask tokens are slots 1 to 4 of hs: slot 0 is the IoU token.",
    "slots from 2": "The mask tokens begin at slot 1.",
    "first mask token to the head": "Step (7) takes the IoU token, slot 0 of hs.",
    "tokens instead of hs": "Steps (6-2) and (7) take the tokens that the transformer returns: hs.",
    "no dense": "The dense prompt is missing: src is the image embedding plus the dense prompt.",
    "dense twice": "The dense prompt is added once, to the image embedding.",
    "no image encodings": "The transformer's second argument is image_pe.",
    "encodings in src": "image_pe is passed to the transformer; only the dense prompt is added to the image embedding.",
    "image upscaled": "Step (5) takes the image tokens that the transformer returns, not its input.",
    "reshaped": "The image tokens were reshaped: channels and positions mix. Transpose the last two axes first.",
    "column by column": "The positions go row by row: unflatten to (height, width), in this order.",
    "one MLP": "All tokens went through the first MLP: each mask token has its own.",
    "MLPs backwards": "The MLPs are in the wrong order: token i goes through MLP i.",
    "multimask exchanged": "multimask_output=True returns masks 1 and following; False returns mask 0.",
    "first masks": "multimask_output=True leaves out mask 0, the first, not the last.",
    "iou of others": "The predictions must be those of the masks that are returned: take the same slice of both.",
    "sigmoid": "There is no sigmoid after the IoU head.",
    "probabilities": "These are probabilities: the decoder returns logits.",
    "first image": "Each prompt set has its own image here: image_embeddings has one per prompt set.",
}
_OTHERWISE = "It is none of the usual mistakes. Print the shapes line by line, and compare your lines with the diagram."


def _variant(
    decoder: MaskDecoder,
    image: Tensor,
    image_pe: Tensor,
    sparse: Tensor,
    dense: Tensor,
    multimask_output: bool,
    mistake: str = "",
) -> tuple[Tensor, Tensor]:
    """Steps (0) to (8) with one of the usual mistakes."""
    learned = [decoder.iou_token.weight, decoder.mask_tokens.weight]
    if mistake == "masks before IoU":
        learned = learned[::-1]
    output_tokens = torch.cat(learned).expand(len(sparse), -1, -1)
    tokens = torch.cat([sparse, output_tokens] if mistake == "prompt first" else [output_tokens, sparse], dim=1)
    image = image[:1] if mistake == "first image" else image
    src = image.expand(len(sparse), -1, -1, -1) if mistake == "no dense" else image + dense
    src = {"dense twice": src + dense, "encodings in src": src + image_pe}.get(mistake, src)
    hs, keys = decoder.transformer(src, 0 * image_pe if mistake == "no image encodings" else image_pe, tokens)
    hs = tokens if mistake == "tokens instead of hs" else hs
    height, width = src.shape[2:]
    grid = keys.mT.unflatten(2, (height, width))
    if mistake == "reshaped":
        grid = keys.reshape(len(keys), -1, height, width)
    elif mistake == "column by column":
        grid = keys.mT.unflatten(2, (width, height)).mT
    features = decoder.output_upscaling(src if mistake == "image upscaled" else grid)
    first_slot = {"slots from 0": 0, "slots from 2": 2}.get(mistake, 1)
    mlps = list(decoder.output_hypernetworks_mlps)
    mlps = {"one MLP": mlps[:1] * len(mlps), "MLPs backwards": mlps[::-1]}.get(mistake, mlps)
    weights = torch.stack([mlp(hs[:, first_slot + i]) for i, mlp in enumerate(mlps)], dim=1)
    masks = mask_product(weights, features)
    iou = decoder.iou_prediction_head(hs[:, 1 if mistake == "first mask token to the head" else 0])
    iou = iou.sigmoid() if mistake == "sigmoid" else iou
    masks = masks.sigmoid() if mistake == "probabilities" else masks
    several = multimask_output != (mistake == "multimask exchanged")
    chosen = slice(1, None) if several else slice(0, 1)
    if mistake == "first masks" and several:
        chosen = slice(0, -1)
    others = (slice(0, -1) if several else slice(1, 2)) if mistake == "iou of others" else chosen
    return masks[:, chosen], iou[:, others]


def _inputs(case: Case) -> Inputs:
    """A small decoder with random weights, and different random inputs."""

    def make() -> MaskDecoder:
        transformer = TwoWayTransformer(depth=2, embedding_dim=case.dim, num_heads=2, mlp_dim=24)
        return MaskDecoder(
            transformer_dim=case.dim,
            transformer=transformer,
            num_multimask_outputs=case.multimask_outputs,
            iou_head_hidden_dim=case.dim,
        )

    grid = (case.dim, case.height, case.width)
    image, image_pe, dense = random(1, case.images, *grid), random(2, 1, *grid), random(4, case.sets, *grid)
    sparse = random(3, case.sets, case.prompt_tokens, case.dim)
    return Inputs(with_random_weights(make, 5), image, image_pe, sparse, dense, case.multimask_output)


def _outputs_hint(case: Case, yours: Tensor) -> str:
    shape = tuple(yours.shape)
    if yours.ndim >= 2 and shape[1] == case.multimask_outputs + 1:
        return "All masks are returned: step (8) selects by multimask_output."
    if yours.ndim >= 2 and shape[1] == (1 if case.multimask_output else case.multimask_outputs):
        return "multimask_output=True returns masks 1 and following; False returns mask 0."
    if yours.ndim == 4 and shape[2:] == (case.height, case.width):
        return "This is the grid of the image tokens: step (5) is missing."
    if yours.ndim == 4 and shape[2:] == (4 * case.width, 4 * case.height):
        return "Height and width are exchanged."
    if yours.ndim == 3:
        return "Fold the pixels back into rows and columns, or keep the axis of the masks: it stays, also for one mask."
    return ""


def _two(results: Any) -> tuple[Any, Any]:
    """A result, if it is two."""
    if not isinstance(results, tuple | list) or len(results) != 2:
        raise WrongAnswer(f"expected two results, masks and IoU predictions, got {type(results).__name__}.")
    return results[0], results[1]


def _judge_decode(answer: Any) -> None:
    hint = (
        "Its arguments are a decoder, image (images, dim, height, width), image_pe, sparse, dense and multimask_output."
    )
    for case in _CASES:  # shapes first, of all cases
        inputs = _inputs(case)
        with torch.no_grad():
            targets = solutions.decode(*inputs)
            copies = [x.clone() for x in inputs[1:5]]
            results = result_of(answer, inputs.decoder, *copies, case.multimask_output, hint=hint)
        results = _two(results)
        axes = ("batch, masks, height, width", "batch, masks")
        for name, result, target, names in zip(("masks", "iou"), results, targets, axes, strict=True):
            check_tensor_shape(name, result, target, names, partial(_outputs_hint, case))
        if any(not torch.equal(a, b) for a, b in zip(inputs[1:5], copies, strict=True)):
            raise WrongAnswer("the inputs were changed in place: make new tensors.")
    for case in _CASES:
        inputs = _inputs(case)
        with torch.no_grad():
            value_hint = recogniser(_MISTAKES, partial(_variant, *inputs), _OTHERWISE)
            results = _two(result_of(answer, inputs.decoder, *(x.clone() for x in inputs[1:5]), case.multimask_output))
            check_all_values(("masks", "iou"), results, solutions.decode(*inputs), value_hint)
    inputs = _inputs(_CASES[0])
    with torch.no_grad():
        targets = solutions.decode(*inputs)
        first = inputs._replace(sparse=inputs.sparse[:1], dense=inputs.dense[:1])
        alone = _two(result_of(answer, *first))
    if not all(same(a, b[:1]) for a, b in zip(alone, targets, strict=True)):
        raise WrongAnswer("a prompt set alone must get the same masks as in a batch.")
    for case in _CASES:
        inputs = _inputs(case)

        def call(decode: Any, *tensors: Tensor, inputs: Inputs = inputs) -> Any:
            return decode(inputs.decoder, *tensors, inputs.multimask_output)

        check_function(
            partial(call, answer),
            partial(call, solutions.decode),
            dict(zip(Inputs._fields[1:5], inputs[1:5], strict=True)),
            ["masks", "iou"],
            dict(inputs.decoder.named_parameters()),
        )


# --- 3: read one slot too far ---


def _in_place(hs: Tensor) -> Tensor:
    """The slots moved one by one, last first: each is overwritten before it is read."""
    for i in range(5, 0, -1):
        hs[:, i - 1] = hs[:, i]
    return hs


_SHIFTS: tuple[tuple[Callable[[Tensor], Tensor], str], ...] = (
    (lambda x: x, "Nothing has moved."),
    (
        lambda x: torch.cat([x[:, :1], x[:, :5], x[:, 6:]], dim=1),
        "This is the other direction: slot i must hold what slot i + 1 held.",
    ),
    (lambda x: x.roll(1, dims=1), "This is the other direction: slot i must hold what slot i + 1 held."),
    (
        lambda x: torch.cat([x[:, :5].roll(1, dims=1), x[:, 5:]], dim=1),
        "This is the other direction: slot i must hold what slot i + 1 held.",
    ),
    (
        lambda x: torch.cat([x[:, 1:5], x[:, :1], x[:, 5:]], dim=1),
        "The slots are not cyclic: one slot too far, slot 4 holds the first prompt token.",
    ),
    (lambda x: x.roll(-1, dims=1), "The slots from 5 on are unchanged: only the five output slots are read."),
    (
        lambda x: torch.cat([x[:, 1:], x[:, -1:]], dim=1),
        "The slots from 5 on are unchanged: only the five output slots are read.",
    ),
    (
        lambda x: torch.cat([x[:, :1], x[:, 2:6], x[:, 5:]], dim=1),
        "The IoU token's slot changes too: slot 0 holds what slot 1 held.",
    ),
    (
        lambda x: torch.cat([x[:, 1:5], x[:, 4:]], dim=1),
        "Slot 4 is unchanged: it must hold the first prompt token.",
    ),
    (
        lambda x: torch.cat([x[:, 2:7], x[:, 5:]], dim=1),
        "This is two slots too far.",
    ),
    (
        lambda x: _in_place(x.clone()),
        "All five slots are the same: each was read after it was overwritten. Clone first, or assign the whole slice.",
    ),
    (lambda x: x.roll(-1, dims=2), "The channels moved; the slots are axis 1."),
    (lambda x: x.roll(-1, dims=0), "The prompt sets moved; the slots are axis 1."),
)


def _shift_hint(hs: Tensor, yours: Tensor) -> str:
    for mistake, hint in _SHIFTS:
        if same(yours, mistake(hs)):
            return hint
    return "Slots 0 to 4 hold what slots 1 to 5 held, in this order; from slot 5 on nothing changes."


_SAME_SHAPE = "A replacement keeps the shape of the tensor that it replaces."


def _judge_shift(answer: Any) -> None:
    for hs in (random(7, 3, 8, 6), random(8, 1, 6, 4), random(9, 2, 17, 12)):
        result = result_of(answer, hs.clone())
        check_tensor_shape("hs", result, hs, "batch, tokens, dim", lambda _: _SAME_SHAPE)
        check_values("hs", result, solutions.one_too_far(hs), partial(_shift_hint, hs))


shapes = Exercise("08.1 predict the shape", _judge_shapes, solutions.SHAPES)
forward = Exercise("08.2 write the decoder", _judge_decode, solutions.decode)
shift = Exercise("08.3 read one slot too far", _judge_shift, solutions.one_too_far)
