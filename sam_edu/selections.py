"""Selections along an axis: indices of every usual kind, as whole numbers."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from sam_edu.arrays import as_numbers, shorten

Select = int | slice | Iterable[int] | np.ndarray | Tensor
"""An index, several, a slice, or a mask with a bool per index."""

_KINDS = "an index, several, a slice, or a bool for each"


def fixed(name: str, wanted: Any) -> slice | list[int] | list[bool]:
    """A selection as it is now, for use any number of times: an iterator is used up, and a list may change.

    Args:
        name: of the axis, for messages.
        wanted: an index, several in a list, tuple, range, set, array or tensor, a slice, or a mask with a bool per
            index.

    Raises:
        TypeError: none of these: floats, text, None, a single bool, bools among numbers.
        ValueError: several axes.
    """
    if isinstance(wanted, slice):
        for end in (wanted.start, wanted.stop, wanted.step):
            if end is not None and not hasattr(end, "__index__"):
                raise TypeError(f"{name}: expected a slice of whole numbers, got {wanted!r}")
        return wanted
    if isinstance(wanted, str | bytes | dict) or wanted is None or wanted is Ellipsis:
        raise TypeError(f"{name}: expected {_KINDS}, got {shorten(wanted)}")
    if isinstance(wanted, Iterable) and not isinstance(wanted, np.ndarray | Tensor | list):
        wanted = list(wanted)
    if isinstance(wanted, list) and len({isinstance(one, bool | np.bool_) for one in wanted}) > 1:
        raise TypeError(f"{name}: expected numbers or bools, got both: {shorten(wanted)}")
    if isinstance(wanted, list) and not wanted:
        return []
    try:
        array = as_numbers(name, wanted)
    except TypeError:
        raise TypeError(f"{name}: expected {_KINDS}, got {shorten(wanted)}") from None
    if array.ndim > 1:
        raise ValueError(f"{name}: expected indices along one axis, got shape {array.shape}")
    if array.dtype.kind == "b":
        if array.ndim == 0:
            raise TypeError(f"{name}: expected {_KINDS}, got the single bool {bool(array)}")
        return [bool(one) for one in array]
    if array.dtype.kind == "f" and array.size:
        raise TypeError(f"{name}: expected {_KINDS}, got floats: {shorten(wanted)}")
    return [int(one) for one in array.reshape(-1)]


def as_indices(name: str, wanted: Any, size: int) -> list[int]:
    """The indices that a selection chooses on an axis, from 0 to size - 1, in its order and as often as it names them.

    Args:
        name: of the axis, for messages.
        wanted: as for `fixed`. Negative indices count from the end; a mask has as many bools as the axis is long.
        size: of the axis.

    Raises:
        TypeError: as for `fixed`.
        ValueError: an index out of range, an empty selection, a mask of another length.
    """
    chosen = fixed(name, wanted)
    if isinstance(chosen, slice):
        indices = list(range(size)[chosen])
    elif chosen and isinstance(chosen[0], bool):
        if len(chosen) != size:
            raise ValueError(f"{name}: expected a mask of {size} bools, one per index, got {len(chosen)}")
        indices = [i for i, one in enumerate(chosen) if one]
    else:
        indices = [operator.index(one) for one in chosen]
    if not indices or not all(-size <= i < size for i in indices):
        got: Any = wanted if isinstance(wanted, slice) else chosen
        got = got[0] if isinstance(got, list) and len(got) == 1 else got
        raise ValueError(f"{name}: expected at least one index from 0 to {size - 1}, got {shorten(got)}")
    return [i % size for i in indices]
