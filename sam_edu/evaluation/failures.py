"""The failures of the model, by a rule: the masks of the test scenes with the lowest scores."""

from collections.abc import Sequence

import numpy as np
import torch

from sam_edu.argument_checks import as_count
from sam_edu.evaluation.baselines import iou
from sam_edu.evaluation.scores import LEVELS, TEST_STREAMS, Target, require_rows
from sam_edu.figures.cases import Case
from sam_edu.model_checks import as_sam
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.scene import draw_scene
from sam_edu.training.rounds import set_grid


@torch.no_grad()
def worst_clicks(model: Sam, rows: Sequence[Target], per_level: int = 4) -> list[Case]:
    """The held-out masks at whose random click the best of three masks was worst, the same number from each level.

    Args:
        model: that was measured.
        rows: its measurements on the held-out scenes.
        per_level: how many of objects, of parts and of sub-parts.

    Returns:
        one case each, with the best of the three masks.

    Raises:
        TypeError: no model, no rows, or a number that is not whole.
        ValueError: no row, or a number below 1.
    """
    require_rows(rows)
    model, per_level = as_sam(model), as_count("per_level", per_level)
    set_grid(model, 64)
    predictor = Predictor(model)
    found = []
    for level, name in enumerate(LEVELS):
        for row in sorted((row for row in rows if row.level == level), key=lambda row: row.click)[:per_level]:
            scene = draw_scene((TEST_STREAMS["ordinary"], row.scene))
            predictor.set_image(scene.image)
            click = np.array(row.click_position)
            masks, _, _ = predictor.predict(click[None], [1])
            scores = iou(masks, scene.masks[row.mask])
            best = int(scores.argmax())
            title = f"{scene.family[row.mask]}, {name}: IoU {scores[best]:.2f}"
            found.append(Case(scene.image, masks[best], scene.masks[row.mask], click, title, 1 + best))
    return found
