"""Notebook 05: it runs with a checkpoint, and its outputs contain what its prose uses."""

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from notebook_cells import Notebook

from sam_edu import official
from sam_edu.checkpoints import ENVIRONMENT_VARIABLE, OFFICIAL
from sam_edu.official.predictor import IMAGE_ENCODERS

NOTEBOOK = Notebook("05_two_way_transformer")


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, torch.Tensor]:
    """A random checkpoint of Meta's layout, named by the environment; the image encoder alone is small."""
    encoder = {"embed_dim": 16, "depth": 1, "num_heads": 2, "global_attn_indexes": ()}
    monkeypatch.setitem(IMAGE_ENCODERS, "vit_b", encoder)
    monkeypatch.setitem(OFFICIAL, "vit_b", dataclasses.replace(OFFICIAL["vit_b"], width=16, blocks=1))
    build_sam: Any = importlib.import_module(official.modeling().__package__.rpartition(".")[0] + ".build_sam")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        sam = build_sam._build_sam(16, 1, 2, [])
        for parameter in sam.parameters():  # zeros and ones can hide mistakes
            parameter.data += 0.02 * torch.randn_like(parameter)
    path = tmp_path / "sam_vit_b.pth"
    torch.save(sam.state_dict(), path)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(path))
    return sam.state_dict()


def test_every_cell_runs_with_a_checkpoint(checkpoint: dict[str, torch.Tensor]) -> None:
    names: dict[str, Any] = {}
    for name, source in NOTEBOOK.code.items():
        try:
            exec(compile(source, f"<cell {name}>", "exec"), names)
        except Exception as error:  # which cell it was
            pytest.fail(f"cell {name}: {type(error).__name__}: {error}")
    assert names["model"].image_size == 1024
    # The reader's class holds the checkpoint's weights; the cell compares it with sam_edu's and Meta's.
    prefix = "mask_decoder.transformer."
    expected = {key.removeprefix(prefix): value for key, value in checkpoint.items() if key.startswith(prefix)}
    own = names["yours"].state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[key], value) for key, value in expected.items())
    assert names["t"]["tokens"].shape == (1, 7, 256)


def test_ladder_uses_torch_alone() -> None:
    for name in NOTEBOOK.code:
        if re.match(r"r\d", name) and name != "r2-picture":  # its image is the running example's
            assert "sam_edu" not in NOTEBOOK.sources[name], name
            assert "official" not in NOTEBOOK.sources[name], name


def test_recall_questions_and_shape_table_are_there() -> None:
    assert "<b>Two questions from earlier notebooks</b>" in NOTEBOOK.sources["summary"]
    assert NOTEBOOK.sources["shape-table-code"].strip() == 't.shape_table("05")'
    assert len(re.findall(r"^\d\. ", NOTEBOOK.sources["summary"], re.MULTILINE)) == 5


def test_branches_do_not_depend_on_each_other() -> None:
    assert [line.rpartition(" ")[2] for line in NOTEBOOK.printed("read-order").splitlines()] == ["True", "True"]


def test_the_prompts_slots_after_the_last_look_have_no_effect() -> None:
    assert NOTEBOOK.printed("read-tokens").count("True") == 2
    assert "False" not in NOTEBOOK.printed("read-tokens")


def test_encodings_go_to_queries_and_keys_of_the_last_look_and_not_to_its_values() -> None:
    results = [re.findall("True|False", line) for line in NOTEBOOK.printed("read-codes").splitlines()]
    assert results == [["True", "False"], ["True", "False"], ["False", "True"]]


def test_with_both_paths_closed_every_click_gives_the_same() -> None:
    lines = NOTEBOOK.printed("ex3-run").splitlines()
    assert [line.split()[1] for line in lines] == ["none", "(1)", "(4)", "both"]
    results = [re.findall("True|False", line) for line in lines]  # the same keys, the same logits
    assert results == [["False", "False"]] * 3 + [["True", "True"]]  # one open path suffices


def test_every_parameter_is_named_and_counted() -> None:
    names = [line.split()[1] for line in NOTEBOOK.printed("names-code").splitlines()[:-1]]
    keys = list(official.official_class("TwoWayTransformer")(2, 256, 8, 2048).state_dict())
    assert names == [name for name in keys if not name.startswith("layers.1.")]
    assert NOTEBOOK.printed("names-code").splitlines()[-1].startswith(f"{len(keys)} parameter tensors")
    assert "3,291,264 numbers loaded" in NOTEBOOK.printed("same-yours")


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert re.search(r"ablation\.recompute\(.*\n(.*\n)*assert ", NOTEBOOK.sources["off-live"])
    order = list(NOTEBOOK.cells)
    for name in ("alike-code", "off-all", "doors-many", "carry-dots", "off-live"):
        assert order.index("trained") < order.index(name) < order.index("read")


def test_both_doors_together_are_compared_with_the_other_decode() -> None:
    assert 'assert_close(through["(1) and (4) from B"], u["masks"][0]' in NOTEBOOK.sources["doors-through"]


def test_figures_of_the_trained_model_are_selected_by_rule() -> None:
    assert "the first other object" in NOTEBOOK.sources["trained-code"]
    assert "argmax()" in NOTEBOOK.sources["doors-code"]
    assert not re.search(r"\bhead \d|\bchannel \d", NOTEBOOK.prose(NOTEBOOK.between("trained", "exercises")))


def test_one_definition_of_an_ablation_in_the_figure_of_all_parts() -> None:
    source = NOTEBOOK.sources["off-all"]
    assert 'for how in ("mean", "resample")' in source
    assert "zero" not in source
    assert "ablated" not in source
