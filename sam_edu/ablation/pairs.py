"""Pairs of held-out clicks, for transplants: a decode of click A gets a tensor of the decode of click B.

Five kinds of pairs, all drawn from the same held-out scenes as `sam_edu.ablation.prompts`:

- *same mask*: two different random clicks on one target mask.
- *other object*: clicks on two objects of the scene. Their target masks have the same level and do not overlap.
- *other level*: a click on a mask and one on a part of it. The first lies on the mask, but not on the part. Each such
  pair comes twice, either way round.
- *no click in A*, *no click in B*: one click, the other decode has the padding token in the click's place.
"""

from itertools import combinations
from typing import Literal, NamedTuple, get_args

import numpy as np

from sam_edu.ablation.prompts import TEST_STREAM, Prompt, scene_and_prompts
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import Scene

PairKind = Literal["same mask", "other object", "other level", "no click in A", "no click in B"]

PAIR_KINDS: tuple[PairKind, ...] = get_args(PairKind)

MAX_OVERLAP = 0.05
"""The target masks of two objects have a smaller IoU than this."""

OTHER_OBJECTS = 3
"""At most this many pairs of the kind "other object" for each level of a scene."""


class Pair(NamedTuple):
    """Two clicks on one held-out scene.

    Attributes:
        kind: one of `PAIR_KINDS`.
        a: the click whose decode is changed. Where the kind says "no click in A", its decode gets the padding token in
            the click's place; the target mask is the same.
        b: the click whose decode the tensors are taken from. Likewise.
    """

    kind: PairKind
    a: Prompt
    b: Prompt

    @property
    def clicked(self) -> tuple[bool, bool]:
        """Whether the decode of A, and that of B, has a click."""
        return self.kind != "no click in A", self.kind != "no click in B"


def scene_and_pairs(number: int) -> tuple[Scene, list[Pair]]:
    """A held-out scene and its pairs of clicks, kind by kind: the same at every call."""
    scene, prompts = scene_and_prompts(number)
    rng = np.random.default_rng((TEST_STREAM, number, 3))
    pairs = [*_same_mask(scene, number, rng), *_other_object(scene, number, rng), *_other_level(scene, number, rng)]
    for prompt in prompts:  # both kinds of a click together: their two decodes are the same
        pairs += [Pair("no click in A", prompt, prompt), Pair("no click in B", prompt, prompt)]
    return scene, pairs


def _same_mask(scene: Scene, number: int, rng: np.random.Generator) -> list[Pair]:
    """One pair for each level that the scene has."""
    pairs = []
    for level in np.unique(scene.level):
        mask = int(rng.choice(np.flatnonzero(scene.level == level)))
        first = _click(scene, number, mask, scene.masks[mask], rng)
        rest = scene.masks[mask].copy()
        rest[first.y, first.x] = False
        pairs.append(Pair("same mask", first, _click(scene, number, mask, rest, rng)))
    return pairs


def _other_object(scene: Scene, number: int, rng: np.random.Generator) -> list[Pair]:
    """Up to `OTHER_OBJECTS` pairs for each level, either mask being A with the same chance."""
    objects = objects_of(scene)
    pairs = []
    for level in np.unique(scene.level):
        masks = [int(i) for i in np.flatnonzero(scene.level == level)]
        apart = [
            (i, j)
            for i, j in combinations(masks, 2)
            if objects[i] != objects[j] and overlap(scene.masks[i], scene.masks[j]) < MAX_OVERLAP
        ]
        for chosen in rng.permutation(len(apart))[:OTHER_OBJECTS]:
            a, b = rng.permutation(apart[chosen]).tolist()
            clicks = [_click(scene, number, mask, scene.masks[mask], rng) for mask in (a, b)]
            pairs.append(Pair("other object", *clicks))
    return pairs


def _other_level(scene: Scene, number: int, rng: np.random.Generator) -> list[Pair]:
    """One object with a part, and one part with a sub-part, where there are such; each either way round."""
    pairs = []
    for level in (1, 2):
        parts = np.flatnonzero(scene.level == level)
        if not len(parts):
            continue
        part = int(rng.choice(parts))
        whole = int(scene.parent[part])
        outer = _click(scene, number, whole, scene.masks[whole] & ~scene.masks[part], rng)
        inner = _click(scene, number, part, scene.masks[part], rng)
        pairs += [Pair("other level", outer, inner), Pair("other level", inner, outer)]
    return pairs


def objects_of(scene: Scene) -> list[int]:
    """The number of the object that each mask belongs to: its outermost mask."""
    objects = []
    for mask in range(len(scene.masks)):
        while scene.parent[mask] >= 0:
            mask = int(scene.parent[mask])
        objects.append(mask)
    return objects


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two masks, (height, width) bool, that are not both empty."""
    return float((a & b).sum() / (a | b).sum())


def _click(scene: Scene, number: int, mask: int, pixels: np.ndarray, rng: np.random.Generator) -> Prompt:
    """A random click on some pixels of a mask."""
    x, y = random_click(pixels, rng)
    return Prompt(number, mask, int(scene.level[mask]), int(x), int(y), int(scene.masks[mask].sum()))
