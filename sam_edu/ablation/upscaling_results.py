"""UpscalingStatistics: step (5) over the held-out clicks, with other layers, and by the parts of its squares.

    upscaling = ablation.load_upscaling()
    upscaling.effect("last GELU a ReLU")                 # change in IoU, with a 95 % interval
    upscaling.effect("squares flat", "thin boundary")    # change in the IoU of a thin band along the edge
    upscaling.share("mask", "pattern")                   # how much of the logits' variance the pattern has

All numbers of a click are of one mask: of masks 1 to 3 the one that fits its target best in the unchanged decode. The
scores compare it with the ground truth. They stand in the file of `sam_edu.ablation.load`, in arrays whose names begin
with "upscaling.".

**Untrained.** Shares and jumps stand beside those of a mask decoder and a prompt encoder with fresh weights, others for
each scene, on the trained image encoder's embeddings.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sam_edu.ablation.grid_parts import KINDS, PARTS
from sam_edu.ablation.prompts import Prompt
from sam_edu.ablation.results import COMMAND, Effect, Level, level_number, read
from sam_edu.ablation.upscaling_ways import UPSCALING_WAYS
from sam_edu.evaluation.intervals import Interval, SceneBootstrap

NEAR = 0.75
"""Numbers of at most this size count as near zero: there GELU is nearly a parabola."""

THIN = 2
"""Pixels of the thin band."""

UPSCALING_MEASURES = ("area", "boundary", "thin boundary")
"""IoU; boundary IoU in a band of the usual width; boundary IoU in a band of `THIN` pixels."""

TARGETS = ("squares flat", "squares joined", "squares of 2 flat")
"""What becomes of the ground truth itself on a coarser grid, as a ceiling: its mean over squares, above one half."""

MAPS = ("channels", "mask", "mask, weights at random")
MODELS = ("trained", "untrained")
JUMPS = ("mask", "mask without pattern", "squares joined", "untrained mask")
EDGES = ("mask", "target", "squares joined", "squares flat")
INPUTS = ("first GELU", "last GELU")

_ARRAYS = ("definitions", "best", "scores", "targets", "shares", "support", "jumps", "edges", "near")
UPSCALING_ARRAYS = tuple(f"upscaling.{name}" for name in _ARRAYS)
"""The arrays of the file."""


class UpscalingStatistics:
    """The measurements of step (5).

    Args:
        data: the arrays of the file, as `sam_edu.ablation.upscaling_measuring` makes them.

    Attributes:
        clicks: the held-out clicks, in the order of every array's axis of that name.
        best: number of the mask, 1 to 3, whose numbers these are.
        weights: SHA-256 of the weights that were measured.

    Raises:
        ValueError: step (5) was not measured, or a definition has changed since.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        if any(name not in data for name in UPSCALING_ARRAYS):
            raise ValueError(f"the file lacks step (5): {COMMAND} --only upscaling measures it")
        if json.loads(str(data["upscaling.definitions"])) != UPSCALING_WAYS:
            raise ValueError(f"the ways have changed since step (5) was measured: {COMMAND} --only upscaling")
        self.weights = str(data["weights"])
        self.clicks = tuple(Prompt(*map(int, row)) for row in data["prompts"])
        self.best = np.asarray(data["upscaling.best"], np.int64)
        self._data = {name: np.asarray(data[f"upscaling.{name}"], np.float64) for name in _ARRAYS[2:]}
        self._bootstrap = SceneBootstrap([click.scene for click in self.clicks])

    def __repr__(self) -> str:
        scenes = len({click.scene for click in self.clicks})
        return (
            f"<UpscalingStatistics: {len(self.clicks)} clicks on {scenes} held-out scenes, {len(UPSCALING_WAYS)} ways>"
        )

    def interval(self, values: Float[np.ndarray, "clicks"], level: Level | None = None) -> Effect:
        """The mean of one value per click, with its interval by scene.

        Args:
            values: one for each click.
            level: only the clicks whose target is an object, a part or a sub-part.

        Raises:
            ValueError: another level.
        """
        if level is None:
            return Effect(*self._bootstrap.interval(values), len(values))
        kept = np.array([click.level == level_number(level) for click in self.clicks])
        scenes = [click.scene for click in self.clicks if click.level == level_number(level)]
        return Effect(*SceneBootstrap(scenes).interval(values[kept]), len(scenes))

    def scores(self, way: str | None = None, measure: str = "area") -> Float[np.ndarray, "clicks"]:
        """The mask compared with the ground truth.

        Args:
            way: one of `UPSCALING_WAYS`; None for the unchanged decode.
            measure: one of `UPSCALING_MEASURES`.

        Raises:
            ValueError: another way or measure.
        """
        at = 0 if way is None else 1 + _index("way", way, tuple(UPSCALING_WAYS))
        return self._data["scores"][:, _index("measure", measure, UPSCALING_MEASURES), at]

    def effect(self, way: str, measure: str = "area", level: Level | None = None) -> Effect:
        """The mean change of a measure under one of the ways. Arguments and errors as for `scores` and `interval`."""
        return self.interval(self.scores(way, measure) - self.scores(None, measure), level)

    def difference(self, one: str, other: str, measure: str = "area") -> Effect:
        """How much more one way leaves than another, click by click. Arguments and errors as for `scores`."""
        return self.interval(self.scores(one, measure) - self.scores(other, measure))

    def target(self, way: str, measure: str = "area") -> Effect:
        """The ground truth on a coarser grid, compared with itself.

        Args:
            way: one of `TARGETS`.
            measure: one of `UPSCALING_MEASURES`.

        Raises:
            ValueError: another one of these.
        """
        where = _index("measure", measure, UPSCALING_MEASURES), _index("way", way, TARGETS)
        return self.interval(self._data["targets"][:, *where])

    def share(self, of: str, part: str, model: str = "trained") -> Effect:
        """The share of a part in a variance over the pixels; the three parts sum to 1.

        Args:
            of: one of `MAPS`: the features' channels, their mean; the mask's logits; the same with its 32 weights
                assigned to the channels at random, the mean of 20 times.
            part: one of `sam_edu.ablation.grid_parts.PARTS`.
            model: one of `MODELS`.

        Raises:
            ValueError: another one of these.
        """
        where = _index("model", model, MODELS), _index("of", of, MAPS), _index("part", part, PARTS)
        return self.interval(self._data["shares"][:, *where])

    def support(self, part: str, model: str = "trained") -> Effect:
        """The variance of a part of the logits, over that of uncorrelated channels: below 1 the channels cancel.

        Args:
            part: one of `sam_edu.ablation.grid_parts.PARTS`.
            model: one of `MODELS`.

        Raises:
            ValueError: another one of these.
        """
        return self.interval(self._data["support"][:, _index("model", model, MODELS), _index("part", part, PARTS)])

    def jumps(self, of: str) -> Effect:
        """How much larger jumps across a line of the grid are than those inside the halves of squares.

        A line of the grid is a border between two tokens, or between the halves of one. 1 without a grid.

        Args:
            of: one of `JUMPS`.

        Raises:
            ValueError: another one.
        """
        kinds = self._data["jumps"][:, _index("of", of, JUMPS)]
        return self.interval((kinds[:, 1] + kinds[:, 3]) / (kinds[:, 0] + kinds[:, 2]))

    def edge_share(self, of: str, kind: str) -> Interval:
        """The share of a mask's edge that lies on borders between pixels of one kind, all clicks together.

        A quarter is what a mask has that knows nothing of the grid.

        Args:
            of: one of `EDGES`.
            kind: one of `sam_edu.ablation.grid_parts.KINDS`.

        Raises:
            ValueError: another one of these.
        """
        counts = self._data["edges"][:, _index("of", of, EDGES)]
        return self._bootstrap.ratio(counts[:, _index("kind", kind, KINDS)], counts.sum(1))

    def near_zero(self, activation: str) -> Effect:
        """The share of a GELU's inputs that are at most `NEAR` in size.

        Args:
            activation: one of `INPUTS`.

        Raises:
            ValueError: another one.
        """
        return self.interval(self._data["near"][:, _index("activation", activation, INPUTS)])


def _index(argument: str, value: Any, known: Sequence[str]) -> int:
    if value not in known:
        raise ValueError(f"{argument}: expected one of {', '.join(known)}, got {value!r}")
    return known.index(value)


def load_upscaling(path: Path | None = None, *, weights: Path | None = None) -> UpscalingStatistics:
    """Read the results of step (5). Arguments and errors as for `sam_edu.ablation.load`."""
    return UpscalingStatistics(read(path, weights=weights))
