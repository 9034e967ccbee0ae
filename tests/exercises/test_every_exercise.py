"""Every exercise: stubs are not attempted, and what is not an answer is refused."""

import inspect

import pytest
from exercise_cases import EXERCISES, TABLES, stubs

from sam_edu.exercises import WrongAnswer

STUBS = [
    pytest.param(exercise, stub, id=f"{exercise.name}: {kind}")
    for exercise in EXERCISES
    for kind, stub in stubs(exercise).items()
]
NESTED = [exercise for exercise in TABLES if isinstance(exercise.solution["a"], dict)]
OTHERS = [exercise for exercise in EXERCISES if exercise not in TABLES]


def name(exercise):
    return exercise.name


@pytest.mark.parametrize(("exercise", "stub"), STUBS)
def test_untouched_stub_is_not_attempted(exercise, stub, capsys):
    assert exercise(stub) is None
    assert capsys.readouterr().out == f"{exercise.name}: not attempted\n"


def test_each_exercise_has_five_stubs():
    assert len(STUBS) == 5 * len(EXERCISES)
    forward = next(exercise for exercise in EXERCISES if exercise.name.startswith("02.2"))
    assert inspect.isclass(stubs(forward)["raises"])
    with pytest.raises(NotImplementedError):
        stubs(forward)["raises"](24, 2, 2)(1, 2, 3)


# --- tables ---


@pytest.mark.parametrize("exercise", TABLES, ids=name)
@pytest.mark.parametrize("answer", [3, [1], {"z": {}}, {"z": 1}])
def test_an_answer_that_is_not_a_table_fails(exercise, answer):
    with pytest.raises(WrongAnswer, match="expected a dict"):
        exercise(answer)


@pytest.mark.parametrize("exercise", NESTED, ids=name)
@pytest.mark.parametrize("answer", [{"a": 3}, {"a": {"x": (1,)}}, {"a": {}, "b": 3}])
def test_an_answer_with_a_wrong_row_fails(exercise, answer):
    with pytest.raises(WrongAnswer, match="expected a dict"):
        exercise(answer)


@pytest.mark.parametrize("exercise", TABLES, ids=name)
def test_a_partly_filled_table_is_checked(exercise):
    rest = {case: row for case, row in exercise.solution.items() if case != "a"}
    nested = isinstance(exercise.solution["a"], dict)
    empty = [f"{name} in {case}" for case, row in rest.items() for name in row] if nested else rest
    with pytest.raises(WrongAnswer, match=f"right so far; still empty: {', '.join(empty)}."):
        exercise({"a": exercise.solution["a"]})


@pytest.mark.parametrize("exercise", TABLES, ids=name)
def test_lists_are_taken_for_tuples(exercise, capsys):
    def listed(value):
        if isinstance(value, dict):
            return {key: listed(entry) for key, entry in value.items()}
        return list(value) if isinstance(value, tuple) else value

    exercise(listed(exercise.solution))
    assert "passed" in capsys.readouterr().out


# --- functions and classes ---


@pytest.mark.parametrize("exercise", OTHERS, ids=name)
@pytest.mark.parametrize("answer", [3, [3], "answer"])
def test_an_answer_that_is_not_a_function_or_class_fails(exercise, answer):
    with pytest.raises(WrongAnswer, match=r"expected (your|a) (function|class)"):
        exercise(answer)


@pytest.mark.parametrize("exercise", OTHERS, ids=name)
def test_message_for_a_function_that_fails_contains_its_error(exercise):
    def fails(*inputs, **named_inputs):
        raise ValueError("an error of the learner's function")

    with pytest.raises(WrongAnswer, match="it fails with ValueError: an error of the learner's function"):
        exercise(fails)
