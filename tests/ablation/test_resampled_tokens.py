"""Resampled tokens: what is replaced, a scene beside the stored IoU, and what is refused."""

import numpy as np
import pytest

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, RESAMPLED_SLOTS, ResampledTokens
from sam_edu.ablation.resampled_tokens import ARRAY, resampled_tokens_of_scene
from sam_edu.sam import load


def test_the_sets_divide_a_clicks_seven_tokens() -> None:
    assert sorted((*RESAMPLED_SLOTS["IoU token"], *RESAMPLED_SLOTS["all but the IoU token"])) == list(range(7))
    assert RESAMPLED_SLOTS["none"] == ()


def test_nothing_resampled_is_the_stored_iou_and_all_others_change_the_masks() -> None:
    model, stored = load().requires_grad_(False), ablation.load().prompts
    of_scene = [i for i, prompt in enumerate(stored) if prompt.scene == FIRST_SCENE + 5]
    rows = resampled_tokens_of_scene(model, FIRST_SCENE + 5)
    assert [tuple(row["prompt"]) for row in rows] == [stored[i] for i in of_scene]
    names = list(RESAMPLED_SLOTS)
    for row, i in zip(rows, of_scene, strict=True):
        np.testing.assert_allclose(row["best"][0], stored.iou[i, 1:].max(), atol=ablation.TOLERANCE)
        changes = row["best"] - row["best"][0]
        assert abs(changes[names.index("all but the IoU token")]) > abs(changes[names.index("IoU token")])


def test_changes_are_against_nothing_resampled_and_what_is_missing_is_refused() -> None:
    tokens = ResampledTokens({ARRAY: np.array([[0.5, 0.25, 1.0, 0.0], [0.5, 0.5, 0.5, 0.5]])})
    assert tokens.change("IoU token").tolist() == [-0.25, 0]
    assert tokens.change("all but the IoU token").tolist() == [-0.5, 0]
    with pytest.raises(ValueError, match=r"slots: expected .*got 'mask'"):
        tokens.change("mask")
    with pytest.raises(ValueError, match=r"lacks resampled tokens: .*--only tokens"):
        ResampledTokens({})
