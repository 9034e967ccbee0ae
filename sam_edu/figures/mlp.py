"""Figures for layers and MLPs: their structure, functions of one number, and which hidden units fire."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count
from sam_edu.figures.kit.arrays import Array, Number, as_array, as_mapping, as_names, as_rising, as_tuple
from sam_edu.figures.kit.colours import ACTIVATION, FAINT, GREY, IMAGE, OUT, SOFT, TOKEN, series_colours, token_colour
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_junction, draw_sum, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled
from sam_edu.figures.kit.words import listed

_FEW = 4  # more curves than this in a panel are drawn thin, without a legend


def mlp_diagram(
    tokens: int = 7,
    *,
    dim: int = 256,
    inner: int = 2048,
    masks: int = 4,
    channels: int = 32,
) -> Figure:
    """The decoder's MLPs, one lane per step, with the shapes that travel.

    Args:
        tokens: number of tokens.
        dim: width of a token.
        inner: width inside step (3).
        masks: number of mask tokens, and of scores.
        channels: width of what a mask token becomes.
    """
    tokens, dim, inner = as_count("tokens", tokens), as_count("dim", dim), as_count("inner", inner)
    masks, channels = as_count("masks", masks), as_count("channels", channels)
    with theme():
        figure, axes = canvas(330)
        subtitle = "grey: a linear layer, each with weights of its own; white: an activation, which learns nothing"
        draw_title(axes, "Two kinds of MLP", subtitle)
        _block_lane(axes, 96, tokens, dim, inner)
        _exit_lane(axes, 206, "(6-2)", f"MLP, {masks} of them", "mask token", (masks, dim, channels), "weights")
        _exit_lane(axes, 284, "(7)", "MLP, one", "IoU token", (1, dim, masks), "scores")
    return Figure(
        figure,
        f"Diagram of the decoder's MLPs, one lane per step. Step (3), MLPBlock: {tokens} tokens of width {dim} go"
        f" through lin1, {dim} to {inner}, ReLU, and lin2, {inner} to {dim}; the block adds the result to its input"
        f" and normalises it. Step (6-2), {masks} MLPs, one per mask token: three linear layers, {dim} to {dim}, {dim}"
        f" to {dim}, {dim} to {channels}, with ReLU after the first two; out come {channels} weights each. Step (7),"
        f" one MLP on the IoU token: the same, with {masks} scores at the end.",
    )


def _block_lane(axes: Axes, y: Number, tokens: int, dim: int, inner: int) -> None:
    """Step (3), with the sum and the norm that the two-way block puts around it."""
    _label(axes, y, "(3)", "MLPBlock")
    draw_box(axes, 186, y, 92, "all tokens", TOKEN)
    draw_box(axes, 356, y, 96, f"lin1\n{dim} → {inner}", GREY)
    draw_box(axes, 500, y, 58, "ReLU", ACTIVATION)
    draw_box(axes, 644, y, 96, f"lin2\n{inner} → {dim}", GREY)
    draw_box(axes, 894, y, 96, "LayerNorm", IMAGE)
    draw_arrow(axes, [(232, y), (308, y)], f"{tokens} × {dim}", (279, y - 10))
    draw_arrow(axes, [(404, y), (471, y)], f"{tokens} × {inner}", (437, y - 10))
    draw_arrow(axes, [(529, y), (596, y)], f"{tokens} × {inner}", (562, y - 10))
    draw_arrow(axes, [(692, y), (767, y)], f"{tokens} × {dim}", (728, y - 10))
    draw_arrow(axes, [(244, y), (244, y - 44), (780, y - 44), (780, y - 13)], "residual: the input", (512, y - 53))
    draw_junction(axes, 244, y)
    draw_sum(axes, 780, y, IMAGE[1], area=210)
    draw_arrow(axes, [(793, y), (846, y)])
    draw_text(axes, 836, y + 40, "sum and norm belong to the two-way block (notebook 04)", SMALL, SOFT)


def _exit_lane(
    axes: Axes, y: Number, step: str, kind: str, token: str, sizes: tuple[int, int, int], result: str
) -> None:
    """A step in which a token leaves as something else."""
    many, dim, out = sizes
    _label(axes, y, step, kind)
    draw_box(axes, 186, y, 92, f"{many} {token}{'s' if many > 1 else ''}", TOKEN)
    for x, layer, width in ((318, 0, dim), (500, 1, dim), (682, 2, out)):
        draw_box(axes, x, y, 96, f"layers.{layer}\n{dim} → {width}", GREY)
    for x in (409, 591):
        draw_box(axes, x, y, 50, "ReLU", ACTIVATION)
        draw_arrow(axes, [(x - 43, y), (x - 25, y)])
        draw_arrow(axes, [(x + 25, y), (x + 43, y)])
    draw_box(axes, 894, y, 96, f"{many} × {out}\n{result}", OUT)
    draw_arrow(axes, [(232, y), (270, y)])
    draw_arrow(axes, [(730, y), (846, y)], "no ReLU, no sigmoid", (787, y - 10))


def _label(axes: Axes, y: Number, step: str, kind: str) -> None:
    axes.text(8, y - 9, step, fontsize=10.5, fontweight="bold", color=OUT[1], va="center")
    axes.text(8, y + 9, kind, fontsize=SMALL, va="center")


def line_panels(
    x: ArrayLike | Any,
    panels: Mapping[str, Mapping[str, ArrayLike | Any]],
    *,
    points: tuple[Any, Any] | None = None,
    kinks: ArrayLike | Any | None = None,
    columns: int = 3,
    xlabel: str = "x",
    ylabel: str = "",
    title: str = "",
) -> Figure:
    """Functions of one number, in panels side by side. More than four in a panel are drawn thin, with no name.

    Args:
        x: (positions,), in rising order.
        panels: per panel's title its curves: per name one value for each position.
        points: data to draw into the last panel, or into each where every panel has one curve: two of (points,).
        kinks: (kinks,): positions on the x-axis to mark with a tick in the last panel.
        columns: panels in a row.
        xlabel: the name of the horizontal axis.
        ylabel: the name of the vertical axis.
        title: the figure's title.
    """
    panels, x, columns = as_mapping("panels", panels), as_rising("x", x), as_count("columns", columns)
    given = {
        name: {
            key: as_array(f"panels {name} {key}".strip(), curve, x.shape)
            for key, curve in as_mapping(f"panels {name}", curves).items()
        }
        for name, curves in panels.items()
    }
    dots: tuple[Array, Array] | None = None
    if points is not None:
        across_x, across_y = as_tuple("points", points, ("x", "y"))
        along = as_array("points", across_x, ("points",))
        dots = along, as_array("points", across_y, along.shape)
    ticks = None if kinks is None else as_array("kinks", kinks, ("kinks",))
    across = min(columns, len(given))
    down = -(-len(given) // across)
    everywhere = all(len(curves) == 1 for curves in given.values())
    with theme():
        figure = titled(title, down * 236, min(WIDTH, 80 + 300 * across))
        grid = figure.subplots(down, across, squeeze=False, sharey=everywhere)
        shown = list(zip(grid.flat, given.items(), strict=False))
        for i, (axes, (name, curves)) in enumerate(shown):
            if dots is not None and (everywhere or i == len(given) - 1):
                axes.plot(*dots, "o", color=SOFT, markersize=2.6, alpha=0.55, zorder=1)
            _curves(axes, x, curves)
            if ticks is not None and i == len(given) - 1:
                inside = ticks[(ticks >= x[0]) & (ticks <= x[-1])]
                axes.plot(inside, np.zeros(len(inside)), "|", color="black", markersize=13, transform=_bottom(axes))
            axes.set_title(name)
            axes.set_xlabel(xlabel)
            axes.grid(alpha=0.25)
        for axes in list(grid.flat)[len(given) :]:
            axes.set_axis_off()
        for row in grid:
            row[0].set_ylabel(ylabel)
    return Figure(
        figure, f"{title or 'Functions'}: {'; '.join(_curves_in_words(name, c) for name, c in given.items())}."
    )


def _curves(axes: Axes, x: Array, curves: Mapping[str, Array]) -> None:
    few = len(curves) <= _FEW
    for (name, y), colour, dash in zip(curves.items(), series_colours(curves), _dashes(len(curves)), strict=True):
        axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.8 if few else 0.9, label=name, zorder=2)
    if few and any(curves):
        axes.legend()


def _dashes(count: int) -> list[str]:
    return [("-", "--", ":", "-.")[i] for i in range(count)] if count <= _FEW else ["-"] * count


def _bottom(axes: Axes) -> Any:
    """x in data, y from the lower edge."""
    return axes.get_xaxis_transform()


def _curves_in_words(name: str, curves: Mapping[str, Array]) -> str:
    if len(curves) > _FEW:
        return f"{name}: {len(curves)} curves"
    details = [f"{key} from {y.min():.2g} to {y.max():.2g}".strip() for key, y in curves.items()]
    return f"{name}: {listed(details)}"


def firing_units(
    hidden: ArrayLike | Any,
    names: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """Which hidden units fire for which token: a row per token, a column per unit that fires for at least one.

    A unit fires where its value is above zero. Units are sorted: those that fire for most tokens first.

    Args:
        hidden: (tokens, units), after the activation.
        names: one per token.
        title: the figure's title.
    """
    hidden = as_array("hidden", hidden, ("tokens", "units"))
    names = as_names("names", names, len(hidden))
    fires = hidden > 0
    counts = fires.sum(0)
    # Most tokens first; then those of the first token, of the second, and so on. lexsort's last key counts most.
    order = np.lexsort((*(~fires)[::-1], -counts))
    kept = order[counts[order] > 0]
    drawn = np.ones((len(names), max(len(kept), 1), 3))
    for row, name in enumerate(names):
        drawn[row, : len(kept)][fires[row, kept]] = to_rgb(token_colour(name))
    silent = int((counts == 0).sum())
    with theme():
        figure = titled(title, 86 + 26 * len(names))
        axes = figure.subplots()
        axes.imshow(drawn, aspect="auto", interpolation="nearest")
        axes.set_yticks(range(len(names)), [f"{name}: {n}" for name, n in zip(names, fires.sum(1), strict=True)])
        for tick, name in zip(axes.get_yticklabels(), names, strict=True):
            tick.set_color(token_colour(name))
            tick.set_fontweight("bold")
        axes.hlines(np.arange(1, len(names)) - 0.5, -0.5, drawn.shape[1] - 0.5, color="white", linewidth=2)
        _ranges(axes, counts[kept])
        axes.set_xlabel(f"hidden units; not drawn: {silent} of {hidden.shape[1]} that fire for no token")
        axes.tick_params(axis="y", length=0)
        axes.spines[:].set_visible(False)
    details = [f"{name} {int(n)}" for name, n in zip(names, fires.sum(1), strict=True)]
    return Figure(
        figure,
        f"{title or 'Which units fire'}: a row per token, a column per hidden unit, coloured where it fires. Units that"
        f" fire: {listed(details)}. {int((counts == len(names)).sum())} fire for all tokens, {silent} of"
        f" {hidden.shape[1]} for none.",
    )


def _ranges(axes: Axes, counts: Array) -> None:
    """Above the columns: for how many tokens those of each range fire, where there is room for it."""
    total = max(len(counts), 1)
    for count in sorted(set(counts.tolist()), reverse=True):
        columns = np.flatnonzero(counts == count)
        first, last = columns[0] - 0.5, columns[-1] + 0.5
        axes.vlines([first, last], -0.5, -0.85, color=FAINT, linewidth=1.0, clip_on=False)
        if (last - first) / total > 0.05:
            text = f"{count} token{'s' if count > 1 else ''}" if (last - first) / total > 0.11 else f"{count}"
            axes.text((first + last) / 2, -0.62, text, ha="center", va="bottom", fontsize=SMALL, color=SOFT)
