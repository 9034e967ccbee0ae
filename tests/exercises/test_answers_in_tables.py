"""Tables: right entries of every numeric type pass, wrong ones that nobody listed fail with a sentence."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from exercise_cases import TABLES, refusal

CELLS = [
    (exercise, case, name)
    for exercise in TABLES
    for case, row in exercise.solution.items()
    for name in (row if isinstance(row, dict) else (None,))
]


def label(value):
    return getattr(value, "name", str(value))


def entry(exercise, case, name):
    return exercise.solution[case] if name is None else exercise.solution[case][name]


def alone(case, name, value):
    """A table with one filled entry."""
    return {case: value if name is None else {name: value}}


def converted(number, shape):
    """A conversion of a whole solution, by conversions of its numbers and of its shapes."""

    def convert(value):
        if isinstance(value, dict):
            return {key: convert(entry) for key, entry in value.items()}
        return shape(value) if isinstance(value, tuple | list) else number(value)

    return convert


STYLES = {
    "NumPy's numbers and arrays": converted(np.float64, np.array),
    "NumPy's whole numbers in tuples": converted(
        lambda x: np.int64(x) if x == int(x) else np.float32(x), lambda x: tuple(map(np.int32, x))
    ),
    "floats": converted(float, lambda x: [float(v) for v in x]),
    "torch's scalars and tensors": converted(torch.tensor, torch.tensor),
    "torch's floats that want a gradient": converted(
        lambda x: torch.tensor(float(x), requires_grad=True, dtype=torch.float64),
        lambda x: torch.tensor([float(v) for v in x], dtype=torch.float64),
    ),
    "sizes and arrays of one number": converted(lambda x: np.array([x]), torch.Size),
    "fractions": converted(Fraction, lambda x: tuple(map(Fraction, x))),
    "decimals": converted(Decimal, lambda x: list(map(Decimal, x))),
    "True for 1": converted(lambda x: True if x == 1 else x, lambda x: tuple(True if v == 1 else v for v in x)),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("exercise", TABLES, ids=label)
def test_right_entries_of_any_type_pass(exercise, style, capsys):
    exercise(STYLES[style](exercise.solution))
    assert capsys.readouterr().out == f"{exercise.name}: passed\n"


def wrong_shapes(shape):
    """Shapes that differ from the right one by a rule that no list of mistakes holds."""
    yield from ((*shape[:i], size + 1, *shape[i + 1 :]) for i, size in enumerate(shape))
    yield from (shape[:i] + shape[i + 1 :] for i in range(len(shape)))
    yield from ((), (0,), (*shape, 1), (1, *shape), tuple(-size for size in shape), tuple(2 * size for size in shape))
    yield from (order for order in (shape[::-1], tuple(sorted(shape))) if order != shape)
    yield tuple(size + 0.5 for size in shape)


def wrong_numbers(number):
    yield from (number + 1, number - 1, -number - 1, 2 * number + 3, number + 0.5, 10**30, float("nan"), float("inf"))


NOT_NUMBERS = ("seven", "", b"7", [], {}, set(), object, lambda: 7, 1j, [[1]], torch.zeros(2, 2), np.array(["7"]))


@pytest.mark.parametrize(("exercise", "case", "name"), CELLS, ids=label)
def test_wrong_entries_fail_with_a_sentence(exercise, case, name):
    right = entry(exercise, case, name)
    is_shape = isinstance(right, tuple | list)
    wrong = [*(wrong_shapes(tuple(right)) if is_shape else wrong_numbers(right)), *NOT_NUMBERS]
    assert len(wrong) > 12
    for value in wrong:
        message = str(refusal(exercise, alone(case, name, value)))
        assert "cannot read" not in message, (value, message)
        assert message.endswith((".", "?")), (value, message)


@pytest.mark.parametrize("exercise", TABLES, ids=label)
def test_right_entry_alone_is_right_so_far(exercise):
    case, row = next(iter(exercise.solution.items()))
    name = next(iter(row)) if isinstance(row, dict) else None
    message = str(refusal(exercise, alone(case, name, entry(exercise, case, name))))
    assert "right so far; still empty" in message
