"""Notebook 01, the MLP: what it states about the trained model."""

from typing import Any

from claims.claim import Predicate
from claims.evidence import Evidence
from sam_edu.ablation import SHARED, HiddenUnits

BLOCKS = (0, 1)
MLPS = ("transformer.layers.0.mlp", "transformer.layers.1.mlp")
TOKEN, SCENE, BOTH = SHARED
"""Of two tokens: another token of the same click; the same token, another scene; another token, another scene."""


def units(e: Evidence) -> HiddenUnits:
    return HiddenUnits(e.arrays)


def firing(e: Evidence, block: int, model: Any = "trained") -> float:
    """The share of a block's units that fires for a token."""
    return float(units(e).firing(model)[:, block].mean())


def never(e: Evidence, block: int) -> Any:
    """Which units fire at no held-out click."""
    return units(e).rates("clicks")[block] == 0


def shared(e: Evidence, which: str, block: int, model: Any = "trained") -> float:
    return units(e).shared(which, block, model).mean


CLAIMS: dict[str, dict[str, Predicate]] = {
    "r11-after": {
        "predicted IoUs lie near the range from 0 to 1": lambda e: (
            e.stats.prompts.predicted.min() > -0.1 and e.stats.prompts.predicted.max() < 1.1
        ),
    },
    "worth-after": {
        "for clicks the mean costs little": lambda e: -0.03 < e.stats.effect("step (3) mean").high < 0,
        "a minor part of what zero suggests": lambda e: (
            e.effect("step (3) mean").mean > 0.5 * e.effect("step (3) zero").mean
            and e.difference("step (3) zero", "step (3) mean").high < 0
        ),
        "most of what the units add is a constant": lambda e: all(units(e).constant(b).low > 0.5 for b in BLOCKS),
        "resampling costs more than the mean": lambda e: e.difference("step (3) resample", "step (3) mean").high < 0,
        "the loss is largest for sub-parts": lambda e: all(
            e.effect(f"step (3) {mode}", 2).mean < min(e.effect(f"step (3) {mode}", level).mean for level in (0, 1))
            for mode in ("mean", "zero")
        ),
        "for boxes block 0's MLP is worth several times as much": lambda e: (
            e.stats.effect(f"{MLPS[0]} mean", prompts="boxes").high < 2 * e.stats.effect(f"{MLPS[0]} mean").mean < 0
        ),
        "the token mean costs most of all": lambda e: (
            e.difference("mlps every unit token mean", "step (3) zero").high < 0
        ),
    },
    "read-13-after": {
        "predictions above 1 occur at held-out clicks, and by little": lambda e: (
            (e.stats.prompts.predicted > 1).any() and e.stats.prompts.predicted.max() < 1.1
        ),
        "the gradient ascent goes further": lambda e: (
            e.click.walk[0] > 0.2
            and e.printed("01", "read-13-walk", "trained +after 30 steps: highest predicted IoU +#")[0] > 1.1
        ),
        "it keeps the token's length and turns its direction": lambda e: (
            0.9 < e.click.walk[1] < 1.1 and e.click.walk[2] > 20
        ),
        "a head of reshuffled weights climbs as well": lambda e: (
            e.printed("01", "read-13-walk", "reshuffled after 30 steps: highest predicted IoU +#")[0]
            > 0.1 + e.printed("01", "read-13-walk", "reshuffled after +0 steps: highest predicted IoU +#")[0]
        ),
    },
}
