"""Notebook 00, the whole decoder: what it states about the trained model."""

from functools import cache

import numpy as np

import sam_edu
from claims.claim import Predicate
from claims.click import Click, overlap
from claims.evidence import Evidence
from sam_edu.evaluation.photographs import photographs


def nearest_by_level(e: Evidence) -> list[np.ndarray]:
    """For objects, parts and sub-parts: how often each of masks 1 to 3 is the nearest to the target."""
    prompts = e.stats.prompts
    nearest = prompts.iou[:, 1:].argmax(1)
    levels = [prompts.level == level for level in range(3)]
    return [np.bincount(nearest[here], minlength=3) / here.sum() for here in levels]


def in_order_of_size(e: Evidence) -> float:
    """At how many clicks masks 1, 2 and 3 go from small to large, as a share."""
    return float((np.diff(e.stats.prompts.area[:, 1:]) > 0).all(axis=1).mean())


@cache
def chosen_on_the_photograph(click: Click) -> list[float]:
    """The IoU of the chosen mask with the outline by hand, for the eye and the nose, the lower one first."""
    predictor = sam_edu.Predictor(click.model)
    found = []
    for part in photographs():
        if part.name == "chelsea.png":
            predictor.set_image(part.image)
            three, predicted, _ = predictor.predict(part.click[None], [1])
            found.append(float(overlap(three[predicted.argmax()], part.mask)))
    return sorted(found)


def second_click(e: Evidence) -> np.ndarray:
    """By how much the second click, at the deepest error, changes the IoU: per held-out click."""
    return e.stats.prompts.corrections[0][:, 1] - e.stats.prompts.corrections[0][:, 0]


CLAIMS: dict[str, dict[str, Predicate]] = {
    "tiny": {
        "the masks have the quality of a tiny model's": lambda e: (
            e.mean_of(e.stats.baseline()).low > 0.75 and e.mean_of(e.stats.baseline()).high < 0.95
        ),
        "a reader will see mistakes": lambda e: 0.01 < (e.stats.baseline() < 0.7).mean() < 0.3,
    },
    "training": {
        "each mask token is good at one kind of answer": lambda e: (
            nearest_by_level(e)[0][2] > 0.6 and nearest_by_level(e)[2][0] > 0.9 and nearest_by_level(e)[1][2] < 0.15
        ),
    },
    "box": {
        "a second click helps on average": lambda e: e.mean_of(second_click(e)).low > 0.05,
        "sometimes it harms": lambda e: 0.02 < (second_click(e) < -0.02).mean() < 0.3,
        "a part of the gain comes from the change to mask 0": lambda e: (
            e.mean_of(e.of_mask(e.stats.prompts.iou, 0) - e.of_mask(e.stats.prompts.iou, e.picked)).low > 0.02
        ),
        "a box tells more than a click": lambda e: (
            e.mean_of(e.stats.prompts.boxes_iou - e.of_mask(e.stats.prompts.iou, e.picked)).low > 0
        ),
    },
    "photo": {
        "it was never trained on a photograph": lambda e: "has never seen a photograph" in e.card,
    },
    "photo-after": {
        "one of the two chosen masks misses, the other fits": lambda e: (
            chosen_on_the_photograph(e.click)[0] < 0.3 and chosen_on_the_photograph(e.click)[1] > 0.6
        ),
    },
}
