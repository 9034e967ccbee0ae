"""Colour scales: where they end, and how signed numbers are laid on them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.image import AxesImage

from sam_edu.figures.kit.arrays import Array, Number
from sam_edu.figures.kit.colours import SIGNED


def scale_end(value: float) -> float:
    """The end of a colour scale: the value rounded up to a thousandth of its power of ten, and never 0.

    A colour bar shows a tick at 1 where the scale ends at 1, and none where it ends at 0.9999999, so the last bits of
    a maximum must not decide where a scale ends.
    """
    if value <= 0 or not np.isfinite(value):
        return 1.0
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(np.ceil(value / unit * (1 - 1e-4)) * unit)


def averaged(maps: Array, most: Number) -> Array:
    """Maps (..., height, width) made smaller by a whole number until no side is above `most`: each block by its mean.

    Numbers are averaged, not their colours: the mean of two colours need not stand on the colour bar.
    """
    times = int(np.ceil(max(maps.shape[-2:]) / most))
    if times <= 1:
        return maps
    for axis in (-2, -1):
        starts = np.arange(0, maps.shape[axis], times)
        counts = np.diff([*starts, maps.shape[axis]])
        maps = np.add.reduceat(maps.astype(float), starts, axis) / (counts[:, None] if axis == -2 else counts)
    return maps


def strongest(values: Array, share: Number = 1.0) -> float:
    """The quantile `share` of the absolute values, the largest by default; 1 where that is zero."""
    sizes = np.abs(values)
    return float(sizes.max() if share == 1 else np.quantile(sizes, share)) or 1.0


def signed_norm(limit: Number) -> TwoSlopeNorm:
    """From -limit to limit, with zero in the middle."""
    return TwoSlopeNorm(0.0, -limit, limit)


def draw_signed(axes: Axes, values: Array, limit: Number, **options: Any) -> AxesImage:
    """A matrix of signed numbers: red above zero, blue below, white at zero."""
    return axes.imshow(values, cmap=SIGNED, norm=signed_norm(limit), **options)


def three_colours(maps: Array) -> tuple[Array, float]:
    """The maps as (maps, height, width, 3) from 0 to 1, and the share of the variance that is left."""
    count, width, high, wide = maps.shape
    vectors = maps.transpose(0, 2, 3, 1).reshape(count, -1, width)
    vectors = vectors - vectors.mean(1, keepdims=True)
    scale = np.sqrt((vectors**2).sum(2).mean(1))
    vectors = (vectors / np.maximum(scale, 1e-12)[:, None, None]).reshape(-1, width)
    variances, directions = np.linalg.eigh(vectors.T @ vectors)
    first = directions[:, ::-1][:, :3]
    # An eigenvector's sign is arbitrary: the largest component is made positive, so that colours do not flip.
    first = first * np.sign(first[np.abs(first).argmax(0), range(3)])
    three = vectors @ first
    low, high_value = np.quantile(three, [0.01, 0.99], axis=0)
    three = np.clip((three - low) / np.maximum(high_value - low, 1e-12), 0.0, 1.0)
    kept = float(variances[::-1][:3].sum() / max(float(variances.sum()), 1e-12))
    return three.reshape(count, high, wide, 3), kept
