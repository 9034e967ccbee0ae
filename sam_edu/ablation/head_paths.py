"""Head paths: which later step loses what a head of step (4) writes into the image tokens.

The image tokens after a block have several readers: the keys and values of a later (2) or (6-1), the queries of the
next (4), and whatever the residual carries on. The head is ablated for one reader alone, and every other reader gets
the image tokens as they are. If the masks suffer through one reader as through all of them, that reader listens.

| after block 0, read by | |
|---|---|
| "to (2)" | keys and values of step (2) of block 1 |
| "to (4)" | queries of step (4) of block 1 |
| "past block 1" | the residual: the image tokens that leave block 1, read by (6-1) and (5) |

| after block 1, read by | |
|---|---|
| "to (6-1)" | keys and values of the last attention |
| "to (5)" | the upscaling |

"to all" is the head ablated for every reader. The replacement is the head's mean over the held-out clicks and over all
positions.

**Choice.** In each block the costliest of the eight heads, by the mean change of the margin. It is chosen on the half
of the scenes that does not report it: scenes of even numbers report what those of odd numbers chose, and the reverse.
**Control.** The same for a head drawn at random from the other seven, another one for each scene.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.changes import DEPTH, HEADS, Ablation, Change, Memory
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.projections import as_sequence, by_head
from sam_edu.ablation.prompts import TEST_STREAM, prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import COMMAND, Effect, Measure, Statistics, column, read
from sam_edu.ablation.scoring import Scorer
from sam_edu.argument_checks import as_choice
from sam_edu.modules import Attention
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

HeadKind = Literal["costliest", "random"]

HEAD_KINDS: tuple[HeadKind, ...] = get_args(HeadKind)

PATHS: dict[int, tuple[str, ...]] = {
    0: ("to all", "to (2)", "to (4)", "past block 1"),
    1: ("to all", "to (6-1)", "to (5)"),
}
"""The readers of the image tokens after each block."""

ROWS = tuple((kind, block, path) for block in range(DEPTH) for kind in HEAD_KINDS for path in PATHS[block])
"""What is measured at each click, in this order."""

ARRAYS = ("definition", "heads", "changes")

MODE = "mean over positions"

DEFINITION = json.dumps([MODE, *map(list, ROWS)])
"""The text that is stored with the numbers. Another text means other paths."""


class Chosen(NamedTuple):
    """The heads whose paths are measured, (scenes of even and odd number, blocks), and the mean of all heads."""

    costliest: np.ndarray
    means: dict[str, np.ndarray]


def step_4(block: int) -> str:
    """The name of a block's step (4)."""
    return f"transformer.layers.{block}.cross_attn_image_to_token"


def choose_heads(data: Mapping[str, Any]) -> Chosen:
    """Choose the heads from the stored effects: those that scenes of even and of odd number report.

    Raises:
        ValueError: scenes of one kind alone, so that no half can choose; or an effect was not measured.
    """
    stats = Statistics(data)
    odd = np.array([prompt.scene % 2 for prompt in stats.prompts]) == 1
    if odd.all() or not odd.any():
        raise ValueError(
            "scenes: expected some of even and some of odd number, so that each half chooses for the other"
        )
    found = np.zeros((2, DEPTH), int)
    for block in range(DEPTH):
        changes = np.stack([stats.changes(f"{step_4(block)} head {i} {MODE}", "margin") for i in range(HEADS)])
        for reports, chooses in ((0, odd), (1, ~odd)):
            found[reports, block] = changes[:, chooses].mean(1).argmin()
    means = {f"{step_4(block)}.heads": stats.means.mean(f"{step_4(block)}.heads").numpy() for block in range(DEPTH)}
    return Chosen(found, means)


def heads_of(number: int, chosen: Chosen) -> np.ndarray:
    """The heads of a scene, (blocks, kinds): the one that the other half chose, and one of the other seven."""
    rng = np.random.default_rng((TEST_STREAM, number, 4))
    costliest = chosen.costliest[number % 2]
    return np.array([[head, (head + rng.integers(1, HEADS)) % HEADS] for head in costliest])


def changes_of_path(
    decode: AblatedDecoder, block: int, path: str, broken: Tensor, encoding: Tensor
) -> tuple[Change, ...]:
    """The changes that give broken image tokens to one reader alone.

    Args:
        decode: the unchanged decode.
        block: after which the image tokens stand, 0 or 1.
        path: one of `PATHS[block]`, but "to all".
        broken: the image tokens after the block, without what the head says, (1, image_tokens, dim).
        encoding: the positional encoding of the image, (1, image_tokens, dim).

    Raises:
        ValueError: no such block or path.
    """
    path = as_choice("path", path, _paths_of(block)[1:])
    if (block, path) == (1, "to (5)"):
        return (Change("keys", broken),)
    if (block, path) == (0, "past block 1"):
        attended = decode.t[f"{step_4(1)}.out"]
        return (
            Change(
                "transformer.layers.1.keys_4",
                decode.decoder.get_submodule("transformer.layers.1.norm4")(broken + attended),
            ),
        )
    readers = {
        (0, "to (2)"): ("transformer.layers.1.cross_attn_token_to_image", "kv"),
        (0, "to (4)"): (step_4(1), "q"),
        (1, "to (6-1)"): ("transformer.final_attn_token_to_image", "kv"),
    }
    name, sides = readers[block, path]
    attention: Attention = decode.decoder.get_submodule(name)  # type: ignore[assignment]
    inputs = {"q": broken + encoding, "k": broken + encoding, "v": broken}
    return tuple(Change(f"{name}.{side}", _projected(attention, side, inputs[side])) for side in sides)


def _paths_of(block: int) -> tuple[str, ...]:
    if block not in PATHS:
        raise ValueError(f"block: expected one of {', '.join(map(str, PATHS))}, got {block!r}")
    return PATHS[block]


def _projected(attention: Attention, side: str, x: Tensor) -> Tensor:
    return by_head(attention.get_submodule(f"{side}_proj")(x), attention.num_heads)


@torch.no_grad()
def head_paths_of_scene(model: Sam, number: int, chosen: Chosen) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        chosen: from `choose_heads`.

    Returns:
        per click "prompt" (6,), "heads" (blocks, kinds), and "changes" (rows, measures), see `ROWS`.
    """
    image, masks, prompts = prompts_of(number)
    if not prompts:
        return []
    predictor, heads, rows = Predictor(model), heads_of(number, chosen), []
    predictor.set_image(image)
    dense = model.prompt_encoder.get_dense_pe()
    encodings, encoding = position_encodings(model.mask_decoder, dense), as_sequence(dense)
    for prompt in prompts:
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt), encodings)
        score = Scorer(decode.masks[0], decode.iou[0], masks[prompt.mask])
        scores = [score(decode.masks[0], decode.iou[0])]
        for block in range(DEPTH):
            mean = torch.from_numpy(chosen.means[f"{step_4(block)}.heads"]).to(model.device)
            for head in heads[block]:
                memory = Memory()
                everywhere = (
                    Change(f"{step_4(block)}.heads", mean[None, [head]], {"heads": int(head)}),
                    memory.keep(f"transformer.layers.{block}.keys_4"),
                )
                for path in PATHS[block]:
                    changes: tuple[Change, ...] = everywhere
                    if path != "to all":  # the first of them
                        [broken] = memory.values()
                        changes = changes_of_path(decode, block, path, broken, encoding)
                    logits, iou = decode.run(Ablation(f"a head of step (4), {path}", changes))
                    scores.append(score(logits[0], iou[0]))
        changed = np.array(scores[1:]) - scores[0]
        rows.append({"prompt": np.array(prompt), "heads": heads, "changes": changed})
    return rows


def measure_head_paths(
    data: Mapping[str, Any], weights: Path, scenes: int, processes: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure` and `choose_heads`.

    Args:
        data: the file's arrays, with the effects that choose the heads.
        weights, scenes, processes, progress: see `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "paths.".
    """
    of_scene = partial(head_paths_of_scene, chosen=choose_heads(data))
    stacked = stacked_rows(rows_of_scenes(of_scene, weights, scenes, processes, progress))
    return {
        **stamp(weights, stacked),
        "paths.definition": np.array(DEFINITION),
        "paths.heads": stacked["heads"].astype(np.int8),
        "paths.changes": stacked["changes"].astype(np.float16),
    }


class HeadPaths:
    """The measurements of the paths over the held-out clicks.

    Args:
        data: the arrays of the file.

    Attributes:
        heads: at each click the heads that were ablated, (prompts, blocks, kinds).

    Raises:
        ValueError: they were not measured, or are other paths than today's.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        missing = [name for name in ARRAYS if f"paths.{name}" not in data]
        if missing or str(data["paths.definition"]) != DEFINITION:
            raise ValueError(f"the file lacks the paths of heads as they are now: {COMMAND} --only paths measures them")
        self.heads = np.asarray(data["paths.heads"], int)
        self._changes = np.asarray(data["paths.changes"], np.float64)
        self._stats = Statistics(data)

    def changes(self, block: int, path: str, kind: HeadKind = "costliest", measure: Measure = "margin") -> np.ndarray:
        """What a measure changes at every click where one reader misses what a head of step (4) wrote, (prompts,).

        Args:
            block: whose step (4), 0 or 1.
            path: one of `PATHS[block]`.
            kind: "costliest", or "random", the control.
            measure: one of `sam_edu.ablation.MEASURES`.

        Raises:
            ValueError: no such block, path, kind or measure.
        """
        as_choice("path", path, _paths_of(block))
        as_choice("kind", kind, HEAD_KINDS)
        return self._changes[:, ROWS.index((kind, block, path)), column(measure)]

    def effect(self, block: int, path: str, kind: HeadKind = "costliest", measure: Measure = "margin") -> Effect:
        """The mean of `changes`, with its interval. Arguments and errors as for `changes`."""
        return self._stats.interval(self.changes(block, path, kind, measure))


def load_head_paths(path: Path | None = None, *, weights: Path | None = None) -> HeadPaths:
    """Read the measurements of the paths. Arguments and errors as for `sam_edu.ablation.load`."""
    return HeadPaths(read(path, weights=weights))
