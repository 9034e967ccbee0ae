"""ImageStream: the image tokens after a block, as what the image alone decides and a sum of a few vectors.

Step (4) adds sums of the same few vectors to all image tokens: the tokens' values, projected out by each head, and a
bias. The weights of a head sum to one, so that its first vector goes into the bias and the others are differences from
it. The layer norm behind scales each image token by one number. So after a block the image tokens are

    scale * (base + weights^T rows) * norm.weight + norm.bias

and what multiplies them next multiplies the base once per image (`of_image`) and the few rows per click: neither the
image tokens nor their layer norms are computed. The variance in a layer norm, a mean of squares, is that of the sum:
the squares of the base, the products of base and rows, and those of rows with each other.

`sam_edu.fast` keeps what step (4) adds as a sum too; it computes the layer norms.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.explorer.of_image import OfImage, Turned, centred
from sam_edu.modules import MaskDecoder

Rows = Float[Tensor, "terms dim"]
Others = Float[Tensor, "others dim"]
Weights = Float[Tensor, "terms image_tokens"]


class Added(NamedTuple):
    """What step (4) adds to the image tokens: weights^T rows.

    Attributes:
        weights: of the rows.
        of_heads: the first rows, for each head and token but the first: the token's value less the first one's,
            projected out by the head.
        others: the other rows; first a bias, with the first token's values projected out.
        values: what `of_heads` are before the projection out.
    """

    weights: Weights
    of_heads: Float[Tensor, "heads_x_other_tokens dim"]
    others: Others
    values: Float[Tensor, "heads other_tokens head_dim"]

    @property
    def rows(self) -> Rows:
        """All."""
        return torch.cat([self.of_heads, self.others])


class ImageStream(NamedTuple):
    """The image tokens after a block, see above.

    Attributes:
        scale: one number for each image token.
        weights, rows: the sum; the rows have means of zero.
        norm: the layer norm of the block's step (4).
    """

    scale: Float[Tensor, "1 image_tokens"]
    weights: Weights
    rows: Rows
    norm: nn.LayerNorm


def after_first_block(of_image: OfImage, added: Added, norm: nn.LayerNorm) -> ImageStream:
    """The stream after step (4) of block 0."""
    rows, weights = centred(added.rows), added.weights
    with_base = _twice_with_base(added, of_image.out_0, centred(added.others), of_image)
    squares = _sum(weights * (with_base + (rows @ rows.T) @ weights))
    variance = (of_image.squares_0 + squares) / rows.shape[1]
    return ImageStream((variance + norm.eps).rsqrt(), weights, rows, norm)


def after_second_block(
    of_image: OfImage, before: ImageStream, first: Added, second: Added, norm: nn.LayerNorm
) -> ImageStream:
    """The stream after step (4) of block 1.

    Args:
        of_image: of the image.
        before: the stream after block 0.
        first, second: what step (4) adds in each block.
        norm: of step (4) of block 1.
    """
    gain = before.norm.weight
    # The layer norm's bias is one more vector that is added to all.
    bias, rest = second.others[:1] + before.norm.bias, second.others[1:]
    second = second._replace(others=torch.cat([bias, rest]))
    # All is relative to the scale before, so that the base is not multiplied with it.
    rows_0, weights_0 = centred(before.rows * gain), before.weights
    rows_1, weights_1 = centred(second.rows), second.weights / before.scale
    with_base_0 = _twice_with_base(first, of_image.out_0_in_1, _carried(_carried(first.others, gain), gain), of_image)
    with_base_1 = _twice_with_base(second, of_image.out_1, _carried(second.others, gain), of_image)
    weights, rows = torch.cat([weights_0, weights_1]), torch.cat([rows_0, rows_1])
    # The products of the first rows with the second count twice.
    with_rows_0 = torch.cat([rows_0 @ rows_0.T, 2 * rows_0 @ rows_1.T], 1) @ weights
    squares = _sum(weights_0 * (with_base_0 + with_rows_0))
    squares = squares + _sum(weights_1 * (with_base_1 + (rows_1 @ rows_1.T) @ weights_1))
    variance = before.scale.square() * (of_image.squares_1 + squares) / rows.shape[1]
    return ImageStream((variance + norm.eps).rsqrt() * before.scale, weights, rows, norm)


def _sum(terms: Weights) -> Float[Tensor, "1 image_tokens"]:
    return terms.sum(0, keepdim=True)


def _twice_with_base(added: Added, projected: Turned, others: Others, of_image: OfImage) -> Weights:
    """Twice the products of what is added with the base, as in the square of a sum: of the heads' rows by way of their
    values, of the others directly.

    Args:
        added: what is added.
        projected: the base, through the projection out.
        others: the other rows as the layer norms carry them, so that their products with the image tokens are those of
            the rows with the base.
        of_image: of the image.
    """
    of_heads = 2 * added.values @ projected.unflatten(0, (added.values.shape[0], -1))
    return torch.cat([of_heads.flatten(0, 1), 2 * others @ of_image.image_tokens.squeeze(0).T])


def _carried(rows: Rows, gain: Tensor) -> Rows:
    """M rows: M centres, multiplies with the gains and centres again, as the two layer norms do, but for the scale.

    The base of block 1 is M times the image tokens. M is symmetric, so row · (M image token) = (M row) · image token:
    only the few rows are multiplied with M.
    """
    return centred(centred(rows) * gain)


class ImageTokens(nn.Module):
    """The image tokens of a decode themselves, from what step (4) adds.

    Args:
        decoder: of SAM's sizes.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        transformer: Any = decoder.transformer
        self.norms = nn.ModuleList(layer.norm4 for layer in transformer.layers)

    def forward(
        self, image_tokens: Float[Tensor, "1 image_tokens dim"], *added: Tensor
    ) -> list[Float[Tensor, "1 image_tokens dim"]]:
        """From the image tokens before the first block, and weights and rows of each block's step (4).

        Returns:
            for each block what step (4) adds, and the image tokens after it.
        """
        found, keys = list[Tensor](), image_tokens
        for norm, weights, rows in zip(self.norms, added[::2], added[1::2], strict=True):
            out = (weights.T @ rows)[None]
            keys = norm(keys + out)
            found += [out, keys]
        return found
