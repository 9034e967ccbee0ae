"""Notebook 06: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("06_upscaling")


def alt_of(cell: str) -> str:
    return str(NOTEBOOK.cells[cell]["outputs"][-1]["metadata"]["image/png"]["alt"])


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
    assert "x/2 + 0.4 x²: off by at most 0.02" in NOTEBOOK.printed("r8-code")
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


def test_the_matrix_of_a_transposed_convolution_is_displayed() -> None:
    drawn = alt_of("r4-picture")
    assert "convolution, 4 by 8, with 2 of its entries not zero in each row" in drawn
    assert "transposed, 8 by 4, with 1 of its entries not zero in each row" in drawn
    assert "two axes, 16 by 4, with 1 of" in drawn
    painters = re.findall(r"kernel (\d), \d+ by 4, with ([\d, and]+) of its entries", alt_of("r5-matrices"))
    assert painters == [("2", "1"), ("3", "1 and 2"), ("4", "1 and 2")]
    assert "(48, 18)  not zero in each row: 3" in NOTEBOOK.printed("r4-transposed")


def test_every_experiment_has_its_controls_in_its_figure() -> None:
    for cell, controls in {
        "parts-many": ("untrained", "mask, weights at random: pattern"),
        "grid-picture": ("untrained mask", "squares joined", "mask without pattern"),
        "gelu-many": ("last GELU: straight line", "last GELU: ReLU, mean restored", "first GELU: parabola", "boundary"),
        "painting-picture": ("squares moved by 2, flat", "pattern of other scenes", "thin boundary"),
    }.items():
        for control in controls:
            assert control in alt_of(cell), (cell, control)
    assert "norm with constant statistics" in NOTEBOOK.printed("norms-print")
    assert re.search(r"^target ", NOTEBOOK.printed("grid-edges"), re.MULTILINE)
    assert len(re.findall("the ground truth itself", NOTEBOOK.printed("painting-print"))) == 2


def test_numbers_over_many_clicks_are_over_all_of_them() -> None:
    assert "<UpscalingStatistics: 247 clicks on 100 held-out scenes" in NOTEBOOK.printed("trained-code")


def test_one_image_token_changes_its_own_square() -> None:
    assert "pixels that change: 16 " in NOTEBOOK.printed("reach-code")


def test_no_cell_before_the_third_exercise_solves_it() -> None:
    before = NOTEBOOK.between("title", "ex3-prose")
    assert not [name for name in before if "repeat_interleave(4, -1)" in NOTEBOOK.sources[name]]
