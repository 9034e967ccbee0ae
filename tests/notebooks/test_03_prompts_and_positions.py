"""Notebook 03: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("03_prompts_and_positions")


def test_the_table_of_tokens_has_the_shapes_of_the_decoder() -> None:
    rows = re.findall(r"^(.+?)\s+(\d+)\s+(\d+)\s+(\d+)  (\(.*\))$", NOTEBOOK.printed("count-code"), re.MULTILINE)
    table = {name: (int(sets), int(sparse), int(tokens)) for name, sets, sparse, tokens, _ in rows}
    assert table == {
        "one click": (1, 2, 7),
        "three clicks, one object": (1, 4, 9),
        "three clicks, three objects": (3, 2, 7),
        "a box": (1, 2, 7),
        "a click and a box": (1, 3, 8),
        "three boxes, three objects": (3, 2, 7),
        "a click and a mask": (1, 2, 7),
        "a mask": (1, 0, 5),
        "nothing": (1, 0, 5),
    }


def test_it_restores_the_matrix() -> None:
    assert NOTEBOOK.sources["read-matrix-other"].count("positional_encoding_gaussian_matrix.copy_(") == 2
    assert "copy_(original)" in NOTEBOOK.sources["read-matrix-other"]


def test_it_prints_what_its_prose_uses() -> None:
    for name in ("order-code", "padding-log2-code"):
        assert "rounding only" in NOTEBOOK.printed(name), name
    lines = re.findall(r"(negative|positive) clicks .* from (\S+) to (\S+)", NOTEBOOK.printed("kinds-space"))
    ranges = {name: (float(low), float(high)) for name, low, high in lines}
    assert ranges["negative"][1] < ranges["positive"][0]
    shares = re.findall(r"(\d+) % of the masks hold their click", NOTEBOOK.printed("heads-off-print"))
    assert int(shares[0]) > 2 * int(shares[1])  # with the encodings of the positions, and without
    assert "label −1 gives the same mask at another position: True" in NOTEBOOK.printed("labels-masks")
    assert "labels 2 and 3 give the same mask: True" in NOTEBOOK.printed("labels-masks")
