"""The quick validation: its scores on two scenes, and on scenes without a mask."""

import math

import numpy as np
import pytest

from sam_edu.sam import load
from sam_edu.scenes.scene import Scene
from sam_edu.training import validation


def test_scores_of_two_scenes_are_possible() -> None:
    scores = validation.validate(load(), 16, 2, "float32")
    assert set(scores) == {"click", "whole", "part", "sub", "picked", "box"}
    assert all(0.3 < value <= 1 for name, value in scores.items() if name in ("click", "whole", "box"))
    assert scores["picked"] <= scores["click"]


def test_scenes_without_a_mask_give_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Scene(
        np.zeros((256, 256, 3), np.uint8), np.zeros((0, 256, 256), bool), np.zeros(0, int), np.zeros(0, int), ()
    )
    monkeypatch.setattr(validation, "draw_scene", lambda seed: nothing)
    model = load()
    scores = validation.validate(model, 16, 2, "float32")
    assert all(math.isnan(value) for value in scores.values())
    assert model.prompt_encoder.image_embedding_size == (64, 64)  # as before
