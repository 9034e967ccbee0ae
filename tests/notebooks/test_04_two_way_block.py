"""Notebook 04: its folded solutions pass, its stubs are untouched, and it keeps the form of the series."""

import json
import re
import statistics
from pathlib import Path

import pytest

from sam_edu.exercises import two_way_block

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "04_two_way_block.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
CODE = {name: SOURCES[name] for name, cell in CELLS.items() if cell["cell_type"] == "code"}
NAMES = {
    "ex1": two_way_block.numbers.name,
    "ex2": two_way_block.forward.name,
    "ex3": two_way_block.values_with_code.name,
}
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
    beginning = stub.partition(" = ")[0]
    assert solution(name).startswith(beginning)
    assert solution(name).strip() not in SOURCES[name]
    assert SOURCES[name].splitlines()[-1] == solution(name).splitlines()[-1]  # the same call of the check


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def test_cells_are_short_and_prose_outweighs_code() -> None:
    assert statistics.median(map(code_lines, CODE.values())) <= 6
    prose = sum(len(SOURCES[name].split()) for name in CELLS if name not in CODE)
    assert prose > sum(len(source.split()) for source in CODE.values())


def test_there_is_no_plotting_code() -> None:
    for name, source in CODE.items():
        assert not re.search(r"matplotlib|plt\.|imshow|subplots", source), name


@pytest.mark.parametrize("rung", range(1, 10))
def test_every_rung_ends_in_an_assertion(rung: int) -> None:
    names = [name for name in CODE if re.match(rf"r{rung}(-|$)", name)]
    assert any(re.search(r"\bassert(_close\(| )", SOURCES[name]) for name in names), names


def test_ladder_has_its_nine_rungs_in_order() -> None:
    headings = re.findall(r"^### Rung (\d+)", "\n".join(SOURCES.values()), re.MULTILINE)
    assert headings == [str(i) for i in range(1, 10)]


def test_the_ladder_computes_with_torch_alone() -> None:
    """From rung 1 to the top no class of ours computes anything; tensors and weights are read, and assertions made."""
    names = list(CODE)
    for name in names[names.index("r1") : names.index("same-count")]:
        source = SOURCES[name].replace("sam_edu.Predictor", "").replace("sam_edu.trace", "")
        assert "sam_edu." not in source, name
        assert not re.search(r"\bnn\.|layer\(|\.forward\(", source), name


def test_all_four_steps_of_both_blocks_are_held_against_the_trace() -> None:
    ladder = "\n".join(CODE.values())
    for step, tensor in (("1", "queries_1"), ("2", "queries_2"), ("3", "queries_3"), ("4", "keys_4")):
        assert f'assert_close({tensor}, t["transformer.layers.0.{tensor}"][0]' in ladder, step
    assert 't[f"transformer.layers.{i}.keys_4"][0]' in SOURCES["r9-twice"]


def outputs(name: str) -> str:
    return "".join(
        "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))
        for output in CELLS[name]["outputs"]
    )


def test_the_boxes_show_what_their_prose_says() -> None:
    residual = outputs("read-residual")
    assert "as it is, the first to differ from Meta's: None" in residual
    assert "residual put back, the first to differ:  self_attn.out" in residual
    codes = outputs("read-pe").splitlines()
    assert len(codes) == 6
    assert all(line.endswith("v bare") for line in codes)
    assert re.search(r"layers\.0\.self_attn +q bare +k bare", codes[0])
    assert all("q with code  k with code" in line for line in codes[1:])
    assert "skip_first_layer_pe per block: [True, False]" in outputs("read-dropout")
    assert "first to differ from Meta's: mlp.hidden" in outputs("read-act")
    assert "tensors that differ: []" in outputs("same-compare")
    assert re.search(r"with step \(4\).*False\n.*without.*True", outputs("without-4-same"))


def test_every_way_has_its_masks_drawn() -> None:
    made = set(re.findall(r'ways\["([^"]+)"\]', "\n".join(CODE.values())))
    drawn = " ".join(
        output["metadata"]["image/png"]["alt"]
        for cell in CELLS.values()
        for output in cell.get("outputs", [])
        if "image/png" in output.get("metadata", {})
    )
    assert len(made) >= 12
    for way in made:
        assert f"{way}: mask 1" in drawn, way
