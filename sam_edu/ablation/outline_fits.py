"""Fitted weights: the best 32 weights for an outline, to see what the features of a click hold.

A good fit proves nothing by itself: 32 numbers per pixel fit many outlines whatever they are. Two controls: sines of
the position alone, which know nothing of the image; and the same outline at other positions of the image, where no such
object is.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

RIDGE = 1e-6
"""How strongly large weights are held back. Without it they grow for ever where an outline can be fitted exactly."""

STEPS = 40
STRIDE = 3
"""The fit sees every third row and column, the IoU all pixels. Two transposed convolutions make the features in blocks
of 4 x 4 pixels, and each position of a block has weights of its own: every fourth row would show the fit only one."""

PLACES = 8
"""At how many other positions an outline is fitted."""

FITS = (
    "features of A, A's object",
    "features of B, B's object",
    "features of A, B's object",
    "features of A, B's outline elsewhere",
    "sines, B's object",
    "sines, B's outline elsewhere",
    "weights of B, B's object",
)
"""What is fitted to what. The last is no fit: A's features with the weights that click B gave."""


def best_weights(
    features: Float[Tensor, "channels height width"], mask: Bool[Tensor, "height width"]
) -> Float[Tensor, "channels"]:
    """The weights whose product with the features fits a mask best: logistic regression, an example per pixel.

    Question: could the weights draw this mask? By Newton's method, which needs no step size and ends at the same
    weights on any processor.

    Args:
        features: of one click; all of one scale.
        mask: the target.

    Raises:
        ValueError: an empty mask or one of the whole image, or features that are all alike.
    """
    if not mask.any() or mask.all():
        raise ValueError(f"mask: expected some pixels inside and some outside, got {int(mask.sum())} of {mask.numel()}")
    scale = features.std()
    if not scale > 0:
        raise ValueError("features: expected numbers that differ, got constants")
    x, y = (features.double() / scale).flatten(1), mask.flatten().double()
    weights = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    ridge = RIDGE * torch.eye(len(x), dtype=torch.float64, device=x.device)

    def loss(weights: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(weights @ x, y) + RIDGE / 2 * weights @ weights

    value = loss(weights)
    for _ in range(STEPS):
        p = (weights @ x).sigmoid()
        gradient = x @ (p - y) / len(y) + RIDGE * weights
        step = torch.linalg.solve((x * (p * (1 - p))) @ x.T / len(y) + ridge, gradient)
        size = 1.0
        while (new := loss(weights - size * step)) > value - 1e-4 * size * (gradient @ step) and size > 1e-6:
            size /= 2
        if not new < value - 1e-7:
            break
        weights, value = weights - size * step, new
    return (weights / scale).to(features.dtype)


def sines(size: int, channels: int = 32, *, generator: torch.Generator) -> Float[Tensor, "channels size size"]:
    """As many numbers per pixel as the features, from the position alone: a constant, and waves across the image.

    Args:
        size: rows and columns of the image.
        channels: how many numbers.
        generator: draws the directions and the wavelengths.
    """
    frequencies = torch.randn(channels - 1, 2, generator=generator)
    phases = torch.rand(channels - 1, generator=generator) * 2 * math.pi
    at = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    waves = (2 * math.pi * torch.einsum("kd,dhw->khw", frequencies, torch.stack([x, y])) + phases[:, None, None]).sin()
    return torch.cat([torch.ones(1, size, size), waves])


def elsewhere(
    mask: Bool[np.ndarray, "height width"], generator: np.random.Generator
) -> Bool[np.ndarray, "height width"]:
    """The same outline at a random other position, wholly inside the image.

    Args:
        mask: not empty.
        generator: draws the position.
    """
    down, right = (_shift(np.flatnonzero(mask.any(axis=axis)), mask.shape[1 - axis], generator) for axis in (1, 0))
    return np.roll(mask, (down, right), axis=(0, 1))


def _shift(taken: np.ndarray, size: int, generator: np.random.Generator) -> int:
    return int(generator.integers(-taken[0], size - taken[-1]))


def fitted_iou(features: Float[Tensor, "channels height width"], mask: Bool[np.ndarray, "height width"]) -> float:
    """IoU of a mask with what the best weights draw of it. The fit sees a part of the pixels, the IoU all of them."""
    target = torch.from_numpy(mask)
    few = (slice(None, None, STRIDE),) * 2
    weights = best_weights(features[:, *few], target[few])
    drawn = torch.einsum("c,chw->hw", weights, features) > 0
    return float((drawn & target).sum() / (drawn | target).sum())


def outline_fits(
    a: Float[Tensor, "channels height width"],
    b: Float[Tensor, "channels height width"],
    target_a: Bool[np.ndarray, "height width"],
    target_b: Bool[np.ndarray, "height width"],
    written: float,
    generator: np.random.Generator,
) -> list[float]:
    """All fits of a pair of clicks, in the order of `FITS`.

    Args:
        a, b: the features of both clicks.
        target_a, target_b: their target masks.
        written: the IoU of B's target mask with A's features and B's weights.
        generator: draws the sines and the other positions.
    """
    waves = sines(a.shape[-1], len(a), generator=torch.Generator().manual_seed(int(generator.integers(2**31))))
    others = [mask for _ in range(PLACES) if _kept(mask := elsewhere(target_b, generator))]

    def mean(fit: Callable[[np.ndarray], float]) -> float:
        return float(np.mean([fit(mask) for mask in others]))

    return [
        fitted_iou(a, target_a),
        fitted_iou(b, target_b),
        fitted_iou(a, target_b),
        mean(lambda mask: fitted_iou(a, mask)),
        fitted_iou(waves, target_b),
        mean(lambda mask: fitted_iou(waves, mask)),
        written,
    ]


def _kept(mask: np.ndarray) -> bool:
    return bool(mask[::STRIDE, ::STRIDE].any())
