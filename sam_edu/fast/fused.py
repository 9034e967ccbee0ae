"""The mask decoder in few, large kernels: the form for a GPU.

There a small decode waits for the launch of its kernels, and a large one for memory. An attention's projections of the
image are products of a weight with all image tokens, once per prompt set. A product of the projections of both sides is
one bilinear form, so the side of the few tokens can take both: they become rows, one for each token and head, that meet
the image tokens as they are. What is left are a few large matrix products, and no projected image is ever stored.
Tokens of prompt sets that share an image are rows of the same product.

The weights of both sides are multiplied once (`stack`), and kept as long as they do not change.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sam_edu.fast import plan

Linear = tuple[Tensor, Tensor]
"""Weight and bias."""


class Folded(NamedTuple):
    """A cross-attention whose projections all lie on the side of the tokens, with a row for each token and head.

    Attributes:
        rows: tokens, with positional encodings, to rows that score image tokens by a dot product.
        constants: tokens, with positional encodings, to what the image side's bias adds to the scores of a row; None
            where the softmax runs over the image tokens, which takes it away.
        values: in steps (2) and (6-1) gathered image tokens, all heads side by side, to the attention's output; in step
            (4) tokens to what each row adds to the image tokens that attend to it.
    """

    rows: Linear
    constants: Tensor | None
    values: Linear


class Stacks(NamedTuple):
    """Products of weights, and weights side by side.

    Attributes:
        self_attentions: of each block, queries, keys and values of step (1).
        tokens_to_image: step (2) of each block, and step (6-1).
        image_to_tokens: step (4) of each block.
        hypernetworks: of each layer, the MLPs of all masks.
        doublings: both transposed convolutions, as linear layers.
        centred: the first of them, with outputs of mean zero, as the norm that follows makes them.
        copies: the identity of four positions, which a hypernetwork's weights are repeated for.
    """

    self_attentions: list[Linear]
    tokens_to_image: list[Folded]
    image_to_tokens: list[Folded]
    hypernetworks: list[Linear]
    doublings: tuple[Linear, Linear]
    centred: Linear
    copies: Tensor


def stacked_parameters(decoder: Any) -> list[Tensor]:
    """The parameters that `stack` reads."""
    transformer = decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.self_attn, layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    parts = [part for x in attentions for part in (x.q_proj, x.k_proj, x.v_proj, x.out_proj)]
    parts += [linear for mlp in decoder.output_hypernetworks_mlps for linear in mlp.layers]
    parts += [decoder.output_upscaling[0], decoder.output_upscaling[3]]
    return [parameter for part in parts for parameter in (part.weight, part.bias)]


def stack(decoder: Any) -> Stacks:
    """Multiply the weights, and put them side by side."""
    transformer, mlps = decoder.transformer, decoder.output_hypernetworks_mlps
    layers, first = transformer.layers, doubling(decoder.output_upscaling[0])
    readers = [*(layer.cross_attn_token_to_image for layer in layers), transformer.final_attn_token_to_image]
    return Stacks(
        [_joined(_self_attention(layer)) for layer in layers],
        [fold_tokens_to_image(attention) for attention in readers],
        [fold_image_to_tokens(layer.cross_attn_image_to_token) for layer in layers],
        [
            (torch.stack([x.weight for x in same]), torch.stack([x.bias for x in same]).unsqueeze(1))
            for same in zip(*(mlp.layers for mlp in mlps), strict=True)
        ],
        (first, doubling(decoder.output_upscaling[3])),
        _centred(first),
        torch.eye(4, dtype=first[0].dtype, device=first[0].device),
    )


def doubling(conv: Any) -> Linear:
    """A transposed convolution of kernel and stride 2 as a linear layer: dim -> (dy dx channels)."""
    return conv.weight.permute(2, 3, 1, 0).reshape(-1, len(conv.weight)), conv.bias.repeat(4)


def fold_tokens_to_image(attention: Any) -> Folded:
    """Steps (2) and (6-1): tokens are queries.

    A score is (W_q y + b_q)_h . (W_k x + b_k)_h = (W_k,h^T (W_q y + b_q)_h) . x, up to what is the same for all x. The
    output is the sum over heads of W_o,h (W_v x_h + b_v)_h, where x_h is what head h gathers.
    """
    q, k, v, out = (_per_head(attention, name) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))
    scale = q[0].shape[1] ** -0.5
    rows = torch.einsum("hdx,hdy->hxy", k[0], scale * q[0]).flatten(0, 1)
    biases = torch.einsum("hdx,hd->hx", k[0], scale * q[1]).flatten()
    values = torch.einsum("hod,hdx->ohx", out[0], v[0]).flatten(1)
    return Folded((rows, biases), None, (values, F.linear(attention.v_proj.bias, attention.out_proj.weight, out[1])))


def fold_image_to_tokens(attention: Any) -> Folded:
    """Step (4): tokens are keys and values.

    As the weights of a head sum to 1, b_o can ride on the values: a share of it on those of each head.
    """
    q, k, v, out = (_per_head(attention, name) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))
    scale, heads = q[0].shape[1] ** -0.5, attention.num_heads
    rows = torch.einsum("hdx,hdy->hxy", q[0], scale * k[0]).flatten(0, 1)
    biases = torch.einsum("hdx,hd->hx", q[0], scale * k[1]).flatten()
    constants = torch.einsum("hd,hdy->hy", q[1], scale * k[0])  # b_q k: its part b_q b_k is the same for all tokens
    values = torch.einsum("hod,hdy->hoy", out[0], v[0]).flatten(0, 1)
    added = torch.einsum("hod,hd->ho", out[0], v[1]) + out[1] / heads
    return Folded((rows, biases), constants, (values, added.flatten()))


def decode_fused(
    decoder: Any, stacks: Stacks, src: Tensor, image_pe: Tensor, tokens: Tensor, chosen: slice
) -> tuple[Tensor, Tensor]:
    """Decode prompt sets, steps (1) to (8).

    Args:
        decoder: a `MaskDecoder`.
        stacks: its weights, from `stack`.
        src: (groups, dim, height, width), per group the image embedding plus dense prompt.
        image_pe: (1, dim, height, width).
        tokens: (batch, tokens, dim), the output tokens included; prompt set i belongs to group i // (batch // groups).
        chosen: which masks to return.

    Returns:
        mask logits and IoU predictions of the chosen masks.
    """
    transformer, grid = decoder.transformer, src.shape[2:]
    queries, keys, key_pe = tokens, src.flatten(2).mT, image_pe.flatten(2).mT
    for i, layer in enumerate(transformer.layers):
        queries = _tokens_among_themselves(layer, stacks.self_attentions[i], queries, tokens)
        encoded = keys + key_pe
        queries = layer.norm2(queries + _read(stacks.tokens_to_image[i], queries + tokens, encoded, keys))
        queries = layer.norm3(queries + layer.mlp(queries))
        keys = layer.norm4(_write(stacks.image_to_tokens[i], queries, queries + tokens, encoded, keys))
    # Of the tokens only these are needed from here on; a slice of neighbours costs no kernel.
    queries, tokens = queries[:, : 1 + decoder.num_mask_tokens], tokens[:, : 1 + decoder.num_mask_tokens]
    queries = queries + _read(stacks.tokens_to_image[-1], queries + tokens, keys + key_pe, keys)
    queries = transformer.norm_final_attn(queries)
    hyper_in = _hypernetworks(stacks.hypernetworks, queries[:, 1:], chosen)
    iou = decoder.iou_prediction_head(queries[:, 0])[:, chosen]
    return _paint(decoder.output_upscaling, stacks, _of_each_set(keys, len(tokens)), hyper_in, grid), iou


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
    """Multi-head attention among a few tokens, in one kernel where the device has one."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _read(folded: Folded, q: Tensor, encoded: Tensor, keys: Tensor) -> Tensor:
    """Steps (2) and (6-1): the attention's output for each token. `encoded` are the keys with their encodings."""
    batch, tokens, dim = q.shape
    rows = F.linear(q, *folded.rows).reshape(len(encoded), -1, dim)  # (groups, sets x tokens x heads, dim)
    weights = torch.softmax(rows @ encoded.mT, dim=2)
    return F.linear((weights @ keys).reshape(batch, tokens, -1), *folded.values)


def _write(folded: Folded, queries: Tensor, k: Tensor, encoded: Tensor, keys: Tensor) -> Tensor:
    """Step (4) with its residual: the image tokens of each prompt set."""
    batch, tokens, dim = k.shape
    rows = F.linear(k, *folded.rows).reshape(len(encoded), -1, dim)
    constants = F.linear(k, folded.constants)  # type: ignore[arg-type]
    scores = torch.baddbmm(constants.reshape(len(encoded), -1, 1), rows, encoded.mT)
    weights = torch.softmax(scores.reshape(batch, tokens, constants.shape[2], -1), dim=1)
    values = F.linear(queries, *folded.values).reshape(batch, -1, keys.shape[2])
    return torch.baddbmm(_of_each_set(keys, batch), weights.flatten(1, 2).mT, values)


def _of_each_set(x: Tensor, batch: int) -> Tensor:
    """One row per group as one row per prompt set; a single group is not copied."""
    if len(x) == batch:
        return x
    if len(x) == 1:
        return x.expand(batch, -1, -1)
    return x.unsqueeze(1).expand(-1, batch // len(x), -1, -1).flatten(0, 1)


def _hypernetworks(layers: list[Linear], mask_tokens: Tensor, chosen: slice) -> Tensor:
    """Step (6-2): the MLPs of the chosen masks, each on its own token, as one product per layer."""
    x = mask_tokens[:, chosen].transpose(0, 1)  # (masks, batch, dim)
    for i, (weight, bias) in enumerate(layers):
        x = torch.baddbmm(bias[chosen], x if i == 0 else F.relu(x), weight[chosen].mT)
    return x.transpose(0, 1)


def _paint(upscaling: Any, stacks: Stacks, x: Tensor, hyper_in: Tensor, grid: torch.Size) -> Tensor:
    """Steps (5) and (6-3): the channels stay last, and only masks, not channels, are moved to their positions.

    The last product takes the four positions (dy', dx') of the second layer side by side, each with the hypernetwork's
    weights of its own: a product of 128 numbers is faster than four of 32.
    """
    act1, act2 = upscaling[2], upscaling[4]
    x = act2(F.linear(act1(_doubled(upscaling[1], stacks, x)), *stacks.doublings[1]))
    batch, masks, channels = hyper_in.shape
    # (batch, dy' dx', masks, 4, channels)
    copies = stacks.copies[:, None, :, None] * hyper_in.contiguous().view(batch, 1, masks, 1, channels)
    weights = copies.flatten(3).flatten(1, 2)
    painted = (x.reshape(batch, -1, 4 * channels) @ weights.mT).reshape(batch, *grid, 2, 2, 2, 2, masks)
    return painted.permute(0, 7, 1, 3, 5, 2, 4, 6).flatten(5, 7).flatten(2, 4)


def _doubled(norm: Any, stacks: Stacks, x: Tensor) -> Tensor:
    """The first transposed convolution and its norm over channels, (batch, image_tokens, dy dx, channels).

    PyTorch's kernel of the layer norm is slow for short rows. Where there are many, the length of centred rows is
    computed instead.
    """
    if not plan.norm_by_length(x.shape[0] * x.shape[1]):
        x = F.linear(x, *stacks.doublings[0]).unflatten(2, (4, -1))
        return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)
    x = F.linear(x, *stacks.centred).unflatten(2, (4, -1))
    length = torch.linalg.vector_norm(x, dim=3, keepdim=True)
    return torch.addcmul(norm.bias, x * (length.square() / x.shape[3] + norm.eps).rsqrt(), norm.weight)


def _centred(linear: Linear) -> Linear:
    """The layer with the mean of each position's channels taken away."""
    weight, bias = (x.unflatten(0, (4, -1)) for x in linear)
    return (weight - weight.mean(1, keepdim=True)).flatten(0, 1), (bias - bias.mean(1, keepdim=True)).flatten()


def _self_attention(layer: Any) -> list[Any]:
    attention = layer.self_attn
    return [attention.q_proj, attention.k_proj, attention.v_proj]


def _per_head(attention: Any, name: str) -> Linear:
    """A projection's weight, (heads, head_dim, dim), and bias, (heads, head_dim); of the output (heads, dim, head_dim)
    and (dim)."""
    linear, heads = getattr(attention, name), attention.num_heads
    if name == "out_proj":
        return linear.weight.unflatten(1, (heads, -1)).transpose(0, 1), linear.bias
    return linear.weight.unflatten(0, (heads, -1)), linear.bias.view(heads, -1)


def _joined(linears: list[Any]) -> Linear:
    return torch.cat([linear.weight for linear in linears]), torch.cat([linear.bias for linear in linears])
