"""Measures `sam_edu.ablation.PairStatistics`: every pair of held-out clicks under one transplant after another."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.changes import Ablation
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows
from sam_edu.ablation.pair_results import UNCHANGED
from sam_edu.ablation.pairs import PAIR_KINDS, Pair, PairKind, scene_and_pairs
from sam_edu.ablation.prompts import Prompt
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import sha256
from sam_edu.ablation.scoring import ious, margin
from sam_edu.ablation.transplants import TRANSPLANTS, Transplant
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

PAIR_SCENES = 64
"""How many held-out scenes the pairs are drawn from."""


@torch.no_grad()
def pairs_of_scene(
    model: Sam,
    number: int,
    names: Sequence[str] | None = None,
    transplants: Mapping[str, Transplant] | None = None,
    kinds: Sequence[PairKind] = PAIR_KINDS,
) -> list[Row]:
    """Measure all pairs of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        names: which transplants; all by default.
        transplants: by name; `TRANSPLANTS` by default.
        kinds: of the pairs that are measured.

    Returns:
        per pair "clicks" (2, 6), "kind", its number in `PAIR_KINDS`, and "scores" (2 + transplants, measures): of A
        unchanged, of B unchanged, then of A under each transplant.
    """
    transplants = TRANSPLANTS if transplants is None else transplants
    names = tuple(transplants) if names is None else names
    scene, pairs = scene_and_pairs(number)
    pairs = [pair for pair in pairs if pair.kind in kinds]
    if not pairs:
        return []
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())

    # A trace holds some hundred megabytes. Two are enough: those of a pair.
    @lru_cache(maxsize=2)
    def decode(click: Prompt | None) -> AblatedDecoder:
        return AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, click), encodings)

    rows = []
    for pair in pairs:
        a, b = (
            decode(click if clicked else None) for click, clicked in zip((pair.a, pair.b), pair.clicked, strict=True)
        )
        score = PairScores(pair, scene.masks, _three(a.masks), _three(b.masks))
        scores = [score(_three(a.masks)), score(_three(b.masks))]
        for name in names:
            one = transplants[name]
            scores.append(score(_three(a.run(Ablation(one.what, one.changes(b.t)))[0])))
        row = {"clicks": np.array([pair.a, pair.b]), "kind": np.array(PAIR_KINDS.index(pair.kind))}
        rows.append(row | {"scores": np.array(scores)})
    return rows


def _three(logits: Tensor) -> Tensor:
    """Masks 1 to 3, of all four of one prompt set."""
    return logits[0, 1:]


class PairScores:
    """All measures of one run of a pair.

    Which of masks 1 to 3 is measured is fixed: for A's target mask the one that fits it best in A's unchanged decode,
    for B's the one that fits it best in B's. Where a decode has no click, the one that fits best with the click.
    """

    def __init__(self, pair: Pair, masks: np.ndarray, a: Tensor, b: Tensor) -> None:
        self.targets = [masks[pair.a.mask], masks[pair.b.mask]]
        runs = [run if clicked else None for run, clicked in zip((a, b), pair.clicked, strict=True)]
        numbers = [
            None if run is None else int(ious(run > 0, target).argmax())
            for run, target in zip(runs, self.targets, strict=True)
        ]
        known = [number for number in numbers if number is not None]
        self.numbers = [known[0] if number is None else number for number in numbers]

    def __call__(self, logits: Tensor) -> list[float]:
        """The run's masks 1 to 3, logits (3, height, width), in the order of `sam_edu.ablation.PAIR_MEASURES`."""
        chosen = [(logits[number], target) for number, target in zip(self.numbers, self.targets, strict=True)]
        iou = [float(ious(one[None] > 0, target)) for one, target in chosen]
        return [*iou, *(margin(one, target) for one, target in chosen)]


def measure_pairs(
    weights: Path, scenes: int, processes: int = 1, progress: bool = True, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`; names of transplants.

    Of more scenes than `PAIR_SCENES` it measures the first so many: a scene has about fourteen pairs.

    Returns:
        the file's stamp, and its arrays whose names begin with "pairs.".
    """
    names = tuple(TRANSPLANTS) if names is None else tuple(names)
    of_scene = partial(pairs_of_scene, names=names)
    rows = rows_of_scenes(of_scene, weights, min(scenes, PAIR_SCENES), processes, progress)
    return stacked_pairs(rows, weights, {name: TRANSPLANTS[name] for name in names}, "pairs")


def stacked_pairs(
    rows: Sequence[Row], weights: Path, transplants: Mapping[str, Transplant], part: str
) -> dict[str, Any]:
    """The file's stamp, and its arrays of a part, from the rows of all pairs.

    Args:
        rows: of `pairs_of_scene`.
        weights: the file that was measured.
        transplants: that were measured, in the order of the rows' scores.
        part: what stands before the arrays' names in the file.
    """
    stacked = stacked_rows(list(rows))
    scores = stacked["scores"].transpose(1, 0, 2)
    unchanged, transplanted = scores[: len(UNCHANGED)], scores[len(UNCHANGED) :]
    return {
        "weights": np.array(sha256(weights)),
        f"{part}.definitions": np.array(json.dumps({name: one.definition for name, one in transplants.items()})),
        f"{part}.clicks": stacked["clicks"].astype(np.int32),
        f"{part}.kind": stacked["kind"].astype(np.int8),
        f"{part}.unchanged": unchanged.astype(np.float32),
        # Half a float is enough for a change, as its error is relative to it.
        f"{part}.changes": (transplanted - unchanged[0]).astype(np.float16),
    }


def add_pairs(data: dict[str, Any], pairs: dict[str, Any]) -> dict[str, Any]:
    """The file's arrays, with what `measure_pairs` measured in place of the pairs that it held before.

    Raises:
        ValueError: they were measured on different weights.
    """
    if str(data["weights"]) != str(pairs["weights"]):
        raise ValueError("the pairs were measured on other weights: measure everything again")
    return data | pairs
