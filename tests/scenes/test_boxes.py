"""Boxes: both ends, and their noise."""

import numpy as np
import pytest
from toy_masks import rectangle

from sam_edu.scenes.boxes import noisy_box, tight_box


def test_tight_box_holds_both_ends() -> None:
    mask = rectangle(10, 5, 20, 11)
    mask[30, 7] = True
    assert tight_box(mask).tolist() == [7, 5, 20, 30]
    assert tight_box(mask).dtype == np.float32
    assert tight_box(rectangle(3, 4, 3, 4)).tolist() == [3, 4, 3, 4]


@pytest.mark.parametrize("corners", [(0, 0, 59, 39), (0, 20, 50, 39), (30, 20, 32, 21), (10, 8, 40, 30)])
def test_noisy_box_stays_in_the_image_and_near_the_box(corners: tuple[int, int, int, int]) -> None:
    mask, rng = rectangle(*corners), np.random.default_rng(1)
    boxes = np.stack([noisy_box(mask, rng) for _ in range(200)])
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes <= [59, 39, 59, 39]).all()
    noise = boxes - tight_box(mask)
    assert np.abs(noise).max() <= 5
    assert np.abs(noise).max() > 0
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_noise_of_a_box_is_a_tenth_of_its_sides() -> None:
    mask, rng = rectangle(100, 100, 119, 104, (300, 300)), np.random.default_rng(2)
    noise = np.stack([noisy_box(mask, rng) for _ in range(2000)]) - tight_box(mask)
    np.testing.assert_allclose(noise.std(axis=0), [2.0, 0.5, 2.0, 0.5], rtol=0.1)
    large = rectangle(100, 100, 259, 259, (300, 300))
    noise = np.stack([noisy_box(large, rng) for _ in range(200)]) - tight_box(large)
    assert np.abs(noise).max() == 5
