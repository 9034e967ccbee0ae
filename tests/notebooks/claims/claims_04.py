"""Notebook 04, the two-way block: what it states about the trained model."""

from itertools import pairwise

import numpy as np

from claims.claim import Predicate
from claims.click import Click
from claims.evidence import Evidence

CHANGES = (
    "transformer.layers.0.self_attn with residual",
    "step (3) removed",
    "step (2) removed",
    "step (4) removed",
    "step (1) removed",
)
"""From the mildest to the costliest."""

COSTLY = (
    "step (1) removed",
    "step (4) removed",
    "positional encodings of the image ablated",
    "positional encodings of the tokens ablated",
)


def cover_of_the_other_object(click: Click, masks: np.ndarray) -> float:
    """How much of the other object in the scene the drawn mask covers."""
    return float((masks[click.drawn] & click.other_object).sum() / click.other_object.sum())


def without_4_in_block_1(click: Click) -> np.ndarray:
    before = click.t["transformer.layers.0.keys_4"]
    return (click.under({"transformer.layers.1.keys_4": before})["masks"][0] > 0).numpy()


def clicks_in_that_order(e: Evidence) -> float:
    """The share of the held-out clicks at which the five changes have the order of their means."""
    scores = np.stack([e.stats.scores(name) for name in CHANGES])
    return float((np.diff(scores, axis=0) <= 0).all(axis=0).mean())


CLAIMS: dict[str, dict[str, Predicate]] = {
    "without-4-after": {
        "as it is, the mask leaves the other object out": lambda e: (
            cover_of_the_other_object(e.click, e.click.masks) < 0.05
        ),
        "without step (4) it covers the other object": lambda e: (
            cover_of_the_other_object(e.click, e.click.ablated("step (4) removed")) > 0.8
        ),
        "without step (4) of block 1 it covers most of it": lambda e: (
            cover_of_the_other_object(e.click, without_4_in_block_1(e.click)) > 0.5
        ),
    },
    "stats-next": {
        "the order of the five mean effects": lambda e: all(
            a > b for a, b in pairwise(e.effect(name).mean for name in CHANGES)
        ),
        "the order on our click": lambda e: all(
            a > b + 0.02 for a, b in pairwise(e.click.left_without(name) for name in CHANGES)
        ),
        "many single clicks have another order": lambda e: 0.1 < clicks_in_that_order(e) < 0.7,
        "without (1), (4) or either encodings more than half of the IoU is lost": lambda e: all(
            e.effect(name).mean < -0.5 * e.stats.baseline().mean() < 0 for name in COSTLY
        ),
        "without the MLPs little is lost": lambda e: -0.15 < e.effect("step (3) removed").low < 0,
        "for the residual put back no effect is shown": lambda e: not e.effect(CHANGES[0]).clear,
    },
    "read-eps-prose": {
        "another eps matters little, and more than rounding": lambda e: (
            2 * abs(e.printed("04", "read-eps", "with 1e-5: #")[0])
            < e.printed("04", "read-eps", "with 1e-6: #")[0]
            < 1e-2
        ),
    },
}
