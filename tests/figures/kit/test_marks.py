"""Marks and scales that several figures share."""

import numpy as np
import pytest

from sam_edu.figures import signed_matrix, token_matrix
from sam_edu.figures.kit.scales import scale_end
from sam_edu.figures.kit.words import brightest


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


def test_brightest_names_every_place_that_is_as_bright() -> None:
    one = np.zeros((2, 4))
    one[0, 1], one[1, 3] = 0.5, 0.5 - 1e-7
    assert brightest(one, 40, 20) == "(15, 5) and (35, 15)"
    one[1, 3] = 0.4
    assert brightest(one, 40, 20) == "(15, 5)"


def test_symmetric_table_names_each_pair_once() -> None:
    cosines = np.array([[1.0, 0.1, -0.4], [0.1, 1.0, 0.3], [-0.4 + 1e-9, 0.3, 1.0]])
    assert "furthest from zero apart from the diagonal a / c, -0.40." in signed_matrix(cosines, ["a", "b", "c"]).alt
    cosines[0, 1] = cosines[1, 0] = 0.4 - 1e-8
    assert "furthest from zero apart from the diagonal a / b and a / c" in signed_matrix(cosines, ["a", "b", "c"]).alt
