"""Notebook 07: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("07_hypernetwork")


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-trace")]:
        assert not re.search(r"sam_edu|official\.|statistics\.|model", NOTEBOOK.sources[name]), name


def test_both_steps_are_held_against_the_trace_and_against_meta() -> None:
    assert 't["hyper_in"][0]' in NOTEBOOK.sources["same-naive"]
    assert "logits[:, y, x]" in NOTEBOOK.sources["same-pixels-code"]
    assert "all within tolerance" in NOTEBOOK.printed("same-mlp")
    assert "4 tensors compared" in NOTEBOOK.printed("same-compare")
    assert "all within tolerance" in NOTEBOOK.printed("same-compare")


def test_fixed_weights_fail_on_the_toy_and_both_ways_of_hearing_the_click_succeed() -> None:
    found = re.findall(r"(\w+): ([\d.]+) of the pixels", NOTEBOOK.printed("r5-train"))
    right = {name: float(share) for name, share in found}
    assert right["fixed"] < 0.85
    assert min(right["written"], right["told"]) > 0.97


def test_two_clicks_share_the_image_embedding_and_nothing_after_it() -> None:
    found = re.findall(r"^([\w.]+) +equal: (True|False)", NOTEBOOK.printed("two-code"), re.MULTILINE)
    equal = ["True", "False", "False", "False"]
    assert found == list(zip(("src", "keys", "output_upscaling.activated_twice", "hyper_in"), equal, strict=True))


def test_what_is_shown_is_chosen_by_rule() -> None:
    assert "areas[1:].argmax()" in NOTEBOOK.sources["trained-code"]
    assert "random.Random(" in NOTEBOOK.sources["roles-code"]
    assert "abs().mean((1, 2)).argsort(descending=True)" in NOTEBOOK.sources["film-order"]


def test_no_prose_names_a_channel_of_the_trained_model() -> None:
    assert not re.search(r"channel \d", NOTEBOOK.prose(NOTEBOOK.between("trained", "read")))
