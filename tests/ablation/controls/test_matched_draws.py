"""Matched draws: as many firing units, and effects of planted, of random and of silent sets."""

import numpy as np
import pytest

from sam_edu.ablation.controls import AgainstDraws, against_draws, matched_draws

UNITS, FIRING = 400, 80
FIRES = np.arange(UNITS) < FIRING  # the others are silent


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def effect(units: np.ndarray, worth: np.ndarray) -> float:
    """Of an ablation that takes away what the units are worth; silent ones are worth nothing."""
    return -float((worth * FIRES)[units].sum())


def test_draws_hold_as_many_firing_and_as_many_silent_units() -> None:
    chosen = [0, 1, 2, 3, 4, 200, 201]
    drawn = matched_draws(FIRES, chosen, generator=rng(), draws=50)
    assert drawn.shape == (50, 7)
    assert (FIRES[drawn].sum(axis=1) == 5).all()
    assert (np.diff(drawn) > 0).all()  # no unit twice
    assert len(np.unique(drawn[FIRES[drawn]])) > 0.9 * FIRING


def test_draws_follow_the_generator() -> None:
    one, same, other = (matched_draws(FIRES, [0, 1, 2], generator=rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_rates_are_matched_in_classes() -> None:
    rates = np.repeat([0.0, 0.03, 0.1, 0.4, 0.9], 40)
    chosen = [0, 41, 42, 81, 121, 122, 123, 161]
    drawn = matched_draws(rates, chosen, generator=rng())
    for row in drawn:
        assert np.sort(rates[row]).tolist() == np.sort(rates[chosen]).tolist()


def test_a_mask_selects_as_its_indices_do() -> None:
    mask = np.zeros(UNITS, bool)
    mask[[3, 7]] = True
    np.testing.assert_array_equal(
        matched_draws(FIRES, mask, generator=rng()), matched_draws(FIRES, [7, 3], generator=rng())
    )


def test_a_planted_set_is_found() -> None:
    worth = np.abs(rng(1).normal(size=UNITS))
    planted = np.arange(10)
    worth[planted] += 2
    drawn = matched_draws(FIRES, planted, generator=rng(2))
    found = against_draws(effect(planted, worth), [effect(one, worth) for one in drawn])
    assert found.below == 0
    assert found.effect < found.low
    assert found.p == pytest.approx(2 / 41)


def test_a_random_set_is_found_as_rarely_as_it_should_be() -> None:
    """Over many random sets the p of 5 % comes in about 5 %."""
    found = []
    for seed in range(200):
        worth, chosen = np.abs(rng(seed).normal(size=UNITS)), rng(1000 + seed).choice(FIRING, 10, replace=False)
        drawn = matched_draws(FIRES, chosen, generator=rng(2000 + seed))
        found.append(against_draws(effect(chosen, worth), [effect(one, worth) for one in drawn]).p <= 0.05)
    assert 0.01 < np.mean(found) < 0.1


def test_unmatched_draws_would_have_been_fooled() -> None:
    """A random set of firing units seems to matter beside sets that are mostly silent."""
    worth = np.ones(UNITS)
    chosen = rng().choice(FIRING, 10, replace=False)
    unmatched = [effect(rng(seed).choice(UNITS, 10, replace=False), worth) for seed in range(40)]
    assert against_draws(effect(chosen, worth), unmatched).p < 0.05
    drawn = matched_draws(FIRES, chosen, generator=rng())
    assert against_draws(effect(chosen, worth), [effect(one, worth) for one in drawn]).p == 1


def test_summary_by_hand() -> None:
    found = against_draws(5.0, np.arange(1.0, 22.0))
    assert found == AgainstDraws(5.0, 11.0, 1.5, 20.5, 4.5, 21)
    assert found.p == pytest.approx(2 * 5.5 / 22)
    assert against_draws(30.0, np.arange(21)).p == pytest.approx(2 / 22)
    assert against_draws(1.0, np.ones(21)).p == 1


@pytest.mark.no_shape_check
def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="draws: expected at least 20, got 19"):
        matched_draws(FIRES, [0], generator=rng(), draws=19)
    with pytest.raises(ValueError, match="chosen: expected at least one index"):
        matched_draws(FIRES, [], generator=rng())
    with pytest.raises(ValueError, match=r"got all of them \(80\), so there is no other set to draw"):
        matched_draws(FIRES, FIRES, generator=rng())
    with pytest.raises(ValueError, match="fires: expected a bool or a rate from 0 to 1"):
        matched_draws(np.array([0.0, 2.0]), [0], generator=rng())
    with pytest.raises(ValueError, match=r"drawn: expected the effects of at least 20 draws, got shape \(3,\)"):
        against_draws(0.0, np.zeros(3))
    with pytest.raises(ValueError, match="expected finite effects"):
        against_draws(np.nan, np.zeros(30))
