"""Figures for the rungs of a notebook: structure diagrams, small products, distributions, target beside yours."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_number
from sam_edu.arrays import as_numbers
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_distribution,
    as_mapping,
    as_names,
    as_rising,
)
from sam_edu.figures.kit.colours import (
    FAINT,
    GREY,
    IMAGE,
    INK,
    LEARNED,
    OUT,
    PALE,
    SERIES,
    SOFT,
    TOKEN,
    mark_edge,
    series_colours,
)
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import draw_signed, strongest
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import listed

PARTS = ("projections", "heads", "scores", "softmax", "weighted sum")
"""The parts of `attention_diagram` that can be lit: what is learned, how heads are made and joined, the formula."""

_LINES = "o-", "s--", "^:", "D-."


def attention_diagram(
    queries: int = 7,
    keys: int = 4096,
    *,
    dim: int = 256,
    internal: int = 128,
    heads: int = 8,
    inputs: Sequence[str] = ("tokens\n+ PE", "image tokens\n+ PE", "image tokens\nalone"),
    lit: Iterable[str] | None = None,
) -> Figure:
    """Diagram of an attention, from its three inputs to its output, with the shapes of the tensors.

    Args:
        queries: number of queries.
        keys: number of keys, and of values.
        dim: width of inputs and output.
        internal: width inside, over all heads.
        heads: number of heads; must divide `internal`.
        inputs: what queries, keys and values are projected from. PE: the positional encoding.
        lit: which of `PARTS` to show in colour; all by default.

    Raises:
        ValueError: heads that do not divide the inner width; a part that there is not.
    """
    queries, keys, dim = as_count("queries", queries), as_count("keys", keys), as_count("dim", dim)
    internal, heads = as_count("internal", internal), as_count("heads", heads)
    if internal % heads:
        raise ValueError(f"heads: must divide the internal width, {internal}, got {heads}")
    inputs = as_names("inputs", inputs, 3)
    shown = set(PARTS) if lit is None else {lit} if isinstance(lit, str) else set(as_names("lit", lit, least=0))
    if unknown := sorted(shown - set(PARTS)):
        raise ValueError(f"lit: there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    each = internal // heads
    colours = {part: {"projections": LEARNED, "heads": GREY}.get(part, OUT) for part in PARTS}
    colours |= {part: PALE for part in PARTS if part not in shown}
    with theme():
        figure, axes = canvas(338)
        subtitle = f"{queries} queries attend to {keys} keys, in {heads} heads of width {each}"
        draw_title(axes, "One attention", subtitle, y=22)
        q, k, v, high, low = 92, 172, 270, 132, 208
        for y, name, text, count, kind in (
            (q, "q", inputs[0], queries, TOKEN),
            (k, "k", inputs[1], keys, IMAGE),
            (v, "v", inputs[2], keys, IMAGE),
        ):
            draw_box(axes, 50, y, 84, text, kind)
            draw_box(axes, 204, y, 76, f"{name}_proj\n{dim} → {internal}", colours["projections"])
            draw_box(axes, 350, y, 72, f"split into\n{heads} heads", colours["heads"])
            draw_arrow(axes, [(92, y), (166, y)], f"{count} × {dim}", (128, y - 10))
            draw_arrow(axes, [(242, y), (314, y)], f"{count} × {internal}", (277, y - 10))
            draw_text(axes, 400, y + (10 if name != "k" else -10), name, 11, INK, bold=True)
        draw_box(axes, 498, high, 92, f"q · k / √{each}\nscores", colours["scores"])
        draw_box(axes, 648, high, 92, "softmax\nover the keys", colours["softmax"])
        draw_box(axes, 748, low, 92, "weighted sum\nof v", colours["weighted sum"])
        draw_box(axes, 858, low, 62, "merge\nheads", colours["heads"])
        draw_box(axes, 954, low, 68, f"out_proj\n{internal} → {dim}", colours["projections"])
        shape = f"{heads} × {queries} × {keys}"
        draw_arrow(axes, [(386, q), (498, q), (498, high - 24)], f"{heads} × {queries} × {each}", (441, q - 10))
        draw_arrow(axes, [(386, k), (498, k), (498, high + 24)], f"{heads} × {keys} × {each}", (441, k + 11))
        draw_arrow(axes, [(544, high), (602, high)], shape, (573, high - 36))
        draw_arrow(axes, [(694, high), (748, high), (748, low - 24)], f"weights\n{shape}", (755, high - 20))
        draw_arrow(axes, [(386, v), (748, v), (748, low + 24)], f"{heads} × {keys} × {each}", (441, v - 10))
        draw_arrow(axes, [(794, low), (827, low)], f"{heads} × {queries} × {each}", (826, low - 36))
        draw_arrow(axes, [(889, low), (920, low)], f"{queries} × {internal}", (905, low - 36))
        draw_arrow(axes, [(954, low + 24), (954, 292)], f"{queries} × {dim}", (954, 302))
        note = "PE: positional encoding. " if any("PE" in source for source in inputs) else ""
        note += "Every tensor has one more axis in front: the prompt sets."
        note += "\nNothing but the projections is learned; everything else is arithmetic."
        draw_text(axes, 400, 316, note, SMALL, SOFT)
    coloured = "" if lit is None else f" In colour: {listed([part for part in PARTS if part in shown]) or 'none'}."
    sources = ", ".join(
        f"{what} from {text}".replace("\n", " ")
        for what, text in zip(("queries", "keys", "values"), inputs, strict=True)
    )
    return Figure(
        figure,
        f"Diagram of one attention. {queries} queries, {keys} keys and {keys} values of width {dim} ({sources}) go"
        f" through q_proj, k_proj and v_proj, each {dim} to {internal}, and are split into {heads} heads of width"
        f" {each}. Queries times keys, divided by the square root of {each}, give scores"
        f" ({heads} by {queries} by {keys}); softmax over the keys makes weights of the same shape; the weighted sum of"
        f" the values is {heads} by {queries} by {each}. The heads are merged and go through out_proj, {internal} to"
        f" {dim}: one vector per query, {queries} in all.{coloured}",
    )


def one_query(
    query: ArrayLike | Any,
    keys: ArrayLike | Any,
    values: ArrayLike | Any,
    weights: ArrayLike | Any,
    *,
    title: str = "",
) -> Figure:
    """Attention of one query in the plane: query and keys as arrows, weights as bars, values and their weighted sum.

    Args:
        query: (2,).
        keys: (keys, 2).
        values: (keys, 2).
        weights: (keys,), one per key, not negative; they sum to 1.
        title: the figure's title.
    """
    query, keys = as_array("query", query, (2,)), as_array("keys", keys, ("keys", 2))
    if len(keys) > len(SERIES):
        raise ValueError(f"keys: expected at most {len(SERIES)}, one colour each, got {len(keys)}")
    values = as_array("values", values, (len(keys), 2))
    weights = as_distribution("weights", as_array("weights", weights, (len(keys),)))
    result = weights @ values
    with theme():
        figure = titled(title, 310)
        left, middle, right = figure.subplots(1, 3)
        for i, (key, value) in enumerate(zip(keys, values, strict=True)):
            _vector(left, key, f"key {i}", SERIES[i])
            right.plot([result[0], value[0]], [result[1], value[1]], color=SERIES[i], linewidth=6 * float(weights[i]))
            right.plot(*value, "o", color=SERIES[i], markersize=9)
            right.annotate(f"value {i}", value, xytext=(7, 6), textcoords="offset points", color=SERIES[i])
        _vector(left, query, "query", INK)
        _square(left, np.concatenate([keys, query[None], np.zeros((1, 2))]))
        left.set_title("query and keys")
        bars = middle.barh(range(len(keys)), weights, color=SERIES[: len(keys)], snap=False)
        middle.bar_label(bars, fmt="%.2f", padding=3, fontsize=SMALL)
        middle.set_yticks(range(len(keys)), [f"key {i}" for i in range(len(keys))])
        middle.invert_yaxis()
        middle.set_xlim(0, 1.15 * float(weights.max()))
        middle.set_xlabel("weight")
        middle.set_title("attention weights")
        right.plot(*result, "X", color=INK, markersize=12, zorder=5)
        right.annotate("result", result, xytext=(9, -13), textcoords="offset points", color=INK, fontweight="bold")
        _square(right, values)
        right.set_title("values, and their weighted sum")
    details = [f"key {i} {weight:.2f}" for i, weight in enumerate(weights)]
    return Figure(
        figure,
        f"{title or 'One query'}: arrows for the query and {len(keys)} keys; bars for the weights, {listed(details)};"
        f" and the values as points with their weighted sum at ({result[0]:.2f}, {result[1]:.2f}).",
    )


def _vector(axes: Axes, end: Array, name: str, colour: str) -> None:
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.0, "shrinkA": 0, "shrinkB": 0}
    tip = float(end[0]), float(end[1])
    axes.annotate("", tip, (0, 0), arrowprops=arrow)
    outwards = 10 * end / max(float(np.linalg.norm(end)), 1e-9)
    axes.annotate(
        name,
        tip,
        xytext=(float(outwards[0]), float(outwards[1])),
        textcoords="offset points",
        color=colour,
        ha="left" if end[0] >= 0 else "right",
        va="center",
    )


def _square(axes: Axes, points: Array) -> None:
    low, high = points.min(0), points.max(0)
    room = 0.32 * float((high - low).max() or 1.0)
    middle, half = (low + high) / 2, 0.5 * float((high - low).max() or 1.0) + room
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal", adjustable="box")
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)


def matrix_product(
    left: ArrayLike | Any,
    right: ArrayLike | Any,
    *,
    names: Sequence[str] = ("left", "right", "product"),
    digits: int = 1,
    title: str = "",
) -> Figure:
    """A matrix product, drawn as cells of one size; one cell of the product is framed with its row and column.

    Args:
        left: (rows, inner).
        right: (inner, columns).
        names: of the two, and of the product.
        digits: number of digits after the decimal point, where there is room for numbers.
        title: the figure's title.
    """
    left = as_array("left", left, ("rows", "inner"))
    right = as_array("right", right, (left.shape[1], "columns"))
    names, digits = as_names("names", names, 3), as_count("digits", digits, 0)
    product = left @ right
    rows, inner, columns = *left.shape, right.shape[1]
    row, column = 0, columns - 1
    with theme():
        cell = min(46.0, (WIDTH - 120) / (inner + 2 * columns + 2))
        figure = titled(title, cell * max(rows, inner) + 62, cell * (inner + 2 * columns + 2) + 90)
        shown = figure.subplots(1, 3, gridspec_kw={"width_ratios": [inner, columns, columns]})
        for axes, name, one, sign in zip(shown, names, (left, right, product), ("", "@", "="), strict=True):
            limit = strongest(one)
            draw_signed(axes, one, limit)
            if cell >= 30:
                for y, x in np.ndindex(one.shape):
                    colour = "white" if abs(one[y, x]) > 0.65 * limit else INK
                    axes.text(
                        x,
                        y,
                        f"{round(float(one[y, x]), digits) + 0.0:.{digits}f}",
                        ha="center",
                        va="center",
                        fontsize=SMALL,
                        color=colour,
                    )
            axes.set_title(f"{name}\n{one.shape[0]} × {one.shape[1]}")
            axes.set_ylabel(sign, rotation=0, fontsize=17, ha="right", va="center", color=INK)
            bare(axes)
        inset = 1.6 / cell
        for axes, at, wide, high in (
            (shown[0], (-0.5, row - 0.5), inner, 1),
            (shown[1], (column - 0.5, -0.5), 1, inner),
            (shown[2], (column - 0.5, row - 0.5), 1, 1),
        ):
            axes.spines[:].set_visible(False)
            inside = (at[0] + inset, at[1] + inset), wide - 2 * inset, high - 2 * inset
            axes.add_patch(Rectangle(*inside, fill=False, edgecolor="black", linewidth=2.4, zorder=4))
    return Figure(
        figure,
        f"{title or 'A product'}: {names[0]}, {rows} by {inner}, times {names[1]}, {inner} by {columns}, gives"
        f" {names[2]}, {rows} by {columns}. Framed: row {row} times column {column} is one cell of the product.",
    )


def distributions(
    rows: Mapping[str, ArrayLike | Any],
    *,
    columns: Sequence[str] | None = None,
    row_label: str = "",
    title: str = "",
) -> Figure:
    """Distributions as sorted bars, the largest weight first: a panel each, with its entropy.

    Args:
        rows: by the row's name (distributions, length), or (length,): what stands in one row of panels.
        columns: one name per distribution of a row.
        row_label: what the horizontal axis counts.
        title: the figure's title.
    """
    rows = as_mapping("rows", rows)
    if len(rows) > len(SERIES):
        raise ValueError(f"rows: expected at most {len(SERIES)}, one colour each, got {len(rows)}")
    given = {name: np.atleast_2d(_one_or_several(f"rows {name}", row)) for name, row in rows.items()}
    across = max(len(row) for row in given.values())
    if any(len(row) != across for row in given.values()):
        counts = ", ".join(f"{len(row)} in {name}" for name, row in given.items())
        raise ValueError(f"rows: expected as many distributions in each row, got {counts}")
    titles = as_names("columns", columns if columns is not None else [""] * across, across)
    with theme():
        figure = titled(title, 128 * len(given) + 40)
        grid = figure.subplots(len(given), across, squeeze=False, sharex="col", sharey=True)
        details, colours = [], series_colours(given)
        for y, (name, row) in enumerate(given.items()):
            for x, weights in enumerate(row):
                axes = grid[y, x]
                entropy = _entropy(weights)
                axes.bar(range(len(weights)), np.sort(weights)[::-1], color=colours[y], width=0.85, snap=False)
                head = f"{titles[x]}\n" if y == 0 and titles[x] else ""
                axes.set_title(f"{head}entropy {entropy:.2f}")
                axes.set_ylim(0, 1.02)
                axes.set_xticks([])
                details.append(f"{name} {titles[x]} {entropy:.2f}".replace("  ", " "))
            grid[y, 0].set_ylabel(f"{name}\nweight")
        figure.supxlabel(row_label or "keys, the largest weight first", fontsize=SMALL)
    return Figure(figure, f"{title or 'Distributions'}: bars of weights, sorted. Entropy: {'; '.join(details)}.")


def _one_or_several(name: str, given: ArrayLike | Any) -> Array:
    """One distribution or several: (length,) or (distributions, length)."""
    numbers = as_numbers(name, given)
    return as_distribution(
        name, as_array(name, numbers, ("length",) if numbers.ndim == 1 else ("distributions", "length"))
    )


def _entropy(weights: Array) -> float:
    return float(-(weights * np.log(np.maximum(weights, 1e-30))).sum()) + 0.0


def curves_over(
    positions: Sequence[Number],
    curves: Mapping[str, ArrayLike | Any],
    *,
    xlabel: str,
    ylabel: str,
    limit: Number | None = None,
    limit_name: str = "",
    title: str = "",
) -> Figure:
    """Curves over a logarithmic axis of base 2, with a dashed line at a limit; one named after a mask has its colour.

    Args:
        positions: where the curves are known, in order.
        curves: per name one value for each position.
        xlabel: what changes from left to right.
        ylabel: what is measured.
        limit: where to draw the dashed line.
        limit_name: what it stands for.
        title: the figure's title.
    """
    curves, at = as_mapping("curves", curves), as_rising("positions", positions)
    if at[0] <= 0:
        raise ValueError(f"positions: expected numbers above zero, as the axis is logarithmic, got {at[0]:g}")
    if len(curves) > len(_LINES):
        raise ValueError(f"curves: expected at most {len(_LINES)}, as there are no more marks, got {len(curves)}")
    given = {name: as_array(f"curves {name}", curve, (len(at),)) for name, curve in curves.items()}
    limit = None if limit is None else as_number("limit", limit)
    with theme():
        figure = titled(title, 270, 620)
        axes = figure.subplots()
        for (name, curve), colour, style in zip(given.items(), series_colours(given), _LINES, strict=False):
            axes.plot(at, curve, style, color=colour, label=name, markersize=5, markeredgecolor=mark_edge(colour))
        if limit is not None:
            axes.axhline(limit, color=SOFT, linestyle=(0, (4, 3)), linewidth=1.0)
            axes.annotate(limit_name, (at[0], limit), xytext=(0, 4), textcoords="offset points", color=SOFT)
        axes.set_xscale("log", base=2)
        axes.set_xticks(at, [f"{position:g}" for position in at])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.grid(alpha=0.25)
        axes.legend()
    details = [f"{name} from {curve[0]:.2f} to {curve[-1]:.2f}" for name, curve in given.items()]
    return Figure(
        figure,
        f"{title or ylabel}: {ylabel} over {xlabel} from {at[0]:g} to {at[-1]:g}; {listed(details)}."
        + (f" Dashed: {limit_name}, {limit:.2f}." if limit is not None else ""),
    )


def head_split(vectors: ArrayLike | Any, heads: int, *, title: str = "") -> Figure:
    """Vectors as one matrix with channels coloured by their head, and below it the same numbers, a matrix per head.

    Args:
        vectors: (length, channels).
        heads: number of heads; must divide the channels.
        title: the figure's title.
    """
    vectors, heads = as_array("vectors", vectors, ("length", "channels")), as_count("heads", heads)
    length, width = vectors.shape
    if width % heads or heads > len(SERIES):
        raise ValueError(f"heads: must divide {width} and be at most {len(SERIES)}, got {heads}")
    each = width // heads
    limit = strongest(vectors)
    cell = min(26.0, (WIDTH - 100) / width)
    with theme():
        figure = titled(title, 2 * (cell * length + 54), cell * (width + 2 * heads) + 60)
        grid = figure.add_gridspec(2, heads)
        wide = figure.add_subplot(grid[0, :])
        panels = [(wide, vectors, 0)]
        for i in range(heads):
            first = i * each
            panels.append((figure.add_subplot(grid[1, i]), vectors[:, first : first + each], first))
        for axes, block, first in panels:
            draw_signed(axes, block, limit)
            for x in range(block.shape[1]):
                colour = SERIES[(first + x) // each]
                axes.add_patch(Rectangle((x - 0.5, length - 0.4), 1, 0.32, color=colour, clip_on=False))
            bare(axes)
            if axes is wide:
                axes.set_title(f"before: {length} × {width}")
                axes.set_ylabel("tokens")
            else:
                axes.set_title(f"head {first // each}: {length} × {each}", color=SERIES[first // each])
    return Figure(
        figure,
        f"{title or 'Heads'}: a matrix of {length} rows and {width} channels, cut into {heads} matrices of {each}"
        f" neighbouring channels: head 0 has channels 0 to {each - 1}, head {heads - 1} the last {each}.",
    )


def target_and_yours(target: ArrayLike | Any, yours: ArrayLike | Any, *, title: str = "") -> Figure:
    """A target, your result and the difference, as matrices. Values of yours that are not finite stay grey.

    Args:
        target: a tensor; drawn as a matrix, all axes but the last as rows.
        yours: one of the same shape.
        title: the figure's title.
    """
    whole = as_numbers("target", target)
    whole = as_array("target", whole, whole.shape).astype(float)
    if not whole.size:
        raise ValueError(f"target: expected at least one number, got shape {whole.shape}")
    expected = whole.reshape(-1, whole.shape[-1] if whole.ndim else 1)
    result = as_numbers("yours", yours).astype(float)
    if result.shape != whole.shape:
        raise ValueError(f"yours: expected shape {whole.shape}, got {result.shape}")
    result = result.reshape(expected.shape)
    result = np.where(np.isfinite(result), result, np.nan)
    difference = result - expected
    largest = float(np.nanmax(np.abs(difference))) if np.isfinite(difference).any() else math.nan
    with theme():
        high = float(np.clip(250 * expected.shape[0] / expected.shape[1], 90, 320))
        figure = titled(title, high + 50)
        for axes, name, one in zip(
            figure.subplots(1, 3), ("target", "yours", "yours − target"), (expected, result, difference), strict=True
        ):
            limit = strongest(expected)
            axes.set_facecolor(FAINT)
            drawn = draw_signed(axes, one, limit, aspect="auto")
            axes.set_title(name)
            bare(axes)
        figure.colorbar(drawn, ax=list(figure.axes), shrink=0.9, aspect=18, pad=0.015, label="value", extend="both")
    return Figure(
        figure,
        f"{title or 'Target and yours'}: three matrices of {expected.shape[0]} rows and {expected.shape[1]} columns,"
        f" the target, yours and the difference, which is at most {largest:.2g}.",
    )
