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
    assert re.search(r"with step \(4\).*False\n.*without.*True", NOTEBOOK.printed("without-4-same"))


def test_the_masks_of_every_way_are_in_a_figure() -> None:
    ways = set(re.findall(r'ways\["([^"]+)"\]', "\n".join(NOTEBOOK.code.values())))
    alt_texts = " ".join(
        output["metadata"]["image/png"]["alt"]
        for cell in NOTEBOOK.cells.values()
        for output in cell.get("outputs", [])
        if "image/png" in output.get("metadata", {})
    )
    assert len(ways) >= 12
    for way in ways:
        assert f"{way}: mask 1" in alt_texts, way
