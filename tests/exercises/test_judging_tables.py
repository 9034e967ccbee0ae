"""The judging of tables: empty entries, the entry named in a message, and the arguments of the hint."""

import pytest
import torch

from sam_edu.exercises.judging import NotAttempted, WrongAnswer
from sam_edu.exercises.judging_tables import judge_row, judge_table

TARGETS = {"a": {"shape": (1, 2), "number": 3000}, "b": {"shape": (4,), "number": 5}}
DESCRIPTIONS = {"a": "the first", "b": "the second"}


def table(answer):
    judge_table(answer, DESCRIPTIONS, ("shape", "number"), TARGETS.__getitem__, lambda *case: f"Hint for {case}.")


def row(answer):
    judge_row(answer, {"a": "one", "b": "two"}, lambda: {"a": (1, 2), "b": 3000}, lambda *case: f"Hint for {case}.")


@pytest.mark.parametrize("answer", [{}, {"a": ...}, {"a": None, "b": {}}, {"a": {"shape": ..., "number": None}}])
def test_empty_table_is_not_attempted(answer):
    with pytest.raises(NotAttempted):
        table(answer)


def test_right_table_passes_in_any_order_and_container():
    table(TARGETS)
    table({"b": {"number": 5, "shape": [4]}, "a": {"shape": torch.Size([1, 2]), "number": 3000}})
    row({"b": 3000, "a": [1, 2]})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (3, 'expected a dict with an entry for each of "a" and "b".'),
        ({"c": {}}, 'expected a dict with an entry for each of "a" and "b".'),
        ({"a": 3}, "a: expected a dict with entries shape, number."),
        ({"a": {}, "b": {"size": 3}}, "b: expected a dict with entries shape, number."),
        (
            {"a": {"shape": (1, 3)}},
            f"shape in a, the first: not (1, 3). Hint for {('a', 'shape', (1, 3), TARGETS['a'])}.",
        ),
        ({"a": {"shape": [2]}}, f"shape in a, the first: not (2,). Hint for {('a', 'shape', (2,), TARGETS['a'])}."),
        (
            {"b": {"number": 6000}},
            f"number in b, the second: not 6,000. Hint for {('b', 'number', 6000, TARGETS['b'])}.",
        ),
        ({"a": {"shape": 2}}, "shape in a, the first: expected a tuple of whole numbers, got 2."),
        ({"a": {"shape": "1, 2"}}, "shape in a, the first: expected a tuple of whole numbers, got '1, 2'."),
        ({"a": {"shape": (1.5, 2)}}, "shape in a, the first: expected a tuple of whole numbers, got (1.5, 2)."),
        ({"b": {"number": 5.5}}, "number in b, the second: expected a whole number, got 5.5."),
        ({"b": {"number": (5,)}}, "number in b, the second: expected a whole number, got (5,)."),
        ({"b": TARGETS["b"]}, "right so far; still empty: shape in a, number in a."),
        ({**TARGETS, "a": {"shape": (1, 2)}}, "right so far; still empty: number in a."),
        ({"b": {"number": 6}, "a": {"shape": (7,)}}, "shape in a"),  # the first in the table's order
    ],
)
def test_wrong_table_fails_with_its_message(answer, message):
    with pytest.raises(WrongAnswer) as caught:
        table(answer)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1], 'expected a dict with an entry for each of "a" and "b".'),
        ({"a": (2, 2)}, "a, one: not (2, 2). Hint for ('a', (2, 2))."),
        ({"b": 4000}, "b, two: not 4,000. Hint for ('b', 4000)."),
        ({"b": "3000"}, "b, two: expected a whole number, got '3000'."),
        ({"a": (1, 2), "b": ...}, "right so far; still empty: b."),
    ],
)
def test_wrong_row_fails_with_its_message(answer, message):
    with pytest.raises(WrongAnswer) as caught:
        row(answer)
    assert str(caught.value) == message


def test_empty_row_is_not_attempted():
    with pytest.raises(NotAttempted):
        row({"a": None})
