"""Batches: scenes and first prompts as tensors, the same for a step in every process."""

from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from sam_edu.scenes.prompts import MAX_VALID, PromptSets, sample_prompt_sets
from sam_edu.scenes.scene import Kind, Scene, draw_scene
from sam_edu.training.corrections import DRAWS
from sam_edu.training.sources import Sources

TRAINING_STREAM = 1
"""First number of every training scene's seed; the test scenes have others, so that none is ever trained on."""
ANNOTATED_STREAM = 12
"""First number of the seeds that choose annotated images and pieces of them."""
SLENDER_SHARE = 0.3
"""Share of the training scenes that are of the slender kind."""
MOST_ROUNDS = 5
"""At most this many rounds of corrections follow the first."""
GROUPING_GRID, GROUPING_PIXELS = 32, 128
"""The grouping loss compares this many positions of a grid of this size in each image."""


@dataclass
class Batch:
    """Some images with the same number of prompt sets each.

    Attributes:
        image: images, colours 0 to 255.
        targets: per prompt set the valid masks at full size, 0 or 1, the target first.
        valid: which of the targets there are.
        clicks, boxes: in pixels of the scene.
        is_box: whether the box or the click is the prompt.
        draws: for each later round a whole number from 0 up to `DRAWS`: where a click into the error falls.
        labels: per level and position of the grouping loss's grid the number of the mask there, 0 for none.
        grouping: per image, which positions of that grid are compared.
    """

    image: UInt8[Tensor, "images 3 size size"]
    targets: UInt8[Tensor, "sets targets size size"]
    valid: Bool[Tensor, "sets targets"]
    clicks: Float[Tensor, "sets 2"]
    boxes: Float[Tensor, "sets 4"]
    is_box: Bool[Tensor, "sets"]
    draws: Int[Tensor, "sets rounds"]
    labels: Int[Tensor, "images levels grid grid"]
    grouping: Int[Tensor, "images positions"]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        return replace(self, **moved)

    def packed(self) -> dict[str, np.ndarray]:
        """The batch as arrays, eight pixels of a target in a byte: an eighth of what a process has to send."""
        arrays = {name: value.numpy() for name, value in vars(self).items()}
        return arrays | {"targets": np.packbits(arrays["targets"], axis=-1)}

    @classmethod
    def unpacked(cls, arrays: dict[str, np.ndarray]) -> "Batch":
        """The batch that `packed` made arrays of."""
        targets = np.unpackbits(arrays["targets"], axis=-1, count=arrays["image"].shape[-1])
        return cls(**{name: torch.from_numpy(value) for name, value in (arrays | {"targets": targets}).items()})


def draw_batch(seed: int, step: int, indices: range, prompt_sets: int, box_share: float, sources: Sources) -> Batch:
    """The scenes of a step.

    Args:
        seed: of the whole run.
        step: number of the step.
        indices: which of the step's images; each process has its own.
        prompt_sets: per image.
        box_share: share of boxes among the prompts.
        sources: images other than the drawn scenes.

    Returns:
        the batch: a function of the arguments alone.
    """
    scenes: list[Scene] = []
    prompts: list[PromptSets] = []
    draws, grouping = [], []
    for index in indices:
        scene, attempt = scene_of(seed, step, index, sources)
        rng = np.random.default_rng((TRAINING_STREAM, seed, step, index, attempt, 1))
        scenes.append(scene)
        prompts.append(sample_prompt_sets(scene, prompt_sets, box_share, rng))
        draws.append(rng.integers(DRAWS, size=(prompt_sets, MOST_ROUNDS)))
        grouping.append(rng.choice(GROUPING_GRID**2, GROUPING_PIXELS, replace=False))
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
        draws=torch.from_numpy(np.concatenate(draws)),
        labels=torch.from_numpy(np.stack([label_map(s) for s in scenes])),
        grouping=torch.from_numpy(np.stack(grouping)),
    )


def scene_of(seed: int, step: int, index: int, sources: Sources) -> tuple[Scene, int]:
    """An image of a step: drawn, until it has a mask, or annotated. Also returns how often it was drawn again."""
    if sources.annotated is not None:
        rng = np.random.default_rng((ANNOTATED_STREAM, seed, step, index))
        if rng.random() < sources.annotated_share:
            return sources.annotated.scene(rng), 0
    slender = np.random.default_rng((TRAINING_STREAM, seed, step, index)).random() < SLENDER_SHARE
    kind: Kind = "slender" if slender else "ordinary"
    for attempt in count():
        seeds = (TRAINING_STREAM, seed, step, index, attempt)
        scene = draw_scene(seeds, kind=kind, photographs=sources.photographs)
        if len(scene.masks):
            break
    return scene, attempt


def label_map(scene: Scene, grid: int = GROUPING_GRID) -> np.ndarray:
    """(levels, grid, grid) int64: at each level the number of the mask in the middle of a cell, from 1; 0 for none."""
    stride = scene.image.shape[0] // grid
    labels = np.zeros((MAX_VALID, grid, grid), np.int64)
    for number, (mask, level) in enumerate(zip(scene.masks, scene.level, strict=True), start=1):
        labels[level][mask[stride // 2 :: stride, stride // 2 :: stride]] = number
    return labels


def shrink(masks: UInt8[Tensor, "sets targets size size"], size: int) -> Float[Tensor, "sets targets small small"]:
    """Masks on a coarser grid: 1 where at least half of the pixels are."""
    masks = masks.float()
    if masks.shape[-1] == size:
        return masks
    return (F.avg_pool2d(masks, masks.shape[-1] // size) >= 0.5).float()
