"""Checks of the prompts that a `Predictor` is given: one clear message for each mistake."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from sam_edu.arrays import as_numbers, shorten
from sam_edu.modules.checks import check_shape

Numbers = np.ndarray | Tensor | Sequence[Any]
"""A prompt as users give it: an array, a tensor, or lists and tuples of numbers."""

_SEVERAL = "predict takes one prompt set; for several use predict_torch, which takes a batch of them (see `transform`)"
_NORMALISED = "positions are in pixels: multiply normalised ones by the image's width and height"
_LOGITS = "pass an earlier result's low_res, or for example 20 * mask - 10 of a mask of that size"


class Prompts(NamedTuple):
    """The checked prompts of one prompt set, in pixels of the original image; None where there is none.

    Attributes:
        coords: clicks (clicks, 2).
        labels: (clicks,).
        box: (4,) or (1, 4).
        mask: logits (1, 4 * height, 4 * width).
    """

    coords: np.ndarray | None
    labels: np.ndarray | None
    box: np.ndarray | None
    mask: np.ndarray | None


def check_prompts(
    point_coords: Numbers | None,
    point_labels: Numbers | None,
    box: Numbers | None,
    mask_input: Numbers | None,
    *,
    image_size: tuple[int, int],
    mask_size: tuple[int, int],
) -> Prompts:
    """Check one prompt set. Arguments and errors are those of `Predictor.predict`.

    Args:
        image_size: height and width of the original image.
        mask_size: height and width of a mask input.
    """
    check_pair(point_coords, point_labels)
    coords = labels = corners = mask = None
    if point_coords is not None and point_labels is not None:
        coords, labels = as_numbers("point_coords", point_coords), _labels(point_labels)
        if coords.ndim != 2:
            hint = f"; {_SEVERAL}" if coords.ndim == 3 else ""
            hint = hint or ("; for one click give [[x, y]]" if coords.shape == (2,) else "")
            raise ValueError(f"point_coords: expected shape (clicks, 2), got {coords.shape}{hint}")
        check_points(coords, labels, image_size)
    if box is not None:
        corners = as_numbers("box", box)
        if corners.shape not in ((4,), (1, 4)):
            hint = f"; {_SEVERAL}" if corners.ndim >= 2 and corners.shape[-1] == 4 else ""
            hint = hint or ("; for two corners give box.reshape(4)" if corners.shape == (2, 2) else "")
            raise ValueError(f"box: expected four numbers (x0, y0, x1, y1), got shape {corners.shape}{hint}")
        check_boxes("box", corners.reshape(4), image_size)
    if mask_input is not None:
        mask = as_numbers("mask_input", mask_input)
        check_mask(mask, (1, *mask_size))
    return Prompts(coords, labels, corners, mask)


def check_prompt_sets(
    point_coords: Tensor | None,
    point_labels: Tensor | None,
    boxes: Tensor | None,
    mask_input: Tensor | None,
    *,
    image_size: tuple[int, int],
    mask_size: tuple[int, int],
) -> None:
    """Check a batch of prompt sets. Arguments and errors are those of `Predictor.predict_torch`.

    Args:
        image_size: height and width of the resized image.
        mask_size: height and width of a mask input.
    """
    check_pair(point_coords, point_labels)
    if point_coords is not None and point_labels is not None:
        _check_tensor("point_coords", point_coords, ("batch", "clicks", 2))
        _check_tensor("point_labels", point_labels, tuple(point_coords.shape[:2]))
        check_points(as_numbers("point_coords", point_coords), _labels(point_labels), image_size)
    if boxes is not None:
        _check_tensor("boxes", boxes, ("batch", 4))
        check_boxes("boxes", as_numbers("boxes", boxes), image_size)
    if mask_input is not None:
        _check_tensor("mask_input", mask_input, ("batch", 1, *mask_size))
        check_mask(as_numbers("mask_input", mask_input), (len(mask_input), 1, *mask_size))


def check_flag(name: str, value: Any) -> bool:
    """A yes or no, where a word such as "False" would count as yes.

    Raises:
        TypeError: something else than True, False, 1 and 0.
    """
    numbers = as_numbers(name, value) if isinstance(value, bool | int | np.generic | Tensor) else np.array(())
    if numbers.shape != () or numbers.item() not in (0, 1):
        raise TypeError(f"{name}: expected True or False, got {shorten(value)}")
    return bool(numbers)


def check_pair(point_coords: object, point_labels: object) -> None:
    """Refuse clicks without labels, and labels without clicks."""
    if point_coords is not None and point_labels is None:
        raise ValueError("point_labels: expected a label for each point (1 on the object, 0 not on it), got None")
    if point_labels is not None and point_coords is None:
        raise ValueError("point_coords: expected a point (x, y) for each label, got None")


def check_points(coords: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse clicks outside the image of `size` (height, width), and labels that are none."""
    if coords.shape[-1] != 2 or coords.size == 0:
        hint = "; leave it out where there are no clicks" if coords.size == 0 else ""
        raise ValueError(
            f"point_coords: expected at least one click, (x, y) on the last axis, got {coords.shape}{hint}"
        )
    if labels.shape != coords.shape[:-1]:
        raise ValueError(
            f"point_labels: expected shape {coords.shape[:-1]}, a label per click, got {labels.shape}: "
            f"{labels.size} labels for {coords.size // 2} clicks"
        )
    wrong = ~np.isin(labels, (1, 0, -1))
    if wrong.any():
        where = _index(np.argwhere(wrong)[0])
        corner = labels[wrong][0] in (2, 3)
        hint = "; 2 and 3 are a box's corners in SAM 2 and in ONNX files: here give box=(x0, y0, x1, y1)"
        raise ValueError(
            f"point_labels{where}: expected 1 (on the object), 0 (not on it) or -1 (padding), got {labels[wrong][0]}"
            f"{hint if corner else ''}"
        )
    _check_inside("point_coords", coords, size)
    _warn_of_normalised("point_coords", coords, size)


def check_boxes(name: str, boxes: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse boxes (..., 4) that are empty, swapped or outside the image of `size` (height, width)."""
    boxes = boxes.astype(np.float64)  # the difference of unsigned integers would wrap around
    _check_inside(name, boxes, size)
    sides = boxes[..., 2:] - boxes[..., :2]
    wrong = (sides <= 0).any(-1)
    if wrong.any():
        box = boxes[wrong][0] if boxes.ndim > 1 else boxes
        x0, y0, x1, y1 = box
        problem = "its corners are swapped" if x1 < x0 or y1 < y0 else "it is empty"
        where = _index(np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}{where}: expected (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got ({x0:g}, {y0:g}, {x1:g}, {y1:g}): "
            f"{problem}{_other_order(box, size)}"
        )
    _warn_of_normalised(name, boxes, size)


def check_mask(mask: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Refuse a mask input that cannot be the logits of an earlier result."""
    if mask.shape != wanted:
        hint = ""
        if mask.shape == wanted[1:]:
            hint = "; take low_res[i : i + 1], which keeps the first axis"
        elif mask.shape[1:] == wanted[1:] and mask.ndim == 3:
            hint = "; choose one of the masks: low_res[i : i + 1]"
        elif mask.shape[1:] == wanted:
            hint = "; predict takes it without the batch's axis: mask_input[0]"
        elif mask.ndim in (2, 3):
            hint = f"; it is on the decoder's grid, not as large as the image: {_LOGITS}"
        raise ValueError(f"mask_input: expected logits of shape {wanted}, got {mask.shape}{hint}")
    if mask.dtype.kind != "f":
        raise TypeError(f"mask_input: expected logits, which are floats, got {mask.dtype}; {_LOGITS}")
    if not np.isfinite(mask).all():
        raise ValueError("mask_input: expected finite logits, got NaN or infinity")
    for top in (1, 255):
        if mask.size and mask.max() == top and np.isin(mask, (0, top)).all():
            raise ValueError(
                f"mask_input: expected logits (above 0 on the object, below elsewhere), got a mask of 0 and {top}; "
                f"{_LOGITS}"
            )


def _labels(value: Numbers) -> np.ndarray:
    try:
        return as_numbers("point_labels", value)
    except TypeError as error:
        raise TypeError(f"{error}; a label is 1 on the object, 0 not on it, or -1 for padding") from None


def _check_tensor(name: str, value: Any, wanted: tuple[int | str, ...]) -> None:
    """Refuse what is no tensor of that shape, and say which call takes arrays."""
    try:
        check_shape(name, value, wanted)
    except TypeError as error:
        raise TypeError(f"{error}; predict_torch takes tensors: torch.as_tensor({name})") from None


def _check_inside(name: str, positions: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse positions (x, y, ... on the last axis) that are not finite or not inside the image of `size`."""
    height, width = size
    finite = np.isfinite(positions)
    wrong = ~(finite & _inside(positions, size)).all(-1)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0])
        got = ", ".join(f"{value:g}" for value in positions[index])
        outside = finite[index].all()
        problem = "lies outside the image" if outside else "is not finite"
        hint = _other_order(positions[index], size) if outside else ""
        raise ValueError(
            f"{name}{_index(index)}: ({got}) {problem}; the image is {width} x {height}, so x goes from 0 to {width} "
            f"and y from 0 to {height}{hint}"
        )


def _inside(positions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether each number is inside the image, with some slack for coordinates that were scaled."""
    height, width = size
    limits = np.resize((width, height), positions.shape[-1]) * (1 + 1e-6)
    return (positions >= 0) & (positions <= limits)


def _other_order(position: np.ndarray, size: tuple[int, int]) -> str:
    """What to do with a refused point or box that is one in another order of its numbers; "" where it is none."""
    if len(position) == 2:
        if _inside(position[::-1], size).all():
            return "; if it is (row, column), give (column, row): x comes first"
        return ""
    x, y, width, height = position
    if min(position) >= 0 < width and height > 0 and _inside(np.array([x, y, x + width, y + height]), size).all():
        return "; if it is (x, y, width, height), give (x, y, x + width, y + height)"
    turned = position[[1, 0, 3, 2]]
    if _inside(turned, size).all() and (turned[2:] > turned[:2]).all():
        return "; if it is (top, left, bottom, right), give (left, top, right, bottom): x comes first"
    return ""


def _warn_of_normalised(name: str, positions: np.ndarray, size: tuple[int, int]) -> None:
    """Warn of positions from 0 to 1, which would all lie in the image's first pixel."""
    if min(size) > 1 and (positions <= 1).all() and (positions % 1 != 0).any():
        warnings.warn(
            f"{name}: all lie in the image's first pixel, {shorten(positions.tolist())}; {_NORMALISED}", stacklevel=4
        )


def _index(index: Any) -> str:
    """`[2, 0]`, or nothing for an index without axes."""
    return f"[{', '.join(str(i) for i in index)}]" if len(index) else ""
