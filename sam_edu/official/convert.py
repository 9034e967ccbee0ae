"""Convert a module to Meta's class and back, with its configuration and a copy of its weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sam_edu import modules
from sam_edu.official.package import official_class


def _downsample_rate(attention: Any) -> int:
    # Not always the number that was given, but always one that leads to the same internal width.
    return attention.embedding_dim // attention.internal_dim


def _transformer_activation(m: Any) -> type[nn.Module]:
    return type(m.layers[0].mlp.act) if len(m.layers) else nn.ReLU


# For each class the arguments of its constructor, read from a module: the attributes are the same on both sides.
_CONFIGURATIONS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "MLP": lambda m: {
        "input_dim": m.layers[0].in_features,
        "hidden_dim": m.layers[0].out_features,
        "output_dim": m.layers[-1].out_features,
        "num_layers": m.num_layers,
        "sigmoid_output": m.sigmoid_output,
    },
    "MLPBlock": lambda m: {
        "embedding_dim": m.lin1.in_features,
        "mlp_dim": m.lin1.out_features,
        "act": type(m.act),
    },
    "LayerNorm2d": lambda m: {"num_channels": m.weight.shape[0], "eps": m.eps},
    "Attention": lambda m: {
        "embedding_dim": m.embedding_dim,
        "num_heads": m.num_heads,
        "downsample_rate": _downsample_rate(m),
    },
    "TwoWayAttentionBlock": lambda m: {
        "embedding_dim": m.self_attn.embedding_dim,
        "num_heads": m.self_attn.num_heads,
        "mlp_dim": m.mlp.lin1.out_features,
        "activation": type(m.mlp.act),
        "attention_downsample_rate": _downsample_rate(m.cross_attn_token_to_image),
        "skip_first_layer_pe": m.skip_first_layer_pe,
    },
    "TwoWayTransformer": lambda m: {
        "depth": m.depth,
        "embedding_dim": m.embedding_dim,
        "num_heads": m.num_heads,
        "mlp_dim": m.mlp_dim,
        "activation": _transformer_activation(m),
        "attention_downsample_rate": _downsample_rate(m.final_attn_token_to_image),
    },
    "MaskDecoder": lambda m: {
        "transformer_dim": m.transformer_dim,
        "num_multimask_outputs": m.num_multimask_outputs,
        "activation": type(m.output_upscaling[2]),
        "iou_head_depth": m.iou_prediction_head.num_layers,
        "iou_head_hidden_dim": m.iou_prediction_head.layers[0].out_features,
    },
    "PositionEmbeddingRandom": lambda m: {"num_pos_feats": m.positional_encoding_gaussian_matrix.shape[1]},
    "PromptEncoder": lambda m: {
        "embed_dim": m.embed_dim,
        "image_embedding_size": m.image_embedding_size,
        "input_image_size": m.input_image_size,
        "mask_in_chans": m.mask_downscaling[3].out_channels,
        "activation": type(m.mask_downscaling[2]),
    },
}

_CHANGED = "Convert before layers are replaced, pruned or parametrised, or merge such changes into the weights first"


def to_official(ours: nn.Module) -> nn.Module:
    """Meta's module with the configuration and a copy of the weights of one of ours.

    Raises:
        TypeError: Meta has no such module, or its layers were replaced, pruned or parametrised.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    return _convert(ours, official_class)


def from_official(theirs: nn.Module) -> nn.Module:
    """Our module with the configuration and a copy of the weights of one of Meta's.

    Meta's may come from `modeling()` or from a real `import segment_anything`.

    Raises:
        TypeError: we have no such module, or its layers were replaced, pruned or parametrised.
    """
    return _convert(theirs, lambda name: getattr(modules, name))


def _way(module: Any) -> str:
    """What to convert in place of a module that cannot be; "" where it is not known."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "; convert what it wraps, its .module"
    if hasattr(module, "_orig_mod"):
        return "; convert what was compiled, its ._orig_mod"
    if hasattr(module, "mask_decoder"):
        return "; convert its parts, .prompt_encoder and .mask_decoder"
    return "; convert its .model's parts" if isinstance(getattr(module, "model", None), nn.Module) else ""


def _convert(module: nn.Module, class_of: Callable[[str], type[nn.Module]]) -> nn.Module:
    name = next((c.__name__ for c in type(module).__mro__ if c.__name__ in _CONFIGURATIONS), None)
    if name is None:
        what = f"the class {module.__name__} itself" if isinstance(module, type) else f"a {type(module).__name__}"
        raise TypeError(f"cannot convert {what}; expected one of {', '.join(_CONFIGURATIONS)}{_way(module)}")
    try:
        configuration = _CONFIGURATIONS[name](module)
    except AttributeError as error:  # an adapter in the place of a layer does not say how wide it is
        raise TypeError(f"cannot convert this {name}: {error}. {_CHANGED}") from error
    if name == "MaskDecoder":
        configuration["transformer"] = _convert(module.get_submodule("transformer"), class_of)
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten: draw none from the caller
        converted = class_of(name)(**configuration)
    state = module.state_dict()
    if state:
        example = next(iter(state.values()))
        converted.to(device=example.device, dtype=example.dtype)
    if other := sorted(set(state) ^ set(converted.state_dict())):
        raise TypeError(f"cannot convert this {name}: it has entries of its own, or lacks some: {other[0]}. {_CHANGED}")
    converted.load_state_dict(state, strict=True)
    wanted = dict(module.named_parameters())
    for key, parameter in converted.named_parameters():
        parameter.requires_grad_(wanted[key].requires_grad)
    return converted.train(module.training)
