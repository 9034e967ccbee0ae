"""Split-half selection: what is chosen on one half of the scenes is reported on the other half."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from sam_edu.ablation.controls.paired import paired_effect
from sam_edu.ablation.results import Effect
from sam_edu.argument_checks import as_choice
from sam_edu.arrays import as_numbers

Z = 2.2414
"""Half the width of a normal distribution's 97.5 % interval, in standard errors."""


@dataclass(frozen=True, eq=False)
class SplitHalf:
    """What is chosen from several candidates, and its effect on scenes that did not choose it.

    Attributes:
        wins: in which share of the splits each candidate was chosen, (candidates,). If another one wins in every other
            split, "the largest" says little.
        winner: the candidate that was chosen most often.
        effect: of the one that was chosen, on the other half; mean over the splits. This is the number to report.
        low, high: its 95 % interval: the medians over the splits of the ends of each split's 97.5 % interval by scene.
            Each is honest, as its half did not choose; that the splits overlap is paid for by 97.5 in place of 95
            (Meinshausen, Meier, Buehlmann 2009, "p-values for high-dimensional regression": twice the median p-value).
            It is about 1.6 times as wide as an interval over all scenes: the price of the choice.
        per_split: the effect on the other half, split by split, (splits,).
        naive: the effect of the candidate that is chosen on all scenes, on all scenes, with the interval that does not
            know of the choice. It is too large, and the interval too sure.
        naive_winner: that candidate.
    """

    wins: Float[np.ndarray, "candidates"]
    winner: int
    effect: float
    low: float
    high: float
    per_split: Float[np.ndarray, "splits"]
    naive: Effect
    naive_winner: int


def split_half(
    effects: Float[np.ndarray, "candidates prompts"] | Any,
    scenes: Any,
    *,
    choose: Literal["lowest", "highest"],
    generator: np.random.Generator,
    splits: int = 1000,
) -> SplitHalf:
    """Choose a candidate on one half of the scenes, report it on the other; over many random splits.

    Question: how large is the largest effect, really? The largest of 56 effects that are all zero is not zero: it is
    the largest of 56 noises, and its interval knows nothing of the choice. On scenes that did not choose it, noise is
    zero again.

    Args:
        effects: of each candidate at each prompt.
        scenes: the number of each prompt's scene. Scenes are split, never the prompts of one scene.
        choose: "lowest", what costs most where effects are changes in IoU; or "highest".
        generator: of the randomness.
        splits: how many.

    Raises:
        TypeError: no numbers.
        ValueError: fewer than two candidates or four scenes, not a scene for each prompt, effects that are not finite,
            another `choose`, or no split.
    """
    values, numbers = as_numbers("effects", effects).astype(np.float64), as_numbers("scenes", scenes)
    if values.ndim != 2 or len(values) < 2 or numbers.shape != values.shape[1:]:
        raise ValueError(
            "effects: expected (candidates, prompts) with at least 2 candidates and a scene for each prompt, got shape "
            f"{values.shape} and scenes of shape {numbers.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("effects: expected finite numbers, got others")
    as_choice("choose", choose, ("lowest", "highest"))
    if splits < 1:
        raise ValueError(f"splits: expected at least 1, got {splits}")
    found, belongs = np.unique(numbers, return_inverse=True)
    if len(found) < 4:
        raise ValueError(f"scenes: expected at least 4, two in each half, got {len(found)}")
    signed = values if choose == "highest" else -values
    # In each split a random half of the scenes chooses; one more than half where their number is odd.
    order = np.argsort(generator.random((splits, len(found))), axis=1)
    choosing = np.zeros((splits, len(found)), bool)
    np.put_along_axis(choosing, order[:, : (len(found) + 1) // 2], True, axis=1)
    chooses = choosing[:, belongs]  # (splits, prompts)
    means = (chooses @ signed.T) / chooses.sum(axis=1, keepdims=True)
    chosen = means.argmax(axis=1)
    counts = np.bincount(belongs)  # prompts of each scene
    sums = np.stack([np.bincount(belongs, row, len(found)) for row in values])[chosen]  # (splits, scenes)
    n = (~choosing @ counts)[:, None]
    per_split = (sums * ~choosing).sum(axis=1, keepdims=True) / n
    deviation = (sums - per_split * counts) * ~choosing / n
    few = len(found) // 2  # scenes that report
    error = Z * np.sqrt((deviation**2).sum(axis=1) * few / (few - 1))
    wins = np.bincount(chosen, minlength=len(values)) / splits
    naive = int(signed.mean(axis=1).argmax())
    return SplitHalf(
        wins=wins,
        winner=int(wins.argmax()),
        effect=float(per_split.mean()),
        low=float(np.median(per_split[:, 0] - error)),
        high=float(np.median(per_split[:, 0] + error)),
        per_split=per_split[:, 0],
        naive=paired_effect(values[naive], np.zeros_like(values[naive]), numbers),
        naive_winner=naive,
    )
