"""Effects with their intervals, and the distribution of a measure over many prompts, head by head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.choices import name_largest, name_smallest
from sam_edu.figures.kit.arrays import Array, Number, as_array, as_names
from sam_edu.figures.kit.colours import FAINT, INK, SERIES, SOFT
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import draw_signed, scale_end
from sam_edu.figures.kit.theme import WIDTH, theme, titled
from sam_edu.figures.kit.words import listed

MARKS = ("o", "s", "D", "^")


def effects(
    values: Mapping[str, Any],
    *,
    title: str = "",
    label: str = "change in IoU",
    sort: bool = False,
    digits: int = 3,
    replicas: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Effects with their intervals, a row each: a dot for the mean, a line for the interval, zero as a dashed line.

    A filled dot has an interval that leaves zero out, a hollow one an interval that holds it. Below each row stands a
    small cross for each replica: what is a property of the architecture lies beside the dot in all of them.

    Args:
        values: per name (mean, low, high), as `sam_edu.ablation` gives them, or any sequence that begins so; or
            several series, each a mapping of the same names.
        title: the figure's title.
        label: what is measured.
        sort: the lowest mean (of the first series) on top.
        digits: number of digits after the decimal point.
        replicas: by the name of a replica its effects, a mapping of the same names: other trainings of the same model.
            Empty or None where there are none.

    Raises:
        ValueError: nothing to draw; series, or replicas, of different names; an interval without its mean; replicas
            beside several series.
    """
    if not values:
        raise ValueError("values: expected at least one effect, got none")
    nested = all(isinstance(one, Mapping) for one in values.values())
    series = {str(key): dict(one) for key, one in values.items()} if nested else {"": dict(values)}
    if not nested and any(isinstance(one, Mapping) for one in values.values()):
        raise ValueError("values: expected effects, or series of effects, got both")
    if len(series) > len(MARKS):
        raise ValueError(f"values: expected at most {len(MARKS)} series, got {len(series)}")
    names = list(next(iter(series.values())))
    if not names or any(list(one) != names for one in series.values()):
        raise ValueError("values: expected the same names in each series, at least one")
    others = {str(key): dict(one) for key, one in (replicas or {}).items()}
    if others and nested:
        raise ValueError("replicas: expected one series of values beside them, got several")
    for key, one in others.items():
        if any(name not in one for name in names):
            raise ValueError(f"replicas: {key} lacks {', '.join(name for name in names if name not in one)}")
    means = np.stack([[_triple(name, one[name]) for name in names] for one in series.values()])
    if sort:
        order = np.argsort(means[0, :, 0], kind="stable")
        names, means = [names[i] for i in order], means[:, order]
    beside = np.array([[_triple(name, one[name]) for name in names] for one in others.values()]).reshape(
        -1, len(names), 3
    )
    every = np.concatenate([means, beside])
    low, high = min(0.0, float(every[..., 1].min())), max(0.0, float(every[..., 2].max()))
    room = 0.06 * ((high - low) or 1.0)
    with theme():
        each = 15.0 * len(series) + 8 + (8 if others else 0)
        figure = titled(title, 56 + each * len(names) + (16 if nested or others else 0), WIDTH * 0.86)
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        for j, (key, rows) in enumerate(zip(series, means, strict=True)):
            colour = SERIES[j % len(SERIES)]
            axes.plot([], [], MARKS[j], color=colour, markersize=6, label=key)
            at = np.arange(len(names)) + (j - (len(series) - 1) / 2) * 0.72 / len(series)
            for y, (mean, start, end) in zip(at, rows, strict=True):
                clear = start > 0 or end < 0
                axes.plot([start, end], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
                face = colour if clear else "white"
                axes.plot([mean], [y], MARKS[j], color=colour, markerfacecolor=face, markersize=6.5, zorder=3)
                axes.annotate(
                    _signed(mean, digits),
                    (1.01, y),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    fontsize=8.5,
                    color=INK if clear else SOFT,
                    fontweight="bold" if clear else "normal",
                    annotation_clip=False,
                )
        for rows in beside:
            at = np.arange(len(names)) + 0.27
            axes.plot(rows[:, 1:].T, np.stack([at, at]), color=FAINT, linewidth=1.2, zorder=1.5)
            axes.plot(rows[:, 0], at, "x", color=SOFT, markersize=4.5, markeredgewidth=1.1, zorder=2.5)
        if others:
            axes.plot([], [], "x", color=SOFT, markersize=4.5, label=f"other trainings: {listed(list(others))}")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(low - room, high + room)
        axes.set_xlabel(f"{label}: mean and 95 % interval (filled: leaves zero out)")
        axes.grid(axis="x", alpha=0.25)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if nested or others:
            figure.legend(loc="outside upper right", ncols=max(1, len(series)))
    details = []
    for key, rows in zip(series, means, strict=True):
        for name, (mean, start, end) in zip(names, rows, strict=True):
            numbers = [_signed(float(x), digits) for x in (mean, start, end)]
            details.append(f"{name}{', ' + key if key else ''} {numbers[0]} ({numbers[1]} to {numbers[2]})")
    for key, rows in zip(others, beside, strict=True):
        details.append(f"{key}: {', '.join(_signed(float(mean), digits) for mean in rows[:, 0])}")
    return Figure(figure, f"{title or 'Effects'}: dots with intervals, {label}, against zero. {'; '.join(details)}.")


def head_grid(
    values: ArrayLike | Any,
    rows: Sequence[str],
    *,
    title: str = "",
    label: str = "change in IoU",
    limit: Number | None = None,
    digits: int = 3,
) -> Figure:
    """Effects of heads as a matrix; those whose interval leaves zero out are framed, and their numbers bold.

    Args:
        values: (rows, heads, 3): mean, and the ends of its interval.
        rows: one name per row, an attention each.
        title: the figure's title.
        label: what the colours show.
        limit: the colours end here, on both sides; by default at the largest mean.
        digits: number of digits after the decimal point.

    Raises:
        ValueError: another shape, or other than one name per row.
    """
    values = as_array("values", values, ("rows", "heads", 3)).astype(float)
    rows = as_names("rows", rows, len(values))
    count = values.shape[1]
    mean, clear = values[..., 0], (values[..., 1] > 0) | (values[..., 2] < 0)
    top = scale_end(float(np.abs(mean).max())) if limit is None else limit
    with theme():
        figure = titled(title, 74 + 30 * len(rows), min(WIDTH, 66 * count + 330))
        axes = figure.subplots()
        drawn = draw_signed(axes, mean, top, aspect="auto")
        for y, x in np.ndindex(mean.shape):
            dark = abs(mean[y, x]) > 0.62 * top
            axes.text(
                x,
                y,
                _signed(float(mean[y, x]), digits),
                ha="center",
                va="center",
                fontsize=8.5,
                fontweight="bold" if clear[y, x] else "normal",
                color="white" if dark else INK if clear[y, x] else SOFT,
            )
            if clear[y, x]:
                axes.add_patch(
                    Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=INK, linewidth=1.2, zorder=3)
                )
        axes.set_xticks(range(count), [f"head {i}" for i in range(count)])
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlabel("framed: the 95 % interval leaves zero out")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        ends = "both" if limit is not None and np.abs(mean).max() > top else "neither"
        figure.colorbar(drawn, ax=axes, aspect=22, pad=0.02, label=label, extend=ends)
    lowest = name_smallest(mean, [f"{row}, head {i}" for row in rows for i in range(count)])
    framed = [f"{row} {sum(map(bool, line))}" for row, line in zip(rows, clear, strict=True)]
    return Figure(
        figure,
        f"{title or 'Effects of heads'}: a matrix of {len(rows)} attentions ({', '.join(rows)}) by {count} heads,"
        f" {label}. Lowest: {lowest}, {_signed(float(mean.min()), digits)}."
        f" Heads whose interval leaves zero out: {listed(framed)}.",
    )


def head_distributions(
    values: Mapping[str, ArrayLike | Any],
    *,
    ylabel: str,
    reference: Mapping[str, ArrayLike | Any] | None = None,
    reference_name: str = "",
    limits: tuple[Number, Number] | None = None,
    title: str = "",
) -> Figure:
    """Distribution of a measure over many prompts, head by head: a dot at the median, a thick line over the
    interquartile range, a thin one over the middle nine tenths. A panel per attention.

    Args:
        values: per panel (prompts, heads).
        ylabel: what is measured.
        reference: per panel (prompts,), what a head with the same weight everywhere reaches; its median is a dashed
            line, its interquartile range a band.
        reference_name: what that stands for.
        limits: of the vertical axis; by default from zero to what is needed.
        title: the figure's title.

    Raises:
        ValueError: no panel; another shape; a reference for other panels.
    """
    if not values:
        raise ValueError("values: expected at least one panel, got none")
    given = {name: as_array(name, one, ("prompts", "heads")).astype(float) for name, one in values.items()}
    if reference is not None and list(reference) != list(given):
        raise ValueError("reference: expected one for each panel, under the same names")
    across = len(given) if len(given) <= 4 else math.ceil(len(given) / 2)
    down = math.ceil(len(given) / across)
    with theme():
        figure = titled(title, down * 190 + 26 + (14 if reference is not None else 0))
        grid = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
        drawn = None
        for axes, (name, one) in zip(grid, given.items(), strict=False):
            _quantiles(axes, one)
            axes.set_title(name)
            if reference is not None:
                level = as_array(f"reference {name}", reference[name], (len(one),)).astype(float)
                low, middle, high = np.quantile(level, [0.25, 0.5, 0.75])
                axes.axhspan(low, high, color=FAINT, alpha=0.35, linewidth=0, zorder=0)
                drawn = axes.axhline(middle, color=SOFT, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        for axes in grid[len(given) :]:
            axes.set_axis_off()
        if limits is not None:
            grid[0].set_ylim(*limits)
        else:
            grid[0].set_ylim(bottom=0)
        figure.supxlabel("head (dot: median; thick: the middle half of the prompts; thin: nine tenths)", fontsize=9.5)
        figure.supylabel(ylabel, fontsize=9.5)
        if drawn is not None and reference_name:
            figure.legend([drawn], [reference_name], loc="outside upper right")
    details = []
    for name, one in given.items():
        medians = np.median(one, axis=0)
        heads = [str(i) for i in range(len(medians))]
        words = f"{name} from {medians.min():.2f} (head {name_smallest(medians, heads)})"
        words += f" to {medians.max():.2f} (head {name_largest(medians, heads)})"
        if reference is not None:
            words += f", {reference_name or 'dashed'} {np.median(as_array(name, reference[name], (len(one),))):.2f}"
        details.append(words)
    return Figure(
        figure,
        f"{title or ylabel}: {ylabel} of each head over {len(next(iter(given.values())))} prompts, medians with the"
        f" middle half and nine tenths. Medians: {'; '.join(details)}.",
    )


def _quantiles(axes: Axes, one: Array) -> None:
    """One head beside the other: median, quartiles, middle nine tenths."""
    least, low, middle, high, most = np.quantile(one, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    at = np.arange(one.shape[1])
    axes.vlines(at, least, most, color=SERIES[0], linewidth=1.1, zorder=2)
    axes.vlines(at, low, high, color=SERIES[0], linewidth=5.0, zorder=3)
    axes.plot(at, middle, "o", color="white", markeredgecolor=INK, markersize=5.5, zorder=4, clip_on=False)
    axes.set_xticks(at, [str(i) for i in at])
    axes.set_xlim(-0.6, len(at) - 0.4)
    axes.grid(axis="y", alpha=0.25)


def _triple(name: str, effect: Any) -> tuple[float, float, float]:
    """Mean, low and high."""
    mean, low, high = (float(x) for x in list(effect)[:3])
    if not low <= mean <= high:
        raise ValueError(f"{name}: expected mean, low, high with low <= mean <= high, got {mean:g}, {low:g}, {high:g}")
    return mean, low, high


def _signed(value: Number, digits: int) -> str:
    """For example "−0.123", with a real minus; "0.000" for what rounds to it."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"
