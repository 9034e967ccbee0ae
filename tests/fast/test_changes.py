"""A changed decoder is never decoded as if it were not: the fast decoder hands over, or refuses with a sentence."""

import pytest
import torch
from decoders import make_decoder
from parity import assert_close, decoder_inputs
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from sam_edu.fast import FastMaskDecoder, plan
from sam_edu.fast.changes import change_of
from sam_edu.modules import Attention, LayerNorm2d, MaskDecoder
from sam_edu.tracing import intervene, trace

BLOCK = "transformer.layers.1"
TO_IMAGE = f"{BLOCK}.cross_attn_token_to_image"


class Adapter(nn.Module):
    """A low-rank adapter (LoRA) in place of a Linear."""

    def __init__(self, linear):
        super().__init__()
        self.linear, self.weight, self.bias = linear, linear.weight, linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.down, self.up = nn.Linear(linear.in_features, 2, bias=False), nn.Linear(2, linear.out_features)

    def forward(self, x):
        return self.linear(x) + self.up(self.down(x))


class OtherAttention(Attention):
    def forward(self, q, k, v):
        return 2 * super().forward(q, k, v)


class OtherDecoder(MaskDecoder):
    def forward(self, *args, **named):
        masks, iou = super().forward(*args, **named)
        return masks + 1, iou


class Noise(nn.Module):
    """Stands in for a dropout in training mode, with the same noise in every call."""

    def forward(self, x):
        return x * (1 + 0.1 * torch.cos(torch.arange(x.numel())).view_as(x))


def swap(path, make):
    def change(decoder):
        parent, _, name = path.rpartition(".")
        setattr(decoder.get_submodule(parent), name, make(decoder.get_submodule(path)))

    return change


def swap_item(path, index, make):
    def change(decoder):
        container = decoder.get_submodule(path)
        container[index] = make(container[index])

    return change


def replace_forward(path):
    def change(decoder):
        module = decoder.get_submodule(path)
        plain = module.forward
        module.forward = lambda *args, **named: plain(*args, **named).square()

    return change


def double(module, args, output):
    return 2 * output


def cast(path, kind):
    def change(decoder):
        decoder.get_submodule(path).__class__ = kind

    return change


def with_settings(path, **settings):
    def change(decoder):
        for name, value in settings.items():
            setattr(decoder.get_submodule(path), name, value)

    return change


def deeper(decoder):
    decoder.transformer.layers.append(make_decoder(seed=5).transformer.layers[1])


def without_bias(path):
    def change(decoder):
        decoder.get_submodule(path).bias = None

    return change


def parametrized(decoder):
    parametrizations.weight_norm(decoder.get_submodule(f"{TO_IMAGE}.k_proj"))
    with torch.no_grad():
        decoder.get_submodule(f"{TO_IMAGE}.k_proj").parametrizations.weight.original0.mul_(2)


CHANGES = {
    "hook on a trace point": lambda d: d.get_submodule(f"{TO_IMAGE}.weights").register_forward_hook(double),
    "hook on a projection": lambda d: d.get_submodule(f"{TO_IMAGE}.v_proj").register_forward_hook(double),
    "hook on a norm": lambda d: d.get_submodule(f"{BLOCK}.norm4").register_forward_hook(double),
    "hook on a layer of the upscaling": lambda d: d.output_upscaling[1].register_forward_hook(double),
    "hook on the decoder": lambda d: d.register_forward_hook(lambda m, a, out: (out[0] + 1, out[1])),
    "pre-hook": lambda d: d.get_submodule(f"{TO_IMAGE}.q_proj").register_forward_pre_hook(lambda m, args: 2 * args[0]),
    "adapter for keys": swap(f"{TO_IMAGE}.k_proj", Adapter),
    "adapter for an output projection": swap(f"{BLOCK}.cross_attn_image_to_token.out_proj", Adapter),
    "adapter in the MLP": swap(f"{BLOCK}.mlp.lin1", Adapter),
    "parametrization": parametrized,
    "attention of another class": cast(TO_IMAGE, OtherAttention),
    "decoder of another class": cast("", OtherDecoder),
    "replaced forward of an attention": replace_forward(f"{BLOCK}.self_attn"),
    "replaced forward of a convolution": replace_forward("output_upscaling.0"),
    "RMSNorm for norm4": swap(f"{BLOCK}.norm4", lambda norm: nn.RMSNorm(16)),
    "norm4 without gain": swap(f"{BLOCK}.norm4", lambda norm: nn.LayerNorm(16, elementwise_affine=False)),
    "normed keys": swap(f"{TO_IMAGE}.k_proj", lambda linear: nn.Sequential(linear, nn.LayerNorm(8))),
    "activation over channels": swap_item("output_upscaling", 2, lambda act: nn.Softmax(dim=1)),
    "dropout": swap_item("output_upscaling", 4, lambda act: nn.Sequential(act, Noise())),
    "dropout in the MLP": swap(f"{BLOCK}.mlp.act", lambda act: nn.Sequential(act, Noise())),
    "no bias": without_bias(f"{TO_IMAGE}.v_proj"),
    "no bias in the upscaling": without_bias("output_upscaling.3"),
    "sigmoid in a hypernetwork": with_settings("output_hypernetworks_mlps.1", sigmoid_output=True),
}
# Changes of numbers, not of structure: these are followed and need no hand-over.
FOLLOWED = {
    "other eps": with_settings(f"{BLOCK}.norm4", eps=0.5),
    "other eps in the upscaling": with_settings("output_upscaling.1", eps=0.5),
    "other activation": swap_item("output_upscaling", 2, lambda act: nn.SiLU()),
    "other activation in the MLP": swap(f"{BLOCK}.mlp.act", lambda act: nn.GELU()),
    "one more block": deeper,
    "one block less": lambda d: d.transformer.layers.__delitem__(1),
    "norm of the upscaling": swap_item("output_upscaling", 1, lambda norm: LayerNorm2d(norm.weight.shape[0], eps=1.0)),
    "block without skipping": with_settings("transformer.layers.0", skip_first_layer_pe=False),
    "sigmoid in the IoU head": with_settings("iou_prediction_head", sigmoid_output=True),
}


@pytest.fixture(params=["folded", "fused"], autouse=True)
def form(request, monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: request.param)


def outputs(call, *args, **named):
    with torch.no_grad():
        return call(*args, **named)


@pytest.mark.no_shape_check
@pytest.mark.parametrize("name", CHANGES | FOLLOWED)
def test_the_outputs_are_those_of_the_changed_decoder(name):
    decoder, inputs = make_decoder(), decoder_inputs(batch=1)
    fast = FastMaskDecoder(decoder)
    before = [outputs(fast, **inputs) for _ in range(4)][-1]
    (CHANGES | FOLLOWED)[name](decoder)
    assert bool(change_of(decoder)) == (name in CHANGES)
    expected = outputs(decoder, **inputs)
    assert not all(torch.allclose(a, b, atol=1e-4) for a, b in zip(expected, before, strict=True))
    for maker in (fast, FastMaskDecoder(decoder)):
        for _ in range(2):
            for what, got, wanted in zip(("masks", "IoU"), outputs(maker, **inputs), expected, strict=True):
                assert_close(f"{what}, {name}", got, wanted)


@pytest.mark.no_shape_check
@pytest.mark.parametrize("name", CHANGES)
def test_groups_are_handed_over_or_refused(name):
    decoder, inputs = make_decoder(), decoder_inputs(batch=4)
    CHANGES[name](decoder)
    fast, src = FastMaskDecoder(decoder), inputs["dense_prompt_embeddings"][:2]
    arguments = src, inputs["image_pe"], inputs["sparse_prompt_embeddings"], slice(0, None)
    if name in ("hook on the decoder", "decoder of another class"):
        with pytest.raises(ValueError, match=r"decoder: the decoder (has a hook|is a OtherDecoder), which decode\(\)"):
            fast.decode(*arguments)
        return
    zero = torch.zeros_like(src[:1])
    expected = outputs(decoder.predict_masks, src.repeat_interleave(2, 0), *arguments[1:3], zero)
    for got, wanted in zip(outputs(fast.decode, *arguments), expected, strict=True):
        assert_close(name, got, wanted)


def test_trace_and_intervene_of_the_decoder_see_a_call_of_the_fast_one():
    decoder, inputs = make_decoder(), decoder_inputs()
    fast = FastMaskDecoder(decoder)
    with trace(decoder) as t:
        outputs(fast, **inputs)
    assert len(t) > 50
    with intervene(decoder, f"{TO_IMAGE}.weights", "zero"):
        got, expected = outputs(fast, **inputs), outputs(decoder, **inputs)
    assert_close("masks", got[0], expected[0])
    assert change_of(decoder) == ""


def test_global_hooks_are_handed_over_but_counting_is_not():
    decoder, inputs = make_decoder(), decoder_inputs()
    fast, seen = FastMaskDecoder(decoder), []
    with nn.modules.module.register_module_forward_hook(lambda module, args, out: seen.append(type(module))):
        assert change_of(decoder) == "a global module hook is registered"
        outputs(fast, **inputs)
    assert Attention in seen
    with FlopCounterMode(display=False):
        assert change_of(decoder) == ""


def test_backward_hooks_are_called():
    decoder, seen = make_decoder(), []
    decoder.get_submodule(f"{TO_IMAGE}.v_proj").register_full_backward_hook(lambda *_: seen.append(1))
    FastMaskDecoder(decoder)(**decoder_inputs())[0].sum().backward()
    assert seen == [1]


def test_a_method_replaced_on_the_class_is_seen(monkeypatch):
    decoder = make_decoder()
    monkeypatch.setattr(Attention, "forward", lambda self, q, k, v: q)
    assert change_of(decoder).endswith("has another forward")


def test_the_sentence_names_the_module():
    decoder = make_decoder()
    CHANGES["adapter for keys"](decoder)
    assert change_of(decoder) == f"{TO_IMAGE}.k_proj is a Adapter"
    assert change_of(make_decoder()) == ""
