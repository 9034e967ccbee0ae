"""The parts of a map on a grid of squares, and the borders of its pixels: known answers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sam_edu.ablation.grid_parts import (
    KINDS,
    PARTS,
    covariances,
    edges_by_kind,
    flat_squares,
    from_squares,
    in_squares,
    joined_squares,
    jumps_by_kind,
    moved_flat_squares,
    split,
    stamps,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_square_holds_the_pixels_of_one_token() -> None:
    maps = drawn(2, 8, 12)
    squares = in_squares(maps)
    assert squares.shape == (2, 2, 3, 4, 4)
    torch.testing.assert_close(squares[1, 1, 2], maps[1, 4:8, 8:12])
    torch.testing.assert_close(from_squares(squares), maps)


def test_the_three_parts_are_those_that_a_map_was_made_of() -> None:
    means, stamp = drawn(2, 3, 5, 1, 1), drawn(2, 1, 1, 4, 4, seed=1)
    drawing = drawn(2, 3, 5, 4, 4, seed=2)
    stamp -= stamp.mean((3, 4), keepdim=True)
    drawing -= drawing.mean((3, 4), keepdim=True)
    drawing -= drawing.mean((1, 2), keepdim=True)
    made_of = [from_squares(part.expand(2, 3, 5, 4, 4)) for part in (means, stamp, drawing)]
    assert len(PARTS) == len(made_of)
    for part, true in zip(split(made_of[0] + made_of[1] + made_of[2]), made_of, strict=True):
        torch.testing.assert_close(part, true)
    torch.testing.assert_close(stamps(made_of[0] + made_of[1] + made_of[2]), stamp[:, 0, 0])


def test_covariances_of_the_parts_sum_to_that_of_the_maps() -> None:
    maps = drawn(3, 8, 12)
    maps[1] += 2 * maps[0] + 5
    expected = np.cov(maps.flatten(1).numpy(), bias=True)
    np.testing.assert_allclose(covariances(maps).sum(0).numpy(), expected, atol=1e-12)
    only_pattern = torch.arange(16.0, dtype=torch.float64).view(1, 4, 4).repeat(1, 2, 3)
    between, pattern, drawing = covariances(only_pattern)[:, 0, 0].tolist()
    assert (between, drawing) == pytest.approx((0, 0), abs=1e-12)
    assert pattern == pytest.approx(np.var(np.arange(16)))


def test_squares_become_their_means_in_place() -> None:
    maps = drawn(2, 8, 12)
    torch.testing.assert_close(flat_squares(maps)[1, 4:8, 8:12], maps[1, 4:8, 8:12].mean().expand(4, 4))
    torch.testing.assert_close(flat_squares(maps, 2)[0, 2:4, 6:8], maps[0, 2:4, 6:8].mean().expand(2, 2))
    moved = moved_flat_squares(maps)
    assert moved.shape == maps.shape
    torch.testing.assert_close(moved[1, 2:6, 6:10], maps[1, 2:6, 6:10].mean().expand(4, 4))
    means = F.avg_pool2d(maps[None], 4)
    expected = F.interpolate(means, size=(8, 12), mode="bilinear")[0]
    torch.testing.assert_close(joined_squares(maps), expected)


def test_a_ramp_has_no_grid_and_flat_squares_are_nothing_but_a_grid() -> None:
    ramp = torch.arange(16.0)[None, None] + torch.arange(16.0)[None, :, None]
    torch.testing.assert_close(jumps_by_kind(ramp), torch.ones(1, 4))
    torch.testing.assert_close(jumps_by_kind(flat_squares(ramp)), torch.tensor([[0.0, 0.0, 0.0, 4.0]]))
    torch.testing.assert_close(jumps_by_kind(flat_squares(ramp, 2)), torch.tensor([[0.0, 2.0, 0.0, 2.0]]))
    only_rows = torch.zeros(1, 16, 16)
    only_rows[0, 1::4] = 1.0  # a step before and after the second row of each square
    torch.testing.assert_close(jumps_by_kind(only_rows), torch.tensor([[2.0, 2.0, 0.0, 0.0]]))


def test_edges_are_counted_where_a_mask_begins_and_ends() -> None:
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 4:6, 3:8] = True  # rows: 3|4 to the next token, 5|6 between halves; columns: 2|3 second half, 7|8 next
    assert KINDS[1] == "between the halves"
    assert edges_by_kind(mask).tolist() == [[0, 5, 2, 5 + 2]]
    assert edges_by_kind(mask.mT).tolist() == edges_by_kind(mask).tolist()
    mask[:] = False
    mask[0, :, 13:] = True  # in the last square, which no token comes next to
    assert edges_by_kind(mask).sum() == 0


def test_a_size_that_is_no_multiple_of_four_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4, got 6 and 8"):
        split(torch.zeros(1, 6, 8))
