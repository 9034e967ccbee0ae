"""The proof that an intervention acted finds those that did not, or acted elsewhere."""

import pytest
import torch
from acting import assert_acted, assert_acts
from traced_models import HEADS, decoder_inputs, make_decoder, traced

from sam_edu.modules import MaskDecoder
from sam_edu.tracing import intervene


@pytest.mark.parametrize("how", ["zero", "token_mean", torch.ones(1), lambda x: x + 1])
@pytest.mark.parametrize("select", [{}, {"heads": 2}, {"heads": [0, 3], "queries": 1}])
def test_what_acts_passes(decoder: MaskDecoder, how: object, select: dict[str, object]) -> None:
    assert_acts(decoder, lambda: decoder(*decoder_inputs()), HEADS, how, **select)


def test_what_changes_nothing_is_found(decoder: MaskDecoder) -> None:
    with pytest.raises(AssertionError, match=f"nothing changed at {HEADS}"):
        assert_acts(decoder, lambda: decoder(*decoder_inputs()), HEADS, lambda x: x)


def test_what_is_already_zero_is_found(decoder: MaskDecoder) -> None:
    decoder.get_submodule(HEADS.removesuffix(".heads")).get_submodule("v_proj").requires_grad_(False)
    for parameter in decoder.get_submodule(HEADS.removesuffix(".heads")).get_submodule("v_proj").parameters():
        parameter.zero_()
    with pytest.raises(AssertionError, match="nothing changed"):
        assert_acts(decoder, lambda: decoder(*decoder_inputs()), HEADS, "zero")


def test_a_change_before_the_named_tensor_is_found() -> None:
    decoder = make_decoder()
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, "tokens", "zero"):
        after = traced(decoder, *decoder_inputs())
    with pytest.raises(AssertionError, match=f"changed before {HEADS}: .*tokens"):
        assert_acted(before, after, {HEADS})
    assert_acted(before, after, {"tokens", HEADS})


def test_a_change_outside_the_selection_is_found(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, "hs", "zero", tokens=[1, 2]):
        after = traced(decoder, *decoder_inputs())
    assert_acted(before, after, {"hs"}, {"hs": (("batch", "tokens", "dim"), {"tokens": [1, 2]})})
    with pytest.raises(AssertionError, match="hs changed outside"):
        assert_acted(before, after, {"hs"}, {"hs": (("batch", "tokens", "dim"), {"tokens": 1})})


def test_a_pass_that_is_not_repeated_exactly_is_found(decoder: MaskDecoder) -> None:
    """What changes before the tensor may be the input."""
    seeds = iter((0, 1))
    with pytest.raises(AssertionError, match="changed before hs"):
        assert_acts(decoder, lambda: decoder(*decoder_inputs(next(seeds))), "hs", "zero")
