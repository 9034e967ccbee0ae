"""Paired effects: of the same prompts, by scene, and the size that an interval still allows."""

import numpy as np
import pytest

from sam_edu.ablation import Effect
from sam_edu.ablation.controls import paired_effect

SCENES = np.repeat(np.arange(40), 2)


def test_what_pairs_have_in_common_cancels() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(scale=100, size=80)
    effect = paired_effect(before + 0.1 + rng.normal(scale=0.01, size=80), before, SCENES)
    assert effect.mean == pytest.approx(0.1, abs=0.005)
    assert effect.clear
    assert effect.high - effect.low < 0.01


def test_scenes_are_drawn_and_not_prompts() -> None:
    once = np.random.default_rng(1).normal(size=40)
    together = paired_effect(np.repeat(once, 2), np.zeros(80), SCENES)
    apart = paired_effect(np.repeat(once, 2), np.zeros(80), np.arange(80))
    assert together.high - together.low == pytest.approx(np.sqrt(2) * (apart.high - apart.low), rel=0.1)


def test_at_most_is_the_end_that_is_farther_from_zero() -> None:
    assert Effect(-0.01, -0.03, 0.01, 9).at_most == 0.03
    assert Effect(0.01, -0.01, 0.03, 9).at_most == 0.03
    assert Effect(-0.2, -0.3, -0.1, 9).at_most == 0.3  # a clear effect too


def test_noise_is_not_clear_and_at_most_says_how_large_it_may_be() -> None:
    noise = np.random.default_rng(2).normal(size=(2, 80))
    effect = paired_effect(*noise, SCENES)
    assert not effect.clear
    assert 1.5 * np.sqrt(2 / 80) < effect.at_most < 5 * np.sqrt(2 / 80)


@pytest.mark.no_shape_check
def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"after: expected one value for each of 80 prompts, got shape \(79,\)"):
        paired_effect(np.zeros(79), np.zeros(80), SCENES)
    with pytest.raises(ValueError, match="before: expected finite values, got 80 others"):
        paired_effect(np.zeros(80), np.full(80, np.nan), SCENES)
    with pytest.raises(ValueError, match="after: expected one value"):
        paired_effect([], [], [])
