"""Figures of positions and their encodings: the prompt encoder, waves, maps, pixel centres."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_multiple, as_number
from sam_edu.choices import name_largest, name_smallest
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_mapping,
    as_names,
    as_rising,
    as_tuple,
)
from sam_edu.figures.kit.colours import FAINT, GREY, IMAGE, INK, OUT, SERIES, SOFT, TOKEN, mark_edge, series_colours
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import draw_signed
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled
from sam_edu.figures.kit.words import listed
from sam_edu.selections import Select, as_indices, fixed


def prompt_diagram(*, side: int = 1024, grid: int = 64, dim: int = 256, inner: int = 16) -> Figure:
    """Diagram of the prompt encoder, from clicks, boxes and masks to tokens and a map, with the shapes of the tensors.

    Args:
        side: width and height of the padded image in pixels.
        grid: width and height of the grid of image tokens.
        dim: width of a token; even.
        inner: channels between the mask prompt's convolutions; a multiple of 4.
    """
    side, grid = as_count("side", side), as_count("grid", grid)
    dim, inner = as_multiple("dim", dim, 2), as_multiple("inner", inner, 4)
    mask = 4 * grid
    with theme():
        figure, axes = canvas(410)
        draw_title(axes, "The prompt encoder", "the inputs of the decoder's step (0)", y=22)
        click, box, positions, prompt, none = 74, 146, 218, 300, 364
        draw_box(axes, 60, click, 100, "a click\n(x, y) and a label", TOKEN)
        draw_box(axes, 60, box, 100, "a box: two\ncorners (x, y)", TOKEN)
        draw_box(axes, 60, positions, 100, f"{grid} × {grid} positions\nof the grid", IMAGE)
        draw_box(axes, 232, (click + box) / 2, 96, "+ 0.5: to the\npixel's centre", GREY)
        draw_box(axes, 362, (click + box) / 2, 84, f"/ {side}: from\n0 to 1", GREY)
        draw_box(
            axes,
            552,
            box,
            216,
            f"positional encoding:\n2 × position − 1, times the\nmatrix 2 × {dim // 2}, times 2π",
            OUT,
        )
        draw_box(axes, 711, box, 48, "sin\ncos", OUT)
        for y, name, result in (
            (click, "+ embedding\nof its label", f"1 × {dim} per click,\n1 × {dim} for padding\nwithout a box"),
            (box, "+ embedding of\ncorner 1 or 2", f"2 × {dim} per box"),
        ):
            draw_box(axes, 806, y, 96, name, GREY)
            draw_arrow(axes, [(735, box), (746, box), (746, y), (758, y)] if y != box else [(735, box), (758, box)])
            draw_arrow(axes, [(854, y), (876, y)])
            axes.text(881, y, result, fontsize=SMALL, va="center", linespacing=1.2, color=TOKEN[1])
        middle = (click + box) / 2
        for y in (click, box):
            draw_arrow(axes, [(110, y), (146, y), (146, middle), (184, middle)])
        draw_arrow(axes, [(280, middle), (320, middle)])
        draw_arrow(axes, [(404, middle), (424, middle), (424, box - 8), (444, box - 8)])
        draw_arrow(
            axes,
            [(110, positions), (424, positions), (424, box + 8), (444, box + 8)],
            "the centre of each, from 0 to 1",
            (262, positions - 10),
        )
        draw_arrow(axes, [(660, box), (687, box)])
        encodings = f"pos_src: {dim} × {grid} × {grid}, a positional encoding per image token"
        draw_arrow(axes, [(711, box + 22), (711, positions), (758, positions)])
        axes.text(
            764, positions, encodings.replace(", ", ",\n"), fontsize=SMALL, va="center", linespacing=1.2, color=IMAGE[1]
        )
        draw_box(axes, 60, prompt, 100, f"a mask prompt,\nlogits {mask} × {mask}", IMAGE)
        stages = (
            (232, "conv 2 × 2,\nstride 2", f"{inner // 4} × {mask // 2} × {mask // 2}"),
            (420, "conv 2 × 2,\nstride 2", f"{inner} × {grid} × {grid}"),
            (608, "conv 1 × 1", f"{dim} × {grid} × {grid}"),
        )
        before = 110
        for i, (x, name, shape) in enumerate(stages):
            draw_box(axes, x, prompt, 84, name, GREY)
            draw_arrow(axes, [(before, prompt), (x - 42, prompt)])
            before = x + 42
            if i < 2:
                draw_text(axes, x + 94, prompt - 12, shape, SMALL, SOFT)
                draw_text(axes, x + 94, prompt + 20, "LayerNorm2d,\nGELU", SMALL, SOFT)
        draw_arrow(axes, [(650, prompt), (778, prompt)], stages[2][2], (714, prompt - 10))
        draw_box(axes, 60, none, 100, "no mask prompt", IMAGE)
        draw_arrow(
            axes,
            [(110, none), (714, none), (714, prompt + 14), (778, prompt + 14)],
            f"no_mask_embed: one vector of {dim}, the same at each position",
            (420, none - 10),
        )
        axes.text(
            784,
            prompt + 6,
            "the dense embedding,\nadded to the image embedding",
            fontsize=SMALL,
            va="center",
            linespacing=1.2,
            color=IMAGE[1],
        )
        note = "Learned: the embeddings and the convolutions. Random, and never trained: the matrix."
        draw_text(axes, 420, 396, note, SMALL, SOFT)
    return Figure(
        figure,
        f"Diagram of the prompt encoder. A click, and each of a box's two corners, gets 0.5 added and is divided by"
        f" {side}; 2 × position − 1, times a random matrix of 2 by {dim // 2}, times 2 pi gives angles, whose sines and"
        f" cosines are the positional encoding, {dim} numbers. A click's encoding plus its label's embedding is a"
        " token, and one padding token follows where there is no box; a corner's encoding plus that corner's embedding"
        " is a token."
        f" The centres of the {grid} by {grid} positions are encoded in the same way and give pos_src. A mask prompt of"
        f" {mask} by {mask} logits goes through three convolutions to {inner // 4} by {mask // 2} by {mask // 2},"
        f" {inner} by {grid} by {grid} and {dim} by {grid} by {grid}; without one, the no-mask embedding stands at each"
        " position. That map is added to the image embedding.",
    )


def position_maps(
    maps: ArrayLike | Any,
    names: Sequence[str],
    *,
    points: ArrayLike | Any | None = None,
    columns: int = 4,
    limit: Number = 1,
    label: str = "similarity",
    title: str = "",
) -> Figure:
    """Maps over the unit square, all on one scale: red above zero, blue below. A ring: the position of each.

    Args:
        maps: (maps, height, width): a number for each position, the first row at the top.
        names: one per map.
        points: (maps, 2) as (x, y) from 0 to 1: a ring in each map.
        columns: panels in a row.
        limit: the colours end here, above and below zero.
        label: the name of what the colours show.
        title: the figure's title.
    """
    maps = as_array("maps", maps, ("maps", "height", "width"))
    names = as_names("names", names, len(maps))
    rings = None if points is None else as_array("points", points, (len(maps), 2))
    if rings is not None and (rings.min() < 0 or rings.max() > 1):
        raise ValueError(f"points: expected (x, y) from 0 to 1, got {rings.min():g} to {rings.max():g}")
    limit, columns = as_number("limit", limit, above=0), min(as_count("columns", columns), len(maps))
    down = math.ceil(len(maps) / columns)
    with theme():
        panel = min((WIDTH - 110) / columns, 210.0)
        lines = 1 + max(name.count("\n") for name in names)
        figure = titled(title, down * (panel + 4 + 15 * lines) + 20, panel * columns + 110)
        grid = figure.subplots(down, columns, squeeze=False, sharex=True, sharey=True)
        for i, axes in enumerate(grid.flat):
            if i >= len(maps):
                axes.set_axis_off()
                continue
            drawn = draw_signed(axes, maps[i], limit, extent=(0, 1, 1, 0))
            axes.set_title(names[i])
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
            if rings is not None:
                for width, colour in ((3.2, "white"), (1.4, INK)):
                    ring: dict[str, Any] = {"markersize": 13, "markerfacecolor": "none", "markeredgewidth": width}
                    axes.plot(*rings[i], "o", markeredgecolor=colour, **ring)
        extend = "both" if float(np.abs(maps).max()) > limit * 1.001 else "neither"
        figure.colorbar(drawn, ax=list(grid.flat), shrink=0.85, aspect=20, pad=0.015, label=label, extend=extend)
    details = [f"{name} {_extremes(one)}".replace("\n", " ") for name, one in zip(names, maps, strict=True)]
    return Figure(
        figure,
        f"{title or 'Maps'}: {len(maps)} {'map' if len(maps) == 1 else 'maps'} of {label} over the image:"
        f" {'; '.join(details)}.",
    )


def _extremes(one: Array) -> str:
    """Where a map is largest and smallest, in parts of its width and height."""
    rows, columns = one.shape
    positions = [f"({(x + 0.5) / columns:.2f}, {(y + 0.5) / rows:.2f})" for y in range(rows) for x in range(columns)]
    highest, lowest = name_largest(one, positions), name_smallest(one, positions)
    return f"highest {float(one.max()):.2f} at {highest}, lowest {float(one.min()):.2f} at {lowest}"


def wave_and_circle(angles: ArrayLike | Any, positions: ArrayLike | Any, marked: Select, *, title: str = "") -> Figure:
    """One direction of a positional encoding: its sine and cosine as waves, and the same pairs of numbers on a circle.

    Args:
        angles: (positions,), in radians.
        positions: (positions,), in order, from 0 to 1.
        marked: indices of the positions to mark in both.
        title: the figure's title.
    """
    positions = as_rising("positions", positions)
    if positions[0] < 0 or positions[-1] > 1:
        raise ValueError(f"positions: expected numbers from 0 to 1, got {positions[0]:g} to {positions[-1]:g}")
    angles = as_array("angles", angles, (len(positions),))
    marks = as_indices("marked", marked, len(positions)) if fixed("marked", marked) != [] else []
    if len(marks) > len(SERIES):
        raise ValueError(f"marked: expected at most {len(SERIES)} indices, one colour each, got {len(marks)}")
    with theme():
        figure = titled(title, 262, 820)
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [2.2, 1]})
        left.plot(positions, np.sin(angles), color=INK, label="sine")
        left.plot(positions, np.cos(angles), color=SOFT, linestyle="--", label="cosine")
        around = np.linspace(0, 2 * np.pi, 200)
        right.plot(np.cos(around), np.sin(around), color=FAINT)
        for i, colour in zip(marks, SERIES, strict=False):
            for values in (np.sin(angles), np.cos(angles)):
                left.plot(positions[i], values[i], "o", color=colour, markersize=8, zorder=3)
            left.axvline(positions[i], color=colour, linewidth=1.0, alpha=0.6)
            tip = float(np.cos(angles[i])), float(np.sin(angles[i]))
            right.plot([0, tip[0]], [0, tip[1]], color=colour, linewidth=2)
            right.plot(*tip, "o", color=colour, markersize=8)
            offset: dict[str, Any] = {
                "xytext": (0, 3),
                "textcoords": "offset points",
                "ha": "center",
                "fontsize": SMALL,
            }
            left.annotate(f"x = {positions[i]:.2f}", (float(positions[i]), 1.15), color=colour, **offset)
        left.set(
            xlabel="x, from 0 to 1",
            ylabel="value",
            xlim=(float(positions[0]), float(positions[-1])),
            ylim=(-1.15, 1.15),
        )
        left.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.24))
        right.set(
            xlabel="cosine", ylabel="sine", xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), xticks=[-1, 0, 1], yticks=[-1, 0, 1]
        )
        right.set_aspect("equal")
    details = [
        f"x = {positions[i]:.2f} has sine {np.sin(angles[i]):.2f} and cosine {np.cos(angles[i]):.2f}" for i in marks
    ]
    return Figure(
        figure,
        f"{title or 'One direction'}: sine and cosine as waves over x, and as points on a circle of radius 1; marked:"
        f" {listed(details)}.",
    )


def pixel_centres(pixels: int = 8, cell: int = 4, *, title: str = "") -> Figure:
    """Pixel coordinates on a grid, without and with half a pixel added.

    Args:
        pixels: how many to draw, across and down; a multiple of `cell`.
        cell: pixels under one image token, across and down.
        title: the figure's title.
    """
    cell = as_count("cell", cell)
    pixels = as_multiple("pixels", pixels, cell)
    with theme():
        figure = titled(title, 250, 620)
        numbers = np.arange(pixels)
        for axes, shift, name in zip(
            figure.subplots(1, 2), (0.0, 0.5), ("x, y as they are", "x + 0.5, y + 0.5"), strict=True
        ):
            for i in range(pixels + 1):
                thick = 1.8 if i % cell == 0 else 0.6
                axes.plot([i, i], [0, pixels], color=SOFT, linewidth=thick)
                axes.plot([0, pixels], [i, i], color=SOFT, linewidth=thick)
            axes.add_patch(Rectangle((0, 0), cell, cell, facecolor=IMAGE[0], zorder=0))
            x, y = (one.ravel() + shift for one in np.meshgrid(numbers, numbers))
            axes.plot(x, y, ".", color=SERIES[0], markersize=7, label="pixels")
            first = numbers[:cell].mean() + shift
            axes.plot(
                first,
                first,
                "X",
                color=SERIES[5],
                markersize=11,
                label=f"mean of the cell's {cell * cell}",
            )
            axes.plot(
                cell / 2, cell / 2, "o", color=INK, markersize=15, markerfacecolor="none", label="the image token"
            )
            axes.set_title(name)
            axes.set(xlim=(-0.6, pixels + 0.2), ylim=(pixels + 0.2, -0.6), aspect="equal", xlabel="pixels")
            axes.set_xticks(range(0, pixels + 1, cell))
            axes.set_yticks(range(0, pixels + 1, cell))
            for spine in axes.spines.values():
                spine.set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
    return Figure(
        figure,
        f"{title or 'Pixel centres'}: {pixels} by {pixels} pixels, and a dot for the position of each. As they are,"
        f" whole numbers point to the pixels' corners, and the mean of the first cell's {cell * cell} pixels is"
        f" ({(cell - 1) / 2:g}, {(cell - 1) / 2:g}); with 0.5 added they point to the middles, and the mean is"
        f" ({cell / 2:g}, {cell / 2:g}), the centre of the image token.",
    )


def curves_along(
    positions: ArrayLike | Any,
    curves: Mapping[str, ArrayLike | Any],
    *,
    dashed: Mapping[str, ArrayLike | Any] | None = None,
    band: Mapping[str, tuple[ArrayLike | Any, ArrayLike | Any]] | None = None,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """Curves over a linear axis, each with a dashed reference and a band; one named after a mask has its colour.

    Args:
        positions: (positions,), where the curves are known, in order.
        curves: per name one value for each position, at most four.
        dashed: for some of these names, the curve of the formula.
        band: for some of these names, the band's lower and upper edge.
        xlabel: what changes from left to right.
        ylabel: what is measured.
        title: the figure's title.
    """
    curves = as_mapping("curves", curves)
    lines = {} if dashed is None else as_mapping("dashed", dashed)
    bands = {} if band is None else as_mapping("band", band)
    for word, named in (("dashed", lines), ("band", bands)):
        if unknown := [name for name in named if name not in curves]:
            raise ValueError(f"{word}: there is no curve {unknown[0]!r}; there are {', '.join(map(repr, curves))}")
    styles = "o-", "s-", "^-", "D-"
    if len(curves) > len(styles):
        raise ValueError(f"curves: expected at most {len(styles)}, as there are no more marks, got {len(curves)}")
    positions = as_rising("positions", positions)
    given = {name: as_array(f"curves {name}", curve, positions.shape) for name, curve in curves.items()}
    dashes = {name: as_array(f"dashed {name}", line, positions.shape) for name, line in lines.items()}
    edges = {
        name: tuple(
            as_array(f"band {name}, {word}", edge, positions.shape)
            for word, edge in zip(("low", "high"), as_tuple(f"band {name}", both, ("low", "high")), strict=True)
        )
        for name, both in bands.items()
    }
    with theme():
        figure = titled(title, 260, 680)
        axes = figure.subplots()
        for (name, curve), colour, style in zip(given.items(), series_colours(given), styles, strict=False):
            axes.plot(
                positions, curve, style, color=colour, label=name, markersize=4, markeredgecolor=mark_edge(colour)
            )
            if name in dashes:
                axes.plot(positions, dashes[name], "--", color=INK, linewidth=1.0)
            if name in edges:
                low, high = edges[name]
                axes.fill_between(positions, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.axhline(0, color=SOFT, linewidth=0.8)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.25)
        axes.legend(title="dashed: the formula" if dashes else None)
    details = [f"{name} from {curve[0]:.2f} to {curve[-1]:.2f}" for name, curve in given.items()]
    return Figure(
        figure,
        f"{title or ylabel}: {ylabel} over {xlabel} from {positions[0]:g} to {positions[-1]:g}; {listed(details)}."
        + (" Dashed: the formula." if dashes else ""),
    )
