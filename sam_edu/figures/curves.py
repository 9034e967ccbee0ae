"""Training curves: losses and scores over the steps of a run."""

from collections.abc import Mapping, Sequence

import numpy as np

from sam_edu.figures.kit.arrays import as_array
from sam_edu.figures.kit.colours import SERIES
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import blank, heading, theme

Curve = tuple[Sequence[float | int], Sequence[float | int]]
"""Steps, and a value at each."""

DASHES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))


def training_curves(
    losses: Mapping[str, Curve],
    scores: Mapping[str, Curve],
    *,
    title: str = "Training",
) -> Figure:
    """Training curves: losses, smoothed, on the left; scores on the right.

    Args:
        losses: per name its steps and values. Drawn as a running mean over a fiftieth of the run.
        scores: per name its steps and values, from 0 to 1.
        title: above the figure.

    Raises:
        ValueError: steps and values of other lengths, or nothing to draw.
    """
    if not losses and not scores:
        raise ValueError("losses, scores: expected at least one curve, got none")
    for name, (steps, values) in {**losses, **scores}.items():
        if len(steps) != len(values) or len(steps) == 0:
            raise ValueError(
                f"{name}: expected as many values as steps, at least 1, got {len(values)} and {len(steps)}"
            )
    with theme():
        figure = blank(340)
        heading(figure, title)
        left, right = figure.subplots(1, 2)
        for axes, curves, smooth in ((left, losses, True), (right, scores, False)):
            for (name, (steps, values)), colour, dash in zip(curves.items(), SERIES, DASHES, strict=False):
                x, y = (as_array(name, one, (len(steps),)).astype(float) for one in (steps, values))
                if smooth:
                    width = max(1, len(y) // 50)
                    y = np.convolve(y, np.ones(width) / width, mode="valid")
                    x = x[width - 1 :]
                axes.plot(x, y, color=colour, linestyle=dash, label=name, linewidth=1.4)
            axes.set_xlabel("step")
            axes.grid(alpha=0.25)
            if curves:
                axes.legend(ncols=2)
        left.set_ylabel("loss")
        left.set_ylim(bottom=0)
        right.set_ylabel("mean IoU")
        right.set_ylim(0, 1)
    last = ", ".join(f"{name} {values[-1]:.2f}" for name, (_, values) in scores.items())
    return Figure(figure, f"{title}: losses and scores over the steps of a run. Last scores: {last or 'none yet'}.")
