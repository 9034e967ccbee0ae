"""The words of alt texts: lists, shares, the brightest positions."""

import numpy as np
import pytest

from sam_edu.figures.kit.words import brightest, listed, share


def test_brightest_names_every_position_that_is_as_bright() -> None:
    one = np.zeros((2, 4))
    one[0, 1], one[1, 3] = 0.5, 0.5 - 1e-7
    assert brightest(one, 40, 20) == "(15, 5) and (35, 15)"
    one[1, 3] = 0.4
    assert brightest(one, 40, 20) == "(15, 5)"


@pytest.mark.parametrize(
    ("words", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_end_with_and(words: list[str], expected: str) -> None:
    assert listed(words) == expected


@pytest.mark.parametrize(("inside", "expected"), [(0, "0 %"), (1, "less than 1 %"), (2, "1 %"), (200, "100 %")])
def test_a_share_is_zero_only_where_nothing_is_inside(inside: int, expected: str) -> None:
    assert share(np.arange(200) < inside) == f"{expected} of the image"
