"""Notebook 01, the MLP: what it states about the trained model."""

from typing import Any

from torch import Tensor

from claims.claim import Predicate
from claims.click import Click
from claims.evidence import Evidence
from sam_edu.ablation import NO_RELU, SHARED, Effect, HiddenUnits
from sam_edu.ablation.hidden_units import MIRROR, SetWay

BLOCKS = (0, 1)
MLPS = ("transformer.layers.0.mlp", "transformer.layers.1.mlp")
MODES: tuple[SetWay, ...] = ("mean", "resample")
POSITION, PART, OTHER, UNIT = MIRROR
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


def most(click: Click, block: int) -> Tensor:
    """For each unit the largest value before the ReLU, over all vectors that norm2 can put out."""
    layer = click.model.mask_decoder.transformer.layers[block]
    rows = layer.mlp.lin1.weight * layer.norm2.weight
    return 16 * (rows - rows.mean(1, keepdim=True)).norm(dim=1) + layer.mlp.lin1(layer.norm2.bias)


def shared(e: Evidence, which: str, block: int, model: Any = "trained") -> float:
    return units(e).shared(which, block, model).mean


def between_levels(e: Evidence, name: str, one: int, other: int) -> Effect:
    """The mean effect at one level less that at another, with one interval for both."""
    level = e.stats.prompts.level
    weights = [(level == each) / (level == each).mean() for each in (one, other)]
    return e.mean_of((e.stats.scores(name) - e.stats.baseline()) * (weights[0] - weights[1]))


CLAIMS: dict[str, dict[str, Predicate]] = {
    "r11-after": {
        "predicted IoUs lie near the range from 0 to 1": lambda e: (
            e.stats.prompts.predicted.min() > -0.1 and e.stats.prompts.predicted.max() < 1.1
        ),
    },
    "fire-after": {
        "one unit in twenty fires in block 0, fewer in block 1": lambda e: (
            0.03 < firing(e, 0) < 0.07 and 0 < firing(e, 1) < firing(e, 0)
        ),
        "about half in both controls": lambda e: all(
            0.4 < firing(e, b, model) < 0.6 for b in BLOCKS for model in ("untrained", "reshuffled")
        ),
        "more than half fire at no click, hundreds of them at a box": lambda e: all(
            never(e, b).mean() > 0.5 and (units(e).rates("boxes")[b][never(e, b)] > 0).sum() >= 200 for b in BLOCKS
        ),
        "no unit is dead for certain": lambda e: all(most(e.click, b).min() > 0 for b in BLOCKS),
        "far more at the exits of the masks": lambda e: units(e).exits()[:, 1:].mean() > 4 * firing(e, 0) > 0,
        "in block 0 units belong to tokens, in block 1 no longer": lambda e: (
            shared(e, SCENE, 0) > 0.1 + shared(e, TOKEN, 0) and shared(e, SCENE, 1) < shared(e, TOKEN, 1)
        ),
        "both shares lie above their control": lambda e: all(
            shared(e, which, b) > 0.03 + shared(e, BOTH, b) for which in (TOKEN, SCENE) for b in BLOCKS
        ),
        "untrained tokens fire nearly the same units": lambda e: all(
            shared(e, which, b, "untrained") > 0.8 for which in SHARED for b in BLOCKS
        ),
    },
    "carry-after": {
        "the tenth carries most of what step (3) says to this click": lambda e: all(
            units(e).effect(mode, 205).mean < 0.5 * e.stats.effect(f"step (3) {mode}", "margin").mean < 0
            for mode in MODES
        ),
        "each time more than every draw": lambda e: all(
            units(e).against_draws(mode, 205).below == 0 and units(e).beyond_draws(mode, 205).high < 0 for mode in MODES
        ),
        "kept alone, most of the loss is gone": lambda e: (
            0.5 * e.stats.effect("step (3) mean", "margin").mean < units(e).effect("others mean", 205).mean < 0
        ),
        "kept alone, the draws bring back most, too": lambda e: (
            0.5 * e.stats.effect("step (3) mean", "margin").mean < units(e).against_draws("others mean", 205).mean < 0
        ),
        "kept alone, some draws do as well": lambda e: 0 < units(e).against_draws("others mean", 205).below < 20,
        "in IoU it is small": lambda e: -0.05 < units(e).effect("resample", 205, "best").mean < 0,
        "in IoU only resampling sets the tenth apart from all draws": lambda e: (
            [units(e).against_draws(mode, 205, "best").below == 0 for mode in MODES] == [False, True]
        ),
    },
    "where-after": {
        "most of a map stays when the image is mirrored": lambda e: units(e).mirror(POSITION).low > 0.5,
        "and nearly as much for another image": lambda e: (
            units(e).mirror(OTHER).low > 0.5 and units(e).mirror(OTHER).mean > units(e).mirror(POSITION).mean - 0.15
        ),
        "untrained maps hardly depend on the image": lambda e: units(e).mirror(POSITION, "untrained").low > 0.97,
        "another image changes the trained maps more": lambda e: (
            0 < units(e).mirror(OTHER).high < units(e).mirror(OTHER, "untrained").low
        ),
        "the agreement with the mirrored part is small": lambda e: (
            units(e).mirror(UNIT).high < units(e).mirror(PART).low and units(e).mirror(PART).high < 0.2
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
        "by the mean and by zero the loss is larger for sub-parts than for objects": lambda e: all(
            between_levels(e, f"step (3) {mode}", 2, 0).high < 0 for mode in ("mean", "zero")
        ),
        "between the blocks no difference shows, and a hundredth is excluded": lambda e: (
            not e.difference(f"{MLPS[0]} mean", f"{MLPS[1]} mean").clear
            and e.difference(f"{MLPS[0]} mean", f"{MLPS[1]} mean").at_most < 0.01
            and e.effect("step (3) zero").high < 0
        ),
        "for boxes block 0's MLP is worth several times as much": lambda e: (
            e.stats.effect(f"{MLPS[0]} mean", prompts="boxes").high < 2 * e.stats.effect(f"{MLPS[0]} mean").mean < 0
        ),
        "the token mean costs most of all": lambda e: (
            e.difference("mlps every unit token mean", "step (3) zero").high < 0
        ),
    },
    "ex3-explain": {
        "at the usual length the direction still breaks the masks": lambda e: (
            units(e).without_relu(NO_RELU[1]).high < -0.5
        ),
        "the usual direction at the wrong length costs a fraction": lambda e: (
            0.3 * units(e).without_relu(NO_RELU[1]).mean < units(e).without_relu(NO_RELU[2]).mean < 0
        ),
        "though more than silent units": lambda e: (
            units(e).without_relu(NO_RELU[2]).high < e.effect("mlps every unit zero").low < 0
        ),
        "nearly all units are negative for a given token": lambda e: all(0 < firing(e, b) < 0.1 for b in BLOCKS),
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
