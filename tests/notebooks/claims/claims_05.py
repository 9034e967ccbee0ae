"""Notebook 05, the two-way transformer: what it states about the trained model."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from claims.claim import Predicate
from claims.claims_00 import nearest_by_level
from claims.click import LOOKS, Click
from claims.evidence import Evidence
from sam_edu.ablation import ALL_THREE, DOORS, STEPS, Effect, ExchangedMaps, PairStatistics, Streams
from sam_edu.scenes.clicks import centre_click

BLOCKS = ("transformer.layers.0", "transformer.layers.1")
INTO_IMAGE = (STEPS[3], STEPS[7])
"""Step (4) of both blocks."""

OTHERS = tuple(step for step in STEPS if step not in (*INTO_IMAGE, STEPS[5]))
"""The steps but (4) of both blocks and (2) of block 1."""


def streams(e: Evidence) -> Streams:
    return Streams(e.arrays)


def doors(e: Evidence) -> PairStatistics:
    return PairStatistics(e.arrays, "doors", DOORS)


def maps(e: Evidence, way: str, measure: str) -> Effect:
    """A measure of the four masks with exchanged or alike maps in all three attentions."""
    return ExchangedMaps(e.arrays).mean(way, ALL_THREE, measure)


def of_level(e: Evidence, step: str, level: int) -> Effect:
    return e.effect(f"{step} mean", level)


def boxes(e: Evidence, step: str) -> Effect:
    return e.stats.effect(f"{step} mean", prompts="boxes")


def margin(e: Evidence, name: str) -> Effect:
    return e.stats.effect(name, "margin")


def closed(e: Evidence, way: str, where: str) -> str:
    """The name of an ablation that closes a path of the prompt."""
    return f"prompt unheard{where}" if way == "-inf" else f"prompt's keys and values{where} {way}"


# --- The best channel of the image tokens ---


def best_channel(click: Click, maps: Tensor, logits: Tensor) -> float:
    """The highest IoU of any channel, or its negative, with any of masks 1 to 3 on the grid."""
    small = F.max_pool2d((logits[1:] > 0).float(), 4) > 0
    shown = torch.cat([maps, -maps])[:, None] > 0
    return float(((shown & small).sum((2, 3)) / (shown | small).sum((2, 3)).clamp(min=1)).max())


def best_channels(click: Click) -> tuple[float, float, float]:
    """Before the transformer, after it, and after it for the masks of a click on the first other object."""
    holds = set(click.example.at(*click.example.click[0]))
    other = next(int(i) for i in np.flatnonzero(click.example.level == 0) if i not in holds)
    others = click.trace_at(centre_click(click.example.masks[other])[None])["masks"][0]
    after = click.t["keys"][0].T.unflatten(1, (64, 64))
    return (
        best_channel(click, click.t["src"][0], click.logits),
        best_channel(click, after, click.logits),
        best_channel(click, after, others),
    )


CLAIMS: dict[str, dict[str, Predicate]] = {
    "trained-order": {
        "masks 1, 2 and 3 are most often sub-part, part and whole": lambda e: (
            [number for number, _ in nearest_by_level(e)] == [3, 2, 1]
        ),
    },
    "off-after": {
        "(4) of both blocks costs most, then (2) of block 1, by the mean and by resample": lambda e: all(
            max(e.effect(f"{step} {how}").high for step in INTO_IMAGE) < e.effect(f"{STEPS[5]} {how}").low
            and e.effect(f"{STEPS[5]} {how}").high < min(e.effect(f"{step} {how}").low for step in OTHERS) - 0.02
            for how in ("mean", "resample")
        ),
        "all others cost little": lambda e: all(
            -0.07 < e.effect(f"{step} {how}").low and e.effect(f"{step} {how}").mean < 0.002
            for step in OTHERS
            for how in ("mean", "resample")
        ),
        "for (1) of block 1 no effect in IoU is shown, one of 0.01 is excluded, and the margin has a small one": lambda e: (
            not e.effect(f"{STEPS[4]} mean").clear
            and e.effect(f"{STEPS[4]} mean").at_most < 0.01
            and -1 < margin(e, f"{STEPS[4]} mean").mean
            and margin(e, f"{STEPS[4]} mean").high < 0
        ),
        "(4) of block 0 and (2) of block 1 cost sub-parts several times as much as objects": lambda e: all(
            of_level(e, step, 2).high < of_level(e, step, 0).low and of_level(e, step, 2).mean < 3 * of_level(e, step, 0).mean
            for step in (INTO_IMAGE[0], STEPS[5])
        ),
        "for boxes (4) carries nearly everything, and (1) of block 0 is not cheap": lambda e: (
            all(boxes(e, step).high < -0.7 for step in INTO_IMAGE) and boxes(e, STEPS[0]).high < -0.08
        ),
        "by zero (1) of block 0 seems several times as costly as by the mean": lambda e: (
            e.effect(f"{STEPS[0]} zero").high < 3 * e.effect(f"{STEPS[0]} mean").low < 0
        ),
        "more than half of what block 0 costs is about the image under any click": lambda e: (
            e.effect(f"{BLOCKS[0]} mean").mean < 2 * e.effect(f"{BLOCKS[0]} mean of this image").low < 0
        ),
        "by the mean block 1 costs most": lambda e: (
            e.difference(f"{BLOCKS[1]} mean", f"{BLOCKS[0]} mean").high < 0
            and all(e.difference(f"{BLOCKS[1]} mean", f"{step} mean").high < 0 for step in STEPS)
        ),
        "left out, block 1 costs little and block 0 nearly everything": lambda e: (
            e.effect(f"{BLOCKS[1]} ablated").low > -0.25 and e.effect(f"{BLOCKS[0]} ablated").high < -0.7
        ),
    },
    "carry-after": {
        "B's image tokens after block 0 bring most of the way": lambda e: (
            0.6 < e.pairs.denoising(f"{BLOCKS[0]} image tokens").low
            and e.pairs.denoising(f"{BLOCKS[0]} image tokens").high < 0.9
        ),
        "those after block 1 all of it, and nothing of A is left": lambda e: (
            e.pairs.denoising(f"{BLOCKS[1]} image tokens").low > 0.97
            and e.pairs.noising(f"{BLOCKS[1]} image tokens").low > 0.97
        ),
        "the mask tokens alone carry next to nothing": lambda e: all(
            -0.02 < getattr(e.pairs, way)(f"{block} mask tokens").mean < 0.1
            and getattr(e.pairs, way)(f"{block} image tokens").low > 0.6
            for block in BLOCKS
            for way in ("denoising", "noising")
        ),
        "after block 1 the tokens still have an effect, larger in noising than in denoising": lambda e: (
            e.pairs.denoising(f"{BLOCKS[1]} tokens").low > 0.05
            and e.pairs.noising(f"{BLOCKS[1]} tokens").low > e.pairs.denoising(f"{BLOCKS[1]} tokens").high + 0.1
        ),
        "after block 0 both streams are not everything": lambda e: (
            e.pairs.denoising(f"{BLOCKS[0]} tokens and image tokens").high < 0.85
            and e.pairs.noising(f"{BLOCKS[0]} tokens and image tokens").high < 0.93
        ),
    },
    "read-src-after": {
        "the best channel is close to a mask after the transformer, and closer than before": lambda e: (
            best_channels(e.click)[1] > 0.8 and best_channels(e.click)[1] > best_channels(e.click)[0] + 0.15
        ),
        "for an object that was not clicked it is not": lambda e: (
            best_channels(e.click)[2] < best_channels(e.click)[1] - 0.2
        ),
    },
    "stats-ways-after": {
        "closing (4) costs most of the mask, closing (1) little": lambda e: all(
            e.effect(closed(e, way, " in (4)")).high < -0.45 and e.effect(closed(e, way, " in (1)")).low > -0.1
            for way in ("mean", "resample", "-inf")
        ),
        "by -inf every closed path costs more than by the mean": lambda e: all(
            e.difference(closed(e, "-inf", where), closed(e, "mean", where)).high < 0
            for where in (" in (1)", " in (4)", "")
        ),
        "where (4) is closed, closing (1) as well costs clearly more": lambda e: all(
            e.difference(closed(e, way, ""), closed(e, way, " in (4)")).high < -0.02
            for way in ("mean", "resample", "-inf")
        ),
    },
}
