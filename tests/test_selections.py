"""Selections along an axis: every usual kind of index, and what is none."""

from typing import Any

import numpy as np
import pytest
import torch

from sam_edu.selections import as_indices, fixed

CHOSEN = {
    "an index": (2, [2]),
    "from the end": (-1, [4]),
    "NumPy's index": (np.int64(2), [2]),
    "a small NumPy integer": (np.uint8(2), [2]),
    "a tensor's index": (torch.tensor(2), [2]),
    "one in an array": (np.array(2), [2]),
    "a list": ([3, 1], [3, 1]),
    "a tuple": ((3, 1), [3, 1]),
    "a range": (range(4, 1, -1), [4, 3, 2]),
    "a set": ({1, 3}, [1, 3]),
    "a generator": ((i for i in (1, 3)), [1, 3]),
    "keys": ({1: "a", 3: "b"}.keys(), [1, 3]),
    "an array": (np.array([3, -5]), [3, 0]),
    "a mirrored array": (np.array([0, 1, 2])[::-1], [2, 1, 0]),
    "unsigned": (np.array([3, 0], np.uint8), [3, 0]),
    "a tensor": (torch.tensor([3, -1]), [3, 4]),
    "a tensor of int32": (torch.tensor([3], dtype=torch.int32), [3]),
    "tensors in a list": ([torch.tensor(1), torch.tensor(4)], [1, 4]),
    "twice": ([1, 1, -4], [1, 1, 1]),
    "a slice": (slice(1, None, 2), [1, 3]),
    "a slice from the end": (slice(-2, None), [3, 4]),
    "a slice of NumPy's numbers": (slice(np.int64(3), None), [3, 4]),
    "everything": (slice(None), [0, 1, 2, 3, 4]),
    "a mask": (np.array([False, True, False, False, True]), [1, 4]),
    "a mask in a list": ([True, False, False, True, False], [0, 3]),
    "a mask in a tuple": ((True, False, False, True, False), [0, 3]),
    "a mask of NumPy's bools": ([np.True_, np.False_, np.False_, np.True_, np.False_], [0, 3]),
    "a tensor's mask": (torch.tensor([False, False, True, True, False]), [2, 3]),
}


@pytest.mark.parametrize(("wanted", "indices"), CHOSEN.values(), ids=CHOSEN)
def test_every_kind_of_index(wanted: Any, indices: list[int]) -> None:
    got = as_indices("heads", wanted, 5)
    assert got == indices
    assert {type(one) for one in got} == {int}


REFUSED = {
    "out of range": (5, ValueError, "heads: expected at least one index from 0 to 4, got 5"),
    "out of range from the end": (-6, ValueError, "heads: .*got -6"),
    "one of them": ([0, 9], ValueError, r"heads: .*got \[0, 9\]"),
    "too large a tensor": (torch.tensor([2**40]), ValueError, "heads: .*1099511627776"),
    "none": ([], ValueError, "heads: expected at least one"),
    "an empty array": (np.array([]), ValueError, "heads: expected at least one"),
    "an empty tensor": (torch.tensor([], dtype=torch.long), ValueError, "heads: expected at least one"),
    "a slice of none": (slice(7, 9), ValueError, r"heads: expected at least one.*slice\(7, 9"),
    "a mask of none": ([False] * 5, ValueError, "heads: expected at least one"),
    "a short mask": ([True, False], ValueError, "heads: expected a mask of 5 bools, one per index, got 2"),
    "a long mask": (torch.ones(6, dtype=torch.bool), ValueError, "heads: expected a mask of 5 bools.*got 6"),
    "two axes": (torch.ones(5, 5, dtype=torch.bool), ValueError, r"heads: .*along one axis, got shape \(5, 5\)"),
    "two axes of numbers": ([[0], [1]], ValueError, r"heads: .*got shape \(2, 1\)"),
    "a bool": (True, TypeError, "heads: .*the single bool True"),
    "NumPy's bool": (np.False_, TypeError, "heads: .*the single bool False"),
    "bools and numbers": ([True, 2], TypeError, r"heads: expected numbers or bools, got both: \[True, 2\]"),
    "a float": (1.0, TypeError, "heads: .*got floats: 1.0"),
    "floats": (np.array([0.0, 1.0]), TypeError, "heads: .*got floats"),
    "a tensor of floats": (torch.ones(5), TypeError, "heads: .*got floats"),
    "a float among them": ([0, 1.5], TypeError, r"heads: .*got floats: \[0, 1.5\]"),
    "a slice of floats": (slice(0.0, 2.0), TypeError, r"heads: .*slice of whole numbers"),
    "text": ("01", TypeError, "heads: expected an index, several, a slice, or a bool for each, got '01'"),
    "None": (None, TypeError, "heads: .*got None"),
    "...": (..., TypeError, "heads: .*got Ellipsis"),
    "a dictionary": ({0: 1}, TypeError, "heads: .*got {0: 1}"),
    "Nones": ([0, None], TypeError, r"heads: .*got \[0, None\]"),
}


@pytest.mark.parametrize(("wanted", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_index_is_refused(wanted: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        as_indices("heads", wanted, 5)


def test_a_selection_is_fixed_when_it_is_given() -> None:
    given = [0, 1]
    chosen = fixed("heads", given)
    given.append(2)
    assert chosen == [0, 1]
    numbers = fixed("heads", iter((0, 1)))
    assert as_indices("heads", numbers, 5) == as_indices("heads", numbers, 5) == [0, 1]
