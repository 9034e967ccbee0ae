"""Solutions of the exercises of notebook 03. Try first."""

import math

import torch
from torch import Tensor

from sam_edu.modules import PromptEncoder

COUNTS: dict[str, dict[str, tuple[int, ...]]] = {
    "a": {"sparse": (1, 2, 256), "tokens": (1, 7, 256), "dense": (1, 256, 64, 64)},
    "b": {"sparse": (1, 4, 256), "tokens": (1, 9, 256), "dense": (1, 256, 64, 64)},
    "c": {"sparse": (1, 3, 256), "tokens": (1, 8, 256), "dense": (1, 256, 64, 64)},
    "d": {"sparse": (4, 2, 256), "tokens": (4, 7, 256), "dense": (4, 256, 64, 64)},
    "e": {"sparse": (1, 0, 256), "tokens": (1, 5, 256), "dense": (1, 256, 64, 64)},
}


class Solution(PromptEncoder):
    """`_embed_points` written out, without the methods of the positional encoding's module."""

    def _embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        height, width = self.input_image_size
        positions = (points + 0.5) / torch.tensor([width, height])
        angles = 2 * math.pi * (2 * positions - 1) @ self.pe_layer.positional_encoding_gaussian_matrix
        encoding = torch.cat([angles.sin(), angles.cos()], dim=-1)

        label = labels.unsqueeze(-1)  # (batch, clicks, 1), to select whole tokens
        negative, positive = (self.point_embeddings[i].get_parameter("weight") for i in (0, 1))
        padding = self.not_a_point_embed.weight
        encoding = torch.where(label == 0, encoding + negative, encoding)
        encoding = torch.where(label == 1, encoding + positive, encoding)
        encoding = torch.where(label == -1, padding, encoding)
        return torch.cat([encoding, padding.expand(len(encoding), 1, -1)], dim=1) if pad else encoding


def moved(encodings: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """The encodings of all positions moved by `shift`: each pair of sine and cosine is rotated."""
    angles = (4 * math.pi * shift @ matrix)[:, None, None]  # 2 pi, times 2 because positions run from -1 to 1
    sine, cosine = encodings.chunk(2, dim=1)
    new_sine = sine * angles.cos() + cosine * angles.sin()
    new_cosine = cosine * angles.cos() - sine * angles.sin()
    return torch.cat([new_sine, new_cosine], dim=1)
