"""Mask likeness: how alike masks 1 to 3 are for a click and for the exact box, and how much of a mask leaves its box.

alike = ablation.load_mask_likeness()
alike.clicks.mean(), alike.boxes.mean()      # IoU of two of masks 1 to 3
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.results import COMMAND, read
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box


@dataclass(frozen=True, eq=False)
class MaskLikeness:
    """What is measured of every held-out click and of the exact box of its target mask.

    Attributes:
        clicks: mean IoU of two of masks 1 to 3, for the click.
        boxes: the same for the box.
        outside: share of the pixels of the box's mask 0 that lie outside of the box.
    """

    clicks: Float[np.ndarray, "clicks"]
    boxes: Float[np.ndarray, "clicks"]
    outside: Float[np.ndarray, "clicks"]


ARRAYS = tuple(one.name for one in fields(MaskLikeness))
"""What is measured; in the file "likeness." stands before their names."""


def likeness(masks: Bool[Tensor, "sets masks height width"]) -> Float[Tensor, "sets"]:
    """The mean IoU of two of the masks of each prompt set; two empty masks agree."""
    found = []
    for one, other in combinations(masks.unbind(1), 2):
        either = (one | other).sum((1, 2))
        found.append(torch.where(either > 0, (one & other).sum((1, 2)) / either.clamp(min=1), 1.0))
    return torch.stack(found).mean(0)


def outside_of_box(mask: Bool[Tensor, "height width"], box: tuple[int, int, int, int]) -> float:
    """Which share of a mask's pixels lies outside of a box (x0, y0, x1, y1), whose corners are pixels of the inside."""
    x0, y0, x1, y1 = box
    inside = mask[y0 : y1 + 1, x0 : x1 + 1].sum()
    return float((mask.sum() - inside) / mask.sum().clamp(min=1))


@torch.no_grad()
def likeness_of_scene(model: Sam, number: int) -> list[Row]:
    """Compare the masks of all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,) and a number for each name of `ARRAYS`.
    """
    image, truth, prompts = prompts_of(number)
    if not prompts:
        return []
    predictor = Predictor(model)
    predictor.set_image(image)
    points = torch.tensor([[[prompt.x, prompt.y]] for prompt in prompts], dtype=torch.float32)
    boxes = np.stack([tight_box(truth[prompt.mask]) for prompt in prompts])
    by_click, _, _ = predictor.predict_torch(points, torch.ones(len(prompts), 1))
    by_box, _, _ = predictor.predict_torch(None, None, torch.from_numpy(boxes).float())
    single, _, _ = predictor.predict_torch(None, None, torch.from_numpy(boxes).float(), multimask_output=False)
    clicked, boxed = likeness(by_click), likeness(by_box)
    return [
        {
            "prompt": np.array(prompt),
            "clicks": clicked[i].numpy(),
            "boxes": boxed[i].numpy(),
            "outside": np.array(outside_of_box(single[i, 0], tuple(boxes[i].astype(int).tolist()))),
        }
        for i, prompt in enumerate(prompts)
    ]


def measure_mask_likeness(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "likeness.".
    """
    stacked = stacked_rows(rows_of_scenes(likeness_of_scene, weights, scenes, processes, progress))
    return stamp(weights, stacked) | {f"likeness.{name}": stacked[name].astype(np.float32) for name in ARRAYS}


def mask_likeness_in(data: Mapping[str, Any]) -> MaskLikeness:
    """The measurements of a file's arrays.

    Raises:
        ValueError: they were not measured.
    """
    missing = [name for name in ARRAYS if f"likeness.{name}" not in data]
    if missing:
        raise ValueError(f"the file lacks the masks' likeness ({', '.join(missing)}): {COMMAND} --only likeness")
    return MaskLikeness(**{name: np.asarray(data[f"likeness.{name}"], np.float64) for name in ARRAYS})


def load_mask_likeness(path: Path | None = None, *, weights: Path | None = None) -> MaskLikeness:
    """Read how alike masks are. Arguments and errors as for `sam_edu.ablation.load`."""
    return mask_likeness_in(read(path, weights=weights))
