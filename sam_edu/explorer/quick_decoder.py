"""QuickDecoder: the decoder with its products in another order.

The image tokens are 4096 and the tokens few. What the image alone decides is computed once per image (`of_image`). What
step (4) adds to the image tokens stays a sum of a few vectors (`image_stream`). Exact but for rounding. After block 0
the image tokens, their keys and their values are never computed, so nothing can be put in their place.

- Tokens attend to the image, and the image to tokens: queries and keys are multiplied with the base's projections and,
  through the weights of the projection, with the few vectors.
- Upscaling: a transposed convolution with kernel and stride 2 is one matrix per image token, so that the positions stay
  rows up to the product with the hypernetwork's weights.
- Layer norms of many rows and the softmax over tokens are written out: onnxruntime's own operators are two to three
  times slower in WebAssembly there.

`sam_edu.FastMaskDecoder` reorders products too, in PyTorch.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.explorer.image_stream import Added, ImageStream, after_first_block, after_second_block
from sam_edu.explorer.of_image import OfImage, OfPositions, Turned, centred_matrix, matrix
from sam_edu.modules import Attention, MaskDecoder

Tokens = Float[Tensor, "1 tokens dim"]
ByHead = Float[Tensor, "heads length head_dim"]

STEP_4 = tuple(f"transformer.layers.{i}.cross_attn_image_to_token" for i in range(2))
"""The attentions of step (4), one in each block."""

STREAM = ("stream.scale", "stream.weights", "stream.rows")
"""The image tokens after the last block, as `ImageStream` has them."""

BY_POSITION = "output_upscaling.activated_twice.by_position"
"""The 32 channels with the positions as rows, (grid height * grid width * 2 * 2 * 2 * 2, channels): of each pair of
doublings the first is vertical and the second horizontal, and the first doubling stands before the second."""

TURNED = ".turned"
"""Behind the name of the weights of step (4): with the tokens before the image tokens, (1, heads, tokens,
image_tokens)."""

KEPT = ".v.kept"
"""Behind the path of an attention of step (4): its values, (1, heads, tokens, head_dim). In the exported graph they are
multiplied with the gates of its heads and of its output."""

ADDED = (".added.weights", ".added.rows")
"""Behind such a path: what it adds to the image tokens as a sum, weights^T rows; a row for each head and token, then
the bias, then what was put in from outside."""


class FromOutside(NamedTuple):
    """What is put into a step (4).

    Attributes:
        weights, rows: a sum that is added to the attention's output, weights^T rows; or none.
        bias: of the projection out, or what stands in for it.
    """

    weights: Float[Tensor, "others image_tokens"]
    rows: Float[Tensor, "others dim"]
    bias: Float[Tensor, "1 dim"]


class QuickDecoder(nn.Module):
    """The mask decoder but for upscaling and masks, from what depends on the image alone and the prompt's tokens.

    Args:
        decoder: of SAM's sizes.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        of_image: OfImage,
        of_positions: OfPositions,
        prompt_tokens: Float[Tensor, "1 prompt_tokens dim"],
        outside: Sequence[FromOutside],
    ) -> dict[str, Tensor]:
        """Decode.

        Args:
            of_image: of the image.
            of_positions: of the grid.
            prompt_tokens: the embedded prompt.
            outside: what is put into each of `STEP_4`.

        Returns:
            by their names in a trace

            - the tokens at first and after each step, hs, hyper_in and the predicted IoU,
            - hidden units and outputs of the MLPs,
            - of steps (1), (2) and (6-1) weights, heads and outputs,
            - of step (4) the weights with `TURNED` behind the name,

            and by names of their own `KEPT` and `ADDED` of step (4), and `STREAM`, from which `QuickMasks` makes masks.
        """
        decoder, seen = self.decoder, dict[str, Tensor]()
        transformer: Any = decoder.transformer
        first, second = transformer.layers
        pe = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, prompt_tokens[0]])[None]
        seen["tokens"] = pe

        steps = _Steps(first, "transformer.layers.0", seen)
        queries = steps.self_attended(pe, None)
        cross = first.cross_attn_token_to_image
        heads, weights = _weigh(cross, queries + pe, _heads(cross, of_image.k), _heads(cross, of_image.v))
        queries = steps.with_mlp(steps.cross_attended(queries, heads, weights))
        attention = first.cross_attn_image_to_token
        scores = _heads(attention, attention.k_proj(queries + pe)) @ _heads(attention, of_image.q).transpose(1, 2)
        added_0 = steps.added(scores, queries, outside[0])
        stream = after_first_block(of_image, added_0, first.norm4)

        steps = _Steps(second, "transformer.layers.1", seen)
        queries = steps.self_attended(queries, pe)
        cross = second.cross_attn_token_to_image
        heads, weights = _attend_to_image(cross, queries + pe, stream, of_image.k_1, of_image.v_1, of_positions.k_1)
        queries = steps.with_mlp(steps.cross_attended(queries, heads, weights))
        attention = second.cross_attn_image_to_token
        scores = _scores_for_tokens(attention, queries + pe, stream, of_image.q_1, of_positions.q_1)
        added_1 = steps.added(scores, queries, outside[1])
        stream = after_second_block(of_image, stream, added_0, added_1, second.norm4)

        last, path = transformer.final_attn_token_to_image, "transformer.final_attn_token_to_image"
        of_base = (of_image.k_last, of_image.v_last)
        heads, weights = _attend_to_image(last, queries + pe, stream, *of_base, of_positions.k_last)
        hs = transformer.norm_final_attn(queries + _attended(seen, path, last, heads, weights))
        seen["hs"] = hs
        hyper_in = decoder.output_hypernetworks_mlps(hs[:, 1 : 1 + decoder.num_mask_tokens])
        seen["hyper_in"] = hyper_in
        for name, tensor in zip(STREAM, stream[:3], strict=True):
            seen[name] = tensor
        seen["iou_pred"] = decoder.iou_prediction_head(hs[:, 0])
        return seen


class QuickMasks(nn.Module):
    """Steps (5) to (6-3): the channels and the masks.

    Args:
        decoder: of SAM's sizes.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        transformer: Any = decoder.transformer
        self.norm4, self.output_upscaling = transformer.layers[-1].norm4, decoder.output_upscaling

    def forward(
        self,
        upscaled: Float[Tensor, "image_tokens four_channels"],
        scale: Float[Tensor, "1 image_tokens"],
        weights: Float[Tensor, "terms image_tokens"],
        rows: Float[Tensor, "terms dim"],
        hyper_in: Float[Tensor, "1 masks channels"],
    ) -> tuple[Float[Tensor, "pixels channels"], Float[Tensor, "1 masks height width"]]:
        """From `upscaled` of `OfImage`, `STREAM` and the hypernetwork's weights to `BY_POSITION` and the masks."""
        layers: Any = self.output_upscaling
        first, norm, act, second, last = layers
        weight, bias = centred_matrix(first)
        in_channels = (rows * self.norm4.weight) @ weight.flatten(1)
        shift = self.norm4.bias @ weight.flatten(1) + bias.repeat(4)
        # Relative to the stream's scale, so that the base is not multiplied with it; so is the layer norm's epsilon.
        inverse = scale.reciprocal()
        x = torch.addmm(upscaled, torch.cat([weights, inverse]).T, torch.cat([in_channels, shift[None]]))
        x = x.unflatten(1, (4, -1))
        # The squares' mean is their sum divided by the width: that factor goes into the gain.
        width, length = x.shape[2], torch.linalg.vector_norm(x, dim=2, keepdim=True)
        x = x * (length * length + width * norm.eps * (inverse * inverse).T[:, :, None]).rsqrt()
        gain = norm.weight * math.sqrt(width)
        # The four positions stay in one row, as long rows are faster. The bias has two axes, so that onnxruntime does
        # not fuse it with the activation, which is slower in WebAssembly.
        x = act(x.flatten(1) * gain.repeat(4) + norm.bias.repeat(4)[None])
        weight, bias = matrix(second)
        x = torch.addmm(bias.repeat(4), x.unflatten(1, (4, -1)).flatten(0, 1), weight.flatten(1))
        channels = last(x.unflatten(1, (4, -1)).flatten(0, 1))
        size = math.isqrt(len(upscaled))
        masks = (channels @ hyper_in[0].T).unflatten(0, (size, size, 2, 2, 2, 2))
        # (y, x, dy, dx, dy, dx, mask) -> (mask, y, dy, dy, x, dx, dx)
        masks = masks.permute(6, 0, 2, 4, 1, 3, 5)
        return channels, masks.reshape(1, hyper_in.shape[1], 4 * size, 4 * size)


class _Steps:
    """The steps of a block, but for the products with image tokens. What they compute is put into `seen`."""

    def __init__(self, block: Any, path: str, seen: dict[str, Tensor]) -> None:
        self.block, self.path, self.seen = block, path, seen

    def self_attended(self, queries: Tokens, pe: Tokens | None) -> Tokens:
        """Step (1); without positional encodings there is no residual either."""
        attention = self.block.self_attn
        x = queries if pe is None else queries + pe
        k, v = _heads(attention, attention.k_proj(x)), _heads(attention, attention.v_proj(queries))
        attended = _attended(self.seen, f"{self.path}.self_attn", attention, *_weigh(attention, x, k, v))
        return self._queries(1, self.block.norm1(attended if pe is None else queries + attended))

    def cross_attended(self, queries: Tokens, heads: Tensor, weights: Tensor) -> Tokens:
        """Step (2)."""
        path, attention = f"{self.path}.cross_attn_token_to_image", self.block.cross_attn_token_to_image
        return self._queries(2, self.block.norm2(queries + _attended(self.seen, path, attention, heads, weights)))

    def with_mlp(self, queries: Tokens) -> Tokens:
        """Step (3)."""
        path, mlp = f"{self.path}.mlp", self.block.mlp
        self.seen[f"{path}.hidden"] = mlp.act(mlp.lin1(queries))
        self.seen[f"{path}.out"] = mlp.lin2(self.seen[f"{path}.hidden"])
        return self._queries(3, self.block.norm3(queries + self.seen[f"{path}.out"]))

    def added(self, scores: Float[Tensor, "heads tokens image_tokens"], queries: Tokens, outside: FromOutside) -> Added:
        """What step (4) adds."""
        path, attention = f"{self.path}.cross_attn_image_to_token", self.block.cross_attn_image_to_token
        weights = _softmax_over_tokens(scores / _scale(attention))
        self.seen[f"{path}.weights{TURNED}"] = weights[None]
        self.seen[path + KEPT] = _heads(attention, attention.v_proj(queries))[None]
        values = self.seen[path + KEPT].squeeze(0)
        of_heads = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1)).permute(1, 2, 0)
        rows, of_bias = values @ of_heads, torch.ones(1, scores.shape[2])
        whole = (
            torch.cat([weights.flatten(0, 1), of_bias, outside.weights]),
            torch.cat([rows.flatten(0, 1), outside.bias, outside.rows]),
        )
        for name, tensor in zip(ADDED, whole, strict=True):
            self.seen[path + name] = tensor
        # A head's weights sum to one: its first token's row is added to all, and stands with the bias.
        first, differences = rows[:, 0].sum(0, keepdim=True), rows[:, 1:] - rows[:, :1]
        return Added(
            torch.cat([weights[:, 1:].flatten(0, 1), of_bias, outside.weights]),
            differences.flatten(0, 1),
            torch.cat([outside.bias + first, outside.rows]),
            values[:, 1:] - values[:, :1],
        )

    def _queries(self, step: int, queries: Tokens) -> Tokens:
        self.seen[f"{self.path}.queries_{step}"] = queries
        return queries


def _attended(seen: dict[str, Tensor], path: str, attention: Attention, heads: Tensor, weights: Tensor) -> Tokens:
    """What an attention that attends for tokens puts out."""
    seen[f"{path}.weights"], seen[f"{path}.heads"] = weights, heads
    seen[f"{path}.out"] = attention.out_proj(heads[0].transpose(0, 1).flatten(1))[None]
    return seen[f"{path}.out"]


def _heads(attention: Attention, x: Float[Tensor, "1 length inner"]) -> ByHead:
    return x.squeeze(0).unflatten(1, (attention.num_heads, -1)).transpose(0, 1)


def _turned_heads(attention: Attention, x: Turned) -> Float[Tensor, "heads head_dim image_tokens"]:
    return x.unflatten(0, (attention.num_heads, -1))


def _of_heads(attention: Attention, name: str) -> tuple[Tensor, Tensor]:
    """The weight (heads, head_dim, dim) and the bias (heads, head_dim) of a projection."""
    layer = attention.get_submodule(name)
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.unflatten(0, (attention.num_heads, -1)), bias.unflatten(0, (attention.num_heads, -1))


def _scale(attention: Attention) -> float:
    return math.sqrt(attention.internal_dim / attention.num_heads)


def _weigh(attention: Attention, x: Tokens, k: ByHead, v: ByHead) -> tuple[Tensor, Tensor]:
    """Heads and weights from keys and values that are there: what attends is `x`."""
    q = _heads(attention, attention.q_proj(x))
    weights = torch.softmax(q @ k.transpose(1, 2) / _scale(attention), dim=-1)
    return (weights @ v)[None], weights[None]


def _with_stream(
    attention: Attention, x: ByHead, weight: Tensor, stream: ImageStream, base: Turned, projected_pe: Turned
) -> Float[Tensor, "heads length image_tokens"]:
    """The products of queries or keys `x` of tokens with the image tokens' keys or queries, without what their biases
    add: weight (heads, head_dim, dim) is of their projection."""
    of_base = (x @ _turned_heads(attention, base)).flatten(0, 1)
    of_rows = ((x @ weight).flatten(0, 1) @ (stream.rows * stream.norm.weight).T) @ stream.weights
    return ((of_base + of_rows) * stream.scale).unflatten(0, x.shape[:2]) + x @ _turned_heads(attention, projected_pe)


def _attend_to_image(
    attention: Attention, x: Tokens, stream: ImageStream, base_k: Turned, base_v: Turned, projected_pe: Turned
) -> tuple[Tensor, Tensor]:
    """Heads and weights of steps (2) and (6-1). Biases of keys add the same to all scores of a row: no softmax sees it.

    Args:
        attention: tokens to image.
        x: what attends, with its positional encodings.
        stream: the image tokens.
        base_k, base_v: the base's projections.
        projected_pe: the projections of the image tokens' positional encodings.
    """
    number = attention.num_heads
    q, (k_weight, _) = _heads(attention, attention.q_proj(x)), _of_heads(attention, "k_proj")
    scores = _with_stream(attention, q, k_weight, stream, base_k, projected_pe)
    weights = torch.softmax(scores / _scale(attention), dim=-1)
    v_weight, v_bias = _of_heads(attention, "v_proj")
    scaled = (weights.flatten(0, 1) * stream.scale).unflatten(0, (number, -1))
    of_base = scaled @ _turned_heads(attention, base_v).transpose(1, 2)
    in_rows = (scaled.flatten(0, 1) @ stream.weights.T).unflatten(0, (number, -1))
    of_rows = in_rows @ ((stream.rows * stream.norm.weight) @ v_weight.transpose(1, 2))
    return (of_base + of_rows + (v_weight @ stream.norm.bias + v_bias)[:, None])[None], weights[None]


def _scores_for_tokens(
    attention: Attention, x: Tokens, stream: ImageStream, base_q: Turned, projected_pe: Turned
) -> Float[Tensor, "heads tokens image_tokens"]:
    """The scores of step (4) before they are divided; arguments as for `_attend_to_image`, with the base's queries."""
    k, (weight, bias) = _heads(attention, attention.k_proj(x)), _of_heads(attention, "q_proj")
    of_bias = k @ (weight @ stream.norm.bias + bias)[..., None]
    return _with_stream(attention, k, weight, stream, base_q, projected_pe) + of_bias


def _softmax_over_tokens(scores: Float[Tensor, "heads tokens image_tokens"]) -> Tensor:
    exponentials = (scores - scores.amax(1, keepdim=True)).exp()
    return exponentials / exponentials.sum(1, keepdim=True)
