"""A check of a mask before a click or a box is placed on it."""

import numpy as np


def check_not_empty(mask: np.ndarray) -> None:
    """Refuse a mask without a pixel.

    Args:
        mask: (height, width) bool.

    Raises:
        ValueError: no pixel of it is True.
    """
    if not mask.any():
        raise ValueError(f"mask: expected at least one pixel, got an empty mask of shape {mask.shape}")
