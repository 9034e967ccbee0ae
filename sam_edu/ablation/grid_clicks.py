"""Grid clicks: the masks of a grid of clicks on held-out scenes, and how good they are.

    grid = ablation.load_grid_clicks()
    grid.on_mask.mean()                    # the share of the clicks that lie on a mask
    grid.passing(0.8, 0.8, half=0)         # share of the masks that pass, their mean IoU, on half of the scenes

A mask of the grid is compared with the ground-truth mask of the scene that it matches best, wherever it is. A click on
the background has no right answer, so the scores are tried where training did not show them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import FIRST_SCENE, scene_and_prompts
from sam_edu.ablation.results import COMMAND, read
from sam_edu.ablation.scoring import STABILITY_OFFSET
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

GRID_SIDE, GRID_SCENES = 9, 40
"""Clicks along a side of the grid, and how many of the held-out scenes have one: the first."""


class Passing(NamedTuple):
    """The share of masks that pass, and their mean IoU, NaN where none does."""

    share: float
    iou: float


@dataclass(frozen=True, eq=False)
class GridClicks:
    """Masks 1 to 3 of each click of the grid, scene by scene.

    Attributes:
        predicted: the predicted IoU.
        stability: as in `FourMasks`; NaN where no logit is above -1.
        iou: with the best-matching ground-truth mask of the scene.
        on_mask: whether a ground-truth mask lies under the click.
    """

    predicted: Float[np.ndarray, "scenes clicks 3"]
    stability: Float[np.ndarray, "scenes clicks 3"]
    iou: Float[np.ndarray, "scenes clicks 3"]
    on_mask: Bool[np.ndarray, "scenes clicks"]

    def passing(self, least_iou: float | int, least_stability: float | int, half: int | None = None) -> Passing:
        """Which share of the masks pass both thresholds, and how good these are.

        Args:
            least_iou: the predicted IoU has to be larger.
            least_stability: the stability must not be smaller.
            half: 0 or 1, every other scene alone, so that thresholds can be chosen on one half and tried on the other.

        Raises:
            ValueError: another half.
        """
        if half not in (None, 0, 1):
            raise ValueError(f"half: expected 0, 1 or None, got {half!r}")
        chosen = slice(half, None, None if half is None else 2)
        good = (self.predicted[chosen] > least_iou) & (self.stability[chosen] >= least_stability)
        ious = self.iou[chosen][good]
        return Passing(float(good.mean()), float(ious.mean()) if good.any() else float("nan"))


GRID_ARRAYS = tuple(one.name for one in fields(GridClicks))
"""What is measured; in the file "grid." stands before their names."""


@torch.no_grad()
def grid_of_scene(model: Sam, number: int) -> list[Row]:
    """The masks of a grid of clicks on a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per held-out click "prompt" (6,), and each array of `GridClicks` without the axis of the scenes; NaN and False
        in all rows of a scene but the first, and beyond the first `GRID_SCENES` scenes.
    """
    scene, prompts = scene_and_prompts(number)
    names = ("predicted", "stability", "iou")
    empty: Row = {name: np.full((GRID_SIDE**2, 3), np.nan) for name in names} | {
        "on_mask": np.zeros(GRID_SIDE**2, bool)
    }
    rows = [{"prompt": np.array(prompt)} | empty for prompt in prompts]
    if not rows or number >= FIRST_SCENE + GRID_SCENES:
        return rows
    predictor = Predictor(model, fast=True)
    predictor.set_image(scene.image)
    height, width = scene.image.shape[:2]
    ys, xs = ((torch.arange(GRID_SIDE) + 0.5) / GRID_SIDE * length for length in (height, width))
    points = torch.cartesian_prod(ys, xs).flip(1)
    truths = torch.from_numpy(scene.masks).flatten(1).float()
    parts = []
    for some in predictor.transform.apply_coords_torch(points, (height, width)).split(27):
        logits, predicted, _ = predictor.predict_torch(some[:, None], torch.ones(len(some), 1), return_logits=True)
        masks = (logits > 0).flatten(2).float()
        both = masks @ truths.T
        iou = (both / (masks.sum(-1, keepdim=True) + truths.sum(-1) - both)).amax(-1)
        high, low = ((logits > edge).sum((2, 3)) for edge in (STABILITY_OFFSET, -STABILITY_OFFSET))
        parts.append((predicted, high / low, iou))
    found = {name: torch.cat(one).double().numpy() for name, one in zip(names, zip(*parts, strict=True), strict=True)}
    x, y = points.long().T.numpy()
    rows[0].update(found, on_mask=np.asarray(scene.masks[:, y, x].any(0)))
    return rows


def measure_grid_clicks(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "grid.", a row per scene.
    """
    stacked = stacked_rows(rows_of_scenes(grid_of_scene, weights, scenes, processes, progress))
    measured = ~np.isnan(stacked["predicted"]).all(axis=(1, 2))
    types: dict[str, type] = {"on_mask": bool}
    arrays: dict[str, np.ndarray] = {
        f"grid.{name}": stacked[name][measured].astype(types.get(name, np.float16)) for name in GRID_ARRAYS
    }
    return stamp(weights, stacked) | arrays


def grid_clicks_in(data: Mapping[str, Any]) -> GridClicks:
    """The measurements of a file's arrays.

    Raises:
        ValueError: they were not measured.
    """
    missing = [name for name in GRID_ARRAYS if f"grid.{name}" not in data]
    if missing:
        raise ValueError(f"the file lacks the grid's {', '.join(missing)}: {COMMAND} --only grid")
    arrays: dict[str, Any] = {name: np.asarray(data[f"grid.{name}"], np.float64) for name in GRID_ARRAYS}
    return GridClicks(**arrays | {"on_mask": arrays["on_mask"] > 0})


def load_grid_clicks(path: Path | None = None, *, weights: Path | None = None) -> GridClicks:
    """Read the measurements of the grids. Arguments and errors as for `sam_edu.ablation.load`."""
    return grid_clicks_in(read(path, weights=weights))
