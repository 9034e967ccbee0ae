"""Images, masks, tokens and weights that several tests of figures draw."""

import numpy as np
import torch

from sam_edu import figures

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (32, 48, 3), dtype=np.uint8)
MASKS = np.zeros((3, 32, 48), bool)
MASKS[0, 4:20, 5:30] = True
MASKS[1, 8:12, 8:14] = True  # the third stays empty: that must draw too
SQUARE = RNG.integers(0, 255, (32, 32, 3), dtype=np.uint8)
NAMES = figures.token_names([1])
CLICK = [[10, 9]]


def softmax(*shape: int) -> torch.Tensor:
    """Random distributions along the last axis."""
    return torch.from_numpy(RNG.normal(size=shape)).softmax(-1)


WEIGHTS = softmax(8, 256)
SELF = softmax(8, 7, 7)
SHARES = softmax(256, 7).T
STATES = torch.from_numpy(RNG.normal(size=(7, 256)))
MAPS = torch.from_numpy(RNG.normal(size=(32, 16, 16)))
LOGITS = RNG.normal(size=(4, 32, 48))


def decode(seed: int) -> dict[str, torch.Tensor]:
    """What a trace of one click holds of the tensors that figures of a whole decode read: small, random, not real."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape))

    tensors = {
        "tokens": normal(1, 7, 16),
        "src": normal(1, 16, 8, 8),
        "hs": normal(1, 7, 16),
        "output_upscaling.activated_twice": normal(1, 4, 32, 32),
        "hyper_in": normal(1, 4, 4),
        "masks": normal(1, 4, 32, 32),
        "iou_pred": normal(1, 4),
        "transformer.final_attn_token_to_image.weights": normal(1, 2, 7, 64).softmax(-1),
    }
    for i in (0, 1):
        block = f"transformer.layers.{i}."
        tensors[f"{block}queries_3"], tensors[f"{block}keys_4"] = normal(1, 7, 16), normal(1, 64, 16)
        for part in ("k", "v"):
            tensors[f"{block}cross_attn_token_to_image.{part}"] = normal(1, 2, 64, 8)
        tensors[f"{block}cross_attn_token_to_image.weights"] = normal(1, 2, 7, 64).softmax(-1)
    return tensors
