"""Matched random draws: sets of units drawn at random, of which as many fire as of a chosen set."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from sam_edu.arrays import as_numbers
from sam_edu.selections import Select, as_indices

LEAST_DRAWS = 20

RATES = (0.0, 0.05, 0.2, 0.5)
"""Units are matched by how often they fire: never; then up to each of these rates, and above the last."""


class AgainstDraws(NamedTuple):
    """The effect of a chosen set of units beside the effects of sets drawn at random.

    Attributes:
        effect: of the chosen set.
        mean: of the draws' effects.
        low, high: their 2.5 and 97.5 percentiles.
        below: how many draws have a smaller effect; half of those with the same.
        draws: how many there are.
    """

    effect: float
    mean: float
    low: float
    high: float
    below: float
    draws: int

    @property
    def p(self) -> float:
        """The chance that one more random draw lies as far out on its side, doubled for the two sides, at most 1.

        With n draws it is at least 2 / (n + 1): 20 draws can show 0.1, 39 are needed for 0.05.
        """
        return min(1.0, 2 * (min(self.below, self.draws - self.below) + 1) / (self.draws + 1))


def matched_draws(
    fires: Any, chosen: Select, *, generator: np.random.Generator, draws: int = 40
) -> Int[np.ndarray, "draws chosen"]:
    """Draw sets of units at random, matched to a chosen set by how often they fire.

    Question: does the chosen set matter more than any set as large? Most hidden units are silent at a click, and to
    ablate a silent unit changes nothing, so a set drawn among all units is nearly empty and everything looks
    important beside it. Here each draw has as many units that fire as the chosen set has.

    Draws are made among all units, the chosen ones too: "the chosen set is like any other" is then exactly the
    hypothesis that `AgainstDraws.p` is about.

    Args:
        fires: per unit whether it fires in this decode (bool), or in which share of many decodes it fires (0 to 1).
            Rates are matched in classes, see `RATES`. A unit fires where its activation is above zero.
        chosen: the units of the set: indices, or a bool per unit.
        generator: of the randomness.
        draws: how many sets.

    Returns:
        the units of each set, in ascending order.

    Raises:
        TypeError: no numbers, or indices that are no integers.
        ValueError: fewer than 20 draws; rates outside 0 to 1; an empty set; or a set that holds all units of its
            classes, so that every draw would be the set itself.
    """
    rates = as_numbers("fires", fires).astype(np.float64)
    if rates.ndim != 1 or not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"fires: expected a bool or a rate from 0 to 1 for each unit, got shape {rates.shape}")
    if draws < LEAST_DRAWS:
        raise ValueError(f"draws: expected at least {LEAST_DRAWS}, got {draws}")
    units = np.unique(as_indices("chosen", chosen, len(rates)))
    classes = np.searchsorted(RATES, rates)
    wanted = np.bincount(classes[units], minlength=len(RATES) + 1)
    members = [np.flatnonzero(classes == number) for number in range(len(wanted))]
    if all(number in (0, len(found)) for number, found in zip(wanted, members, strict=True)):
        raise ValueError(
            f"chosen: expected fewer than all units that fire as often, got all of them ({len(units)}), so there is no"
            " other set to draw; choose fewer"
        )
    pairs = [(found, number) for found, number in zip(members, wanted, strict=True) if number]
    sets = [
        np.sort(np.concatenate([generator.choice(found, number, replace=False) for found, number in pairs]))
        for _ in range(draws)
    ]
    return np.stack(sets)


def against_draws(effect: float, drawn: Float[np.ndarray, "draws"] | Any) -> AgainstDraws:
    """Compare the effect of a chosen set of units with the effects of drawn sets.

    Args:
        effect: of the chosen set, a mean over the prompts.
        drawn: of each set of `matched_draws`, the same mean.

    Raises:
        TypeError: no numbers.
        ValueError: fewer than 20 draws, or effects that are not finite.
    """
    effects = as_numbers("drawn", drawn).astype(np.float64)
    if effects.ndim != 1 or len(effects) < LEAST_DRAWS:
        raise ValueError(f"drawn: expected the effects of at least {LEAST_DRAWS} draws, got shape {effects.shape}")
    if not np.isfinite([effect, *effects]).all():
        raise ValueError("effect, drawn: expected finite effects, got others")
    low, high = np.percentile(effects, [2.5, 97.5])
    below = float((effects < effect).sum() + 0.5 * (effects == effect).sum())
    return AgainstDraws(float(effect), float(effects.mean()), float(low), float(high), below, len(effects))
