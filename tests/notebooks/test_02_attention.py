"""Notebook 02: its folded solutions pass, its stubs are untouched, and it keeps the form of the series."""

import json
import re
import statistics
from pathlib import Path

import pytest

from sam_edu.exercises import attention

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "02_attention.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
NAMES = {"ex1": attention.shapes.name, "ex2": attention.forward.name, "ex3": attention.no_scale.name}
FOLDED = re.compile(r"<details><summary><b>Solution</b></summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL)


def solution(name: str) -> str:
    [code] = FOLDED.findall(SOURCES[f"{name}-solution"])
    return code


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
    assert "".join(CELLS[name]["outputs"][0]["text"]) == f"{NAMES[name]}: not attempted\n"


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
    assert statistics.median(map(code_lines, code.values())) <= 6
    prose = sum(len(SOURCES[name].split()) for name in CELLS if name not in code)
    assert prose > sum(len(source.split()) for source in code.values())


def test_there_is_no_plotting_code() -> None:
    for name, cell in CELLS.items():
        if cell["cell_type"] == "code":
            assert not re.search(r"matplotlib|plt\.|imshow|subplots", SOURCES[name]), name


@pytest.mark.parametrize("rung", range(1, 13))
def test_every_rung_ends_in_an_assertion(rung: int) -> None:
    names = [name for name in SOURCES if re.match(rf"r{rung}(-|$)", name) and CELLS[name]["cell_type"] == "code"]
    assert any(re.search(r"\bassert(_close\(| )", SOURCES[name]) for name in names), names


def test_ladder_has_its_twelve_rungs_in_order() -> None:
    headings = re.findall(r"^### Rung (\d+)", "\n".join(SOURCES.values()), re.MULTILINE)
    assert headings == [str(i) for i in range(1, 13)]


def test_statistics_stand_between_the_trained_model_and_what_you_may_have_read() -> None:
    order = list(CELLS)
    for name in ("sharp-picture", "far-picture", "worth-zero", "worth-effects", "worth-live-code", "sum-code"):
        assert order.index("trained-code") < order.index("output-image") < order.index(name) < order.index("read")


def test_heads_to_look_at_are_chosen_by_rule() -> None:
    for rule in ("largest = max(off", "smallest = min(off", "random.Random("):
        assert rule in SOURCES["worth-choose-code"]
    assert not re.search(r"head \d", "".join(SOURCES[name] for name in order_of("sharp", "read") if is_prose(name)))


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert re.search(r"statistics\.recompute\(.*\n(.*\n)*assert_close\(", SOURCES["worth-live-code"])


def order_of(first: str, last: str) -> list[str]:
    """The names of the cells from one to another."""
    order = list(CELLS)
    return order[order.index(first) : order.index(last)]


def is_prose(name: str) -> bool:
    return CELLS[name]["cell_type"] == "markdown"


def printed(name: str) -> str:
    return "".join("".join(output.get("text", "")) for output in CELLS[name]["outputs"])


def test_positional_codes_are_added_in_six_of_seven_attentions() -> None:
    assert printed("read-4").split("\n")[:6] == [
        "block 0, q: from the tokens alone: True   from tokens + codes: False",
        "block 0, k: from the tokens alone: True   from tokens + codes: False",
        "block 0, v: from the tokens alone: True   from tokens + codes: False",
        "block 1, q: from the tokens alone: False  from tokens + codes: True",
        "block 1, k: from the tokens alone: False  from tokens + codes: True",
        "block 1, v: from the tokens alone: True   from tokens + codes: False",
    ]
    prose = " ".join(SOURCES[name] for name in CELLS if is_prose(name))
    assert not re.search(r"(at|before) (every|each) attention", prose)


def test_what_holds_for_any_weights_is_printed() -> None:
    assert "unchanged in all heads: 36 of 49" in printed("self-0-check")  # six of the seven tokens are parameters
    assert printed("maps-last-uniform").count("True") == 2  # the click's last look has no effect
    assert "directions in which it varies: 48\n" in printed("output-image")  # eight heads, seven weights of sum 1
