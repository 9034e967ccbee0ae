"""Effects with their intervals, and the distribution of a measure over many prompts, head by head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_choice, as_count, as_number
from sam_edu.arrays import as_numbers
from sam_edu.choices import name_largest, name_smallest
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_interval,
    as_limits,
    as_mapping,
    as_names,
)
from sam_edu.figures.kit.colours import FAINT, INK, REPLICA, SERIES, SOFT, mark_edge, series_colours
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import draw_signed, scale_end
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled
from sam_edu.figures.kit.words import listed
from sam_edu.prompt_checks import check_flag

MARKS = ("o", "s", "D", "^")


def effect_dots(
    values: Mapping[str, Any],
    *,
    null: Number | tuple[Number, Number] | Mapping[str, Any] | None = 0,
    null_name: str = "zero",
    replicas: Mapping[str, Sequence[Number]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    order: Literal["given", "lowest", "largest"] = "given",
    title: str = "",
    label: str = "change in IoU",
    digits: int = 3,
) -> Figure:
    """Effects with their 95 % intervals, a row each: a dot for the mean, a line for the interval, and the null.

    A filled dot has an interval that leaves the null out. A hollow dot has one that reaches it: an effect is not clear.
    Numbers have a sign where the null is zero: they are changes.

    Args:
        values: per name (mean, low, high), as `sam_edu.ablation` gives them, or any sequence that begins so; or
            several series, each a mapping of the same names. A series named "mask 1" has that mask's colour.
        null: what is expected without an effect: a number, a band (low, high), or one of them for each name. None for
            values that none is expected of, such as an IoU: no line, and all dots filled.
        null_name: what that is, in a word or two.
        replicas: for some names the means that other trainings of the same model have, a small grey dot each.
        groups: per heading the names below it, each name once; without headings by default.
        order: of the rows, in each group: as given, the lowest mean (of the first series) first, or the largest first.
        title: the figure's title.
        label: what is measured.
        digits: number of digits after the decimal point.

    Raises:
        TypeError: an argument of another type.
        ValueError: nothing to draw; another order; series, nulls, replicas or groups of other names; an interval
            without its mean.
    """
    series, names, rows = _series(values)
    as_choice("order", order, ("given", "lowest", "largest"))
    digits = as_count("digits", digits, 0)
    own = isinstance(null, Mapping)  # whether each effect has a null of its own
    nulls = _nulls(null, names)
    points = {} if replicas is None else _replicas(replicas)
    placed = {"": names}
    if groups is not None:
        placed = {str(head): as_names(f"groups {head}", one) for head, one in as_mapping("groups", groups).items()}
    _check_names("replicas", [*points, *(name for name in names if name not in points)], names)
    _check_names("groups", [name for given in placed.values() for name in given], names)
    write = _signed if set(nulls.values()) == {(0.0, 0.0)} else _plain
    at, colours = {name: i for i, name in enumerate(names)}, series_colours(series)
    if order != "given":
        sign = 1 if order == "lowest" else -1
        placed = {head: sorted(given, key=lambda name: sign * rows[0, at[name], 0]) for head, given in placed.items()}
    numbers = [*rows[..., 1:].ravel(), *(x for given in [*nulls.values(), *points.values()] for x in given)]
    low, high = min(numbers), max(numbers)
    room = 0.06 * ((high - low) or 1.0)
    with theme():
        lines = len(names) + sum(bool(head) for head in placed)
        figure = titled(title, 76 + (15.0 * len(series) + 9) * lines + (16 if len(series) > 1 else 0), WIDTH * 0.86)
        axes = figure.subplots()
        y, ticks = 0.0, {}
        for head, given in placed.items():
            if head:
                axes.annotate(
                    head,
                    (0.0, y),
                    (-6, 0),
                    xycoords=("axes fraction", "data"),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontweight="bold",
                )
                y += 1
            for name in given:
                ticks[y] = name
                if own:
                    _draw_null(axes, nulls[name], y)
                clear = [_is_clear(one, nulls.get(name)) for one in rows[:, at[name]]]
                numbers = [write(float(mean), digits) for mean in rows[:, at[name], 0]]
                _draw_effects(axes, rows[:, at[name]], clear, colours, numbers, y)
                if name in points:
                    axes.plot(points[name], [y + 0.3] * len(points[name]), "o", color=REPLICA, markersize=3.6, zorder=3)
                y += 1
        if nulls and not own:
            _draw_null_line(axes, nulls[names[0]])
        for key, mark, colour in zip(series, MARKS, colours, strict=False):
            axes.plot([], [], mark, color=colour, markeredgecolor=mark_edge(colour), markersize=6.5, label=key)
        if points:
            axes.plot([], [], "o", color=REPLICA, markersize=3.6, label="replicas")
        axes.set_yticks(list(ticks), list(ticks.values()))
        axes.set_ylim(y - 0.4, -0.6)
        axes.set_xlim(low - room, high + room)
        axes.set_xlabel(f"{label}\nmean and 95 % interval" + _key_of_null(list(nulls.values()), null_name))
        axes.grid(axis="x", alpha=0.25)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if len(series) > 1 or points:
            handles, words = axes.get_legend_handles_labels()
            shown = [(handle, word) for handle, word in zip(handles, words, strict=True) if word]
            figure.legend(*zip(*shown, strict=True), loc="outside upper right", ncols=len(shown))
    details = []
    for key, one in zip(series, rows, strict=True):
        for name in (name for given in placed.values() for name in given):
            mean, start, end = (write(float(x), digits) for x in one[at[name]])
            unclear = "" if _is_clear(one[at[name]], nulls.get(name)) else ", not clear"
            details.append(f"{name}{', ' + key if key else ''} {mean} ({start} to {end}){unclear}")
    against = f", against {null_name}" if nulls else ""
    return Figure(figure, f"{title or 'Effects'}: dots with intervals, {label}{against}. {'; '.join(details)}.")


def _draw_effects(axes: Axes, rows: Array, clear: list[bool], colours: list[str], numbers: list[str], y: float) -> None:
    """The marks of one row, a series below the other, and their numbers at the right."""
    for j, (mean, start, end) in enumerate(rows):
        at = y + (j - (len(rows) - 1) / 2) * 0.72 / len(rows)
        colour, edge = colours[j], mark_edge(colours[j])
        axes.plot([start, end], [at, at], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        face = colour if clear[j] else "white"
        axes.plot(
            [mean], [at], MARKS[j], color=colour, markerfacecolor=face, markeredgecolor=edge, markersize=6.5, zorder=4
        )
        axes.annotate(
            numbers[j],
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            color=INK if clear[j] else SOFT,
            fontweight="bold" if clear[j] else "normal",
            annotation_clip=False,
        )


def _draw_null(axes: Axes, band: tuple[float, float], y: float) -> None:
    """The null of one row, where each has its own: a grey band, or a short line."""
    if band[0] < band[1]:
        axes.add_patch(Rectangle((band[0], y - 0.42), band[1] - band[0], 0.84, color=FAINT, alpha=0.6, linewidth=0))
    else:
        axes.plot([band[0]] * 2, [y - 0.42, y + 0.42], color=INK, linewidth=1.2, linestyle=(0, (3, 2)), zorder=1)


def _draw_null_line(axes: Axes, band: tuple[float, float]) -> None:
    """The null that all rows share."""
    if band[0] < band[1]:
        axes.axvspan(*band, color=FAINT, alpha=0.6, linewidth=0, zorder=0)
    else:
        axes.axvline(band[0], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)


def _key_of_null(nulls: list[tuple[float, float]], name: str) -> str:
    """What the line, or the band, and a hollow dot mean."""
    if not nulls:
        return ""
    marks = [word for word, wide in (("dashed", False), ("grey", True)) if wide in {low < high for low, high in nulls}]
    return f" ({' or '.join(marks)}: {name}; hollow dot: the interval reaches it)"


def _is_clear(effect: Sequence[float] | Array, null: tuple[float, float] | None) -> bool:
    """Whether an interval leaves the null out, if there is one."""
    return null is None or bool(effect[1] > null[1] or effect[2] < null[0])


def _nulls(null: Any, names: list[str]) -> dict[str, tuple[float, float]]:
    """For each effect its null as a band; an empty dictionary without one."""
    if null is None:
        return {}
    if not isinstance(null, Mapping):
        return dict.fromkeys(names, _band("null", null))
    given = {str(name): _band(f"null {name}", one) for name, one in null.items()}
    _check_names("null", list(given), names)
    return given


def _band(name: str, null: Any) -> tuple[float, float]:
    """A number as a band of no width; a band as two numbers."""
    if as_numbers(name, null).ndim == 0:
        number = as_number(name, null)
        return number, number
    low, high = as_array(name, null, (2,)).astype(float).tolist()
    if low > high:
        raise ValueError(f"{name}: expected a number, or (low, high), got {null}")
    return low, high


def _replicas(replicas: Any) -> dict[str, list[float]]:
    """For some effects the means that other trainings have."""
    given = as_mapping("replicas", replicas)
    return {
        str(name): as_array(f"replicas {name}", one, ("trainings",)).astype(float).tolist()
        for name, one in given.items()
    }


def _check_names(argument: str, given: list[str], names: list[str]) -> None:
    """Each effect once, and nothing else."""
    if sorted(given) != sorted(names):
        raise ValueError(f"{argument}: expected the names of the effects, {', '.join(names)}, got {', '.join(given)}")


def _series(values: Mapping[str, Any]) -> tuple[list[str], list[str], Array]:
    """The names of the series, those of the effects, and (series, effects, 3)."""
    values = as_mapping("values", values)
    nested = all(isinstance(one, Mapping) for one in values.values())
    if not nested and any(isinstance(one, Mapping) for one in values.values()):
        raise ValueError("values: expected effects, or series of effects, got both")
    given = {str(key): one for key, one in values.items()} if nested else {"": values}
    series = {key: {str(name): effect for name, effect in one.items()} for key, one in given.items()}
    if len(series) > len(MARKS):
        raise ValueError(f"values: expected at most {len(MARKS)} series, got {len(series)}")
    names = list(next(iter(series.values())))
    if not names or any(list(one) != names for one in series.values()):
        raise ValueError("values: expected the same names in each series, at least one")
    return (
        list(series),
        names,
        np.stack([[as_interval(f"values {name}", one[name]) for name in names] for one in series.values()]),
    )


def effects(
    values: Mapping[str, Any],
    *,
    title: str = "",
    label: str = "change in IoU",
    sort: bool = False,
    digits: int = 3,
    replicas: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Effects against zero, as `effect_dots` draws them.

    Args:
        values: per name (mean, low, high), or several series, each a mapping of the same names.
        title: the figure's title.
        label: what is measured.
        sort: the lowest mean (of the first series) on top.
        digits: number of digits after the decimal point.
        replicas: by the name of a replica its effects, a mapping of the same names: other trainings of the same model.
            Empty or None where there are none.

    Raises:
        TypeError: an argument of another type.
        ValueError: nothing to draw; series, or replicas, of different names; an interval without its mean.
    """
    sort, digits = check_flag("sort", sort), as_count("digits", digits, 0)
    _, names, _ = _series(values)
    none = replicas is None or (isinstance(replicas, Mapping) and not replicas)
    others = {} if none else as_mapping("replicas", replicas)
    means: dict[str, list[float]] = {name: [] for name in names}
    for key, one in others.items():
        given = {str(name): effect for name, effect in as_mapping(f"replicas {key}", one).items()}
        _check_names(f"replicas: {key}", list(given), names)
        for name in names:
            means[name].append(as_interval(f"replicas {key} {name}", given[name])[0])
    return effect_dots(
        values,
        replicas=means if others else None,
        order="lowest" if sort else "given",
        title=title,
        label=label,
        digits=digits,
    )


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
    rows, digits = as_names("rows", rows, len(values)), as_count("digits", digits, 0)
    for (y, x), middle in np.ndenumerate(values[..., 0]):
        if not values[y, x, 1] <= middle <= values[y, x, 2]:
            raise ValueError(
                f"values: expected mean, low, high with low <= mean <= high, got {values[y, x].tolist()} for {rows[y]},"
                f" head {x}"
            )
    count = values.shape[1]
    mean, clear = values[..., 0], (values[..., 1] > 0) | (values[..., 2] < 0)
    top = scale_end(float(np.abs(mean).max())) if limit is None else as_number("limit", limit, above=0)
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
                fontsize=SMALL,
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
    values = as_mapping("values", values)
    given = {name: as_array(f"values {name}", one, ("prompts", "heads")).astype(float) for name, one in values.items()}
    if reference is not None and list(as_mapping("reference", reference)) != list(given):
        raise ValueError(
            f"reference: expected the names {', '.join(map(str, given))}, got {', '.join(map(str, reference))}"
        )
    ends = None if limits is None else as_limits("limits", limits)
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
        if ends is not None:
            grid[0].set_ylim(*ends)
        else:
            grid[0].set_ylim(bottom=0)
        figure.supxlabel("head (dot: median; thick: the middle half of the prompts; thin: nine tenths)", fontsize=SMALL)
        figure.supylabel(ylabel, fontsize=SMALL)
        if drawn is not None and reference_name:
            figure.legend([drawn], [reference_name], loc="outside upper right")
    details = []
    for name, one in given.items():
        medians = np.median(one, axis=0)
        heads = [str(i) for i in range(len(medians))]
        words = f"{name} from {medians.min():.2f} (head {name_smallest(medians, heads)})"
        words += f" to {medians.max():.2f} (head {name_largest(medians, heads)})"
        if reference is not None:
            level = as_array(f"reference {name}", reference[name], (len(one),))
            words += f", {reference_name or 'dashed'} {np.median(level):.2f}"
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


def _plain(value: Number, digits: int) -> str:
    """For example "0.123" or "−0.123", with a real minus."""
    return _signed(value, digits).removeprefix("+")


def _signed(value: Number, digits: int) -> str:
    """For example "−0.123", with a real minus; "0.000" for what rounds to it."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"
