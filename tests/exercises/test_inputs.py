"""The inputs for judging: the same numbers each time, without a change of torch's global random state."""

import pytest
import torch
from torch import nn

from sam_edu import MLP, PromptEncoder
from sam_edu.exercises.inputs import attentions, random, small_decoder, twins, with_random_weights
from sam_edu.exercises.judging import NotAttempted, WrongAnswer
from sam_edu.tracing import trace


@pytest.fixture(autouse=True)
def unchanged_random_state():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    yield
    assert torch.equal(torch.randn(3), expected)


def make_encoder():
    return PromptEncoder(8, (3, 5), (12, 20), 4)


def test_random_numbers_depend_on_the_seed_alone():
    assert torch.equal(random(3, 2, 4), random(3, 2, 4))
    assert not torch.equal(random(3, 2, 4), random(4, 2, 4))
    assert random(3, 2, 4).shape == (2, 4)


def test_every_parameter_and_buffer_is_random():
    first, again, other = (with_random_weights(make_encoder, seed).state_dict() for seed in (1, 1, 2))
    assert "pe_layer.positional_encoding_gaussian_matrix" in first
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
        assert not torch.equal(tensor, other[name]), name
    norm = with_random_weights(lambda: nn.LayerNorm(6), 1)
    assert norm.weight.unique().numel() == norm.bias.unique().numel() == 6
    assert not norm.training


def make_mlp(kind):
    return kind(4, 6, 2, 3)


def pair(answer):
    return twins(MLP, answer, make_mlp, 1, call="It is called like this.", keep="its layers")


def test_twins_have_the_same_weights():
    module, yours = pair(type("Yours", (MLP,), {}))
    assert type(yours).__name__ == "Yours"
    assert torch.equal(module(random(1, 5, 4)), yours(random(1, 5, 4)))
    assert not module.training
    assert not yours.training


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (3, "expected your class, not yet called, got int"),
        (nn.Identity(), "it fails with TypeError.*It is called like this"),
        (lambda *sizes: nn.Linear(2, 2), "not those of sam_edu.MLP: keep its layers"),
        (lambda *sizes: 3, "not those of sam_edu.MLP: keep its layers"),
    ],
)
def test_wrong_class_is_refused(answer, message):
    with pytest.raises(WrongAnswer, match=message):
        pair(answer)


def test_stub_class_is_not_attempted():
    with pytest.raises(NotAttempted):
        pair(lambda *sizes: None)


def test_small_decoder_decodes_and_its_seven_attentions_are_named_as_in_a_trace():
    decoder, inputs = small_decoder()
    with torch.no_grad(), trace(decoder) as t:
        masks, iou = decoder(**inputs)
    assert masks.shape == (2, 3, 12, 16)
    assert iou.shape == (2, 3)
    names = list(attentions(decoder))
    assert len(names) == 7
    assert all(f"{name}.weights" in dict(t.items()) for name in names)


def test_attentions_of_a_model_are_those_of_its_decoder():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.mask_decoder = small_decoder()[0]

    model = Model()
    assert attentions(model) == attentions(model.mask_decoder)
