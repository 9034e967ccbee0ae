"""Diagrams: a canvas in pixels, boxes, arrows, signs and text. Boxes and arrows of all figures are drawn here."""

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.figure
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import FRAME, GROUND, INK, PALE, SOFT, UNLIT, Pair
from sam_edu.figures.kit.theme import SMALL, blank

Corners = Sequence[tuple[Number, Number]]
DASHES = (0, (5, 3))
WIDE = 1000
"""Width of a diagram in pixels."""


def canvas(height: Number, width: Number = WIDE) -> tuple[matplotlib.figure.Figure, Axes]:
    """An empty figure whose only axes count pixels from the top left."""
    figure = blank(height, width)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    return figure, axes


def draw_title(axes: Axes, title: str, subtitle: str = "", y: Number = 20) -> None:
    """The diagram's title, and a line beside it."""
    drawn = axes.text(8, y, title, fontsize=13, fontweight="bold", va="center")
    if subtitle:
        place: dict[str, Any] = {"xycoords": drawn, "xytext": (14, 0), "textcoords": "offset points"}
        axes.annotate(subtitle, (1.0, 0.5), fontsize=10, color=SOFT, va="center", **place)


def draw_key(axes: Axes, x: Number, y: Number, name: str, colours: Pair) -> None:
    """One entry of a key: a square of the colour, and its name."""
    axes.scatter([x], [y], s=75, marker="s", c=colours[0], edgecolors=colours[1], linewidths=1.2)
    axes.text(x + 10, y, name, fontsize=SMALL, color=SOFT, va="center")


def draw_shape(
    axes: Axes,
    corner: tuple[Number, Number],
    width: Number,
    height: Number,
    colours: Pair,
    *,
    rounding: Number = 6,
    line: Number = 1.4,
    dashed: bool = False,
    zorder: Number = 3,
) -> None:
    """A rectangle with round corners, from its corner at the top left."""
    options: dict[str, Any] = {"linestyle": DASHES} if dashed else {}
    axes.add_patch(
        FancyBboxPatch(
            corner,
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=colours[0],
            edgecolor=colours[1],
            linewidth=line,
            zorder=zorder,
            **options,
        )
    )


def draw_box(
    axes: Axes,
    x: Number,
    y: Number,
    width: Number,
    text: str,
    colours: Pair,
    *,
    height: Number = 48,
    size: Number = SMALL,
) -> None:
    """A box around its centre, with its text."""
    draw_shape(axes, (x - width / 2, y - height / 2), width, height, colours)
    draw_text(axes, x, y, text, size, UNLIT if colours == PALE else INK)


def draw_frame(axes: Axes, corner: tuple[Number, Number], width: Number, height: Number) -> None:
    """A dashed frame around several boxes, below them."""
    draw_shape(axes, corner, width, height, (GROUND, FRAME), rounding=12, line=1.2, dashed=True, zorder=1)


def draw_path(
    axes: Axes,
    corners: Corners,
    *,
    colour: str = SOFT,
    line: Number = 1.2,
    head: Number = 11,
    zorder: Number = 2,
    **options: Any,
) -> None:
    """A path of straight lines with a head of a size at its end; without one where `head` is 0."""
    axes.add_patch(
        FancyArrowPatch(
            path=Path(corners),
            arrowstyle="-|>" if head else "-",
            mutation_scale=head or 1,
            color=colour,
            linewidth=line,
            shrinkA=0,
            shrinkB=0,
            zorder=zorder,
            **options,
        )
    )


def draw_arrow(
    axes: Axes,
    corners: Corners,
    shape: str = "",
    at: tuple[Number, Number] = (0, 0),
    side: Literal["left", "center", "right"] = "center",
) -> None:
    """A path with an arrow head, and its tensor's shape beside it."""
    draw_path(axes, corners, joinstyle="round")
    if shape:
        axes.text(*at, shape, fontsize=SMALL, color=SOFT, ha=side, va="center", linespacing=1.15, zorder=4)


def draw_junction(axes: Axes, x: Number, y: Number) -> None:
    """A dot where a path leaves another."""
    axes.plot(x, y, "o", color=SOFT, markersize=4, zorder=4)


def draw_sum(
    axes: Axes,
    x: Number,
    y: Number,
    edge: str,
    *,
    area: Number = 190,
    line: Number = 1.2,
    plus: str = "",
    size: Number = 12,
) -> None:
    """A plus in a circle: two tensors are added. `plus` is the colour of the sign, by default that of the edge."""
    axes.scatter([x], [y], s=area, c="white", edgecolors=edge, linewidths=line, zorder=3)
    draw_text(axes, x, y, "+", size, plus or edge)


def draw_text(axes: Axes, x: Number, y: Number, text: str, size: Number, colour: str, bold: bool = False) -> None:
    """Centred text, of one line or more."""
    axes.text(
        x,
        y,
        text,
        fontsize=size,
        color=colour,
        ha="center",
        va="center",
        linespacing=1.2,
        zorder=4,
        fontweight="bold" if bold else "normal",
    )


def draw_paragraph(axes: Axes, x: Number, y: Number, text: str, colour: str) -> None:
    """Text of one line or more that begins at x."""
    axes.text(x, y, text, fontsize=SMALL, va="center", linespacing=1.2, color=colour)
