"""95 % intervals by a bootstrap over scenes, for scores and for effects of ablations."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sam_edu.argument_checks import as_count
from sam_edu.arrays import as_numbers, shorten


class Interval(NamedTuple):
    """A mean, or a ratio of means, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


class SceneBootstrap:
    """Confidence intervals by drawing the scenes again with replacement, as the values of one scene belong together.

    Args:
        scenes: the number of the scene of each value.
        drawn: (draws, scenes): how often each scene is drawn, scenes in ascending order of their numbers;
            `multinomial_draws` by default.

    Raises:
        TypeError: something else than numbers.
        ValueError: no scene, or draws of other scenes.
    """

    def __init__(self, scenes: Sequence[int], drawn: np.ndarray | None = None) -> None:
        numbers = as_numbers("scenes", scenes)
        if numbers.ndim != 1 or not numbers.size:
            raise ValueError(
                f"scenes: expected the number of the scene of each value, at least one, got {shorten(scenes)}"
            )
        self._belongs = (np.unique(numbers)[:, None] == numbers).astype(float)  # (scenes, values)
        count = len(self._belongs)
        counts = multinomial_draws(count) if drawn is None else as_numbers("drawn", drawn)
        if counts.ndim != 2 or not len(counts) or counts.shape[1] != count:
            raise ValueError(f"drawn: expected shape (draws, {count}), a column for each scene, got {counts.shape}")
        self._drawn = counts.astype(float)

    def interval(self, values: np.ndarray) -> Interval:
        """The mean of one value each, (values,), with its interval.

        Raises:
            TypeError: something else than numbers.
            ValueError: more or fewer values than scenes were given, or one that is not finite.
        """
        values = as_numbers("values", values)
        if values.shape != self._belongs.shape[1:]:
            raise ValueError(
                f"values: expected {self._belongs.shape[1]}, one for each scene number, got shape {values.shape}"
            )
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise ValueError(
                f"values: expected finite numbers, got NaN or infinity in {bad} of {values.size}; leave these cases out"
            )
        means = (self._drawn @ (self._belongs @ values)) / (self._drawn @ self._belongs.sum(axis=1))
        low, high = np.percentile(means, [2.5, 97.5])
        return Interval(float(values.mean()), float(low), float(high))

    def ratio(self, numerators: np.ndarray, denominators: np.ndarray) -> Interval:
        """The ratio of two means, one value of each (values,), with its interval.

        In every draw of the scenes both means are formed anew. The mean of the single ratios is something else, and
        unstable where a denominator is near zero.
        """
        sums, others = (self._drawn @ (self._belongs @ values) for values in (numerators, denominators))
        low, high = np.percentile(sums / others, [2.5, 97.5])
        return Interval(float(numerators.mean() / denominators.mean()), float(low), float(high))


def multinomial_draws(scenes: int, draws: int = 2000) -> np.ndarray:
    """Draws of as many scenes as there are, all at once: (draws, scenes) counts. Effects are measured with these.

    Raises:
        TypeError, ValueError: no whole numbers above zero.
    """
    scenes, draws = as_count("scenes", scenes), as_count("draws", draws)
    return np.random.default_rng(0).multinomial(scenes, np.full(scenes, 1 / scenes), size=draws)


def single_draws(scenes: int, draws: int = 1000) -> np.ndarray:
    """The same, scene by scene: other random numbers, those of the scores in the model card. Errors as above."""
    scenes, draws = as_count("scenes", scenes), as_count("draws", draws)
    picked = np.random.default_rng(0).integers(0, scenes, (draws, scenes))
    return np.stack([np.bincount(one, minlength=scenes) for one in picked])
