"""OfImage and OfPositions: what the image and the grid alone decide in a decode, so that a click does not pay for it.

These are the image tokens before the first block, their first projections, and their products with what the decoder
multiplies image tokens with later. Layer norms lie between. Their centring and their gains are linear, so they are
applied here. Their scales, and what step (4) adds, depend on the click (`image_stream`).
"""

from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules import MaskDecoder

Turned = Float[Tensor, "inner image_tokens"]


class OfImage(NamedTuple):
    """What the image alone decides, in the order in which a decode needs it.

    The first four are inputs of the whole decoder's graph too. The others are made of a "base": the image tokens as the
    layer norm of step (4) centres them. The base of block 1 went through the layer norm of block 0 before, but for its
    scale and bias.

    Attributes:
        image_tokens: before the first block.
        k, v: their projections for step (2) of block 0.
        q: their projection for step (4) of block 0.
        out_0: the base of block 0 times the projection out of step (4) of block 0.
        squares_0: the sum of squares of the base of block 0.
        k_1, v_1: the base of block 0, with gains, times the projections for step (2) of block 1.
        q_1: the same times the projection for step (4) of block 1.
        out_0_in_1: the base of block 1 times the projection out of step (4) of block 0, which goes through the layer
            norm of block 0 there.
        out_1: the base of block 1 times the projection out of step (4) of block 1.
        squares_1: the sum of squares of the base of block 1.
        k_last, v_last: the base of block 1, with gains, times the projections for step (6-1).
        upscaled: the same times the first transposed convolution, see `centred_matrix`.
    """

    image_tokens: Float[Tensor, "1 image_tokens dim"]
    k: Float[Tensor, "1 image_tokens inner"]
    v: Float[Tensor, "1 image_tokens inner"]
    q: Float[Tensor, "1 image_tokens inner"]
    out_0: Turned
    squares_0: Float[Tensor, "1 image_tokens"]
    k_1: Turned
    v_1: Turned
    q_1: Turned
    out_0_in_1: Turned
    out_1: Turned
    squares_1: Float[Tensor, "1 image_tokens"]
    k_last: Turned
    v_last: Turned
    upscaled: Float[Tensor, "image_tokens four_channels"]


IN_BOTH = 4
"""How many fields of `OfImage` the whole decoder's graph takes too."""


class ImageOnly(nn.Module):
    """The decoder's part that depends on the image alone.

    Args:
        decoder: of SAM's sizes.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        image_tokens: Float[Tensor, "1 image_tokens dim"],
        pe: Float[Tensor, "1 image_tokens dim"],
    ) -> OfImage:
        """From the image tokens before the first block, and their positional encodings."""
        transformer: Any = self.decoder.transformer
        first, second = transformer.layers
        last = transformer.final_attn_token_to_image
        to_image, to_tokens = second.cross_attn_token_to_image, second.cross_attn_image_to_token
        gain = first.norm4.weight
        base = centred(image_tokens.squeeze(0))
        with_gain = base * gain
        base_1 = centred(with_gain)
        with_gain_1 = base_1 * second.norm4.weight
        weight, _ = centred_matrix(self.decoder.output_upscaling[0])
        with_pe = image_tokens + pe
        return OfImage(
            image_tokens,
            first.cross_attn_token_to_image.k_proj(with_pe),
            first.cross_attn_token_to_image.v_proj(image_tokens),
            first.cross_attn_image_to_token.q_proj(with_pe),
            first.cross_attn_image_to_token.out_proj.weight.T @ base.T,
            base.square().sum(1)[None],
            to_image.k_proj.weight @ with_gain.T,
            to_image.v_proj.weight @ with_gain.T,
            to_tokens.q_proj.weight @ with_gain.T,
            first.cross_attn_image_to_token.out_proj.weight.T @ centred(base_1 * gain).T,
            to_tokens.out_proj.weight.T @ base_1.T,
            base_1.square().sum(1)[None],
            last.k_proj.weight @ with_gain_1.T,
            last.v_proj.weight @ with_gain_1.T,
            with_gain_1 @ weight.flatten(1),
        )


class OfPositions(NamedTuple):
    """The positional encodings of the grid times projections of queries or keys, without their biases.

    Attributes:
        k_1, q_1: of steps (2) and (4) of block 1.
        k_last: of step (6-1).
    """

    k_1: Turned
    q_1: Turned
    k_last: Turned


class PositionsOnly(nn.Module):
    """The decoder's part that depends on the grid alone.

    Args:
        decoder: of SAM's sizes.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, pos_src: Float[Tensor, "1 dim height width"]) -> OfPositions:
        """From the positional encodings of the grid."""
        transformer: Any = self.decoder.transformer
        second, last = transformer.layers[-1], transformer.final_attn_token_to_image
        projections = (second.cross_attn_token_to_image.k_proj, second.cross_attn_image_to_token.q_proj, last.k_proj)
        pe = pos_src.flatten(2).squeeze(0)
        return OfPositions(*(projection.weight @ pe for projection in projections))


def centred(rows: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
    """Rows with a mean of zero."""
    return rows - rows.mean(-1, keepdim=True)


def matrix(layer: nn.Module) -> tuple[Float[Tensor, "dim 4 channels"], Float[Tensor, " channels"]]:
    """A transposed convolution with kernel and stride 2 as one matrix for each of the four positions, and its bias."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.permute(0, 2, 3, 1).flatten(1, 2), bias


def centred_matrix(layer: nn.Module) -> tuple[Float[Tensor, "dim 4 channels"], Float[Tensor, " channels"]]:
    """The same with outputs whose means are zero, so that a layer norm behind has nothing to subtract."""
    weight, bias = matrix(layer)
    return centred(weight), centred(bias)
