"""Masks cut at other thresholds: known answers, a scene beside the stored IoU at 0, and what is refused."""

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, THRESHOLDS
from sam_edu.ablation.thresholds import counts_by_threshold, iou_by_threshold, thresholds_in, thresholds_of_scene
from sam_edu.sam import load

ZERO = THRESHOLDS.index(0.0)


def test_iou_at_each_threshold_is_with_the_mask_that_fits_best() -> None:
    logits = torch.tensor([[5.0, 2.0, -0.25, -9.0]])
    truths = np.array([[[True, False, False, False]], [[True, True, True, False]]])
    iou = iou_by_threshold(logits, truths)
    at = {threshold: float(value) for threshold, value in zip(THRESHOLDS, iou, strict=True)}
    assert at[-0.5] == 1  # three pixels are the second mask
    assert at[0.0] == pytest.approx(2 / 3)
    assert at[2.0] == 1  # one pixel is the first
    assert at[6.0] == 0  # nothing is left


def test_pixels_are_counted_above_each_threshold() -> None:
    logits = torch.tensor([[5.0, 0.2, 0.3, 0.4, 0.1, -0.2, -9.0]])
    target = np.array([[True, True, True, True, False, False, False]])
    above, inside = counts_by_threshold(logits, target)
    at = dict(zip(THRESHOLDS, zip(above, inside, strict=True), strict=True))
    assert (at[0.5], at[0.0], at[-0.5]) == ((1, 1), (5, 4), (6, 4))


def test_a_scene_has_the_stored_iou_at_zero() -> None:
    model, stored = load().requires_grad_(False), ablation.load().prompts
    of_scene = [i for i, prompt in enumerate(stored) if prompt.scene == FIRST_SCENE + 5]
    rows = thresholds_of_scene(model, FIRST_SCENE + 5)
    assert [tuple(row["prompt"]) for row in rows] == [stored[i] for i in of_scene]
    for row, i in zip(rows, of_scene, strict=True):
        np.testing.assert_allclose(row["clicks"][:, ZERO], stored.iou_any[i], atol=ablation.TOLERANCE)
        area = stored[i].area
        iou = row["inside"] / (row["above"] + area - row["inside"])
        np.testing.assert_allclose(row["boxes"], iou, atol=1e-6)
        np.testing.assert_allclose(row["boxes"][ZERO], stored.boxes_iou[i], atol=ablation.TOLERANCE)


def test_stored_numbers_are_read_and_what_is_missing_is_refused() -> None:
    numbers = {"thresholds.clicks": np.full((2, 4, 25), 0.5)}
    numbers |= {f"thresholds.{name}": np.full((2, 25), 0.25) for name in ("boxes", "above", "inside")}
    read = thresholds_in(numbers)
    assert (read.clicks[0, 0, 0], read.boxes[0, 0]) == (0.5, 0.25)
    for name in numbers:
        with pytest.raises(ValueError, match=f"lacks the thresholds' {name[11:]}: .*--only thresholds"):
            thresholds_in({key: array for key, array in numbers.items() if key != name})
