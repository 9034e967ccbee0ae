"""Thresholds: the IoU of each mask with the logits cut at other values than 0.

    cut = ablation.load_thresholds()
    cut.clicks[:, 1, THRESHOLDS.index(0.0)]     # of mask 1 at 0, by held-out click

A mask of a click is compared with the ground-truth mask at the clicked pixel that it matches best, at every threshold
anew; mask 0 of the exact box in the click's place with the target mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import scene_and_prompts
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import COMMAND, read
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.prompts import masks_at

THRESHOLDS = tuple(i / 2 for i in range(-12, 13))
"""Where the logits are cut, -6 to 6."""


@dataclass(frozen=True, eq=False)
class Thresholds:
    """IoU by threshold, in the order of `THRESHOLDS`.

    Attributes:
        clicks: of masks 0 to 3 with the best-matching ground-truth mask.
        boxes: of mask 0 of the exact box with the target mask.
        above: pixels of mask 0 of the exact box above each threshold.
        inside: how many of them lie in the target mask.
    """

    clicks: Float[np.ndarray, "clicks 4 thresholds"]
    boxes: Float[np.ndarray, "clicks thresholds"]
    above: Float[np.ndarray, "clicks thresholds"]
    inside: Float[np.ndarray, "clicks thresholds"]


ARRAYS = tuple(one.name for one in fields(Thresholds))
"""What is measured; in the file "thresholds." stands before their names."""


def iou_by_threshold(
    logits: Float[Tensor, "height width"], truths: Bool[np.ndarray, "truths height width"]
) -> Float[np.ndarray, "thresholds"]:
    """The IoU of one map of logits with the best-matching of some masks, none of them empty, cut at each threshold."""
    cut = torch.stack([logits > threshold for threshold in THRESHOLDS]).flatten(1).double()
    flat = torch.from_numpy(truths).to(logits.device).flatten(1).double()
    both = cut @ flat.T
    iou = both / (cut.sum(1)[:, None] + flat.sum(1) - both)
    return iou.amax(1).cpu().numpy()


def counts_by_threshold(
    logits: Float[Tensor, "height width"], target: Bool[np.ndarray, "height width"]
) -> tuple[list[int], list[int]]:
    """How many pixels lie above each threshold, and how many of them in the target mask."""
    of_target = logits[torch.from_numpy(target).to(logits.device)]
    above, inside = ([int((one > t).sum()) for t in THRESHOLDS] for one in (logits, of_target))
    return above, inside


@torch.no_grad()
def thresholds_of_scene(model: Sam, number: int) -> list[Row]:
    """Cut the masks of all clicks of a held-out scene. Arguments and result as for `corrections_of_scene`."""
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    rows = []
    for prompt in prompts:
        logits = model.mask_decoder.predict_masks(**decoder_inputs(predictor, prompt))[0][0]
        truths = scene.masks[masks_at(scene, prompt.x, prompt.y, prompt.mask)]
        target = scene.masks[[prompt.mask]]
        of_box = torch.from_numpy(predictor.predict(box=tight_box(target[0]), multimask_output=False)[2][0])
        above, inside = counts_by_threshold(of_box, target[0])
        rows.append(
            {
                "prompt": np.array(prompt),
                "clicks": np.stack([iou_by_threshold(one, truths) for one in logits]),
                "boxes": iou_by_threshold(of_box, target),
                "above": np.array(above),
                "inside": np.array(inside),
            }
        )
    return rows


def measure_thresholds(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "thresholds.".
    """
    stacked = stacked_rows(rows_of_scenes(thresholds_of_scene, weights, scenes, processes, progress))
    types: dict[str, type] = {"above": np.float32, "inside": np.float32}
    return stamp(weights, stacked) | {
        f"thresholds.{name}": stacked[name].astype(types.get(name, np.float16)) for name in ARRAYS
    }


def thresholds_in(data: Mapping[str, Any]) -> Thresholds:
    """The measurements of a file's arrays.

    Raises:
        ValueError: they were not measured.
    """
    missing = [name for name in ARRAYS if f"thresholds.{name}" not in data]
    if missing:
        raise ValueError(f"the file lacks the thresholds' {', '.join(missing)}: {COMMAND} --only thresholds")
    return Thresholds(**{name: np.asarray(data[f"thresholds.{name}"], np.float64) for name in ARRAYS})


def load_thresholds(path: Path | None = None, *, weights: Path | None = None) -> Thresholds:
    """Read the IoU by threshold. Arguments and errors as for `sam_edu.ablation.load`."""
    return thresholds_in(read(path, weights=weights))
