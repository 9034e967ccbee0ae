"""Every notebook but the overview: folded solutions pass, stubs are untouched, and the form of the series is kept."""

import re
import statistics
from functools import cache

import pytest
from notebook_cells import FOLDER, Notebook

from sam_edu.checkpoints import ENVIRONMENT_VARIABLE
from sam_edu.exercises import (
    attention,
    hypernetwork,
    logits,
    make_it_fast,
    mask_decoder,
    mlp,
    prompts,
    two_way_block,
    two_way_transformer,
    upscaling,
)
from sam_edu.exercises.judging import Exercise
from tools.elsewhere import sentence

RUNGS = {
    "01_mlp": 11,
    "02_attention": 13,
    "03_prompts_and_positions": 11,
    "04_two_way_block": 9,
    "05_two_way_transformer": 7,
    "06_upscaling": 9,
    "07_hypernetwork": 7,
    "08_mask_decoder": 9,
    "09_from_logits_to_masks": 10,
    "10_make_it_fast": 15,
}
THREE: dict[str, tuple[Exercise, Exercise, Exercise]] = {
    "01_mlp": (mlp.shapes, mlp.mlp, mlp.without_activation),
    "02_attention": (attention.shapes, attention.forward, attention.no_scale),
    "03_prompts_and_positions": (prompts.counts, prompts.points, prompts.moved),
    "04_two_way_block": (two_way_block.numbers, two_way_block.forward, two_way_block.values_with_encoding),
    "05_two_way_transformer": (two_way_transformer.numbers, two_way_transformer.forward, two_way_transformer.cut),
    "06_upscaling": (upscaling.sizes, upscaling.upscale, upscaling.without_painting),
    "07_hypernetwork": (hypernetwork.shapes, hypernetwork.product, hypernetwork.signs),
    "08_mask_decoder": (mask_decoder.shapes, mask_decoder.forward, mask_decoder.shift),
    "09_from_logits_to_masks": (logits.sizes, logits.back, logits.confidence),
    "10_make_it_fast": (make_it_fast.costs, make_it_fast.read, make_it_fast.only_best),
}
EXERCISES = [(name, f"ex{i}", one) for name, three in THREE.items() for i, one in enumerate(three, start=1)]
FOLDED = re.compile(
    r"<details><summary><b>(?:Solution|Answers)</b></summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL
)

notebook = cache(Notebook)


@pytest.fixture(autouse=True)
def no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


@cache
def after_setup(name: str) -> dict[str, object]:
    """The names that a reader has after the set-up cell."""
    names: dict[str, object] = {}
    exec(notebook(name).sources["setup"], names)
    return names


def solution(name: str, exercise: str) -> str:
    suffix = "answers" if exercise == "self-test" else "solution"
    [code] = FOLDED.findall(notebook(name).sources[f"{exercise}-{suffix}"])
    return code


@pytest.mark.parametrize("name", RUNGS)
def test_each_exercise_has_stub_hint_and_one_solution(name: str) -> None:
    sources = notebook(name).sources
    solutions = [cell for cell, source in sources.items() if FOLDED.search(source)]
    assert solutions == ["self-test-answers"] * (name == "01_mlp") + [f"ex{i}-solution" for i in (1, 2, 3)]
    for i in (1, 2, 3):
        assert "..." in sources[f"ex{i}"]
        assert "<details><summary><b>Hint</b></summary>" in sources[f"ex{i}-hint"]


@pytest.mark.parametrize(("name", "cell", "exercise"), [*EXERCISES, ("01_mlp", "self-test", mlp.self_test)])
def test_folded_solution_passes(name: str, cell: str, exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    exec(solution(name, cell), dict(after_setup(name)))
    assert capsys.readouterr().out == f"{exercise.name}: passed\n"


@pytest.mark.parametrize(("name", "cell", "exercise"), [*EXERCISES, ("01_mlp", "self-test", mlp.self_test)])
def test_stub_is_not_attempted(name: str, cell: str, exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    exec(notebook(name).sources[cell], dict(after_setup(name)))
    assert capsys.readouterr().out == f"{exercise.name}: not attempted\n"
    assert notebook(name).printed(cell) == f"{exercise.name}: not attempted\n"


@pytest.mark.parametrize(("name", "cell", "exercise"), EXERCISES)
def test_stub_begins_as_its_solution_and_does_not_give_it_away(name: str, cell: str, exercise: Exercise) -> None:
    stub, solved = notebook(name).sources[cell], solution(name, cell)
    first = next(line for line in stub.splitlines() if line)
    assert solved.startswith(first.partition(" = ")[0])
    assert solved.strip() not in stub
    assert stub.splitlines()[-1] == solved.splitlines()[-1]  # the same call of the check


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


@pytest.mark.parametrize("name", RUNGS)
def test_cells_are_short_and_prose_outweighs_code(name: str) -> None:
    code = notebook(name).code.values()
    assert statistics.median(map(code_lines, code)) <= 7  # the design says about 6
    assert max(map(code_lines, code)) <= 30
    assert len(notebook(name).prose().split()) > sum(len(source.split()) for source in code)


@pytest.mark.parametrize("name", RUNGS)
def test_there_is_no_plotting_code(name: str) -> None:
    for cell, source in notebook(name).code.items():
        assert not re.search(r"matplotlib|plt\.|imshow|subplots", source), cell


@pytest.mark.parametrize(("name", "rung"), [(name, i) for name, n in RUNGS.items() for i in range(1, n + 1)])
def test_every_rung_ends_in_an_assertion(name: str, rung: int) -> None:
    cells = {cell: source for cell, source in notebook(name).code.items() if re.match(rf"r{rung}(-|$)", cell)}
    assert any(re.search(r"\bassert(_close\(| )", source) for source in cells.values()), list(cells)


@pytest.mark.parametrize("name", RUNGS)
def test_ladder_has_its_rungs_in_order(name: str) -> None:
    headings = re.findall(r"^### Rung (\d+)", notebook(name).prose(), re.MULTILINE)
    assert headings == [str(i) for i in range(1, RUNGS[name] + 1)]


@pytest.mark.parametrize("name", RUNGS)
def test_cell_ids_are_readable_names(name: str) -> None:
    assert not [cell for cell in notebook(name).cells if re.fullmatch(r"[0-9a-f]{6,}|cell-.*", cell)]


def test_no_notebook_is_forgotten() -> None:
    assert set(RUNGS) == set(THREE) == {path.stem for path in FOLDER.glob("[0-9]*.ipynb")} - {"00_the_whole_decoder"}


ALL = sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("name", ALL)
def test_set_up_says_how_to_install_elsewhere(name: str) -> None:
    assert notebook(name).sources["setup-prose"].count(sentence()) == 1
    order = list(notebook(name).cells)
    assert order.index("setup") == order.index("setup-prose") + 1


@pytest.mark.parametrize("name", ALL)
def test_no_code_depends_on_the_working_directory(name: str) -> None:
    assert [cell for cell, source in notebook(name).code.items() if re.search(r"[\"']\.\.?/", source)] == []
