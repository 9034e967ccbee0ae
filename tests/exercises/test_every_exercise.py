"""Every exercise: solutions pass, stubs are not attempted, and what is no answer at all is refused."""

import inspect
import pkgutil
import re
from collections import Counter

import pytest
import torch
from exercise_cases import EXERCISES, MODULES, TABLES, stubs

import sam_edu.exercises
from sam_edu.exercises import WrongAnswer

STUBS = [pytest.param(one, stub, id=f"{one.name}: {kind}") for one in EXERCISES for kind, stub in stubs(one).items()]
OTHERS = [one for one in EXERCISES if one not in TABLES]


def named(exercise):
    return exercise.name


def test_no_exercise_is_forgotten():
    assert {module.name for module in pkgutil.iter_modules(sam_edu.exercises.__path__)} == {
        *MODULES,
        *(f"{module}_solutions" for module in MODULES),
        *("exercise", "table", "trials"),
    }
    numbers = [exercise.name.split()[0] for exercise in EXERCISES]
    assert all(re.fullmatch(r"\d\d\.\d", number) for number in numbers)
    assert Counter(number for number in numbers if number[-1] != "0") == {
        f"{notebook}.{i}": 1 for notebook in {number[:2] for number in numbers} for i in (1, 2, 3)
    }
    assert len({number[:2] for number in numbers}) == len(MODULES)


@pytest.mark.parametrize("exercise", EXERCISES, ids=named)
def test_solution_passes_and_draws_nothing_from_the_readers_random_numbers(exercise, capsys):
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    exercise(exercise.solution)
    assert torch.equal(torch.randn(3), expected)
    assert capsys.readouterr().out == f"{exercise.name}: passed\n"


@pytest.mark.parametrize(("exercise", "stub"), STUBS)
def test_untouched_stub_is_not_attempted(exercise, stub, capsys):
    assert exercise(stub) is None
    assert capsys.readouterr().out == f"{exercise.name}: not attempted\n"


def test_stubs_are_as_many_as_they_should_be():
    assert len(STUBS) == 5 * len(EXERCISES)
    forward = next(one for one in EXERCISES if one.name.startswith("02.2"))
    assert inspect.isclass(stubs(forward)["raises"])
    with pytest.raises(NotImplementedError):
        stubs(forward)["raises"](24, 2, 2)(1, 2, 3)


# --- tables ---


@pytest.mark.parametrize("exercise", TABLES, ids=named)
@pytest.mark.parametrize("answer", [3, [1], {"z": {}}, {"z": 1}])
def test_something_else_than_a_table_fails(exercise, answer):
    with pytest.raises(WrongAnswer, match="expected a dict"):
        exercise(answer)


@pytest.mark.parametrize("exercise", [one for one in TABLES if isinstance(one.solution["a"], dict)], ids=named)
@pytest.mark.parametrize("answer", [{"a": 3}, {"a": {"x": (1,)}}, {"a": {}, "b": 3}])
def test_something_else_than_a_row_fails(exercise, answer):
    with pytest.raises(WrongAnswer, match="expected a dict"):
        exercise(answer)


@pytest.mark.parametrize("exercise", TABLES, ids=named)
def test_a_part_is_checked(exercise):
    rest = {case: row for case, row in exercise.solution.items() if case != "a"}
    nested = isinstance(exercise.solution["a"], dict)
    empty = [f"{name} in {case}" for case, row in rest.items() for name in row] if nested else rest
    with pytest.raises(WrongAnswer, match=f"right so far; still empty: {', '.join(empty)}."):
        exercise({"a": exercise.solution["a"]})


@pytest.mark.parametrize("exercise", TABLES, ids=named)
def test_lists_are_taken_for_tuples(exercise, capsys):
    def listed(value):
        if isinstance(value, dict):
            return {key: listed(entry) for key, entry in value.items()}
        return list(value) if isinstance(value, tuple) else value

    exercise(listed(exercise.solution))
    assert "passed" in capsys.readouterr().out


# --- functions and classes ---


@pytest.mark.parametrize("exercise", OTHERS, ids=named)
@pytest.mark.parametrize("answer", [3, [3], "answer"])
def test_something_else_than_a_function_or_class_fails(exercise, answer):
    with pytest.raises(WrongAnswer, match=r"expected (your|a) (function|class)"):
        exercise(answer)


@pytest.mark.parametrize("exercise", OTHERS, ids=named)
def test_function_that_fails_is_told_its_error(exercise):
    def fails(*inputs, **named):
        raise ValueError("something of the reader's own")

    with pytest.raises(WrongAnswer, match="it fails with ValueError: something of the reader's own"):
        exercise(fails)
