"""Clicks: where they may lie, and which sign they have."""

import numpy as np
from toy_masks import rectangle

from sam_edu.scenes.clicks import centre_click, corrective_click, random_click


def test_random_click_lies_inside_and_reaches_every_pixel() -> None:
    mask = rectangle(10, 5, 12, 6)
    mask[5, 11] = False
    rng = np.random.default_rng(0)
    clicks = [random_click(mask, rng) for _ in range(300)]
    pixels, counts = np.unique(clicks, axis=0, return_counts=True)
    assert {tuple(pixel) for pixel in pixels} == {(10, 5), (12, 5), (10, 6), (11, 6), (12, 6)}
    assert counts.min() > 30
    assert clicks[0].dtype == np.float32


def test_centre_click_is_the_deepest_place_of_a_rectangle() -> None:
    assert centre_click(rectangle(10, 5, 20, 11)).tolist() == [15, 8]


def test_centre_click_of_a_ring_lies_in_the_ring_and_where_it_is_thickest() -> None:
    ring = rectangle(5, 5, 50, 35) & ~rectangle(10, 10, 36, 30)  # 5 thick but for the right, which is 14 thick
    x, y = centre_click(ring)
    assert ring[int(y), int(x)]
    assert x in (43, 44)
    assert abs(y - 20) <= 1  # of the many pixels that go last, the one nearest to the centre of mass


def test_centre_click_counts_the_image_s_border_as_outside() -> None:
    assert centre_click(rectangle(0, 0, 10, 10)).tolist() == [5, 5]
    assert centre_click(np.ones((9, 9), bool)).tolist() == [4, 4]
    assert centre_click(rectangle(7, 9, 7, 9)).tolist() == [7, 9]


def test_corrective_click_is_positive_where_the_mask_was_missed() -> None:
    mask, predicted = rectangle(10, 10, 30, 30), rectangle(10, 10, 30, 20)
    rng = np.random.default_rng(0)
    for _ in range(50):
        (x, y), label = corrective_click(predicted, mask, rng)
        assert label == 1
        assert 10 <= x <= 30
        assert 21 <= y <= 30


def test_corrective_click_is_negative_where_the_mask_was_overrun() -> None:
    mask, predicted = rectangle(10, 10, 30, 20), rectangle(10, 10, 30, 30)
    rng = np.random.default_rng(0)
    for _ in range(50):
        (x, y), label = corrective_click(predicted, mask, rng)
        assert label == 0
        assert 10 <= x <= 30
        assert 21 <= y <= 30


def test_corrective_click_goes_to_both_kinds_of_error_in_proportion() -> None:
    mask, predicted = rectangle(0, 0, 9, 9), rectangle(5, 0, 34, 9)  # missed 50 pixels, overrun 250
    rng = np.random.default_rng(0)
    labels = [corrective_click(predicted, mask, rng)[1] for _ in range(600)]
    assert 60 <= sum(labels) <= 145


def test_corrective_click_without_chance_goes_to_the_deepest_place_of_the_error() -> None:
    mask, predicted = rectangle(10, 10, 30, 20, (64, 64)), rectangle(10, 10, 30, 17, (64, 64))  # missed: 21 x 3 pixels
    predicted[40:49, 40:47] = True  # overrun: 7 x 9 pixels
    (x, y), label = corrective_click(predicted, mask)
    assert x == 43
    assert 43 <= y <= 45  # as deep, all three
    assert label == 0


def test_corrective_click_compares_a_coarse_prediction_with_the_mask_itself() -> None:
    mask = rectangle(0, 0, 31, 31, (64, 64))
    coarse = np.zeros((16, 16), bool)
    coarse[:4, :8] = True  # the upper half: 16 x 32 pixels of the mask
    rng = np.random.default_rng(0)
    clicks = [corrective_click(coarse, mask, rng) for _ in range(50)]
    assert all(label == 1 and 16 <= y <= 31 and x <= 31 for (x, y), label in clicks)
    assert max(x for (x, _), _ in clicks) > 16


def test_corrective_click_without_an_error_is_positive_and_inside() -> None:
    mask, rng = rectangle(10, 10, 12, 12), np.random.default_rng(0)
    for _ in range(20):
        (x, y), label = corrective_click(mask.copy(), mask, rng)
        assert label == 1
        assert mask[int(y), int(x)]
