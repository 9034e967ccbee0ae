"""Batches: scenes and first prompts as tensors, the same for a step in every process."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from sam_edu.scenes.prompts import MAX_VALID, PromptSets, sample_prompt_sets
from sam_edu.scenes.scene import Kind, Scene, draw_scene

TRAINING_STREAM = 1
"""First number of every training scene's seed; the test scenes have others, so that none is ever trained on."""
SLENDER_SHARE = 0.3
"""Share of the training scenes that are of the slender kind."""


@dataclass
class Batch:
    """Some images with the same number of prompt sets each.

    Attributes:
        image: images, colours 0 to 255.
        targets: per prompt set the valid masks at full size, 0 or 1, the target first.
        valid: which of the targets there are.
        clicks, boxes: in pixels of the scene.
        is_box: whether the box or the click is the prompt.
        labels: per level and pixel the number of the mask there, 0 for none.
        rngs: a random generator per image for the later rounds.
    """

    image: UInt8[Tensor, "images 3 size size"]
    targets: UInt8[Tensor, "sets targets size size"]
    valid: Bool[Tensor, "sets targets"]
    clicks: Float[Tensor, "sets 2"]
    boxes: Float[Tensor, "sets 4"]
    is_box: Bool[Tensor, "sets"]
    labels: Int[Tensor, "images levels size size"]
    rngs: list[np.random.Generator]


def draw_batch(seed: int, step: int, indices: range, prompt_sets: int, box_share: float) -> Batch:
    """The scenes of a step.

    Args:
        seed: of the whole run.
        step: number of the step.
        indices: which of the step's images; each process has its own.
        prompt_sets: per image.
        box_share: share of boxes among the prompts.

    Returns:
        the batch: a function of the arguments alone.
    """
    scenes: list[Scene] = []
    prompts: list[PromptSets] = []
    rngs = []
    for index in indices:
        slender = np.random.default_rng((TRAINING_STREAM, seed, step, index)).random() < SLENDER_SHARE
        kind: Kind = "slender" if slender else "ordinary"
        attempt = 0
        while len((scene := draw_scene((TRAINING_STREAM, seed, step, index, attempt), kind=kind)).masks) == 0:
            attempt += 1
        rng = np.random.default_rng((TRAINING_STREAM, seed, step, index, attempt, 1))
        scenes.append(scene)
        prompts.append(sample_prompt_sets(scene, prompt_sets, box_share, rng))
        rngs.append(rng)
    targets = np.concatenate(
        [s.masks[p.valid] & (p.valid >= 0)[..., None, None] for s, p in zip(scenes, prompts, strict=True)]
    )

    def gather(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(p, name) for p in prompts]))

    return Batch(
        image=torch.from_numpy(np.stack([s.image for s in scenes])).permute(0, 3, 1, 2),
        targets=torch.from_numpy(targets.view(np.uint8)),
        valid=gather("valid") >= 0,
        clicks=gather("click"),
        boxes=gather("box"),
        is_box=gather("is_box"),
        labels=torch.from_numpy(np.stack([label_map(s) for s in scenes])),
        rngs=rngs,
    )


def label_map(scene: Scene) -> np.ndarray:
    """(levels, size, size) int64: at each level the number of the mask at a pixel, from 1; 0 for none."""
    labels = np.zeros((MAX_VALID, *scene.image.shape[:2]), np.int64)
    for number, (mask, level) in enumerate(zip(scene.masks, scene.level, strict=True), start=1):
        labels[level][mask] = number
    return labels


def shrink(masks: UInt8[Tensor, "sets targets size size"], size: int) -> Float[Tensor, "sets targets small small"]:
    """Masks on a coarser grid: 1 where at least half of the pixels are."""
    masks = masks.float()
    if masks.shape[-1] == size:
        return masks
    return (F.avg_pool2d(masks, masks.shape[-1] // size) >= 0.5).float()
