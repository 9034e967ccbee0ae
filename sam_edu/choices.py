"""The largest of some values, named so that the result is the same on every processor.

The last bits of a float differ between processors. Where two values are nearly equal, which of them is the largest
depends on these bits. So all that come within a margin of the largest are named; or, where only one can be used, a
near tie is refused.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam_edu.arrays import as_numbers

MARGIN = 1e-3
"""How near to the largest counts as equal, in parts of the largest absolute value; rounding moves less than 1e-5."""

SHOWN = 3
"""How many equals are named; of the others the number is given."""


def within_margin(values: ArrayLike | Any, *, margin: float = MARGIN) -> list[int]:
    """Indices of all values within a margin of the largest, in their order; of an array, into it flattened.

    Args:
        values: numbers, at least one, of any shape; NaN is never the largest.
        margin: in parts of the largest absolute value; 0 or more.

    Raises:
        ValueError: no value, only NaN, or a negative margin.
    """
    if margin < 0:
        raise ValueError(f"margin: expected 0 or more, got {margin}")
    array = _as_array(values)
    flat = array.ravel()
    known = flat[~np.isnan(flat)]
    if not known.size:
        raise ValueError(f"values: expected at least one number, got shape {array.shape} without any")
    least = known.max() - margin * np.abs(known).max()
    return [int(i) for i in np.flatnonzero(flat >= least)]


def name_largest(values: ArrayLike | Any, names: Sequence[object], *, margin: float = MARGIN) -> str:
    """The name of the largest value; of several within the margin, all their names.

    Args:
        values: one per name.
        names: what they are called.
        margin: as in `within_margin`.

    Raises:
        ValueError: not as many names as values.
    """
    array = _as_array(values)
    if array.size != len(names):
        raise ValueError(f"names: expected {array.size}, one per value, got {len(names)}")
    found = within_margin(array, margin=margin)
    words = [str(names[i]) for i in found[:SHOWN]]
    if len(found) > SHOWN:
        words.append(f"{len(found) - SHOWN} more")
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def name_smallest(values: ArrayLike | Any, names: Sequence[object], *, margin: float = MARGIN) -> str:
    """The name of the smallest value, or all names within the margin. Arguments and errors as for `name_largest`."""
    return name_largest(-_as_array(values), names, margin=margin)


def only_largest(values: ArrayLike | Any, *, margin: float = MARGIN) -> int:
    """The index of the largest value, where it is larger than every other by more than the margin.

    Raises:
        ValueError: others come within the margin, so that another processor could choose one of them.
    """
    found = within_margin(values, margin=margin)
    if len(found) > 1:
        raise ValueError(
            f"values: numbers {', '.join(map(str, found))} are the largest within {margin:g} of it, so which one is"
            " chosen would depend on the processor; choose by another rule, or name them all with `name_largest`"
        )
    return found[0]


def _as_array(values: ArrayLike | Any) -> NDArray[np.float64]:
    return as_numbers("values", values).astype(np.float64)
