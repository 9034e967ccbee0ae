"""Choices of the largest: one that stands out, equals within the margin, and what is refused."""

import numpy as np
import pytest
import torch

from sam_edu.choices import MARGIN, name_largest, name_smallest, only_largest, within_margin

NAMES = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.9, 0.3], [1]),
        ([0.9, 0.9 * (1 - 0.9 * MARGIN), 0.3], [0, 1]),
        ([0.9, 0.9 * (1 - 1.1 * MARGIN), 0.3], [0]),
        ([0.9 * (1 - 0.9 * MARGIN), 0.9], [0, 1]),
        ([-5.0, -5.0 * (1 + 0.9 * MARGIN)], [0, 1]),
        ([-5.0, -5.0 * (1 + 1.2 * MARGIN)], [0]),
        ([0.0, 0.0], [0, 1]),
        ([0.0, -1.0], [0]),
        ([np.nan, 0.2], [1]),
        ([[0.1, 0.2], [0.5, 0.4]], [2]),
        ([3], [0]),
    ],
)
def test_all_within_the_margin_are_found(values: list[float], expected: list[int]) -> None:
    assert within_margin(values) == expected
    assert within_margin(np.array(values)) == expected
    assert within_margin(torch.tensor(values, requires_grad=isinstance(values[0], float))) == expected


def test_last_bits_do_not_change_the_result() -> None:
    value = np.float32(0.14)
    for other in (np.nextafter(value, np.float32(0)), np.nextafter(value, np.float32(1)), value):
        assert name_largest(np.array([value, other, 0.1], np.float32), ["a", "b", "c"]) == "a and b"


def test_margin_can_be_set() -> None:
    assert within_margin([1.0, 0.95], margin=0.1) == [0, 1]
    assert within_margin([1.0, 0.95], margin=0.0) == [0]


def test_names_of_one_several_and_many() -> None:
    assert name_largest([1, 5, 2, 0, 0], NAMES) == "b"
    assert name_largest([5, 1, 5, 0, 5], NAMES) == "a, c and e"
    assert name_largest([5, 5, 5, 5, 5], NAMES) == "a, b, c and 2 more"
    assert name_smallest([1, 5, 2, 0, 0], NAMES) == "d and e"
    assert name_smallest(torch.tensor([1.0, -5.0]), ["a", "b"]) == "b"
    assert name_largest([1.0, 0.95], ["a", "b"], margin=0.1) == "a and b"
    assert name_smallest([1.0, 0.95], ["a", "b"], margin=0.1) == "a and b"


def test_only_largest_refuses_a_near_tie() -> None:
    assert only_largest([0.1, 0.9, 0.3]) == 1
    with pytest.raises(ValueError, match=r"numbers 0, 2 are the largest within 0\.001 of it, .* on the processor"):
        only_largest([0.9, 0.1, 0.9])
    assert only_largest([0.9, 0.8999], margin=1e-6) == 0


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one number, got shape"):
        within_margin([])
    with pytest.raises(ValueError, match="expected at least one number"):
        within_margin([np.nan])
    with pytest.raises(ValueError, match=r"margin: expected 0 or more, got -0\.1"):
        within_margin([1.0], margin=-0.1)
    with pytest.raises(ValueError, match="names: expected 3, one per value, got 2"):
        name_largest(torch.zeros(3), ["a", "b"])
