"""Notebook 00, the whole decoder: what it states about the trained model."""

from functools import cache

import numpy as np
import torch

import sam_edu
from claims.claim import Predicate
from claims.click import UPSCALED, Click, overlap
from claims.evidence import Evidence
from sam_edu.evaluation.photographs import photographs
from sam_edu.scenes.clicks import centre_click


def channels_that_follow_areas(click: Click) -> int:
    """How many channels have a correlation above 0.6 with a ground-truth mask, or with all of them together."""
    masks = torch.from_numpy(click.example.masks).float()
    channels, areas = click.t[UPSCALED][0].flatten(1), torch.cat([masks, masks.amax(0, keepdim=True)]).flatten(1)
    correlations = torch.corrcoef(torch.cat([channels, areas]))[:32, 32:].abs().amax(1)
    return int((correlations > 0.6).sum())


def nearest_by_level(e: Evidence) -> list[tuple[int, float]]:
    """For objects, parts and sub-parts: which of masks 1 to 3 is most often nearest to the target, and how often."""
    prompts = e.stats.prompts
    nearest = 1 + prompts.iou[:, 1:].argmax(1)
    counts = [np.bincount(nearest[prompts.level == level], minlength=4) for level in range(3)]
    return [(int(count.argmax()), float(count.max() / count.sum())) for count in counts]


@cache
def petal_with_largest_surplus(click: Click) -> tuple[float, float]:
    """Of mask 0 at the petal's centre: how much of the petal it covers, and its surplus as a share of the petal."""
    example = click.example
    flower, *parts = example.at(*example.click[0])
    petals = [i for i in np.flatnonzero(example.parent == flower) if i not in parts]
    masks = [(click.trace_at(centre_click(example.masks[i])[None])["masks"][0, 0] > 0).numpy() for i in petals]
    surplus = [(mask & ~example.masks[i]).sum() for mask, i in zip(masks, petals, strict=True)]
    most = int(np.argmax(surplus))
    petal = example.masks[petals[most]]
    return float((masks[most] & petal).sum() / petal.sum()), float(surplus[most] / petal.sum())


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


CLAIMS: dict[str, dict[str, Predicate]] = {
    "tiny": {
        "the masks have the quality of a tiny model's": lambda e: (
            e.mean_of(e.stats.baseline()).low > 0.75 and e.mean_of(e.stats.baseline()).high < 0.95
        ),
        "a reader will see mistakes": lambda e: 0.01 < (e.stats.baseline() < 0.7).mean() < 0.3,
    },
    "s3-after": {
        "the first step turns every token further than any later step": lambda e: (
            e.click.turns[:, 0].min() > 5 + e.click.turns[:, 1:].max()
        ),
    },
    "s5": {
        "some channels follow whole areas": lambda e: 3 <= channels_that_follow_areas(e.click) < 32,
    },
    "training": {
        "each mask token is good at one kind of answer": lambda e: (
            [number for number, _ in nearest_by_level(e)] == [3, 2, 1]
            and min(share for _, share in nearest_by_level(e)) > 0.4
        ),
    },
    "negative-prose": {
        "mask 0 covers the petal and more than it": lambda e: (
            petal_with_largest_surplus(e.click)[0] > 0.8 and 0.5 < petal_with_largest_surplus(e.click)[1] < 3
        ),
    },
    "box": {
        "one more click does not always give a better mask": lambda e: (
            0.05 < (np.diff(e.stats.prompts.corrections[0], axis=1).min(axis=1) < -0.02).mean() < 0.5
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
