"""Colour scales: where they end, and that the last bits of a maximum do not matter."""

import numpy as np
import pytest

from sam_edu.figures import channels, signed_matrix, token_matrix
from sam_edu.figures.kit.scales import averaged, scale_end, strongest, three_colours


@pytest.mark.parametrize(
    ("value", "end"), [(0.99999994, 1.0), (1.0, 1.0), (1.0000001, 1.0), (0.8312, 0.832), (123.4, 124.0), (0.0, 1.0)]
)
def test_scale_ends_where_the_last_bits_do_not_matter(value: float, end: float) -> None:
    assert scale_end(value) == pytest.approx(end, rel=1e-12)


def test_scale_holds_its_values() -> None:
    for value in np.random.default_rng(0).uniform(1e-3, 1e3, 200):
        assert value * (1 - 1e-4) <= scale_end(value) <= value * 1.0101


def test_colour_bars_of_a_maximum_of_nearly_one_are_alike() -> None:
    bars = []
    for top in (np.nextafter(np.float32(1), np.float32(0)), 1.0):
        for draw in (lambda v: token_matrix(v[None], ["a", "b"], titles=[""]), lambda v: signed_matrix(v, ["a", "b"])):
            bars.append(draw(np.array([[top, 0.2], [0.2, top]])).png)
    assert bars[:2] == bars[2:]


def test_maps_are_averaged_until_they_are_small_enough() -> None:
    maps = np.arange(2 * 6 * 5, dtype=float).reshape(2, 6, 5)
    assert averaged(maps, 6) is maps
    small = averaged(maps, 3)
    assert small.shape == (2, 3, 3)
    assert small[1, 0, 0] == maps[1, :2, :2].mean()
    assert small[0, 2, 2] == maps[0, 4:, 4:].mean()  # a block at the edge is smaller
    np.testing.assert_allclose(averaged(maps, 1), maps.mean((1, 2), keepdims=True))


def test_numbers_are_averaged_before_they_are_coloured() -> None:
    """A chequerboard of -1 and 1 has the mean 0, which is white; the mean of its colours is violet."""
    board = np.indices((512, 512)).sum(0) % 2 * 2.0 - 1
    pixels = channels(board[None], columns=8)._pixels(1).astype(int)
    middle = pixels[pixels.shape[0] // 2 - 5 : pixels.shape[0] // 2 + 5, 60:70].reshape(-1, 3)
    assert middle.min() > 200  # a block with an odd number of fields is slightly tinted; violet is below 70


def test_strongest_is_a_quantile_of_absolute_values_and_never_zero() -> None:
    values = np.array([[-4.0, 1.0], [2.0, 3.0]])
    assert strongest(values) == 4.0
    assert strongest(values, 0.5) == pytest.approx(2.5)
    assert strongest(0 * values) == 1.0


def test_three_channels_keep_all_of_the_variance_and_give_colours() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    colours, kept = three_colours(maps)
    assert colours.shape == (2, 4, 5, 3)
    assert 0 <= colours.min() <= colours.max() <= 1
    assert kept == pytest.approx(1)
