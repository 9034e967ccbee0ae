"""Notebook 06: its folded solutions pass, its stubs are untouched, and it keeps the form of the series."""

import json
import re
import statistics
from pathlib import Path

import pytest

from sam_edu.exercises import upscaling

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "06_upscaling.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
CODE = {name: SOURCES[name] for name, cell in CELLS.items() if cell["cell_type"] == "code"}
NAMES = {
    "ex1": upscaling.sizes.name,
    "ex2": upscaling.upscale.name,
    "ex3": upscaling.without_patterns.name,
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


def outputs(name: str) -> str:
    return "".join(
        "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))
        for output in CELLS[name]["outputs"]
    )


def test_the_ladder_shows_what_its_prose_says() -> None:
    counted = re.findall(r"kernel (\d).*per pixel \[(.*)\]", outputs("r5-count"))
    assert counted == [("2", "1"), ("3", "1, 2, 4"), ("4", "4")]
    assert "9 times the operations" in outputs("r5-cost")
    assert "gives the picture back: False" in outputs("r4-transposed")
    assert set(re.findall(r"\d\.\d\d", outputs("r6-hand"))) == {"2.24"}
    assert re.findall(r"(True|False)", outputs("r7-equal")) == ["True", "False"]
    assert "lowest value -0.170" in outputs("r8-code")
    assert "off by at most 0.00047" in outputs("r8-code")


def test_counts_are_those_of_meta() -> None:
    assert re.findall(r"[\d,]+$", outputs("same-count"), re.MULTILINE) == ["65,600", "128", "8,224", "73,952"]
    assert "22%" in outputs("same-flops")
    assert "tensors that differ: []" in outputs("same-compare")


def test_the_boxes_show_what_their_prose_says() -> None:
    assert "['ConvTranspose2d', 'LayerNorm2d', 'GELU', 'ConvTranspose2d', 'GELU']" in outputs("read-gelu")
    assert "{'none'}" in outputs("read-gelu")
    assert "9 x LayerNorm, eps 1e-05\n1 x LayerNorm2d, eps 1e-06\n['output_upscaling.1']" in outputs("read-norm")
    assert "decoder (256, 256)  masks (200, 300)" in outputs("read-size")
    assert "['input']" in outputs("read-deconv")


def test_every_change_is_measured_and_drawn() -> None:
    alt = CELLS["held-out-picture"]["outputs"][-1]["metadata"]["image/png"]["alt"]
    changes = re.findall(r'^    "([^"]+)": (?:with_layers|no_pattern|flat)', SOURCES["ways"], re.MULTILINE)
    assert changes[0] == "as it is"
    assert len(changes) == 7
    for name in (*changes[1:], "pattern taken out", "squares flat"):
        assert name in alt
