"""A check of a mask before a click or a box is placed on it, or another mask is compared with it."""

import numpy as np


def check_not_empty(mask: np.ndarray, name: str = "mask") -> None:
    """Refuse a mask without a pixel.

    Args:
        mask: (height, width) bool.
        name: the argument's name, for the message.

    Raises:
        ValueError: no pixel of it is True.
    """
    if not mask.any():
        raise ValueError(f"{name}: expected at least one pixel, got an empty mask of shape {mask.shape}")
