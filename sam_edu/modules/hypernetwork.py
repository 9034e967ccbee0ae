"""HypernetworkMLPs and mask_product: each mask token becomes a linear classifier, applied at every pixel."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.checks import check_batches, check_shape
from sam_edu.modules.mlp import MLP


class HypernetworkMLPs(nn.ModuleList):
    """A hypernetwork: one MLP of three layers per mask token computes the weights of that mask's classifier.

    Step (6-2).

    Args:
        num_mask_tokens: number of mask tokens, hence of MLPs (4 in SAM).
        transformer_dim: width of a mask token; an MLP's output has an eighth of it.

    Source: `output_hypernetworks_mlps` in `segment_anything/modeling/mask_decoder.py`.
    """

    def __init__(self, num_mask_tokens: int, transformer_dim: int) -> None:
        super().__init__(
            MLP(transformer_dim, transformer_dim, transformer_dim // 8, num_layers=3) for _ in range(num_mask_tokens)
        )

    def forward(self, mask_tokens_out: Float[Tensor, "batch masks dim"]) -> Float[Tensor, "batch masks channels"]:
        """Compute from each mask token one weight per channel of the upscaled feature map.

        Args:
            mask_tokens_out: the mask tokens after the transformer.

        Returns:
            one vector of weights per mask.

        Raises:
            ValueError: other than one token per MLP.
        """
        check_shape("mask_tokens_out", mask_tokens_out, ("batch", len(self), "dim"))
        return torch.stack([mlp(mask_tokens_out[:, i]) for i, mlp in enumerate(self)], dim=1)


def mask_product(
    hyper_in: Float[Tensor, "#batch masks channels"],
    upscaled_embedding: Float[Tensor, "#batch channels height width"],
) -> Float[Tensor, "_ masks height width"]:
    """Apply one linear classifier per mask at every pixel: step (6-3).

    Args:
        hyper_in: one weight per mask and channel.
        upscaled_embedding: the upscaled feature map.

    Returns:
        logits: at each pixel the sum over the channels of weight times value.

    Raises:
        ValueError: channels or batches that do not fit together.
    """
    check_shape("hyper_in", hyper_in, ("batch", "masks", "channels"))
    check_shape("upscaled_embedding", upscaled_embedding, ("batch", hyper_in.shape[2], "height", "width"))
    check_batches(hyper_in=hyper_in.shape[0], upscaled_embedding=upscaled_embedding.shape[0])
    height, width = upscaled_embedding.shape[2:]
    return (hyper_in @ upscaled_embedding.flatten(2)).unflatten(2, (height, width))
