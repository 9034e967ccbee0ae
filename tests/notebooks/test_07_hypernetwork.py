"""Notebook 07: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re

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
    assert "random.Random(" in NOTEBOOK.sources["roles-code"]
    assert "abs().mean((1, 2)).argsort(descending=True)" in NOTEBOOK.sources["film-order"]


def test_no_prose_names_a_channel_of_the_trained_model() -> None:
    assert not re.search(r"channel \d", NOTEBOOK.prose(NOTEBOOK.between("trained", "read")))


def test_nothing_about_the_trained_model_comes_from_a_file() -> None:
    assert not [name for name, source in NOTEBOOK.code.items() if "ablation.load" in source]
    assert "sam_edu.load_from_environment()" in NOTEBOOK.sources["setup"]


def test_what_training_learns_is_called_parameters() -> None:
    assert not re.search(r"trained weights|learned weights", NOTEBOOK.prose())


def test_silent_features_are_set_to_zero_and_each_mask_is_counted() -> None:
    lines = re.findall(r"mask (\d): (\d+)% of its pixels are left, and (\d+)% are new", NOTEBOOK.printed("signs-mute"))
    assert [int(mask) for mask, _, _ in lines] == [0, 1, 2, 3]
    assert all(int(left) <= 100 for _, left, _ in lines)
    assert min(int(left) for _, left, _ in lines) < 50  # the change has acted


def test_every_channel_is_left_out_and_flattened() -> None:
    assert "range(32)" in NOTEBOOK.sources["roles-worth"]
    assert len(re.findall(r"[01]\.\d\d left out, [01]\.\d\d flattened", NOTEBOOK.printed("roles-worth"))) == 6
    correlations = re.findall(
        r"left out +(-?[01]\.\d\d), when flattened +(-?[01]\.\d\d)", NOTEBOOK.printed("roles-rank")
    )
    assert len(correlations) == 3


def test_fitted_weights_stand_beside_the_written_ones_for_all_four_pairs() -> None:
    line = (
        r"features of (\w), true object of (\w): IoU with fitted weights [\d.]+, with the weights of click (\w) [\d.]+"
    )
    pairs = re.findall(line, NOTEBOOK.printed("two-best"))
    assert [pair[:2] for pair in pairs] == [("A", "A"), ("A", "B"), ("B", "A"), ("B", "B")]
    assert all(target == written for _, target, written in pairs)


def test_hand_counts_are_a_part_of_the_whole_decoder() -> None:
    shares = re.findall(r"([\d.]+) %", NOTEBOOK.printed("read-once"))
    assert len(shares) == 4
    assert sum(map(float, shares[:3])) < 100.0 == float(shares[3])
