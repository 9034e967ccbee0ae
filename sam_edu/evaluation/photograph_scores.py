"""Scores on the hand-outlined objects of photographs, by click and by box, beside the baselines."""

from pathlib import Path

import numpy as np

from sam_edu.evaluation.baselines import DISC_RADII, discs, ellipse, flood_fills, iou
from sam_edu.evaluation.photographs import photographs
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam


def photo_table(model: Sam, folder: Path) -> str:
    """IoU on each outlined object, as Markdown.

    Args:
        model: in eval mode.
        folder: the project's `images/`.

    Returns:
        a row per object: centred click (best of three, picked by the IoU head), box (mask 0), and the best disc,
        flood fill and ellipse on the same prompts. Disc radii grow with the image.

    Raises:
        TypeError: no model, or no path.
        FileNotFoundError, ValueError: as for `photographs`; or no object is outlined.
    """
    predictor = Predictor(model)
    lines = [
        "| object | click, best of three | picked | box | discs | flood fill | ellipse |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = []
    found = photographs(folder)
    if not found:
        raise ValueError(f"folder: expected at least one outlined object in {folder}, got none")
    for photo in found:
        predictor.set_image(photo.image)
        shape = photo.mask.shape
        masks, predicted, _ = predictor.predict(photo.click[None], [1])
        boxed, _, _ = predictor.predict(box=photo.box, multimask_output=False)
        by_click = iou(masks, photo.mask)
        radii = tuple(round(radius * max(shape) / 256) for radius in DISC_RADII)
        row = [
            by_click.max(),
            by_click[predicted.argmax()],
            iou(boxed, photo.mask)[0],
            iou(discs(photo.click, shape, radii), photo.mask).max(),
            iou(flood_fills(photo.image, photo.click), photo.mask).max(),
            iou(ellipse(photo.box, shape)[None], photo.mask)[0],
        ]
        rows.append(row)
        lines.append(
            f"| {photo.name.split('.')[0]}: {photo.object} | " + " | ".join(f"{value:.2f}" for value in row) + " |"
        )
    lines.append("| **mean** | " + " | ".join(f"**{value:.2f}**" for value in np.mean(rows, axis=0)) + " |")
    return "\n".join(lines)
