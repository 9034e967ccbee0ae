"""Notebook 02: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("02_attention")


def test_statistics_stand_between_the_trained_model_and_what_you_may_have_read() -> None:
    order = list(NOTEBOOK.cells)
    for name in ("sharp-picture", "far-picture", "worth-zero", "worth-effects", "worth-live-code", "sum-code"):
        assert order.index("trained-code") < order.index("output-image") < order.index(name) < order.index("read")


def test_heads_to_look_at_are_chosen_by_rule() -> None:
    for rule in ("largest = max(effects", "smallest = min(effects", "random.Random("):
        assert rule in NOTEBOOK.sources["worth-choose-code"]
    assert not re.search(r"head \d", NOTEBOOK.prose(NOTEBOOK.between("sharp", "read")))


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert re.search(r"ablation\.recompute\(.*\n(.*\n)*assert_close\(", NOTEBOOK.sources["worth-live-code"])


def test_positional_encodings_are_added_in_six_of_seven_attentions() -> None:
    assert NOTEBOOK.printed("read-4").split("\n")[:6] == [
        "block 0, q: from the tokens alone: True   from tokens + encodings: False",
        "block 0, k: from the tokens alone: True   from tokens + encodings: False",
        "block 0, v: from the tokens alone: True   from tokens + encodings: False",
        "block 1, q: from the tokens alone: False  from tokens + encodings: True",
        "block 1, k: from the tokens alone: False  from tokens + encodings: True",
        "block 1, v: from the tokens alone: True   from tokens + encodings: False",
    ]
    assert not re.search(r"(at|before) (every|each) attention", NOTEBOOK.prose())


def test_what_holds_for_any_weights_is_printed() -> None:
    # Six of the seven tokens are parameters.
    assert "unchanged in all heads: 36 of 49" in NOTEBOOK.printed("self-0-check")
    assert NOTEBOOK.printed("maps-last-uniform").count("True") == 2  # the click's maps in (6-1) have no effect
    # Eight heads, each with seven weights of sum 1.
    assert "directions in which it varies: 48\n" in NOTEBOOK.printed("output-image")
