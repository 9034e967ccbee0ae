"""The judging of tables: the learner predicts shapes and whole numbers, and each wrong entry gets its own hint."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

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


def _of_the_targets_kind(label: str, value: Any, target: Any) -> tuple[int, ...] | int:
    """The entry, as a tuple where the target is a shape."""
    if not isinstance(target, tuple):
        if not _is_whole(value):
            raise WrongAnswer(f"{label}: expected a whole number, got {value!r}.")
        return value
    if not isinstance(value, tuple | list) or not all(map(_is_whole, value)):
        raise WrongAnswer(f"{label}: expected a tuple of whole numbers, got {value!r}.")
    return tuple(value)


def _formatted(value: tuple[int, ...] | int) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_empty(value: Any) -> bool:
    return value is None or value is ...


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
