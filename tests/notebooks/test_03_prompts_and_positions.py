"""Notebook 03: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

import pytest
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


def test_scale_2_draws_better_than_scale_1() -> None:
    low, high = map(float, re.findall(r"([-+]\d\.\d+) to ([-+]\d\.\d+)", NOTEBOOK.printed("r7-many-count"))[0])
    assert 0 < low < high
    images = re.findall(r"[-+]\d\.\d\d(?!\d)", NOTEBOOK.printed("r7-many-count").splitlines()[1])
    assert len(images) == 10
    assert sum(map(float, images)) / 10 > 0.02


def test_twenty_matrices_follow_the_formula() -> None:
    rows = re.findall(r"distance \S+: (\S+) \((\S+) to (\S+)\), formula (\S+)", NOTEBOOK.printed("r7-curves-code"))
    assert len(rows) == 4
    for mean, low, high, formula in (map(float, row) for row in rows):
        assert mean == pytest.approx(formula, abs=0.03)
        assert low <= formula <= high


def test_one_dot_product_separates_the_kinds() -> None:
    [row] = re.findall(r"gap (\S+); random pairs: (\d+) of 1000", NOTEBOOK.printed("kinds-space"))
    assert float(row[0]) > 0
    assert int(row[1]) > 900


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("order-code", "rounding only"),
        ("padding-log2-code", "rounding only"),
        ("labels-masks", "label −1 gives the same mask at another position: True"),
        ("labels-masks", "labels 2 and 3 give the same mask: True"),
        ("labels-onnx", "ONNX, labels 2 and 3: the logits of `boxes=`, all four masks"),
        ("r8-loop", "[False, False, True, True]"),
        ("swapped-refused", "its corners are swapped"),
    ],
)
def test_it_prints_what_its_prose_uses(cell: str, words: str) -> None:
    assert words in NOTEBOOK.printed(cell)
