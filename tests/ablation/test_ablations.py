"""The list of ablations, and that carrying one out is an intervention."""

import re
from itertools import combinations

import numpy as np
import pytest

import sam_edu
from sam_edu import ablation
from sam_edu.ablation import (
    ABLATIONS,
    ATTENTIONS,
    BIASES,
    BOX_ABLATIONS,
    CHANNELS,
    HEADS,
    SHORT_NAMES,
    STEPS,
    TERMS,
    ablated,
    full_name,
    pair_name,
)
from sam_edu.ablation.ablations import find
from sam_edu.sam import build_mask_decoder

DECODER = build_mask_decoder()
NAME = "transformer.final_attn_token_to_image head 3 zero"


def test_the_list_is_complete() -> None:
    for attention in ATTENTIONS:
        assert find(f"{attention} ablated")
        for how in ("mean", "resample", "zero", "token mean"):
            assert all(find(f"{attention} head {head} {how}") for head in range(HEADS))
            assert find(f"{attention} all heads {how}")
            assert how == "token mean" or find(f"{attention} {how}")
    for block in ("transformer.layers.0", "transformer.layers.1"):
        assert {f"{block} ablated", f"{block}.mlp half of the units zero"} < set(ABLATIONS)
        for how in ("mean", "resample"):
            assert find(f"{block} {how}")
            assert find(f"{block}.mlp {how}")
    for step in (1, 2, 3, 4):
        assert all(find(f"step ({step}) {how}") for how in ("mean", "resample", "zero"))
        assert f"step ({step}) removed" in ABLATIONS
    for channel in range(CHANNELS):
        assert all(find(f"channel {channel} {how}") for how in ("mean", "resample", "zero"))
    for one, other in combinations(STEPS, 2):
        assert pair_name(other, one) in ABLATIONS
    assert len(set(BOX_ABLATIONS)) == (56 + 16) + (9 + 2) + (2 + 1)
    assert set(BOX_ABLATIONS) < set(ABLATIONS)


def test_no_two_ablations_are_the_same() -> None:
    definitions = [one.definition for one in ABLATIONS.values()]
    assert len(set(definitions)) == len(definitions) == 521


def test_short_names_stand_for_other_names() -> None:
    assert not set(SHORT_NAMES) & set(ABLATIONS)
    assert set(SHORT_NAMES.values()) <= set(ABLATIONS)
    assert full_name("step (1) mean") == f"{STEPS[0]} + {STEPS[4]} mean"
    assert full_name(f"{ATTENTIONS[2]} head 3 mean") == f"{ATTENTIONS[2]} head 3 mean by position"
    assert full_name(NAME) == NAME


@pytest.mark.parametrize("name", [name for name in ABLATIONS if re.search(r"(?<! token) mean|resample", name)])
def test_what_an_ablation_needs_is_named_and_its_lack_refused(name: str) -> None:
    needed = {whose: ABLATIONS[name].needs(whose) for whose in ("held_out", "image", "other")}
    [(whose, points)] = [(whose, points) for whose, points in needed.items() if points]
    by_end = {"of this image": "image", "resample": "other"}
    assert whose == next((one for end, one in by_end.items() if name.endswith(end)), "held_out")
    assert all(point in (TERMS, BIASES) or DECODER.get_submodule(point) for point in points)
    with pytest.raises(ValueError, match=r"references: this ablation needs .*got None"), ablated(DECODER, name):
        pass


def test_means_by_position_are_told_from_the_others() -> None:
    by_position = {name for name, one in ABLATIONS.items() if one.needs_by_position()}
    assert f"{ATTENTIONS[2]} head 3 mean by position" in by_position
    assert "transformer.layers.1 mean by position" in by_position
    assert f"{ATTENTIONS[2]} mean over positions" not in by_position
    assert f"{ATTENTIONS[0]} mean" not in by_position
    assert pair_name(STEPS[0], STEPS[1]) not in by_position
    assert pair_name(STEPS[0], STEPS[3]) in by_position


def test_attentions_are_those_of_the_decoder() -> None:
    found = [n for n, m in sam_edu.sam.build_mask_decoder().named_modules() if isinstance(m, sam_edu.Attention)]
    assert sorted(found) == sorted(ATTENTIONS)
    assert [name for name in ATTENTIONS if "token_to_image" in name] == list(ablation.TOKEN_TO_IMAGE)


def test_a_tenth_of_the_units_is_part_of_the_half() -> None:
    chosen = {}
    for name in ("a tenth", "half", "all"):
        [change] = ABLATIONS[f"transformer.layers.0.mlp {name} of the units zero"].changes  # type: ignore[misc]
        chosen[name] = set(change.select["mlp_dim"])
    assert [len(units) for units in chosen.values()] == [205, 1024, 2048]
    assert chosen["a tenth"] < chosen["half"] < chosen["all"]


def test_an_ablation_is_an_intervention(model: sam_edu.Sam) -> None:
    example = sam_edu.example()
    predictor = sam_edu.Predictor(model)
    predictor.set_image(example.image)
    with ablated(predictor, NAME):
        by_name = predictor.predict(example.click, [1], return_logits=True)[0]
    with sam_edu.intervene(model, "transformer.final_attn_token_to_image.heads", "zero", heads=3):
        by_hand = predictor.predict(example.click, [1], return_logits=True)[0]
    np.testing.assert_array_equal(by_name, by_hand)
    assert not np.array_equal(predictor.predict(example.click, [1], return_logits=True)[0], by_hand)


def test_a_name_that_is_not_in_the_list_is_refused(model: sam_edu.Sam) -> None:
    with pytest.raises(KeyError, match="no ablation of that name"), ablated(model, "nothing"):
        pass


def test_a_definition_names_the_points_and_the_replacements() -> None:
    assert ABLATIONS["transformer.layers.0.self_attn head 2 token mean"].definition == (
        "a head's output, before out_proj, is replaced by its token mean"
        " [transformer.layers.0.self_attn.heads token_mean [('heads', 2)]]"
    )
    assert "_count_padding" in ABLATIONS["no padding token"].definition
