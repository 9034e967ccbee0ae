"""Common vectors: random unit vectors, with and without one that all share."""

import numpy as np
import pytest

from sam_edu.ablation.controls import common_vector


def unit_vectors(n: int, dim: int = 256, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n, dim))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def pairs(cosines: np.ndarray) -> np.ndarray:
    return cosines[np.triu_indices(len(cosines), 1)]


def test_random_vectors_have_little_in_common() -> None:
    found = common_vector(unit_vectors(100))
    assert found.share == pytest.approx(1 / 100, rel=0.3)  # the mean of n holds 1/n by chance
    assert abs(pairs(found.cosine_before).mean()) < 0.01
    assert pairs(found.cosine_after).mean() == pytest.approx(found.chance, abs=0.002)


def test_a_shared_vector_makes_random_ones_look_alike_until_it_is_removed() -> None:
    shared = 2 * unit_vectors(1, seed=1)[0]
    found = common_vector(unit_vectors(100) + shared)
    assert pairs(found.cosine_before).mean() == pytest.approx(4 / 5, abs=0.02)
    assert found.share == pytest.approx(4 / 5, abs=0.02)
    assert found.common @ shared / np.linalg.norm(found.common) / 2 > 0.99
    assert abs(pairs(found.cosine_after).mean()) < 0.02


def test_few_vectors_without_their_own_mean_look_opposed_by_chance() -> None:
    """Seven tokens: about 100 degrees, which says nothing."""
    found = common_vector(unit_vectors(7))
    assert found.chance == -1 / 6
    assert pairs(found.cosine_after).mean() == pytest.approx(-1 / 6, abs=0.01)


def test_the_mean_of_many_others_leaves_no_such_chance() -> None:
    shared = 2 * unit_vectors(1, seed=1)[0]
    others = unit_vectors(2000, seed=2) + shared
    found = common_vector(unit_vectors(7) + shared, of=others)
    assert found.chance == 0
    assert abs(pairs(found.cosine_after).mean()) < 0.04
    assert found.share == pytest.approx(4 / 5, abs=0.02)  # of the others' squared length
    np.testing.assert_allclose(found.rest + found.common, unit_vectors(7) + shared)


def test_two_that_are_alike_stay_alike() -> None:
    vectors = unit_vectors(50)
    vectors[1] = vectors[0] + 0.01 * vectors[1]
    found = common_vector(vectors + 3 * unit_vectors(1, seed=1))
    assert found.cosine_after[0, 1] > 0.99


def test_equal_vectors_have_no_angle_left() -> None:
    found = common_vector(np.tile(unit_vectors(1), (3, 1)))
    assert found.share == pytest.approx(1)
    assert np.isnan(found.cosine_after).all()


@pytest.mark.no_shape_check
def test_wrong_vectors_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"vectors: expected \(vectors, dim\) with at least 2 vectors, got shape \(1, 4\)"
    ):
        common_vector(np.ones((1, 4)))
    with pytest.raises(ValueError, match=r"of: expected \(many, 4\), got shape \(3, 5\)"):
        common_vector(np.ones((2, 4)), of=np.ones((3, 5)))
    with pytest.raises(ValueError, match="expected finite numbers"):
        common_vector(np.full((2, 4), np.inf))
