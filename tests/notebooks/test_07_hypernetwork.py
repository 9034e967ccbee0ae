"""Notebook 07: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re

import pytest
from notebook_cells import Notebook

NOTEBOOK = Notebook("07_hypernetwork")


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-trace")]:
        assert not re.search(r"sam_edu|official\.|ablation\.|model", NOTEBOOK.sources[name]), name


def test_both_steps_are_compared_with_the_trace_and_with_meta() -> None:
    assert 't["hyper_in"][0]' in NOTEBOOK.sources["same-naive"]
    assert "logits[:, y, x]" in NOTEBOOK.sources["same-pixels-code"]
    assert "all within tolerance" in NOTEBOOK.printed("same-mlp")
    assert "4 tensors compared" in NOTEBOOK.printed("same-compare")
    assert "all within tolerance" in NOTEBOOK.printed("same-compare")


def test_fixed_weights_fail_on_the_toy_and_both_ways_to_use_the_click_succeed() -> None:
    shares = re.findall(r"(\w+): ([\d.]+) of the pixels", NOTEBOOK.printed("r5-train"))
    accuracy = {name: float(share) for name, share in shares}
    assert accuracy["fixed"] < 0.85
    assert min(accuracy["written"], accuracy["relative"]) > 0.97


def test_two_clicks_share_the_image_embedding_and_nothing_after_it() -> None:
    lines = re.findall(r"^([\w.]+) +equal: (True|False)", NOTEBOOK.printed("two-code"), re.MULTILINE)
    equal = ["True", "False", "False", "False"]
    assert lines == list(zip(("src", "keys", "output_upscaling.activated_twice", "hyper_in"), equal, strict=True))


def test_what_is_shown_is_chosen_by_rule() -> None:
    assert "areas[1:].argmax()" in NOTEBOOK.sources["trained-code"]
    assert "random.Random(" in NOTEBOOK.sources["roles-dots"]
    assert "abs().mean((1, 2)).argsort(descending=True)" in NOTEBOOK.sources["film-order"]


def test_no_prose_names_a_channel_of_the_trained_model() -> None:
    assert not re.search(r"channel \d", NOTEBOOK.prose(NOTEBOOK.between("trained", "read")))


def test_stored_numbers_are_read_once_and_said_to_be_of_the_tiny_model() -> None:
    reads = [name for name, source in NOTEBOOK.code.items() if re.search(r"ablation\.load", source)]
    assert reads == ["setup"]
    assert "sam_edu.load_from_environment()" in NOTEBOOK.sources["setup"]
    assert "they are of the tiny model" in NOTEBOOK.sources["setup-prose"]


def test_what_training_learns_is_called_parameters() -> None:
    assert not re.search(r"trained weights|learned weights", NOTEBOOK.prose())


CONTROLS = {
    "signs-kept": "mirrored silent constant",
    "signs-control": "one number added",
    "film-orders-picture": '"largest first on other scenes", "random"',
    "roles-largest": "controls.split_half",
    "roles-alike": "apart & ~same",
    "two-many": '"A unchanged"',
    "two-level": "shuffled weights",
    "two-best": "sines, B's outline elsewhere",
    "tokens-many": "reshuffled_crossings",
}


@pytest.mark.parametrize("cell", CONTROLS)
def test_the_control_stands_in_the_same_cell(cell: str) -> None:
    assert CONTROLS[cell] in NOTEBOOK.sources[cell]


def test_every_experiment_over_many_clicks_has_its_answer_in_a_tagged_cell() -> None:
    names = list(NOTEBOOK.cells)
    headings = [name for name in names if re.match(r"### [2-8]\. .*\?", NOTEBOOK.sources[name])]
    answers = [name for name in names if NOTEBOOK.sources[name].startswith("**Answer.**")]
    assert len(headings) == len(answers) == 7
    for heading, answer, following in zip(headings, answers, [*headings[1:], "read"], strict=True):
        assert names.index(heading) < names.index(answer) < names.index(following)
        assert "about-weights" in NOTEBOOK.cells[answer]["metadata"]["tags"]


def test_sources_of_the_product_are_named_where_it_is_introduced() -> None:
    text = NOTEBOOK.sources["diagram-prose"]
    assert all(name in text for name in ("MaskFormer", "transformer_predictor.py", "CondInst", "dynamic_mask_head.py"))


def test_hand_counts_are_a_part_of_the_whole_decoder() -> None:
    shares = re.findall(r"([\d.]+) %", NOTEBOOK.printed("read-once"))
    assert len(shares) == 4
    assert sum(map(float, shares[:3])) < 100.0 == float(shares[3])
