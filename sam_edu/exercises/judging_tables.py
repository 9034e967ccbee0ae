"""The judging of tables: the learner predicts shapes and whole numbers, and each wrong entry gets its own hint.

Values are judged, not types: 7, 7.0, `np.int64(7)` and `torch.tensor(7)` are one number; a tuple, a list, an array and
a `torch.Size` are one shape.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from sam_edu.exercises.judging import NotAttempted, WrongAnswer


def judge_table(
    answer: Any,
    descriptions: Mapping[str, str],
    names: Collection[str],
    truth: Callable[[str], Mapping[str, Any]],
    hint: Callable[[str, str, Any, Mapping[str, Any]], str],
) -> None:
    """Judge a dict of dicts: for each case, shapes and whole numbers by name.

    Args:
        answer: the learner's table. An entry is empty where it is `...`, None, or left out.
        descriptions: the description of each case.
        names: the names of the entries of each case.
        truth: from a case to its right entries. A tuple is a shape, an int a whole number.
        hint: from case, name, wrong entry and the case's right entries to a hint.

    Raises:
        NotAttempted: all entries are empty.
        WrongAnswer: an entry is wrong, or some are still empty.
    """
    message = f"expected a dict with entries {', '.join(names)}."
    rows = {case: filled(row, names, f"{case}: {message}") for case, row in filled(answer, descriptions).items()}
    if not any(rows.values()):
        raise NotAttempted
    for case, row in rows.items():
        targets = truth(case)
        for name, value in row.items():
            label = f"{name} in {case}, {descriptions[case]}"
            entry = _of_the_targets_kind(label, value, targets[name])
            if entry != targets[name]:
                raise WrongAnswer(f"{label}: not {_formatted(entry)}. {hint(case, name, entry, targets)}")
    check_full([f"{name} in {case}" for case in descriptions for name in names if name not in rows.get(case, {})])


def judge_row(
    answer: Any,
    questions: Mapping[str, str],
    truth: Callable[[], Mapping[str, Any]],
    hint: Callable[[str, Any], str],
) -> None:
    """Judge a dict of shapes and whole numbers.

    Args:
        answer: the learner's row. An entry is empty where it is `...`, None, or left out.
        questions: the question of each entry.
        truth: returns the right entries. A tuple is a shape, an int a whole number.
        hint: from an entry's key and the wrong entry to a hint.

    Raises:
        NotAttempted: all entries are empty.
        WrongAnswer: an entry is wrong, or some are still empty.
    """
    row = filled(answer, questions)
    if not row:
        raise NotAttempted
    targets = truth()
    for key, value in row.items():
        label = f"{key}, {questions[key]}"
        entry = _of_the_targets_kind(label, value, targets[key])
        if entry != targets[key]:
            raise WrongAnswer(f"{label}: not {_formatted(entry)}. {hint(key, entry)}")
    check_full([key for key in questions if key not in row])


def filled(answer: Any, keys: Collection[str], message: str = "") -> dict[str, Any]:
    """The entries that are not empty, in the order of the keys.

    Raises:
        WrongAnswer: the answer is not a dict with these keys; with `message`, or with a list of the keys.
    """
    if not isinstance(answer, Mapping) or not set(answer) <= set(keys):
        *most, last = (f'"{key}"' for key in keys)
        raise WrongAnswer(message or f"expected a dict with an entry for each of {', '.join(most)} and {last}.")
    return {key: answer[key] for key in keys if not _is_empty(answer.get(key))}


def check_full(empty: Collection[str]) -> None:
    """Check that no entry is empty, after all filled entries were found right.

    Raises:
        WrongAnswer: some entries are still empty.
    """
    if empty:
        raise WrongAnswer(f"right so far; still empty: {', '.join(empty)}.")


def number(value: Any) -> int | float | None:
    """The real number that a value of any type stands for, whole ones as int; None where it stands for none."""
    if isinstance(value, Tensor | np.ndarray):
        if value.size != 1 if isinstance(value, np.ndarray) else value.numel() != 1 or value.is_meta:
            return None
        value = value.item()
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        return None
    try:
        if value == int(value):
            return int(value)
        return float(value)
    except (TypeError, ValueError, OverflowError):  # complex, not a number, infinite
        return None


def numbers(value: Any) -> tuple[int | float, ...] | None:
    """The numbers that a tuple, list, array or tensor of one axis holds; None where it is none of these."""
    if isinstance(value, Tensor | np.ndarray):
        if value.ndim != 1 or (isinstance(value, Tensor) and value.is_meta):
            return None
        value = value.tolist()
    if not isinstance(value, tuple | list | range):
        return None
    found = [number(entry) for entry in value]
    return None if any(entry is None for entry in found) else tuple(entry for entry in found if entry is not None)


def _of_the_targets_kind(label: str, value: Any, target: Any) -> tuple[int, ...] | int:
    """The entry as whole numbers: one, or a tuple where the target is a shape."""
    if not isinstance(target, tuple):
        entry = number(value)
        if not isinstance(entry, int):
            raise WrongAnswer(f"{label}: expected a whole number, got {value!r}.")
        return entry
    entries = numbers(value)
    if entries is None or not all(isinstance(entry, int) for entry in entries):
        raise WrongAnswer(f"{label}: expected a tuple of whole numbers, got {value!r}.")
    return tuple(math.trunc(entry) for entry in entries)


def _formatted(value: tuple[int, ...] | int) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_empty(value: Any) -> bool:
    return value is None or value is ...
