"""One fixed way to turn the image tokens of a model into colours, so that a colour means the same in every figure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sam_edu.figures.kit.arrays import Array, as_array

MARGIN = 0.05
"""By how much a sum of components has to lie beside zero, in parts of the sum of their sizes, to decide a sign."""


@dataclass(frozen=True)
class ColourBasis:
    """Three directions in the space of the channels, and the range of each that becomes red, green and blue."""

    directions: Array
    low: Array
    high: Array
    kept: float
    """The share of the variance that lies in the three directions."""

    def colours(self, maps: Array) -> Array:
        """Maps (..., channels, height, width) as colours (..., height, width, 3) from 0 to 1.

        A map's own mean vector is left out: the "no mask" vector and the norms shift all positions alike, which would
        push whole maps to the ends of the colours and hide how they differ from position to position.
        """
        centred = maps - maps.mean((-2, -1), keepdims=True)
        three = np.moveaxis(centred, -3, -1) @ self.directions
        result: Array = np.clip((three - self.low) / np.maximum(self.high - self.low, 1e-12), 0.0, 1.0)
        return result


def embedding_basis(embedding: ArrayLike | Any) -> ColourBasis:
    """The basis of a model: the three directions in which one image's embedding varies most (PCA).

    Take the running example's embedding for all figures of a model. Then a colour means the same difference from the
    mean vector of the map in all of them, in the embedding, in `src` and after each block.

    A direction's sign is arbitrary: here the sum of its components is above zero, or, if that is too near to zero to be
    safe on every processor, that of their cubes.

    Args:
        embedding: (channels, height, width), before any prompt.

    Raises:
        ValueError: fewer than three channels.
    """
    maps = as_array("embedding", embedding, ("channels", "height", "width")).astype(np.float64)
    if len(maps) < 3:
        raise ValueError(f"embedding: expected at least 3 channels, got {len(maps)}")
    vectors = maps.reshape(len(maps), -1).T
    vectors = vectors - vectors.mean(0)
    variances, directions = np.linalg.eigh(vectors.T @ vectors)
    first = np.stack([one * _sign(one) for one in directions.T[::-1][:3]], axis=1)
    low, high = np.quantile(vectors @ first, [0.01, 0.99], axis=0)
    kept = float(variances[::-1][:3].sum() / max(float(variances.sum()), 1e-12))
    return ColourBasis(first, low, high, kept)


def _sign(direction: Array) -> float:
    """1 or -1, by the first of several sums that is clearly not zero."""
    for power in (1, 3, 5):
        terms = direction**power
        if abs(terms.sum()) > MARGIN * np.abs(terms).sum():
            return float(np.sign(terms.sum()))
    return float(np.sign(direction[np.abs(direction).argmax()]))
