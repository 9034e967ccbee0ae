"""change_of: what about a mask decoder is not as the fast decoder expects it, so that it has to hand over."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module
from torch.utils.module_tracker import ModuleTracker

from sam_edu.modules import MLP, Attention, MaskDecoder, MLPBlock, TracePoint, TwoWayAttentionBlock, TwoWayTransformer
from sam_edu.modules.hypernetwork import HypernetworkMLPs
from sam_edu.modules.layer_norm import LayerNorm2d
from sam_edu.modules.output_upscaling import OutputUpscaling

# Activations that treat each number by itself, so that they fit any layout.
ACTIVATIONS = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.LeakyReLU, nn.Mish, nn.Hardswish, nn.Identity)
_OURS = (
    *(MaskDecoder, TwoWayTransformer, TwoWayAttentionBlock, Attention, MLPBlock, MLP, TracePoint),
    *(HypernetworkMLPs, OutputUpscaling, LayerNorm2d),
)
_LAYERS = (nn.Linear, nn.LayerNorm, nn.ConvTranspose2d, nn.Embedding, nn.ModuleList)
# The forward that each class had at first. A module of any other class, a subclass too, may compute anything.
_FORWARDS = {kind: kind.forward for kind in (*_OURS, *_LAYERS, *ACTIVATIONS)}
_METHODS = {"forward", "predict_masks", "check_inputs", "_separate_heads", "__call__", "_call_impl"}
_GLOBAL_HOOKS: tuple[dict[int, Any], ...] = (
    torch_module._global_forward_hooks,
    torch_module._global_forward_pre_hooks,
    torch_module._global_backward_hooks,
    torch_module._global_backward_pre_hooks,
)


def change_of(decoder: nn.Module) -> str:
    """What keeps the fast decoder from computing what `decoder` does, as a sentence; "" for nothing.

    That is a hook on any module, trace points (so tracing and interventions) and global hooks included; a module of a
    class that is not known here (an adapter, a parametrization, a subclass, a dropout); a method replaced on a module
    or on its class; a layer without a bias or with other settings.

    It reads attributes alone, so it costs a fraction of a millisecond and can be asked in every call.
    """
    if has_global_hook():
        return "a global module hook is registered"
    modules = [decoder]
    for module in modules:  # grows while it is read
        if reason := _change_of_module(module):
            paths = {id(found): path for path, found in decoder.named_modules()}
            return f"{paths[id(module)] or 'the decoder'} {reason}"
        if module._modules:
            modules.extend(child for child in module._modules.values() if child is not None)
    return next(_changes_of_structure(decoder), "")


def has_global_hook() -> bool:
    """Whether a hook on all modules is registered that may read or change what they compute."""
    return any(not _only_counts(hook) for hooks in _GLOBAL_HOOKS for hook in hooks.values())


def _only_counts(hook: Any) -> bool:
    """Whether a global hook only notes in which module an operation is, as those of `FlopCounterMode` do."""
    return isinstance(getattr(hook, "__self__", None), ModuleTracker)


def _change_of_module(module: nn.Module) -> str:
    kind, own = type(module), module.__dict__
    if own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"]:
        return "has a hook"
    if kind not in _FORWARDS:
        return f"is a {kind.__name__}"
    if kind.forward is not _FORWARDS[kind] or not _METHODS.isdisjoint(own):
        return "has another forward"
    return ""


def _changes_of_structure(decoder: Any) -> Iterator[str]:
    """Differences in what the fast decoder computes without calling the module: attentions, norm4 and the upscaling."""
    transformer = decoder.transformer
    if type(transformer) is not TwoWayTransformer or type(transformer.layers) is not nn.ModuleList:
        yield "its transformer has another structure"
        return
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        if type(layer) is not TwoWayAttentionBlock:
            yield f"a block is a {type(layer).__name__}"
            return
        attentions += [layer.self_attn, layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
        if type(layer.norm4) is not nn.LayerNorm or layer.norm4.weight is None or layer.norm4.bias is None:
            yield "a norm4 is no LayerNorm with weight and bias"
    for attention in attentions:
        if type(attention) is not Attention:
            yield f"an attention is a {type(attention).__name__}"
            return
        linears = [attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj]
        if any(type(linear) is not nn.Linear or linear.bias is None for linear in linears):
            yield "a projection is no Linear with a bias"
    if len({attention.num_heads for attention in attentions}) > 1:
        yield "its attentions differ in their number of heads"
    yield from _changes_of_heads(decoder)


def _changes_of_heads(decoder: Any) -> Iterator[str]:
    upscaling: Any = decoder.output_upscaling
    mlps: Any = decoder.output_hypernetworks_mlps
    if type(upscaling) is not OutputUpscaling or type(mlps) is not HypernetworkMLPs:
        yield "its upscaling or its hypernetworks have another structure"
        return
    first, norm, act1, second, act2 = list(upscaling)[:5]
    for conv in (first, second):
        if type(conv) is not nn.ConvTranspose2d or conv.bias is None or _settings(conv) != _SETTINGS:
            yield "a transposed convolution has other settings than kernel 2 and stride 2"
    if type(norm) is not LayerNorm2d or type(act1) not in ACTIVATIONS or type(act2) not in ACTIVATIONS:
        yield "the norm or an activation of the upscaling is another one"
    heads: list[Any] = list(mlps)
    shapes = {tuple(linear.weight.shape for linear in mlp.layers) if _is_plain(mlp) else None for mlp in heads}
    if len(shapes) > 1 or None in shapes or len(heads) != decoder.num_mask_tokens:
        yield "its hypernetworks differ from each other, or have an output activation"


_SETTINGS = ((2, 2), (2, 2), (0, 0), (0, 0), (1, 1), 1)


def _settings(conv: nn.ConvTranspose2d) -> tuple[Any, ...]:
    return conv.kernel_size, conv.stride, conv.padding, conv.output_padding, conv.dilation, conv.groups


def _is_plain(mlp: Any) -> bool:
    return (
        type(mlp) is MLP
        and not mlp.sigmoid_output
        and all(type(linear) is nn.Linear and linear.bias is not None for linear in mlp.layers)
    )
