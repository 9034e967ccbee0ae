"""Split-half selection: noise is noise again, and a real effect stays."""

from itertools import combinations

import numpy as np
import pytest

from sam_edu.ablation.controls import paired_effect, split_half

SCENES = np.repeat(np.arange(100), 2)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(seed: int = 0, candidates: int = 56) -> np.ndarray:
    return rng(seed).normal(size=(candidates, len(SCENES)))


def test_the_selected_minimum_of_noise_is_reported_as_noise() -> None:
    found = split_half(noise(), SCENES, choose="lowest", generator=rng(1))
    assert found.naive == paired_effect(noise()[found.naive_winner], np.zeros(200), SCENES)
    assert found.naive.high < 0  # selected and reported on the same prompts, noise is "clear"
    assert found.low < 0 < found.high
    assert abs(found.effect) < 0.5 * abs(found.naive.mean)


def test_over_many_noises_the_mean_is_zero() -> None:
    found = [split_half(noise(seed), SCENES, choose="lowest", generator=rng(seed), splits=50) for seed in range(100)]
    error = np.std([one.effect for one in found]) / np.sqrt(len(found))
    assert abs(np.mean([one.effect for one in found])) < 3 * error
    assert np.mean([one.naive.mean for one in found]) < -0.12  # about 2.3 standard errors of 0.07
    assert np.mean([one.naive.clear for one in found]) > 0.6
    assert np.mean([one.low > 0 or one.high < 0 for one in found]) <= 0.05


def test_no_candidate_wins_noise() -> None:
    found = split_half(noise(), SCENES, choose="lowest", generator=rng(1))
    assert found.wins.sum() == pytest.approx(1)
    assert found.wins.max() < 0.6
    assert (found.wins > 0).sum() > 5


@pytest.mark.parametrize(("choose", "sign"), [("lowest", -1), ("highest", 1)])
def test_a_planted_effect_wins_and_keeps_its_size(choose: str, sign: int) -> None:
    effects = noise()
    effects[7] += sign
    found = split_half(effects, SCENES, choose=choose, generator=rng(1))  # type: ignore[arg-type]
    assert (found.winner, found.naive_winner) == (7, 7)
    assert found.wins[7] == 1
    assert found.effect == pytest.approx(found.naive.mean, abs=0.02)
    assert found.low < found.effect < found.high
    width = found.naive.high - found.naive.low
    assert found.high - found.low == pytest.approx(np.sqrt(2) * 2.24 / 1.96 * width, rel=0.1)


def test_the_prompts_of_a_scene_stay_together() -> None:
    """Each candidate is the lowest in one scene alone, by far; reported on the other half it is nothing."""
    scenes = np.repeat(np.arange(8), 3)
    effects = -np.eye(8)[:, scenes]
    found = split_half(effects, scenes, choose="lowest", generator=rng())
    assert found.effect == 0
    assert found.naive.mean == pytest.approx(-1 / 8)


def test_halves_are_halves() -> None:
    """Of 4 scenes with values 0 to 3, each half has 2: the reported means are those of the other two."""
    effects = np.stack([np.arange(4.0), np.arange(4.0)])
    found = split_half(effects, np.arange(4), choose="highest", generator=rng())
    assert set(found.per_split) == {0.5, 1, 1.5, 2, 2.5}
    assert found.effect == found.per_split.mean() == pytest.approx(1.5, abs=0.1)


def test_of_an_odd_number_of_scenes_one_more_chooses() -> None:
    """Of 5 scenes with values 1, 2, 4, 8 and 16, two report: their mean tells which."""
    values = 2.0 ** np.arange(5)
    found = split_half(np.stack([values, values]), np.arange(5), choose="highest", generator=rng())
    assert set(found.per_split) == {(a + b) / 2 for a, b in combinations(values, 2)}


def test_interval_by_hand() -> None:
    """Every half of 8 scenes with values -1 and 1, four of each, has at most its own standard error."""
    values = np.tile([-1.0, 1.0], 4)
    found = split_half(np.stack([values, values]), np.arange(8), choose="lowest", generator=rng(), splits=2000)
    # Most often a half has two of each: mean 0, standard error 1 / sqrt(3).
    assert found.high == pytest.approx(2.2414 / np.sqrt(3))
    assert found.low == pytest.approx(-2.2414 / np.sqrt(3))


def test_a_scene_with_several_prompts_counts_as_one() -> None:
    once = noise(candidates=2)[:, :100]
    twice = split_half(np.repeat(once, 2, axis=1), SCENES, choose="lowest", generator=rng())
    single = split_half(once, np.arange(100), choose="lowest", generator=rng())
    np.testing.assert_allclose([twice.effect, twice.low, twice.high], [single.effect, single.low, single.high])


@pytest.mark.no_shape_check
def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 candidates"):
        split_half(noise(candidates=1), SCENES, choose="lowest", generator=rng())
    with pytest.raises(ValueError, match="scenes: expected at least 4, two in each half, got 1"):
        split_half(noise(), np.zeros(200), choose="lowest", generator=rng())
    with pytest.raises(ValueError, match="choose: expected one of lowest, highest, got 'best'"):
        split_half(noise(), SCENES, choose="best", generator=rng())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="splits: expected at least 1, got 0"):
        split_half(noise(), SCENES, choose="lowest", generator=rng(), splits=0)
    with pytest.raises(ValueError, match="effects: expected finite"):
        split_half(np.full((2, 200), np.nan), SCENES, choose="lowest", generator=rng())
