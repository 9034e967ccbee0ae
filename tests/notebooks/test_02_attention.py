"""Notebook 02: its outputs contain what its prose uses (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("02_attention")


def trained() -> list[str]:
    """The cells about the trained model."""
    return NOTEBOOK.between("trained", "read")


def test_the_trained_part_has_few_experiments_each_with_a_question_and_an_answer() -> None:
    sources = {name: NOTEBOOK.sources[name] for name in trained() if name not in NOTEBOOK.code}
    headings = [heading for source in sources.values() for heading in re.findall(r"^### (.*)", source, re.MULTILINE)]
    assert 6 <= len(headings) <= 10
    assert all(heading.endswith("?") for heading in headings)
    assert [name for name in trained() if name.endswith("-answer")] == [
        f"{name}-answer" for name in ("far", "terms", "directions", "worth", "heads", "sum", "paths")
    ]


def test_the_notebook_says_whose_model_it_is_once() -> None:
    assert NOTEBOOK.prose().count("This is a tiny model, trained on drawings") == 1
    assert "issue 550" in NOTEBOOK.sources["trained-order"]


def test_each_control_stands_beside_its_effect() -> None:
    for cell, control in {
        "far-share": "share_above_null",
        "far-count": "distance_above_null",
        "terms-share": "untrained",
        "directions-code": "reshuffled",
        "worth-attentions": '"mean", "resample", "zero"',
        "heads-split": "split_half",
        "sum-code": '("zero", "mean")',
        "sum-pairs-code": "split_half",
        "paths-code": '"random"',
    }.items():
        assert control in NOTEBOOK.code[cell], cell


def test_the_terms_are_made_from_the_two_streams_and_sum_to_the_scores_of_the_trace() -> None:
    source = NOTEBOOK.code["terms-live"]
    assert "queries_1" in source
    assert re.search(r'assert_close\(terms\.sum\(0\), t\[f"\{first\}\.scores"\]', source)


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
    assert "ranks: 4 4 of 12" in NOTEBOOK.printed("r13-code")
    # Eight heads, each with seven weights of sum 1.
    assert "directions in which it varies: 48\n" in NOTEBOOK.printed("output-image")
