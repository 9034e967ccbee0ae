"""LayerNorm2d: layer normalisation over the channels of a feature map."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.checks import check_shape


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels at each position of a feature map, with a scale and a shift per channel.

    In the decoder it is used once, after the first transposed convolution of step (5); in the prompt encoder twice,
    between the convolutions of the mask prompt. The blocks of the transformer use `nn.LayerNorm` with eps 1e-5.

    Args:
        num_channels: number of channels.
        eps: added to the variance before the square root.

    Source: `segment_anything/modeling/common.py`.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Normalise over axis 1.

        Raises:
            ValueError: `x` is not (batch, num_channels, height, width).
        """
        check_shape("x", x, ("batch", self.num_channels, "height", "width"))
        mean = x.mean(dim=1, keepdim=True)
        variance = (x - mean).pow(2).mean(dim=1, keepdim=True)  # biased: divided by the number of channels
        normed = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * normed + self.bias[:, None, None]

    def extra_repr(self) -> str:
        return f"{self.num_channels}, eps={self.eps}"
