"""Half precision: how many pixels of the masks it changes, over the held-out clicks.

    half = ablation.load_half_precision()
    half.mean("bfloat16", "flipped")      # share of the pixels of masks 1 to 3 that change sides

Three ways to decode the same click, each compared with the plain decoder in float32:

- *fast*: `FastMaskDecoder` in float32, the control: its errors are roundings of float32.
- *autocast*: weights in float32, products in bfloat16 (`torch.autocast`).
- *bfloat16*: weights and inputs in bfloat16.

Measured per click, over masks 1 to 3: "flipped", the share of their pixels that change sides; "iou", the mean IoU with
the same mask in float32; "lowest", the lowest of the three; "score", the largest change of a predicted IoU; "other", 1
where another mask has the highest predicted IoU.
"""

import copy
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.results import COMMAND, Effect, Statistics, read
from sam_edu.argument_checks import as_choice
from sam_edu.fast import FastMaskDecoder
from sam_edu.modules import MaskDecoder
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

HALF_WAYS = ("fast", "autocast", "bfloat16")
HALF_MEASURES = ("flipped", "iou", "lowest", "score", "other")
ARRAY = "half_precision.changes"


def changes(logits: Tensor, scores: Tensor, exact: Tensor, exact_scores: Tensor) -> np.ndarray:
    """The measures of one decode beside the same one in float32, (measures,).

    Args:
        logits: (masks, height, width); those in float32 are `exact`.
        scores: predicted IoU, (masks,).

    Raises:
        ValueError: the shapes differ.
    """
    if logits.shape != exact.shape or scores.shape != exact_scores.shape:
        raise ValueError(f"logits: expected shape {tuple(exact.shape)}, that of exact, got {tuple(logits.shape)}")
    mask, reference = (logits > 0).flatten(1), (exact > 0).flatten(1)
    either = (mask | reference).sum(1)
    ious = torch.where(either > 0, (mask & reference).sum(1) / either.clamp(min=1), 1.0)  # two empty masks are alike
    return np.array(
        [
            float((mask != reference).double().mean()),
            float(ious.mean()),
            float(ious.min()),
            float((scores - exact_scores).abs().max()),
            float(scores.argmax() != exact_scores.argmax()),
        ]
    )


@torch.no_grad()
def half_precision_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,) and "changes" (ways, measures).
    """
    image, _, prompts = prompts_of(number)
    if not prompts:
        return []
    predictor = Predictor(model)
    predictor.set_image(image)
    points = torch.tensor([[[prompt.x, prompt.y]] for prompt in prompts], dtype=torch.float32)
    sparse, dense = model.prompt_encoder((points, torch.ones(len(prompts), 1)), None, None)
    inputs = predictor.get_image_embedding(), model.prompt_encoder.get_dense_pe(), sparse, dense
    exact, exact_scores = model.mask_decoder(*inputs, True)
    found = {}
    fast, half = _others(model.mask_decoder)
    found["fast"] = fast(*inputs, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found["autocast"] = model.mask_decoder(*inputs, True)
    found["bfloat16"] = half(*(x.bfloat16() for x in inputs), True)
    ways = [found[way] for way in HALF_WAYS]
    return [
        {
            "prompt": np.array(prompt),
            "changes": np.stack(
                [
                    changes(masks[i].float(), predicted[i].float(), exact[i], exact_scores[i])
                    for masks, predicted in ways
                ]
            ),
        }
        for i, prompt in enumerate(prompts)
    ]


@lru_cache(maxsize=1)
def _others(decoder: MaskDecoder) -> tuple[FastMaskDecoder, MaskDecoder]:
    """The other decoders, made once for all scenes."""
    return FastMaskDecoder(decoder), copy.deepcopy(decoder).bfloat16()


def measure_half_precision(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the array "half_precision.changes" (clicks, ways, measures).
    """
    stacked = stacked_rows(rows_of_scenes(half_precision_of_scene, weights, scenes, processes, progress))
    return stamp(weights, stacked) | {ARRAY: stacked["changes"].astype(np.float32)}


class HalfPrecision:
    """What half precision changes over the held-out clicks.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: it was not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        if ARRAY not in data:
            raise ValueError(f"the file lacks half precision: {COMMAND} --only half measures it")
        self._changes, self._stats = np.asarray(data[ARRAY], np.float64), Statistics(data)

    def values(self, way: str, measure: str) -> np.ndarray:
        """A measure at every click, (prompts,).

        Args:
            way: one of `HALF_WAYS`.
            measure: one of `HALF_MEASURES`.

        Raises:
            ValueError: another one of these.
        """
        row, column = as_choice("way", way, HALF_WAYS), as_choice("measure", measure, HALF_MEASURES)
        return self._changes[:, HALF_WAYS.index(row), HALF_MEASURES.index(column)]

    def mean(self, way: str, measure: str) -> Effect:
        """The mean of `values`, with its interval. Arguments and errors as there."""
        return self._stats.interval(self.values(way, measure))


def load_half_precision(path: Path | None = None, *, weights: Path | None = None) -> HalfPrecision:
    """Read what half precision changes. Arguments and errors as for `sam_edu.ablation.load`."""
    return HalfPrecision(read(path, weights=weights))
