"""Input checks: any array-like as a NumPy array of the expected shape, or a clear refusal."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from sam_edu.arrays import as_numbers, shorten
from sam_edu.image_checks import from_pil, to_rgb
from sam_edu.selections import fixed

Array = NDArray[Any]
Number = float | int


def as_array(name: str, values: ArrayLike | Any, expected: tuple[int | str, ...]) -> Array:
    """A tensor or an array as a NumPy array of the expected shape.

    Args:
        name: the argument's name, for the message.
        values: a NumPy array, a torch tensor or nested lists.
        expected: per axis an int (this size exactly) or a str (any size but 0; the axis' name for the message).

    Raises:
        TypeError: it holds something else than numbers.
        ValueError: another shape, or a number that is not finite.
    """
    if isinstance(values, Tensor) and values.is_floating_point():
        values = values.float()
    array: Array = as_numbers(name, values)
    if array.dtype == np.float16:  # its sums overflow
        array = array.astype(np.float32)
    fits = array.ndim == len(expected) and all(
        length > 0 if isinstance(size, str) else length == size
        for length, size in zip(array.shape, expected, strict=True)
    )
    if not fits:
        shape = "(" + ", ".join(str(size) for size in expected) + ("," if len(expected) == 1 else "") + ")"
        one_more = array.ndim == len(expected) + 1 and len(array) == 1
        hint = f"; {name}[0] leaves the first axis out" if one_more and name.isidentifier() else ""
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}{hint}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))
        raise ValueError(
            f"{name}: holds numbers that are not finite: {len(where)} of {array.size}, the first at"
            f" {tuple(where[0].tolist())}: {array[tuple(where[0])]}"
        )
    return array


def as_image(values: ArrayLike | Any, name: str = "image") -> Array:
    """A colour image, (height, width, 3): bytes or floats from 0 to 1; or a PIL image, turned upright as it says.

    Args:
        values: the image.
        name: the argument's name, for messages.

    Raises:
        TypeError: it holds something else than numbers.
        ValueError: another shape, or values of another range.
    """
    if isinstance(values, Image.Image):
        return to_rgb(from_pil(values))
    image = as_array(name, values, ("height", "width", 3))
    low, high = (0, 1) if image.dtype.kind == "f" else (0, 255)
    if image.dtype.kind == "b" or image.min() < low or image.max() > high:
        hint = "; divide it by 255" if image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 255 else ""
        hint = hint or ("; divide 16 bits by 257" if image.max() > 255 else "")
        raise ValueError(
            f"{name}: expected bytes, or floats from 0 to 1, got {image.dtype} from {image.min():.3g} to "
            f"{image.max():.3g}{hint}"
        )
    return image if image.dtype.kind == "f" else image.astype(np.uint8, copy=False)


def as_maps(name: str, values: ArrayLike | Any) -> Array:
    """Maps over the image, as (maps, height, width); also from (maps, image_tokens) of a square grid."""
    values = as_numbers(name, values)
    shape = values.shape
    if len(shape) != 2:
        return as_array(name, values, ("maps", "height", "width"))
    side = math.isqrt(shape[1])
    if side * side != shape[1]:
        raise ValueError(
            f"{name}: {shape[1]} image tokens are no square grid; give (maps, height, width), for example by .unflatten"
        )
    return as_array(name, values, ("maps", shape[1])).reshape(-1, side, side)


def as_mask_numbers(name: str, numbers: Any | None, count: int, default: Sequence[int]) -> list[int]:
    """The numbers of the masks that are drawn: each mask has the colour of its number.

    Args:
        name: the argument's name, for the message.
        numbers: 0 to 3 each, one per mask, in any form of whole numbers.
        count: how many are needed.
        default: the numbers where none are given; they are repeated as long as needed.

    Raises:
        TypeError: floats, bools, or something else than numbers.
        ValueError: more or fewer, or a number that no mask has.
    """
    given = [default[i % len(default)] for i in range(count)] if numbers is None else as_whole(name, numbers, count)
    if not all(0 <= one <= 3 for one in given):
        raise ValueError(f"{name}: expected the numbers of masks, 0 to 3, got {given}")
    return given


def as_names(name: str, values: Iterable[Any], count: int | None = None, *, least: int = 1) -> list[str]:
    """A list of names, one for each thing.

    Args:
        name: the argument's name, for the message.
        values: the names.
        count: how many are needed; any number from `least` on by default.
        least: the smallest number of them.

    Raises:
        TypeError: a single text, which would be taken letter by letter, or no list.
        ValueError: more or fewer.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a list of names, got {shorten(values)}")
    names = [str(one) for one in values]
    if count is not None and len(names) != count:
        raise ValueError(f"{name}: expected {count}, one each, got {len(names)}")
    if count is None and len(names) < least:
        raise ValueError(f"{name}: expected at least one, got none")
    return names


def as_whole(name: str, values: Any, count: int) -> list[int]:
    """Whole numbers, one for each thing.

    Raises:
        TypeError: floats, bools, or something else than numbers.
        ValueError: another number of them.
    """
    numbers = fixed(name, values)
    if isinstance(numbers, slice) or any(isinstance(one, bool) for one in numbers):
        raise TypeError(f"{name}: expected whole numbers, got {shorten(values)}")
    if len(numbers) != count:
        raise ValueError(f"{name}: expected {count}, one each, got {len(numbers)}")
    return [int(one) for one in numbers]


def as_masks(name: str, values: ArrayLike | Any, expected: tuple[int | str, ...]) -> Array:
    """Masks as bools, from bools or from zeros and ones.

    Raises:
        TypeError: it holds something else than numbers.
        ValueError: another shape, or other values: logits, probabilities and bytes need a threshold first.
    """
    masks = as_array(name, values, expected)
    if masks.dtype.kind != "b" and not np.isin(masks, (0, 1)).all():
        raise ValueError(
            f"{name}: expected masks of 0 and 1, got values from {masks.min():.3g} to {masks.max():.3g}; of logits take"
            " > 0, of probabilities > 0.5, of bytes > 127"
        )
    return masks.astype(bool)


def as_weights(name: str, weights: Array) -> Array:
    """Attention weights as they are, if none of them is negative.

    Raises:
        ValueError: one is, as among scores before the softmax.
    """
    if weights.min() < -1e-6:
        raise ValueError(
            f"{name}: expected weights, which are not negative, got {weights.min():.3g}; of scores take .softmax(-1)"
        )
    return weights


def as_distribution(name: str, weights: Array) -> Array:
    """Weights as they are, if they are not negative and sum to 1 along the last axis (to a twentieth).

    Raises:
        ValueError: they do not.
    """
    sums = as_weights(name, weights).sum(-1)
    if (np.abs(sums - 1) > 0.05).any():
        furthest = np.ravel(sums)[np.abs(np.ravel(sums) - 1).argmax()]
        raise ValueError(f"{name}: expected weights that sum to 1, got a sum of {furthest:.3g}")
    return weights


def as_rising(name: str, values: ArrayLike | Any) -> Array:
    """Numbers in rising order, such as the positions of a curve.

    Raises:
        TypeError: something else than numbers.
        ValueError: another shape than (positions,), or a number that is not larger than the one before.
    """
    numbers = as_array(name, values, ("positions",)).astype(float)
    falls = np.flatnonzero(np.diff(numbers) <= 0)
    if len(falls):
        first, second = numbers[falls[0]], numbers[falls[0] + 1]
        raise ValueError(f"{name}: expected numbers in rising order, got {first:g} before {second:g}; sort them first")
    return numbers


def as_interval(name: str, values: Any) -> tuple[float, float, float]:
    """A mean and the ends of its interval, from a sequence that begins so.

    Raises:
        TypeError: something else than numbers.
        ValueError: fewer than three, a number that is not finite, or a mean outside its interval.
    """
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected (mean, low, high), got {shorten(values)}")
    mean, low, high = as_array(name, list(values)[:3], (3,)).astype(float).tolist()
    if not low <= mean <= high:
        raise ValueError(f"{name}: expected mean, low, high with low <= mean <= high, got {mean:g}, {low:g}, {high:g}")
    return mean, low, high


def as_mapping(name: str, values: Any) -> dict[str, Any]:
    """A dictionary with a name for each thing, at least one.

    Raises:
        TypeError: no dictionary.
        ValueError: an empty one.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{name}: expected a dictionary, with a name for each, got {shorten(values)}")
    if not values:
        raise ValueError(f"{name}: expected at least one, got none")
    return dict(values)


def as_limits(name: str, values: Any) -> tuple[float, float]:
    """The two ends of an axis.

    Raises:
        TypeError: something else than numbers.
        ValueError: not two of them, or the larger one first.
    """
    low, high = as_array(name, values, (2,)).astype(float).tolist()
    if low >= high:
        raise ValueError(f"{name}: expected (low, high) with low < high, got ({low:g}, {high:g})")
    return low, high


def as_tuple(name: str, values: Any, parts: tuple[str, ...]) -> tuple[Any, ...]:
    """Things that belong together, as many as there are parts.

    Raises:
        ValueError: more or fewer, or something else than a sequence.
    """
    several = isinstance(values, Iterable) and not isinstance(values, str | Mapping)
    given = tuple(values) if several else ()
    if len(given) != len(parts):
        raise ValueError(f"{name}: expected ({', '.join(parts)}), got {shorten(values)}")
    return given
