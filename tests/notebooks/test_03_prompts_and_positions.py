"""Notebook 03: its folded solutions pass, its stubs are untouched, and it keeps the form of the series."""

import json
import re
import statistics
from pathlib import Path

import pytest

from sam_edu.exercises import prompts

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "03_prompts_and_positions.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
NAMES = {"ex1": prompts.counts.name, "ex2": prompts.points.name, "ex3": prompts.moved.name}
FOLDED = re.compile(r"<details><summary><b>Solution</b></summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL)


def solution(name: str) -> str:
    [code] = FOLDED.findall(SOURCES[f"{name}-solution"])
    return code


def printed(name: str) -> str:
    return "".join("".join(output.get("text", "")) for output in CELLS[name]["outputs"])


@pytest.fixture(scope="module")
def after_setup() -> dict[str, object]:
    """The names that a reader has after the set-up cell."""
    names: dict[str, object] = {}
    exec(SOURCES["setup"], names)
    return names


def test_each_exercise_has_stub_hint_and_one_solution() -> None:
    solutions = [name for name, source in SOURCES.items() if FOLDED.search(source)]
    assert solutions == [f"{name}-solution" for name in NAMES]
    for name in NAMES:
        assert "..." in SOURCES[name]
        assert "<details><summary><b>Hint</b></summary>" in SOURCES[f"{name}-hint"]


@pytest.mark.parametrize("name", NAMES)
def test_folded_solution_passes(name: str, after_setup: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    exec(solution(name), dict(after_setup))
    assert capsys.readouterr().out == f"{NAMES[name]}: passed\n"


@pytest.mark.parametrize("name", NAMES)
def test_stub_is_not_attempted(name: str, after_setup: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    exec(SOURCES[name], dict(after_setup))
    assert capsys.readouterr().out == f"{NAMES[name]}: not attempted\n"
    assert printed(name) == f"{NAMES[name]}: not attempted\n"


@pytest.mark.parametrize("name", NAMES)
def test_stub_begins_as_its_solution_and_does_not_give_it_away(name: str) -> None:
    stub = next(line for line in SOURCES[name].splitlines() if line)
    assert solution(name).startswith(stub)
    assert solution(name).strip() not in SOURCES[name]
    assert SOURCES[name].splitlines()[-1] == solution(name).splitlines()[-1]  # the same call of the check


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def test_cells_are_short_and_prose_outweighs_code() -> None:
    code = {name: SOURCES[name] for name, cell in CELLS.items() if cell["cell_type"] == "code"}
    assert statistics.median(map(code_lines, code.values())) <= 7
    prose = sum(len(SOURCES[name].split()) for name in CELLS if name not in code)
    assert prose > sum(len(source.split()) for source in code.values())


def test_there_is_no_plotting_code() -> None:
    for name, cell in CELLS.items():
        if cell["cell_type"] == "code":
            assert not re.search(r"matplotlib|plt\.|imshow|subplots", SOURCES[name]), name


@pytest.mark.parametrize("rung", range(1, 12))
def test_every_rung_ends_in_an_assertion(rung: int) -> None:
    names = [name for name in SOURCES if re.match(rf"r{rung}(-|$)", name) and CELLS[name]["cell_type"] == "code"]
    assert any(re.search(r"\bassert(_close\(| )", SOURCES[name]) for name in names), names


def test_ladder_has_its_eleven_rungs_in_order() -> None:
    headings = re.findall(r"^### Rung (\d+)", "\n".join(SOURCES.values()), re.MULTILINE)
    assert headings == [str(i) for i in range(1, 12)]


def test_the_table_of_tokens_says_what_the_decoder_takes() -> None:
    rows = re.findall(r"^(.+?)\s+(\d+)\s+(\d+)\s+(\d+)  (\(.*\))$", printed("count-code"), re.MULTILINE)
    table = {name: (int(sets), int(sparse), int(tokens)) for name, sets, sparse, tokens, _ in rows}
    assert table == {
        "one click": (1, 2, 7),
        "three clicks, one object": (1, 4, 9),
        "three clicks, three objects": (3, 2, 7),
        "a box": (1, 2, 7),
        "a click and a box": (1, 3, 8),
        "three boxes, three objects": (3, 2, 7),
        "a click and a mask": (1, 2, 7),
        "a mask": (1, 0, 5),
        "nothing": (1, 0, 5),
    }


def test_it_leaves_the_matrix_as_it_was() -> None:
    assert SOURCES["read-matrix-other"].count("positional_encoding_gaussian_matrix.copy_(") == 2
    assert "copy_(kept)" in SOURCES["read-matrix-other"]


def test_it_prints_what_its_prose_builds_on() -> None:
    for name in ("order-code", "padding-log2-code"):
        assert "rounding only" in printed(name), name
    read = re.findall(r"(negative|positive) clicks .* from (\S+) to (\S+)", printed("kinds-space"))
    ranges = {name: (float(low), float(high)) for name, low, high in read}
    assert ranges["negative"][1] < ranges["positive"][0]
    held = re.findall(r"(\d+) % of the masks hold their click", printed("heads-off-print"))
    assert int(held[0]) > 2 * int(held[1])  # with the codes of the places, and without
    assert "label −1 gives the same mask at another place: True" in printed("labels-masks")
    assert "labels 2 and 3 give the same mask: True" in printed("labels-masks")


def test_its_ids_are_readable_names() -> None:
    assert not [name for name in CELLS if re.fullmatch(r"[0-9a-f]{6,}|cell-.*", name)]
