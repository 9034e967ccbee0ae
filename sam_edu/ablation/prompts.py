"""The held-out clicks: one random click on a mask of each level (object, part, sub-part) of each held-out scene."""

from typing import NamedTuple

import numpy as np

from sam_edu.argument_checks import as_count
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import Scene, draw_scene

TEST_STREAM, FIRST_SCENE = 3, 1000
"""First numbers of the seeds of the held-out scenes. They come from the stream of the test scenes, after those of the
published scores, so neither training nor the scores used them."""

SCENES = 100
"""How many there are."""

CLICKS = 8
"""How many clicks a prompt has at the end of its corrections."""


class Prompt(NamedTuple):
    """A held-out click.

    Attributes:
        scene: number of its scene in the stream.
        mask: number of the target mask in the scene.
        level: 0 object, 1 part, 2 sub-part.
        x, y: where the click is, in pixels.
        area: of the target mask, in pixels.
    """

    scene: int
    mask: int
    level: int
    x: int
    y: int
    area: int


def prompts_of(number: int) -> tuple[np.ndarray, np.ndarray, list[Prompt]]:
    """A held-out scene's image (256, 256, 3), its masks, and a random click on one mask of each level that it has."""
    scene, prompts = scene_and_prompts(number)
    return scene.image, scene.masks, prompts


def scene_and_prompts(number: int) -> tuple[Scene, list[Prompt]]:
    """A held-out scene as it is drawn, and the same clicks.

    Raises:
        TypeError, ValueError: the number is no whole number, or is below 0.
    """
    number = as_count("number", number, 0)
    scene = draw_scene((TEST_STREAM, number))
    rng = np.random.default_rng((TEST_STREAM, number, 1))
    prompts = []
    for level in np.unique(scene.level):
        mask = int(rng.choice(np.flatnonzero(scene.level == level)))
        x, y = random_click(scene.masks[mask], rng)
        prompts.append(Prompt(number, mask, int(level), int(x), int(y), int(scene.masks[mask].sum())))
    return scene, prompts
