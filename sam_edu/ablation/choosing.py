"""Choosing held-out clicks: as they are, or by their numbers in the package's statistics."""

from collections.abc import Iterable, Iterator

import numpy as np
from torch import Tensor

from sam_edu.ablation.prompts import Prompt, scene_and_prompts
from sam_edu.ablation.results import COMMAND, load
from sam_edu.scenes.scene import Scene
from sam_edu.selections import Select, as_indices


def chosen_prompts(prompts: Select | Iterable[Prompt | int | np.integer]) -> list[Prompt]:
    """Clicks as they are; numbers, also as a slice or a mask with a bool for each, as the clicks of these numbers."""
    given = prompts if isinstance(prompts, slice | np.ndarray | Tensor) else list(prompts)  # type: ignore[arg-type]
    if isinstance(given, list) and all(isinstance(one, Prompt) for one in given):
        return given
    known = load().prompts
    if isinstance(given, list) and any(isinstance(one, Prompt) for one in given):
        return [one if isinstance(one, Prompt) else known[as_indices("prompts", one, len(known))[0]] for one in given]
    return [known[i] for i in as_indices("prompts", given, len(known))]


def drawn_again(prompts: Select | Iterable[Prompt | int | np.integer]) -> Iterator[tuple[Prompt, Scene]]:
    """Clicks or their numbers, as clicks with their scenes.

    Raises:
        ValueError: a prompt that is none of the held-out ones.
    """
    number = None
    for prompt in chosen_prompts(prompts):
        if prompt.scene != number:
            scene, drawn = scene_and_prompts(prompt.scene)
            number = prompt.scene
        if prompt not in drawn:
            raise ValueError(f"{prompt}: is none of the held-out clicks; {COMMAND} draws them anew")
        yield prompt, scene
