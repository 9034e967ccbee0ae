"""notebooks/COVERAGE.md: every row's answer is where the row says, in a cell that shows it."""

import re
from functools import cache
from typing import NamedTuple

import pytest
from notebook_cells import FOLDER, Notebook

PAGE = (FOLDER / "COVERAGE.md").read_text(encoding="utf-8")
PLACE = re.compile(r"\[(\d\d)\]\((\w+)\.ipynb\) ([\w-]+): `([^`]+)`")

# Items of the articles, errors and ambiguities in them, themes of the issues.
NUMBERS = {"A": 13, "B": 14, "C": 19}

notebook = cache(Notebook)


class Place(NamedTuple):
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
PLACES = {key: [Place(*found) for found in PLACE.findall(row[-1])] for key, row in ROWS.items()}
ALL = [(key, place) for key, places in PLACES.items() for place in places]


def test_every_item_error_and_theme_has_a_row() -> None:
    assert list(ROWS) == [f"{letter}{i}" for letter, count in NUMBERS.items() for i in range(1, count + 1)]
    assert all(len(row) == 3 and all(row) for row in ROWS.values())


def test_no_place_is_written_so_that_it_is_not_seen() -> None:
    for key, row in ROWS.items():
        assert len(PLACES[key]) == row[-1].count("<br>") + 1, key


@pytest.mark.parametrize("key", ROWS)
def test_each_row_is_answered_by_a_code_cell(key: str) -> None:
    code = [place for place in PLACES[key] if place.cell in notebook(place.name).code]
    assert code


@pytest.mark.parametrize(("key", "place"), ALL, ids=[f"{key}-{p.number}-{p.cell}" for key, p in ALL])
def test_the_cell_is_there_holds_its_word_and_shows_something(key: str, place: Place) -> None:
    assert place.name.startswith(f"{place.number}_")
    sources = notebook(place.name).sources
    assert place.cell in sources, f"{place.name} has no cell {place.cell}: where did the answer go?"
    assert place.word in sources[place.cell], f"{place.cell} of {place.name} does not hold {place.word!r} any more"
    if place.cell in notebook(place.name).code:
        shown = notebook(place.name).cells[place.cell]["outputs"] or "assert" in sources[place.cell]
        assert shown or re.search(r"^(class|def) ", sources[place.cell], re.MULTILINE), "no output, no assertion"


def test_contributors_are_told_of_it() -> None:
    project = FOLDER.parent
    assert "notebooks/COVERAGE.md" in (project / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "COVERAGE.md" in (FOLDER / "README.md").read_text(encoding="utf-8")
