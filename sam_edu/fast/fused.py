"""The mask decoder in as few kernels as its own algebra allows: the form for small batches on a GPU.

There a decode waits for the launch of its kernels. So nothing is folded here, which would add some. Projections of the
same tokens are one product, an attention is one kernel, the hypernetworks run side by side, and the transposed
convolutions are linear layers. What depends on the weights alone, or on weights and image, can be kept.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Linear = tuple[Tensor, Tensor]
"""Weight and bias."""


class Stacks(NamedTuple):
    """Weights side by side, so that one product does the work of several.

    Attributes:
        output_tokens: the IoU token and the mask tokens.
        self_attentions: of each block, queries, keys and values of step (1).
        image_sides: of each block, the keys of step (2) and the queries of step (4).
        hypernetworks: of each layer, the MLPs of all masks.
        doublings: both transposed convolutions, as linear layers.
    """

    output_tokens: Tensor
    self_attentions: list[Linear]
    image_sides: list[Linear]
    hypernetworks: list[Linear]
    doublings: tuple[Linear, Linear]


def stacked_parameters(decoder: Any) -> list[Tensor]:
    """The parameters that `stack` reads."""
    layers = decoder.transformer.layers
    parts = [decoder.iou_token, decoder.mask_tokens, decoder.output_hypernetworks_mlps]
    parts += [m for layer in layers for m in _self_attention(layer) + _image_side(layer)]
    parts += [decoder.output_upscaling[0], decoder.output_upscaling[3]]
    return [parameter for part in parts for parameter in part.parameters()]


def stack(decoder: Any) -> Stacks:
    """Put the weights side by side."""
    layers, mlps = decoder.transformer.layers, decoder.output_hypernetworks_mlps
    return Stacks(
        torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]),
        [_joined(_self_attention(layer)) for layer in layers],
        [_joined(_image_side(layer)) for layer in layers],
        [
            (torch.stack([x.weight for x in same]), torch.stack([x.bias for x in same]).unsqueeze(1))
            for same in zip(*(mlp.layers for mlp in mlps), strict=True)
        ],
        (doubling(decoder.output_upscaling[0]), doubling(decoder.output_upscaling[3])),
    )


def doubling(conv: Any) -> Linear:
    """A transposed convolution of kernel and stride 2 as a linear layer: dim -> (dy dx channels)."""
    return conv.weight.permute(2, 3, 1, 0).reshape(-1, len(conv.weight)), conv.bias.repeat(4)


class FirstImageSide(NamedTuple):
    """The image's side of block 0, which the prompt sets of a group have in common.

    Attributes:
        keys: the image tokens.
        keys_and_queries: their projections to keys of step (2) and to queries of step (4).
        values: their projection to values of step (2).
    """

    keys: Tensor
    keys_and_queries: Tensor
    values: Tensor


def first_image_side(decoder: Any, stacks: Stacks, src: Tensor, image_pe: Tensor) -> FirstImageSide | None:
    """Compute it; None for a transformer without blocks."""
    if not len(decoder.transformer.layers):
        return None
    keys = src.flatten(2).mT
    side = F.linear(keys + image_pe.flatten(2).mT, *stacks.image_sides[0])
    return FirstImageSide(keys, side, decoder.transformer.layers[0].cross_attn_token_to_image.v_proj(keys))


def decode_fused(
    decoder: Any,
    stacks: Stacks,
    first: FirstImageSide | None,
    src: Tensor,
    image_pe: Tensor,
    tokens: Tensor,
    chosen: slice,
) -> tuple[Tensor, Tensor]:
    """Decode prompt sets, steps (1) to (8).

    Args:
        decoder: a `MaskDecoder`.
        stacks: its weights, from `stack`.
        first: from `first_image_side`, for the same `src`.
        src: (groups, dim, height, width), per group the image embedding plus dense prompt.
        image_pe: (1, dim, height, width).
        tokens: (batch, tokens, dim), the output tokens included; prompt set i belongs to group i // (batch // groups).
        chosen: which masks to return.

    Returns:
        mask logits and IoU predictions of the chosen masks.
    """
    transformer, grid, sets = decoder.transformer, src.shape[2:], len(tokens) // len(src)
    heads = transformer.final_attn_token_to_image.num_heads
    queries, keys, key_pe = tokens, src.flatten(2).mT, image_pe.flatten(2).mT
    for i, layer in enumerate(transformer.layers):
        queries = _tokens_among_themselves(layer, stacks.self_attentions[i], queries, tokens)
        to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        if i == 0 and first is not None:
            keys, side, values = first
        else:
            side, values = F.linear(keys + key_pe, *stacks.image_sides[i]), to_image.v_proj(keys)
        k, image_queries = (_of_each_set(part, sets) for part in side.chunk(2, dim=2))
        read = _attend(to_image.q_proj(queries + tokens), k, _of_each_set(values, sets), heads)
        queries = layer.norm2(queries + to_image.out_proj(read))
        queries = layer.norm3(queries + layer.mlp(queries))
        written = _attend(image_queries, to_tokens.k_proj(queries + tokens), to_tokens.v_proj(queries), heads)
        keys = layer.norm4(_of_each_set(keys, sets) + to_tokens.out_proj(written))
        sets = 1
    # Of the tokens only these are needed from here on; a slice of neighbours costs no kernel.
    queries, tokens = queries[:, : 1 + decoder.num_mask_tokens], tokens[:, : 1 + decoder.num_mask_tokens]
    last = transformer.final_attn_token_to_image
    k, values = _of_each_set(last.k_proj(keys + key_pe), sets), _of_each_set(last.v_proj(keys), sets)
    queries = transformer.norm_final_attn(
        queries + last.out_proj(_attend(last.q_proj(queries + tokens), k, values, heads))
    )
    hyper_in = _hypernetworks(stacks.hypernetworks, queries[:, 1:], chosen)
    iou = decoder.iou_prediction_head(queries[:, 0])[:, chosen]
    return _paint(decoder.output_upscaling, stacks.doublings, _of_each_set(keys, sets), hyper_in, grid), iou


def _tokens_among_themselves(layer: Any, stacked: Linear, queries: Tensor, tokens: Tensor) -> Tensor:
    """Step (1). The residual is left out where the positional encodings are, as in block 0 of SAM."""
    attention, (weight, bias) = layer.self_attn, stacked
    inner = attention.internal_dim
    if layer.skip_first_layer_pe:
        q, k, v = F.linear(queries, weight, bias).chunk(3, dim=2)
        return layer.norm1(attention.out_proj(_attend(q, k, v, attention.num_heads)))
    q, k = F.linear(queries + tokens, weight[: 2 * inner], bias[: 2 * inner]).chunk(2, dim=2)
    v = F.linear(queries, weight[2 * inner :], bias[2 * inner :])
    return layer.norm1(queries + attention.out_proj(_attend(q, k, v, attention.num_heads)))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention of projected queries, keys and values, in one kernel where the device has one."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _of_each_set(x: Tensor, sets: int) -> Tensor:
    """One row per group as one row per prompt set; a single group is not copied."""
    return x if sets == 1 else x.unsqueeze(1).expand(-1, sets, -1, -1).flatten(0, 1)


def _hypernetworks(layers: list[Linear], mask_tokens: Tensor, chosen: slice) -> Tensor:
    """Step (6-2): the MLPs of the chosen masks, each on its own token, as one product per layer."""
    x = mask_tokens[:, chosen].transpose(0, 1)  # (masks, batch, dim)
    for i, (weight, bias) in enumerate(layers):
        x = torch.baddbmm(bias[chosen], x if i == 0 else F.relu(x), weight[chosen].mT)
    return x.transpose(0, 1)


def _paint(upscaling: Any, doublings: tuple[Linear, Linear], x: Tensor, hyper_in: Tensor, grid: torch.Size) -> Tensor:
    """Steps (5) and (6-3): the channels stay last, and only masks, not channels, are moved to their positions."""
    norm, act1, act2 = upscaling[1], upscaling[2], upscaling[4]
    x = F.linear(x, *doublings[0]).unflatten(2, (4, -1))
    x = act1(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    x = act2(F.linear(x, *doublings[1])).unflatten(3, (4, -1)).flatten(1, 3)  # (batch, y x dy dx dy' dx', channels)
    masks = (hyper_in @ x.mT).unflatten(2, (*grid, 2, 2, 2, 2))
    return masks.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5, 7).flatten(2, 4)


def _self_attention(layer: Any) -> list[Any]:
    attention = layer.self_attn
    return [attention.q_proj, attention.k_proj, attention.v_proj]


def _image_side(layer: Any) -> list[Any]:
    return [layer.cross_attn_token_to_image.k_proj, layer.cross_attn_image_to_token.q_proj]


def _joined(linears: list[Any]) -> Linear:
    return torch.cat([linear.weight for linear in linears]), torch.cat([linear.bias for linear in linears])
