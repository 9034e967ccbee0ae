"""HypernetworkMLPs: each mask token becomes the weights of a linear classifier. Step (6-2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.checks import check_shape
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

    def __getitem__(self, idx: slice | int) -> nn.Module:  # type: ignore[override]  # what is one, and what are several
        """One MLP, or a slice of them as a plain `nn.ModuleList` (its own slicing calls this constructor)."""
        return nn.ModuleList(self)[idx]

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
