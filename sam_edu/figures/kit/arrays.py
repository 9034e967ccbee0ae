"""What was given, as a NumPy array of the right shape, or a clear refusal."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Number = float | int


def as_array(name: str, given: ArrayLike | Any, wanted: tuple[int | str, ...]) -> Array:
    """`given`, a tensor or an array, as an array of the shape `wanted`.

    Args:
        name: the argument's name, for the message.
        given: a NumPy array, a torch tensor or nested lists.
        wanted: per axis an int (this size exactly) or a str (any size but 0; the axis' name for the message).

    Raises:
        ValueError: another shape, or a number that is not finite.
    """
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() else given
    array: Array = np.asarray(given)
    fits = array.ndim == len(wanted) and all(
        size > 0 if isinstance(want, str) else size == want for size, want in zip(array.shape, wanted, strict=True)
    )
    if not fits:
        shape = "(" + ", ".join(str(want) for want in wanted) + ("," if len(wanted) == 1 else "") + ")"
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: holds numbers that are not finite")
    return array


def as_image(given: ArrayLike | Any) -> Array:
    """A colour picture: (height, width, 3), bytes or floats from 0 to 1."""
    image = as_array("image", given, ("height", "width", 3))
    if image.dtype.kind == "f" and (image.min() < 0 or image.max() > 1):
        raise ValueError(f"image: expected bytes, or floats from 0 to 1, got {image.min():.3g} to {image.max():.3g}")
    return image


def as_maps(name: str, given: ArrayLike | Any) -> Array:
    """Maps over the picture: (maps, height, width), or (maps, pixels) of a square grid."""
    shape = tuple(np.shape(given))
    if len(shape) != 2:
        return as_array(name, given, ("maps", "height", "width"))
    side = math.isqrt(shape[1])
    if side * side != shape[1]:
        raise ValueError(
            f"{name}: {shape[1]} pixels are no square grid; give (maps, height, width), for example by .unflatten"
        )
    return as_array(name, given, ("maps", shape[1])).reshape(-1, side, side)


def as_names(name: str, given: Sequence[str], count: int) -> list[str]:
    """As many names as there are things."""
    names = [str(one) for one in given]
    if len(names) != count:
        raise ValueError(f"{name}: expected {count}, one each, got {len(names)}")
    return names
