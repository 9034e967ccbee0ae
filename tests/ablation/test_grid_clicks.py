"""Grids of clicks: which masks pass, a scene beside single clicks, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest

from sam_edu import Predictor
from sam_edu.ablation import FIRST_SCENE, GRID_ARRAYS, GRID_SIDE, GridClicks, grid_clicks_in
from sam_edu.ablation.grid_clicks import GRID_SCENES, grid_of_scene
from sam_edu.ablation.prompts import scene_and_prompts
from sam_edu.sam import load

NUMBER = FIRST_SCENE + 5


def made_up() -> dict[str, Any]:
    """Two scenes with a click each."""
    return {
        "grid.predicted": np.array([[[0.9, 0.9, 0.4]], [[0.9, 0.2, 0.2]]]),
        "grid.stability": np.array([[[0.9, 0.4, np.nan]], [[0.8, 0.9, 0.9]]]),
        "grid.iou": np.array([[[1.0, 0.5, 0.0]], [[0.5, 0.0, 0.0]]]),
        "grid.on_mask": np.array([[True], [False]]),
    }


def test_a_mask_passes_both_thresholds() -> None:
    grid = grid_clicks_in(made_up())
    assert grid.passing(0.8, 0.8) == (pytest.approx(2 / 6), 0.75)
    assert grid.passing(0.8, 0.8, half=0) == (pytest.approx(1 / 3), 1.0)
    assert grid.passing(0.8, 0.8, half=1) == (pytest.approx(1 / 3), 0.5)  # stability may be equal
    assert grid.passing(0.9, 0.0).share == 0  # the predicted IoU has to be larger
    assert math.isnan(grid.passing(0.9, 0.0).iou)
    assert grid.passing(-1, -1).share == pytest.approx(5 / 6)  # no score, no pass
    with pytest.raises(ValueError, match="half: expected 0, 1 or None, got 2"):
        grid.passing(0.8, 0.8, half=2)


def test_a_scene_is_decoded_click_by_click() -> None:
    model = load().requires_grad_(False)
    scene, prompts = scene_and_prompts(NUMBER)
    rows = grid_of_scene(model, NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == prompts
    first = rows[0]
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    number = 3 * GRID_SIDE + 6  # the fourth row from above, the seventh click
    click = [[6.5 / GRID_SIDE * 256, 3.5 / GRID_SIDE * 256]]
    masks, predicted, _ = predictor.predict(click, [1])
    np.testing.assert_allclose(first["predicted"][number], predicted, atol=1e-3)
    best = [max((mask & true).sum() / (mask | true).sum() for true in scene.masks) for mask in masks]
    np.testing.assert_allclose(first["iou"][number], best, atol=5e-3)
    x, y = (int(v) for v in click[0])
    assert first["on_mask"][number] == scene.masks[:, y, x].any()
    for row in rows[1:]:
        assert np.isnan(row["predicted"]).all()


def test_later_scenes_have_no_grid() -> None:
    model = load().requires_grad_(False)
    assert all(np.isnan(row["iou"]).all() for row in grid_of_scene(model, FIRST_SCENE + GRID_SCENES))


def test_what_is_missing_is_refused() -> None:
    for name in GRID_ARRAYS:
        with pytest.raises(ValueError, match=f"lacks the grid's {name}: .*--only grid"):
            grid_clicks_in({key: array for key, array in made_up().items() if key != f"grid.{name}"})
    assert isinstance(grid_clicks_in(made_up()), GridClicks)
