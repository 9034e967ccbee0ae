"""Notebook 04, the two-way block: what it states about the trained model."""

import numpy as np

from claims.claim import Predicate
from claims.click import Click
from claims.evidence import Evidence
from sam_edu.ablation import BlockWays, Effect, way_to_b

WHERE = ("", " in block 0", " in block 1")
PUT_BACK = tuple(f"{part} in the first step" for part in ("residual", "encoding", "both"))
LEFT_OUT = tuple(f"{part} in (1) of block 1" for part in ("no residual", "no encoding", "neither"))
LEVELS = (0, 1, 2)


def ways(e: Evidence) -> BlockWays:
    return BlockWays(e.arrays)


def effect(e: Evidence, way: str, level: int | None = None) -> Effect:
    return ways(e).effect(way, level=level)


def more_costly(e: Evidence, one: str, other: str) -> bool:
    """Whether a way costs clearly more than another, click by click."""
    return e.mean_of(ways(e).changes(one) - ways(e).changes(other)).high < 0


def step(e: Evidence, number: int, mode: str, level: int | None = None) -> Effect:
    return e.effect(f"step ({number}) {mode}", level)


def order(e: Evidence, block: int, level: int | None = None) -> Effect:
    """What the wrong order changes in a block, less what no step (4) changes."""
    changes = ways(e).changes(f"(4) before (2) in block {block}") - ways(e).changes(f"without (4) in block {block}")
    return e.mean_of(changes, level)


def start(e: Evidence) -> Effect:
    """Where step (4) is missing: what a start at zero changes, less what a start at the tokens changes."""
    return e.mean_of(ways(e).changes("DETR's layers") - ways(e).changes("DETR's layers, from the tokens"))


def shares_of_mixture(click: Click) -> dict[str, float]:
    """How far the logits go from our click's to the opposite one's with that one's encodings, or stream."""
    opposite = (255 - click.example.click[0]).tolist()
    return way_to_b(click.decoder, click.t, click.trace_at([opposite]))


def after_mistake(e: Evidence, name: str) -> float:
    """The printed IoU with the unchanged masks."""
    return e.printed("04", "ways-show", f"{name} +mean IoU with the unchanged masks #")[0]


def printed_shares(e: Evidence) -> list[tuple[float, float]]:
    """The same, printed for reshuffled and for fresh weights: (encodings, stream)."""
    numbers = e.printed("04", "pe-untrained", "(?:reshuffled|fresh) *encodings of B: *# of the way.*stream of B: *#")
    return [(numbers[0], numbers[1]), (numbers[2], numbers[3])]


CLAIMS: dict[str, dict[str, Predicate]] = {
    "edits-answer": {
        "without step (4) most of the IoU is lost": lambda e: (
            effect(e, "without (4)").high < -0.5 * e.stats.baseline().mean() < 0
        ),
        "then the start makes no difference that shows, and a hundredth is excluded": lambda e: (
            not start(e).clear and start(e).at_most < 0.01 and effect(e, "DETR's layers").high < -0.5
        ),
        "begun at zero alone it costs less than half": lambda e: (
            0.5 * effect(e, "without (4)").mean < effect(e, "begins at zero").low
            and effect(e, "begins at zero").high < 0
        ),
        "what step (1) of block 0 says is worth little": lambda e: (
            -0.04 < e.effect("transformer.layers.0.self_attn mean").low < 0
        ),
        "for exact boxes its message is worth more": lambda e: (
            e.stats.effect("transformer.layers.0.self_attn mean", prompts="boxes").high
            < e.effect("transformer.layers.0.self_attn mean").low
            < 0
        ),
        "for edits 4 and 5 no loss is shown, and a hundredth is excluded": lambda e: (
            not any(effect(e, way).clear for way in PUT_BACK)
            and all(effect(e, way).at_most < 0.01 for way in PUT_BACK)
            and effect(e, "without (4)").mean < -0.1
        ),
    },
    "skip-answer": {
        "no loss in IoU is shown, and a hundredth is excluded": lambda e: (
            all(not effect(e, way).clear and effect(e, way).at_most < 0.01 for way in PUT_BACK)
            and effect(e, LEFT_OUT[0]).high < 0
        ),
        "in block 1 a missing residual costs about a hundredth": lambda e: (
            effect(e, LEFT_OUT[0]).high < 0 and -0.02 < effect(e, LEFT_OUT[0]).mean < -0.005
        ),
        "both missing cost more": lambda e: more_costly(e, LEFT_OUT[2], LEFT_OUT[0]),
        "the margin sees block 0's residual": lambda e: ways(e).effect(PUT_BACK[0], "margin").high < 0,
        "the output is about three times as long as the token": lambda e: (
            2.4 < np.divide(*e.printed("04", "detr-first", "length #, the tokens that it replaces #")) < 3.6
        ),
        "by its mean the whole step is worth little": lambda e: (
            -0.04 < e.effect("transformer.layers.0.self_attn mean").low < 0
        ),
    },
    "steps-answer": {
        "(4) costs most by mean and resample": lambda e: all(
            step(e, 4, mode).high < min(step(e, i, mode).low for i in (1, 2, 3)) < 0 for mode in ("mean", "resample")
        ),
        "by removal it does not cost most": lambda e: step(e, 1, "removed").mean < step(e, 4, "removed").mean < -0.4,
        "by the mean it costs most at every level": lambda e: all(
            step(e, 4, "mean", level).high < min(step(e, i, "mean", level).low for i in (1, 2, 3)) < 0
            for level in LEVELS
        ),
        "(2) comes next": lambda e: all(
            step(e, 2, mode).high < min(step(e, i, mode).low for i in (1, 3)) < 0 for mode in ("mean", "resample")
        ),
        "(2) costs most for sub-parts": lambda e: (
            step(e, 2, "mean", 2).high < min(step(e, 2, "mean", level).low for level in (0, 1)) < 0
        ),
        "by the mean (1) and (3) cost little": lambda e: all(-0.04 < step(e, i, "mean").low < 0 for i in (1, 3)),
        "removal makes (1) look as costly as (4)": lambda e: (
            -0.07 < step(e, 1, "removed").mean - step(e, 4, "removed").mean < 0
            and step(e, 1, "removed").high < step(e, 1, "mean").low - 0.4
        ),
    },
    "four-answer": {
        "as it is the mask leaves the other object out": lambda e: (
            ways(e).cover("as it is", "other").high < 0.1 < 0.85 < ways(e).cover("as it is", "target").low
        ),
        "without (4) it covers more than half of it": lambda e: ways(e).cover("without (4)", "other").low > 0.5,
        "either step (4) leaves most of it out": lambda e: all(
            0 < ways(e).cover(f"without (4){end}", "other").high < 0.25 for end in WHERE[1:]
        ),
        "step (4) brings the margin back, step (1) little": lambda e: (
            (
                e.pairs.denoising("step (4) keys and values").low > 0.95
                and 0 < e.pairs.denoising("step (1) keys and values").high < 0.25
            )
            and e.pairs.mean("step (4) keys and values", kind="other object", measure="iou_b").low > 0.5
        ),
    },
    "order-answer": {
        "the wrong order costs in either block": lambda e: all(
            effect(e, f"(4) before (2){end}").high < -0.05 for end in WHERE
        ),
        "most for sub-parts": lambda e: all(
            effect(e, f"(4) before (2){end}", 2).high < min(effect(e, f"(4) before (2){end}", i).low for i in (0, 1))
            for end in WHERE
        ),
        "in block 0 less than no (4), at every level": lambda e: all(order(e, 0, level).low > 0 for level in range(3)),
        "in block 1 less for objects, more for sub-parts, and no difference in the mean": lambda e: (
            order(e, 1, 0).low > 0 and order(e, 1, 2).high < 0 and not order(e, 1).clear
        ),
    },
    "pe-answer": {
        "with B's encodings the mask is B's": lambda e: (
            ways(e).pairs("encodings of B", "iou_b").low > 0.6
            and 0 < ways(e).pairs("encodings of B", "iou_a").high < 0.15
        ),
        "not quite as good as B's own": lambda e: (
            0 < ways(e).pairs("B unchanged", "iou_b").mean - ways(e).pairs("encodings of B", "iou_b").mean < 0.2
        ),
        "the start of the stream decides little": lambda e: (
            ways(e).pairs("stream of B", "iou_a").low > 0.6 and 0 < ways(e).pairs("stream of B", "iou_b").high < 0.15
        ),
        "training made it so": lambda e: (
            shares_of_mixture(e.click)["encodings of B"] > 0.5 > 0.3 > shares_of_mixture(e.click)["stream of B"]
        ),
        "with other weights the logits follow the stream": lambda e: all(
            line[0] < 0.2 < 0.8 < line[1] for line in printed_shares(e)
        ),
        "the position has to be right, adding once costs little": lambda e: (
            effect(e, "image's encodings shuffled").high < -0.7 and -0.1 < effect(e, "image's encodings once").low < 0
        ),
        "the tokens' cost more than half": lambda e: (
            e.effect("positional encodings of the tokens ablated").mean < -0.5 * e.stats.baseline().mean() < 0
        ),
        "without both less is lost than without the image's": lambda e: (
            e.difference("positional encodings ablated", "positional encodings of the image ablated").low > 0
        ),
    },
    "read-eps-prose": {
        "another eps matters little, and more than rounding": lambda e: (
            2 * abs(e.printed("04", "read-eps", "with 1e-5: #")[0])
            < e.printed("04", "read-eps", "with 1e-6: #")[0]
            < 1e-2
        ),
    },
    "wrong-after": {
        "exchanged names and pre-norm ruin the masks, GELU does not": lambda e: (
            0 <= max(after_mistake(e, "names exchanged"), after_mistake(e, "pre-norm")) < 0.5
            and after_mistake(e, "GELU") > 0.9
        ),
    },
}
