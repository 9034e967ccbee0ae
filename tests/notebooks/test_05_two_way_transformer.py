"""Notebook 05: its folded solutions pass, its stubs are untouched, it runs with a checkpoint, and keeps the form."""

import dataclasses
import importlib
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from sam_edu import official
from sam_edu.checkpoints import ENVIRONMENT_VARIABLE, OFFICIAL
from sam_edu.exercises import two_way_transformer

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "05_two_way_transformer.ipynb"
CELLS = {cell["id"]: cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"]}
SOURCES = {name: "".join(cell["source"]) for name, cell in CELLS.items()}
CODE = {name: SOURCES[name] for name, cell in CELLS.items() if cell["cell_type"] == "code"}
NAMES = {
    "ex1": two_way_transformer.numbers.name,
    "ex2": two_way_transformer.forward.name,
    "ex3": two_way_transformer.cut.name,
}
FOLDED = re.compile(r"<details><summary><b>Solution</b></summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL)


def solution(name: str) -> str:
    [code] = FOLDED.findall(SOURCES[f"{name}-solution"])
    return code


@pytest.fixture(autouse=True)
def no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


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


# --- Meta's weights, by their layout: a random checkpoint ---


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, torch.Tensor]:
    """A random checkpoint of Meta's layout, named by the environment; the image encoder alone is small."""
    encoder = {"embed_dim": 16, "depth": 1, "num_heads": 2, "global_attn_indexes": ()}
    monkeypatch.setitem(official._IMAGE_ENCODERS, "vit_b", encoder)
    monkeypatch.setitem(OFFICIAL, "vit_b", dataclasses.replace(OFFICIAL["vit_b"], width=16, blocks=1))
    build_sam: Any = importlib.import_module(official.modeling().__package__.rpartition(".")[0] + ".build_sam")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        sam = build_sam._build_sam(16, 1, 2, [])
        for parameter in sam.parameters():  # zeros and ones would hide mistakes
            parameter.data += 0.02 * torch.randn_like(parameter)
    path = tmp_path / "sam_vit_b.pth"
    torch.save(sam.state_dict(), path)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(path))
    return sam.state_dict()


def test_every_cell_runs_with_a_checkpoint(checkpoint: dict[str, torch.Tensor]) -> None:
    names: dict[str, Any] = {}
    for name, source in CODE.items():
        try:
            exec(compile(source, f"<cell {name}>", "exec"), names)
        except Exception as error:  # which cell it was
            pytest.fail(f"cell {name}: {type(error).__name__}: {error}")
    assert names["model"].image_size == 1024
    # What the reader wrote holds the checkpoint's weights, and gave what sam_edu's and Meta's gave.
    prefix = "mask_decoder.transformer."
    wanted = {key.removeprefix(prefix): value for key, value in checkpoint.items() if key.startswith(prefix)}
    own = names["yours"].state_dict()
    assert own.keys() == wanted.keys()
    assert all(torch.equal(own[key], value) for key, value in wanted.items())
    assert names["t"]["tokens"].shape == (1, 7, 256)


# --- The form ---


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def test_cells_are_short_and_prose_outweighs_code() -> None:
    assert statistics.median(map(code_lines, CODE.values())) <= 7
    assert max(map(code_lines, CODE.values())) <= 30
    prose = sum(len(SOURCES[name].split()) for name in CELLS if name not in CODE)
    assert prose > sum(len(source.split()) for source in CODE.values())


def test_there_is_no_plotting_code() -> None:
    for name, source in CODE.items():
        assert not re.search(r"matplotlib|plt\.|imshow|subplots", source), name


def test_ladder_has_its_seven_rungs_in_order() -> None:
    headings = re.findall(r"^### Rung (\d+)", "\n".join(SOURCES.values()), re.MULTILINE)
    assert headings == [str(i) for i in range(1, 8)]


@pytest.mark.parametrize("rung", range(1, 8))
def test_every_rung_ends_in_an_assertion(rung: int) -> None:
    names = [name for name in CODE if re.match(rf"r{rung}(-|$)", name)]
    assert any(re.search(r"\bassert(_close\(| )", SOURCES[name]) for name in names), names


def test_ladder_uses_torch_alone() -> None:
    for name in CODE:
        if re.match(r"r\d", name) and name != "r2-picture":  # whose picture is the running example's
            assert "sam_edu" not in SOURCES[name], name
            assert "official" not in SOURCES[name], name


def test_recall_questions_and_ledger_are_there() -> None:
    assert "<b>Two questions from earlier notebooks</b>" in SOURCES["summary"]
    assert SOURCES["ledger-code"].strip() == 't.ledger("05")'
    assert len(re.findall(r"^\d\. ", SOURCES["summary"], re.MULTILINE)) == 5


# --- What the stored outputs prove ---


def printed(name: str) -> str:
    return "".join("".join(output.get("text", "")) for output in CELLS[name]["outputs"])


def prose(first: str, last: str) -> str:
    order = list(CELLS)
    return "\n".join(SOURCES[name] for name in order[order.index(first) : order.index(last)] if name not in CODE)


def test_branches_do_not_hear_of_each_other() -> None:
    assert [line.rpartition(" ")[2] for line in printed("read-order").splitlines()] == ["True", "True"]


def test_what_stands_in_the_prompts_slots_after_the_last_look_makes_no_difference() -> None:
    assert printed("read-tokens").count("True") == 2
    assert "False" not in printed("read-tokens")


def test_codes_go_to_queries_and_keys_of_the_last_look_and_not_to_its_values() -> None:
    told = [re.findall("True|False", line) for line in printed("read-codes").splitlines()]
    assert told == [["True", "False"], ["True", "False"], ["False", "True"]]


def test_with_both_ways_closed_every_click_gives_the_same() -> None:
    lines = printed("ex3-run").splitlines()
    assert [line.split()[1] for line in lines] == ["none", "(1)", "(4)", "both"]
    told = [re.findall("True|False", line) for line in lines]  # the same keys, the same logits
    assert told == [["False", "False"]] * 3 + [["True", "True"]]  # the news goes round at second hand through one door


def test_every_parameter_is_named_and_counted() -> None:
    names = [line.split()[1] for line in printed("names-code").splitlines()[:-1]]
    kept = list(official.official_class("TwoWayTransformer")(2, 256, 8, 2048).state_dict())
    assert names == [name for name in kept if not name.startswith("layers.1.")]
    assert printed("names-code").splitlines()[-1].startswith(f"{len(kept)} parameter tensors")
    assert "3,291,264 numbers loaded" in printed("same-yours")


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert re.search(r"statistics\.recompute\(.*\n(.*\n)*assert ", SOURCES["stats-live"])
    order = list(CELLS)
    for name in ("stats-alike", "stats-off", "stats-both", "stats-live"):
        assert order.index("trained") < order.index(name) < order.index("read")


def test_what_is_shown_of_the_trained_model_is_chosen_by_rule() -> None:
    for name, rule in (("apart-base-code", "apart.argmax()"), ("apart-picture", "randperm"), ("read-src", "argmax()")):
        assert rule in SOURCES[name]
    assert "argsort" in SOURCES["off-extremes-code"]
    assert not re.search(r"\bhead \d|\bchannel \d", prose("trained", "exercises"))
