"""Notebook 08, the mask decoder: what it states about the trained model."""

import numpy as np

from claims.claim import Predicate
from claims.evidence import Evidence
from sam_edu.ablation import Effect, MaskLikeness, ResampledTokens, mask_likeness_in

OBJECT, PART, SUB_PART = range(3)
LEVELS = (OBJECT, PART, SUB_PART)


def mask_errors(e: Evidence) -> list[float]:
    """How far each of the five faults moves the masks, as a share of the largest logit, in the table's order."""
    return e.printed("08", "diverge-table", r"masks off by #")


def correlation(predicted: np.ndarray, true: np.ndarray) -> float:
    return float(np.corrcoef(predicted[:, 1:].ravel(), true[:, 1:].ravel())[0, 1])


def within(predicted: np.ndarray, true: np.ndarray) -> float:
    """The correlation with the mean of each mask's number removed."""
    return correlation(predicted - predicted.mean(0), true - true.mean(0))


def against_picked(e: Evidence, values: np.ndarray, level: int) -> Effect:
    """How much nearer to the target than the mask that the head picks, at one level."""
    return e.mean_of(values - e.of_mask(e.stats.prompts.iou, e.picked), level)


def nearest(e: Evidence, level: int) -> list[float]:
    """The share of the targets of a level to which each of masks 1 to 3 is the nearest."""
    chosen = e.stats.prompts.iou[e.stats.prompts.level == level, 1:].argmax(1)
    return [float((chosen == mask).mean()) for mask in range(3)]


def picked_gain(e: Evidence, iou: np.ndarray, over: str) -> Effect:
    """How much the head's choice gains over a random mask of the three, or over mask 3."""
    return e.mean_of(e.of_mask(iou, e.picked) - {"random": iou[:, 1:].mean(1), "mask 3": iou[:, 3]}[over])


def above_half(e: Evidence, iou: np.ndarray) -> float:
    """Of the masks with a high prediction, the share whose IoU is above one half."""
    found = iou[:, 1:][e.stats.prompts.predicted[:, 1:] > 0.85] > 0.5
    return float(found.mean()) if found.size else 0.0


def alike(e: Evidence) -> MaskLikeness:
    return mask_likeness_in(e.arrays)


def resampled(e: Evidence, slots: str) -> Effect:
    """What the masks lose with tokens of another click."""
    return e.mean_of(ResampledTokens(e.arrays).change(slots))


CLAIMS: dict[str, dict[str, Predicate]] = {
    "diverge-after": {
        "a wrong eps and the tanh form cannot be seen in a mask": lambda e: (
            0 < mask_errors(e)[1] < 1e-3 and 0 < mask_errors(e)[3] < 1e-3
        ),
    },
    "trained": {
        "the tiny model's masks come in the order of size": lambda e: (
            np.diff(e.stats.prompts.area[:, 1:].mean(axis=0)) > 0
        ).all(),
    },
    "alike-after": {
        "the masks of a box are much more alike than those of a click": lambda e: (
            e.mean_of(alike(e).boxes - alike(e).clicks).low > 0.3
        ),
        "and not equal": lambda e: 0 < e.mean_of(alike(e).boxes).high < 0.97,
    },
    "zero-after": {
        "mask 0 is farther from objects than the picked mask": lambda e: (
            against_picked(e, e.stats.prompts.iou[:, 0], OBJECT).high < 0
        ),
        "and nearer to parts and sub-parts": lambda e: all(
            against_picked(e, e.stats.prompts.iou[:, 0], level).low > 0.1 for level in (PART, SUB_PART)
        ),
        "the head picks mask 3 for most clicks": lambda e: (e.picked == 3).mean() > 0.6,
        "always mask 3 is not shown to differ on objects": lambda e: (
            e.stats.prompts.iou.mean() > 0 and not against_picked(e, e.stats.prompts.iou[:, 3], OBJECT).clear
        ),
        "and is worse elsewhere": lambda e: all(
            against_picked(e, e.stats.prompts.iou[:, 3], level).high < 0 for level in (PART, SUB_PART)
        ),
        "mask 0 of a box is nearer at every level": lambda e: all(
            against_picked(e, e.stats.prompts.boxes_iou, level).low > 0 for level in LEVELS
        ),
    },
    "nested-many-after": {
        "mask 1 is the nearest for sub-parts": lambda e: nearest(e, SUB_PART)[0] > 0.9,
        "mask 3 for most objects": lambda e: nearest(e, OBJECT)[2] > 0.6,
        "parts are divided between masks 1 and 2": lambda e: min(nearest(e, PART)[:2]) > 0.33 > nearest(e, PART)[2],
        "the order of size holds at almost every click": lambda e: (
            (np.diff(e.stats.prompts.area[:, 1:]) > 0).all(1).mean() > 0.9
        ),
    },
    "head-pick": {
        "for the target mask the predictions are too high": lambda e: (
            e.mean_of((e.stats.prompts.predicted - e.stats.prompts.iou)[:, 1:].mean(1)).low > 0.05
        ),
        "and not for the best-matching mask": lambda e: (
            abs((e.stats.prompts.predicted - e.stats.prompts.iou_any)[:, 1:].mean()) < 0.05
            and e.stats.prompts.iou_any.min() >= 0
        ),
        "the correlation hardly falls without each mask's mean": lambda e: (
            e.stats.prompts.predicted.mean() > 0
            and within(e.stats.prompts.predicted, e.stats.prompts.iou_any)
            > correlation(e.stats.prompts.predicted, e.stats.prompts.iou_any) - 0.1
        ),
        "the area alone has a far lower one": lambda e: (
            e.stats.prompts.predicted.mean() > 0
            and correlation(e.stats.prompts.area, e.stats.prompts.iou_any)
            < correlation(e.stats.prompts.predicted, e.stats.prompts.iou_any) - 0.3
        ),
        "of the masks with a high prediction about a third miss the target": lambda e: (
            0.58 < above_half(e, e.stats.prompts.iou) < 0.75
        ),
        "and nearly none miss all ground-truth masks": lambda e: above_half(e, e.stats.prompts.iou_any) > 0.97,
    },
    "head-pick-after": {
        "no gain over a random mask is shown for the target": lambda e: (
            e.stats.prompts.iou.mean() > 0 and not picked_gain(e, e.stats.prompts.iou, "random").clear
        ),
        "for the best-matching mask it is clear": lambda e: picked_gain(e, e.stats.prompts.iou_any, "random").low > 0.1,
        "over always mask 3 the gain is small": lambda e: (
            picked_gain(e, e.stats.prompts.iou_any, "mask 3").low > 0
            and picked_gain(e, e.stats.prompts.iou_any, "mask 3").high < 0.06
        ),
    },
    "switch-after": {
        "the IoU token of another click costs nothing clear, and little more than a hundredth at most": lambda e: (
            -0.015 < resampled(e, "IoU token").low < 0 <= resampled(e, "IoU token").high < 0.005
        ),
        "the padding's cost is clear, and as small": lambda e: (
            -0.015 < resampled(e, "padding").low < resampled(e, "padding").high < 0
        ),
        "with all others it is more than a third": lambda e: (
            resampled(e, "all but the IoU token").high < -e.stats.baseline().mean() / 3 < 0
        ),
    },
    "tune-after": {
        "masks 1 to 3 change when only mask 0 is trained": lambda e: 0 < min(e.printed("08", "tune-who", r"'#'")) < 0.9,
    },
    "read-one-prose": {
        "predictions above 1 were counted": lambda e: (e.stats.prompts.predicted > 1).any(),
    },
    "ex3-explain": {
        "the head's output for another token looks like any other prediction": lambda e: all(
            0 <= value <= 1.1
            for value in e.printed("08", "ex3-run", r"one too (?:far|early) +predicted IoU \[#, #, #\]")
        ),
    },
    "summary": {
        "a predicted IoU estimates the overlap with some ground-truth mask, not with the target": lambda e: (
            correlation(e.stats.prompts.predicted, e.stats.prompts.iou_any)
            > 0.3 + correlation(e.stats.prompts.predicted, e.stats.prompts.iou)
            and e.stats.prompts.predicted.mean() > 0
        ),
    },
}
