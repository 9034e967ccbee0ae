"""Exchanged maps: do the four masks differ because their tokens attend to different positions?

    maps = ablation.load_exchanged_maps()
    maps.mean("exchanged", "all three", "own")       # IoU with the token's own unchanged mask
    maps.mean("exchanged", "all three", "donor")     # IoU with the unchanged mask of the token whose maps it got

In steps (2) and (6-1) each mask token has its own attention weights. Two interventions give it others, head by head:

- *exchanged*: mask token i gets the weights of mask token i + 1, the last one those of the first. If a mask follows the
  maps of its token, it becomes the other mask; if it follows the token, it stays.
- *alike*: all four get their mean. If the masks differ because of the maps, they become more alike.

The tokens and all weights of the network stay. Measured in one attention and in all three at once:

- "own": IoU of a mask with its unchanged self, mean over masks 0 to 3,
- "donor": IoU with the unchanged mask i + 1, likewise,
- "among": IoU of two of the four masks, mean over the six pairs.

"unchanged" has the same three without an intervention: what "donor" and "among" are anyway.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from sam_edu.ablation.changes import TOKEN_TO_IMAGE, Ablation, Change
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import COMMAND, Effect, Statistics, read
from sam_edu.argument_checks import as_choice
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

MASK_TOKENS = slice(1, 5)

ALL_THREE = "all three"

MAP_PLACES = (*TOKEN_TO_IMAGE, ALL_THREE)
"""Where the maps are changed."""

MAP_MEASURES = ("own", "donor", "among")

ARRAYS = ("unchanged", "ious")
"""What is measured; in the file "exchanged_maps." stands before it."""


def exchange(weights: Tensor) -> Tensor:
    """Give each mask token the weights of the next one, (batch, heads, queries, keys), in place."""
    weights[:, :, MASK_TOKENS] = weights[:, :, MASK_TOKENS].roll(-1, dims=2)
    return weights


def make_alike(weights: Tensor) -> Tensor:
    """Give all mask tokens the mean of their weights, (batch, heads, queries, keys), in place."""
    weights[:, :, MASK_TOKENS] = weights[:, :, MASK_TOKENS].mean(dim=2, keepdim=True)
    return weights


MAP_WAYS: dict[str, Callable[[Tensor], Tensor]] = {"exchanged": exchange, "alike": make_alike}
"""The interventions by name."""


def overlaps(
    masks: Bool[Tensor, "4 height width"], unchanged: Bool[Tensor, "4 height width"]
) -> tuple[float, float, float]:
    """The measures of four masks, in the order of `MAP_MEASURES`; two empty masks are alike."""
    own = [_iou(masks[i], unchanged[i]) for i in range(4)]
    donor = [_iou(masks[i], unchanged[(i + 1) % 4]) for i in range(4)]
    among = [_iou(a, b) for a, b in combinations(masks, 2)]
    return tuple(sum(some) / len(some) for some in (own, donor, among))  # type: ignore[return-value]


def _iou(a: Tensor, b: Tensor) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


@torch.no_grad()
def exchanged_maps_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), "unchanged" (measures,), and "ious" (ways, places, measures).
    """
    image, _, prompts = prompts_of(number)
    if not prompts:
        return []
    predictor, rows = Predictor(model), []
    predictor.set_image(image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    for prompt in prompts:
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt), encodings)
        unchanged = decode.masks[0] > 0
        found = np.zeros((len(MAP_WAYS), len(MAP_PLACES), len(MAP_MEASURES)))
        for i, (way, how) in enumerate(MAP_WAYS.items()):
            for j, place in enumerate(MAP_PLACES):
                names = TOKEN_TO_IMAGE if place == ALL_THREE else (place,)
                changes = tuple(Change(f"{name}.weights", how) for name in names)
                found[i, j] = overlaps(decode.run(Ablation(f"maps {way}", changes))[0][0] > 0, unchanged)
        rows.append({"prompt": np.array(prompt), "unchanged": np.array(overlaps(unchanged, unchanged)), "ious": found})
    return rows


def measure_exchanged_maps(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "exchanged_maps.".
    """
    stacked = stacked_rows(rows_of_scenes(exchanged_maps_of_scene, weights, scenes, processes, progress))
    return stamp(weights, stacked) | {f"exchanged_maps.{name}": stacked[name].astype(np.float32) for name in ARRAYS}


class ExchangedMaps:
    """The measurements of exchanged maps over the held-out clicks.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: they were not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        for name in ARRAYS:
            if f"exchanged_maps.{name}" not in data:
                raise ValueError(f"the file lacks the exchanged maps: {COMMAND} --only maps measures them")
        self._unchanged, self._ious = (np.asarray(data[f"exchanged_maps.{name}"], np.float64) for name in ARRAYS)
        self._stats = Statistics(data)

    def ious(self, way: str, place: str, measure: str) -> np.ndarray:
        """A measure at every click, (prompts,).

        Args:
            way: "unchanged", or one of `MAP_WAYS`.
            place: one of `MAP_PLACES`; it does not matter for "unchanged".
            measure: one of `MAP_MEASURES`.

        Raises:
            ValueError: another one of these.
        """
        column = MAP_MEASURES.index(as_choice("measure", measure, MAP_MEASURES))
        where = MAP_PLACES.index(as_choice("place", place, MAP_PLACES))
        if way == "unchanged":
            return self._unchanged[:, column]
        return self._ious[:, list(MAP_WAYS).index(as_choice("way", way, ("unchanged", *MAP_WAYS))), where, column]

    def mean(self, way: str, place: str, measure: str) -> Effect:
        """The mean of `ious`, with its interval. Arguments and errors as there."""
        return self._stats.interval(self.ious(way, place, measure))


def load_exchanged_maps(path: Path | None = None, *, weights: Path | None = None) -> ExchangedMaps:
    """Read the measurements of exchanged maps. Arguments and errors as for `sam_edu.ablation.load`."""
    return ExchangedMaps(read(path, weights=weights))
