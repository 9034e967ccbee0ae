"""HiddenUnits: the hidden units of step (3) at the held-out clicks: which fire, and which carry the click.

    units = ablation.load_hidden_units()
    units.firing()                       # how many of the 2048 fire, (prompts, blocks, tokens)
    units.effect("mean", 205)            # the tenth of the units that varies most, replaced by its mean
    units.against_draws("mean", 205)     # the same beside random tenths of units that fire as often

They stand in the file of `sam_edu.ablation.load`, in arrays whose names begin with "units.".

**Fires**: the activation, after the ReLU, is above zero. The **rate** of a unit is the share of the prompts at which it
fires for at least one token.
**Chosen** are the units of each block whose contribution varies most from click to click: the variance of the
activation over the clicks, summed over the tokens, times the squared length of the unit's column of `lin2`. It is the
mean squared length of what replacing the unit by its mean removes. Each half of the scenes reports what the other half
chose: scenes of even numbers what those of odd numbers chose, and the reverse.
**Draws** are random sets of as many units of each block, matched by their rate on the half that chose
(`controls.matched_draws`). Each of the 20 is measured at a quarter of the scenes, five at every click.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from sam_edu.ablation.changes import HIDDEN
from sam_edu.ablation.controls.matched_draws import AgainstDraws, against_draws
from sam_edu.ablation.results import COMMAND, Effect, Measure, Statistics, column, read
from sam_edu.evaluation.intervals import SceneBootstrap

SetWay = Literal["mean", "resample", "others mean"]

SETS: tuple[tuple[SetWay, int], ...] = (("mean", 205), ("resample", 205), ("others mean", 205))
"""How sets of units are replaced, and how many units of each block a set holds: a tenth.

"mean": the set becomes its mean over the held-out clicks, token by token; "resample": its value at another click, on
another scene; "others mean": all units *but* the set become their mean. Always in both blocks.
"""

SIZES = (205,)

DRAWS = 20
"""Random sets for each chosen one."""

PARTS_OF_SCENES = 4
"""Draw number i is measured at the scenes whose number leaves the same rest as i when divided by this."""

DRAWS_AT_CLICK = DRAWS // PARTS_OF_SCENES

DRAWN_MEASURES: tuple[Measure, ...] = ("best", "margin")
"""What is stored of the draws."""

NO_RELU = ("without ReLU", "without ReLU, usual length", "usual direction, length of without ReLU")
"""Step (3) of both blocks without its ReLU: as it comes out; scaled to the length that the update has with the ReLU;
and the update with the ReLU, scaled to the length that it has without. The bias of `lin2` is added afterwards."""

UNIT_MODELS = ("trained", "untrained", "reshuffled")
MIRROR_MODELS = UNIT_MODELS[:2]

RATES_OF = ("clicks", "boxes", "untrained", "reshuffled")
"""Of which decodes rates are stored: the trained model at clicks and at their exact boxes; the controls at clicks."""

SHARED = ("other token, same click", "same token, other scene", "other token, other scene")
"""Of which two tokens: the share of the units of the one that fire for the other."""

MIRROR = ("same position", "same part of the image", "other image, same position", "other unit, same position")
"""With what the map of a unit is correlated; see `sam_edu.ablation.mirrored_units`."""

DEFINITION = json.dumps([SETS, DRAWS, PARTS_OF_SCENES, NO_RELU, UNIT_MODELS, RATES_OF, SHARED, MIRROR])
"""The text that is stored with the numbers. Another text means other measurements."""

_ARRAYS = (
    "definition",
    "chosen",
    "rates",
    "firing",
    "shared",
    "exits",
    "updates",
    "sets",
    "drawn",
    "no_relu",
    "mirror",
    "mirror_scenes",
)
UNIT_ARRAYS = tuple(f"units.{name}" for name in _ARRAYS)
"""The arrays of the file."""


class HiddenUnits:
    """The measurements of the hidden units.

    Args:
        data: the arrays of the file, as `sam_edu.ablation.hidden_unit_measuring` makes them.

    Attributes:
        chosen: numbers of the units that scenes of even and of odd number report, (2, blocks, 205), those that vary
            most first.
        mirror_scenes: number of the scene of each row of `mirror`.

    Raises:
        ValueError: they were not measured, or other things were than today's.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        if any(name not in data for name in UNIT_ARRAYS) or str(data["units.definition"]) != DEFINITION:
            raise ValueError(f"the file lacks the hidden units as they are now: {COMMAND} --only units measures them")
        self.chosen, self.mirror_scenes = (
            np.asarray(data[f"units.{name}"], np.int64) for name in ("chosen", "mirror_scenes")
        )
        self._data = {name: np.asarray(data[f"units.{name}"], np.float64) for name in _ARRAYS[2:-1]}
        self._stats = Statistics(data)
        self._part = np.array([prompt.scene % PARTS_OF_SCENES for prompt in self._stats.prompts])

    def interval(self, values: np.ndarray) -> Effect:
        """The mean of anything measured at each click, with its interval: `Statistics.interval`."""
        return self._stats.interval(values)

    # --- Which units fire ---

    def rates(self, of: str = "clicks") -> Float[np.ndarray, "blocks units"]:
        """The share of the held-out prompts at which each unit fires for at least one token.

        Args:
            of: one of `RATES_OF`.

        Raises:
            ValueError: another one.
        """
        return self._data["rates"][_index("of", of, RATES_OF)]

    def firing(self, model: str = "trained") -> Float[np.ndarray, "prompts blocks tokens"]:
        """The share of the 2048 units that fires for each token.

        Args:
            model: "trained"; or, as controls, "untrained" or "reshuffled" (`controls.untrained`, `.reshuffled`).

        Raises:
            ValueError: another model.
        """
        return self._data["firing"][:, _index("model", model, UNIT_MODELS)] / HIDDEN

    def shared(self, which: str, block: int, model: str = "trained") -> Effect:
        """Of the units that fire for a token, the share that fires for another one too, mean over such pairs.

        Args:
            which: one of `SHARED`.
            block: 0 or 1.
            model: as for `firing`.

        Raises:
            ValueError: another one of these.
        """
        where = _index("model", model, UNIT_MODELS), _index("block", block, (0, 1)), _index("which", which, SHARED)
        return self.interval(self._data["shared"][:, *where])

    def exits(self, model: str = "trained") -> Float[np.ndarray, "prompts 5 2"]:
        """The share of the 256 units that fires in both hidden layers of the IoU head and of the four mask MLPs."""
        return self._data["exits"][:, _index("model", model, UNIT_MODELS)]

    def constant(self, block: int) -> Effect:
        """The share of the squared length of what the units add that is the same at every click, slot by slot.

        Raises:
            ValueError: another block.
        """
        whole, rest = self._data["updates"][:, _index("block", block, (0, 1))].sum(1).T  # over the tokens
        return self.interval(1 - rest / whole.mean())

    # --- Which units carry the click ---

    def changes(self, way: SetWay, size: int, measure: Measure = "margin") -> Float[np.ndarray, "prompts"]:
        """What a measure changes at every click where the chosen units are replaced in both blocks.

        Args:
            way, size: of a set, one of `SETS`.
            measure: one of `sam_edu.ablation.MEASURES`.

        Raises:
            ValueError: no such set or measure.
        """
        return self._data["sets"][:, _set(way, size), column(measure)]

    def effect(self, way: SetWay, size: int, measure: Measure = "margin") -> Effect:
        """The mean of `changes`, with its interval. Arguments and errors as there."""
        return self.interval(self.changes(way, size, measure))

    def drawn(self, way: SetWay, size: int, measure: Measure = "margin") -> Float[np.ndarray, "prompts five"]:
        """The same as `changes` for the five random sets of each click. The measure is one of `DRAWN_MEASURES`."""
        return self._data["drawn"][:, _set(way, size), :, _index("measure", measure, DRAWN_MEASURES)]

    def against_draws(self, way: SetWay, size: int, measure: Measure = "margin") -> AgainstDraws:
        """The mean effect of the chosen set beside those of the 20 random sets. Arguments and errors as for `drawn`.

        A draw is compared with the chosen set at its own clicks, a quarter of all: its effect is given as that of the
        chosen set at all clicks less their difference there.
        """
        chosen = self.changes(way, size, measure)
        more = chosen[:, None] - self.drawn(way, size, measure)
        effects = [chosen.mean() - more[self._part == part].mean(0) for part in range(PARTS_OF_SCENES)]
        return against_draws(float(chosen.mean()), np.concatenate(effects))

    def beyond_draws(self, way: SetWay, size: int, measure: Measure = "margin") -> Effect:
        """How much more the chosen set changes than a random set, click by click; arguments as for `drawn`."""
        return self.interval(self.changes(way, size, measure) - self.drawn(way, size, measure).mean(1))

    # --- Why there is a ReLU ---

    def without_relu(self, way: str, measure: Measure = "best") -> Effect:
        """The mean change of a measure where step (3) has no ReLU.

        Args:
            way: one of `NO_RELU`.
            measure: one of `sam_edu.ablation.MEASURES`.

        Raises:
            ValueError: another one.
        """
        return self.interval(self._data["no_relu"][:, _index("way", way, NO_RELU), column(measure)])

    # --- Image or position ---

    def mirror(self, what: str, model: str = "trained") -> Effect:
        """The mean correlation of a unit's map over clicks with another map; over scenes, with its interval.

        Args:
            what: one of `MIRROR`.
            model: "trained"; or, as a control, "untrained".

        Raises:
            ValueError: another one.
        """
        values = self._data["mirror"][:, _index("model", model, MIRROR_MODELS), _index("what", what, MIRROR)]
        return Effect(*SceneBootstrap(self.mirror_scenes.tolist()).interval(values), len(values))


def _set(way: str, size: int) -> int:
    return _index("way, size", (way, size), SETS)


def _index(argument: str, value: Any, known: Sequence[Any]) -> int:
    if isinstance(value, bool) or value not in known:
        raise ValueError(f"{argument}: expected one of {', '.join(map(str, known))}, got {value!r}")
    return known.index(value)


def load_hidden_units(path: Path | None = None, *, weights: Path | None = None) -> HiddenUnits:
    """Read the measurements of the hidden units. Arguments and errors as for `sam_edu.ablation.load`."""
    return HiddenUnits(read(path, weights=weights))
