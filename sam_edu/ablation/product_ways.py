"""WAYS: the product (6-3) with other features or other weights, to see how much of each mask is left.

A feature is *loud* above zero and *silent* below: a GELU's output is never below -0.17.

**Constants.** What is replaced gets, in its channel, the mean over the clicks of other scenes (`ProductMeans`). So the
decoder's usual values stay in place, and only what differs from pixel to pixel and from click to click is removed. Zero
is a value that no silent feature has: it shows a shock.

**Controls.** *Mirrored*: the same number of features in each channel, in a connected pattern of the same shape, but at
the positions that a half turn of the image gives. *Shuffled*: the click's own weights, each at another channel.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Features = Float[Tensor, "channels pixels"]
Weights = Float[Tensor, "masks channels"]
Logits = Float[Tensor, "masks pixels"]

WAYS: dict[str, str] = {
    "silent features constant": "each feature below zero becomes the mean of its channel's features below zero",
    "loud features constant": "each feature above zero becomes the mean of its channel's features above zero",
    "mirrored silent constant": "as many features, where a half turn puts the silent ones, become their channel's mean",
    "mirrored loud constant": "as many features, where a half turn puts the loud ones, become their channel's mean",
    "silent features zero": "each feature below zero becomes zero",
    "loud features zero": "each feature above zero becomes zero",
    "silent features zero, one number added": "the same, and the number is added that fits the mask best",
    "loud features zero, one number added": "the same, and the number is added that fits the mask best",
    "mean weights": "the weights become their mean over clicks of other scenes",
    "weights of another scene": "the weights become those of a click of another scene",
    "shuffled weights": "the weights are put at other channels, at random",
}
"""All ways by name, each with the text that is stored beside the numbers. Another text means another way."""


@dataclass(frozen=True)
class ProductMeans:
    """Means over the clicks of other scenes.

    Attributes:
        silent: of each channel's features below zero.
        loud: of each channel's features above zero.
        every: of each channel's features.
        weights: of the weights.
        term_sizes: of the mean absolute value over the positions of each mask's terms.
        terms: of the mean over the positions of each mask's terms.
        tokens: of the four mask tokens.
        other_weights: those of each click, unaveraged.
    """

    silent: Float[Tensor, "channels"]
    loud: Float[Tensor, "channels"]
    every: Float[Tensor, "channels"]
    weights: Weights
    term_sizes: Weights
    terms: Weights
    tokens: Float[Tensor, "masks dim"]
    other_weights: Float[Tensor, "clicks masks channels"]


def logits_by_way(
    weights: Weights, features: Features, height: int, means: ProductMeans, generator: torch.Generator
) -> dict[str, Logits]:
    """The logits of all masks, way by way.

    Args:
        weights: of this click.
        features: of this click, the pixels row by row.
        height: rows of the image.
        means: over clicks of other scenes.
        generator: draws the other click and the other channels.
    """
    silent = features < 0
    mirrored = silent.unflatten(1, (height, -1)).flip(1, 2).flatten(1)
    mask = weights @ features > 0

    def constant(where: Bool[Tensor, "channels pixels"], values: Float[Tensor, "channels"]) -> Logits:
        return weights @ torch.where(where, values[:, None], features)

    quiet, noisy = weights @ features.clamp(max=0), weights @ features.clamp(min=0)
    other = int(torch.randint(len(means.other_weights), (), generator=generator))
    order = torch.randperm(weights.shape[1], generator=generator)
    logits = (
        constant(silent, means.silent),
        constant(~silent, means.loud),
        constant(mirrored, means.every),
        constant(~mirrored, means.every),
        noisy,
        quiet,
        best_threshold(noisy, mask),
        best_threshold(quiet, mask),
        means.weights @ features,
        means.other_weights[other] @ features,
        weights[:, order] @ features,
    )
    return dict(zip(WAYS, logits, strict=True))


def best_threshold(logits: Logits, masks: Bool[Tensor, "masks pixels"]) -> Logits:
    """Logits with one number per mask added, so that what lies above zero fits that mask best by its IoU.

    Args:
        logits: of each mask.
        masks: what they should fit.
    """
    values, order = logits.sort(dim=1, descending=True)
    hits = masks.gather(1, order).cumsum(1).double()
    counts = torch.arange(1, logits.shape[1] + 1, dtype=torch.float64, device=logits.device)
    iou = hits / (counts + masks.sum(1, keepdim=True) - hits)
    below = torch.cat([values[:, 1:], values[:, -1:] - 1], dim=1)  # the next value, which stays outside
    iou[values == below] = -1.0  # equal logits lie on the same side
    return logits - below.gather(1, iou.argmax(1, keepdim=True))


def overlaps(
    predicted: Bool[Tensor, "predicted pixels"], masks: Bool[Tensor, "masks pixels"]
) -> Float[Tensor, "predicted masks"]:
    """IoU of each predicted mask with each mask; 1 where both are empty, since nothing is lost."""
    one, other = predicted.float(), masks.float()
    hits = one @ other.T
    union = one.sum(1)[:, None] + other.sum(1)[None] - hits
    return torch.where(union > 0, hits / union.clamp(min=1), torch.ones_like(hits)).double()
