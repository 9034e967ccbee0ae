"""Notebook 07, the hypernetwork product: what it states about the trained model."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from claims.claim import Predicate
from claims.click import UPSCALED, Click


def terms_by_sign(click: Click) -> dict[tuple[int, int, bool], float]:
    """The mean of the drawn mask's terms by the signs of weight and feature, inside the mask (True) and outside."""
    weights = click.t["hyper_in"][0, click.drawn].numpy()[:, None, None]
    features, inside = click.t[UPSCALED][0].numpy(), click.masks[click.drawn]
    terms = weights * features
    return {
        (w, f, where): float(
            np.where((np.sign(weights) == w) & (np.sign(features) == f), terms, 0).sum(0)[region].sum()
            / max(1, region.sum())
        )
        for w in (1, -1)
        for f in (1, -1)
        for where, region in ((True, inside), (False, ~inside))
    }


def left_by(click: Click, change: Callable[[Tensor], Tensor]) -> float:
    """The mean IoU of masks 1 to 3 with the unchanged ones, with other weights of the product."""
    return float(click.left({"hyper_in": change})[1:].mean())


def only_signs(weights: Tensor) -> Tensor:
    return weights.sign() * weights.abs().mean(dim=-1, keepdim=True)


CROSSED = "features of (?:A, true object of B|B, true object of A)"

CLAIMS: dict[str, dict[str, Predicate]] = {
    "signs-after": {
        "silent features with negative weights raise the logit": lambda e: terms_by_sign(e.click)[-1, -1, True] > 1,
        "outside, loud features lower the logit": lambda e: (
            terms_by_sign(e.click)[-1, 1, False] < -3 + terms_by_sign(e.click)[-1, 1, True]
        ),
    },
    "two-many-after": {
        "the mask follows the features": lambda e: (
            e.printed("07", "two-many-print", r"features' click +mean #")[0]
            > 0.5 + e.printed("07", "two-many-print", r"weights' click +mean #")[0]
        ),
        "the weights of other clicks do as well": lambda e: (
            e.printed("07", "two-many-print", r"its own mask +mean #")[0] > 0.9
        ),
    },
    "two-best-after": {
        "weights that draw the other object exist, and the hypernetwork does not compute them": lambda e: (
            min(e.printed("07", "two-best", f"{CROSSED}: .*?fitted weights #,")) > 0.9
            and max(e.printed("07", "two-best", f"{CROSSED}: .*? of click [AB] #")) < 0.2
        ),
    },
    "ex3-explain": {
        "the signs alone draw a part of each mask": lambda e: 0.3 < left_by(e.click, only_signs) < 0.99,
        "weights at the next channel do not": lambda e: (
            left_by(e.click, lambda weights: weights.roll(1, dims=-1)) < left_by(e.click, only_signs) - 0.2
        ),
    },
}
