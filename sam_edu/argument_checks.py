"""Checks of single arguments: whole numbers, finite numbers, one of several names, a path."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sam_edu.arrays import as_numbers, shorten


def as_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number.

    Args:
        name: the argument's name, for the message.
        value: the number, of any integer type.
        least: the smallest that is allowed.

    Raises:
        TypeError: a float, a bool, or something else than a number.
        ValueError: a smaller number.
    """
    number = as_numbers(name, value)
    if number.shape != () or number.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected a whole number, got {shorten(value)}")
    if number < least:
        raise ValueError(f"{name}: expected a whole number of {least} or more, got {number}")
    return int(number)


def as_multiple(name: str, value: Any, of: int) -> int:
    """A whole number above zero that `of` divides.

    Raises:
        TypeError: a float, a bool, or something else than a number.
        ValueError: another number.
    """
    number = as_count(name, value)
    if number % of:
        raise ValueError(f"{name}: expected a multiple of {of}, got {number}")
    return number


def as_number(name: str, value: Any, *, above: float | int = -math.inf) -> float:
    """A finite number.

    Args:
        name: the argument's name, for the message.
        value: the number.
        above: it has to be larger than this.

    Raises:
        TypeError: something else than one number.
        ValueError: NaN, infinity, or a number that is too small.
    """
    number = as_numbers(name, value)
    if number.shape != ():
        raise TypeError(f"{name}: expected one number, got {shorten(value)}")
    if not np.isfinite(number) or number <= above:
        wanted = "a positive number" if above == 0 else "a finite number"
        wanted += f" above {above:g}" if above not in (0, -math.inf) else ""
        raise ValueError(f"{name}: expected {wanted}, got {number}")
    return float(number)


def as_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of several names.

    Args:
        name: the argument's name, for the message.
        value: the chosen name.
        choices: all of them.

    Raises:
        TypeError: no text.
        ValueError: another name.
    """
    known = list(choices)
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {', '.join(map(repr, known))}, got {shorten(value)}")
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
    return value


def as_path(name: str, value: Any) -> Path:
    """A path, whatever is there.

    Raises:
        TypeError: no path.
        ValueError: an empty one.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: expected a path, got {shorten(value)}")
    if not os.fspath(value):
        raise ValueError(f"{name}: expected a path, got an empty one")
    return Path(value).expanduser()
