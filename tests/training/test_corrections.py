"""Clicks into the errors of many masks at once, compared with those of one mask at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sam_edu.scenes.clicks import centre_click, corrective_click
from sam_edu.scenes.scene import draw_scene
from sam_edu.training.corrections import (
    DRAWS,
    by_draws,
    by_generator,
    chosen_pixels,
    city_block_depth,
    corrective_clicks,
    deepest_pixels,
)


def rough(seed: int, size: int, count: int = 12) -> np.ndarray:
    """Masks of many forms: half-planes, noise, scattered pixels, a full one and one with a single pixel."""
    rng = np.random.default_rng(seed)
    smooth = rng.standard_normal((count, size // 8, size // 8)).repeat(8, 1).repeat(8, 2)
    masks = smooth + 0.3 * rng.standard_normal((count, size, size)) > 0.2
    masks[0], masks[1] = True, False
    masks[1, 5, 3] = True
    masks[2] = rng.random((size, size)) < 0.02
    masks[3] = False
    masks[3, 4:20, 10:13] = masks[3, 9:12, 3:30] = True
    return masks


def erosions(mask: np.ndarray) -> np.ndarray:
    """After how many erosions each pixel is gone."""
    left, depth = np.pad(mask, 1), np.zeros(mask.shape, int)
    while left.any():
        depth += left[1:-1, 1:-1]
        core = left.copy()
        core[1:-1, 1:-1] &= left[:-2, 1:-1] & left[2:, 1:-1] & left[1:-1, :-2] & left[1:-1, 2:]
        left = core
    return depth


@pytest.mark.parametrize("size", [32, 40])
def test_depth_is_the_number_of_erosions(size: int) -> None:
    masks = rough(0, size)
    got = city_block_depth(torch.from_numpy(masks)).numpy()
    np.testing.assert_array_equal(got, np.stack([erosions(mask) for mask in masks]))


def test_deepest_pixels_are_those_of_one_mask_at_a_time() -> None:
    masks = np.concatenate([rough(seed, 64) for seed in range(4)])
    masks = np.concatenate([masks, masks.transpose(0, 2, 1), draw_scene(4, size=64).masks])
    index = deepest_pixels(torch.from_numpy(masks)).numpy()
    expected = np.stack([centre_click(mask) for mask in masks])
    np.testing.assert_array_equal(np.stack([index % 64, index // 64], 1), expected)


def clicks_one_by_one(predicted: Tensor, targets: Tensor, rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
    found = [corrective_click(p.numpy(), t.numpy(), rng) for p, t in zip(predicted, targets, strict=True)]
    return torch.tensor(np.stack([click for click, _ in found])).long(), torch.tensor([bool(y) for _, y in found])


@pytest.mark.parametrize("coarse", [64, 32, 16])
@pytest.mark.parametrize("at_random", [False, True])
def test_corrective_clicks_are_those_of_one_mask_at_a_time(coarse: int, at_random: bool) -> None:
    targets = torch.from_numpy(rough(5, 64))
    predicted = torch.from_numpy(rough(6, 64))[:, :: 64 // coarse, :: 64 // coarse]
    predicted[0] = True  # no error
    rng = np.random.default_rng(3)
    choose = by_generator(np.random.default_rng(3)) if at_random else None
    click, label = corrective_clicks(predicted, targets, choose)
    expected_click, expected_label = clicks_one_by_one(predicted, targets, rng if at_random else None)
    assert torch.equal(click, expected_click)
    assert torch.equal(label, expected_label)


def test_draws_reach_every_pixel_of_a_mask_equally_often() -> None:
    mask = torch.from_numpy(rough(1, 32))[5:6]
    pixels = int(mask.sum())
    draws = torch.arange(0, 3 * pixels) * DRAWS // (3 * pixels) + 1  # three in each pixel's share
    index = chosen_pixels(mask.expand(len(draws), -1, -1), by_draws(draws))
    assert torch.equal(index, mask.flatten().nonzero()[:, 0].repeat_interleave(3))
    ends = chosen_pixels(mask.expand(2, -1, -1), by_draws(torch.tensor([0, DRAWS - 1])))
    assert torch.equal(ends, mask.flatten().nonzero()[[0, -1], 0])


def test_draws_are_exact_for_the_largest_mask() -> None:
    full = torch.ones(1, 256, 256, dtype=torch.bool)
    for draw, expected in ((0, 0), (DRAWS - 1, 65535), (DRAWS // 65536 * 77, 77), (DRAWS // 65536 * 77 - 1, 76)):
        assert chosen_pixels(full, by_draws(torch.tensor([draw]))).tolist() == [expected]


def test_clicks_of_draws_follow_the_distribution_of_random_clicks() -> None:
    """Both kinds of error in proportion to their pixels, within four standard deviations of chance."""
    target, predicted = torch.zeros(1, 64, 64, dtype=torch.bool), torch.zeros(1, 64, 64, dtype=torch.bool)
    target[:, :10, :10] = True
    predicted[:, :10, 5:35] = True  # missed 50 pixels, overrun 250
    draws = torch.from_numpy(np.random.default_rng(0).integers(DRAWS, size=3000))
    click, label = corrective_clicks(predicted.expand(3000, -1, -1), target.expand(3000, -1, -1), by_draws(draws))
    assert label.float().mean().item() == pytest.approx(1 / 6, abs=4 * (1 / 6 * 5 / 6 / 3000) ** 0.5)
    assert len(set(map(tuple, click.tolist()))) > 295


def test_nothing_is_read_back_from_the_device() -> None:
    """On the meta device a value cannot be read at all."""
    masks = torch.ones(3, 16, 16, dtype=torch.bool, device="meta")
    for choose in (None, by_draws(torch.zeros(3, dtype=torch.int64, device="meta"))):
        click, label = corrective_clicks(masks[:, ::2, ::2], masks, choose)
        assert click.shape == (3, 2)
        assert label.shape == (3,)
