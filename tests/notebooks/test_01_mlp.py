"""Notebook 01: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

from notebook_cells import Notebook

NOTEBOOK = Notebook("01_mlp")


def test_self_test_stands_at_the_top() -> None:
    assert list(NOTEBOOK.cells).index("self-test") < list(NOTEBOOK.cells).index("ladder")


def test_parameters_are_those_of_the_real_decoder() -> None:
    printed = NOTEBOOK.printed("r10-code")
    for number in ("1,050,880", "139,808", "132,612"):
        assert number in printed


def test_names_of_parameters_are_those_that_meta_uses() -> None:
    printed = NOTEBOOK.printed("same-names")
    for name in ("lin1.weight", "lin2.bias", "layers.0.weight", "layers.2.bias"):
        assert repr(name) in printed


def test_nothing_is_left_to_drop_out() -> None:
    printed = NOTEBOOK.printed("read-14")
    assert printed.count(" 0 dropout layers") == 2
    assert printed.endswith("True\n")
