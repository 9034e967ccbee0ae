"""The exercises of notebook 09: predict the sizes, write the way back to the picture, take the confidence away."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sam_edu.exercises.exercise import Exercise, WrongAnswer, check_tensor_shape, check_values, result_of, same
from sam_edu.exercises.logits_solutions import SIZES, to_picture
from sam_edu.exercises.logits_solutions import without_confidence as _without_confidence
from sam_edu.exercises.table import judge_table
from sam_edu.exercises.trials import random
from sam_edu.predictor import ResizeLongestSide

# --- 1: predict the sizes ---

LOW = 256
# Per situation: its words, height and width of the picture, the model's side, prompt sets, masks, a click (x, y).
_SITUATIONS: dict[str, tuple[Any, ...]] = {
    "a": ("480 high, 640 wide, side 1024; one click, three masks", (480, 640), 1024, 1, 3, (100, 50)),
    "b": ("2000 high, 500 wide, side 1024; four objects, a box each, one mask", (2000, 500), 1024, 4, 1, (250, 1000)),
    "c": ("160 high, 200 wide, side 256; two clicks on one object, one mask", (160, 200), 256, 1, 1, (100, 32)),
}
_NAMES = ("input_size", "click", "low_res", "cut", "masks", "on_picture")


def _true_sizes(case: str) -> dict[str, Any]:
    """What the verified transform and shapes alone give."""
    _, size, side, sets, masks, click = _SITUATIONS[case]
    transform = ResizeLongestSide(side)
    height, width = transform.get_preprocess_shape(size[0], size[1], side)
    x, y = transform.apply_coords(np.array(click), size).round(6).tolist()
    return {
        "input_size": (height, width),
        "click": (int(x), int(y)),
        "low_res": (sets, masks, LOW, LOW),
        "cut": (sets, masks, height, width),
        "masks": (sets, masks, *size),
        "on_picture": (LOW * height // side) * (LOW * width // side),
    }


def _size_hint(case: str, name: str, got: Any, true: Mapping[str, Any]) -> str:
    _, size, side, sets, masks, click = _SITUATIONS[case]
    right = true[name]
    if name == "on_picture":
        return _count_hint(case, got, true)
    if name == "click":
        if tuple(got) == right[::-1]:
            return "A click is (x, y): first the way to the right, then the way down."
        if tuple(got) == click:
            return "This is the place in the picture's own pixels; the model's frame is scaled."
        if tuple(got) == (side * click[0] // size[1], side * click[1] // size[0]):
            return "Both axes are scaled by the longer side, so that the picture keeps its shape."
        return "Multiply x by new width / old width, and y by new height / old height."
    if len(got) == len(right) and tuple(got[-2:]) == right[-1:-3:-1] and right[-1] != right[-2]:
        return "Sizes are (height, width): height first."
    if name == "input_size":
        if tuple(got) == (side, side):
            return "This is the square with the padding. Asked is the picture's size before it."
        if max(got) == side and abs(min(got) - min(right)) == 1:
            return "The shorter side is rounded to the nearest whole number."
        return "The longer side becomes the model's side; the other is scaled by the same factor."
    if tuple(got) == right[1:]:
        return "The first axis is missing: the prompt sets."
    if tuple(got) == right[2:]:
        return "Two axes are missing in front: prompt sets, and masks."
    if len(got) == 4 and got[0] != sets:
        return "How many prompt sets are there? Each selects one object."
    if len(got) == 4 and got[1] != masks:
        return "All four masks are computed; how many are returned, the situation says."
    if name == "low_res":
        return "The decoder's logits have the same size for every picture: four times the grid of image tokens."
    if name == "cut" and tuple(got[-2:]) == (side, side):
        return "This is before the cut. Rows and columns of padding go."
    if name == "cut" and tuple(got[-2:]) == (LOW, LOW):
        return "The logits are enlarged to the model's square before anything is cut off."
    if name == "cut" and tuple(got[-2:]) == size:
        return "This is the picture's own size. The cut comes before the last resizing."
    if name == "masks" and tuple(got[-2:]) in (true["input_size"], (side, side)):
        return "This is the model's frame. Masks come back in the picture's own size."
    return "Go through the diagram box by box: how high, how wide?"


def _count_hint(case: str, got: int, true: Mapping[str, Any]) -> str:
    _, size, _, sets, masks, _ = _SITUATIONS[case]
    height, width = true["input_size"]
    if got == LOW * LOW:
        return "Those over the padding count not."
    if got == height * width:
        return "Count logits, not pixels of the model's square: there are 256 of them along a side."
    if got == size[0] * size[1]:
        return "Count the decoder's logits, not the picture's pixels."
    if got == true["on_picture"] * sets * masks:
        return "Of one mask, not of all."
    return "Which part of the square's height does the picture fill, and which of its width? Of 256 rows and columns."


# --- 2: write it ---

_Inputs = tuple[Tensor, int, tuple[int, int]]
# Batch, masks, low, side, the picture's size: wide, high, square, and larger than the model's square.
_CASES: tuple[tuple[int, int, int, int, tuple[int, int]], ...] = (
    (2, 3, 8, 32, (12, 25)),
    (1, 2, 8, 24, (40, 21)),
    (1, 1, 8, 32, (20, 20)),
)


def _inputs(case: tuple[int, int, int, int, tuple[int, int]]) -> _Inputs:
    batch, masks, low, side, size = case
    return 3 * random(sum(case[:4]), batch, masks, low, low), side, size


def _chain(low_res: Tensor, side: int, size: tuple[int, int], **other: Any) -> Tensor:
    """The way back, with something done otherwise."""
    options = {"mode": "bilinear", "align_corners": False}
    first, last = {**options, **other.get("first", {})}, {**options, **other.get("last", {})}
    rounding = other.get("rounding", 0.5)
    height, width = (int(length * side / max(size) + rounding) for length in size)
    frame = F.interpolate(low_res, (side, side), **first)
    top, left = ((side - height) // 2, (side - width) // 2) if other.get("centred") else (0, 0)
    cut = frame[..., top : top + height, left : left + width]
    if other.get("swapped"):
        cut = frame[..., :width, :height]
    return F.interpolate(cut, size, **last)


_CORNERS, _NEAREST = {"align_corners": True}, {"mode": "nearest", "align_corners": None}
_EXACT = {"mode": "nearest-exact", "align_corners": None}


def _mistakes(low_res: Tensor, side: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Wrong answers that people give, by the hint for each."""
    bilinear: dict[str, Any] = {"mode": "bilinear", "align_corners": False}
    frame = F.interpolate(low_res, (side, side), **bilinear)
    height, width = (int(length * side / max(size) + 0.5) for length in size)
    low_high, low_wide = (round(low_res.shape[-1] * length / side) for length in (height, width))
    chain = partial(_chain, low_res, side, size)
    right = chain()
    return {
        "The padding is still in it: cut it off between the two resizings.": F.interpolate(frame, size, **bilinear),
        "The padding was never cut off: the logits were resized to the picture at once.": F.interpolate(
            low_res, size, **bilinear
        ),
        "The padding was cut off the small logits. Enlarge first: the border need not lie between two logits.": (
            F.interpolate(low_res[..., :low_high, :low_wide], size, **bilinear)
        ),
        "The cut exchanges height and width.": chain(swapped=True),
        "The cut is in the middle. The padding is on the right and below.": chain(centred=True),
        "Both resizings align the corners: align_corners=False is wanted, as pixels have middles.": chain(
            first=_CORNERS, last=_CORNERS
        ),
        "The enlarging aligns the corners: align_corners=False is wanted.": chain(first=_CORNERS),
        "The last resizing aligns the corners: align_corners=False is wanted.": chain(last=_CORNERS),
        "Both resizings take the nearest logit: bilinear is wanted.": chain(first=_NEAREST, last=_NEAREST),
        "The resizings take the nearest logit: bilinear is wanted. ": chain(first=_EXACT, last=_EXACT),
        "The enlarging takes the nearest logit: bilinear is wanted.": chain(first=_NEAREST),
        "The last resizing takes the nearest logit: bilinear is wanted.": chain(last=_NEAREST),
        "The resizing is bicubic: bilinear is wanted.": chain(first={"mode": "bicubic"}, last={"mode": "bicubic"}),
        "The last resizing smooths first (antialias): Meta's does not.": chain(last={"antialias": True}),
        "The shorter side is rounded down: add 0.5 before int().": chain(rounding=0.0),
        "This is the mask: the threshold comes after it.": (right > 0).to(right.dtype),
        "These are probabilities: leave the logits as they are.": right.sigmoid(),
        "The threshold came first: a mask was resized, and no logits.": _chain(
            (low_res > 0).to(low_res.dtype), side, size
        ),
    }


def _recognised(inputs: _Inputs, yours: Tensor) -> str:
    for hint, wrong in _mistakes(*inputs).items():
        if same(yours, wrong):
            return hint.strip()
    return "It is none of the usual mistakes. Check one step at a time: enlarge, cut, resize."


def _shape_hint(case: tuple[int, int, int, int, tuple[int, int]], yours: Tensor) -> str:
    batch, masks, low, side, size = case
    if tuple(yours.shape) == (batch, masks, *size[::-1]):
        return "Height and width are exchanged: a size is (height, width)."
    if tuple(yours.shape) == (batch, masks, side, side):
        return "This is the model's square. Cut the padding off, and resize to the picture."
    if tuple(yours.shape) == (batch, masks, low, low):
        return "Nothing was resized."
    if tuple(yours.shape[:2]) == (batch, masks) and max(yours.shape[-2:]) == side:
        return "This is the picture in the model's frame. One more resizing leads to its own size."
    if yours.ndim != 4:
        return "Prompt sets and masks stay in front."
    return ""


def _judge_to_picture(answer: Any) -> None:
    expects = "low_res is (batch, masks, low, low), side a whole number, size (height, width)."
    for case in _CASES:  # shapes first, of all cases
        low_res, side, size = _inputs(case)
        came = result_of(answer, low_res.clone(), side, size, hint=expects)
        right = to_picture(low_res, side, size)
        check_tensor_shape("logits", came, right, "batch, masks, height, width", partial(_shape_hint, case))
    for case in _CASES:
        inputs = _inputs(case)
        came, right = answer(*inputs), to_picture(*inputs)
        if came.dtype != right.dtype:
            raise WrongAnswer(f"logits: expected {right.dtype}, got {came.dtype}: the threshold comes after it.")
        check_values("logits", came, right, partial(_recognised, inputs))
    low_res, side, size = _inputs(_CASES[0])
    changed = low_res.clone()
    changed[..., -1, :] += 50  # far below the picture, over the padding
    if not same(answer(changed, side, size), to_picture(low_res, side, size)):
        raise WrongAnswer("what the decoder draws over the padding must not be seen in the picture.")


# --- 3: break it ---

_FLAT: tuple[tuple[Callable[[Tensor], Any], str], ...] = (
    (lambda x: x, "Nothing is lost: the logits came back as they were."),
    (lambda x: x > 0, "This is a mask of True and False. A mask prompt is floats: 10 inside, -10 outside."),
    (lambda x: (x > 0).to(x.dtype), "This is a mask of 0 and 1: outside would be 0, neither yes nor no."),
    (lambda x: 10 * (x > 0).to(x.dtype), "Outside is 0, which says neither yes nor no; it has to be -10."),
    (torch.sign, "The signs are right. The size is to be 10."),
    (lambda x: x.clamp(-10, 10), "Small logits are still small. All inside become 10, all outside -10."),
    (lambda x: -10 * x.sign(), "Inside and outside are exchanged."),
    (lambda x: 20 * x.sigmoid() - 10, "The sigmoid keeps the confidence: use the threshold."),
    (
        lambda x: torch.where(x.sigmoid() > 0, 10.0, -10.0),
        "A sigmoid is always above 0: the threshold for logits is 0, for probabilities 0.5.",
    ),
    (lambda x: torch.where(x > 0.5, 10.0, -10.0), "The threshold is 0, not 0.5: these are logits."),
    (lambda x: x.sign() * x.abs().mean(), "One size, but not 10."),
)


def _flat_hint(low_res: Tensor, yours: Tensor) -> str:
    for wrong, hint in _FLAT:
        other = wrong(low_res)
        if other.dtype == yours.dtype and same(yours.float(), other.float()):
            return hint
    return "Each number is 10 where the logit is above 0, and -10 elsewhere."


def _judge_without_confidence(answer: Any) -> None:
    low_res = 6 * random(9, 1, 6, 7)
    came = result_of(answer, low_res.clone())
    check_tensor_shape("mask prompt", came, low_res, "masks, height, width", lambda _: "It keeps the logits' shape.")
    if came.dtype != low_res.dtype:
        raise WrongAnswer(f"mask prompt: expected {low_res.dtype}, got {came.dtype}. {_flat_hint(low_res, came)}")
    check_values("mask prompt", came, _without_confidence(low_res), partial(_flat_hint, low_res))
    if not same(result_of(answer, came.clone()), came):
        raise WrongAnswer("done twice, it must change nothing more.")
    many = random(10, 2, 3, 4, 4)
    if not same(result_of(answer, many.clone()), _without_confidence(many)):
        raise WrongAnswer("it must work for any number of axes.")


sizes = Exercise(
    "09.1 predict the sizes",
    partial(judge_table, situations=_SITUATIONS, names=_NAMES, truth=_true_sizes, hint=_size_hint),
    SIZES,
)
back = Exercise("09.2 write the way back to the picture", _judge_to_picture, to_picture)
confidence = Exercise("09.3 take the confidence away", _judge_without_confidence, _without_confidence)
