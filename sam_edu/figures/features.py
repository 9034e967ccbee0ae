"""Figures of feature maps: single channels, and all channels as colours."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count
from sam_edu.arrays import shorten
from sam_edu.choices import name_largest, name_smallest
from sam_edu.figures.kit.arrays import as_array, as_image, as_names
from sam_edu.figures.kit.basis import ColourBasis
from sam_edu.figures.kit.colours import GRID, SIGNED
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import draw_image
from sam_edu.figures.kit.scales import strongest, three_colours
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, blank, heading, theme, titled
from sam_edu.prompt_checks import check_flag
from sam_edu.selections import Select, as_indices


def channels(
    maps: ArrayLike | Any,
    *,
    order: Select | None = None,
    names: Sequence[str] | None = None,
    columns: int = 8,
    per_channel: bool = False,
    image: ArrayLike | Any | None = None,
    cell: int | None = None,
    title: str = "",
    label: str = "value",
) -> Figure:
    """Channels of a feature map, a panel each: red above zero, blue below.

    Args:
        maps: (channels, height, width).
        order: which channels to draw, in which order; all by default.
        names: one per drawn channel; its number by default.
        columns: panels in a row.
        per_channel: scale each to its own largest absolute value, which stands above it; else one scale for all.
        image: (height, width, 3), drawn first.
        cell: draw a line after every so many pixels.
        title: the figure's title.
        label: the name of what the colours show.
    """
    maps = as_array("maps", maps, ("channels", "height", "width"))
    chosen = list(range(len(maps))) if order is None else as_indices("order", order, len(maps))
    names = as_names("names", names if names is not None else [str(i) for i in chosen], len(chosen))
    columns, per_channel = as_count("columns", columns), check_flag("per_channel", per_channel)
    cell = None if cell is None else as_count("cell", cell)
    shown = None if image is None else as_image(image)
    limit = strongest(maps[chosen], 0.995)
    tops = [strongest(maps[i]) for i in chosen]
    first = 0 if shown is None else 1
    height, width = maps.shape[1:]
    with theme():
        columns = min(columns, len(chosen) + first)
        down = math.ceil((len(chosen) + first) / columns)
        panel = (WIDTH - 110) / max(columns, 4)
        figure = titled(title, down * (panel * height / width + 20), panel * columns + 90)
        grid = figure.subplots(down, columns, squeeze=False)
        for i, axes in enumerate(grid.flat):
            one = i - first
            if one >= len(chosen):
                axes.set_axis_off()
                continue
            if shown is not None and one < 0:
                axes.imshow(shown, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest")
                axes.set_title("the image", fontsize=SMALL, pad=3)
            else:
                top = tops[one] if per_channel else limit
                drawn = axes.imshow(maps[chosen[one]] / top, cmap=SIGNED, norm=TwoSlopeNorm(0.0, -1.0, 1.0))
                axes.set_title(f"{names[one]}: {top:.2g}" if per_channel else names[one], fontsize=SMALL, pad=3)
            if cell is not None:
                axes.vlines(np.arange(cell, width, cell) - 0.5, -0.5, height - 0.5, color=GRID, linewidth=0.9)
                axes.hlines(np.arange(cell, height, cell) - 0.5, -0.5, width - 0.5, color=GRID, linewidth=0.9)
            bare(axes)
        ticks = (0, 1) if maps[chosen].min() >= 0 else (-1, 0, 1)
        bar = figure.colorbar(drawn, ax=list(grid.flat), shrink=0.7, aspect=24, pad=0.015, ticks=ticks)
        bar.ax.set_ylim(ticks[0], 1)
        bar.set_label(f"{label} / the channel's max" if per_channel else label)
        if not per_channel:
            bar.set_ticklabels([f"{sign * limit:.2g}" for sign in ticks])
    deviations = maps[chosen].std(axis=(1, 2))
    return Figure(
        figure,
        f"{title or 'Channels'}: {len(chosen)} maps of {height} by {width}"
        f" {'each scaled to its own maximum' if per_channel else 'on one colour scale'};"
        f" {name_largest(deviations, names)} varies most over the image, {name_smallest(deviations, names)} least.",
    )


def embeddings(
    maps: ArrayLike | Any,
    names: Sequence[str],
    *,
    image: ArrayLike | Any | None = None,
    basis: ColourBasis | None = None,
    title: str = "",
) -> Figure:
    """Feature maps as colours: each position's vector projected on three directions.

    Positions of like colour hold like vectors. Each map is first centred: what is seen is how a map differs from
    position to position. With a `basis` a colour means the same difference in every figure that has it. Without one
    the directions are those in which these maps vary most, each map first scaled by itself.

    Args:
        maps: (maps, channels, height, width).
        names: one per map.
        image: (height, width, 3), drawn first.
        basis: of the model, from `embedding_basis`.
        title: the figure's title.
    """
    maps = as_array("maps", maps, ("maps", "channels", "height", "width")).astype(np.float64)
    if maps.shape[1] < 3:
        raise ValueError(f"maps: expected at least 3 channels, one for each colour, got {maps.shape[1]}")
    names = as_names("names", names, len(maps))
    if basis is not None and not isinstance(basis, ColourBasis):
        raise TypeError(f"basis: expected what embedding_basis gives, got {shorten(basis)}")
    if basis is not None and len(basis.directions) != maps.shape[1]:
        raise ValueError(f"basis: expected one of {maps.shape[1]} channels, got one of {len(basis.directions)}")
    colours, kept = three_colours(maps) if basis is None else (basis.colours(maps), basis.kept)
    shown = list(zip(names, colours, strict=True))
    if image is not None:
        shown.insert(0, ("the image", as_image(image)))
    with theme():
        panel = (WIDTH - 36) / max(len(shown), 3)
        high = panel * maps.shape[2] / maps.shape[3] + 28 + (24 if title else 0)
        figure = blank(high, panel * len(shown) + 6 * len(shown) + 2)
        heading(figure, title)
        for axes, (name, drawn) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            axes.set_title(name)
            draw_image(axes, drawn)
            bare(axes)
    return Figure(
        figure,
        f"{title or 'Embeddings'}: {' and '.join(names)} as colour maps of {maps.shape[2]} by {maps.shape[3]}"
        f" positions, where like colours mean like vectors. The three directions shown hold {100 * kept:.0f} % of the"
        f" variance{' of the embedding that they are made from' if basis else ''}.",
    )
