"""Marks on an image: clicks, boxes, masks, outlines."""

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from numpy.typing import ArrayLike

from sam_edu.figures.kit.arrays import Array, Number, as_array
from sam_edu.figures.kit.colours import BOX_COLOUR, INK, NEGATIVE, POSITIVE, luminance

PALE = 0.55
"""The luminance from which a colour is pale."""
LARGE = 260
"""Width in pixels from which an image is large enough for a disc at a click."""
_OUTER, _INNER = 0.5, 0.2
_ACROSS = [(-_OUTER, 0.0), (-_INNER, 0.0), (_INNER, 0.0), (_OUTER, 0.0)]
_CODES = [Path.MOVETO, Path.LINETO] * 2
_TICKS_OF_MINUS = Path(_ACROSS, _CODES)
_TICKS_OF_PLUS = Path([*_ACROSS, *((y, x) for x, y in _ACROSS)], _CODES * 2)

Click = tuple[float, float, int]
Box = tuple[float, float, float, float]


def as_clicks(
    points: ArrayLike | Any | None, labels: ArrayLike | Any | None, *, name: str = "points", all_labels: bool = False
) -> list[Click]:
    """Clicks as (x, y, label); all positive where no labels are given.

    Args:
        points: (clicks, 2) as (x, y).
        labels: (clicks,): 1 positive, 0 negative.
        name: what the caller calls the points, for messages.
        all_labels: accept other whole numbers as labels too.

    Raises:
        TypeError: something else than numbers.
        ValueError: labels without points, another number of them, or other labels.
    """
    if points is None:
        if labels is not None:
            raise ValueError(f"{name}: expected a point (x, y) for each label, got None")
        return []
    points = as_array(name, points, ("clicks", 2))
    labels = np.ones(len(points), int) if labels is None else as_array("labels", labels, (len(points),))
    known = labels == np.round(labels) if all_labels else np.isin(labels, (0, 1))
    if not known.all():
        wanted = "whole numbers" if all_labels else "1 (positive) or 0 (negative)"
        raise ValueError(f"labels: expected {wanted}, got {labels[~known][0]:g}")
    return [(float(x), float(y), int(label)) for (x, y), label in zip(points, labels, strict=True)]


def as_box(box: ArrayLike | Any | None, name: str = "box") -> Box | None:
    """A box as (x0, y0, x1, y1), whichever corner comes first."""
    if box is None:
        return None
    x0, y0, x1, y1 = as_array(name, box, (4,)).astype(float).tolist()
    return x0, y0, x1, y1


def draw_image(axes: Axes, image: Array) -> None:
    """An image. Made smaller, or a little larger, its pixels are averaged; enlarged three times they stay sharp."""
    axes.imshow(image, interpolation="auto")


def draw_prompts(
    axes: Axes,
    clicks: list[Click],
    box: Box | None = None,
    width: Number = 0,
) -> None:
    """Clicks and a box on an image about `width` pixels wide: discs with a sign where it is large, else ticks."""
    if box is not None:
        x0, y0, x1, y1 = box
        for line, colour in ((4.0, INK), (2.0, BOX_COLOUR)):
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=line))
    if width < LARGE:
        draw_ticks(axes, clicks)
        return
    for x, y, label in clicks:
        colour, sign = (POSITIVE, "+") if label == 1 else (NEGATIVE, "_")
        axes.scatter([x], [y], s=130, c=colour, edgecolors="white", linewidths=1.6, zorder=5)
        axes.scatter([x], [y], s=55, c="white", marker=sign, linewidths=1.8, zorder=6)


def draw_ticks(axes: Axes, clicks: list[Click]) -> None:
    """Ticks that point at each click and leave the position free: four for a positive click, two for a negative."""
    for x, y, label in clicks:
        colour, mark = (POSITIVE, _TICKS_OF_PLUS) if label == 1 else (NEGATIVE, _TICKS_OF_MINUS)
        for width, edge in ((4.2, "white"), (2.4, colour)):
            axes.plot(
                [x],
                [y],
                marker=MarkerStyle(mark, capstyle="butt"),
                markersize=17,
                markeredgecolor=edge,
                markerfacecolor="none",
                markeredgewidth=width,
                zorder=6,
                scalex=False,
                scaley=False,
            )


def draw_mask(axes: Axes, mask: Array, colour: str, fill: Number = 0.42) -> None:
    """A mask as a tint and an outline."""
    if fill > 0:
        layer = np.zeros((*mask.shape, 4))
        layer[..., :3] = to_rgb(colour)
        layer[..., 3] = fill * mask
        axes.imshow(layer, interpolation="nearest")
    draw_outline(axes, mask, colour)


def draw_outline(axes: Axes, mask: Array, colour: str, width: Number = 1.6, dashed: bool = False) -> None:
    """The edge of a mask, with a light halo, or a dark one if it is pale itself, so that it shows on any ground."""
    if not mask.any():
        return
    height, wide = mask.shape
    padded = np.pad(mask.astype(float), 1)
    x, y = np.arange(-1, wide + 1), np.arange(-1, height + 1)
    drawn = axes.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=width)
    halo = patheffects.Stroke(linewidth=width + 1.6, foreground=INK if luminance(colour) > PALE else "white", alpha=0.9)
    drawn.set_path_effects([halo, patheffects.Normal()])
    if dashed:
        drawn.set_linestyle("dashed")
    axes.set_xlim(-0.5, wide - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def draw_edges(axes: Axes, masks: list[Array], width: Number = 0.6, alpha: Number = 0.6, colour: str = "white") -> None:
    """The edges of masks as thin lines, for orientation on a map."""
    for mask in masks:
        if mask.any():
            axes.contour(mask > 0, levels=[0.5], colors=[colour], linewidths=width, alpha=alpha)


def overlap(one: Array, other: Array) -> float:
    """IoU of two masks; 1 where both are empty."""
    union = float((one | other).sum())
    return float((one & other).sum()) / union if union else 1.0
