"""Input checks: any array-like as a NumPy array of the expected shape, or a clear refusal."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Number = float | int


def as_array(name: str, values: ArrayLike | Any, expected: tuple[int | str, ...]) -> Array:
    """A tensor or an array as a NumPy array of the expected shape.

    Args:
        name: the argument's name, for the message.
        values: a NumPy array, a torch tensor or nested lists.
        expected: per axis an int (this size exactly) or a str (any size but 0; the axis' name for the message).

    Raises:
        ValueError: another shape, or a number that is not finite.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    array: Array = np.asarray(values)
    fits = array.ndim == len(expected) and all(
        length > 0 if isinstance(size, str) else length == size
        for length, size in zip(array.shape, expected, strict=True)
    )
    if not fits:
        shape = "(" + ", ".join(str(size) for size in expected) + ("," if len(expected) == 1 else "") + ")"
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: holds numbers that are not finite")
    return array


def as_image(values: ArrayLike | Any) -> Array:
    """A colour image, (height, width, 3): bytes or floats from 0 to 1."""
    image = as_array("image", values, ("height", "width", 3))
    if image.dtype.kind == "f" and (image.min() < 0 or image.max() > 1):
        raise ValueError(f"image: expected bytes, or floats from 0 to 1, got {image.min():.3g} to {image.max():.3g}")
    return image


def as_maps(name: str, values: ArrayLike | Any) -> Array:
    """Maps over the image, as (maps, height, width); also from (maps, image_tokens) of a square grid."""
    shape = tuple(np.shape(values))
    if len(shape) != 2:
        return as_array(name, values, ("maps", "height", "width"))
    side = math.isqrt(shape[1])
    if side * side != shape[1]:
        raise ValueError(
            f"{name}: {shape[1]} image tokens are no square grid; give (maps, height, width), for example by .unflatten"
        )
    return as_array(name, values, ("maps", shape[1])).reshape(-1, side, side)


def as_mask_numbers(name: str, numbers: Sequence[int] | None, count: int, default: Sequence[int]) -> list[int]:
    """The numbers of the masks that are drawn: each mask has the colour of its number.

    Args:
        name: the argument's name, for the message.
        numbers: 0 to 3 each, one per mask.
        count: how many are needed.
        default: the numbers where none are given; they are repeated as long as needed.

    Raises:
        ValueError: more or fewer, or a number that no mask has.
    """
    given = [default[i % len(default)] for i in range(count)] if numbers is None else [int(one) for one in numbers]
    if len(given) != count:
        raise ValueError(f"{name}: expected {count}, one per mask, got {len(given)}")
    if not all(0 <= one <= 3 for one in given):
        raise ValueError(f"{name}: expected the numbers of masks, 0 to 3, got {given}")
    return given


def as_names(name: str, values: Sequence[str], count: int) -> list[str]:
    """A list of names, one for each thing."""
    names = [str(one) for one in values]
    if len(names) != count:
        raise ValueError(f"{name}: expected {count}, one each, got {len(names)}")
    return names
