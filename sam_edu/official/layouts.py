"""Entry names: the layouts in which SAM's weights are saved, each with its way to Meta's names.

Training saves a state dict beside an optimiser and an epoch; torch's wrappers (`DataParallel`, `compile`, FSDP) put a
word in front of names or into them; Hugging Face has names of its own. Models that are built otherwise are known by the
entries that SAM does not have.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")
"""The parts of a model by Meta's names, the first words of every entry."""

# Words that torch puts into names: DataParallel and DDP, compile, FSDP, activation checkpointing, Lightning's Fabric.
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"})
_COUNTERS = frozenset({"n_averaged"})  # of AveragedModel, which counts its updates beside the weights
_FIRST_WORDS = re.compile(rf"(?:^|\.)(?=(?:{'|'.join(PARTS)}|vision_encoder|shared_image_embedding)\.)")
# Two entries that a mask decoder always has.
_OF_A_DECODER = ("iou_token.weight", "transformer.layers.0.self_attn.q_proj.weight")
_DEPTH = 3  # how deep a state dict is looked for


class LayoutError(ValueError):
    """A file holds weights of SAM, but not once and clearly."""


# --- Wrapped and prefixed ---


def to_metas_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entries of a checkpoint by Meta's names, whichever of the known layouts it has.

    Args:
        values: what the file holds. Nothing is copied.

    Returns:
        the state dict, without what stands beside it, by Meta's names; a decoder alone gets `mask_decoder.` in front.
        What looks like nothing of SAM is returned as it is.

    Raises:
        LayoutError: there are several state dicts, or two entries of one name.
    """
    found = list(_state_dicts(values, ()))
    if len(found) > 1:
        places = [_subscripts(place) for place, _ in found]
        raise LayoutError(
            f"holds several state dicts, at {' and '.join(places[:5])}: take the one that you want and save it alone, "
            f"torch.save(torch.load(path, weights_only=True){places[0]}, new_path)"
        )
    if not found:
        return values
    plain = _without_prefixes(found[0][1])
    return _from_hugging_face(plain) if _is_hugging_face(plain) else plain


def _state_dicts(values: Mapping[Any, Any], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """The state dicts of SAM in nested dictionaries, with the keys that lead there."""
    if not all(isinstance(key, str) for key in values):
        return
    if _looks_like_sam(values):
        yield place, values
    elif len(place) < _DEPTH:
        for key, value in values.items():
            if isinstance(value, Mapping):
                yield from _state_dicts(value, (*place, key))


def _looks_like_sam(names: Iterable[str]) -> bool:
    return any(_FIRST_WORDS.search(_unwrapped(name)) for name in names) or _decoder_prefix(names) is not None


def _unwrapped(name: str) -> str:
    return ".".join(word for word in name.split(".") if word not in _WRAPPERS)


def _decoder_prefix(names: Iterable[str]) -> str | None:
    """What stands before the names of a mask decoder alone; None where there is none."""
    plain = {_unwrapped(name) for name in names}
    first, second = _OF_A_DECODER
    prefixes = [name.removesuffix(first) for name in plain if name.endswith(first)]
    return next((prefix for prefix in sorted(prefixes) if f"{prefix}{second}" in plain), None)


def _without_prefixes(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries without the words of wrappers and without a common prefix, such as `model.` or `sam.`."""
    names = {name: _unwrapped(name) for name in values if name not in _COUNTERS}
    starts = (_FIRST_WORDS.search(plain) for plain in names.values())
    prefixes = {found.string[: found.end()] for found in starts if found}
    if len(prefixes) > 1:
        listed = " and ".join(repr(prefix) for prefix in sorted(prefixes)[:5])
        raise LayoutError(f"holds several models, whose entries begin with {listed}: save those of one alone")
    front = ""
    if not prefixes:
        prefixes, front = {_decoder_prefix(names) or ""}, "mask_decoder."
    [prefix] = prefixes
    result: dict[str, Any] = {}
    for name, plain in names.items():
        # What has not the prefix stays as it is, so that it is listed as not expected.
        plain = front + plain.removeprefix(prefix) if plain.startswith(prefix) else plain
        if plain in result:
            raise LayoutError(f"holds two entries that are both {plain!r} without the prefixes of wrappers")
        result[plain] = values[name]
    return result


def _subscripts(place: tuple[str, ...]) -> str:
    return "".join(f"[{key!r}]" for key in place)


# --- Hugging Face ---

_POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

# Per pattern of Hugging Face's names the beginning or the part of Meta's; all that match are applied, in this order.
_HUGGING_FACE = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding$", _POSITIONS),
        (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
        (r"^vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
        (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
        (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
        (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
        (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
        (r"^vision_encoder\.", "image_encoder."),
        (r"^prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
        (r"^prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
        (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
        (r"^prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
        (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
        (r"^prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
        (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
        (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
        (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
        (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
        (r"\.layer_norm(\d)\.", r".norm\1."),
    )
)
_INNER_LAYER = re.compile(r"^(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+)\.)layers\.(\d+)\.")


def _is_hugging_face(names: Iterable[str]) -> bool:
    marks = ("vision_encoder.", "shared_image_embedding.", "mask_decoder.upscale_conv1.", "prompt_encoder.mask_embed.")
    return any(name.startswith(marks) for name in names)


def _from_hugging_face(values: Mapping[str, Any]) -> dict[str, Any]:
    """Meta's names for Hugging Face's `SamModel`.

    Values and shapes are the same on both sides. Hugging Face's blocks add 1e-6 to a variance where Meta's add 1e-5, so
    that what its `SamModel` computes differs from Meta's, and so from ours, by some 1e-5.

    Source: `transformers/models/sam/modeling_sam.py`.
    """
    result: dict[str, Any] = {}
    depths = _depths(values)
    for name, value in values.items():
        converted = _converted(name, depths)
        # The one matrix of positional encodings has two names there.
        if converted in result and not (converted == _POSITIONS and _equal(result[converted], value)):
            raise LayoutError(f"holds two entries that are both {converted!r} by Meta's names, and differ")
        result[converted] = value
    return result


def _converted(name: str, depths: Mapping[str, int]) -> str:
    # An MLP's layers are called proj_in, layers.0 to layers.(n - 3) and proj_out.
    name = _INNER_LAYER.sub(lambda found: f"{found[1]}layers.{int(found[2]) + 1}.", name)
    for mlp, depth in depths.items():
        name = re.sub(rf"^{re.escape(mlp)}proj_in\.", f"{mlp}layers.0.", name)
        name = re.sub(rf"^{re.escape(mlp)}proj_out\.", f"{mlp}layers.{depth - 1}.", name)
    for pattern, replacement in _HUGGING_FACE:
        name = pattern.sub(replacement, name)
    return name


def _depths(names: Iterable[str]) -> dict[str, int]:
    """Per MLP of the decoder its number of layers."""
    inner: dict[str, set[int]] = {}
    for name in names:
        if found := re.match(r"^(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+)\.)", name):
            layers = inner.setdefault(found[1], set())
            if layer := _INNER_LAYER.match(name):
                layers.add(int(layer[2]))
    return {mlp: len(layers) + 2 for mlp, layers in inner.items()}


def _equal(a: Any, b: Any) -> bool:
    return getattr(a, "shape", None) == getattr(b, "shape", ()) and bool((a == b).all())


# --- Other models ---


class OtherModel(NamedTuple):
    """A model that is not SAM, and why its weights fit none of ours.

    Attributes:
        name: what it is called.
        entries: a regular expression that one of its names matches, and none of SAM's.
        reason: what is built otherwise.
    """

    name: str
    entries: str
    reason: str


_OWN_ENCODER = "which sam_edu does not have"
OTHER_MODELS = (
    OtherModel(
        "HQ-SAM",
        r"^mask_decoder\.(hf_token|hf_mlp|hq_token|hq_mask_mlp|compress_vit|embedding_encoder|embedding_maskfeature)",
        "its mask decoder has a sixth token and fuses features of three levels, so that SAM's cannot stand in for it",
    ),
    OtherModel(
        "SAM 2",
        r"^(sam_mask_decoder|sam_prompt_encoder|memory_attention|memory_encoder|maskmem_tpos_enc|image_encoder\.trunk"
        r"|image_encoder\.neck\.convs|(vision|image)_encoder\.backbone\.(pos_embed|patch_embed|blocks)"
        r"|mask_decoder\.((pred_)?obj_score|conv_s[01]\.))",
        f"it has another image encoder (Hiera), an object-score token and a memory of earlier frames, {_OWN_ENCODER}",
    ),
    OtherModel(
        "EfficientSAM",
        r"^mask_decoder\.final_output_upscaling_layers\.",
        "its mask decoder upscales with other norms, and its blocks treat positional encodings otherwise",
    ),
    OtherModel(
        "MobileSAM or another model around TinyViT",
        r"^image_encoder\.(patch_embed\.seq|layers\.\d+)\.",
        f"its image encoder is a TinyViT, {_OWN_ENCODER}",
    ),
    OtherModel(
        "EdgeSAM or RepViT-SAM",
        r"^image_encoder\.(features|fuse_stage[23])\.",
        f"its image encoder is a RepViT, {_OWN_ENCODER}",
    ),
    OtherModel(
        "EfficientViT-SAM",
        r"^image_encoder\.backbone\.(input_stem|stages)\.",
        f"its image encoder is an EfficientViT, {_OWN_ENCODER}",
    ),
    OtherModel(
        "SAM with adapters in its image encoder, such as SAM-Med2D",
        r"^image_encoder\.blocks\.\d+\.\w*[Aa]dapter",
        f"the adapters are layers {_OWN_ENCODER}",
    ),
    OtherModel(
        "SAM with low-rank adapters (LoRA)",
        r"(^|[._])lora_|\.linear_[ab]_[qv]\.",
        "add the low-rank products to the weights that they belong to (peft: merge_and_unload()) and save that",
    ),
)


def other_model(names: Iterable[str]) -> OtherModel | None:
    """The model whose entries these are, where it is a known one that is not SAM.

    Args:
        names: by Meta's layout, as `to_metas_names` gives them.
    """
    names = list(names)
    return next((model for model in OTHER_MODELS if any(re.search(model.entries, name) for name in names)), None)
