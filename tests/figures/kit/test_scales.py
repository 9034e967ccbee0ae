"""Colour scales: where they end, and that the last bits of a maximum do not matter."""

import numpy as np
import pytest

from sam_edu.figures import signed_matrix, token_matrix
from sam_edu.figures.kit.scales import scale_end, strongest, three_colours


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
