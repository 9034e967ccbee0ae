"""Weights fitted to outlines: the best are found, and the controls are what they are said to be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sam_edu.ablation.outline_fits import (
    FITS,
    PLACES,
    RIDGE,
    STRIDE,
    best_weights,
    elsewhere,
    fitted_iou,
    outline_fits,
    sines,
)

SIZE = 48


def square(y: int, x: int, size: int = 12) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y : y + size, x : x + size] = True
    return mask


def random_features(seed: int, channels: int = 6) -> Tensor:
    return torch.randn(channels, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_no_other_weights_fit_better() -> None:
    """The gradient of the loss that is written out here is zero."""
    features, mask = random_features(0), torch.from_numpy(square(5, 9))
    weights = best_weights(features, mask).double().requires_grad_()
    scale = features.std().double()
    logits = torch.einsum("c,chw->hw", weights, features.double())
    loss = F.binary_cross_entropy_with_logits(logits, mask.double()) + RIDGE / 2 * (weights * scale) @ (weights * scale)
    (gradient,) = torch.autograd.grad(loss, weights)
    assert gradient.abs().max() < 1e-3
    start = torch.zeros_like(weights, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(torch.einsum("c,chw->hw", start, features.double()), mask.double())
    (before,) = torch.autograd.grad(loss, start)
    assert before.abs().max() > 5e-3


def test_an_outline_that_the_features_hold_is_found_and_others_are_not() -> None:
    mask = square(5, 9)
    features = torch.cat([random_features(1), torch.ones(1, SIZE, SIZE)])
    features[2] = torch.from_numpy(mask).float() - 0.5
    assert fitted_iou(features, mask) > 0.99
    assert fitted_iou(features, square(30, 30)) < 0.2


def test_the_fit_sees_all_positions_of_a_block_of_the_upscaling() -> None:
    assert {i % 4 for i in range(0, 256, STRIDE)} == {0, 1, 2, 3}


@pytest.mark.parametrize("mask", [np.zeros((SIZE, SIZE), bool), np.ones((SIZE, SIZE), bool)])
def test_a_mask_without_two_sides_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected some pixels inside and some outside"):
        best_weights(random_features(0), torch.from_numpy(mask))


def test_features_that_are_all_alike_are_refused() -> None:
    with pytest.raises(ValueError, match="expected numbers that differ"):
        best_weights(torch.ones(3, SIZE, SIZE), torch.from_numpy(square(1, 1)))


def test_sines_depend_on_the_position_alone_and_draw_a_square_wherever_it_is() -> None:
    one, other = (sines(SIZE, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert one.shape == (32, SIZE, SIZE)
    assert not torch.equal(one, other)
    assert torch.equal(one[0], torch.ones(SIZE, SIZE))
    assert one.abs().max() <= 1
    assert min(fitted_iou(one, square(5, 9)), fitted_iou(one, square(30, 25))) > 0.5


def test_elsewhere_is_the_same_outline_wholly_inside_the_image() -> None:
    mask = square(0, 36)
    mask[3, 40] = False
    rng = np.random.default_rng(0)
    found = [elsewhere(mask, rng) for _ in range(50)]
    corners = {(int(np.flatnonzero(one.any(1))[0]), int(np.flatnonzero(one.any(0))[0])) for one in found}
    assert len(corners) > 40
    for one, (y, x) in ((one, next(zip(*np.nonzero(one), strict=True))) for one in found):
        np.testing.assert_array_equal(one[y : y + 12, x : x + 12], mask[:12, 36:])
        assert one.sum() == mask.sum()


def test_an_outline_that_the_fit_would_miss_at_its_new_position_is_left_out() -> None:
    """A column of pixels lies between those that the fit sees at two of three positions."""
    column = np.zeros((SIZE, SIZE), bool)
    column[6:18, 9] = True
    features = random_features(4)
    fits = outline_fits(features, features, square(4, 4), column, 0.5, np.random.default_rng(0))
    assert np.isfinite(fits).all()


def test_all_fits_of_a_pair_come_in_their_order() -> None:
    target_a, target_b = square(4, 4), square(28, 30)
    a, b = random_features(2, 8), random_features(3, 8)
    a[0], b[0] = torch.from_numpy(target_a).float() - 0.5, torch.from_numpy(target_b).float() - 0.5
    a[1] = b[1] = 1.0
    fits = dict(zip(FITS, outline_fits(a, b, target_a, target_b, 0.125, np.random.default_rng(0)), strict=True))
    assert fits["features of A, A's object"] > 0.99
    assert fits["features of B, B's object"] > 0.99
    assert fits["features of A, B's object"] < 0.2
    assert fits["features of A, B's outline elsewhere"] < 0.4
    assert fits["weights of B, B's object"] == 0.125
    a[2] = torch.from_numpy(target_b).float() - 0.5  # now A's features hold B's outline too, but only where it is
    fits = dict(zip(FITS, outline_fits(a, b, target_a, target_b, 0.125, np.random.default_rng(0)), strict=True))
    assert fits["features of A, B's object"] > 0.99
    assert fits["features of A, B's outline elsewhere"] < 0.5
    assert PLACES == 8


def test_outlines_elsewhere_are_fitted_to_the_features_of_a() -> None:
    a, targets = random_features(5), (square(4, 4), square(28, 30))
    one, other = (outline_fits(a, random_features(i), *targets, 0.125, np.random.default_rng(0)) for i in (6, 7))
    changed = [name for name, first, second in zip(FITS, one, other, strict=True) if first != second]
    assert changed == ["features of B, B's object"]
