"""First prompts for training: target masks, and a click and a box for each."""

from dataclasses import dataclass

import numpy as np

from sam_edu.scenes.boxes import noisy_box
from sam_edu.scenes.clicks import random_click
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
