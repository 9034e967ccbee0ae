"""The exercises of notebook 09: predict the sizes, write the way back to the image, remove the confidence."""

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sam_edu.exercises.inputs import random
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
    to_tensor,
)
from sam_edu.exercises.judging_tables import judge_table
from sam_edu.exercises.solutions import logits as solutions
from sam_edu.predictor import ResizeLongestSide

# --- 1: predict the sizes ---

LOW = 256


class Situation(NamedTuple):
    """An image, a model and a prompt. `size` is (height, width), `side` that of the model's square, `click` (x, y)."""

    description: str
    size: tuple[int, int]
    side: int
    prompt_sets: int
    masks: int
    click: tuple[int, int]


_SITUATIONS = {
    "a": Situation("480 high, 640 wide, side 1024; one click, three masks", (480, 640), 1024, 1, 3, (100, 50)),
    "b": Situation(
        "2000 high, 500 wide, side 1024; four objects, a box each, one mask", (2000, 500), 1024, 4, 1, (250, 1000)
    ),
    "c": Situation(
        "160 high, 200 wide, side 256; two clicks on one object, one mask", (160, 200), 256, 1, 1, (100, 32)
    ),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_NAMES = ("input_size", "click", "low_res", "cut", "masks", "on_image")


@cache
def _true_sizes(case: str) -> dict[str, Any]:
    """The sizes that the verified transform gives."""
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
        "on_image": (LOW * height // side) * (LOW * width // side),
    }


def _size_hint(case: str, name: str, entry: Any, targets: Mapping[str, Any]) -> str:
    _, size, side, sets, masks, click = _SITUATIONS[case]
    target = targets[name]
    if name == "on_image":
        return _count_hint(case, entry, targets)
    if name == "click":
        if tuple(entry) == target[::-1]:
            return "A click is (x, y): first the distance from the left, then the distance from the top."
        if tuple(entry) == click:
            return "This is the position in the image's own pixels; the model's square is scaled."
        if tuple(entry) == (side * click[0] // size[1], side * click[1] // size[0]):
            return "Both axes have one scale, that of the longer side, so that the image keeps its aspect ratio."
        return "Multiply x by new width / old width, and y by new height / old height."
    if len(entry) == len(target) and tuple(entry[-2:]) == target[-1:-3:-1] and target[-1] != target[-2]:
        return "Sizes are (height, width): height first."
    if name == "input_size":
        if tuple(entry) == (side, side):
            return "This is the square with the padding. The question is the size of the image before the padding."
        if len(entry) == 2 and max(entry) == side and abs(min(entry) - min(target)) == 1:
            return "The shorter side is rounded to the nearest whole number."
        return "The longer side becomes the model's side; the other is scaled by the same factor."
    if tuple(entry) == target[1:]:
        return "The first axis is missing: the prompt sets."
    if tuple(entry) == target[2:]:
        return "Two axes are missing in front: prompt sets, and masks."
    if len(entry) == 4 and entry[0] != sets:
        return "How many prompt sets are there? Each selects one object."
    if len(entry) == 4 and entry[1] != masks:
        return "All four masks are computed; the situation says how many are returned."
    if name == "low_res":
        return "The decoder's logits have the same size for every image: four times the grid of image tokens."
    if name == "cut" and tuple(entry[-2:]) == (side, side):
        return "This is before the cut. The cut removes the rows and columns of padding."
    if name == "cut" and tuple(entry[-2:]) == (LOW, LOW):
        return "The logits are enlarged to the model's square before anything is cut off."
    if name == "cut" and tuple(entry[-2:]) == size:
        return "This is the image's own size. The cut comes before the last resizing."
    if name == "masks" and tuple(entry[-2:]) in (targets["input_size"], (side, side)):
        return "This is the size in the model's square. The masks that are returned have the image's own size."
    return "Go through the diagram box by box: how high, how wide?"


def _count_hint(case: str, count: int, targets: Mapping[str, Any]) -> str:
    _, size, _, sets, masks, _ = _SITUATIONS[case]
    height, width = targets["input_size"]
    if count == LOW * LOW:
        return "Do not count the logits over the padding."
    if count == height * width:
        return "Count logits, not pixels of the model's square: there are 256 of them along a side."
    if count == size[0] * size[1]:
        return "Count the decoder's logits, not the image's pixels."
    if count == targets["on_image"] * sets * masks:
        return "Count the logits of one mask, not of all masks."
    return (
        "Which part of the square's height, and which of its width, does the image fill? Take that part of 256 rows and"
        " columns."
    )


# --- 2: write the way back to the image ---


class Case(NamedTuple):
    """The sizes of the logits (`low`), of the model's square (`side`) and of the image (`size`, height and width)."""

    batch: int
    masks: int
    low: int
    side: int
    size: tuple[int, int]


class Inputs(NamedTuple):
    """The inputs of the way back to the image."""

    low_res: Tensor
    side: int
    size: tuple[int, int]


# A wide image, a high one that is larger than the model's square, a square one, and one whose shorter side falls on a
# half, which int(x + 0.5) rounds up and Python's round to the even number.
_CASES = (
    Case(2, 3, 8, 32, (12, 25)),
    Case(1, 2, 8, 24, (40, 21)),
    Case(1, 1, 8, 32, (20, 20)),
    Case(3, 1, 10, 24, (48, 21)),
)


def _inputs(case: Case) -> Inputs:
    low_res = 3 * random(sum(case[:4]), case.batch, case.masks, case.low, case.low)
    return Inputs(low_res, case.side, case.size)


def _chain(low_res: Tensor, side: int, size: tuple[int, int], **other: Any) -> Tensor:
    """The way back to the image, with the changes in `other`."""
    options = {"mode": "bilinear", "align_corners": False}
    first, last = {**options, **other.get("first", {})}, {**options, **other.get("last", {})}
    rounded = other.get("rounded", lambda x: int(x + 0.5))
    height, width = (rounded(length * side / max(size)) for length in size)
    square = F.interpolate(low_res, (side, side), **first)
    top, left = ((side - height) // 2, (side - width) // 2) if other.get("centred") else (0, 0)
    cut = square[..., top : top + height, left : left + width]
    if other.get("swapped"):
        cut = square[..., :width, :height]
    return F.interpolate(cut, size, **last)


_CORNERS, _NEAREST = {"align_corners": True}, {"mode": "nearest", "align_corners": None}
_EXACT = {"mode": "nearest-exact", "align_corners": None}


def _mistakes(low_res: Tensor, side: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """The results of the usual mistakes, by the hint for each."""
    bilinear: dict[str, Any] = {"mode": "bilinear", "align_corners": False}
    square = F.interpolate(low_res, (side, side), **bilinear)
    height, width = (int(length * side / max(size) + 0.5) for length in size)
    low_height, low_width = (round(low_res.shape[-1] * length / side) for length in (height, width))
    chain = partial(_chain, low_res, side, size)
    target = chain()
    return {
        "The padding is still there: cut it off between the two resizings.": F.interpolate(square, size, **bilinear),
        "The padding was not cut off: the logits were resized to the image in one step.": F.interpolate(
            low_res, size, **bilinear
        ),
        "The padding was cut off the small logits. Enlarge first: the border may lie inside a logit.": (
            F.interpolate(low_res[..., :low_height, :low_width], size, **bilinear)
        ),
        "The cut exchanges height and width.": chain(swapped=True),
        "The cut is in the middle. The padding is on the right and at the bottom.": chain(centred=True),
        "Both resizings align the corners: use align_corners=False, where pixels have centres.": chain(
            first=_CORNERS, last=_CORNERS
        ),
        "The enlarging aligns the corners: use align_corners=False.": chain(first=_CORNERS),
        "The last resizing aligns the corners: use align_corners=False.": chain(last=_CORNERS),
        "Both resizings take the nearest logit: use bilinear.": chain(first=_NEAREST, last=_NEAREST),
        "Both resizings take the nearest logit (nearest-exact): use bilinear.": chain(first=_EXACT, last=_EXACT),
        "The enlarging takes the nearest logit: use bilinear.": chain(first=_NEAREST),
        "The last resizing takes the nearest logit: use bilinear.": chain(last=_NEAREST),
        "The resizing is bicubic: use bilinear.": chain(first={"mode": "bicubic"}, last={"mode": "bicubic"}),
        "The last resizing smooths first (antialias): Meta's code does not.": chain(last={"antialias": True}),
        "Python's round takes the even number at a half (10.5 becomes 10); int(x + 0.5), as in Meta's code, is 11.": (
            chain(rounded=round)
        ),
        "The shorter side is rounded down: add 0.5 before int().": chain(rounded=int),
        "The shorter side is rounded up: add 0.5 before int().": chain(rounded=math.ceil),
        "This is the mask: the threshold comes after it.": (target > 0).to(target.dtype),
        "These are probabilities: return the logits.": target.sigmoid(),
        "The threshold was applied first: a mask was resized instead of logits.": _chain(
            (low_res > 0).to(low_res.dtype), side, size
        ),
    }


def _hint(inputs: Inputs) -> Callable[[Any], str]:
    results = _mistakes(*inputs)
    otherwise = "It is none of the usual mistakes. Check one step at a time: enlarge, cut, resize."
    return recogniser({hint: hint for hint in results}, results.__getitem__, otherwise)


def _shape_hint(case: Case, yours: Tensor) -> str:
    batch, masks, low, side, size = case
    if tuple(yours.shape) == (batch, masks, *size[::-1]):
        return "Height and width are exchanged: a size is (height, width)."
    if tuple(yours.shape) == (batch, masks, side, side):
        return "This is the model's square. Cut the padding off, and resize to the image."
    if tuple(yours.shape) == (batch, masks, low, low):
        return "Nothing was resized."
    if tuple(yours.shape[:2]) == (batch, masks) and max(yours.shape[-2:]) == side:
        return "This is the image's part of the model's square. One more resizing leads to the image's own size."
    if yours.ndim != 4:
        return "The axes of prompt sets and masks stay in front."
    return ""


def _judge_to_image(answer: Any) -> None:
    hint = "low_res is (batch, masks, low, low), side a whole number, size (height, width)."
    for case in _CASES:  # shapes first, of all cases
        low_res, side, size = _inputs(case)
        copy = low_res.clone()
        logits = result_of(answer, copy, side, size, hint=hint)
        target = solutions.to_image(low_res, side, size)
        check_tensor_shape("logits", logits, target, "batch, masks, height, width", partial(_shape_hint, case))
        if not torch.equal(copy, low_res):
            raise WrongAnswer("low_res was changed in place: the next prompt still needs it. Make a new tensor.")
    for case in _CASES:
        low_res, side, size = _inputs(case)
        logits = to_tensor("logits", result_of(answer, low_res.clone(), side, size))
        if logits.dtype == torch.bool:
            raise WrongAnswer("logits: expected numbers, got True and False: the threshold comes after it.")
        check_values("logits", logits, solutions.to_image(low_res, side, size), _hint(_inputs(case)))
    low_res, side, size = _inputs(_CASES[0])
    changed = low_res.clone()
    changed[..., -1, :] += 50  # below the image, over the padding
    if not same(result_of(answer, changed.clone(), side, size), solutions.to_image(low_res, side, size)):
        raise WrongAnswer("the logits over the padding must not change the result.")
    if not same(result_of(answer, 100 * low_res, side, size), solutions.to_image(100 * low_res, side, size)):
        raise WrongAnswer("with large logits the values differ: nothing is clamped.")


# --- 3: remove the confidence ---

_FLAT: tuple[tuple[Callable[[Tensor], Any], str], ...] = (
    (lambda x: x, "Nothing has changed: the logits were returned as they are."),
    (lambda x: x > 0, "This is a mask of True and False. A mask prompt is floats: 10 inside, -10 outside."),
    (
        lambda x: (x > 0).to(x.dtype),
        "This is a mask of 0 and 1: outside has to be -10; a logit of 0 means neither inside nor outside.",
    ),
    (lambda x: 10 * (x > 0).to(x.dtype), "Outside is 0, which means neither inside nor outside; it has to be -10."),
    (lambda x: 10 * x.sign(), "A logit of exactly 0 is not above 0, so it is outside: -10. sign(0) is 0."),
    (lambda x: torch.where(x >= 0, 10.0, -10.0), "A logit of exactly 0 is not above 0, so it is outside: -10."),
    (torch.sign, "The signs are right. The magnitude has to be 10."),
    (lambda x: x.clamp(-10, 10), "Small logits are still small. All logits inside become 10, all outside -10."),
    (lambda x: -10 * x.sign(), "Inside and outside are exchanged."),
    (lambda x: 20 * x.sigmoid() - 10, "The sigmoid keeps the confidence: use the threshold."),
    (
        lambda x: torch.where(x.sigmoid() > 0, 10.0, -10.0),
        "A sigmoid is always above 0: the threshold for logits is 0, for probabilities 0.5.",
    ),
    (lambda x: torch.where(x > 0.5, 10.0, -10.0), "The threshold is 0, not 0.5: these are logits."),
    (lambda x: x.sign() * x.abs().mean(), "All logits have one magnitude, but not 10."),
)


def _flat_hint(low_res: Tensor, yours: Tensor) -> str:
    for mistake, hint in _FLAT:
        result = mistake(low_res)
        if (result.dtype == torch.bool) == (yours.dtype == torch.bool) and same(yours.float(), result.float()):
            return hint
    return "Each number is 10 where the logit is above 0, and -10 elsewhere."


def _judge_without_confidence(answer: Any) -> None:
    low_res = 6 * random(9, 1, 6, 7)
    low_res[0, 0, :4] = torch.tensor([0.0, 1e-6, -1e-6, -0.0])  # the threshold is 0, and 0 is not above it
    copy = low_res.clone()
    result = result_of(answer, copy)
    hint = "It keeps the logits' shape."
    result = check_tensor_shape("mask prompt", result, low_res, "masks, height, width", lambda _: hint)
    if not torch.equal(copy, low_res):
        raise WrongAnswer("low_res was changed in place: make a new tensor.")
    check_values("mask prompt", result, solutions.without_confidence(low_res), partial(_flat_hint, low_res))
    if not result.is_floating_point():
        raise WrongAnswer(f"mask prompt: expected floats, got {result.dtype}: the convolutions take no whole numbers.")
    if not same(result_of(answer, solutions.without_confidence(low_res)), solutions.without_confidence(low_res)):
        raise WrongAnswer("a second application must change nothing more.")
    for other in (random(10, 2, 3, 4, 4), random(11, 5), random(12, 3, 9) - 5, random(13, 3, 9) + 5):
        if not same(result_of(answer, other.clone()), solutions.without_confidence(other)):
            raise WrongAnswer("it must work for any number of axes, and for masks that are all inside or all outside.")


sizes = Exercise(
    "09.1 predict the sizes",
    partial(judge_table, descriptions=_DESCRIPTIONS, names=_NAMES, truth=_true_sizes, hint=_size_hint),
    solutions.SIZES,
)
back = Exercise("09.2 write the way back to the image", _judge_to_image, solutions.to_image)
confidence = Exercise("09.3 remove the confidence", _judge_without_confidence, solutions.without_confidence)
