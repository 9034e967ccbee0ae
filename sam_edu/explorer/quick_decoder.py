"""QuickDecoder: the decoder with its products in another order.

The image tokens are 4096 and the tokens few, so what is multiplied with few rows first costs less than half. Exact but
for rounding; keys, values and queries of the image tokens are never computed, so nothing can be put in their place.

- Tokens attend to the image: the scores q (X W)^T are (q W^T) X^T, and weights (X W) are (weights X) W. The bias of the
  keys adds the same to all scores of a row, which the softmax does not see.
- The image attends to tokens: the scores (X W + b) k^T are X (W k^T) + b k^T; and the values are projected out before
  they are weighted.
- Upscaling: a transposed convolution with kernel and stride 2 is one matrix per image token, so that the positions stay
  rows up to the product with the hypernetwork's weights.
- Layer norms of many rows are written out: onnxruntime's own operator is two to three times slower in WebAssembly.

`sam_edu.FastMaskDecoder` does the same and more, in PyTorch.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules import Attention, MaskDecoder

Tokens = Float[Tensor, "1 tokens dim"]
Rows = Float[Tensor, "image_tokens dim"]

BY_POSITION = "output_upscaling.activated_twice.by_position"
"""The 32 channels with the positions as rows, (grid height * grid width * 2 * 2 * 2 * 2, channels): of each pair of
doublings the first is vertical and the second horizontal, and the first doubling stands before the second."""

ROWS = ".rows"
"""Behind the name of a tensor of image tokens that is (1, image_tokens, dim) in a trace: the same without the axis of
the batch, which would be a copy."""

FOLDED = ".folded"
"""Behind the path of an attention of step (4): its values, projected out by each head, (1, heads, tokens, dim)."""


class QuickDecoder(nn.Module):
    """The mask decoder from what depends on the image alone and the prompt's tokens, to named tensors.

    Args:
        decoder: of SAM's sizes.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        image_tokens: Float[Tensor, "1 image_tokens dim"],
        k: Float[Tensor, "1 image_tokens inner"],
        v: Float[Tensor, "1 image_tokens inner"],
        q: Float[Tensor, "1 image_tokens inner"],
        image_pe: Float[Tensor, "1 dim height width"],
        prompt_tokens: Float[Tensor, "1 prompt_tokens dim"],
    ) -> dict[str, Tensor]:
        """Decode.

        Args:
            image_tokens: before the first block.
            k, v: their projections for step (2) of block 0.
            q: their projection for step (4) of block 0.
            image_pe: the positional encodings of the grid.
            prompt_tokens: the embedded prompt.

        Returns:
            by their names in a trace the tokens at first, tokens and image tokens after each step, the attentions'
            weights and outputs, the heads of those that attend for tokens, hidden units and outputs of the MLPs,
            hyper_in, masks and predicted IoU; image tokens, and what step (4) puts out, with `ROWS` behind the name;
            under `BY_POSITION` the channels; and under `FOLDED` what the outputs of step (4) are made of.
        """
        decoder, seen = self.decoder, dict[str, Tensor]()
        transformer: Any = decoder.transformer
        key_pe = image_pe.flatten(2)[0].T
        grid = (image_pe.shape[2], image_pe.shape[3])
        pe = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, prompt_tokens[0]])[None]
        seen["tokens"] = pe
        queries, keys = pe, image_tokens.squeeze(0)
        for i, block in enumerate(transformer.layers):
            name = f"transformer.layers.{i}"
            x = queries if i == 0 else queries + pe
            heads, weights = _self_attention(block.self_attn, x, queries)
            attended = self._attended(seen, f"{name}.self_attn", block.self_attn, heads, weights)
            queries = block.norm1(attended if i == 0 else queries + attended)
            seen[f"{name}.queries_1"] = queries
            cross = block.cross_attn_token_to_image
            if i == 0:
                heads, weights = _weigh(cross, queries + pe, _heads(cross, k), _heads(cross, v))
            else:
                heads, weights = _attend_to_image(cross, queries + pe, keys + key_pe, keys)
            path = f"{name}.cross_attn_token_to_image"
            queries = block.norm2(queries + self._attended(seen, path, cross, heads, weights))
            seen[f"{name}.queries_2"] = queries
            seen[f"{name}.mlp.hidden"] = block.mlp.act(block.mlp.lin1(queries))
            seen[f"{name}.mlp.out"] = block.mlp.lin2(seen[f"{name}.mlp.hidden"])
            queries = block.norm3(queries + seen[f"{name}.mlp.out"])
            seen[f"{name}.queries_3"] = queries
            back, path = block.cross_attn_image_to_token, f"{name}.cross_attn_image_to_token"
            if i == 0:
                weights = _weights_for_tokens(back, None, q, queries + pe)
            else:
                weights = _weights_for_tokens(back, keys + key_pe, None, queries + pe)
            seen[f"{path}.weights"] = weights.transpose(0, 1)[None]
            folded = _folded_values(back, queries)
            seen[path + FOLDED] = folded
            rows = torch.addmm(back.out_proj.bias, weights.flatten(1), folded[0].flatten(0, 1))
            seen[f"{path}.out{ROWS}"] = rows
            keys = _normed(block.norm4, keys + rows)
            seen[f"{name}.keys_4{ROWS}"] = keys
        last = transformer.final_attn_token_to_image
        heads, weights = _attend_to_image(last, queries + pe, keys + key_pe, keys)
        path = "transformer.final_attn_token_to_image"
        hs = transformer.norm_final_attn(queries + self._attended(seen, path, last, heads, weights))
        seen["hs"] = hs
        hyper_in = decoder.output_hypernetworks_mlps(hs[:, 1 : 1 + decoder.num_mask_tokens])
        seen["hyper_in"] = hyper_in
        channels = self._upscaled(keys)
        seen[BY_POSITION] = channels
        masks = (channels @ hyper_in[0].T).unflatten(0, (*grid, 2, 2, 2, 2))
        # (y, x, dy, dx, dy, dx, mask) -> (mask, y, dy, dy, x, dx, dx)
        masks = masks.permute(6, 0, 2, 4, 1, 3, 5)
        seen["masks"] = masks.reshape(1, decoder.num_mask_tokens, 4 * grid[0], 4 * grid[1])
        seen["iou_pred"] = decoder.iou_prediction_head(hs[:, 0])
        return seen

    def _attended(
        self, seen: dict[str, Tensor], path: str, attention: Attention, heads: Tensor, weights: Tensor
    ) -> Tokens:
        """What an attention that attends for tokens puts out."""
        seen[f"{path}.weights"], seen[f"{path}.heads"] = weights, heads
        seen[f"{path}.out"] = attention.out_proj(heads[0].transpose(0, 1).flatten(1))[None]
        return seen[f"{path}.out"]

    def _upscaled(self, keys: Rows) -> Float[Tensor, "pixels channels"]:
        layers: Any = self.decoder.output_upscaling
        first, norm, act, second, last = layers
        weight, bias = _matrix(first)
        # Weights whose outputs have a mean of zero: the layer norm behind has nothing to subtract.
        x = _doubled(weight - weight.mean(2, keepdim=True), bias - bias.mean(), keys)
        return last(_doubled(*_matrix(second), act(_scaled(norm, x))))


def _normed(norm: Any, rows: Tensor) -> Tensor:
    """The layer norm of each row."""
    return _scaled(norm, rows - rows.mean(1, keepdim=True))


def _scaled(norm: Any, centred: Tensor) -> Tensor:
    """The layer norm of rows whose means are zero."""
    variance = torch.linalg.vector_norm(centred, dim=1, keepdim=True).square() / centred.shape[1]
    # The bias has two axes so that no activation behind is fused with it, see `_doubled`.
    return centred * (variance + norm.eps).rsqrt() * norm.weight + norm.bias[None]


def _matrix(layer: nn.Module) -> tuple[Float[Tensor, "dim 4 channels"], Float[Tensor, " channels"]]:
    """A transposed convolution with kernel and stride 2 as one matrix for each of the four positions, and its bias."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.permute(0, 2, 3, 1).flatten(1, 2), bias


def _doubled(weight: Float[Tensor, "dim 4 channels"], bias: Float[Tensor, " channels"], rows: Rows) -> Tensor:
    """Such a convolution on rows: four rows of each."""
    # The bias goes in with the product: a runtime that fuses it with the activation behind is slower in WebAssembly.
    return torch.addmm(bias.repeat(4), rows, weight.flatten(1)).unflatten(1, (4, -1)).flatten(0, 1)


def _heads(attention: Attention, x: Float[Tensor, "1 length inner"]) -> Float[Tensor, "heads length head_dim"]:
    return x[0].unflatten(1, (attention.num_heads, -1)).transpose(0, 1)


def _of_heads(attention: Attention, name: str) -> tuple[Tensor, Tensor]:
    """The weight (heads, head_dim, dim) and the bias (heads, head_dim) of a projection."""
    layer = attention.get_submodule(name)
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.unflatten(0, (attention.num_heads, -1)), bias.unflatten(0, (attention.num_heads, -1))


def _scale(attention: Attention) -> float:
    return math.sqrt(attention.internal_dim / attention.num_heads)


def _weigh(attention: Attention, x: Tokens, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Heads from keys and values that are there: what attends is `x`."""
    q = _heads(attention, attention.q_proj(x))
    weights = torch.softmax(q @ k.transpose(1, 2) / _scale(attention), dim=-1)
    return (weights @ v)[None], weights[None]


def _self_attention(attention: Attention, x: Tokens, values: Tokens) -> tuple[Tensor, Tensor]:
    return _weigh(attention, x, _heads(attention, attention.k_proj(x)), _heads(attention, attention.v_proj(values)))


def _attend_to_image(attention: Attention, x: Tokens, with_pe: Rows, rows: Rows) -> tuple[Tensor, Tensor]:
    """Steps (2) and (6-1): the queries are taken through the keys' projection, and the values are projected last."""
    number = attention.num_heads
    q = _heads(attention, attention.q_proj(x))
    key_weight, _ = _of_heads(attention, "k_proj")
    value_weight, value_bias = _of_heads(attention, "v_proj")
    through = (q @ key_weight).flatten(0, 1)
    weights = torch.softmax(through @ with_pe.T / _scale(attention), dim=-1)
    weighed = (weights @ rows).unflatten(0, (number, -1))
    heads = weighed @ value_weight.transpose(1, 2) + value_bias[:, None]
    return heads[None], weights.unflatten(0, (number, -1))[None]


def _weights_for_tokens(
    attention: Attention, with_pe: Tensor | None, q: Tensor | None, x: Tokens
) -> Float[Tensor, "image_tokens heads tokens"]:
    """Step (4): what each image token attends to. Their queries are there (`q`), or folded into the tokens' keys."""
    k = _heads(attention, attention.k_proj(x))
    if q is not None:
        scores = (_heads(attention, q) @ k.transpose(1, 2)).transpose(0, 1)
    else:
        assert with_pe is not None
        weight, bias = _of_heads(attention, "q_proj")
        through = (k @ weight).flatten(0, 1)
        scores = (with_pe @ through.T).unflatten(1, (attention.num_heads, -1)) + (k @ bias[..., None])[..., 0]
    return torch.softmax(scores / _scale(attention), dim=-1)


def _folded_values(attention: Attention, values: Tokens) -> Float[Tensor, "1 heads tokens dim"]:
    """Step (4): the tokens' values, projected out by each head."""
    v = _heads(attention, attention.v_proj(values))
    out = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1)).permute(1, 2, 0)
    return (v @ out)[None]
