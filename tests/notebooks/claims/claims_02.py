"""Notebook 02, attention: what it states about the trained model."""

import math
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from claims.claim import Predicate
from claims.claims_00 import in_order_of_size, nearest_by_level
from claims.click import LOOKS, Click, entropy, overlap, scaled
from claims.evidence import Evidence
from sam_edu import ablation
from sam_edu.ablation import ATTENTIONS, SCORE_TERMS, Effect, HeadPaths, Measure, ScoreTerms, Term, controls
from sam_edu.ablation.controls import SplitHalf
from sam_edu.ablation.results import PromptKind

STEP_4 = (ATTENTIONS[2], ATTENTIONS[5])
OTHERS = (ATTENTIONS[0], LOOKS[0], ATTENTIONS[3], LOOKS[2])
"""The attentions beside (4) and (2) of block 1."""

LOUD = 5 * 8 + 4
"""The number of head 4 of (4) in block 1 among the 56 heads."""

OF_CONTENT: tuple[Term, ...] = ("content . content", "position . content")
"""The terms with the content of the image tokens."""


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


def above_uniform(e: Evidence, attention: int, head: int) -> float:
    """At which share of the clicks a head has more on the target than uniform attention."""
    shares = e.stats.share(LOOKS[attention])
    return float((shares[:, head] > shares[:, 8]).mean())


def beside(e: Evidence) -> tuple[Effect, Effect]:
    """Head 1 of step (2) of block 1: its share on the target, and its distance from the click, less their nulls."""
    return e.stats.share_above_null(LOOKS[1])[1], e.stats.distance_above_null(LOOKS[1])[1]


# --- The four terms ---


def share(e: Evidence, attention: int, *terms: Term, tokens: str = "click", untrained: bool = False) -> Effect:
    """What some terms together explain of the scores' variance, mean of the heads."""
    shares = ScoreTerms(e.arrays).share(LOOKS[attention], tokens, untrained).mean(1)
    return e.mean_of(shares[:, [SCORE_TERMS.index(term) for term in terms]].sum(1))


def loss(e: Evidence, term: Term) -> Effect:
    """What the masks lose without a term."""
    return ScoreTerms(e.arrays).effect(term)


# --- Directions ---


def directions(left: Tensor, right: Tensor) -> float:
    """The effective number of directions of left.T @ right, by its squared singular values: sum^2 / sum of squares."""
    squares = torch.linalg.svdvals(left.T @ right)[: len(left)] ** 2
    return float(squares.sum() ** 2 / (squares**2).sum())


def directions_of_heads(click: Click, cross: bool) -> np.ndarray:
    """Of all heads of the cross-attentions or the self-attentions: of q and k, of v and out, (heads, 2)."""
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
    return np.array(found)


# --- Attentions and heads ablated ---


def chosen_head(e: Evidence, mode: str, measure: Measure = "best") -> SplitHalf:
    """The costliest of the 56 heads, chosen on half of the scenes."""
    changes = [e.stats.changes(f"{name} head {head} {mode}", measure) for name in ATTENTIONS for head in range(8)]
    return split(e, np.stack(changes))


def split(e: Evidence, changes: np.ndarray) -> SplitHalf:
    scenes = [prompt.scene for prompt in e.stats.prompts]
    return controls.split_half(changes, scenes, choose="lowest", generator=np.random.default_rng(0), splits=200)


def all_and_sum(
    e: Evidence, name: str, mode: str, measure: Measure = "best", prompts: PromptKind = "clicks"
) -> tuple[np.ndarray, np.ndarray]:
    """All heads of an attention at once, and the sum of their effects, click by click."""
    each = sum(e.stats.changes(f"{name} head {head} {mode}", measure, prompts=prompts) for head in range(8))
    return e.stats.changes(f"{name} all heads {mode}", measure, prompts=prompts), np.asarray(each)


def excess(e: Evidence, name: str, mode: str, measure: Measure = "best") -> Effect:
    """All heads at once, less the sum of their effects."""
    at_once, each = all_and_sum(e, name, mode, measure)
    return e.mean_of(at_once - each)


def share_of_sum(e: Evidence, name: str, measure: Measure, prompts: PromptKind = "clicks") -> float:
    """Under the mean: the sum of the eight effects as a share of the effect of all at once."""
    at_once, each = all_and_sum(e, name, "mean", measure, prompts)
    return float(each.mean() / at_once.mean())


def pair_excess(e: Evidence, pair: tuple[str, str], measure: Measure) -> np.ndarray:
    """Two steps ablated together by the mean, less the sum of their effects, click by click."""
    return e.stats.changes(ablation.pair_name(*pair), measure) - sum(
        e.stats.changes(f"{one} mean", measure) for one in pair
    )


def split_pair(e: Evidence) -> tuple[tuple[str, str], SplitHalf]:
    """The pair of steps whose excess in IoU is lowest, chosen on half of the scenes."""
    pairs = list(combinations(ablation.STEPS, 2))
    found = split(e, np.stack([pair_excess(e, pair, "best") for pair in pairs]))
    return pairs[found.winner], found


def of_level(e: Evidence, name: str, mode: str, level: int) -> Effect:
    return e.effect(f"{name} {mode}", level)


def margin(e: Evidence, name: str) -> Effect:
    return e.mean_of(e.stats.changes(name, "margin"))


def path(e: Evidence, block: int, name: str, kind: str = "costliest") -> Effect:
    """What the margin loses where one reader misses what a head of step (4) wrote."""
    return HeadPaths(e.arrays).effect(block, name, kind)  # type: ignore[arg-type]


def worse_than_random(e: Evidence, block: int, name: str) -> Effect:
    """The same, less that of the random head."""
    paths = HeadPaths(e.arrays)
    return e.mean_of(paths.changes(block, name) - paths.changes(block, name, "random"))


def one_more_than(e: Evidence, block: int, one: str, other: str, measure: Measure = "margin") -> Effect:
    """What one reader loses of the costliest head, less what another one loses."""
    paths = HeadPaths(e.arrays)
    return e.mean_of(paths.changes(block, one, measure=measure) - paths.changes(block, other, measure=measure))


CLAIMS: dict[str, dict[str, Predicate]] = {
    "trained-order": {
        "they are in the order of their size at nearly every click": lambda e: in_order_of_size(e) > 0.9,
        "parts are divided between masks 1 and 2": lambda e: (
            min(nearest_by_level(e)[1][:2]) > 0.3 and nearest_by_level(e)[1][2] < 0.15
        ),
    },
    "maps-last-prose": {
        "the maps of the last look lie on the object like the others": lambda e: (
            np.median(e.click.share_on_object(LOOKS[2])) > 0.8 and np.median(e.click.share_on_object(LOOKS[1])) > 0.8
        ),
    },
    "far-answer": {
        "nearly all heads give the target more than under a click on another object": lambda e: (
            sum(follows(e, "same scene")) >= 21
        ),
        "all 24 attend nearer to the click than the maps of other clicks": lambda e: nearer(e) == 24,
        "head 2 of (2) in block 0 has less than uniform attention at most clicks, and more than its null": lambda e: (
            above_uniform(e, 0, 2) < 0.5
            and all(e.stats.share_above_null(LOOKS[0], pool)[2].low > 0 for pool in ("other scenes", "same scene"))
        ),
        "head 1 of (2) in block 1 is below its null from other scenes": lambda e: beside(e)[0].high < 0,
        "but not below that of another object": lambda e: (
            e.stats.share_above_null(LOOKS[1], "same scene")[1].high > 0 > beside(e)[0].high
        ),
        "and nearer to the click": lambda e: beside(e)[1].high < -20,
    },
    "terms-answer": {
        "untrained, most of the variance comes from the positions of the image tokens": lambda e: all(
            share(e, i, *OF_CONTENT, untrained=True).high < 0.5 for i in range(3)
        ),
        "untrained, position . position is the largest term in all three attentions": lambda e: all(
            share(e, i, "position . position", untrained=True).low > share(e, i, term, untrained=True).high
            for i in range(3)
            for term in SCORE_TERMS[:3]
        ),
        "trained, the share of their content is larger everywhere": lambda e: all(
            share(e, i, *OF_CONTENT).low > share(e, i, *OF_CONTENT, untrained=True).high for i in range(3)
        ),
        "and most of the variance in block 1 and (6-1)": lambda e: all(
            share(e, i, *OF_CONTENT, tokens=tokens).low > 0.6 for i in (1, 2) for tokens in ("click", "masks")
        ),
        "in block 1 the largest is the encoding of the click's token with the content": lambda e: all(
            share(e, 1, "position . content").low > share(e, 1, term).high
            for term in SCORE_TERMS
            if term != "position . content"
        ),
        "position . position is a good part of the click's scores in block 1": lambda e: (
            share(e, 1, "position . position").low > 0.15
        ),
        "and costs next to nothing": lambda e: (
            loss(e, "position . position").at_most < 0.01 and loss(e, "position . content").mean < 0
        ),
        "the terms with the content carry the masks, position . content most": lambda e: (
            loss(e, "position . content").high < loss(e, "content . content").low
            and loss(e, "content . content").high < loss(e, "content . position").low
            and loss(e, "content . content").high < loss(e, "position . position").low
        ),
    },
    "directions-answer": {
        "in every attention on average fewer than half of the directions": lambda e: (
            directions_of_heads(e.click, cross=True).reshape(5, 8, 2).mean(1).max() < 8
            and directions_of_heads(e.click, cross=False).reshape(2, 8, 2).mean(1).max() < 16
        ),
        "the widest head stays below what untrained heads have, nearly all": lambda e: (
            directions_of_heads(e.click, cross=True).max() < 12.5
            and directions_of_heads(e.click, cross=False).max() < 20
        ),
    },
    "worth-answer": {
        "step (4) costs most in both blocks, then step (2) of block 1": lambda e: (
            max(e.effect(f"{name} mean").high for name in STEP_4) < e.effect(f"{LOOKS[1]} mean").low
            and e.effect(f"{LOOKS[1]} mean").high < min(e.effect(f"{name} mean").low for name in OTHERS)
        ),
        "all others cost little": lambda e: (
            all(e.effect(f"{name} mean").low > -0.05 for name in OTHERS) and e.effect(f"{LOOKS[2]} mean").high < 0
        ),
        "(1) of block 0 loses most by zero, and little of it by the mean": lambda e: (
            e.effect(f"{ATTENTIONS[0]} zero").high < -0.1
            and e.effect(f"{ATTENTIONS[0]} mean").mean > 0.2 * e.effect(f"{ATTENTIONS[0]} zero").mean
        ),
        "for boxes (4) carries nearly everything, and (1) of block 0 is not cheap": lambda e: (
            max(e.stats.effect(f"{name} mean", prompts="boxes").high for name in STEP_4) < -0.6
            and e.stats.effect(f"{ATTENTIONS[0]} mean", prompts="boxes").high < -0.05
        ),
        "zero overrates (6-1) for sub-parts alone": lambda e: (
            of_level(e, LOOKS[2], "zero", 2).high < of_level(e, LOOKS[2], "mean", 2).low
            and all(of_level(e, LOOKS[2], "zero", i).mean > of_level(e, LOOKS[2], "mean", i).mean for i in (0, 1))
        ),
        "resampling (4) is the worst of all": lambda e: all(
            e.difference(f"{name} resample", f"{name} {mode}").high < 0 for name in STEP_4 for mode in ("mean", "zero")
        ),
        "for (1) of block 1 no effect in IoU is shown, but in the margin": lambda e: (
            not e.effect(f"{ATTENTIONS[3]} mean").clear
            and e.effect(f"{ATTENTIONS[3]} mean").at_most < 0.01
            and margin(e, f"{ATTENTIONS[3]} mean").mean > -1
            and margin(e, f"{ATTENTIONS[3]} mean").high < 0
        ),
    },
    "heads-answer": {
        "in IoU, by the mean or by zero, heads of step (4) compete": lambda e: all(
            chosen_head(e, mode).wins.max() < 0.8 and ATTENTIONS[chosen_head(e, mode).winner // 8] in STEP_4
            for mode in ("mean", "zero")
        ),
        "and the effect shrinks where it was not selected": lambda e: all(
            chosen_head(e, mode).effect > chosen_head(e, mode).naive.mean + 0.002 for mode in ("mean", "zero")
        ),
        "head 4 of (4) in block 1 wins by resample, and in the margin by the mean": lambda e: all(
            chosen_head(e, mode, measure).wins[LOUD] > 0.95
            for mode, measure in (("resample", "best"), ("resample", "margin"), ("mean", "margin"))
        ),
        "and its effect does not shrink": lambda e: (
            chosen_head(e, "mean", "margin").effect < 0.95 * chosen_head(e, "mean", "margin").naive.mean < 0
        ),
        "by zero its margin falls by a fraction of that": lambda e: (
            3 * margin(e, f"{STEP_4[1]} head 4 mean").high < margin(e, f"{STEP_4[1]} head 4 zero").low
        ),
    },
    "sum-answer": {
        "under zero, five of seven cost clearly more at once": lambda e: (
            sum(excess(e, name, "zero").high < -0.02 for name in ATTENTIONS) == 5
        ),
        "for (1) of block 0 and (6-1) the difference is nearly gone under the mean": lambda e: all(
            excess(e, name, "mean").low > -0.02 and excess(e, name, "zero").high < -0.02
            for name in (ATTENTIONS[0], LOOKS[2])
        ),
        "for (4) of block 1 it stays in IoU and nearly goes in the margin": lambda e: (
            excess(e, STEP_4[1], "mean").high < -0.1
            and share_of_sum(e, STEP_4[1], "best") < 0.3
            and share_of_sum(e, STEP_4[1], "margin") > 0.8
        ),
        "for boxes less than three quarters of the margin": lambda e: (
            0 < share_of_sum(e, STEP_4[1], "margin", "boxes") < 0.75
        ),
        "something is left in (4) of block 0 and (2) of block 1": lambda e: all(
            excess(e, name, "mean", "margin").high < -1.5 and share_of_sum(e, name, "margin") < 0.75
            for name in (STEP_4[0], LOOKS[1])
        ),
        "(4) of block 1 and (6-1) cost far more IoU together, in every split": lambda e: (
            split_pair(e)[0] == (STEP_4[1], LOOKS[2])
            and split_pair(e)[1].wins.max() > 0.95
            and split_pair(e)[1].high < -0.2
        ),
        "and less margin": lambda e: e.mean_of(pair_excess(e, (STEP_4[1], LOOKS[2]), "margin")).low > 1,
    },
    "paths-answer": {
        "after block 0 the head is missed most in step (2) of block 1": lambda e: (
            path(e, 0, "to (2)").high < 0
            and all(one_more_than(e, 0, "to (2)", other).high < -0.2 for other in ("to (4)", "past block 1"))
        ),
        "there, and only there, more than a random head": lambda e: (
            worse_than_random(e, 0, "to (2)").high < 0
            and not any(worse_than_random(e, 0, name).clear for name in ("to (4)", "past block 1"))
        ),
        "after block 1 both readers miss it more than a random one": lambda e: all(
            worse_than_random(e, 1, name).high < -1 for name in ("to (6-1)", "to (5)")
        ),
        "by (6-1) more than by (5)": lambda e: one_more_than(e, 1, "to (6-1)", "to (5)").high < 0,
        "in IoU (5) alone costs more than both readers": lambda e: (
            one_more_than(e, 1, "to (5)", "to all", "best").high < -0.02
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
