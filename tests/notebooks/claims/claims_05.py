"""Notebook 05, the two-way transformer: what it states about the trained model."""

from claims.claim import Predicate
from claims.claims_00 import in_order_of_size, nearest_by_level
from claims.click import LOOKS
from claims.evidence import Evidence
from sam_edu.ablation import (
    ALL_THREE,
    DISTANCES,
    DOORS,
    STAGES,
    STEPS,
    TURNS,
    CoarseChannels,
    Effect,
    ExchangedMaps,
    PairStatistics,
    Streams,
)

BLOCKS = ("transformer.layers.0", "transformer.layers.1")
INTO_IMAGE = (STEPS[3], STEPS[7])
"""Step (4) of both blocks."""

OTHERS = tuple(step for step in STEPS if step not in (*INTO_IMAGE, STEPS[5]))
"""The steps but (4) of both blocks and (2) of block 1."""


def streams(e: Evidence) -> Streams:
    return Streams(e.arrays)


def doors(e: Evidence) -> PairStatistics:
    return PairStatistics(e.arrays, "doors", DOORS)


def iou_b(e: Evidence, door: str) -> Effect:
    """The IoU with B's object in A's decode with a door of B."""
    return doors(e).mean(door, kind="other object", measure="iou_b")


def kept(e: Evidence, stage: str, shared: bool = True) -> Effect:
    """What the image tokens keep of their start."""
    return streams(e).kept("image tokens", stage, shared=shared)


def apart(e: Evidence, stage: str, shared: bool = True, trained: bool = True) -> Effect:
    """The angle between two mask tokens."""
    return streams(e).apart(stage, shared=shared, trained=trained)


def maps(e: Evidence, way: str, measure: str, place: str = ALL_THREE) -> Effect:
    """A measure of the four masks with exchanged or alike maps."""
    return ExchangedMaps(e.arrays).mean(way, place, measure)


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


def coarse(e: Evidence, what: str) -> Effect:
    """How well channels of the image tokens agree with masks."""
    return CoarseChannels(e.arrays).mean(what)


CLAIMS: dict[str, dict[str, Predicate]] = {
    "trained-order": {
        "they are in the order of their size at nearly every click": lambda e: in_order_of_size(e) > 0.9,
        "parts are divided between masks 1 and 2": lambda e: (
            min(nearest_by_level(e)[1][:2]) > 0.3 and nearest_by_level(e)[1][2] < 0.15
        ),
    },
    "stream-after": {
        "untrained weights turn the tokens by about 90 degrees in (1) of block 0": lambda e: (
            streams(e).turn("(1) block 0", trained=False).low > 85
            and streams(e).turn("(1) block 0", trained=False).high < 95
            and streams(e).turn("(1) block 0").high < 110
        ),
        "the later turns of the trained model are larger": lambda e: all(
            1.4 * streams(e).turn(step, trained=False).high
            < streams(e).turn(step).low
            < 3.2 * streams(e).turn(step, trained=False).low
            for step in TURNS[1:]
        ),
        "image tokens keep a part of their start, less than untrained, and less after block 1": lambda e: (
            kept(e, "block 1").low > 0.2
            and kept(e, "block 1").high < kept(e, "block 0").low - 0.2
            and all(
                kept(e, stage).high < streams(e).kept("image tokens", stage, trained=False).low - 0.1
                for stage in ("block 0", "block 1")
            )
        ),
        "nearly half of what they seem to lose in the end is a shared vector": lambda e: (
            0.5 < (1 - kept(e, "block 1", shared=False).mean) / (1 - kept(e, "block 1").mean) < 0.65
        ),
    },
    "part-after": {
        "in block 0 the angles shrink to about a third, untrained even more": lambda e: (
            apart(e, "block 0").high < 0.45 * apart(e, "start").low
            and apart(e, "block 0", trained=False).high < apart(e, "block 0").low - 5
        ),
        "less their mean they lie about 100 degrees apart, untrained too": lambda e: all(
            apart(e, stage, shared=False, trained=trained).low > 85
            and apart(e, stage, shared=False, trained=trained).high < 105
            for stage in STAGES
            for trained in (True, False)
        ),
        "in the last look they part, in the trained model alone": lambda e: (
            apart(e, "end").low > apart(e, "block 1").high + 10
            and apart(e, "end", trained=False).high < apart(e, "block 1", trained=False).low + 2
        ),
    },
    "alike-after": {
        "with exchanged maps each mask moves toward the mask of the map, and stays nearer to its own": lambda e: (
            maps(e, "exchanged", "donor").low > maps(e, "unchanged", "donor").high + 0.05
            and maps(e, "exchanged", "own").low > maps(e, "exchanged", "donor").high + 0.02
            and maps(e, "exchanged", "own").high < 0.85
        ),
        "with equal maps the four become somewhat more alike": lambda e: (
            maps(e, "alike", "among").low > maps(e, "unchanged", "among").high + 0.02
            and maps(e, "alike", "among").high < 0.7
        ),
        "nearly all of it comes from (6-1)": lambda e: all(
            abs(maps(e, way, measure, LOOKS[2]).mean - maps(e, way, measure).mean) < 0.03
            and maps(e, way, "own", LOOKS[2]).high < maps(e, way, "own", LOOKS[1]).low - 0.05
            for way in ("exchanged", "alike")
            for measure in ("own", "donor", "among")
        ),
        "in block 0 two mask tokens differ as much, and equal maps there have no effect that is shown": lambda e: (
            streams(e).distance(LOOKS[0], DISTANCES[0]).low > streams(e).distance(LOOKS[2], DISTANCES[0]).high
            and not e.effect(f"{LOOKS[0]} mask tokens look alike").clear
            and e.effect(f"{LOOKS[0]} mask tokens look alike").at_most < 0.005
        ),
    },
    "doors-after": {
        "door (4) carries nearly all of B, and takes nearly all of A away": lambda e: (
            doors(e).denoising("(4)").low > 0.9
            and doors(e).noising("(4)").low > 0.88
            and iou_b(e, "(4)").low > 0.8
            and doors(e).mean("(4)", kind="other object", measure="iou_a").high < 0.05
        ),
        "the level too": lambda e: (
            doors(e).share("(4)", kind="other level", measure="iou_b").low > 0.95
            and doors(e).effect("(4)", kind="other level", measure="iou_b").low > 0.1
        ),
        "door (1) costs A's mask about a tenth, and B's does not appear": lambda e: (
            -0.15 < doors(e).effect("(1)", kind="other object", measure="iou_a").mean < -0.08
            and doors(e).mean("(1)", kind="other object", measure="iou_a").low > 0.7
            and iou_b(e, "(1)").high < 0.15
            and doors(e).denoising("(1)").low > 0.1
            and doors(e).noising("(1)").high < 0.3
            and doors(e).effect("(1)", kind="other object", measure="margin_b").low > 0
        ),
        "block 0 does more than block 1, and the output tokens carry little": lambda e: all(
            getattr(doors(e), way)("(4) block 0").low > getattr(doors(e), way)("(4) block 1").high + 0.1
            and getattr(doors(e), way)("(4) output tokens").high < 0.2
            and doors(e).effect("(4) block 0", kind="other object", measure="margin_b").low > 0
            for way in ("denoising", "noising")
        ),
        "for two clicks on one mask nearly nothing is lost": lambda e: all(
            doors(e).effect(door, kind="same mask", measure="iou_a").low > -0.05
            and doors(e).effect(door, kind="same mask", measure="iou_a").high < 0.01
            and doors(e).effect("(4)", kind="same mask", measure="iou_a").high < 0
            for door in ("(1)", "(4)", "(1) and (4)")
        ),
    },
    "summary": {
        "it enters by (4) and travels in the image tokens": lambda e: (
            doors(e).denoising("(4)").low > 0.9
            and e.pairs.denoising(f"{BLOCKS[1]} image tokens").low > 0.97
            and e.pairs.effect(f"{BLOCKS[1]} image tokens", kind="other object", measure="iou_b").low > 0.5
        ),
    },
    "off-after": {
        "(4) of both blocks costs most, then (2) of block 1, by the mean and by resample": lambda e: all(
            max(e.effect(f"{step} {how}").high for step in INTO_IMAGE) < e.effect(f"{STEPS[5]} {how}").low
            and e.effect(f"{STEPS[5]} {how}").high < min(e.effect(f"{step} {how}").low for step in OTHERS) - 0.02
            for how in ("mean", "resample")
        ),
        "all others cost little": lambda e: all(
            e.effect(f"{step} {how}").low > -0.07 and e.effect(f"{step} {how}").mean < 0.002
            for step in OTHERS
            for how in ("mean", "resample")
        ),
        "for (1) of block 1 none in IoU is shown, 0.01 is excluded, and the margin has a small one": lambda e: (
            not e.effect(f"{STEPS[4]} mean").clear
            and e.effect(f"{STEPS[4]} mean").at_most < 0.01
            and margin(e, f"{STEPS[4]} mean").mean > -1
            and margin(e, f"{STEPS[4]} mean").high < 0
        ),
        "(4) of block 0 and (2) of block 1 cost sub-parts several times as much as objects": lambda e: all(
            of_level(e, step, 2).high < of_level(e, step, 0).low
            and of_level(e, step, 2).mean < 3 * of_level(e, step, 0).mean
            for step in (INTO_IMAGE[0], STEPS[5])
        ),
        "for boxes either (4) costs most or nearly all, and (1) of block 0 is not cheap": lambda e: (
            all(boxes(e, step).high < -0.7 for step in INTO_IMAGE) and boxes(e, STEPS[0]).high < -0.08
        ),
        "by zero (1) of block 0 seems ten times as costly as by the mean": lambda e: (
            8 < e.effect(f"{STEPS[0]} zero").mean / e.effect(f"{STEPS[0]} mean").mean < 13
            and e.effect(f"{STEPS[0]} zero").high < 3 * e.effect(f"{STEPS[0]} mean").low < 0
        ),
        "more than half of what block 0 costs is about the image under any click": lambda e: (
            e.effect(f"{BLOCKS[0]} mean").mean < 2 * e.effect(f"{BLOCKS[0]} mean of this image").low < 0
        ),
        "by the mean block 1 costs most": lambda e: (
            e.difference(f"{BLOCKS[1]} mean", f"{BLOCKS[0]} mean").high < 0
            and all(e.difference(f"{BLOCKS[1]} mean", f"{step} mean").high < 0 for step in STEPS)
        ),
        "left out, block 1 costs less than a fifth and block 0 nearly everything": lambda e: (
            -0.2 * e.stats.baseline().mean() < e.effect(f"{BLOCKS[1]} ablated").mean < 0
            and e.effect(f"{BLOCKS[0]} ablated").high < -0.7
        ),
        "which is less than step (4) of block 1 costs by the mean": lambda e: (
            e.difference(f"{BLOCKS[1]} ablated", f"{INTO_IMAGE[1]} mean").low > 0.05
        ),
    },
    "carry-after": {
        "B's image tokens after block 0 bring most of the way": lambda e: (
            e.pairs.denoising(f"{BLOCKS[0]} image tokens").low > 0.6
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
            and e.pairs.effect(f"{BLOCKS[0]} tokens and image tokens", kind="other object", measure="margin_b").low > 0
        ),
    },
    "read-src-after": {
        "one channel agrees well with a mask of its own click, on scenes that did not choose it": lambda e: (
            coarse(e, "one channel, own").low > 0.8 and coarse(e, "one channel, own").high < 0.98
        ),
        "and not with the masks of another object": lambda e: 0 <= coarse(e, "one channel, other").high < 0.15,
        "before the transformer no channel does": lambda e: 0 < coarse(e, "before, own").high < 0.6,
        "the best of all channels is not low for the other object either": lambda e: (
            0.4 < coarse(e, "after, other").low < coarse(e, "after, own").low - 0.15
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
