"""Notebook 06, upscaling: what it states about the trained model."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from claims.claim import Predicate
from claims.click import UPSCALED, Click, flat, joined, overlap, variances
from claims.evidence import Evidence


def against_unrelated_channels(click: Click) -> np.ndarray:
    """The logits' variance over that of unrelated channels, (3 parts, 4 masks): token to token, pattern, drawing."""
    return click.pattern["masks"] / (click.pattern[UPSCALED] @ (click.t["hyper_in"][0] ** 2).T.numpy())


def share_of_pattern(click: Click) -> tuple[float, float]:
    """The pattern's share of the logits' variance, and the same with the weights at random channels."""
    generator, weights = torch.Generator().manual_seed(0), click.t["hyper_in"][0]
    shuffled = [weights[:, torch.randperm(32, generator=generator)] for _ in range(5)]
    parts = [variances(torch.einsum("mc,chw->mhw", one, click.t[UPSCALED][0])) for one in shuffled]
    shares = [(one[1] / one.sum(0)).mean() for one in (click.pattern["masks"], *parts)]
    return float(shares[0]), float(np.mean(shares[1:]))


def jumps_of_the_control(click: Click) -> float:
    """Jumps across a line of a grid of 4, over those within a half, for the squares' means joined bilinearly."""
    smooth = joined(click.t["masks"])[0]
    kinds = smooth.diff(dim=-1).abs()[..., :252].unflatten(-1, (63, 4)).mean((0, 1, 2))
    return float((kinds[1] + kinds[3]) / (kinds[0] + kinds[2]))


def deviations_before_the_norm(click: Click) -> tuple[float, float]:
    """The smallest and the largest standard deviation of a pixel's channels."""
    deviation = click.t["output_upscaling.doubled_once"][0].std(0, correction=0)
    return float(deviation.min()), float(deviation.max())


def left(click: Click, logits: np.ndarray) -> float:
    return float(overlap(logits[1:] > 0, click.masks[1:]).mean())


def flips_at_the_edge(click: Click) -> float:
    """With flat squares: the share of the flipped pixels within 4 pixels of the edge, the lowest of the masks."""
    logits = click.logits
    flips = torch.from_numpy(click.painted(after=flat) > 0) != (logits > 0)
    border = F.max_pool2d(logits, 9, 1, 4) * F.max_pool2d(-logits, 9, 1, 4) > 0
    return float(((flips & border).sum((1, 2)) / flips.sum((1, 2)))[1:].min())


def cost(e: Evidence, name: str) -> float:
    """The mean change in IoU over the notebook's held-out clicks."""
    return e.printed("06", "held-out-print", f"{name}: change #")[0]


NO_LAST, RELU_LAST = {4: nn.Identity()}, {4: nn.ReLU()}
NO_FIRST, NO_NORM = {2: nn.Identity()}, {1: nn.Identity()}

CLAIMS: dict[str, dict[str, Predicate]] = {
    "split-cancel-after": {
        "the channels contain the pattern": lambda e: (
            (e.click.pattern[UPSCALED][1] / e.click.pattern[UPSCALED].sum(0)).mean() > 0.2
        ),
        "the product removes it": lambda e: against_unrelated_channels(e.click)[1].max() < 0.2,
        "that depends on the match of weights and channels": lambda e: (
            5 * share_of_pattern(e.click)[0] < share_of_pattern(e.click)[1]
        ),
        "much of the drawing cancels, too": lambda e: against_unrelated_channels(e.click)[2].max() < 0.4,
    },
    "jumps-after": {
        "the control's last number is near 1": lambda e: 0.85 < jumps_of_the_control(e.click) < 1.1,
    },
    "norms-after": {
        "the pixels differ in standard deviation": lambda e: (
            deviations_before_the_norm(e.click)[1] > 1.5 * deviations_before_the_norm(e.click)[0]
        ),
        "all are far above the root of eps": lambda e: deviations_before_the_norm(e.click)[0] > 0.1,
    },
    "held-out-gelu": {
        "painting has a small effect beside ReLU in the last GELU's position": lambda e: (
            cost(e, "ReLU at the end") < 3 * cost(e, "squares flat") < 0
        ),
        "on this click, painting has a small effect beside the first GELU and the norm": lambda e: (
            left(e.click, e.click.painted(after=flat))
            > 0.2 + max(left(e.click, e.click.painted(one)) for one in (NO_FIRST, NO_NORM))
        ),
        "a plain enlargement gives much of it": lambda e: cost(e, "means joined") > cost(e, "squares flat"),
        "ReLU costs more than no last GELU": lambda e: (
            cost(e, "ReLU at the end") < -0.1 + cost(e, "no last GELU")
            and left(e.click, e.click.painted(RELU_LAST)) < -0.3 + left(e.click, e.click.painted(NO_LAST))
        ),
        "without the last GELU the logits become larger, but most keep their sign": lambda e: (
            np.abs(e.click.painted(NO_LAST)[1:]).mean() > 1.2 * np.abs(e.click.logits[1:].numpy()).mean()
            and left(e.click, e.click.painted(NO_LAST)) > 0.9
        ),
        "many of the features are near zero": lambda e: (
            (e.click.t[UPSCALED].abs() < 0.25).float().mean() > 0.8 and e.click.t[UPSCALED].std() > 0.02
        ),
    },
    "ex3-explain": {
        "flat squares change a mask at its edge": lambda e: flips_at_the_edge(e.click) > 0.9,
    },
}
