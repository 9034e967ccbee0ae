"""Projections: image tokens as a sequence, vectors by head, and what a positional encoding adds to them."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sam_edu.argument_checks import as_choice
from sam_edu.modules import Attention


def as_sequence(feature_map: Float[Tensor, "batch dim height width"]) -> Float[Tensor, "batch image_tokens dim"]:
    """A feature map as a sequence of image tokens, row by row."""
    return feature_map.flatten(2).transpose(1, 2)


def by_head(x: Float[Tensor, "batch length internal"], heads: int) -> Float[Tensor, "batch heads length head_dim"]:
    """Projected vectors, split into those of each head."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def projected_encoding(
    attention: Attention, side: str, encoding: Float[Tensor, "#batch length dim"]
) -> Float[Tensor, "#batch heads length head_dim"]:
    """What a positional encoding adds to queries, keys or values: W pe, without the bias, split into heads.

    Args:
        attention: whose projection it is.
        side: "q", "k" or "v".
        encoding: of each vector.

    Raises:
        ValueError: another side.
    """
    weight = attention.get_parameter(f"{as_choice('side', side, ('q', 'k', 'v'))}_proj.weight")
    return by_head(F.linear(encoding, weight), attention.num_heads)
