"""Mask tokens through the MLPs of other masks: does a mask follow its token or its MLP?

Two masks of one click differ by their tokens and by their MLPs. Every token is sent through every MLP, and two more
tokens through all four: one mean token and the zero token. The same is done with MLPs whose weights are reshuffled. If
the masks follow those as well, training has not made it so: it is what four different MLPs do.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam_edu.ablation.product_ways import overlaps

LOTS = 20
"""How many times the weights are reshuffled."""

STRIDE = 3
"""Every third row and column is measured, which meets all positions of the 4 x 4 blocks that the upscaling makes."""

CROSSINGS = ("its token", "its MLP", "token's with MLP's")
"""With what a crossed mask is compared: the real mask of its token, that of its MLP; and these two with each other."""

TOKENS = ("one mean token", "zero token")
"""The tokens that all MLPs get."""


class Crossed(NamedTuple):
    """IoU of crossed masks with real ones.

    Attributes:
        crossings: in the order of `CROSSINGS`, the mean over the twelve pairs of a token and another mask's MLP.
        tokens: in the order of `TOKENS`, the mask of each MLP with its real mask.
    """

    crossings: Float[Tensor, "3"]
    tokens: Float[Tensor, "2 4"]


@torch.no_grad()
def crossed(
    mlps: Sequence[nn.Module] | nn.ModuleList,
    tokens: Float[Tensor, "4 dim"],
    mean_token: Float[Tensor, "dim"],
    features: Float[Tensor, "channels pixels"],
) -> Crossed:
    """Cross tokens and MLPs at one click.

    Args:
        mlps: one per mask.
        tokens: the mask tokens, which the real masks are made from.
        mean_token: the mean of all mask tokens over other clicks.
        features: of the click.
    """
    sent = torch.cat([tokens, mean_token[None], torch.zeros_like(mean_token)[None]])
    weights = torch.stack([mlp(sent) for mlp in mlps], dim=1)  # (tokens, MLPs, channels)
    masks: Bool[Tensor, "6 4 pixels"] = weights @ features > 0
    n = len(mlps)
    real = torch.stack([masks[i, i] for i in range(n)])
    iou = overlaps(masks.flatten(0, 1), real).unflatten(0, (len(sent), n))  # (tokens, MLPs, real masks)
    apart = [(i, j) for i in range(n) for j in range(n) if i != j]
    pairs = torch.stack([torch.stack([iou[i, j, i], iou[i, j, j], iou[i, i, j]]) for i, j in apart])
    whole = torch.stack([iou[n:, j, j] for j in range(n)], dim=1)
    return Crossed(pairs.mean(0), whole)
