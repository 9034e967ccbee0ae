"""notebooks/README.md: three paths that lead somewhere, whose sections exist and whose minutes add up."""

import re
from functools import cache

import pytest
from notebook_cells import FOLDER, Notebook

PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("[0-9]*.ipynb"))
SHORT = ("An hour", "An afternoon")

notebook = cache(Notebook)


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    _, _, section = PAGE.partition(f"## {title}\n")
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def file_of(cell: str) -> str:
    [name] = re.findall(r"\]\((\w+)\.ipynb\)", cell)
    return name


def test_every_link_leads_to_a_file() -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", PAGE) if not t.startswith("http")]
    assert len(targets) > 20
    assert [t for t in targets if not (FOLDER / t).exists()] == []


def test_every_notebook_is_named_and_the_whole_path_goes_in_order() -> None:
    assert [f"{file_of(row[0])}.ipynb" for row in rows("All of it")] == NOTEBOOKS


@pytest.mark.parametrize("row", rows("All of it"), ids=lambda row: row[0][1:3])
def test_minutes_are_those_of_the_notebook(row: list[str]) -> None:
    title = notebook(file_of(row[0])).sources["title"]
    [reading] = re.findall(r"\*\*Time\*\*: (\d+) minutes to read", title)
    exercises = re.findall(r"(\d+) more for the exercises", title) or ["0"]
    assert [row[1], row[2]] == [reading, *exercises]


@pytest.mark.parametrize(
    ("title", "row"), [(title, row) for title in SHORT for row in rows(title)], ids=lambda value: str(value)[:14]
)
def test_sections_of_a_short_path_exist(title: str, row: list[str]) -> None:
    prose = notebook(file_of(row[0])).prose()
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    named = re.findall(r"“(.*?)”", row[1])
    rungs = [int(number) for pair in re.findall(r"rungs? (\d+)(?: to (\d+))?", row[1]) for number in pair if number]
    assert named or rungs or row[1] == "all of it"
    assert [one for one in named if one not in headings] == []
    assert [n for n in rungs if not any(heading.startswith(f"Rung {n}:") for heading in headings)] == []


def test_minutes_add_up_to_what_is_promised() -> None:
    hour, afternoon = (sum(int(row[2]) for row in rows(title)) for title in SHORT)
    everything = sum(int(row[1]) + int(row[2]) for row in rows("All of it"))
    assert hour == 60
    assert f"| {round(afternoon / 60)} hours |" in PAGE
    assert f"| {round(everything / 60)} hours with the exercises |" in PAGE


def test_the_readme_links_here() -> None:
    assert "(notebooks/README.md)" in (FOLDER.parent / "README.md").read_text(encoding="utf-8")
