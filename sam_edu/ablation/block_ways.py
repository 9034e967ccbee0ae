"""BlockWays: the two blocks built in other ways, with the weights of the block as it is.

    ways = ablation.load_block_ways()
    ways.effect("DETR's layers")                          # change in IoU, with a 95 % interval
    ways.cover("without (4) in block 1", "other")         # how much of another object the mask covers
    ways.pairs("encodings of B", "iou_b")                 # whose mask: the encoding's or the stream's?

A way is no better or worse design: the weights were trained for the block as it is. It shows what they rely on, as a
mistake in a port does. The last attention (6-1) belongs to no block and stays as it is, but for the image's encodings,
which are treated alike in all cross-attentions.

**Pairs.** A token enters the decoder twice: as what the stream begins with, and as the encoding that is added to q and
k later. Both are the same tensor. In pairs of clicks on two objects one of the two is taken from click B, the other
from click A. (The clicks are those of the kind "other object" of `sam_edu.ablation.pairs`.)
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.changes import Ablation, Change
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.pair_measuring import PAIR_SCENES, PairScores
from sam_edu.ablation.pair_results import PAIR_MEASURES, PairMeasure
from sam_edu.ablation.pairs import MAX_OVERLAP, Pair, objects_of, overlap, scene_and_pairs
from sam_edu.ablation.prompts import TEST_STREAM, Prompt, scene_and_prompts
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import COMMAND, Effect, Level, Measure, Statistics, column, level_number, read
from sam_edu.ablation.scoring import Scorer
from sam_edu.argument_checks import as_choice
from sam_edu.evaluation.intervals import SceneBootstrap
from sam_edu.modules import MaskDecoder, TwoWayAttentionBlock, TwoWayTransformer, mask_product
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.scene import Scene


@dataclass(frozen=True)
class BlockWay:
    """How the two blocks are built. The defaults are SAM's.

    Attributes:
        begins_at_zero: the stream of the tokens begins at zero, as in DETR, and not at the tokens.
        no_encoding: the blocks whose step (1) adds no positional encodings.
        no_residual: the blocks whose step (1) has no residual.
        step_4: the blocks that have a step (4).
        image_first: the blocks in which step (4) comes before step (2).
        image_encodings: those of the image tokens are added at each attention; once, to the image tokens at the start;
            or at each attention, but those of other positions.
    """

    begins_at_zero: bool = False
    no_encoding: tuple[int, ...] = (0,)
    no_residual: tuple[int, ...] = (0,)
    step_4: tuple[int, ...] = (0, 1)
    image_first: tuple[int, ...] = ()
    image_encodings: Literal["each", "once", "shuffled"] = "each"


BLOCK_WAYS: dict[str, BlockWay] = {
    "DETR's layers": BlockWay(begins_at_zero=True, no_encoding=(), no_residual=(), step_4=()),
    "DETR's layers, from the tokens": BlockWay(no_encoding=(), no_residual=(), step_4=()),
    "both in the first step": BlockWay(no_encoding=(), no_residual=()),
    "residual in the first step": BlockWay(no_residual=()),
    "begins at zero": BlockWay(begins_at_zero=True),
    "encoding in the first step": BlockWay(no_encoding=()),
    "no encoding in (1) of block 1": BlockWay(no_encoding=(0, 1)),
    "no residual in (1) of block 1": BlockWay(no_residual=(0, 1)),
    "neither in (1) of block 1": BlockWay(no_encoding=(0, 1), no_residual=(0, 1)),
    "(4) before (2)": BlockWay(image_first=(0, 1)),
    "(4) before (2) in block 0": BlockWay(image_first=(0,)),
    "(4) before (2) in block 1": BlockWay(image_first=(1,)),
    "without (4)": BlockWay(step_4=()),
    "without (4) in block 0": BlockWay(step_4=(1,)),
    "without (4) in block 1": BlockWay(step_4=(0,)),
    "image's encodings once": BlockWay(image_encodings="once"),
    "image's encodings shuffled": BlockWay(image_encodings="shuffled"),
}
"""What is measured at every held-out click. The first four lead from DETR's layers to SAM's blocks."""

COVERED = ("as it is", "without (4)", "without (4) in block 0", "without (4) in block 1")
"""The ways in which it is measured how much of the target and of another object the mask covers."""

Whose = Literal["target", "other"]
"""Whose pixels are covered."""

PAIR_ROWS = ("A unchanged", "B unchanged", "encodings of B", "stream of B")
"""What is measured at every pair."""

ARRAYS = ("definition", "effects", "covers", "pair_clicks", "pairs")

DEFINITION = json.dumps([{name: asdict(way) for name, way in BLOCK_WAYS.items()}, COVERED, PAIR_ROWS])
"""The text that is stored with the numbers. Another text means other ways."""


# --- The streams ---


def streams(
    decoder: MaskDecoder,
    t: Mapping[str, Tensor],
    way: BlockWay,
    *,
    begin: Tensor | None = None,
    encodings: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Tokens after (6-1), (1, tokens, dim), and image tokens after the blocks, (1, image_tokens, dim).

    Args:
        decoder: in eval mode.
        t: a trace of one prompt set: the inputs are taken from it.
        way: how the blocks are built.
        begin: what the tokens' stream begins with; by default the tokens.
        encodings: what is added to the tokens where they are q or k; by default the tokens.
        generator: shuffles the image's encodings.

    Raises:
        ValueError: encodings to shuffle, and no generator.
    """
    tokens = t["tokens"]
    keys, key_pe = (t[name].flatten(2).transpose(1, 2) for name in ("src", "pos_src"))
    queries = tokens if begin is None else begin
    queries = torch.zeros_like(queries) if way.begins_at_zero else queries
    query_pe = tokens if encodings is None else encodings
    if way.image_encodings == "once":
        keys, key_pe = keys + key_pe, torch.zeros_like(key_pe)
    if way.image_encodings == "shuffled":
        if generator is None:
            raise ValueError("generator: expected a torch.Generator, as this way shuffles encodings, got None")
        key_pe = key_pe[:, torch.randperm(key_pe.shape[1], generator=generator)]
    transformer: TwoWayTransformer = decoder.transformer  # type: ignore[assignment]
    for i, module in enumerate(transformer.layers):
        layer: TwoWayAttentionBlock = module  # type: ignore[assignment]
        queries, keys = _block(layer, i, way, queries, keys, query_pe, key_pe)
    attended = transformer.final_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys)
    return transformer.norm_final_attn(queries + attended), keys


def _block(
    layer: TwoWayAttentionBlock, i: int, way: BlockWay, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
) -> tuple[Tensor, Tensor]:
    def updated_image(queries: Tensor) -> Tensor:
        attended = layer.cross_attn_image_to_token(q=keys + key_pe, k=queries + query_pe, v=queries)
        return layer.norm4(keys + attended)

    q = queries if i in way.no_encoding else queries + query_pe
    attended = layer.self_attn(q=q, k=q, v=queries)
    queries = layer.norm1(attended if i in way.no_residual else queries + attended)
    if i in way.image_first:
        keys = updated_image(queries)
    attended = layer.cross_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys)
    queries = layer.norm2(queries + attended)
    queries = layer.norm3(queries + layer.mlp(queries))
    if i in way.step_4 and i not in way.image_first:
        keys = updated_image(queries)
    return queries, keys


def _decoded(decode: AblatedDecoder, hs: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Masks 0 to 3 and their predicted IoU, of these tokens and image tokens."""
    logits, iou = decode.run(Ablation("the blocks built in another way", (Change("hs", hs), Change("keys", keys))))
    return logits[0], iou[0]


@torch.no_grad()
def way_to_b(decoder: MaskDecoder, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, float]:
    """How far the logits go from A's (0) to B's (1) with B's encodings, or with a stream that begins as B's.

    The logits of masks 1 to 3 less A's, projected on B's less A's. For any decoder, also an untrained one, whose masks
    are no use for an IoU.

    Args:
        decoder: in eval mode.
        a, b: traces of it, of one prompt set each, on one image.

    Raises:
        ValueError: A's and B's logits are the same.
    """

    def logits(begin: Mapping[str, Tensor], added: Mapping[str, Tensor]) -> Tensor:
        hs, keys = streams(decoder, a, BlockWay(), begin=begin["tokens"], encodings=added["tokens"])
        weights = decoder.output_hypernetworks_mlps(hs[:, 1 : 1 + decoder.num_mask_tokens])
        return mask_product(weights, decoder.output_upscaling(keys.mT.unflatten(2, a["src"].shape[2:])))[:, 1:].double()

    start, whole = logits(a, a), logits(b, b) - logits(a, a)
    if not whole.any():
        raise ValueError("b: expected a prompt with other logits than A's, got the same")
    mixed = {PAIR_ROWS[2]: logits(a, b), PAIR_ROWS[3]: logits(b, a)}
    return {row: float(((x - start) * whole).sum() / whole.square().sum()) for row, x in mixed.items()}


# --- Measuring ---


@torch.no_grad()
def block_ways_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), "effects" (measures, ways), and "covers" (2, covered): the share of the target and of
        another object that the mask covers, NaN where no other object is.
    """
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    predictor, rows = Predictor(model), []
    predictor.set_image(scene.image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    for prompt in prompts:
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt), encodings)
        score = Scorer(decode.masks[0], decode.iou[0], scene.masks[prompt.mask])
        before = np.array(score(decode.masks[0], decode.iou[0]))
        areas = (scene.masks[prompt.mask], other_object(scene, prompt))
        effects, covers = [], {COVERED[0]: _covers(decode.masks[0, score.best], areas)}
        for name, way in BLOCK_WAYS.items():
            generator = torch.Generator().manual_seed(TEST_STREAM + prompt.scene)
            logits, iou = _decoded(decode, *streams(model.mask_decoder, decode.t, way, generator=generator))
            effects.append(score(logits, iou) - before)
            covers[name] = _covers(logits[score.best], areas)
        rows.append(
            {
                "prompt": np.array(prompt),
                "effects": np.stack(effects, axis=1),
                "covers": np.stack([covers[name] for name in COVERED], axis=1),
            }
        )
    return rows


def other_object(scene: Scene, prompt: Prompt) -> np.ndarray | None:
    """The mask of the first object of a scene that is not the clicked one and hardly overlaps it, or None."""
    objects = objects_of(scene)
    own = scene.masks[objects[prompt.mask]]
    for i in sorted(set(objects) - {objects[prompt.mask]}):
        if overlap(scene.masks[i], own) < MAX_OVERLAP:
            return scene.masks[i]
    return None


def _covers(logits: Tensor, areas: tuple[np.ndarray | None, ...]) -> np.ndarray:
    mask = (logits > 0).cpu().numpy()
    return np.array([np.nan if area is None else (mask & area).sum() / area.sum() for area in areas])


@torch.no_grad()
def block_pairs_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure the pairs of clicks on two objects of a held-out scene.

    Returns:
        per pair "clicks" (2, 6) and "scores" (rows, measures), see `PAIR_ROWS` and `PAIR_MEASURES`.
    """
    scene, pairs = scene_and_pairs(number)
    pairs = [pair for pair in pairs if pair.kind == "other object"]
    if not pairs:
        return []
    predictor, rows, decoder = Predictor(model), [], model.mask_decoder
    predictor.set_image(scene.image)
    encodings = position_encodings(decoder, model.prompt_encoder.get_dense_pe())
    for pair in pairs:
        a, b = (AblatedDecoder(decoder, decoder_inputs(predictor, click), encodings) for click in (pair.a, pair.b))
        score = PairScores(pair, scene.masks, a.masks[0, 1:], b.masks[0, 1:])
        scores = [score(a.masks[0, 1:]), score(b.masks[0, 1:])]
        for begin, added in ((a, b), (b, a)):
            hs, keys = streams(decoder, a.t, BlockWay(), begin=begin.t["tokens"], encodings=added.t["tokens"])
            scores.append(score(_decoded(a, hs, keys)[0][1:]))
        rows.append({"clicks": np.array([pair.a, pair.b]), "scores": np.array(scores)})
    return rows


def measure_block_ways(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "block.".
    """
    rows = rows_of_scenes(block_ways_of_scene, weights, scenes, processes, progress)
    few = min(scenes, PAIR_SCENES)
    pairs = rows_of_scenes(block_pairs_of_scene, weights, few, processes, progress, holding="two objects apart")
    stacked = stacked_rows(rows)
    return {
        **stamp(weights, stacked),
        "block.definition": np.array(DEFINITION),
        "block.effects": stacked["effects"].astype(np.float16),
        "block.covers": stacked["covers"].astype(np.float16),
        "block.pair_clicks": np.array(json.dumps([row["clicks"].tolist() for row in pairs])),
        "block.pairs": np.stack([row["scores"] for row in pairs]).astype(np.float16),
    }


# --- Reading ---


class BlockWays:
    """The measurements of the blocks built in other ways.

    Args:
        data: the arrays of the file.

    Attributes:
        clicks_of_pairs: the pairs that were measured.

    Raises:
        ValueError: they were not measured, or are other ways than today's.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        missing = [name for name in ARRAYS if f"block.{name}" not in data]
        if missing or str(data["block.definition"]) != DEFINITION:
            raise ValueError(f"the file lacks the ways of the block as they are now: {COMMAND} --only block")
        self._effects = np.asarray(data["block.effects"], np.float64)
        self._covers = np.asarray(data["block.covers"], np.float64)
        self._pairs = np.asarray(data["block.pairs"], np.float64)
        self._stats = Statistics(data)
        clicks = json.loads(str(data["block.pair_clicks"]))
        self.clicks_of_pairs = tuple(Pair("other object", *(Prompt(*one) for one in pair)) for pair in clicks)
        self._of_pairs = SceneBootstrap([pair.a.scene for pair in self.clicks_of_pairs])

    def changes(self, way: str, measure: Measure = "best", level: Level | None = None) -> np.ndarray:
        """What a way changes at every click, against the block as it is, (prompts,).

        Args:
            way: one of `BLOCK_WAYS`.
            measure: one of `sam_edu.ablation.MEASURES`.
            level: only where the target mask is of this level.

        Raises:
            ValueError: another way, measure or level.
        """
        at = tuple(BLOCK_WAYS).index(as_choice("way", way, tuple(BLOCK_WAYS)))
        changes = self._effects[:, column(measure), at]
        return changes if level is None else changes[self._stats.prompts.level == level_number(level)]

    def effect(self, way: str, measure: Measure = "best", level: Level | None = None) -> Effect:
        """The mean of `changes`, with its interval. Arguments and errors as for `changes`."""
        return self._stats.interval(self.changes(way, measure, level), level)

    def cover(self, way: str, whose: Whose) -> Effect:
        """The share of the target, or of another object in the image, that the mask covers: mean and interval.

        Only the clicks with another object that hardly overlaps the clicked one count, for both.

        Args:
            way: one of `COVERED`.
            whose: "target" or "other".

        Raises:
            ValueError: another way, or nobody's.
        """
        at = COVERED.index(as_choice("way", way, COVERED))
        covers = self._covers[:, :, at]
        kept = np.asarray(np.isfinite(self._covers).all(axis=(1, 2)))
        scenes = [prompt.scene for prompt, one in zip(self._stats.prompts, kept, strict=True) if one]
        values = covers[kept, get_args(Whose).index(as_choice("whose", whose, get_args(Whose)))]
        return Effect(*SceneBootstrap(scenes).interval(values), len(values))

    def pairs(self, row: str, measure: PairMeasure) -> Effect:
        """The mean of a measure over the pairs of clicks on two objects, with its interval.

        Args:
            row: one of `PAIR_ROWS`.
            measure: one of `PAIR_MEASURES`.

        Raises:
            ValueError: another row or measure.
        """
        values = self._pairs[:, PAIR_ROWS.index(as_choice("row", row, PAIR_ROWS))]
        values = values[:, PAIR_MEASURES.index(as_choice("measure", measure, PAIR_MEASURES))]
        return Effect(*self._of_pairs.interval(values), len(values))


def load_block_ways(path: Path | None = None, *, weights: Path | None = None) -> BlockWays:
    """Read the measurements. Arguments and errors as for `sam_edu.ablation.load`."""
    return BlockWays(read(path, weights=weights))
