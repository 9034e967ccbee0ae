"""Mask likeness: known answers, a scene, and what is refused."""

import numpy as np
import pytest
import torch

from sam_edu.ablation import FIRST_SCENE, mask_likeness_in, prompts_of
from sam_edu.ablation.mask_likeness import ARRAYS, likeness, likeness_of_scene, outside_of_box
from sam_edu.sam import load


def test_likeness_is_the_mean_iou_of_two_of_three_masks() -> None:
    rows = torch.tensor([[True, True, False, False], [True, False, False, False], [False, False, False, True]])
    masks = torch.stack([rows, torch.zeros_like(rows), rows[[0, 0, 0]]])[:, :, None]
    torch.testing.assert_close(likeness(masks), torch.tensor([0.5 / 3, 1.0, 1.0]))


def test_outside_counts_the_pixels_beyond_the_boxs_own() -> None:
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[1:5, 2:6] = True
    assert outside_of_box(mask, (2, 1, 5, 4)) == 0
    assert outside_of_box(mask, (3, 1, 5, 4)) == 4 / 16
    assert outside_of_box(mask, (2, 2, 5, 3)) == 8 / 16
    assert outside_of_box(torch.zeros_like(mask), (2, 1, 5, 4)) == 0


def test_the_boxs_masks_are_compared_in_the_boxs_place() -> None:
    model, number = load().requires_grad_(False), FIRST_SCENE + 5
    rows = likeness_of_scene(model, number)
    assert [tuple(row["prompt"]) for row in rows] == prompts_of(number)[2]
    for row in rows:
        assert 0 < row["clicks"] < row["boxes"] < 1  # on this scene
        assert 0 <= row["outside"] < 0.1


def test_stored_numbers_are_read_and_what_is_missing_is_refused() -> None:
    numbers = {f"likeness.{name}": np.full(2, 0.25 * i) for i, name in enumerate(ARRAYS)}
    assert [getattr(mask_likeness_in(numbers), name)[1] for name in ARRAYS] == [0, 0.25, 0.5]
    for name in ARRAYS:
        with pytest.raises(ValueError, match=rf"lacks the masks' likeness \({name}\): .*--only likeness"):
            mask_likeness_in({key: array for key, array in numbers.items() if key != f"likeness.{name}"})
