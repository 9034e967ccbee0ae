"""Coarse channels: known answers, a scene, the choice on the other half, and what is refused."""

import numpy as np
import pytest
import torch

from sam_edu.ablation import COARSE, FIRST_SCENE, CoarseChannels, prompts_of
from sam_edu.ablation.coarse_channels import ARRAY, agreement, coarse_channels_of_scene, on_grid, one_channel
from sam_edu.sam import load


def test_a_channel_or_its_negative_is_compared_with_the_mask_that_it_fits_best() -> None:
    channels = torch.tensor([[[1.0, 2.0, -1.0, -1.0]], [[-3.0, -3.0, -3.0, 0.5]]])
    masks = torch.tensor([[[True, True, False, False]], [[True, False, False, False]]])
    torch.testing.assert_close(agreement(channels, masks), torch.tensor([1, 0, 0, 2 / 3], dtype=torch.float64))


def test_a_cell_of_the_grid_is_inside_where_one_pixel_is() -> None:
    logits = torch.full((1, 8, 8), -1.0)
    logits[0, 0, 3] = 0.5
    assert on_grid(logits, 2).tolist() == [[[True, False], [False, False]]]


def test_the_one_channel_is_chosen_on_the_other_half() -> None:
    own = np.array([[0.9, 0.1], [0.8, 0.3], [0.1, 0.7], [0.2, 0.6]])
    even = np.array([True, True, False, False])
    assert one_channel(own, even).tolist() == [1, 1, 0, 0]


def test_a_scenes_channels() -> None:
    number = FIRST_SCENE + 5
    rows = coarse_channels_of_scene(load().requires_grad_(False), number)
    assert [tuple(row["prompt"]) for row in rows] == prompts_of(number)[2]
    for row in rows:
        assert row["after"].shape == (2, 512)
        assert row["after"][0].max() > row["before"][0]


def test_clicks_without_another_object_are_left_out_and_what_is_missing_is_refused() -> None:
    found = np.tile(np.linspace(0, 1, 6), (3, 1))
    found[2, 1] = np.nan
    coarse = CoarseChannels({ARRAY: found, "prompts": np.array([[7, 0], [8, 0], [9, 0]])})
    assert coarse.mean(COARSE[2]).prompts == 2
    assert coarse.mean(COARSE[2]).mean == pytest.approx(0.4)
    with pytest.raises(ValueError, match=r"what: expected .*got 'after'"):
        coarse.of("after")
    with pytest.raises(ValueError, match=r"lacks coarse channels: .*--only coarse"):
        CoarseChannels({})
