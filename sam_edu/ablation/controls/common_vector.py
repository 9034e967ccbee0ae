"""The common vector of several: the part that is the same in all, removed before angles between them are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sam_edu.arrays import as_numbers

ROUNDING = 1e-12
"""A rest that is shorter than this share of its vector is rounding, and has no direction."""


@dataclass(frozen=True, eq=False)
class CommonVector:
    """What several vectors have in common, and the angles between them with and without it.

    Attributes:
        common: their mean, (dim,).
        share: of the squared length of the vectors whose mean it is, the share that is common.
        rest: the vectors without it, (vectors, dim).
        cosine_before: between every two vectors as they are, (vectors, vectors).
        cosine_after: between every two without the common one. NaN where nothing is left.
        chance: the mean cosine that n vectors without anything in common have after their own mean was removed,
            -1 / (n - 1), about -0.17 for seven; 0 where the mean is that of many others. Compare `cosine_after` with
            this number, not with 0.
    """

    common: Float[np.ndarray, "dim"]
    share: float
    rest: Float[np.ndarray, "vectors dim"]
    cosine_before: Float[np.ndarray, "vectors vectors"]
    cosine_after: Float[np.ndarray, "vectors vectors"]
    chance: float


def common_vector(
    vectors: Float[np.ndarray, "vectors dim"] | Any, of: Float[np.ndarray, "many dim"] | Any | None = None
) -> CommonVector:
    """Remove what vectors have in common, and give their cosines before and after.

    Question: are these vectors alike, or do they share a part with all others? If all tokens contain one large vector,
    a bias for instance, every two of them have a cosine near 1, and it says nothing about these two.

    Args:
        vectors: tokens or units.
        of: the vectors whose mean is removed, such as the same tokens at many other clicks; the vectors themselves by
            default. Prefer many others: the mean of few holds much of each of them (see `chance`).

    Raises:
        TypeError: no numbers.
        ValueError: fewer than two vectors, another width, or numbers that are not finite.
    """
    array = as_numbers("vectors", vectors).astype(np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise ValueError(f"vectors: expected (vectors, dim) with at least 2 vectors, got shape {array.shape}")
    others = array if of is None else as_numbers("of", of).astype(np.float64)
    if others.ndim != 2 or others.shape[1] != array.shape[1] or not len(others):
        raise ValueError(f"of: expected (many, {array.shape[1]}), got shape {others.shape}")
    if not (np.isfinite(array).all() and np.isfinite(others).all()):
        raise ValueError("vectors, of: expected finite numbers, got others")
    common = others.mean(axis=0)
    squares = (others**2).sum()
    rest = array - common
    return CommonVector(
        common=common,
        share=float(len(others) * (common @ common) / squares) if squares else 0.0,
        rest=rest,
        cosine_before=_cosines(array),
        cosine_after=_cosines(np.where(_lengths(rest) > ROUNDING * _lengths(array), rest, 0.0)),
        chance=-1 / (len(array) - 1) if of is None else 0.0,
    )


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=1, keepdims=True)


def _cosines(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        unit = vectors / _lengths(vectors)
    return unit @ unit.T
