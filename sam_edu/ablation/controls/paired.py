"""Effects from paired measurements: the same prompts before and after."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from sam_edu.ablation.results import Effect
from sam_edu.arrays import as_numbers
from sam_edu.evaluation.intervals import SceneBootstrap


def paired_effect(
    after: Float[np.ndarray, "prompts"] | Any, before: Float[np.ndarray, "prompts"] | Any, scenes: Sequence[int] | Any
) -> Effect:
    """The mean change from one measurement to another of the same prompts, with its 95 % interval by scene.

    Question: by how much does the second differ from the first? Each prompt is compared with itself, so that easy and
    hard prompts cancel; scenes are drawn and not prompts, as those of one scene are not independent. Where the effect
    is not clear, `.at_most` gives the size that the interval still allows. That is what may be said, not "equal".

    Args:
        after, before: one value per prompt.
        scenes: the number of each prompt's scene.

    Raises:
        TypeError: other than numbers.
        ValueError: not one value and one scene per prompt, no prompt, or a value that is not finite.
    """
    arrays = {"after": as_numbers("after", after), "before": as_numbers("before", before)}
    numbers = as_numbers("scenes", scenes)
    for name, array in arrays.items():
        if array.shape != numbers.shape or array.ndim != 1 or not array.size:
            raise ValueError(f"{name}: expected one value for each of {numbers.size} prompts, got shape {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite values, got {int((~np.isfinite(array)).sum())} others")
    change = arrays["after"].astype(np.float64) - arrays["before"]
    return Effect(*SceneBootstrap(numbers.tolist()).interval(change), len(change))
