"""Notebook 07: its folded solutions pass, its stubs are untouched, and it keeps the form of the series."""

import json
import re
import statistics
from pathlib import Path

import pytest

from sam_edu.exercises import hypernetwork

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "07_hypernetwork.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
CODE = {name: SOURCES[name] for name, cell in CELLS.items() if cell["cell_type"] == "code"}
NAMES = {
    "ex1": hypernetwork.shapes.name,
    "ex2": hypernetwork.product.name,
    "ex3": hypernetwork.signs.name,
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


@pytest.mark.parametrize("rung", range(1, 8))
def test_every_rung_ends_in_an_assertion(rung: int) -> None:
    names = [name for name in CODE if re.match(rf"r{rung}(-|$)", name)]
    assert any(re.search(r"\bassert(_close\(| )", SOURCES[name]) for name in names), names


def test_ladder_has_its_seven_rungs_in_order() -> None:
    headings = re.findall(r"^### Rung (\d+)", "\n".join(SOURCES.values()), re.MULTILINE)
    assert headings == [str(i) for i in range(1, 8)]


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(CODE)
    for name in names[names.index("r1") : names.index("same-trace")]:
        assert not re.search(r"sam_edu|official\.|statistics\.|model", SOURCES[name]), name


def outputs(name: str) -> str:
    return "".join(
        "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))
        for output in CELLS[name]["outputs"]
    )


def test_both_steps_are_held_against_the_trace_and_against_meta() -> None:
    assert 't["hyper_in"][0]' in SOURCES["same-naive"]
    assert "logits[:, y, x]" in SOURCES["same-pixels-code"]
    assert "all within tolerance" in outputs("same-mlp")
    assert "4 tensors compared" in outputs("same-compare")
    assert "all within tolerance" in outputs("same-compare")


def test_fixed_weights_fail_on_the_toy_and_both_ways_of_hearing_the_click_succeed() -> None:
    right = {name: float(share) for name, share in re.findall(r"(\w+): ([\d.]+) of the pixels", outputs("r5-train"))}
    assert right["fixed"] < 0.85
    assert min(right["written"], right["told"]) > 0.97


def test_two_clicks_share_the_image_embedding_and_nothing_after_it() -> None:
    found = re.findall(r"^([\w.]+) +equal: (True|False)", outputs("two-code"), re.MULTILINE)
    equal = ["True", "False", "False", "False"]
    assert found == list(zip(("src", "keys", "output_upscaling.activated_twice", "hyper_in"), equal, strict=True))


def test_what_is_shown_is_chosen_by_rule() -> None:
    assert "areas[1:].argmax()" in SOURCES["trained-code"]
    assert "random.Random(" in SOURCES["roles-code"]
    assert "abs().mean((1, 2)).argsort(descending=True)" in SOURCES["film-order"]


def test_no_prose_names_a_channel_of_the_trained_model() -> None:
    order = list(CELLS)
    between = order[order.index("trained") : order.index("read")]
    prose = " ".join(SOURCES[name] for name in between if name not in CODE)
    assert not re.search(r"channel \d", prose)
