"""Calibration: predicted values against true ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count
from sam_edu.figures.kit.arrays import Array, Number, as_array, as_limits, as_mapping, as_tuple
from sam_edu.figures.kit.colours import INK, SERIES, SOFT
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, theme, titled


def calibration(
    pairs: Mapping[str, tuple[ArrayLike | Any, ArrayLike | Any]],
    *,
    bins: int = 8,
    xlabel: str = "predicted IoU",
    ylabel: str = "true IoU",
    limits: tuple[Number, Number] | None = None,
    title: str = "",
) -> Figure:
    """Predicted against true values, a panel per pair: a faint dot per case, the means of groups of equal size.

    The cases are sorted by their prediction and cut into groups. A group's dot stands at its mean prediction and its
    mean true value; the thick line is the interquartile range of its true values, the thin one their middle nine
    tenths. On the dashed line both are equal; below it the prediction was too high, above it too low.

    Args:
        pairs: per panel the predicted values, (cases,), and the true ones, (cases,).
        bins: number of groups.
        xlabel: name of the predicted value.
        ylabel: name of the true value.
        limits: of both axes; by default they hold all cases, and 0 and 1.
        title: the figure's title.

    Raises:
        ValueError: no panel; fewer cases than groups; series of different lengths.
    """
    pairs, bins = as_mapping("pairs", pairs), as_count("bins", bins)
    given: dict[str, tuple[Array, Array]] = {}
    for name, pair in pairs.items():
        predicted, true = as_tuple(f"pairs {name}", pair, ("predicted", "true"))
        x = as_array(f"pairs {name}, predicted", predicted, ("cases",)).astype(float)
        given[name] = x, as_array(f"pairs {name}, true", true, x.shape).astype(float)
        if bins > len(x):
            raise ValueError(f"bins: expected from 1 to {len(x)}, the number of cases in {name}, got {bins}")
    everything = np.concatenate([np.concatenate(pair) for pair in given.values()])
    least, most = min(0.0, float(everything.min())) - 0.09, max(1.0, float(everything.max())) + 0.05
    low, high = (least, most) if limits is None else as_limits("limits", limits)
    details = []
    with theme():
        side = min(900 / len(given), 360)
        figure = titled(title, side + 34, max(side * len(given), 420))
        for axes, (name, (x, y)) in zip(figure.subplots(1, len(given), squeeze=False)[0], given.items(), strict=True):
            groups = np.array_split(np.argsort(x, kind="stable"), bins)
            means = [(float(x[group].mean()), float(y[group].mean())) for group in groups]
            _panel(axes, x, y, groups, means)
            axes.plot([low, high], [low, high], color=SOFT, linestyle=(0, (4, 3)), linewidth=1.2, zorder=2)
            for x_at, y_at, word, side_of in ((0.97, 0.03, "too high", "right"), (0.03, 0.97, "too low", "left")):
                axes.text(
                    *(x_at, y_at, f"predicted {word}"),
                    transform=axes.transAxes,
                    ha=side_of,
                    va="bottom" if word == "too high" else "top",
                    fontsize=SMALL,
                    color=INK,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85},
                    zorder=5,
                )
            axes.set(xlim=(low, high), ylim=(low, high), xlabel=xlabel, aspect="equal")
            axes.set_title(name)
            axes.grid(alpha=0.25)
            details.append(f"{name}: " + ", ".join(f"{a:.2f} / {b:.2f}" for a, b in means))
        figure.axes[0].set_ylabel(ylabel)
    return Figure(
        figure,
        f"{title or 'Calibration'}: {ylabel} over {xlabel}, a dot per case, means of {bins} groups of equal size, and a"
        f" dashed line where both are equal. Means of the groups, {xlabel} / {ylabel}: {'; '.join(details)}.",
    )


def _panel(axes: Axes, x: Array, y: Array, groups: list[Array], means: list[tuple[float, float]]) -> None:
    axes.plot(x, y, "o", color=SERIES[5], markersize=2.6, alpha=0.45, markeredgewidth=0, zorder=1)
    for group, (across, upward) in zip(groups, means, strict=True):
        least, low, high, most = np.quantile(y[group], [0.05, 0.25, 0.75, 0.95])
        axes.vlines(across, least, most, color=SERIES[0], linewidth=1.1, zorder=3)
        axes.vlines(across, low, high, color=SERIES[0], linewidth=4.0, zorder=3)
        axes.plot(across, upward, "o", color="white", markeredgecolor=INK, markersize=6, zorder=4)
