"""notebooks/COVERAGE.md: every row names a cell that exists and shows the answer."""

import re
from functools import cache
from typing import NamedTuple

import pytest
from notebook_cells import FOLDER, Notebook

PAGE = (FOLDER / "COVERAGE.md").read_text(encoding="utf-8")
ANSWER = re.compile(r"\[(\d\d)\]\((\w+)\.ipynb\) ([\w-]+): `([^`]+)`")

# Items of the articles, errors and ambiguities in them, themes of the issues.
NUMBERS = {"A": 13, "B": 14, "C": 19}

notebook = cache(Notebook)


class Answer(NamedTuple):
    """Where a row is answered: the notebook's number and name, the cell, a word in it."""

    number: str
    name: str
    cell: str
    word: str


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


ROWS = {
    row[0].strip(): row[1:] for row in map(cells_of, PAGE.splitlines()) if re.fullmatch(r"[A-Z]\d+", row[0].strip())
}
ANSWERS = {key: [Answer(*groups) for groups in ANSWER.findall(row[-1])] for key, row in ROWS.items()}
ALL = [(key, answer) for key, answers in ANSWERS.items() for answer in answers]


def test_every_item_error_and_theme_has_a_row() -> None:
    assert list(ROWS) == [f"{letter}{i}" for letter, count in NUMBERS.items() for i in range(1, count + 1)]
    assert all(len(row) == 3 and all(row) for row in ROWS.values())


def test_every_answer_has_the_form_that_is_parsed() -> None:
    for key, row in ROWS.items():
        assert len(ANSWERS[key]) == row[-1].count("<br>") + 1, key


@pytest.mark.parametrize("key", ROWS)
def test_each_row_is_answered_by_a_code_cell(key: str) -> None:
    code = [answer for answer in ANSWERS[key] if answer.cell in notebook(answer.name).code]
    assert code


@pytest.mark.parametrize(("key", "answer"), ALL, ids=[f"{key}-{p.number}-{p.cell}" for key, p in ALL])
def test_the_cell_is_there_holds_its_word_and_shows_something(key: str, answer: Answer) -> None:
    assert answer.name.startswith(f"{answer.number}_")
    sources = notebook(answer.name).sources
    assert answer.cell in sources, f"{answer.name} has no cell {answer.cell}: where did the answer go?"
    assert answer.word in sources[answer.cell], f"{answer.cell} of {answer.name} does not hold {answer.word!r} any more"
    if answer.cell in notebook(answer.name).code:
        shown = notebook(answer.name).cells[answer.cell]["outputs"] or "assert" in sources[answer.cell]
        assert shown or re.search(r"^(class|def) ", sources[answer.cell], re.MULTILINE), "no output, no assertion"


def test_the_guides_name_it() -> None:
    project = FOLDER.parent
    assert "notebooks/COVERAGE.md" in (project / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "COVERAGE.md" in (FOLDER / "README.md").read_text(encoding="utf-8")
