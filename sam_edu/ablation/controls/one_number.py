"""One number before many: what one number explains, before many numbers are said to explain it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sam_edu.arrays import as_numbers

FOLDS = 5


@dataclass(frozen=True, eq=False)
class OneBeforeMany:
    """How much of some targets several numbers explain, beside one of them and beside random ones.

    Every share is of the targets' variance on scenes that the fit has not seen: 1 - error / variance about the mean of
    the scenes that it has seen. A constant explains 0; a fit that does worse than a constant is below 0.

    Attributes:
        many: what all k numbers explain.
        one: what one number explains: their mean or a single one of them, whichever is best on the scenes of the fit.
        drawn: what k random numbers explain, draw by draw, (draws,).
        constant: the share of the targets' squared length (about 0, not about their mean) that the best constant
            explains. If it is near 1, any "explained share" about 0 is large whatever the numbers are.
    """

    many: float
    one: float
    drawn: Float[np.ndarray, "draws"]
    constant: float


def one_before_many(
    numbers: Float[np.ndarray, "samples k"] | Any,
    targets: Float[np.ndarray, "samples targets"] | Any,
    scenes: Int[np.ndarray, "samples"] | Any,
    *,
    generator: np.random.Generator,
    pool: Float[np.ndarray, "samples all"] | Any | None = None,
    draws: int = 20,
) -> OneBeforeMany:
    """Compare what k numbers explain with what one explains, and with k random numbers.

    Question: are these k numbers needed to explain the targets by 98 %? Perhaps their mean explains 99 %, or any k
    directions do. All fits are linear, by least squares in float64 with an intercept; they are fitted on some scenes
    and judged on others (5 folds), so that more numbers are not better by their number alone.

    Args:
        numbers: the k numbers of each sample.
        targets: what they are said to explain, one or several values per sample, (samples,) or (samples, targets).
        scenes: the number of each sample's scene. Samples of one scene, such as its pixels, stay together.
        generator: of the randomness: folds and draws.
        pool: all numbers of each sample, of which the k were taken, such as the 256 channels. The random numbers are
            then k random directions of the pool. By default they are the same k numbers of other samples, at random.
        draws: of k random numbers.

    Raises:
        TypeError: no numbers.
        ValueError: arrays that do not have the same samples, fewer scenes than folds, values that are not finite,
            targets without variance, or a pool of fewer than k numbers.
    """
    arrays = {"numbers": numbers, "targets": targets, "scenes": scenes, "pool": numbers if pool is None else pool}
    x, y, scene, everything = (_as_table(name, value) for name, value in arrays.items())
    for name, array in zip(arrays, (x, y, scene, everything), strict=True):
        if len(array) != len(x):
            raise ValueError(f"{name}: expected {len(x)} samples, got {len(array)}")
    found, belongs = np.unique(scene[:, 0], return_inverse=True)
    if len(found) < FOLDS:
        raise ValueError(f"scenes: expected at least {FOLDS}, got {len(found)}")
    if everything.shape[1] < x.shape[1]:
        raise ValueError(f"pool: expected at least {x.shape[1]} numbers, got {everything.shape[1]}")
    if not np.ptp(y, axis=0).any():
        raise ValueError("targets: expected values that differ, got constants")
    fold = (generator.permutation(len(found)) % FOLDS)[belongs]
    single = np.concatenate([x.mean(axis=1, keepdims=True), x], axis=1)

    def random_numbers() -> np.ndarray:
        if pool is None:
            return x[generator.permutation(len(x))]
        return everything @ generator.normal(size=(everything.shape[1], x.shape[1]))

    mean = y.mean(axis=0)
    return OneBeforeMany(
        many=_explained(x, y, fold),
        one=_explained_by_best(single, y, fold),
        drawn=np.array([_explained(random_numbers(), y, fold) for _ in range(draws)]),
        constant=float(len(y) * (mean @ mean) / (y**2).sum()),
    )


def _as_table(name: str, value: Any) -> Float[np.ndarray, "samples columns"]:
    array = as_numbers(name, value).astype(np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name}: expected (samples, numbers), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got others")
    return array


def _explained(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """The share of the variance that a linear fit explains, fold by fold on the samples that it has not seen."""
    error = variance = 0.0
    for number in range(FOLDS):
        seen, new = fold != number, fold == number
        error += _squared_error(x, y, seen, new)
        variance += ((y[new] - y[seen].mean(axis=0)) ** 2).sum()
    return float(1 - error / variance)


def _explained_by_best(columns: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """The same for the single column that fits best on what each fold's fit has seen."""
    error = variance = 0.0
    for number in range(FOLDS):
        seen, new = fold != number, fold == number
        each = [columns[:, [i]] for i in range(columns.shape[1])]
        best = min(each, key=lambda column: _squared_error(column, y, seen, seen))
        error += _squared_error(best, y, seen, new)
        variance += ((y[new] - y[seen].mean(axis=0)) ** 2).sum()
    return float(1 - error / variance)


def _squared_error(x: np.ndarray, y: np.ndarray, seen: np.ndarray, new: np.ndarray) -> float:
    """On new samples, of the least-squares fit with intercept on those seen."""
    x_mean, y_mean = x[seen].mean(axis=0), y[seen].mean(axis=0)
    slopes = np.linalg.lstsq(x[seen] - x_mean, y[seen] - y_mean, rcond=None)[0]
    return float(((y[new] - y_mean - (x[new] - x_mean) @ slopes) ** 2).sum())
