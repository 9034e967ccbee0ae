"""The list of ablations, and that carrying one out is an intervention."""

import numpy as np
import pytest

import sam_edu
from sam_edu import ablation
from sam_edu.ablation import ABLATIONS, ATTENTIONS, HEADS, ablated
from sam_edu.sam import load

NAME = "transformer.final_attn_token_to_image head 3 zero"


def test_the_list_is_complete() -> None:
    for attention in ATTENTIONS:
        assert f"{attention} ablated" in ABLATIONS
        for how in ("zero", "token mean"):
            assert f"{attention} all heads {how}" in ABLATIONS
            assert all(f"{attention} head {head} {how}" in ABLATIONS for head in range(HEADS))
    for block in ("transformer.layers.0", "transformer.layers.1"):
        assert {f"{block} ablated", f"{block}.mlp ablated", f"{block}.mlp half of the units zero"} < set(ABLATIONS)
    definitions = [one.definition for name, one in ABLATIONS.items() if not callable(one.changes)]
    assert len(set(definitions)) == len(definitions)


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


def test_an_ablation_is_an_intervention() -> None:
    model, example = load(), sam_edu.example()
    predictor = sam_edu.Predictor(model)
    predictor.set_image(example.image)
    with ablated(predictor, NAME):
        by_name = predictor.predict(example.click, [1], return_logits=True)[0]
    with sam_edu.intervene(model, "transformer.final_attn_token_to_image.heads", "zero", heads=3):
        by_hand = predictor.predict(example.click, [1], return_logits=True)[0]
    np.testing.assert_array_equal(by_name, by_hand)
    assert not np.array_equal(predictor.predict(example.click, [1], return_logits=True)[0], by_hand)


def test_a_name_that_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(KeyError, match="no ablation of that name"), ablated(load(), "nothing"):
        pass


def test_a_definition_names_the_points_and_the_replacements() -> None:
    assert ABLATIONS["transformer.layers.0.self_attn head 2 token mean"].definition == (
        "a head's output is replaced by its token mean [transformer.layers.0.self_attn.heads token_mean [('heads', 2)]]"
    )
    assert "_count_padding" in ABLATIONS["no padding token"].definition
