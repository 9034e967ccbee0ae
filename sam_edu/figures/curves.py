"""Training curves: losses and scores over the steps of a run."""

from collections.abc import Mapping, Sequence

import numpy as np

from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import Array, as_array, as_tuple
from sam_edu.figures.kit.colours import series_colours
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
        TypeError: no dictionaries of curves.
        ValueError: steps and values of other lengths, nothing to draw, or more curves than there are dashes.
    """
    for word, curves in (("losses", losses), ("scores", scores)):
        if not isinstance(curves, Mapping):
            raise TypeError(f"{word}: expected a dictionary, with a name for each curve, got {shorten(curves)}")
        if len(curves) > len(DASHES):
            raise ValueError(f"{word}: expected at most {len(DASHES)} curves, one dash each, got {len(curves)}")
    if not losses and not scores:
        raise ValueError("losses, scores: expected at least one curve, got none")
    given: dict[str, dict[str, tuple[Array, Array]]] = {}
    for word, curves in (("losses", losses), ("scores", scores)):
        given[word] = {}
        for name, curve in curves.items():
            steps, values = as_tuple(f"{word} {name}", curve, ("steps", "values"))
            x = as_array(f"{word} {name}, steps", steps, ("steps",)).astype(float)
            y = as_array(f"{word} {name}, values", values, x.shape).astype(float)
            if y.min() < 0 or (word == "scores" and y.max() > 1):
                wanted = "from 0 to 1" if word == "scores" else "that are not negative"
                raise ValueError(f"{word} {name}: expected values {wanted}, got {y.min():.3g} to {y.max():.3g}")
            given[word][name] = x, y
    with theme():
        figure = blank(340)
        heading(figure, title)
        left, right = figure.subplots(1, 2)
        for axes, word, smooth in ((left, "losses", True), (right, "scores", False)):
            colours = series_colours(given[word])
            for (name, (x, y)), colour, dash in zip(given[word].items(), colours, DASHES, strict=False):
                if smooth:
                    width = max(1, len(y) // 50)
                    y = np.convolve(y, np.ones(width) / width, mode="valid")
                    x = x[width - 1 :]
                axes.plot(x, y, color=colour, linestyle=dash, label=name, linewidth=1.4)
            axes.set_xlabel("step")
            axes.grid(alpha=0.25)
            if given[word]:
                axes.legend(ncols=2)
        left.set_ylabel("loss")
        left.set_ylim(bottom=0)
        right.set_ylabel("mean IoU")
        right.set_ylim(0, 1)
    last = ", ".join(f"{name} {values[-1]:.2f}" for name, (_, values) in given["scores"].items())
    return Figure(figure, f"{title}: losses and scores over the steps of a run. Last scores: {last or 'none yet'}.")
