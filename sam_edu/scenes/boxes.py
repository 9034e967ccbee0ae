"""The box of a mask, exact and with noise."""

import numpy as np

from sam_edu.scenes.mask_checks import check_not_empty


def tight_box(mask: np.ndarray) -> np.ndarray:
    """The smallest box (x0, y0, x1, y1) that holds a mask, in pixels, both ends inclusive; float32.

    Raises:
        ValueError: the mask is empty.
    """
    check_not_empty(mask)
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([xs[0], ys[0], xs[-1], ys[-1]], np.float32)


def noisy_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask's box with Gaussian noise of a tenth of its sides, at most 5 pixels (paper, appendix A: 20 of 1024)."""
    height, width = mask.shape
    box = tight_box(mask)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2) + 1
    noise = np.clip(rng.normal(0.0, 0.1, 4) * sides, -5, 5)
    return np.clip(box + noise, 0, [width - 1, height - 1] * 2).astype(np.float32)
