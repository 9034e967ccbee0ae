"""Prompts for training and evaluation: target masks, and clicks and boxes for them."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sam_edu.scenes.scene import Scene

MAX_VALID = 3
"""At most this many masks are valid for one click: object, part, sub-part."""

LEVEL_SHARE = (0.38, 0.34, 0.28)
"""How often the target of a training prompt is an object, a part, a sub-part, where the scene has one."""


@dataclass(frozen=True)
class PromptSets:
    """First prompts on one scene, one row each.

    Attributes:
        target: (k,) index of the target mask.
        valid: (k, 3) indices of the masks that are right for this prompt, padded with -1: for a click every mask that
            holds it; for a box the target alone. The first column is the target mask.
        click: (k, 2) float32 (x, y) in pixels of the scene.
        box: (k, 4) float32 (x0, y0, x1, y1) in pixels.
        is_box: (k,) bool: the prompt is the box, and not the click.
    """

    target: np.ndarray
    valid: np.ndarray
    click: np.ndarray
    box: np.ndarray
    is_box: np.ndarray


def sample_prompt_sets(scene: Scene, count: int, box_share: float, rng: np.random.Generator) -> PromptSets:
    """Draw `count` first prompts for a scene that has at least one mask.

    Raises:
        ValueError: a scene without masks.
    """
    if len(scene.masks) == 0:
        raise ValueError("scene: expected at least one mask, got none")
    weight = np.array(LEVEL_SHARE)[scene.level]
    weight = weight / np.array([max(1, (scene.level == level).sum()) for level in range(3)])[scene.level]
    target = rng.choice(len(scene.masks), size=count, p=weight / weight.sum())
    is_box = rng.random(count) < box_share
    click = np.stack([random_click(scene.masks[i], rng) for i in target])
    box = np.stack([noisy_box(scene.masks[i], rng) for i in target])
    valid = np.full((count, MAX_VALID), -1)
    for row, (i, (x, y)) in enumerate(zip(target, click, strict=True)):
        right = [i] if is_box[row] else masks_at(scene, int(x), int(y), int(i))
        valid[row, : len(right)] = right
    return PromptSets(target, valid, click, box, is_box)


def masks_at(scene: Scene, x: int, y: int, first: int) -> list[int]:
    """Indices of the masks that hold pixel (x, y), `first` leading, at most `MAX_VALID`."""
    others = [int(i) for i in np.flatnonzero(scene.masks[:, y, x]) if i != first]
    return [int(first), *others][:MAX_VALID]


def random_click(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pixel (x, y) of a mask, each as likely as every other; float32."""
    ys, xs = np.nonzero(mask)
    i = rng.integers(len(xs))
    return np.array([xs[i], ys[i]], np.float32)


def centre_click(mask: np.ndarray) -> np.ndarray:
    """The pixel (x, y) of a mask that is deepest inside: the last to go under repeated erosion; float32.

    Of several that go last, the one nearest to the mask's centre of mass.
    """
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


def tight_box(mask: np.ndarray) -> np.ndarray:
    """The smallest box (x0, y0, x1, y1) that holds a mask, in pixels, both ends inclusive; float32."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([xs[0], ys[0], xs[-1], ys[-1]], np.float32)


def noisy_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask's box with Gaussian noise of a tenth of its sides, at most 5 pixels (paper, appendix A: 20 of 1024)."""
    height, width = mask.shape
    box = tight_box(mask)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2) + 1
    noise = np.clip(rng.normal(0.0, 0.1, 4) * sides, -5, 5)
    return np.clip(box + noise, 0, [width - 1, height - 1] * 2).astype(np.float32)


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
