"""Single arguments: whole numbers, finite numbers, names and paths, in every form; and what is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam_edu.argument_checks import as_choice, as_count, as_multiple, as_number, as_path

pytestmark = pytest.mark.no_shape_check


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_every_form_of_a_whole_number(value: Any) -> None:
    for got in (as_count("n", value), as_count("n", value, 3), as_multiple("n", value, 3)):
        assert (type(got), got) == (int, 3)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), torch.tensor(0.5, dtype=torch.bfloat16), np.array(0.5)])
def test_every_form_of_a_number(value: Any) -> None:
    assert (type(as_number("x", value)), as_number("x", value, above=0)) == (float, 0.5)
    assert as_number("x", -2) == -2.0


def test_names_and_paths() -> None:
    assert as_choice("how", "b", {"a": 1, "b": 2}) == "b"
    assert as_path("path", "~/x") == Path.home() / "x"
    assert as_path("path", Path("x")) == Path("x")


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a float": (lambda: as_count("n", 3.0), TypeError, "n: expected a whole number, got 3.0"),
    "a bool": (lambda: as_count("n", True), TypeError, "n: expected a whole number, got True"),
    "text": (lambda: as_count("n", "3"), TypeError, "n: expected numbers, got str"),
    "None": (lambda: as_count("n", None), TypeError, "n: expected numbers, got NoneType"),
    "a list": (lambda: as_count("n", [3]), TypeError, r"n: expected a whole number, got \[3\]"),
    "NaN as a count": (lambda: as_count("n", float("nan")), TypeError, "n: expected a whole number, got nan"),
    "zero": (lambda: as_count("n", 0), ValueError, "n: expected a whole number of 1 or more, got 0"),
    "negative": (lambda: as_count("n", -1, 0), ValueError, "n: expected a whole number of 0 or more, got -1"),
    "no multiple": (lambda: as_multiple("n", 6, 4), ValueError, "n: expected a multiple of 4, got 6"),
    "zero as a multiple": (lambda: as_multiple("n", 0, 4), ValueError, "n: expected a whole number of 1 or more"),
    "NaN": (lambda: as_number("x", np.nan), ValueError, "x: expected a finite number, got nan"),
    "infinity": (lambda: as_number("x", np.inf), ValueError, "x: expected a finite number, got inf"),
    "not positive": (lambda: as_number("x", 0, above=0), ValueError, "x: expected a positive number, got 0"),
    "too small": (lambda: as_number("x", 2, above=2), ValueError, "x: expected a finite number above 2, got 2"),
    "two numbers": (lambda: as_number("x", [1, 2]), TypeError, r"x: expected one number, got \[1, 2\]"),
    "an unknown name": (lambda: as_choice("how", "c", "ab"), ValueError, "how: expected one of a, b, got 'c'"),
    "no name": (lambda: as_choice("how", 1, "ab"), TypeError, "how: expected one of 'a', 'b', got 1"),
    "no path": (lambda: as_path("path", 3), TypeError, "path: expected a path, got 3"),
    "an empty path": (lambda: as_path("path", ""), ValueError, "path: expected a path, got an empty one"),
}


@pytest.mark.parametrize(("call", "error", "words"), WRONG.values(), ids=WRONG)
def test_what_is_none_is_refused_by_name(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
