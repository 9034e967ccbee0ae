"""Clicks and boxes: where they may lie, what they mean, and how often."""

import numpy as np
import pytest

from sam_edu.scenes.boxes import noisy_box, tight_box
from sam_edu.scenes.clicks import centre_click, corrective_click, random_click
from sam_edu.scenes.prompts import LEVEL_SHARE, MAX_VALID, masks_at, sample_prompt_sets
from sam_edu.scenes.scene import Scene


def blank(height: int = 40, width: int = 60) -> np.ndarray:
    return np.zeros((height, width), bool)


def rectangle(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    """Both ends inclusive."""
    mask = blank(*shape)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def make_scene(masks: list[np.ndarray], level: list[int], parent: list[int]) -> Scene:
    stack = np.stack(masks) if masks else np.zeros((0, 40, 60), bool)
    image = np.zeros((*stack.shape[1:], 3), np.uint8)
    return Scene(image, stack, np.array(level, np.int8), np.array(parent, np.int16), ("toy",) * len(masks))


@pytest.fixture
def nested() -> Scene:
    """An object, its part, that part's sub-part, and an object beside them."""
    masks = [
        rectangle(2, 2, 30, 30),
        rectangle(5, 5, 20, 20),
        rectangle(8, 8, 12, 12),
        rectangle(40, 10, 50, 30),
    ]
    return make_scene(masks, [0, 1, 2, 0], [-1, 0, 1, -1])


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


def test_sampling_respects_the_levels_and_the_share_of_boxes(nested: Scene) -> None:
    prompts = sample_prompt_sets(nested, 2000, 0.3, np.random.default_rng(0))
    shares = np.bincount(nested.level[prompts.target], minlength=3) / 2000
    assert LEVEL_SHARE == (0.38, 0.34, 0.28)
    np.testing.assert_allclose(shares, LEVEL_SHARE, atol=0.04)
    counts = np.bincount(prompts.target, minlength=4)
    assert abs(counts[0] - counts[3]) < 120  # the two objects are as likely
    assert prompts.is_box.mean() == pytest.approx(0.3, abs=0.04)


def test_levels_that_a_scene_does_not_have_leave_their_share_to_the_others() -> None:
    scene = make_scene([rectangle(2, 2, 30, 30), rectangle(5, 5, 20, 20)], [0, 1], [-1, 0])
    prompts = sample_prompt_sets(scene, 1000, 0.0, np.random.default_rng(0))
    assert (prompts.target == 0).mean() == pytest.approx(LEVEL_SHARE[0] / (LEVEL_SHARE[0] + LEVEL_SHARE[1]), abs=0.05)


def test_prompts_fit_their_targets(nested: Scene) -> None:
    prompts = sample_prompt_sets(nested, 300, 0.5, np.random.default_rng(3))
    assert prompts.valid.shape == (300, MAX_VALID)
    assert prompts.is_box.any()
    assert not prompts.is_box.all()
    for target, valid, (x, y), box, is_box in zip(
        prompts.target, prompts.valid, prompts.click, prompts.box, prompts.is_box, strict=True
    ):
        assert valid[0] == target
        assert nested.masks[target, int(y), int(x)]
        assert np.abs(box - tight_box(nested.masks[target])).max() <= 5
        given = [int(i) for i in valid if i >= 0]
        holding = np.flatnonzero(nested.masks[:, int(y), int(x)]).tolist()
        assert sorted(given) == ([target] if is_box else holding)
        assert (valid[len(given) :] == -1).all()


def test_masks_at_puts_the_target_first_and_stops_at_three(nested: Scene) -> None:
    assert masks_at(nested, 10, 10, 1) == [1, 0, 2]
    assert masks_at(nested, 25, 25, 0) == [0]
    four = make_scene([rectangle(0, 0, 9, 9)] * 4, [0, 0, 0, 0], [-1] * 4)
    assert masks_at(four, 3, 3, 3) == [3, 0, 1]


def test_same_generator_same_prompts(nested: Scene) -> None:
    first, again = (sample_prompt_sets(nested, 9, 0.5, np.random.default_rng(4)) for _ in range(2))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_a_scene_without_masks_is_refused() -> None:
    with pytest.raises(ValueError, match="scene: expected at least one mask, got none"):
        sample_prompt_sets(make_scene([], [], []), 3, 0.5, np.random.default_rng(0))
