"""Notebook 04: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("04_two_way_block")


def test_the_ladder_computes_with_torch_alone() -> None:
    """From rung 1 to the top no class of `sam_edu` computes anything: the cells use tensors, weights and assertions."""
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-count")]:
        source = NOTEBOOK.sources[name].replace("sam_edu.Predictor", "").replace("sam_edu.trace", "")
        assert "sam_edu." not in source, name
        assert not re.search(r"\bnn\.|layer\(|\.forward\(", source), name


def test_all_four_steps_of_both_blocks_are_compared_with_the_trace() -> None:
    ladder = "\n".join(NOTEBOOK.code.values())
    for step, tensor in (("1", "queries_1"), ("2", "queries_2"), ("3", "queries_3"), ("4", "keys_4")):
        assert f'assert_close({tensor}, t["transformer.layers.0.{tensor}"][0]' in ladder, step
    assert 't[f"transformer.layers.{i}.keys_4"][0]' in NOTEBOOK.sources["r9-twice"]


def test_the_boxes_show_what_their_prose_says() -> None:
    residual = NOTEBOOK.printed("read-residual")
    assert "as it is, the first to differ from Meta's: None" in residual
    assert "residual put back, the first to differ:  self_attn.out" in residual
    lines = NOTEBOOK.printed("read-pe").splitlines()
    assert len(lines) == 6
    assert all(line.endswith("v bare") for line in lines)
    assert re.search(r"layers\.0\.self_attn +q bare +k bare", lines[0])
    assert all("q with encoding  k with encoding" in line for line in lines[1:])
    assert "skip_first_layer_pe per block: [True, False]" in NOTEBOOK.printed("read-dropout")
    assert "first to differ from Meta's: mlp.hidden" in NOTEBOOK.printed("read-act")
    assert "tensors that differ: []" in NOTEBOOK.printed("same-compare")


def alt_texts() -> str:
    return " ".join(
        output["metadata"]["image/png"]["alt"]
        for cell in NOTEBOOK.cells.values()
        for output in cell.get("outputs", [])
        if "image/png" in output.get("metadata", {})
    )


def test_the_masks_of_the_edits_are_in_a_figure() -> None:
    edits = re.findall(r'"((?:DETR|[1-5]:)[^"]*)": \d', NOTEBOOK.sources["edits-code"])
    assert len(edits) == 5
    for way in (*edits[:3], "encodings in the values"):
        assert f"{way}: mask 1" in alt_texts(), way


def test_detrs_layer_with_sams_weights_is_compared_with_the_trace() -> None:
    """Steps (1) to (3) of block 1 by PyTorch's attention, with the trained weights; all five edits give the block."""
    assert 'assert_close(ours, t["transformer.layers.1.queries_3"][0]' in NOTEBOOK.sources["detr-check"]
    assert "nn.TransformerDecoderLayer" in NOTEBOOK.sources["detr-layer"]
    assert "step_" not in NOTEBOOK.sources["detr-layer"]
    assert 'assert overlap(ways["5: no residual"], masks) > 0.999' in NOTEBOOK.sources["edits-code"]
    rows = re.findall(r"^\| (\d)\. ", NOTEBOOK.sources["detr-edits"], re.MULTILINE)
    assert rows == list("12345")


def test_every_experiment_has_its_control_in_its_figure_and_an_answer() -> None:
    controls = {
        "edits-effects": "control: another scene",
        "skip-effects": "left out of block 1",
        "four-cover": "as it is",
        "order-effects": "no (4) at all",
        "pe-effects": "control: another scene",
        "pe-pairs": "all from B",
    }
    for cell, control in controls.items():
        assert control in NOTEBOOK.sources[cell], cell
        assert f"{cell.split('-')[0]}-answer" in NOTEBOOK.sources, cell
