"""sam_edu.official.convert: a module as Meta's class and back."""

import pytest
import torch
from official_cases import CONFIGURATIONS
from parity import assert_parity, assert_parity_state_dict, decoder_inputs, make_pair
from torch import nn
from torch.nn.utils import parametrizations, prune

from sam_edu import modules, official


def structure(module):
    """Everything that a constructor decides: the parts, their kinds and settings."""
    return [
        (path, type(part).__name__, part.extra_repr(), getattr(part, "eps", None), getattr(part, "num_heads", None))
        for path, part in module.named_modules()
        if not isinstance(part, modules.TracePoint)
    ]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_there_and_back(name):
    ours, theirs = make_pair(name, 1, torch.float64, **CONFIGURATIONS[name])
    ours.requires_grad_(False).eval()
    there = official.to_official(ours)
    back = official.from_official(there)
    assert type(there) is official.official_class(name)
    assert type(back) is type(ours)
    assert structure(there) == structure(theirs)
    assert structure(back) == structure(ours)
    for module in (there, back):
        assert_parity_state_dict(module, theirs)
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())
        for key, value in module.state_dict().items():
            assert torch.equal(value, ours.state_dict()[key])
            assert value.data_ptr() != ours.state_dict()[key].data_ptr()


def test_converted_decoder_is_the_same_decoder():
    ours, _ = make_pair("MaskDecoder", **CONFIGURATIONS["MaskDecoder"])
    assert_parity(ours, official.to_official(ours), decoder_inputs())


def test_converting_draws_no_random_numbers():
    ours = modules.Attention(4, 2)
    state = torch.get_rng_state()
    official.from_official(official.to_official(ours))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_converted_modules_stay_on_their_device(name):
    """PyTorch's meta device stands for any other."""
    ours, _ = make_pair(name, **CONFIGURATIONS[name])
    there = official.to_official(ours.to("meta"))
    for module in (there, official.from_official(there)):
        state = module.state_dict()
        assert state
        assert all(value.is_meta for value in state.values())


def test_what_cannot_be_converted():
    with pytest.raises(TypeError, match="cannot convert a Linear"):
        official.to_official(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="cannot convert a Identity"):
        official.to_official(modules.MaskDecoder(transformer_dim=8, transformer=nn.Identity()))


class Adapter(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


def replaced(key):
    def change(decoder):
        parent, _, name = key.rpartition(".")
        layer = decoder.get_submodule(key)
        setattr(decoder.get_submodule(parent), name, Adapter(layer))

    return change


@pytest.mark.parametrize(
    "change",
    [
        replaced("iou_prediction_head.layers.0"),
        replaced("transformer.layers.0.self_attn.q_proj"),
        replaced("transformer.layers.1.mlp.lin1"),
        replaced("output_upscaling.0"),
        lambda decoder: prune.l1_unstructured(decoder.iou_prediction_head.layers[1], "weight", 0.3),
        lambda decoder: parametrizations.weight_norm(decoder.transformer.layers[0].mlp.lin2),
        lambda decoder: parametrizations.orthogonal(decoder.output_upscaling[3]),
    ],
)
def test_a_decoder_whose_layers_were_changed_is_refused_with_the_way_out(change):
    ours, _ = make_pair("MaskDecoder", **CONFIGURATIONS["MaskDecoder"])
    change(ours)
    with pytest.raises(TypeError, match=r"cannot convert this \w+: .*merge such changes into the weights first"):
        official.to_official(ours)
