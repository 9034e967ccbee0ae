"""Checks of the prompts that a `Predictor` is given: one clear message for each mistake."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from sam_edu.modules.checks import check_shape

Numbers = np.ndarray | Tensor | Sequence[Any]
"""A prompt as users give it: an array, or lists and tuples of numbers."""


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
        coords, labels = numbers("point_coords", point_coords), numbers("point_labels", point_labels)
        if coords.ndim != 2:
            raise ValueError(f"point_coords: expected shape (clicks, 2), got {coords.shape}")
        check_points(coords, labels, image_size)
    if box is not None:
        corners = numbers("box", box)
        if corners.shape not in ((4,), (1, 4)):
            raise ValueError(f"box: expected four numbers (x0, y0, x1, y1), got shape {corners.shape}")
        check_boxes("box", corners.reshape(4), image_size)
    if mask_input is not None:
        mask = numbers("mask_input", mask_input)
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
        check_shape("point_coords", point_coords, ("batch", "clicks", 2))
        check_shape("point_labels", point_labels, tuple(point_coords.shape[:2]))
        check_points(numbers("point_coords", point_coords), numbers("point_labels", point_labels), image_size)
    if boxes is not None:
        check_shape("boxes", boxes, ("batch", 4))
        check_boxes("boxes", numbers("boxes", boxes), image_size)
    if mask_input is not None:
        check_shape("mask_input", mask_input, ("batch", 1, *mask_size))
        check_mask(numbers("mask_input", mask_input), (len(mask_input), 1, *mask_size))


def numbers(name: str, value: Numbers) -> np.ndarray:
    """A prompt as an array of numbers.

    Raises:
        TypeError: it holds something else than numbers.
        ValueError: its rows have different lengths.
    """
    try:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: expected an array, got rows of different lengths") from None
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name}: expected numbers, got {type(value).__name__} of {array.dtype}")
    return array


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
        raise ValueError(f"point_labels: expected shape {coords.shape[:-1]}, a label per click, got {labels.shape}")
    wrong = ~np.isin(labels, (1, 0, -1))
    if wrong.any():
        where = _index(np.argwhere(wrong)[0])
        raise ValueError(
            f"point_labels{where}: expected 1 (on the object), 0 (not on it) or -1 (padding), got {labels[wrong][0]}"
        )
    _check_inside("point_coords", coords, size)


def check_boxes(name: str, boxes: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse boxes (..., 4) that are empty, swapped or outside the image of `size` (height, width)."""
    boxes = boxes.astype(np.float64)  # the difference of unsigned integers would wrap around
    _check_inside(name, boxes, size)
    sides = boxes[..., 2:] - boxes[..., :2]
    wrong = (sides <= 0).any(-1)
    if wrong.any():
        x0, y0, x1, y1 = boxes[wrong][0] if boxes.ndim > 1 else boxes
        problem = "its corners are swapped" if x1 < x0 or y1 < y0 else "it is empty"
        where = _index(np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}{where}: expected (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got ({x0:g}, {y0:g}, {x1:g}, {y1:g}): "
            f"{problem}"
        )


def _check_inside(name: str, positions: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse positions (x, y, ... on the last axis) that are not finite or not inside the image of `size`."""
    height, width = size
    # Some slack, for coordinates that were scaled.
    limits = np.resize((width, height), positions.shape[-1]) * (1 + 1e-6)
    finite = np.isfinite(positions)
    wrong = ~(finite & (positions >= 0) & (positions <= limits)).all(-1)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0])
        got = ", ".join(f"{value:g}" for value in positions[index])
        problem = "lies outside the image" if finite[index].all() else "is not finite"
        raise ValueError(
            f"{name}{_index(index)}: ({got}) {problem}; the image is {width} x {height}, so x goes from 0 to {width} "
            f"and y from 0 to {height}"
        )


def _index(index: Any) -> str:
    """`[2, 0]`, or nothing for an index without axes."""
    return f"[{', '.join(str(i) for i in index)}]" if len(index) else ""


def check_mask(mask: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Refuse a mask input that cannot be the logits of an earlier result."""
    if mask.shape != wanted:
        hint = "; take low_res[i : i + 1], which keeps the first axis" if mask.shape == wanted[1:] else ""
        raise ValueError(f"mask_input: expected logits of shape {wanted}, got {mask.shape}{hint}")
    if mask.dtype.kind != "f":
        raise TypeError(f"mask_input: expected logits, which are floats, got {mask.dtype}")
    if not np.isfinite(mask).all():
        raise ValueError("mask_input: expected finite logits, got NaN or infinity")
    for top in (1, 255):
        if mask.max() == top and np.isin(mask, (0, top)).all():
            raise ValueError(
                f"mask_input: expected logits (above 0 on the object, below elsewhere), got a mask of 0 and {top}; "
                "pass an earlier result's low_res, or for example 20 * mask - 10"
            )
