"""TinyImageEncoder: an image of 256 x 256 pixels to 64 x 64 image tokens of 256 channels."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.modules.checks import check_shape


class TinyImageEncoder(nn.Module):
    """A convolutional U-Net with a few attention layers at its bottom.

    Down to strides 4, 8 and 16; at stride 16 self-attention among all positions; back up to 8 and 4. It replaces Meta's
    vision transformer: the decoder gets an image embedding of the official shape at a hundredth of the cost.

    Args:
        img_size: height and width of the image in pixels; a multiple of 16.
        out_chans: channels of the embedding, 256 as in SAM.
        widths: channels at strides 4, 8 and 16.
        depth: number of attention layers.
    """

    def __init__(
        self, img_size: int = 256, out_chans: int = 256, widths: tuple[int, int, int] = (64, 128, 224), depth: int = 3
    ) -> None:
        super().__init__()
        if img_size % 16:
            raise ValueError(f"img_size: expected a multiple of 16, got {img_size}")
        self.img_size = img_size
        fine, middle, coarse = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, fine // 2, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(fine // 2, fine, 3, 2, 1)
        )
        self.down4 = nn.Sequential(ResidualBlock(fine), ResidualBlock(fine))
        self.to8 = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.down8 = nn.Sequential(ResidualBlock(middle), ResidualBlock(middle))
        self.to16 = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        side = img_size // 16
        self.place = nn.Parameter(0.02 * torch.randn(1, side * side, coarse))
        self.attention = nn.ModuleList(
            nn.TransformerEncoderLayer(
                coarse, coarse // 32, 3 * coarse, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.from16 = nn.Conv2d(coarse, middle, 1)
        self.up8 = ResidualBlock(middle)
        self.from8 = nn.Conv2d(middle, fine, 1)
        self.up4 = ResidualBlock(fine)
        self.neck8 = nn.Conv2d(middle, out_chans, 1)
        self.neck4 = nn.Conv2d(fine, out_chans, 1)
        self.norm = nn.LayerNorm(out_chans)
        # The fine branch starts at zero: at first the embedding is the enlarged stride-8 one.
        nn.init.zeros_(self.neck4.weight)
        nn.init.zeros_(self.neck4.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch out_chans grid grid"]:
        """Encode images.

        Args:
            x: normalised and padded images.

        Returns:
            image embeddings on a grid of a quarter of the image's size.

        Raises:
            ValueError: `x` is not (batch, 3, img_size, img_size).
        """
        check_shape("x", x, ("batch", 3, self.img_size, self.img_size))
        fine = self.down4(self.stem(x.contiguous(memory_format=torch.channels_last)))
        middle = self.down8(self.to8(fine))
        coarse = self.to16(middle)
        tokens = coarse.flatten(2).transpose(1, 2) + self.place
        for layer in self.attention:
            tokens = layer(tokens)
        coarse = coarse + tokens.transpose(1, 2).reshape(coarse.shape)
        middle = self.up8(middle + _double(self.from16(coarse)))
        fine = self.up4(fine + _double(self.from8(middle)))
        embedding = _double(self.neck8(middle)) + self.neck4(fine)
        return self.norm(embedding.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions whose result is added to the input.

    Args:
        channels: of input and output; a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Refine the features."""
        y = self.conv1(F.gelu(self.norm1(x)))
        return x + self.conv2(F.gelu(self.norm2(y)))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
