"""Notebook 01: its folded solutions pass, its stubs are untouched, and it keeps the form of the series."""

import json
import re
import statistics
from pathlib import Path

import pytest

from sam_edu.exercises import mlp

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "01_mlp.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
EXERCISES = {"ex1": mlp.shapes.name, "ex2": mlp.mlp.name, "ex3": mlp.straight.name}
NAMES = {"self-test": mlp.self_test.name, **EXERCISES}
FOLDED = re.compile(
    r"<details><summary><b>(?:Solution|Answers)</b></summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL
)


def solution(name: str) -> str:
    [code] = FOLDED.findall(SOURCES["self-test-answers" if name == "self-test" else f"{name}-solution"])
    return code


@pytest.fixture(scope="module")
def after_setup() -> dict[str, object]:
    """The names that a reader has after the set-up cell."""
    names: dict[str, object] = {}
    exec(SOURCES["setup"], names)
    return names


def test_self_test_and_each_exercise_have_one_solution() -> None:
    solutions = [name for name, source in SOURCES.items() if FOLDED.search(source)]
    assert solutions == ["self-test-answers", *(f"{name}-solution" for name in EXERCISES)]
    for name in EXERCISES:
        assert "<details><summary><b>Hint</b></summary>" in SOURCES[f"{name}-hint"]
    for name in NAMES:
        assert "..." in SOURCES[name]


@pytest.mark.parametrize("name", NAMES)
def test_folded_solution_passes(name: str, after_setup: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    exec(solution(name), dict(after_setup))
    assert capsys.readouterr().out == f"{NAMES[name]}: passed\n"


@pytest.mark.parametrize("name", NAMES)
def test_stub_is_not_attempted(name: str, after_setup: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    exec(SOURCES[name], dict(after_setup))
    assert capsys.readouterr().out == f"{NAMES[name]}: not attempted\n"
    assert "".join(CELLS[name]["outputs"][0]["text"]) == f"{NAMES[name]}: not attempted\n"


@pytest.mark.parametrize("name", EXERCISES)
def test_stub_begins_as_its_solution_and_does_not_give_it_away(name: str) -> None:
    stub = next(line for line in SOURCES[name].splitlines() if line)
    assert solution(name).startswith(stub)
    assert solution(name).strip() not in SOURCES[name]
    assert SOURCES[name].splitlines()[-1] == solution(name).splitlines()[-1]  # the same call of the check


def test_self_test_stands_at_the_top() -> None:
    assert list(CELLS).index("self-test") < list(CELLS).index("map")


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def test_cells_are_short_and_prose_outweighs_code() -> None:
    code = {name: SOURCES[name] for name, cell in CELLS.items() if cell["cell_type"] == "code"}
    assert statistics.median(map(code_lines, code.values())) <= 6
    assert max(map(code_lines, code.values())) <= 30
    prose = sum(len(SOURCES[name].split()) for name in CELLS if name not in code)
    assert prose > sum(len(source.split()) for source in code.values())


def test_there_is_no_plotting_code() -> None:
    for name, cell in CELLS.items():
        if cell["cell_type"] == "code":
            assert not re.search(r"matplotlib|plt\.|imshow|subplots", SOURCES[name]), name


@pytest.mark.parametrize("rung", range(1, 12))
def test_every_rung_has_an_assertion(rung: int) -> None:
    names = [name for name in SOURCES if re.match(rf"r{rung}(-|$)", name) and CELLS[name]["cell_type"] == "code"]
    assert any(re.search(r"\bassert(_close\(| )", SOURCES[name]) for name in names), names


def test_ladder_has_its_eleven_rungs_in_order() -> None:
    headings = re.findall(r"^### Rung (\d+)", "\n".join(SOURCES.values()), re.MULTILINE)
    assert headings == [str(i) for i in range(1, 12)]


def test_parameters_are_those_of_the_real_decoder() -> None:
    printed = "".join(CELLS["r10-code"]["outputs"][0]["text"])
    for number in ("1,050,880", "139,808", "132,612"):
        assert number in printed


def test_names_of_parameters_are_those_that_meta_uses() -> None:
    printed = "".join(CELLS["same-names"]["outputs"][0]["text"])
    for name in ("lin1.weight", "lin2.bias", "layers.0.weight", "layers.2.bias"):
        assert repr(name) in printed


def test_nothing_is_left_to_drop_out() -> None:
    printed = "".join(CELLS["read-14"]["outputs"][0]["text"])
    assert printed.count(" 0 dropout layers") == 2
    assert printed.endswith("True\n")
