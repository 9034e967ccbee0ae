"""UPSCALING_WAYS: step (5) with other layers, or with less in its squares, to see how much of a mask is left.

**Constants.** A layer that is merely removed shows the decoder numbers that it never saw: a shock. So beside each
removal stands a replacement that keeps what is usual. *Affine*: each channel's best straight line through the layer's
outputs on other scenes. *Mean restored*: a number per channel is added, so that its mean on other scenes stays.
*Constant statistics*: the norm with one mean and one variance for all pixels, those of other scenes.

**Parabola.** GELU(x) - GELU(-x) = x, so GELU is x / 2 and a function that is the same at x and at -x. Near zero that
function is x^2 / sqrt(2 pi). For ReLU it is |x| / 2, for no activation (halved, which moves no threshold) it is zero.

**Controls of the squares.** *Moved by 2*: squares of the same size that are no image token's. *Squares of 2*: what the
first doubling wrote is kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.ablation.grid_parts import flat_squares, joined_squares, moved_flat_squares, split
from sam_edu.modules import LayerNorm2d

UPSCALING_WAYS: dict[str, str] = {
    "no last GELU": "layer 4 is removed",
    "last GELU affine": "layer 4 becomes its best straight line on other scenes, channel by channel",
    "last GELU a parabola": "layer 4 becomes x / 2 + x^2 / sqrt(2 pi)",
    "last GELU a ReLU": "layer 4 becomes a ReLU",
    "last GELU a ReLU, mean restored": "the same, and a number per channel keeps its mean on other scenes",
    "no first GELU": "layer 2 is removed",
    "first GELU affine": "layer 2 becomes its best straight line on other scenes, channel by channel",
    "first GELU a parabola": "layer 2 becomes x / 2 + x^2 / sqrt(2 pi)",
    "first GELU a ReLU": "layer 2 becomes a ReLU",
    "first GELU a ReLU, mean restored": "the same, and a number per channel keeps its mean on other scenes",
    "both GELUs' tanh form": "layers 2 and 4 become GELU's approximation by tanh",
    "no norm": "layer 1 is removed",
    "norm with constant statistics": "layer 1 takes the mean and the variance of a pixel's channels from other scenes",
    "GroupNorm": "layer 1 becomes nn.GroupNorm(1, C) with its parameters",
    "no pattern": "the part that is common to all squares is removed from the features",
    "pattern of other scenes": "it becomes its mean over other scenes",
    "squares flat": "each image token's square of features becomes its mean",
    "squares moved by 2, flat": "the same for squares that lie 2 pixels further down and right",
    "squares of 2 flat": "the same for the squares of 2 x 2 pixels that the first doubling makes",
    "squares joined": "the squares' means are interpolated bilinearly",
}
"""All ways by name, each with the text that is stored beside the numbers. Another text means another way."""

PAINTING = tuple(UPSCALING_WAYS)[-6:]
"""The ways that change the features inside the squares, and no layer."""


@dataclass(frozen=True)
class Activation:
    """What an activation's inputs and outputs are on other scenes, channel by channel.

    Attributes:
        slope, intercept: of its best straight line.
        lost: what a ReLU in its position takes from the channel's mean.
    """

    slope: Float[Tensor, "channels"]
    intercept: Float[Tensor, "channels"]
    lost: Float[Tensor, "channels"]


@dataclass(frozen=True)
class UpscalingMeans:
    """Means over the clicks of other scenes.

    Attributes:
        first, last: of the two GELUs.
        pixel_mean: the mean of a pixel's channels before the norm.
        pixel_variance: their variance.
        stamps: the features' pattern.
    """

    first: Activation
    last: Activation
    pixel_mean: float
    pixel_variance: float
    stamps: Float[Tensor, "features 4 4"]


Function = Callable[[Tensor], Tensor]


def parabola(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """GELU's first two terms at zero: x / 2 + x^2 / sqrt(2 pi)."""
    return x / 2 + x * x / math.sqrt(2 * math.pi)


def logits_by_way(
    layers: nn.Sequential,
    image_tokens: Float[Tensor, "1 dim rows columns"],
    weights: Float[Tensor, "features"],
    means: UpscalingMeans,
) -> dict[str, Float[Tensor, "height width"]]:
    """The logits of one mask: "as it is", and way by way.

    Args:
        layers: the five layers of step (5).
        image_tokens: of one click.
        weights: of the mask, from step (6-2).
        means: over clicks of other scenes.
    """
    doubled = layers[0](image_tokens)
    normed = layers[1](doubled)
    once = layers[3](layers[2](normed))

    def product(features: Float[Tensor, "1 features height width"]) -> Float[Tensor, "height width"]:
        return torch.einsum("c,chw->hw", weights, features[0])

    def first(change: Function) -> Float[Tensor, "height width"]:
        return product(layers[4](layers[3](change(normed))))

    def norm(x: Float[Tensor, "1 channels once_high once_wide"]) -> Float[Tensor, "height width"]:
        return product(layers[4](layers[3](layers[2](x))))

    logits = product(layers[4](once))
    removed = {"no last GELU": product(once), "no first GELU": first(nn.Identity())}
    exchanged = {
        "last GELU a parabola": product(parabola(once)),
        "last GELU a ReLU": product(F.relu(once)),
        "first GELU a parabola": first(parabola),
        "first GELU a ReLU": first(F.relu),
        "both GELUs' tanh form": product(F.gelu(layers[3](F.gelu(normed, approximate="tanh")), approximate="tanh")),
    }
    usual = {
        "last GELU affine": product(_affine(once, means.last)),
        "last GELU a ReLU, mean restored": product(_restored(once, means.last)),
        "first GELU affine": first(lambda x: _affine(x, means.first)),
        "first GELU a ReLU, mean restored": first(lambda x: _restored(x, means.first)),
    }
    layer: LayerNorm2d = layers[1]  # type: ignore[assignment]
    scale, shift, eps = layer.weight[:, None, None], layer.bias[:, None, None], layer.eps
    constant = (doubled - means.pixel_mean) / math.sqrt(means.pixel_variance + eps) * scale + shift
    norms = {
        "no norm": norm(doubled),
        "norm with constant statistics": norm(constant),
        "GroupNorm": norm(F.group_norm(doubled, 1, layer.weight, layer.bias, eps)),
    }
    found = {"as it is": logits} | removed | exchanged | usual | norms | _painted(logits, weights, means.stamps)
    return {name: found[name] for name in ("as it is", *UPSCALING_WAYS)}


def _painted(
    logits: Float[Tensor, "height width"],
    weights: Float[Tensor, "features"],
    usual: Float[Tensor, "features 4 4"],
) -> dict[str, Float[Tensor, "height width"]]:
    """The ways of `PAINTING`. Each is linear, so it may be applied to the sum of the features instead of to each."""
    one = logits[None]
    between, pattern, drawing = split(one)
    repeats = pattern.shape[1] // usual.shape[1], pattern.shape[2] // usual.shape[2]
    of_others = torch.einsum("c,cyx->yx", weights, usual).repeat(*repeats)
    painted = (
        between + drawing,
        between + of_others + drawing,
        flat_squares(one),
        moved_flat_squares(one),
        flat_squares(one, 2),
        joined_squares(one),
    )
    return {name: way[0] for name, way in zip(PAINTING, painted, strict=True)}


def _affine(x: Float[Tensor, "1 channels height width"], usual: Activation) -> Float[Tensor, "1 channels height width"]:
    return usual.slope[:, None, None] * x + usual.intercept[:, None, None]


def _restored(
    x: Float[Tensor, "1 channels height width"], usual: Activation
) -> Float[Tensor, "1 channels height width"]:
    return F.relu(x) + usual.lost[:, None, None]
