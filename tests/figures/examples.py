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
