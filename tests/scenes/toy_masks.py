"""Masks for the tests of clicks, boxes and prompts."""

import numpy as np


def blank(height: int = 40, width: int = 60) -> np.ndarray:
    return np.zeros((height, width), bool)


def rectangle(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    """Both ends inclusive."""
    mask = blank(*shape)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask
