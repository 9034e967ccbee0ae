"""Effects with their 95 % intervals, by a bootstrap over scenes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Effect(NamedTuple):
    """A mean change in IoU against the unchanged model, its 95 % interval, and the number of clicks."""

    mean: float
    low: float
    high: float
    prompts: int

    @property
    def clear(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


class SceneBootstrap:
    """Confidence intervals by drawing the scenes again with replacement, as the clicks of one scene belong together.

    Args:
        scenes: the number of the scene of each click.
    """

    def __init__(self, scenes: Sequence[int]) -> None:
        numbers = np.array(scenes)
        self._belongs = (np.unique(numbers)[:, None] == numbers).astype(float)  # (scenes, clicks)
        count = len(self._belongs)
        draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=2000)
        self._draws = draws.astype(float)  # (draws, scenes): how often each scene is drawn

    def effect(self, values: np.ndarray) -> Effect:
        """The mean of one value per click, (clicks,), with its interval."""
        means = (self._draws @ (self._belongs @ values)) / (self._draws @ self._belongs.sum(axis=1))
        low, high = np.percentile(means, [2.5, 97.5])
        return Effect(float(values.mean()), float(low), float(high), len(values))
