"""The judge of tables: a learner predicts shapes and whole numbers, and each wrong entry gets its own hint."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sam_edu.exercises.exercise import NotAttempted, WrongAnswer


def judge_table(
    answer: Any,
    situations: Mapping[str, tuple[Any, ...]],
    names: Collection[str],
    truth: Callable[[str], Mapping[str, Any]],
    hint: Callable[[str, str, Any, Mapping[str, Any]], str],
) -> None:
    """Judge a dict of dicts: for each case, shapes and whole numbers by name.

    Args:
        answer: what the learner filled in. An entry is empty where it is `...`, None, or left out.
        situations: for each case a tuple that begins with its words.
        names: those of the entries of each case.
        truth: from a case to its right entries. A tuple is a shape, an int a whole number.
        hint: from case, name, wrong entry and the case's right entries to what the wrong one looks like.

    Raises:
        NotAttempted: all entries are empty.
        WrongAnswer: an entry is wrong, or some are still empty.
    """
    told = f"expected a dict with entries {', '.join(names)}."
    rows = {case: filled(row, names, f"{case}: {told}") for case, row in filled(answer, situations).items()}
    if not any(rows.values()):
        raise NotAttempted
    for case, row in rows.items():
        true = truth(case)
        for name, value in row.items():
            where = f"{name} in {case}, {situations[case][0]}"
            got = _of_its_kind(where, value, true[name])
            if got != true[name]:
                raise WrongAnswer(f"{where}: not {_in_words(got)}. {hint(case, name, got, true)}")
    check_full([f"{name} in {case}" for case in situations for name in names if name not in rows.get(case, {})])


def judge_row(
    answer: Any,
    questions: Mapping[str, str],
    truth: Callable[[], Mapping[str, Any]],
    hint: Callable[[str, Any], str],
) -> None:
    """Judge a dict of shapes and whole numbers.

    Args:
        answer: what the learner filled in. An entry is empty where it is `...`, None, or left out.
        questions: for each entry what is asked.
        truth: gives the right entries. A tuple is a shape, an int a whole number.
        hint: from an entry's key and the wrong entry to what it looks like.

    Raises:
        NotAttempted: all entries are empty.
        WrongAnswer: an entry is wrong, or some are still empty.
    """
    given = filled(answer, questions)
    if not given:
        raise NotAttempted
    true = truth()
    for key, value in given.items():
        where = f"{key}, {questions[key]}"
        got = _of_its_kind(where, value, true[key])
        if got != true[key]:
            raise WrongAnswer(f"{where}: not {_in_words(got)}. {hint(key, got)}")
    check_full([key for key in questions if key not in given])


def filled(answer: Any, keys: Collection[str], told: str = "") -> dict[str, Any]:
    """The entries that are not empty, in the order of the keys.

    Raises:
        WrongAnswer: it is no dict of these keys; `told`, or a sentence that lists them.
    """
    if not isinstance(answer, Mapping) or not set(answer) <= set(keys):
        *most, last = (f'"{key}"' for key in keys)
        raise WrongAnswer(told or f"expected a dict with an entry for each of {', '.join(most)} and {last}.")
    return {key: answer[key] for key in keys if not _is_empty(answer.get(key))}


def check_full(empty: Collection[str]) -> None:
    """What comes last, when all that is filled in is right.

    Raises:
        WrongAnswer: something is still empty.
    """
    if empty:
        raise WrongAnswer(f"right so far; still empty: {', '.join(empty)}.")


def _of_its_kind(where: str, value: Any, true: Any) -> tuple[int, ...] | int:
    """The entry as a tuple, where a shape is wanted, or as it is."""
    if not isinstance(true, tuple):
        if not _is_whole(value):
            raise WrongAnswer(f"{where}: expected a whole number, got {value!r}.")
        return value
    if not isinstance(value, tuple | list) or not all(map(_is_whole, value)):
        raise WrongAnswer(f"{where}: expected a tuple of whole numbers, got {value!r}.")
    return tuple(value)


def _in_words(value: tuple[int, ...] | int) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_empty(value: Any) -> bool:
    return value is None or value is ...


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
