"""Solutions of the exercises of notebook 07. Try first."""

import torch
from torch import Tensor, nn

SHAPES: dict[str, dict[str, tuple[int, ...] | int]] = {
    "a": {
        "mask_tokens": (1, 4, 256),
        "hyper_in": (1, 4, 32),
        "features": (1, 32, 256, 256),
        "logits": (1, 4, 256, 256),
        "parameters": 559_232,
    },
    "b": {
        "mask_tokens": (3, 4, 256),
        "hyper_in": (3, 4, 32),
        "features": (3, 32, 256, 256),
        "logits": (3, 4, 256, 256),
        "parameters": 559_232,
    },
    "c": {
        "mask_tokens": (2, 6, 128),
        "hyper_in": (2, 6, 16),
        "features": (2, 16, 128, 192),
        "logits": (2, 6, 128, 192),
        "parameters": 210_528,
    },
}


def masks_from(mlps: nn.ModuleList, tokens: Tensor, features: Tensor) -> Tensor:
    """Steps (6-2) and (6-3): logits (batch, masks, height, width)."""
    weights = torch.stack([mlp(tokens[:, i]) for i, mlp in enumerate(mlps)], dim=1)
    return torch.einsum("bmc,bchw->bmhw", weights, features)


def signs_only(hyper_in: Tensor) -> Tensor:
    """The sign of each weight, times the mean absolute value of its mask's weights."""
    return hyper_in.sign() * hyper_in.abs().mean(dim=-1, keepdim=True)
