"""Notebook 09, from logits to masks: what it states about the trained model."""

import math

import numpy as np

from claims.claim import Predicate
from claims.evidence import Evidence
from sam_edu.ablation import (
    GIVEN,
    LEVELS,
    THRESHOLDS,
    Corrected,
    Effect,
    GridClicks,
    Thresholds,
    corrected_in,
    grid_clicks_in,
    thresholds_in,
)
from sam_edu.evaluation.intervals import Interval, SceneBootstrap

# --- The threshold ---


def cut(e: Evidence) -> Thresholds:
    return thresholds_in(e.arrays)


def by_threshold(e: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """The IoU by threshold of the best of masks 1 to 3, and of mask 0 of the exact box."""
    of_clicks = cut(e).clicks
    best = 1 + of_clicks[:, 1:, THRESHOLDS.index(0.0)].argmax(1)
    return of_clicks[np.arange(len(best)), best], cut(e).boxes


def moved(e: Evidence, ious: np.ndarray, threshold: float) -> Effect:
    """The change in IoU against the threshold 0."""
    return e.mean_of(ious[:, THRESHOLDS.index(threshold)] - ious[:, THRESHOLDS.index(0.0)])


def inside(e: Evidence, logit: float) -> Interval:
    """The share of the pixels with about this logit that lie in the target, for exact boxes."""
    low, high = THRESHOLDS.index(logit - 0.5), THRESHOLDS.index(logit + 0.5)
    shares = (counts[:, low] - counts[:, high] for counts in (cut(e).inside, cut(e).above))
    return SceneBootstrap([prompt.scene for prompt in e.stats.prompts]).ratio(*shares)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# --- Scores and rules ---


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    first, second = (np.argsort(np.argsort(values.ravel(), kind="stable")) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def in_order(e: Evidence, values: np.ndarray) -> np.ndarray:
    """The share of the pairs of masks 1 to 3 that a score has in the right order, click by click."""
    truth, pairs = e.stats.prompts.iou_any, ((1, 2), (1, 3), (2, 3))
    return np.mean([(values[:, i] > values[:, j]) == (truth[:, i] > truth[:, j]) for i, j in pairs], axis=0)


def gain_of_mask_0(e: Evidence, iou: np.ndarray, level: int | None = None) -> Effect:
    """IoU of mask 0 less that of the mask with the highest prediction, after one click."""
    gain = e.of_mask(iou, 0) - e.of_mask(iou, e.picked)
    return e.mean_of(gain, level)


def after_two(e: Evidence, rule: str) -> Effect:
    """IoU after two clicks by a rule, less that by the predicted IoU."""
    c = corrected(e)
    picks = {
        "stability": 1 + c.two_stability[:, 1:].argmax(1),
        "both": 1 + (c.two_stability * c.two_predicted)[:, 1:].argmax(1),
        "mask 0": 0,
        "mask 1": 1,
        "mask 3": 3,
        "best": 1 + c.two_iou[:, 1:].argmax(1),
    }
    first = e.of_mask(c.two_iou, 1 + c.two_predicted[:, 1:].argmax(1))
    return e.mean_of(e.of_mask(c.two_iou, picks[rule]) - first)


# --- Corrections ---


def corrected(e: Evidence) -> Corrected:
    return corrected_in(e.arrays)


def step(e: Evidence, click: int, clicks: int = 1) -> Effect:
    """What the last of the clicks so far changed, or the last few of them."""
    iou = corrected(e).iou
    return e.mean_of(iou[:, click - 1] - iou[:, click - 1 - clicks])


def still(e: Evidence, click: int) -> Effect:
    """What the same round changes without a new click."""
    return e.mean_of(corrected(e).still[:, click - 2] - corrected(e).iou[:, click - 2])


def of_click(e: Evidence, click: int, level: int | None = None) -> Effect:
    """What the click adds to the round."""
    return e.mean_of(corrected(e).iou[:, click - 1] - corrected(e).still[:, click - 2], level)


def step_at(e: Evidence, level: int) -> Effect:
    """What the second click changed, by the level of the target."""
    return e.mean_of(corrected(e).iou[:, 1] - corrected(e).iou[:, 0], level)


def changes(e: Evidence) -> np.ndarray:
    return np.diff(corrected(e).iou, axis=1)


def contradicted(e: Evidence, clicks: int) -> float:
    return float(corrected(e).contradicted[:, clicks - 1].mean() / clicks)


def given(e: Evidence, name: str, clicks: int, other: str = "nothing") -> Effect:
    """IoU with a mask prompt less that with another one, after the same clicks."""
    ious = corrected(e).given[:, clicks - 2]
    return e.mean_of(ious[:, GIVEN.index(name)] - ious[:, GIVEN.index(other)])


def kept_by_prediction(e: Evidence) -> Effect:
    """The mask from the second click on with the highest prediction, less the last one."""
    c = corrected(e)
    return e.mean_of(e.of_mask(c.iou[:, 1:], c.predicted[:, 1:].argmax(1)) - c.iou[:, -1])


def far_away(e: Evidence, click: int) -> bool:
    """Whether what changes is nearer to the click than the edge of the mask before, at most masks."""
    c = corrected(e)
    near = np.nanmedian(c.distance[:, click - 2])
    return bool(0 < near < 0.8 * np.nanmedian(c.of_edge[:, click - 2]))


# --- The grid ---


def grid(e: Evidence) -> GridClicks:
    return grid_clicks_in(e.arrays)


def passing_clicks(e: Evidence, level: float) -> float:
    """The mean IoU of the held-out clicks' masks with both scores above a threshold."""
    p = e.stats.prompts
    good = (p.predicted[:, 1:] > level) & (p.stability[:, 1:] >= level)
    return float(p.iou_any[:, 1:][good].mean()) if good.any() else 0.0


def passing_at(e: Evidence, on_mask: bool) -> float:
    """The mean IoU of the grid's masks with both scores above 0.5, of the clicks on a mask or on none."""
    g = grid(e)
    good = (g.predicted > 0.5) & (g.stability >= 0.5) & (g.on_mask == on_mask)[..., None]
    return float(g.iou[good].mean()) if good.any() else 0.0


def chosen(e: Evidence) -> float:
    """The threshold that is chosen on every other scene."""
    levels = [i / 20 for i in range(10, 18)]
    return next((t for t in levels if grid(e).passing(t, t, half=0).iou >= 0.85), 0.0)


CLAIMS: dict[str, dict[str, Predicate]] = {
    "threshold-after": {
        "lower thresholds gain nothing clear, at most half a hundredth": lambda e: all(
            moved(e, one, t).low < 0 and moved(e, one, t).high < 0.007
            for one in by_threshold(e)
            for t in (-0.5, -1.0, -2.0)
        ),
        "the best threshold for each mask gains little": lambda e: all(
            0 < e.mean_of(one.max(1) - one[:, THRESHOLDS.index(0.0)]).mean < 0.03 for one in by_threshold(e)
        ),
        "higher thresholds cost more than lower ones": lambda e: all(
            moved(e, one, t).mean < moved(e, one, -t).mean < 0 for one in by_threshold(e) for t in (1.0, 2.0)
        ),
        "above zero a pixel is inside more often than the sigmoid says": lambda e: all(
            inside(e, x).low > sigmoid(x) for x in (1.0, 2.0, 3.0)
        ),
        "at zero there is room for one half, and none for three quarters": lambda e: (
            inside(e, 0.0).low < 0.5 < inside(e, 0.0).high < 0.75
            and inside(e, -1.0).high < inside(e, 0.0).mean < inside(e, 1.0).low
        ),
    },
    "worth-read": {
        "across clicks both order the masks, about equally well": lambda e: (
            rank_correlation(e.stats.prompts.predicted[:, 1:], e.stats.prompts.iou_any[:, 1:]) > 0.7
            and abs(
                rank_correlation(e.stats.prompts.predicted[:, 1:], e.stats.prompts.iou_any[:, 1:])
                - rank_correlation(e.stats.prompts.stability[:, 1:], e.stats.prompts.iou_any[:, 1:])
            )
            < 0.05
        ),
        "for mask 3 the stability is better": lambda e: (
            rank_correlation(e.stats.prompts.stability[:, 3], e.stats.prompts.iou_any[:, 3])
            > 0.1 + rank_correlation(e.stats.prompts.predicted[:, 3], e.stats.prompts.iou_any[:, 3])
            > 0.1
        ),
        "within a click both are right for about five pairs of six": lambda e: all(
            0.8 < e.mean_of(in_order(e, v)).mean < 0.87 for v in (e.stats.prompts.predicted, e.stats.prompts.stability)
        ),
        "the area for three of four, which is less": lambda e: all(
            0.7 < e.mean_of(in_order(e, e.stats.prompts.area)).mean < 0.8
            and e.mean_of(in_order(e, v) - in_order(e, e.stats.prompts.area)).low > 0
            for v in (e.stats.prompts.predicted, e.stats.prompts.stability)
        ),
    },
    "pick-after": {
        "after one click the best of three is far above": lambda e: (
            e.mean_of(e.stats.prompts.iou[:, 1:].max(1)).low > 0.8 > e.mean_of(e.stats.prompts.iou[:, 0]).high
        ),
        "mask 0 is nearest to the target": lambda e: gain_of_mask_0(e, e.stats.prompts.iou).low > 0,
        "and no better mask": lambda e: gain_of_mask_0(e, e.stats.prompts.iou_any).high < 0,
        "it gains on parts and sub-parts and loses on objects": lambda e: (
            gain_of_mask_0(e, e.stats.prompts.iou, LEVELS.index("object")).high < 0
            and all(
                gain_of_mask_0(e, e.stats.prompts.iou, LEVELS.index(level)).low > 0 for level in ("part", "sub-part")
            )
        ),
        "after two clicks none of these rules differs clearly": lambda e: all(
            after_two(e, rule).low < 0 < after_two(e, rule).high and after_two(e, rule).at_most < 0.02
            for rule in ("stability", "both", "mask 0")
        ),
        "a fixed mask 1 or 3 stays far below": lambda e: all(
            after_two(e, rule).high < -0.1 for rule in ("mask 1", "mask 3")
        ),
    },
    "refine-spread": {
        "the second click gains most": lambda e: step(e, 2).low > 2 * max(step(e, n).high for n in range(3, 9)),
        "about a half of it is the change to mask 0": lambda e: (
            0.35 < gain_of_mask_0(e, e.stats.prompts.iou).mean / step(e, 2).mean < 0.65 and step(e, 2).mean > 0
        ),
        "a round without a click has it too": lambda e: 0.35 < still(e, 2).mean / step(e, 2).mean < 0.65,
        "and the click adds the rest, on every level": lambda e: all(
            of_click(e, 2, k).low > 0 for k in (None, 0, 1, 2)
        ),
        "by level mask 0 costs on objects and gives most on sub-parts": lambda e: (
            gain_of_mask_0(e, e.stats.prompts.iou, 0).high < 0
            and gain_of_mask_0(e, e.stats.prompts.iou, 2).mean > 0.5 * step_at(e, 2).mean > 0
        ),
        "from the third click on a round without a click adds nothing": lambda e: all(
            still(e, n).high < 0.01 and of_click(e, n).mean > 0 for n in range(3, 9)
        ),
        "clicks 3 and 4 gain": lambda e: step(e, 3).low > 0 and step(e, 4).low > 0,
        "after the fourth click it is small": lambda e: all(abs(step(e, n).mean) < 0.01 for n in range(5, 9)),
        "clicks seven and eight change less than a hundredth": lambda e: (
            not step(e, 8, 2).clear and step(e, 8, 2).at_most < 0.01
        ),
    },
    "refine-ways-after": {
        "a random position costs at most two or three hundredths": lambda e: all(
            -0.035 < e.mean_of((e.stats.prompts.corrections[1] - e.stats.prompts.corrections[0])[:, n - 1]).mean < 0
            for n in (2, 3, 4, 6)
        ),
        "clicks alone cost one to two hundredths": lambda e: all(
            -0.025
            < e.mean_of((e.stats.prompts.corrections_without - e.stats.prompts.corrections[0])[:, n - 1]).mean
            < 0
            for n in (2, 3, 4, 6)
        ),
        "four clicks do about as well as a box": lambda e: (
            e.mean_of(e.stats.prompts.corrections[0][:, 3] - e.stats.prompts.boxes_iou).at_most < 0.03
            and e.stats.prompts.boxes_iou.mean() > 0.9
        ),
    },
    "worse-after": {
        "about a quarter get worse at least once": lambda e: 0.2 < (changes(e).min(1) < -0.02).mean() < 0.35,
        "without the logits almost half": lambda e: (
            0.4 < (np.diff(e.stats.prompts.corrections_without, axis=1).min(1) < -0.02).mean() < 0.5
        ),
        "the median change is never below zero": lambda e: bool((np.median(changes(e), axis=0) >= 0).all()),
        "falls are about as rare late as early": lambda e: bool(
            ((changes(e)[:, 1:] < -0.02).mean(0) < 0.1).all() and (changes(e) < -0.02).any()
        ),
        "rises fade": lambda e: (changes(e) > 0.02).mean(0)[0] > 5 * (changes(e) > 0.02).mean(0)[-1],
        "what changes is nearer than the edge": lambda e: all(far_away(e, n) for n in range(2, 9)),
        "the share of contradicted clicks grows to more than a third": lambda e: (
            0 < contradicted(e, 2) < contradicted(e, 4) < contradicted(e, 6) < contradicted(e, 8)
            and contradicted(e, 8) > 1 / 3
        ),
    },
    "worse-tools": {
        "the highest prediction so far gains nothing clear": lambda e: kept_by_prediction(e).high < 0.01,
        "the upper limit is about a hundredth": lambda e: (
            0 < e.mean_of(corrected(e).iou[:, 1:].max(1) - corrected(e).iou[:, -1]).mean < 0.02
        ),
        "from the second click on the prediction is right on average": lambda e: all(
            abs(e.mean_of(corrected(e).predicted[:, n - 1] - corrected(e).iou[:, n - 1]).mean) < 0.01
            for n in range(2, 9)
        ),
        "and orders the masks": lambda e: all(
            rank_correlation(corrected(e).predicted[:, n - 1], corrected(e).iou[:, n - 1]) > 0.75 for n in range(2, 9)
        ),
        "after one click it is far too high": lambda e: (
            e.mean_of(corrected(e).predicted[:, 0] - corrected(e).iou[:, 0]).low > 0.2
        ),
    },
    "everything-thresholds": {
        "on a grid the lowest threshold passes worse masks": lambda e: (
            grid(e).passing(0.5, 0.5).iou < passing_clicks(e, 0.5) - 0.05
        ),
        "on the grid's clicks on masks it would do": lambda e: passing_at(e, on_mask=True) > 0.85,
        "most clicks lie on no object, and what passes there is far worse": lambda e: (
            grid(e).on_mask.mean() < 0.5 and 0 < passing_at(e, on_mask=False) < passing_at(e, on_mask=True) - 0.15
        ),
        "what is chosen on one half holds on the other": lambda e: (
            chosen(e) > 0.5 and grid(e).passing(chosen(e), chosen(e), half=1).iou >= 0.84
        ),
        "Meta's thresholds leave one of ten": lambda e: 0.07 < grid(e).passing(0.88, 0.95).share < 0.13,
    },
    "ex3-explain": {
        "10 and -10 keeps most of the gain at the third click": lambda e: (
            given(e, "10 and -10", 3).low > 0
            and given(e, "10 and -10", 3).mean > 0.5 * given(e, "the logits", 3).mean > 0
        ),
        "and loses a little": lambda e: given(e, "10 and -10", 3, "the logits").high < 0,
        "0 and 0.99 gains nothing clear": lambda e: (
            not given(e, "0 and 0.99", 3).clear and given(e, "0 and 0.99", 3, "the logits").high < 0
        ),
        "a wrong mask costs more than no mask": lambda e: all(given(e, "mirrored logits", n).high < 0 for n in (2, 3)),
        "and the clicks weigh more": lambda e: given(e, "mirrored logits", 3).low > -0.2 and step(e, 3).low > 0,
        "zeros cost at the third click": lambda e: given(e, "zeros", 3).high < 0,
    },
    "summary": {
        "a pixel just above 0 is inside more often than its sigmoid": lambda e: inside(e, 1.0).low > sigmoid(1.0),
        "after two clicks the scores and mask 0 come close": lambda e: (
            after_two(e, "mask 0").at_most < 0.03 and after_two(e, "best").low > 0
        ),
        "from the third click on the gain is the click's": lambda e: of_click(e, 3).low > 0 and still(e, 3).high < 0.01,
        "a single click can make a mask worse": lambda e: (
            0.05 < (changes(e)[:, 1:].min(1) < -0.02).mean() < 0.35 and np.median(changes(e)[:, 1]) > 0
        ),
    },
}
