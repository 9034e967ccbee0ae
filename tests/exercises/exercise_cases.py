"""What the tests of exercises share: all exercises of the series, their stubs, and answers with one thing wrong."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import pytest
import torch

import sam_edu.exercises
from sam_edu.exercises import Exercise, WrongAnswer

MODULES = sorted(
    module.name.removesuffix("_solutions")
    for module in pkgutil.iter_modules(sam_edu.exercises.__path__)
    if module.name.endswith("_solutions")
)
EXERCISES = sorted(
    (
        exercise
        for module in MODULES
        for exercise in vars(import_module(f"sam_edu.exercises.{module}")).values()
        if isinstance(exercise, Exercise)
    ),
    key=lambda exercise: exercise.name,
)
TABLES = [exercise for exercise in EXERCISES if isinstance(exercise.solution, Mapping)]


def returns(value: Any) -> Callable[..., Any]:
    """A function or method that returns this, whatever it is called with."""
    return lambda *inputs, **named: value


def raises(*inputs: Any, **named: Any) -> Any:
    raise NotImplementedError


def stubs(exercise: Exercise) -> dict[str, Any]:
    """What a reader has before the first line is written, by what it is."""
    solution = exercise.solution
    found = {"None": None, "dots": ...}
    if isinstance(solution, Mapping):
        empty = {key: dict.fromkeys(row, ...) if isinstance(row, Mapping) else ... for key, row in solution.items()}
        return {**found, "nothing": {}, "empty": empty, "empty cases": {"a": ..., "b": None}}
    make = stub_class if inspect.isclass(solution) else lambda _, does: does
    kinds = {"returns None": returns(None), "returns dots": returns(...), "raises": raises}
    return {**found, **{kind: make(solution, does) for kind, does in kinds.items()}}


def stub_class(solution: type, does: Callable[..., Any]) -> type:
    """The class that a solution derives from, with every method that the solution writes as a stub."""

    def init(self: torch.nn.Module, *sizes: Any, **named: Any) -> None:
        torch.nn.Module.__init__(self)

    written = [name for name, value in vars(solution).items() if inspect.isfunction(value)]
    return type("Stub", solution.__bases__, {name: init if name == "__init__" else does for name in written})


def with_method(base: type, function: Callable[..., Any], name: str = "forward") -> type:
    """The class, with one method written by the reader."""
    return type("Yours", (base,), {name: function})


def with_entry(table: Mapping[str, Mapping[str, Any]], case: str, name: str, value: Any) -> dict[str, Any]:
    """The table, with another value in one place."""
    return {**table, case: {**table[case], name: value}}


def refusal(exercise: Exercise, answer: Any) -> WrongAnswer:
    """What a wrong answer is told. `str` gives the text."""
    with pytest.raises(WrongAnswer) as caught:
        exercise(answer)
    return caught.value
