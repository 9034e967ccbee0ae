"""OutputUpscaling: from image tokens to a feature map of four times their height and width."""

from collections.abc import Iterator
from itertools import islice

from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.checks import check_shape
from sam_edu.modules.layer_norm import LayerNorm2d
from sam_edu.modules.trace_point import TracePoint

_LAYERS = 5


class OutputUpscaling(nn.Sequential):
    """Two transposed convolutions, each of which doubles height and width and reduces the channels.

    Step (5). In SAM 256 channels at 64 x 64 become 64 at 128 x 128, then 32 at 256 x 256. Kernel and stride are both 2,
    so that each image token becomes 4 x 4 pixels of its own and no two overlap. The last activation is part of it.

    Args:
        transformer_dim: channels of the image tokens; a multiple of 8.
        activation: class of both activations (exact GELU in SAM).

    Raises:
        ValueError: `transformer_dim` is smaller than 8.

    Source: `output_upscaling` in `segment_anything/modeling/mask_decoder.py`.
    """

    def __init__(self, transformer_dim: int, activation: type[nn.Module] = nn.GELU) -> None:
        if transformer_dim < 8:
            raise ValueError(f"transformer_dim: expected at least 8, got {transformer_dim}")
        super().__init__(
            nn.ConvTranspose2d(transformer_dim, transformer_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(transformer_dim // 4),
            activation(),
            nn.ConvTranspose2d(transformer_dim // 4, transformer_dim // 8, kernel_size=2, stride=2),
            activation(),
        )
        self.transformer_dim = transformer_dim
        # Added after the five layers, so that those keep Meta's names 0 to 4.
        self.doubled_once = TracePoint("batch channels height width")
        self.normed = TracePoint("batch channels height width")
        self.activated_once = TracePoint("batch channels height width")
        self.doubled_twice = TracePoint("batch channels height width")
        self.activated_twice = TracePoint("batch channels height width")

    def __len__(self) -> int:
        """The number of layers; the trace points are not among them."""
        return _LAYERS

    def __iter__(self) -> Iterator[nn.Module]:
        """The layers in their order."""
        return islice(self._modules.values(), _LAYERS)

    def __getitem__(self, idx: slice | int) -> nn.Module:
        """One layer, or a slice of them as a plain `nn.Sequential` (its own slicing calls this constructor)."""
        return nn.Sequential(*self)[idx] if isinstance(idx, slice) else super().__getitem__(idx)

    def forward(
        self, input: Float[Tensor, "batch dim height width"]
    ) -> Float[Tensor, "batch channels 4*height 4*width"]:
        """Upscale the image tokens.

        Args:
            input: image tokens as a feature map.

        Returns:
            a feature map of `transformer_dim // 8` channels and four times the height and width.

        Raises:
            ValueError: `input` is not (batch, transformer_dim, height, width).
        """
        check_shape("input", input, ("batch", self.transformer_dim, "height", "width"))
        x = self.doubled_once(self[0](input))
        x = self.normed(self[1](x))
        x = self.activated_once(self[2](x))
        x = self.doubled_twice(self[3](x))
        return self.activated_twice(self[4](x))
