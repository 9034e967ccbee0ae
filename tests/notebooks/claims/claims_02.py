"""Notebook 02, attention: what it states about the trained model."""

import math

import numpy as np
import torch
from torch import Tensor

from claims.claim import Predicate
from claims.click import LOOKS, Click, entropy, overlap, scaled
from claims.evidence import Evidence
from sam_edu import ablation
from sam_edu.ablation import ATTENTIONS, SCORE_TERMS, Effect, HeadPaths, Measure, ScoreTerms, Term, controls
from sam_edu.ablation.controls import SplitHalf

STEP_4 = (ATTENTIONS[2], ATTENTIONS[5])


def without_the_scale(click: Click) -> tuple[float, np.ndarray]:
    """The entropy of the first attention as a share of what it was; what is left of masks 1 to 3."""
    attentions = {name: click.decoder.get_submodule(name) for name in ATTENTIONS}
    scale = {name: math.sqrt(one.internal_dim / one.num_heads) for name, one in attentions.items()}
    trace = click.under({f"{name}.scores": scaled(factor) for name, factor in scale.items()})
    first = f"{ATTENTIONS[0]}.weights"
    left = overlap((trace["masks"][0] > 0).numpy(), click.masks)
    return entropy(trace[first]) / entropy(click.t[first]), left[1:]


# --- Maps against their nulls ---


def count(effects: tuple[Effect, ...], sign: int) -> int:
    """How many effects lie clearly above (1) or below (-1) zero."""
    return sum(effect.clear and sign * effect.mean > 0 for effect in effects)


def follows(e: Evidence, pool: ablation.results.Pool) -> list[int]:
    """By attention: in how many heads the share on the target is clearly above its null."""
    return [count(e.stats.share_above_null(name, pool), 1) for name in LOOKS]


def nearer(e: Evidence) -> int:
    """How many of the 24 heads are clearly nearer to the click than their null."""
    return sum(count(e.stats.distance_above_null(name), -1) for name in LOOKS)


def beside(e: Evidence) -> tuple[Effect, Effect]:
    """Head 1 of step (2) of block 1: its share on the target, and its distance from the click, less their nulls."""
    return e.stats.share_above_null(LOOKS[1])[1], e.stats.distance_above_null(LOOKS[1])[1]


# --- The four terms ---


def share(e: Evidence, attention: int, *terms: Term, tokens: str = "click", untrained: bool = False) -> Effect:
    """What some terms together explain of the scores' variance, mean of the heads."""
    shares = ScoreTerms(e.arrays).share(LOOKS[attention], tokens, untrained).mean(1)  # type: ignore[arg-type]
    return e.mean_of(shares[:, [SCORE_TERMS.index(term) for term in terms]].sum(1))


def loss(e: Evidence, term: Term) -> Effect:
    """What the masks lose without a term."""
    return ScoreTerms(e.arrays).effect(term)


# --- Directions ---


def directions(left: Tensor, right: Tensor) -> float:
    """The effective number of directions of left.T @ right: (sum of squared singular values)^2 / sum of their squares."""
    squares = torch.linalg.svdvals(left.T @ right)[: len(left)] ** 2
    return float(squares.sum() ** 2 / (squares**2).sum())


def mean_directions(click: Click, cross: bool) -> tuple[float, float]:
    """The mean over all heads of the cross-attentions, or of the self-attentions: of q and k, of v and out."""
    found = []
    for name in ATTENTIONS:
        if ("self_attn" in name) == cross:
            continue
        layer = click.decoder.get_submodule(name)
        q, k, v = (
            one.weight.detach().double().unflatten(0, (8, -1)) for one in (layer.q_proj, layer.k_proj, layer.v_proj)
        )
        out = layer.out_proj.weight.detach().double().T.unflatten(0, (8, -1))
        found += [(directions(q[i], k[i]), directions(out[i], v[i])) for i in range(8)]
    compare, pass_on = np.mean(found, axis=0)
    return float(compare), float(pass_on)


# --- Attentions and heads ablated ---


def chosen_head(e: Evidence, mode: str, measure: Measure = "best") -> SplitHalf:
    """The costliest of the 56 heads, chosen on half of the scenes."""
    changes = [e.stats.changes(f"{name} head {head} {mode}", measure) for name in ATTENTIONS for head in range(8)]
    return split(e, np.stack(changes))


def split(e: Evidence, changes: np.ndarray) -> SplitHalf:
    scenes = [prompt.scene for prompt in e.stats.prompts]
    return controls.split_half(changes, scenes, choose="lowest", generator=np.random.default_rng(0), splits=200)


def excess(e: Evidence, name: str, mode: str) -> Effect:
    """All heads of an attention at once, less the sum of their effects."""
    each = sum(e.stats.changes(f"{name} head {head} {mode}") for head in range(8))
    return e.mean_of(e.stats.changes(f"{name} all heads {mode}") - each)


def path(e: Evidence, block: int, name: str, kind: str = "costliest") -> Effect:
    """What the margin loses where one reader misses what a head of step (4) wrote."""
    return HeadPaths(e.arrays).effect(block, name, kind)  # type: ignore[arg-type]


def worse_than_random(e: Evidence, block: int, name: str) -> Effect:
    """The same, less that of the random head."""
    paths = HeadPaths(e.arrays)
    return e.mean_of(paths.changes(block, name) - paths.changes(block, name, "random"))


CLAIMS: dict[str, dict[str, Predicate]] = {
    "maps-last-prose": {
        "the maps of the last look lie on the object like the others": lambda e: (
            np.median(e.click.share_on_object(LOOKS[2])) > 0.8 and np.median(e.click.share_on_object(LOOKS[1])) > 0.8
        ),
    },
    "ex3-explain": {
        "without the scale the first attention gives more weight to fewer keys": lambda e: (
            without_the_scale(e.click)[0] < 0.7
        ),
        "an error remains in the masks": lambda e: without_the_scale(e.click)[1].min() < 0.9,
        "a mask can keep its shape": lambda e: without_the_scale(e.click)[1].max() > 0.9,
    },
}
