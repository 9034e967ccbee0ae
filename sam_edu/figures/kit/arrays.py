"""Input checks: any array-like as a NumPy array of the expected shape, or a clear refusal."""

import math
from collections.abc import Sequence
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
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: holds numbers that are not finite")
    return array


def as_image(values: ArrayLike | Any) -> Array:
    """A colour image, (height, width, 3): bytes or floats from 0 to 1; or a PIL image, turned upright as it says."""
    if isinstance(values, Image.Image):
        return to_rgb(from_pil(values))
    image = as_array("image", values, ("height", "width", 3))
    low, high = (0, 1) if image.dtype.kind == "f" else (0, 255)
    if image.dtype.kind == "b" or image.min() < low or image.max() > high:
        hint = "; divide it by 255" if image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 255 else ""
        hint = hint or ("; divide 16 bits by 257" if image.max() > 255 else "")
        raise ValueError(
            f"image: expected bytes, or floats from 0 to 1, got {image.dtype} from {image.min():.3g} to "
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


def as_names(name: str, values: Sequence[str], count: int) -> list[str]:
    """A list of names, one for each thing."""
    names = [str(one) for one in values]
    if len(names) != count:
        raise ValueError(f"{name}: expected {count}, one each, got {len(names)}")
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
