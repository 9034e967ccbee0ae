"""Notebook 06: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("06_upscaling")


def test_the_ladder_computes_with_torch_alone() -> None:
    """From rung 1 to the top no class of `sam_edu` computes anything: the cells use tensors, weights and assertions."""
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-count")]:
        source = NOTEBOOK.sources[name].replace("sam_edu.Predictor", "").replace("sam_edu.trace", "")
        assert "sam_edu." not in source, name


def test_the_ladder_shows_what_its_prose_says() -> None:
    painters = re.findall(r"kernel (\d).*per pixel \[(.*)\]", NOTEBOOK.printed("r5-count"))
    assert painters == [("2", "1"), ("3", "1, 2, 4"), ("4", "4")]
    assert "9 times the operations" in NOTEBOOK.printed("r5-cost")
    assert "gives the feature map back: False" in NOTEBOOK.printed("r4-transposed")
    assert set(re.findall(r"\d\.\d\d", NOTEBOOK.printed("r6-hand"))) == {"2.24"}
    assert re.findall(r"(True|False)", NOTEBOOK.printed("r7-equal")) == ["True", "False"]
    assert "lowest value -0.170" in NOTEBOOK.printed("r8-code")
    assert "off by at most 0.00047" in NOTEBOOK.printed("r8-code")


def test_counts_are_those_of_metas_decoder() -> None:
    assert re.findall(r"[\d,]+$", NOTEBOOK.printed("same-count"), re.MULTILINE) == ["65,600", "128", "8,224", "73,952"]
    assert "1.8%" in NOTEBOOK.printed("same-flops")
    assert "22%" in NOTEBOOK.printed("same-flops")
    assert "tensors that differ: []" in NOTEBOOK.printed("same-compare")


def test_the_boxes_show_what_their_prose_says() -> None:
    assert "['ConvTranspose2d', 'LayerNorm2d', 'GELU', 'ConvTranspose2d', 'GELU']" in NOTEBOOK.printed("read-gelu")
    assert "{'none'}" in NOTEBOOK.printed("read-gelu")
    norms = NOTEBOOK.printed("read-norm")
    assert "9 x LayerNorm, eps 1e-05\n1 x LayerNorm2d, eps 1e-06\n['output_upscaling.1']" in norms
    assert "decoder (256, 256)  masks (200, 300)" in NOTEBOOK.printed("read-size")
    assert "['input']" in NOTEBOOK.printed("read-deconv")


def test_the_parts_of_a_map_and_the_jumps_are_measured_beside_controls() -> None:
    cancel = NOTEBOOK.printed("split-cancel")
    for part in ("token to token", "pattern", "drawing"):
        assert re.search(rf"^{part} +in masks 0 to 3:(?: +\d+\.\d\d){{4}} of", cancel, re.MULTILINE), part
    as_they_are, at_random = re.findall(r"share of pattern, weights .*: ([\d.]+)%", cancel)
    assert float(as_they_are) != float(at_random)
    jumps = re.findall(r"^(.+?) +within a half .*: ([\d.]+) times$", NOTEBOOK.printed("jumps-print"), re.MULTILINE)
    names = [name for name, _ in jumps]
    assert names == [*(f"mask {i}" for i in range(4)), "no pattern, mean of 4", "bilinear, mean of 4"]
    assert 0.9 < float(jumps[-1][1]) < 1.1


def test_every_change_is_measured_and_in_the_figure() -> None:
    alt = NOTEBOOK.cells["held-out-picture"]["outputs"][-1]["metadata"]["image/png"]["alt"]
    changes = re.findall(r'^    "([^"]+)": with_layers', NOTEBOOK.sources["ways"], re.MULTILINE)
    assert changes[0] == "as it is"
    assert len(changes) == 7
    for name in (*changes[1:], "pattern taken out", "squares flat", "means joined"):
        assert name in alt


def test_no_cell_before_the_third_exercise_solves_it() -> None:
    before = NOTEBOOK.between("title", "ex3-prose")
    assert not [name for name in before if "repeat_interleave(4, -1)" in NOTEBOOK.sources[name]]
