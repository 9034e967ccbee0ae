"""Where a click falls: at random in a mask, at its deepest pixel, or into the error of a prediction."""

import numpy as np
from PIL import Image

from sam_edu.scenes.mask_checks import check_not_empty


def random_click(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pixel (x, y) of a mask, each as likely as every other; float32.

    Raises:
        ValueError: the mask is empty.
    """
    check_not_empty(mask)
    ys, xs = np.nonzero(mask)
    i = rng.integers(len(xs))
    return np.array([xs[i], ys[i]], np.float32)


def centre_click(mask: np.ndarray) -> np.ndarray:
    """The pixel (x, y) of a mask that is deepest inside: the last to go under repeated erosion; float32.

    Of several that go last, the one nearest to the mask's centre of mass.

    Raises:
        ValueError: the mask is empty.
    """
    check_not_empty(mask)
    left = np.pad(mask, 1)
    while True:
        core = left.copy()
        core[1:-1, 1:-1] &= left[:-2, 1:-1] & left[2:, 1:-1] & left[1:-1, :-2] & left[1:-1, 2:]
        if not core.any():
            break
        left = core
    ys, xs = np.nonzero(left[1:-1, 1:-1])
    my, mx = (axis.mean() for axis in np.nonzero(mask))
    i = int(np.argmin((ys - my) ** 2 + (xs - mx) ** 2))
    return np.array([xs[i], ys[i]], np.float32)


def corrective_click(
    predicted: np.ndarray, mask: np.ndarray, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, int]:
    """A click into the error: positive where the mask was missed, negative where it was overrun.

    Args:
        predicted: (h, w) bool, what the model drew, perhaps on a coarser grid than the mask.
        mask: (height, width) bool, the target.
        rng: click at a random position of the error; or None: at its deepest position, as the paper evaluates.

    Returns:
        (x, y) in pixels of `mask`, float32, and the label, 1 or 0. Without an error: a positive click inside the mask.
    """
    if predicted.shape != mask.shape:
        size = (mask.shape[1], mask.shape[0])
        predicted = np.asarray(Image.fromarray(predicted).resize(size, Image.Resampling.NEAREST))
    error = predicted != mask
    wrong = error if error.any() else mask
    click = centre_click(wrong) if rng is None else random_click(wrong, rng)
    return click, int(mask[int(click[1]), int(click[0])])
