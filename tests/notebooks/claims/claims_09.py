"""Notebook 09, from logits to masks: what it states about the trained model."""

import numpy as np

from claims.claim import Predicate
from claims.evidence import Evidence


def gain_of_mask_0(e: Evidence, iou: np.ndarray) -> np.ndarray:
    return e.of_mask(iou, 0) - e.of_mask(iou, e.picked)


def worse_at_least_once(e: Evidence) -> float:
    return float((np.diff(e.stats.prompts.corrections[0], axis=1).min(axis=1) < -0.02).mean())


CLAIMS: dict[str, dict[str, Predicate]] = {
    "pick-after": {
        "a rule gains with the target": lambda e: e.mean_of(gain_of_mask_0(e, e.stats.prompts.iou)).low > 0,
        "and does not select better masks": lambda e: e.mean_of(gain_of_mask_0(e, e.stats.prompts.iou_any)).high < 0,
    },
    "refine-spread": {
        "the second click gains": lambda e: (
            e.mean_of(e.stats.prompts.corrections[0][:, 1] - e.stats.prompts.corrections[0][:, 0]).low > 0
        ),
        "a part of the gain is the change to mask 0": lambda e: (
            e.mean_of(gain_of_mask_0(e, e.stats.prompts.iou)).low > 0
        ),
        "there are masks that no click helps": lambda e: (
            0.01 < (e.stats.prompts.corrections[0][:, -1] < 0.8).mean() < 0.25
        ),
        "the previous logits have an effect": lambda e: (
            e.mean_of((e.stats.prompts.corrections[0] - e.stats.prompts.corrections_without)[:, 2]).low > 0
        ),
    },
    "worse-tools": {
        "the last mask is not always the best": lambda e: (
            0.03 < (e.stats.prompts.corrections[0][:, -1] < e.stats.prompts.corrections[0].max(1) - 0.02).mean() < 0.4
        ),
    },
    "everything-thresholds": {
        "of a grid's masks fewer are good": lambda e: (
            e.printed("09", "everything-run", r"# clicks, # masks, # good")[2]
            / e.printed("09", "everything-run", r"# clicks, # masks, # good")[1]
            < 0.8 * 0.01 * e.printed("09", "everything-table", r"0\.50 both +#%")[0]
        ),
    },
    "summary": {
        "a single click can make a mask worse": lambda e: 0.05 < worse_at_least_once(e) < 0.5,
    },
}
