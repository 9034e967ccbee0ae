"""Notebook 02, attention: what it states about the trained model."""

import math

import numpy as np

from claims.claim import Predicate
from claims.click import BLOCKS, CLICK, LOOKS, PADDING, Click, entropy, overlap, scaled
from claims.evidence import Evidence
from sam_edu.ablation import ATTENTIONS


def heads_that_read_padding_most(click: Click, block: int) -> int:
    """In how many heads of step (1) padding is the token that is read most, by a margin."""
    means = click.t[f"{BLOCKS[block]}.self_attn.weights"][0].mean(1)
    others = means.clone()
    others[:, PADDING] = 0
    return int((means[:, PADDING] > 0.05 + others.amax(1)).sum())


def readers(click: Click) -> tuple[np.ndarray, np.ndarray]:
    """In step (4) of block 1: the click's share, head by head, on the object and elsewhere."""
    weights = click.t[f"{BLOCKS[1]}.cross_attn_image_to_token.weights"][0, :, :, CLICK]
    return weights[:, click.on_object].mean(1).numpy(), weights[:, ~click.on_object].mean(1).numpy()


def without_the_scale(click: Click) -> tuple[float, np.ndarray, np.ndarray]:
    """The entropy of the first attention as a share of what it was; what is left of masks 1 to 3; the predictions."""
    attentions = {name: click.decoder.get_submodule(name) for name in ATTENTIONS}
    scale = {name: math.sqrt(one.internal_dim / one.num_heads) for name, one in attentions.items()}
    trace = click.under({f"{name}.scores": scaled(factor) for name, factor in scale.items()})
    first = f"{ATTENTIONS[0]}.weights"
    left = overlap((trace["masks"][0] > 0).numpy(), click.masks)
    return entropy(trace[first]) / entropy(click.t[first]), left[1:], trace["iou_pred"][0, 1:].numpy()


def head_off_the_object(e: Evidence) -> float:
    """Step (2) of block 0, over the held-out clicks: the lowest mean share of a head on the target, minus uniform."""
    share = e.stats.share(LOOKS[0])
    return float((share[:, :-1] - share[:, -1:]).mean(0).min())


CLAIMS: dict[str, dict[str, Predicate]] = {
    "self-after": {
        "in each block a head reads the padding token most": lambda e: all(
            heads_that_read_padding_most(e.click, block) for block in (0, 1)
        ),
    },
    "maps-words-after": {
        "on this click a head gives the object less than uniform attention does": lambda e: (
            e.click.share_on_object(LOOKS[0]).min() < e.click.on_object.float().mean().item() - 0.02
        ),
    },
    "maps-last-prose": {
        "the maps of the last look lie on the object like the others": lambda e: (
            np.median(e.click.share_on_object(LOOKS[2])) > 0.8 and np.median(e.click.share_on_object(LOOKS[1])) > 0.8
        ),
    },
    "image-click-after": {
        "on the object image tokens read the click more, in every head": lambda e: (
            readers(e.click)[0] > 2 * readers(e.click)[1]
        ).all(),
    },
    "ex3-explain": {
        "without the scale the first attention gives more weight to fewer keys": lambda e: (
            without_the_scale(e.click)[0] < 0.7
        ),
        "an error remains in the masks": lambda e: without_the_scale(e.click)[1].min() < 0.9,
        "a mask can keep its shape": lambda e: without_the_scale(e.click)[1].max() > 0.9,
    },
}
