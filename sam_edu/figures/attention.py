"""Figures of attention weights: over tokens, and over the image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, TwoSlopeNorm
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_number
from sam_edu.choices import name_largest
from sam_edu.figures.kit.arrays import (
    Number,
    as_array,
    as_image,
    as_maps,
    as_masks,
    as_names,
    as_weights,
)
from sam_edu.figures.kit.colours import HEAT, PLAIN, SIGNED, token_colour
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_clicks, draw_edges, draw_ticks
from sam_edu.figures.kit.overlay import AttentionScale, draw_attention, draw_attention_bar
from sam_edu.figures.kit.scales import scale_end
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import brightest, listed, prompts_in_words
from sam_edu.prompt_checks import check_flag


def token_matrix(
    values: ArrayLike | Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    titles: Sequence[str] | None = None,
    title: str = "",
    row_label: str = "this token attends to ...",
    column_label: str = "... this token",
    label: str = "weight",
    digits: int | None = None,
    middle: Number | None = None,
) -> Figure:
    """Attention weights among tokens as labelled matrices, one panel each; or any tables of positive numbers.

    Args:
        values: (panels, rows, columns).
        rows: one name per row.
        columns: one per column; the rows' names by default.
        titles: one per panel; "head 0", "head 1" by default.
        title: the figure's title.
        row_label: the name of the vertical axis.
        column_label: the name of the horizontal one.
        label: the name of what the colours show.
        digits: write each value into its cell, with so many digits after the point.
        middle: the value drawn white; what lies above it is red, what lies below it blue.
    """
    rows = as_names("rows", rows)
    columns = rows if columns is None else as_names("columns", columns)
    values = as_array("values", values, ("panels", len(rows), len(columns)))
    digits = None if digits is None else as_count("digits", digits, 0)
    middle = None if middle is None else as_number("middle", middle, above=0)
    if values.min() < -1e-6:
        raise ValueError(
            f"values: expected numbers that are not negative, got {values.min():.3g}; signed_matrix draws both signs"
        )
    count = len(values)
    titles = as_names("titles", titles if titles is not None else [f"head {i}" for i in range(count)], count)
    across = min(count, 4)
    down = math.ceil(count / across)
    top = scale_end(float(values.max()))
    if middle is None:
        colours, norm = PLAIN, Normalize(0.0, top)
    else:
        top = max(top, 1.001 * middle)
        colours, norm = SIGNED, TwoSlopeNorm(middle, min(0.0, middle - 1e-6), top)
    with theme():
        cell = (WIDTH - 160) / across / len(columns)
        cell = min(cell, 44.0 if count == 1 else 30.0)
        figure = titled(
            title,
            down * (max(cell, 24.0) * len(rows) + 30) + 70,
            min(WIDTH, across * max(cell * (1.9 if count == 1 else 1.0) * len(columns), 90.0) + 220),
        )
        grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for i, axes in enumerate(grid.flat):
            if i >= count:
                axes.set_axis_off()
                continue
            drawn = axes.imshow(values[i], cmap=colours, norm=norm, aspect="auto")
            if count > 1 or titles[i]:
                axes.set_title(titles[i])
            axes.set_yticks(range(len(rows)), rows)
            upright = max(len(name) for name in columns) > 5 and count > 1
            axes.set_xticks(range(len(columns)), columns, rotation=90 if upright else 0)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            if digits is not None:
                for y, x in np.ndindex(values[i].shape):
                    level = float(norm(values[i, y, x]))
                    dark = level < 0.6 if middle is None else abs(level - 0.5) > 0.33
                    axes.text(
                        x,
                        y,
                        f"{values[i, y, x]:.{digits}f}",
                        ha="center",
                        va="center",
                        fontsize=SMALL,
                        color="white" if dark else "black",
                    )
        figure.supylabel(row_label, fontsize=SMALL)
        figure.supxlabel(column_label, fontsize=SMALL)
        figure.colorbar(drawn, ax=list(grid.flat), shrink=0.9, aspect=22, pad=0.02, label=label)
    details = []
    for name, one in zip(titles, values, strict=True):
        where = name_largest(one, [f"{row} / {column}" for row in rows for column in columns])
        details.append(f"{name} {where} {one.max():.{2 if digits is None else digits}f}".strip())
    return Figure(
        figure,
        f"{title or 'Matrices'}: {count} {'matrix' if count == 1 else 'matrices'} of {len(rows)} rows"
        f" ({', '.join(rows)}) by {len(columns)} columns ({', '.join(columns)}). Largest"
        f" {label}: {'; '.join(details)}.",
    )


def attention_maps(
    weights: ArrayLike | Any,
    image: ArrayLike | Any,
    *,
    titles: Sequence[str] | None = None,
    points: ArrayLike | Any | None = None,
    labels: ArrayLike | Any | None = None,
    outlines: ArrayLike | Any | None = None,
    columns: int = 4,
    limit: Number | None = None,
    per_panel: bool = False,
    title: str = "",
) -> Figure:
    """Attention maps over the image in grey, on a square-root scale, which is one for all panels and stands beside.

    Args:
        weights: (maps, height, width), or (maps, image_tokens) of a square grid: one attention map per head or token.
        image: (height, width, 3).
        titles: one per map; "head 0", "head 1" by default.
        points: clicks (clicks, 2) as (x, y) in the image's pixels; ticks point at them.
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        outlines: masks (masks, height, width) of the image's size whose edges are drawn, for orientation.
        columns: panels in a row, at most.
        limit: the colours end here; by default at the largest weight. The same for two figures that are compared.
        per_panel: scale each panel to its own maximum, to compare shapes, not strengths. The figure says so.
        title: the figure's title.

    Raises:
        ValueError: weights below zero; another shape; a limit with `per_panel`.
    """
    image, clicks, maps = as_image(image), as_clicks(points, labels), as_weights("weights", as_maps("weights", weights))
    height, width = image.shape[:2]
    edges = [] if outlines is None else list(as_masks("outlines", outlines, ("masks", height, width)))
    per_panel, columns = check_flag("per_panel", per_panel), as_count("columns", columns)
    count = len(maps)
    titles = as_names("titles", titles if titles is not None else [f"head {i}" for i in range(count)], count)
    scale = AttentionScale(maps, limit, per_panel)
    with theme():
        across = min(count, columns)
        down = math.ceil(count / across)
        panel = min((WIDTH - 110) / across, 260.0)
        lines = 2 + max(name.count("\n") for name in titles)
        figure = titled(title, down * (panel * height / width + 16 * lines) + 8, panel * across + 110)
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes in grid[count:]:
            axes.set_axis_off()
        for axes, one, name in zip(grid, maps, titles, strict=False):
            draw_attention(axes, one, image, edges, clicks, scale)
            axes.set_title(f"{name}\nmax {one.max():.2g}")
        draw_attention_bar(figure, grid, scale)
    details = [
        f"{name} at {brightest(one, width, height)} {one.max():.2g}" for name, one in zip(titles, maps, strict=True)
    ]
    where = f" with {prompts_in_words(clicks)}" if clicks else ""
    return Figure(
        figure,
        f"{title or 'Attention'}: {count} {'map' if count == 1 else 'maps'} of attention weights over the image in"
        f" grey{where}, {scale.in_words}. Largest weights, at (x, y): {listed(details)}.".replace("\n", " "),
    )


def attention_to_tokens(
    weights: ArrayLike | Any,
    names: Sequence[str],
    *,
    outlines: ArrayLike | Any | None = None,
    points: ArrayLike | Any | None = None,
    limit: Number | None = None,
    title: str = "",
) -> Figure:
    """For each image token, the shares of its attention that the tokens get, and the token with the largest share.

    Args:
        weights: (tokens, height, width), or (tokens, image_tokens) of a square grid.
        names: one per token.
        outlines: masks (masks, height, width) whose edges are drawn, for orientation.
        points: clicks (clicks, 2) as (x, y) in the outlines' pixels.
        limit: the colours end here; by default at the largest share. The same for two images that are compared.
        title: the figure's title.
    """
    maps, clicks = as_weights("weights", as_maps("weights", weights)), as_clicks(points, None)
    count = len(maps)
    names = as_names("names", names, count)
    edges = [] if outlines is None else list(as_masks("outlines", outlines, ("masks", "height", "width")))
    height, width = edges[0].shape if edges else maps.shape[1:]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    top = scale_end(float(maps.max())) if limit is None else as_number("limit", limit, above=0)
    winner = maps.argmax(0)
    shares = [float((winner == i).mean()) for i in range(count)]
    with theme():
        across = 4
        down = math.ceil((count + 1) / across)
        panel = (WIDTH - 100) / across
        figure = titled(title, down * (panel * height / width + 26) + 8)
        grid = figure.subplots(down, across, squeeze=False)
        for i, axes in enumerate(grid.flat):
            if i > count:
                axes.set_axis_off()
                continue
            if i < count:
                drawn = axes.imshow(maps[i], cmap=HEAT, vmin=0.0, vmax=top, extent=extent, interpolation="nearest")
                _named(axes, names[i], token_colour(names[i]))
            else:
                colours = ListedColormap([token_colour(name) for name in names])
                axes.imshow(winner, cmap=colours, vmin=-0.5, vmax=count - 0.5, extent=extent, interpolation="nearest")
                axes.set_title("largest share")
            draw_edges(axes, edges, 0.8, 0.8)
            draw_ticks(axes, clicks)
            bare(axes)
        figure.colorbar(drawn, ax=list(grid.flat), shrink=0.8, aspect=26, pad=0.015, label="share of the attention")
    details = [f"{name} on {100 * part:.0f} %" for name, part in zip(names, shares, strict=True) if part > 0]
    return Figure(
        figure,
        f"{title or 'Shares of attention'}: one heat map per token of the share of each image token's attention, and a"
        f" map of the token with the largest share: {listed(details)} of the positions.",
    )


def _named(axes: Axes, name: str, colour: str) -> None:
    """A title with a square of the token's colour before it."""
    axes.set_title(" ")  # keeps the room
    axes.plot([], [], "s", color=colour, markersize=8, label=name)
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 0.985),
        fontsize=SMALL,
        handletextpad=0.1,
        borderpad=0.0,
        borderaxespad=0.2,
    )
