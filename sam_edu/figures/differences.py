"""Figures of what differs: two masks, and two clicks' tensors with their difference."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from sam_edu.arrays import as_numbers
from sam_edu.figures.kit.arrays import (
    Array,
    as_array,
    as_image,
    as_maps,
    as_masks,
    as_names,
    as_tuple,
    as_weights,
)
from sam_edu.figures.kit.colours import GAINED, INK, KEPT, LOST, for_text, token_colour
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_clicks, draw_edges, draw_image, draw_ticks, overlap
from sam_edu.figures.kit.overlay import AttentionScale, draw_attention, draw_attention_bar, in_grey
from sam_edu.figures.kit.scales import draw_signed, scale_end, strongest
from sam_edu.figures.kit.theme import WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import listed

_KINDS = (("kept", KEPT, ""), ("gained", GAINED, "////"), ("lost", LOST, "...."))


def gained_and_lost(
    image: ArrayLike | Any,
    before: ArrayLike | Any,
    after: ArrayLike | Any,
    *,
    names: Sequence[str] | None = None,
    points: ArrayLike | Any | None = None,
    labels: ArrayLike | Any | None = None,
    title: str = "",
) -> Figure:
    """What became of masks: pixels that are kept, gained and lost, told apart by lightness and hatches, and counted.

    Args:
        image: (height, width, 3), drawn in grey.
        before: a mask (height, width), the same for all panels, or (panels, height, width), of zeros and ones.
        after: (panels, height, width), of zeros and ones.
        names: one per panel.
        points: clicks (clicks, 2) as (x, y); ticks point at them.
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        title: the figure's title.

    Raises:
        TypeError: an argument of another type.
        ValueError: another shape, or logits instead of masks.
    """
    image, clicks = as_image(image), as_clicks(points, labels)
    later = as_masks("after", after, ("panels", *image.shape[:2]))
    shared = as_numbers("before", before).ndim == 2
    earlier = np.broadcast_to(as_masks("before", before, later.shape[1:] if shared else later.shape), later.shape)
    count = len(later)
    names = as_names("names", names if names is not None else [""] * count, count)
    pale = np.repeat(0.25 + 0.75 * in_grey(image)[..., None], 3, axis=-1)
    details = []
    with theme():
        across = min(count, 4)
        down = math.ceil(count / across)
        panel = min((WIDTH - 20) / max(across, 3), 300.0)
        lines = 1 + any(names) + max(name.count("\n") for name in names)
        high = panel * image.shape[0] / image.shape[1] + 10 + 16 * lines
        figure = titled(title, down * high + 30, max(panel * across + 20, 430))
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes in grid[count:]:
            axes.set_axis_off()
        for axes, name, old, new in zip(grid, names, earlier, later, strict=False):
            draw_image(axes, pale)
            parts = {"kept": old & new, "gained": new & ~old, "lost": old & ~new}
            for kind, colour, hatch in _KINDS:
                _draw_part(axes, parts[kind], colour, hatch)
            draw_ticks(axes, clicks)
            bare(axes)
            counts = f"{_count(parts['gained'], '+')}, {_count(parts['lost'], '−')} pixels, IoU {overlap(old, new):.2f}"
            axes.set_title(f"{name}\n{counts}".strip())
            details.append(f"{name}: {counts}".removeprefix(": ").replace("\n", " "))
        patches = [Patch(facecolor=colour, edgecolor=_line(colour), hatch=hatch) for _, colour, hatch in _KINDS]
        figure.legend(patches, [kind for kind, _, _ in _KINDS], loc="outside lower left", ncols=3)
    return Figure(
        figure,
        f"{title or 'Gained and lost'}: {count} {'panel' if count == 1 else 'panels'} with the pixels that a mask kept,"
        f" gained and lost, over the image in grey. {'; '.join(details)}.",
    )


def _draw_part(axes: Axes, part: Array, colour: str, hatch: str) -> None:
    """Some pixels in a colour, with a hatch and an edge."""
    if not part.any():
        return
    high, wide = part.shape
    padded = np.pad(part.astype(float), 1)
    x, y = np.arange(-1, wide + 1), np.arange(-1, high + 1)
    filled = axes.contourf(x, y, padded, levels=[0.5, 1.5], colors=[colour], alpha=0.85, hatches=[hatch or None])
    filled.set_edgecolor(_line(colour))
    filled.set_linewidth(0)
    axes.contour(x, y, padded, levels=[0.5], colors=[INK], linewidths=0.8)
    axes.set_xlim(-0.5, wide - 0.5)
    axes.set_ylim(high - 0.5, -0.5)


def _line(colour: str) -> str:
    """The colour of a hatch: dark on light, light on dark."""
    return "white" if colour == LOST else INK


def _count(part: Array, sign: str) -> str:
    number = int(part.sum())
    return f"{sign}{number}" if number else "0"


def two_and_difference(
    one: ArrayLike | Any,
    other: ArrayLike | Any,
    *,
    names: Sequence[str],
    rows: Sequence[str],
    image: ArrayLike | Any | None = None,
    points: tuple[ArrayLike | Any | None, ArrayLike | Any | None] = (None, None),
    outlines: ArrayLike | Any | None = None,
    label: str = "value",
    title: str = "",
) -> Figure:
    """A tensor at two clicks side by side on one scale, and their difference on a scale of its own.

    Args:
        one: (rows, channels) for vectors as strips, or with `image` (maps, height, width) or (maps, image_tokens).
        other: the same at the other click.
        names: of the two, such as "click A" and "click B".
        rows: one name per vector or per map.
        image: (height, width, 3), below the maps; then the values are weights, none below zero.
        points: per click (clicks, 2) as (x, y) in the image's pixels; ticks point at it, in the difference at both.
        outlines: masks (masks, height, width) of the image's size whose edges are drawn on maps, for orientation.
        label: what the values are.
        title: the figure's title.

    Raises:
        TypeError: an argument of another type.
        ValueError: another shape; weights below zero; clicks or outlines where there is no image to draw them on.
    """
    names = as_names("names", names, 2)
    placed = [as_clicks(at, None) for at in as_tuple("points", points, ("clicks", "other clicks"))]
    if image is None:
        rows = as_names("rows", rows)
        first = as_array("one", one, (len(rows), "channels"))
        second = as_array("other", other, first.shape)
        for name, given in (("points", any(placed)), ("outlines", outlines is not None)):
            if given:
                raise ValueError(f"{name}: expected none without an image, got some")
    else:
        first, second = as_weights("one", as_maps("one", one)), as_weights("other", as_maps("other", other))
        if first.shape != second.shape:
            raise ValueError(f"other: expected shape {first.shape}, that of one, got {second.shape}")
        rows = as_names("rows", rows, len(first))
    change = second - first
    limit = scale_end(strongest(change, 0.995))
    heads = [*names, f"{names[1]} − {names[0]}"]
    with theme():
        if image is None:
            figure = _strips(first, second, change, rows, heads, limit, label, title)
        else:
            shown = as_image(image)
            edges = [] if outlines is None else list(as_masks("outlines", outlines, ("masks", *shown.shape[:2])))
            figure = _maps(np.stack([first, second]), change, shown, rows, heads, limit, label, title, edges, placed)
    sizes = [
        f"{row} {np.abs(part).mean() / (np.abs(whole).mean() or 1.0):.2f}"
        for row, part, whole in zip(rows, change, first, strict=True)
    ]
    return Figure(
        figure,
        f"{title or 'Two clicks and their difference'}: {label} of {listed(list(rows))} at {names[0]} and at {names[1]}"
        f" on one scale, and their difference on a scale up to {limit:.2g}. Mean absolute difference, in parts of"
        f" the mean absolute value at {names[0]}: {listed(sizes)}.",
    )


def _strips(
    first: Array,
    second: Array,
    change: Array,
    rows: Sequence[str],
    heads: list[str],
    limit: float,
    label: str,
    title: str,
) -> Drawing:
    """Vectors as strips: two blocks on one scale, below them their difference."""
    both = scale_end(strongest(np.stack([first, second]), 0.99))
    figure = titled(title, 3 * (24 + 24 * len(rows)) + 50)
    panels = figure.subplots(3, 1, sharex=True)
    for axes, values, head, top in zip(panels, (first, second, change), heads, (both, both, limit), strict=True):
        drawn = draw_signed(axes, values, top, aspect="auto", interpolation="nearest")
        axes.set_title(head, loc="left")
        axes.set_yticks(range(len(rows)), rows)
        for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
            tick.set_color(for_text(token_colour(row)))
        axes.hlines(np.arange(1, len(rows)) - 0.5, -0.5, values.shape[1] - 0.5, color="white", linewidth=2)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if values is second:
            figure.colorbar(drawn, ax=list(panels[:2]), aspect=16, pad=0.01, label=label, extend="both")
        elif values is change:
            figure.colorbar(drawn, ax=axes, aspect=8, pad=0.01, label="difference", extend="both")
    panels[-1].set_xlabel("channel")
    return figure


def _maps(
    both: Array,
    change: Array,
    image: Array,
    rows: Sequence[str],
    heads: list[str],
    limit: float,
    label: str,
    title: str,
    edges: list[Array],
    placed: list[Any],
) -> Drawing:
    """Weights over the image, a row each: at one click, at the other, and the signed difference."""
    scale = AttentionScale(both)
    height, width = image.shape[:2]
    panel = min((WIDTH - 190) / 3, 230.0)
    figure = titled(title, len(rows) * (panel * height / width + 8) + 34, 3 * panel + 190)
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for y, row in enumerate(rows):
        for x in range(2):
            draw_attention(grid[y, x], both[x, y], image, edges, placed[x], scale)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        drawn = draw_signed(grid[y, 2], change[y], limit, extent=extent, interpolation="nearest")
        draw_edges(grid[y, 2], edges, colour=INK)
        draw_ticks(grid[y, 2], [click for clicks in placed for click in clicks])
        bare(grid[y, 2])
        grid[y, 0].set_ylabel(row)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(head)
    draw_attention_bar(figure, list(grid[:, :2].flat), scale, label)
    figure.colorbar(drawn, ax=list(grid[:, 2]), aspect=24, pad=0.015, label="difference", extend="both")
    return figure
