"""IoU and stability of masks at a click: known masks, and Meta's own function."""

import importlib.util

import numpy as np
import pytest
import torch

from sam_edu import ablation, official
from sam_edu.ablation import FIRST_SCENE, Prompt, both_scores, four_masks, ious, scene_and_prompts
from sam_edu.evaluation import scores
from sam_edu.scenes.scene import Scene

RNG = np.random.default_rng(0)


def test_scores_of_known_masks() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    logits = torch.full((3, 4, 4), -1.0)
    logits[0, :1] = 1.0  # half of it
    logits[1, :3] = 1.0  # too much
    assert both_scores(logits, torch.tensor([0.9, 0.2, 0.1]), mask) == (pytest.approx(2 / 3), 0.5)
    assert both_scores(-torch.ones(3, 4, 4), torch.zeros(3), mask) == (0.0, 0.0)


def test_four_masks_of_known_logits() -> None:
    """On 4 x 4 pixels, an object of two rows, a part of one, and another object; the target is the part."""
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :2] = masks[1, :1] = masks[2, 3:] = True
    image = np.zeros((4, 4, 3), np.uint8)
    scene = Scene(image, masks, np.array([0, 1, 0]), np.array([-1, 0, -1]), ("a", "a", "b"))
    logits = torch.full((4, 4, 4), -0.5)
    logits[0, :2] = 2.0  # the object, surely
    logits[1, :1] = 0.5  # the part, hesitantly
    logits[2, 3:] = 2.0  # what was not clicked
    logits[3] = -5.0  # nothing
    row = four_masks(logits, torch.tensor([0.9, 0.8, 0.7, 0.1]), scene, Prompt(0, 1, 1, 2, 0, 4))
    np.testing.assert_allclose(row["predicted"], [0.9, 0.8, 0.7, 0.1], atol=1e-6)
    assert row["iou"].tolist() == [0.5, 1.0, 0.0, 0.0]
    assert row["iou_any"].tolist() == [1.0, 1.0, 0.0, 0.0]
    np.testing.assert_array_equal(row["stability"], [0.5, 0.0, 0.25, np.nan])


def test_stability_is_the_one_of_metas_package() -> None:
    spec = importlib.util.spec_from_file_location("amg", official.package_folder() / "utils" / "amg.py")
    assert spec is not None
    assert spec.loader is not None
    amg = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(amg)
    scene, [prompt, *_] = scene_and_prompts(FIRST_SCENE + 1)
    logits = 3 * torch.randn(4, 256, 256, generator=torch.Generator().manual_seed(0))
    logits[3] = -5.0
    theirs = amg.calculate_stability_score(logits, 0.0, ablation.STABILITY_OFFSET)
    ours = four_masks(logits, torch.zeros(4), scene, prompt)["stability"]
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)
    assert np.isnan(ours[3])


def test_iou_is_the_one_of_the_scores() -> None:
    drawn, mask = RNG.random((3, 8, 8)) > 0.5, RNG.random((8, 8)) > 0.5
    np.testing.assert_allclose(ious(torch.from_numpy(drawn), mask), scores.iou(drawn, mask))
