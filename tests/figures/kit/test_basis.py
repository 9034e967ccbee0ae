"""The fixed basis of the encoded image: what it keeps, and that its signs depend on nothing."""

import numpy as np
import pytest

from sam_edu.figures.kit.basis import embedding_basis

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(8, 8)) * np.array([9, 6, 4, 1, 1, 1, 1, 1])
EMBEDDING = np.einsum("ck,khw->chw", MIX, RNG.normal(size=(8, 16, 16))) + 5


def test_the_basis_is_the_pca_of_the_embedding() -> None:
    basis = embedding_basis(EMBEDDING)
    np.testing.assert_allclose(basis.directions.T @ basis.directions, np.eye(3), atol=1e-12)
    vectors = EMBEDDING.reshape(8, -1).T
    _, sizes, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    assert basis.kept == pytest.approx((sizes[:3] ** 2).sum() / (sizes**2).sum())
    spread = (vectors @ basis.directions).std(0)
    assert spread[0] > spread[1] > spread[2]


def test_the_same_difference_from_the_mean_has_the_same_colour_in_every_map() -> None:
    basis = embedding_basis(EMBEDDING)
    whole = basis.colours(EMBEDDING)
    assert whole.shape == (16, 16, 3)
    assert 0 <= whole.min() < 0.05
    assert 0.95 < whole.max() <= 1
    mirrored = EMBEDDING[:, ::-1]
    np.testing.assert_allclose(basis.colours(mirrored), whole[::-1], atol=1e-12)
    np.testing.assert_array_equal(basis.colours(np.stack([mirrored, EMBEDDING]))[1], whole)


def test_a_vector_that_all_positions_share_is_left_out_and_the_scale_is_not() -> None:
    basis = embedding_basis(EMBEDDING)
    shift = 40 * np.random.default_rng(1).normal(size=(8, 1, 1))
    np.testing.assert_allclose(basis.colours(EMBEDDING + shift), basis.colours(EMBEDDING), atol=1e-12)
    half = np.ptp(basis.colours(EMBEDDING / 2), axis=(0, 1))
    assert (half < 0.75).all()


def test_last_bits_do_not_turn_a_colour_round() -> None:
    basis = embedding_basis(EMBEDDING)
    for seed in range(20):
        noise = 1e-7 * np.random.default_rng(seed).normal(size=EMBEDDING.shape)
        np.testing.assert_allclose(embedding_basis(EMBEDDING + noise).directions, basis.directions, atol=1e-5)
    mirrored = embedding_basis(EMBEDDING[:, ::-1])
    np.testing.assert_allclose(mirrored.directions, basis.directions, atol=1e-9)


def test_too_few_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="embedding: expected at least 3 channels, got 2"):
        embedding_basis(EMBEDDING[:2])
