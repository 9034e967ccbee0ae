"""Notebook 06, upscaling: what it states about the trained model."""

import numpy as np
import torch
from torch.nn import functional as F

from claims.claim import Predicate
from claims.click import Click, flat, joined, overlap
from claims.evidence import Evidence
from sam_edu.ablation import LEVELS, UPSCALING_MEASURES, Effect, UpscalingStatistics
from sam_edu.evaluation.intervals import Interval

NONE, LINE, PARABOLA = "no last GELU", "last GELU affine", "last GELU a parabola"
RELU, RESTORED = "last GELU a ReLU", "last GELU a ReLU, mean restored"
FIRST = ("no first GELU", "first GELU affine", "first GELU a parabola", "first GELU a ReLU, mean restored")
FIRST_RELU = "first GELU a ReLU"
CONSTANT, MOVED = "norm with constant statistics", "squares moved by 2, flat"
FLAT, JOINED, HALVES = "squares flat", "squares joined", "squares of 2 flat"
NO_PATTERN, USUAL_PATTERN = "no pattern", "pattern of other scenes"
AREA, BOUNDARY, THIN = UPSCALING_MEASURES
BETWEEN_HALVES, BETWEEN_TOKENS = "between the halves", "to the next token"


def step5(e: Evidence) -> UpscalingStatistics:
    return UpscalingStatistics(e.arrays)


def cost(e: Evidence, way: str, measure: str = AREA) -> float:
    """What a measure loses on average."""
    return -step5(e).effect(way, measure).mean


def saved(e: Evidence, one: str, other: str, measure: str = AREA) -> Effect:
    """How much more of a measure one way leaves than another."""
    return step5(e).difference(one, other, measure)


def edge(e: Evidence, of: str, kind: str) -> Interval:
    return step5(e).edge_share(of, kind)


def deviations_before_the_norm(click: Click) -> tuple[float, float]:
    """The smallest and the largest standard deviation of a pixel's channels."""
    deviation = click.t["output_upscaling.doubled_once"][0].std(0, correction=0)
    return float(deviation.min()), float(deviation.max())


def flips(click: Click) -> torch.Tensor:
    """Which pixels of masks 0 to 3 flip with flat squares."""
    return torch.from_numpy(click.painted(after=flat) > 0) != (click.logits > 0)


def flips_at_the_edge(click: Click) -> float:
    """With flat squares: the share of the flipped pixels within 4 pixels of the edge, the lowest of the masks."""
    logits = click.logits
    border = F.max_pool2d(logits, 9, 1, 4) * F.max_pool2d(-logits, 9, 1, 4) > 0
    return float(((flips(click) & border).sum((1, 2)) / flips(click).sum((1, 2)))[1:].min())


def beyond(e: Evidence, way: str, part: float, measure: str, than: str = FLAT) -> Effect:
    """How much more of a measure a way leaves than if a part of the loss of another way remained."""
    changes = [step5(e).scores(each, measure) - step5(e).scores(None, measure) for each in (way, than)]
    return e.mean_of(changes[0] - part * changes[1])


def share_of_flips(click: Click) -> np.ndarray:
    """Flipped pixels of masks 1 to 3, in parts of the mask."""
    shares = flips(click).sum((1, 2)) / (click.logits > 0).sum((1, 2)).clamp(min=1)
    return np.asarray(shares[1:])


CLAIMS: dict[str, dict[str, Predicate]] = {
    "parts-after": {
        "a little more than a third of the channels' variance, less than a hundredth of the logits'": lambda e: (
            1 / 3 < step5(e).share("channels", "pattern").low < step5(e).share("channels", "pattern").high < 0.4
            and 0 < step5(e).share("mask", "pattern").high < 0.01
        ),
        "the pattern is there before training": lambda e: (
            step5(e).share("channels", "pattern", "untrained").low > step5(e).share("channels", "pattern").high > 0
        ),
        "with the weights at other channels much of it stays": lambda e: (
            step5(e).share("mask, weights at random", "pattern").low
            > max(0.2, 10 * step5(e).share("mask", "pattern").high)
        ),
        "the trained product leaves less than a twentieth, the untrained one all": lambda e: (
            0 < step5(e).support("pattern").high < 0.05 and 0.9 < step5(e).support("pattern", "untrained").mean < 1.1
        ),
        "the drawing cancels less, the token means support each other": lambda e: (
            step5(e).support("pattern").high < step5(e).support("drawing").low
            and step5(e).support("drawing").high < 0.5
            and step5(e).support("token means").low > 2
        ),
    },
    "grid-after": {
        "logits jump more across a line": lambda e: step5(e).jumps("mask").low > 1.2,
        "neither control does": lambda e: (
            step5(e).jumps("squares joined").high < 1
            and step5(e).jumps("mask").low > 1.1
            and step5(e).jumps("untrained mask").low < 1 < step5(e).jumps("untrained mask").high < 1.05
        ),
        "without the pattern the grid is stronger": lambda e: (
            step5(e).jumps("mask without pattern").low > step5(e).jumps("mask").high > 1
        ),
        "a third of a mask's edge lies between tokens, of the ground truth's a quarter": lambda e: (
            0.3 < edge(e, "mask", BETWEEN_TOKENS).mean < 0.36
            and edge(e, "mask", BETWEEN_TOKENS).low > 0.05 + edge(e, "target", BETWEEN_TOKENS).high
            and 0.24 < edge(e, "target", BETWEEN_TOKENS).mean < 0.26
        ),
        "between the halves there is no such excess": lambda e: (
            abs(edge(e, "mask", BETWEEN_HALVES).mean - edge(e, "target", BETWEEN_HALVES).mean) < 0.01
            and edge(e, "mask", BETWEEN_HALVES).high < edge(e, "mask", BETWEEN_TOKENS).low
        ),
    },
    "gelu-after": {
        "with a parabola in its position the IoU does not move": lambda e: (
            step5(e).effect(PARABOLA).at_most < 0.001 < cost(e, NONE) and step5(e).effect(NONE).high < 0
        ),
        "nearly all of its inputs are near zero": lambda e: step5(e).near_zero("last GELU").low > 0.99,
        "without it the IoU falls by about a hundredth, the boundary IoU by a little more": lambda e: (
            0.005 < cost(e, NONE) < cost(e, NONE, BOUNDARY) < 0.03 and step5(e).effect(NONE).high < 0
        ),
        "a straight line costs less of the boundary IoU, for the area that is not shown": lambda e: (
            saved(e, LINE, NONE, BOUNDARY).low > 0 and not saved(e, LINE, NONE).clear and cost(e, LINE) > 0
        ),
        "a ReLU costs much more than nothing": lambda e: saved(e, NONE, RELU).low > 0.3,
        "with its mean restored clearly less, but more than half": lambda e: (
            saved(e, RESTORED, RELU).low > 0.05 and cost(e, RESTORED) > 0.5 * cost(e, RELU) > 0
        ),
        "more than a quarter of the first GELU's inputs lie further from zero": lambda e: (
            0.5 < step5(e).near_zero("first GELU").high < 0.75
        ),
        "there no straight line will do, and the parabola costs something": lambda e: (
            cost(e, "first GELU affine") > 0.1 and step5(e).effect("first GELU a parabola").high < -0.02
        ),
        "of the five a plain ReLU costs least of the area": lambda e: (
            all(step5(e).difference(FIRST_RELU, way).low > 0 for way in FIRST) and cost(e, FIRST_RELU) > 0
        ),
        "restoring its mean makes it worse": lambda e: saved(e, FIRST_RELU, FIRST[-1]).low > 0.02,
    },
    "norms-after": {
        "GroupNorm costs about as much as constant statistics": lambda e: (
            0.8 * cost(e, "GroupNorm") < cost(e, CONSTANT) < 1.2 * cost(e, "GroupNorm")
            and step5(e).effect(CONSTANT).high < -0.02
        ),
        "no norm costs more than twice as much": lambda e: all(
            beyond(e, "no norm", 2, measure, "GroupNorm").high < 0 and cost(e, "GroupNorm", measure) > 0
            for measure in (AREA, BOUNDARY)
        ),
        "the loss is small for objects and large for sub-parts": lambda e: (
            step5(e).effect("GroupNorm", level=LEVELS[0]).low > -0.03
            and step5(e).effect("GroupNorm", level=LEVELS[2]).high < -0.1
        ),
        "the deviations of all pixels are far above the root of eps": lambda e: (
            deviations_before_the_norm(e.click)[0] > 0.1
        ),
    },
    "painting-after": {
        "the area loses little, the boundary about twice as much, the thin band most": lambda e: (
            0 < cost(e, FLAT) < 0.06
            and 1.5 < cost(e, FLAT, BOUNDARY) / cost(e, FLAT) < 2.5
            and cost(e, FLAT, THIN) > 2 * cost(e, FLAT, BOUNDARY)
        ),
        "squares that are moved cost the same": lambda e: (
            saved(e, FLAT, MOVED).at_most < 0.2 * cost(e, FLAT) and step5(e).effect(MOVED).high < -0.02
        ),
        "a plain enlargement gives more than half back at the edge, for the area the interval reaches it": lambda e: (
            all(beyond(e, JOINED, 1 / 2, measure).low > 0 for measure in (BOUNDARY, THIN))
            and beyond(e, JOINED, 1 / 2, AREA).mean > 0 > beyond(e, JOINED, 1 / 2, AREA).low
        ),
        "and not all": lambda e: all(step5(e).effect(JOINED, measure).high < 0 for measure in UPSCALING_MEASURES),
        "with squares of 2 less than a third remains, about a third in the thin band": lambda e: (
            all(beyond(e, HALVES, 1 / 3, measure).low > 0 for measure in (AREA, BOUNDARY))
            and 0.2 < cost(e, HALVES, THIN) / cost(e, FLAT, THIN) < 0.45
        ),
        "without the pattern the edges get a little worse": lambda e: (
            step5(e).effect(NO_PATTERN, BOUNDARY).high < 0 and cost(e, NO_PATTERN, THIN) < 0.03
        ),
        "that of other scenes gives half back or more, and not all": lambda e: all(
            0.2 < cost(e, USUAL_PATTERN, measure) / cost(e, NO_PATTERN, measure) < 0.5
            and step5(e).effect(USUAL_PATTERN, measure).high < 0
            for measure in UPSCALING_MEASURES
        ),
    },
    "ex3-explain": {
        "flat squares change a mask at its edge alone": lambda e: flips_at_the_edge(e.click) > 0.9,
        "the smallest mask loses most": lambda e: bool(
            share_of_flips(e.click)[0] > 1.5 * share_of_flips(e.click)[1:].max() > 0
        ),
        "interpolation gives much of it back": lambda e: bool(
            (
                overlap(e.click.painted(after=joined)[1:] > 0, e.click.masks[1:])
                > overlap(e.click.painted(after=flat)[1:] > 0, e.click.masks[1:])
            ).all()
        ),
    },
}
