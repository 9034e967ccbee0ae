"""Shared by the tests of exercises: all exercises of the series, their stubs, and answers with one mistake."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import pytest
import torch

from sam_edu.exercises import Exercise, WrongAnswer, solutions

TOPICS = sorted(module.name for module in pkgutil.iter_modules(solutions.__path__))
EXERCISES = sorted(
    (
        exercise
        for topic in TOPICS
        for exercise in vars(import_module(f"sam_edu.exercises.{topic}")).values()
        if isinstance(exercise, Exercise)
    ),
    key=lambda exercise: exercise.name,
)
TABLES = [exercise for exercise in EXERCISES if isinstance(exercise.solution, Mapping)]


def returns(value: Any) -> Callable[..., Any]:
    """A function or method that returns this value for all arguments."""
    return lambda *inputs, **named: value


def raises(*inputs: Any, **named: Any) -> Any:
    raise NotImplementedError


def stubs(exercise: Exercise) -> dict[str, Any]:
    """The stubs of an exercise, by kind."""
    solution = exercise.solution
    common = {"None": None, "dots": ...}
    if isinstance(solution, Mapping):
        empty = {key: dict.fromkeys(row, ...) if isinstance(row, Mapping) else ... for key, row in solution.items()}
        return {**common, "nothing": {}, "empty": empty, "empty cases": {"a": ..., "b": None}}
    make = stub_class if inspect.isclass(solution) else lambda _, function: function
    functions = {"returns None": returns(None), "returns dots": returns(...), "raises": raises}
    return {**common, **{kind: make(solution, function) for kind, function in functions.items()}}


def stub_class(solution: type, function: Callable[..., Any]) -> type:
    """The base class of a solution, with a stub for every method that the solution defines."""

    def init(self: torch.nn.Module, *sizes: Any, **named: Any) -> None:
        torch.nn.Module.__init__(self)

    names = [name for name, value in vars(solution).items() if inspect.isfunction(value)]
    return type("Stub", solution.__bases__, {name: init if name == "__init__" else function for name in names})


def with_method(base: type, function: Callable[..., Any], name: str = "forward") -> type:
    """A subclass with one method of the learner's."""
    return type("Yours", (base,), {name: function})


def with_entry(table: Mapping[str, Mapping[str, Any]], case: str, name: str, value: Any) -> dict[str, Any]:
    """The table, with another value of one entry."""
    return {**table, case: {**table[case], name: value}}


def refusal(exercise: Exercise, answer: Any) -> WrongAnswer:
    """The error for a wrong answer. `str` gives its message."""
    with pytest.raises(WrongAnswer) as caught:
        exercise(answer)
    return caught.value
