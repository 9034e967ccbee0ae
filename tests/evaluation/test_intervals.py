"""Intervals by scene: the same numbers as the formulas that they replaced, and wider where a scene's values agree."""

import numpy as np
import pytest

from sam_edu.evaluation.intervals import Interval, SceneBootstrap, multinomial_draws, single_draws

CASES = [
    ([0, 0, 0, 1, 1, 2], "three scenes of different sizes"),
    ([3, 1, 2, 0], "a value per scene, out of order"),
    ([7, 90, 7, 3000, 90, 7], "numbers with gaps"),
    ([5], "one value"),
    ([4, 4, 4], "one scene"),
    (list(range(40)) * 3, "many scenes, three values each"),
    ([i // 7 for i in range(100)], "the last scene smaller"),
]
scenes_of_each_case = pytest.mark.parametrize("scenes", [case for case, _ in CASES], ids=[name for _, name in CASES])


def by_single_draws(scenes: list[int], values: np.ndarray, draws: int) -> Interval:
    """The formula of the scores, which draws scene by scene and adds up."""
    _, number = np.unique(scenes, return_inverse=True)
    sums, counts = np.bincount(number, values), np.bincount(number)
    drawn = np.random.default_rng(0).integers(0, len(sums), (draws, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return Interval(float(values.mean()), *map(float, np.percentile(means, [2.5, 97.5])))


def by_multinomial_draws(scenes: list[int], values: np.ndarray, draws: int) -> Interval:
    """The formula of the effects, which draws how often each scene appears; written out as a loop."""
    numbers = sorted(set(scenes))
    means = []
    for counts in np.random.default_rng(0).multinomial(len(numbers), [1 / len(numbers)] * len(numbers), size=draws):
        weights = np.array([counts[numbers.index(scene)] for scene in scenes])
        means.append((weights * values).sum() / weights.sum())
    return Interval(float(values.mean()), *map(float, np.percentile(means, [2.5, 97.5])))


@scenes_of_each_case
def test_scores_have_the_intervals_of_the_former_formula(scenes: list[int]) -> None:
    values = np.random.default_rng(1).random(len(scenes))
    found = SceneBootstrap(scenes, single_draws(len(set(scenes)))).interval(values)
    np.testing.assert_allclose(found, by_single_draws(scenes, values, 1000), rtol=1e-12)


@scenes_of_each_case
def test_effects_have_the_intervals_of_the_former_formula(scenes: list[int]) -> None:
    values = np.random.default_rng(2).normal(size=len(scenes))
    found = SceneBootstrap(scenes).interval(values)
    np.testing.assert_allclose(found, by_multinomial_draws(scenes, values, 2000), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("draw", [multinomial_draws, single_draws])
def test_each_draw_has_as_many_scenes_as_there_are(draw) -> None:
    drawn = draw(9, 50)
    assert drawn.shape == (50, 9)
    assert (drawn.sum(axis=1) == 9).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(9), abs=0.6)


def test_values_that_agree_within_a_scene_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(3).random(30), 4)
    together = SceneBootstrap([i // 4 for i in range(120)]).interval(values)
    apart = SceneBootstrap(list(range(120))).interval(values)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def ratio_by_loop(scenes: list[int], over: np.ndarray, under: np.ndarray) -> Interval:
    """A ratio of means, draw by draw."""
    numbers = sorted(set(scenes))
    ratios = []
    for counts in np.random.default_rng(0).multinomial(len(numbers), [1 / len(numbers)] * len(numbers), size=2000):
        weights = np.array([counts[numbers.index(scene)] for scene in scenes])
        ratios.append((weights * over).sum() / (weights * under).sum())
    return Interval(float(over.mean() / under.mean()), *map(float, np.percentile(ratios, [2.5, 97.5])))


@scenes_of_each_case
def test_ratio_is_one_of_means_in_every_draw(scenes: list[int]) -> None:
    over, under = np.random.default_rng(4).normal(size=len(scenes)), 1 + np.random.default_rng(5).random(len(scenes))
    found = SceneBootstrap(scenes).ratio(over, under)
    np.testing.assert_allclose(found, ratio_by_loop(scenes, over, under), rtol=1e-10, atol=1e-14)


def test_ratio_of_what_is_proportional_has_no_width() -> None:
    under = 1 + np.random.default_rng(6).random(30)
    found = SceneBootstrap([i // 3 for i in range(30)]).ratio(0.25 * under, under)
    np.testing.assert_allclose(found, 0.25, rtol=1e-12)
