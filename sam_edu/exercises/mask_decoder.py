"""The exercises of notebook 08: predict the shape, write the decoder's forward, read one slot too far."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.exercise import (
    Exercise,
    WrongAnswer,
    check_all_values,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.mask_decoder_solutions import SHAPES, decode
from sam_edu.exercises.mask_decoder_solutions import one_too_far as _one_too_far
from sam_edu.exercises.table import judge_table
from sam_edu.exercises.trials import random, with_random_weights
from sam_edu.modules import MaskDecoder, TwoWayTransformer, mask_product
from sam_edu.tracing import trace

# --- 1: predict the shape ---

# Per situation: its words, prompt sets, prompt tokens, masks for ambiguous prompts, width, height and width of the
# grid, multimask_output.
_SITUATIONS: dict[str, tuple[str, int, int, int, int, int, int, bool]] = {
    "a": ("one click, multimask_output=True", 1, 2, 3, 256, 64, 64, True),
    "b": ("three boxes, one object each, multimask_output=False", 3, 2, 3, 256, 64, 64, False),
    "c": (
        "another decoder: width 128, num_multimask_outputs=5, a grid of 32 x 48; two objects, each by three clicks and"
        " a box, multimask_output=True",
        *(2, 5, 5, 128, 32, 48, True),
    ),
}
_NAMES = ("tokens", "src", "masks", "returned", "iou")


def _true_shapes(case: str) -> dict[str, Any]:
    """What the verified module gives. On the meta device: shapes alone, no numbers."""
    _, batch, prompts, masks, dim, height, width, multimask = _SITUATIONS[case]
    with torch.device("meta"):
        transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=2048)
        decoder = MaskDecoder(transformer_dim=dim, transformer=transformer, num_multimask_outputs=masks)
        image = torch.empty(1, dim, height, width)
        with trace(decoder) as t:
            returned, iou = decoder(
                image, image, torch.empty(batch, prompts, dim), image.expand(batch, -1, -1, -1), multimask
            )
    found = {name: tuple(t[name].shape) for name in ("tokens", "src", "masks")}
    return {**found, "returned": tuple(returned.shape), "iou": tuple(iou.shape)}


def _shape_hint(case: str, name: str, got: tuple[int, ...], true: Mapping[str, Any]) -> str:
    _, batch, _, masks, _, height, width, multimask = _SITUATIONS[case]
    right = true[name]
    if got == right[1:]:
        return "The first axis is missing: the prompt sets."
    if len(got) != len(right):
        return f"There are {len(right)} axes."
    if got[0] != batch and got[1:] == right[1:]:
        return "How many prompt sets are there? Each selects one object."
    if name == "tokens" and got[1] != right[1]:
        if got[1] == right[1] - 1:
            return (
                "One is missing. Besides a token per mask there is the IoU token; clicks without a box get a padding."
            )
        if got[1] == right[1] + 1:
            return "One too many: beside a box there is no padding token."
        return "Count again: the IoU token, one per mask, one per click, two per box; without a box one for padding."
    if name == "src" and got[1:] == (height, width, right[1]):
        return "The channels come before rows and columns."
    if name in ("masks", "returned") and got[2:] == (height, width):
        return "This is the grid of the image tokens. Step (5) doubles it twice."
    if name in ("masks", "returned") and got[2:] == (1024, 1024):
        return "The decoder never sees the picture's own size: its logits are four times as wide as the grid."
    if name == "masks" and got[1] == masks:
        return "All masks are made every time, the one for clear prompts as well; what is returned is chosen in (8)."
    if name in ("returned", "iou") and got[1] == masks + 1:
        return "Step (8) has chosen: never all of them are returned."
    if name in ("returned", "iou") and got[1] in (1, masks):
        return f"multimask_output is {multimask} here: True returns all but mask 0, False mask 0 alone."
    return "Ask for each axis: which prompt set, which token or mask, which channel, or which row and column?"


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _SITUATIONS, _NAMES, _true_shapes, _shape_hint)


# --- 2: write it ---


class Case(NamedTuple):
    """Images, prompt sets, prompt tokens, masks for ambiguous prompts, and the grid: a decoder and its inputs."""

    images: int
    sets: int
    prompts: int
    masks: int
    height: int
    width: int
    multimask: bool


# All sizes differ in the first two, so that an exchange of axes shows in the shape; then one image per prompt set, as
# many masks as image tokens, and no prompt token.
_CASES = (Case(1, 2, 3, 4, 3, 5, True), Case(1, 2, 3, 4, 3, 5, False), Case(4, 4, 0, 3, 2, 2, True))
Inputs = tuple[MaskDecoder, Tensor, Tensor, Tensor, Tensor, bool]
_DIM = 16

_MISTAKES = {
    "prompt first": "The order of the row: the IoU token, the mask tokens, then the prompt's.",
    "masks before IoU": "The IoU token comes before the mask tokens.",
    "slots from 0": "The mask tokens are slots 1 to 4 of hs: slot 0 is the IoU token.",
    "slots from 2": "The mask tokens begin at slot 1.",
    "first mask token to the head": "Step (7) reads the IoU token, slot 0 of hs.",
    "tokens instead of hs": "Steps (6-2) and (7) read what the transformer made of the tokens: hs.",
    "no dense": "The dense prompt is missing: src is the image plus it.",
    "dense twice": "The dense prompt is added to the image, and to nothing else.",
    "no image codes": "The transformer's second argument is image_pe.",
    "codes in src": "image_pe is handed to the transformer; nothing is added to src but the dense prompt.",
    "image upscaled": "Step (5) gets the image tokens that the transformer returns, not those that went in.",
    "reshaped": "The image tokens were reshaped, not turned: channels and places mix. Turn the last two axes first.",
    "column by column": "The places come row by row: unflatten to (height, width), in this order.",
    "one MLP": "All tokens went through the first MLP: each mask token has its own.",
    "MLPs backwards": "The MLPs come in the wrong order: token i belongs to MLP i.",
    "multimask exchanged": "multimask_output=True returns masks 1 and following; False returns mask 0.",
    "first masks": "multimask_output=True leaves out mask 0, the first, not the last.",
    "iou of others": "The predictions must be those of the masks that are returned: slice both alike.",
    "sigmoid": "There is no sigmoid after the IoU head.",
    "probabilities": "These are probabilities: the decoder returns logits.",
    "first image": "Each prompt set has its own image here: image_embeddings has one per prompt set.",
}
_OTHER = "It is none of the usual mistakes. Print the shapes line by line, and hold your lines against the diagram."


def _variant(
    d: MaskDecoder, image: Tensor, pe: Tensor, sparse: Tensor, dense: Tensor, multimask: bool, mistake: str = ""
) -> tuple[Tensor, Tensor]:
    """The forward with one of the usual mistakes."""
    learned = [d.iou_token.weight, d.mask_tokens.weight]
    if mistake == "masks before IoU":
        learned = learned[::-1]
    rows = torch.cat(learned).expand(len(sparse), -1, -1)
    tokens = torch.cat([sparse, rows] if mistake == "prompt first" else [rows, sparse], dim=1)
    seen = image[:1] if mistake == "first image" else image
    src = seen.expand(len(sparse), -1, -1, -1) if mistake == "no dense" else seen + dense
    src = {"dense twice": src + dense, "codes in src": src + pe}.get(mistake, src)
    hs, keys = d.transformer(src, 0 * pe if mistake == "no image codes" else pe, tokens)
    hs = tokens if mistake == "tokens instead of hs" else hs
    height, width = src.shape[2:]
    folded = keys.mT.unflatten(2, (height, width))
    if mistake == "reshaped":
        folded = keys.reshape(len(keys), -1, height, width)
    elif mistake == "column by column":
        folded = keys.mT.unflatten(2, (width, height)).mT
    picture = d.output_upscaling(src if mistake == "image upscaled" else folded)
    begin = {"slots from 0": 0, "slots from 2": 2}.get(mistake, 1)
    mlps = list(d.output_hypernetworks_mlps)
    mlps = {"one MLP": mlps[:1] * len(mlps), "MLPs backwards": mlps[::-1]}.get(mistake, mlps)
    weights = torch.stack([mlp(hs[:, begin + i]) for i, mlp in enumerate(mlps)], dim=1)
    masks = mask_product(weights, picture)
    iou = d.iou_prediction_head(hs[:, 1 if mistake == "first mask token to the head" else 0])
    iou = iou.sigmoid() if mistake == "sigmoid" else iou
    masks = masks.sigmoid() if mistake == "probabilities" else masks
    many = multimask != (mistake == "multimask exchanged")
    chosen = slice(1, None) if many else slice(0, 1)
    if mistake == "first masks" and many:
        chosen = slice(0, -1)
    others = (slice(0, -1) if many else slice(1, 2)) if mistake == "iou of others" else chosen
    return masks[:, chosen], iou[:, others]


def _inputs(case: Case) -> Inputs:
    """A small decoder with random weights, and inputs that all differ."""

    def make() -> MaskDecoder:
        transformer = TwoWayTransformer(depth=2, embedding_dim=_DIM, num_heads=2, mlp_dim=24)
        return MaskDecoder(
            transformer_dim=_DIM, transformer=transformer, num_multimask_outputs=case.masks, iou_head_hidden_dim=_DIM
        )

    grid = (_DIM, case.height, case.width)
    image, codes, dense = random(1, case.images, *grid), random(2, 1, *grid), random(4, case.sets, *grid)
    sparse = random(3, case.sets, case.prompts, _DIM)
    return with_random_weights(make, 5), image, codes, sparse, dense, case.multimask


def _outputs_hint(case: Case, yours: Tensor) -> str:
    shape = tuple(yours.shape)
    if yours.ndim >= 2 and shape[1] == case.masks + 1:
        return "All masks came back: step (8) chooses, by multimask_output."
    if yours.ndim >= 2 and shape[1] == (1 if case.multimask else case.masks):
        return "multimask_output=True returns masks 1 and following; False returns mask 0."
    if yours.ndim == 4 and shape[2:] == (case.height, case.width):
        return "This is the grid of the image tokens: step (5) is missing."
    if yours.ndim == 4 and shape[2:] == (4 * case.width, 4 * case.height):
        return "Height and width are exchanged."
    if yours.ndim == 3:
        return "Fold the pixels back into rows and columns, or keep the axis of the masks: it stays, also for one mask."
    return ""


def _judge_decode(answer: Any) -> None:
    expects = "It gets a decoder, image (images, dim, height, width), image_pe, sparse, dense and multimask_output."
    for case in _CASES:  # shapes first, of all cases
        inputs = _inputs(case)
        with torch.no_grad():
            right = decode(*inputs)
            copies = [x.clone() for x in inputs[1:5]]
            came = result_of(answer, inputs[0], *copies, case.multimask, hint=expects)
        if not isinstance(came, tuple | list) or len(came) != 2:
            raise WrongAnswer(f"expected two things, masks and IoU predictions, got {type(came).__name__}.")
        axes = ("batch, masks, height, width", "batch, masks")
        for what, one, target, named in zip(("masks", "iou"), came, right, axes, strict=True):
            check_tensor_shape(what, one, target, named, partial(_outputs_hint, case))
        if any(not torch.equal(a, b) for a, b in zip(inputs[1:5], copies, strict=True)):
            raise WrongAnswer("the inputs were written into: make new tensors.")
    for case in _CASES:
        inputs = _inputs(case)
        with torch.no_grad():
            looks = recogniser(_MISTAKES, partial(_variant, *inputs), _OTHER)
            check_all_values(("masks", "iou"), answer(*inputs), decode(*inputs), looks)
    decoder, image, codes, sparse, dense, multimask = _inputs(_CASES[0])
    with torch.no_grad():
        right = decode(decoder, image, codes, sparse, dense, multimask)
        alone = result_of(answer, decoder, image, codes, sparse[:1], dense[:1], multimask)
    if not all(same(a, b[:1]) for a, b in zip(alone, right, strict=True)):
        raise WrongAnswer("a prompt set alone must get the same masks as in a batch.")


# --- 3: break it ---


def _in_place(hs: Tensor) -> Tensor:
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
        "Nothing goes round: who reads one slot too far finds the first prompt token in slot 4.",
    ),
    (lambda x: x.roll(-1, dims=1), "The slots from 5 on keep what they have: only the five output slots are read."),
    (
        lambda x: torch.cat([x[:, 1:], x[:, -1:]], dim=1),
        "The slots from 5 on keep what they have: only the five output slots are read.",
    ),
    (
        lambda x: torch.cat([x[:, :1], x[:, 2:6], x[:, 5:]], dim=1),
        "The IoU token's slot moves as well: slot 0 holds what slot 1 held.",
    ),
    (
        lambda x: torch.cat([x[:, 1:5], x[:, 4:]], dim=1),
        "Slot 4 is still as it was: it must hold the first prompt token.",
    ),
    (
        lambda x: torch.cat([x[:, 2:7], x[:, 5:]], dim=1),
        "Two slots too far.",
    ),
    (
        lambda x: _in_place(x.clone()),
        "All five slots are the same: you read what you had just written. Clone first, or move the slice as a whole.",
    ),
    (lambda x: x.roll(-1, dims=2), "The channels moved; the slots are axis 1."),
    (lambda x: x.roll(-1, dims=0), "The prompt sets moved; the slots are axis 1."),
)


def _shift_hint(hs: Tensor, yours: Tensor) -> str:
    for wrong, hint in _SHIFTS:
        if same(yours, wrong(hs)):
            return hint
    return "Slots 0 to 4 hold what slots 1 to 5 held, in this order; from slot 5 on everything stays."


_KEEPS = "A replacement keeps the shape of what it replaces."


def _judge_shift(answer: Any) -> None:
    for hs in (random(7, 3, 8, 6), random(8, 1, 6, 4)):
        came = result_of(answer, hs.clone())
        check_tensor_shape("hs", came, hs, "batch, tokens, dim", lambda _: _KEEPS)
        check_values("hs", came, _one_too_far(hs), partial(_shift_hint, hs))


shapes = Exercise("08.1 predict the shape", _judge_shapes, SHAPES)
forward = Exercise("08.2 write the decoder", _judge_decode, decode)
shift = Exercise("08.3 read one slot too far", _judge_shift, _one_too_far)
