"""Notebook 07, the hypernetwork product: what it states about the trained model."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from claims.claim import Predicate
from claims.click import Click
from claims.evidence import Evidence
from sam_edu.ablation import Effect, PairMeasure

SILENT, OTHERS, LOUD = "silent features constant", "mirrored silent constant", "loud features constant"
ZERO, ONE_NUMBER = "silent features zero", "silent features zero, one number added"
EVERY = range(4)


def kept(e: Evidence, way: str, mask: int) -> float:
    """The mean IoU with the unchanged mask."""
    return e.product.kept(way, mask).mean


def better(e: Evidence, one: str, other: str, mask: int) -> Effect:
    """How much more of a mask one way leaves than another."""
    return e.product.interval(e.product.ious(one)[:, mask] - e.product.ious(other)[:, mask])


def grown(e: Evidence, order: str, channels: int) -> np.ndarray:
    """IoU with the whole mask after some channels, click by click."""
    return e.product.growth(order)[:, channels - 1]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(*(np.argsort(np.argsort(values)) for values in (one, other)))[0, 1])


def alike(e: Evidence, same: bool) -> float:
    """The median rank correlation of the terms at the edge, for two clicks of different scenes."""
    between = np.corrcoef(np.argsort(np.argsort(e.product.terms("edge"), axis=1), axis=1))
    scenes = [click.scene for click in e.product.clicks]
    best = np.abs(e.product.best)
    chosen = np.not_equal.outer(scenes, scenes) & (np.equal.outer(best, best) == same)
    return float(np.median(between[chosen]))


def object_iou(e: Evidence, part: str, whose: PairMeasure) -> float:
    return e.pairs.mean(part, kind="other object", measure=whose).mean


def fit(e: Evidence, name: str) -> np.ndarray:
    return e.product.outline_ious(name)


def order_of_size(e: Evidence, mask: int, largest: bool) -> float:
    """At which share of the clicks one of masks 1 to 3 is the largest, or the smallest."""
    sizes = e.stats.prompts.area[:, 1:]
    return float(((sizes.argmax(1) if largest else sizes.argmin(1)) == mask - 1).mean())


def left_by(click: Click, change: Callable[[Tensor], Tensor]) -> float:
    """The mean IoU of masks 1 to 3 with the unchanged ones, with other weights of the product."""
    return float(click.left({"hyper_in": change})[1:].mean())


def only_signs(weights: Tensor) -> Tensor:
    return weights.sign() * weights.abs().mean(dim=-1, keepdim=True)


CLAIMS: dict[str, dict[str, Predicate]] = {
    "signs-after": {
        "silent features as constants cost less than as many others": lambda e: all(
            better(e, SILENT, OTHERS, mask).low > 0 for mask in EVERY
        ),
        "and less than the loud ones": lambda e: all(better(e, SILENT, LOUD, mask).low > 0.1 for mask in EVERY),
        "inside the mask silent terms add a few logits": lambda e: all(
            1 < e.product.part("silent", "inside", mask).mean < 8 for mask in EVERY
        ),
        "outside loud terms pull the logit far down": lambda e: all(
            e.product.part("loud", "outside", mask).mean < -2 * e.product.part("silent", "inside", mask).mean
            for mask in EVERY
        ),
        "one number gives most of the mask back": lambda e: all(
            kept(e, ONE_NUMBER, mask) > max(0.7, kept(e, ZERO, mask) + 0.1) for mask in EVERY
        ),
        "the silent terms alone give much of it, too": lambda e: all(
            kept(e, "loud features zero, one number added", mask) > 0.5 for mask in EVERY
        ),
    },
    "film-after": {
        "ten channels give nine tenths": lambda e: 0.85 < grown(e, "largest first", 10).mean() < 0.97,
        "a fixed order does about as well": lambda e: (
            grown(e, "largest first on other scenes", 10).mean() > 0.85
            and abs(grown(e, "largest first", 10).mean() - grown(e, "largest first on other scenes", 10).mean()) < 0.05
        ),
        "random channels do far worse": lambda e: (
            e.product.interval(grown(e, "largest first on other scenes", 10) - grown(e, "random", 10)).low > 0.15
        ),
        "some added channels make the mask worse": lambda e: (
            2 < (np.diff(e.product.growth("largest first")) < 0).sum(1).mean() < 15
        ),
    },
    "roles-after": {
        "channels that cost area cost the edge": lambda e: (
            0 < e.product.channels("boundary").mean() < 1
            and rank_correlation(*(e.product.channels(measure).mean(0) for measure in ("area", "boundary"))) > 0.85
        ),
        "the costliest channel is the same for both, and costs much": lambda e: (
            e.product.channels("area").mean(0).argmax() == e.product.channels("boundary").mean(0).argmax()
            and 0.1 < e.product.channels("area").mean(0).max() < 1
        ),
        "the order depends on the mask more than on the click": lambda e: (
            e.product.terms("edge").mean() > 0 and alike(e, True) > 0.6 > 0.2 + alike(e, False)
        ),
    },
    "two-many-after": {
        "with the weights of B the mask stays A's": lambda e: (
            object_iou(e, "hyper_in", "iou_a") > 0.6 + object_iou(e, "hyper_in", "iou_b")
        ),
        "with the features of B it is B's": lambda e: (
            object_iou(e, "upscaled image", "iou_b") > 0.6 + object_iou(e, "upscaled image", "iou_a")
        ),
        "the level follows the features, too": lambda e: (
            abs(e.pairs.share("hyper_in", kind="other level", measure="iou_b").mean) < 0.2
            and e.pairs.share("upscaled image", kind="other level", measure="iou_b").low > 0.5
        ),
        "weights of other scenes leave most of each mask": lambda e: all(
            kept(e, way, mask) > 0.55 for way in ("weights of another scene", "mean weights") for mask in EVERY
        ),
        "the same numbers at other channels do not": lambda e: all(
            better(e, "weights of another scene", "shuffled weights", mask).low > 0.1 for mask in EVERY
        ),
        "they are most interchangeable for the whole": lambda e: all(
            kept(e, "weights of another scene", 3) > kept(e, "weights of another scene", mask) for mask in range(3)
        ),
    },
    "two-best-after": {
        "B is drawn far better where it is": lambda e: (
            (fit(e, "features of A, B's object") - fit(e, "features of A, B's outline elsewhere")).mean() > 0.2
        ),
        "sines of the position are no worse": lambda e: (
            (fit(e, "sines, B's object") - fit(e, "features of A, B's object")).mean() > 0
        ),
        "only in some pairs is it enough for a good mask": lambda e: (
            0.05 < (fit(e, "features of A, B's object") > 0.9).mean() < 0.6
        ),
        "what the hypernetwork computes for B draws nothing of it": lambda e: (
            0 <= fit(e, "weights of B, B's object").mean() < 0.15
        ),
    },
    "tokens-after": {
        "a crossed mask is nearer to that of its MLP": lambda e: (
            e.product.crossing("its MLP").low > e.product.crossing("its token").mean
        ),
        "one mean token leaves most of each mask": lambda e: all(
            e.product.token("one mean token", mask).mean > 0.6 for mask in EVERY
        ),
        "shuffled MLPs are followed as well": lambda e: (
            np.mean(e.product.reshuffled_crossings("its MLP") > e.product.reshuffled_crossings("its token")) > 0.9
        ),
        "mask 3 needs its token less than shuffled MLPs would": lambda e: (
            e.product.token("one mean token", 3).mean
            > np.percentile(e.product.reshuffled_tokens("one mean token", 3), 97.5)
        ),
        "the other masks do not": lambda e: (
            not any(
                e.product.token("one mean token", mask).low
                > np.percentile(e.product.reshuffled_tokens("one mean token", mask), 97.5)
                for mask in range(3)
            )
        ),
    },
    "tokens-sizes-after": {
        "mask 3 is the whole": lambda e: order_of_size(e, 3, True) > 0.95,
        "mask 1 is the sub-part": lambda e: order_of_size(e, 1, False) > 0.9,
    },
    "ex3-explain": {
        "the signs alone draw a part of each mask": lambda e: 0.3 < left_by(e.click, only_signs) < 0.99,
        "weights at the next channel do not": lambda e: (
            left_by(e.click, lambda weights: weights.roll(1, dims=-1)) < left_by(e.click, only_signs) - 0.2
        ),
    },
}
