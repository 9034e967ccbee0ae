"""Solutions of the exercises of notebook 02. Try first."""

import math

import torch
from torch import Tensor

from sam_edu.modules import Attention

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "a": {
        "q": (1, 8, 7, 32),
        "k": (1, 8, 7, 32),
        "scores": (1, 8, 7, 7),
        "weights": (1, 8, 7, 7),
        "output": (1, 7, 256),
    },
    "b": {
        "q": (1, 8, 9, 16),
        "k": (1, 8, 4096, 16),
        "scores": (1, 8, 9, 4096),
        "weights": (1, 8, 9, 4096),
        "output": (1, 9, 256),
    },
    "c": {
        "q": (3, 8, 4096, 16),
        "k": (3, 8, 7, 16),
        "scores": (3, 8, 4096, 7),
        "weights": (3, 8, 4096, 7),
        "output": (3, 4096, 256),
    },
    "d": {
        "q": (2, 8, 9, 16),
        "k": (2, 8, 4096, 16),
        "scores": (2, 8, 9, 4096),
        "weights": (2, 8, 9, 4096),
        "output": (2, 9, 256),
    },
}


class Solution(Attention):
    """`Attention.forward` in nine lines."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Scaled dot-product attention with several heads."""

        def split(x: Tensor) -> Tensor:  # (batch, length, internal) -> (batch, heads, length, head width)
            return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

        q, k, v = split(self.q_proj(q)), split(self.k_proj(k)), split(self.v_proj(v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        weights = torch.softmax(scores, dim=-1)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


def no_scale(attention: Attention, scores: Tensor) -> Tensor:
    """The scores of this attention without the scale."""
    return scores * math.sqrt(attention.internal_dim // attention.num_heads)
