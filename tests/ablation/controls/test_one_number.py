"""One number before many: where one is enough, where many are needed, and where nothing explains anything."""

import numpy as np
import pytest

from sam_edu.ablation.controls import one_before_many

SCENES = np.repeat(np.arange(30), 20)
N = len(SCENES)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_one_number_is_seen_to_be_enough() -> None:
    """Sixteen numbers that all hold the same one, as the 16 logits under a mask prompt's cell do."""
    one = rng().normal(size=(N, 1))
    numbers = one + 0.3 * rng(1).normal(size=(N, 16))
    targets = numbers.mean(axis=1, keepdims=True) @ rng(2).normal(size=(1, 5)) + 0.05 * rng(3).normal(size=(N, 5))
    found = one_before_many(numbers, targets, SCENES, generator=rng(4))
    assert found.many > 0.97
    assert found.one > 0.97
    assert found.one >= found.many - 1e-3  # it has less to fit
    assert (found.drawn < 0.05).all()


def test_many_numbers_are_seen_to_be_needed() -> None:
    numbers = rng().normal(size=(N, 6))
    found = one_before_many(numbers, numbers @ rng(1).normal(size=(6, 6)), SCENES, generator=rng(2))
    assert found.many == pytest.approx(1)
    assert found.one < 0.4


def test_a_single_column_is_found_among_others() -> None:
    numbers = rng().normal(size=(N, 6))
    found = one_before_many(numbers, 2 * numbers[:, 4] + 1, SCENES, generator=rng(2))
    assert found.one == pytest.approx(1)


def test_noise_explains_nothing_however_many_numbers_there_are() -> None:
    """Fitted and judged on the same samples, 200 numbers would explain a third of pure noise."""
    numbers, targets = rng().normal(size=(N, 200)), rng(1).normal(size=(N, 3))
    fitted = np.linalg.lstsq(numbers, targets, rcond=None)[0]
    assert 1 - ((targets - numbers @ fitted) ** 2).sum() / (targets**2).sum() > 0.3
    found = one_before_many(numbers, targets, SCENES, generator=rng(2), draws=2)
    assert found.many < 0
    assert found.one < 0.01


def test_what_is_the_same_within_a_scene_does_not_help_on_other_scenes() -> None:
    """Folds that tore scenes apart would explain nearly all of it."""
    numbers, targets = rng().normal(size=(30, 10))[SCENES], rng(1).normal(size=(30, 1))[SCENES]
    found = one_before_many(numbers, targets, SCENES, generator=rng(2))
    assert found.many < 0.2


def test_random_directions_of_a_pool_explain_as_much_as_any() -> None:
    """If any 8 directions of 32 explain it, these 8 are nothing special."""
    pool = rng().normal(size=(N, 4)) @ rng(1).normal(size=(4, 32)) + 0.01 * rng(2).normal(size=(N, 32))
    targets = pool @ rng(3).normal(size=(32, 2))
    found = one_before_many(pool[:, :8], targets, SCENES, generator=rng(4), pool=pool)
    assert found.many > 0.98
    assert found.drawn.min() > 0.98
    assert found.drawn.shape == (20,)


def test_share_about_zero_that_a_constant_explains() -> None:
    targets = 10 + rng().normal(size=N)
    found = one_before_many(rng(1).normal(size=(N, 2)), targets, SCENES, generator=rng(2))
    assert found.constant == pytest.approx(100 / 101, abs=0.005)
    assert found.many < 0.02


@pytest.mark.no_shape_check
def test_wrong_arrays_are_refused() -> None:
    x = rng().normal(size=(N, 2))
    for wrong, message in (
        ({"targets": x[:5]}, f"targets: expected {N} samples, got 5"),
        ({"scenes": np.zeros(N)}, "scenes: expected at least 5, got 1"),
        ({"pool": x[:, :1]}, "pool: expected at least 2 numbers, got 1"),
        ({"targets": np.ones(N)}, "targets: expected values that differ"),
        ({"numbers": np.full((N, 2), np.nan)}, "numbers: expected finite numbers"),
        ({"numbers": np.zeros((N, 2, 2))}, r"numbers: expected \(samples, numbers\)"),
    ):
        given = {"numbers": x, "targets": x, "scenes": SCENES, "generator": rng()} | wrong
        with pytest.raises(ValueError, match=message):
            one_before_many(**given)  # type: ignore[arg-type]
