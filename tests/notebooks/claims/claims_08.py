"""Notebook 08, the mask decoder: what it states about the trained model."""

import numpy as np

from claims.claim import Predicate
from claims.evidence import Evidence


def mask_errors(e: Evidence) -> list[float]:
    """How far each of the five faults moves the masks, as a share of the largest logit, in the table's order."""
    return e.printed("08", "diverge-table", r"masks off by #")


def correlation(predicted: np.ndarray, true: np.ndarray) -> float:
    return float(np.corrcoef(predicted[:, 1:].ravel(), true[:, 1:].ravel())[0, 1])


def nearest_shares(e: Evidence) -> list[np.ndarray]:
    """For objects, parts and sub-parts: how often each of masks 1 to 3 is the nearest to the target."""
    prompts = e.stats.prompts
    nearest = prompts.iou[:, 1:].argmax(1)
    return [
        np.bincount(nearest[prompts.level == level], minlength=3) / (prompts.level == level).sum() for level in range(3)
    ]


CLAIMS: dict[str, dict[str, Predicate]] = {
    "diverge-after": {
        "a wrong eps and the tanh form cannot be seen in a mask": lambda e: (
            0 < mask_errors(e)[1] < 1e-3 and 0 < mask_errors(e)[3] < 1e-3
        ),
    },
    "tune-after": {
        "masks 1 to 3 change when only mask 0 is trained": lambda e: 0 < min(e.printed("08", "tune-who", r"'#'")) < 0.9,
    },
    "zero-after": {
        "for a click mask 0 is closer to the target than the picked mask": lambda e: (
            e.mean_of(e.stats.prompts.iou[:, 0] - e.of_mask(e.stats.prompts.iou, e.picked)).low > 0
        ),
        "and further from it than the best of three": lambda e: (
            e.mean_of(e.stats.baseline() - e.stats.prompts.iou[:, 0]).low > 0
        ),
        "for the exact box mask 0 is better than both": lambda e: (
            e.mean_of(e.stats.prompts.boxes_iou - e.stats.baseline()).low > 0
        ),
    },
    "nested-many-after": {
        "most often the sub-part, the part and the object": lambda e: (
            [shares.argmax() for shares in nearest_shares(e)] == [2, 1, 0]
            and min(shares.max() for shares in nearest_shares(e)) > 0.4
        ),
        "with many exceptions for parts": lambda e: 0.4 < nearest_shares(e)[1].max() < 0.7,
        "they stand in the order of their mean area": lambda e: (
            np.diff(e.stats.prompts.area[:, 1:].mean(axis=0)) > 0
        ).all(),
    },
    "head-pick": {
        "for the target mask the predictions are too high": lambda e: (
            e.mean_of((e.stats.prompts.predicted - e.stats.prompts.iou)[:, 1:].mean(1)).low > 0.05
        ),
        "for its own task it is calibrated": lambda e: (
            abs((e.stats.prompts.predicted - e.stats.prompts.iou_any)[:, 1:].mean()) < 0.05
            and e.stats.prompts.iou_any.min() >= 0
        ),
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
