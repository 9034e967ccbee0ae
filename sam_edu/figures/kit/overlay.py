"""Attention over an image: the image in grey below, the weights as heat above, on a square-root scale."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.figure import Figure, SubFigure

from sam_edu.argument_checks import as_number
from sam_edu.figures.kit.arrays import Array, Number
from sam_edu.figures.kit.colours import HEAT
from sam_edu.figures.kit.marks import Click, draw_edges, draw_image, draw_ticks
from sam_edu.figures.kit.scales import scale_end
from sam_edu.figures.kit.theme import bare

ROOT = 0.5
"""The exponent of the scale: a quarter of the largest weight has half of its brightness."""
_TICKS = (0.0, 1 / 16, 1 / 4, 9 / 16, 1.0)


def in_grey(image: Array) -> Array:
    """A colour image of bytes, or of floats from 0 to 1, as (height, width) from 0 to 1."""
    grey: Array = image.mean(-1) / (255 if image.dtype == np.uint8 else 1)
    return grey


def overlay(weights: Array, grey: Array, top: Number) -> Array:
    """Weights (height, width) over an image in grey, as colours of the image's size: dark where there is no weight.

    Args:
        weights: from 0.
        grey: (image height, image width), from 0 to 1.
        top: the weight at which the brightest colour is reached.
    """
    rows, columns = (np.arange(size) * cells // size for size, cells in zip(grey.shape, weights.shape, strict=True))
    strength = np.clip(weights / top, 0.0, 1.0)[rows][:, columns] ** ROOT
    heat = mpl.colormaps[HEAT](0.25 + 0.75 * strength)[..., :3]
    cover = np.clip(1.5 * strength, 0.0, 1.0)[..., None]
    result: Array = (1 - cover) * (0.1 + 0.5 * grey[..., None]) + cover * heat
    return result


class AttentionScale:
    """The scale of a figure's attention maps: one for all of them, or, where it is asked for, each its own.

    Args:
        maps: (maps, ...), from 0.
        limit: where the one scale ends; by default at the largest weight.
        per_panel: each map to its own maximum.

    Raises:
        TypeError: a limit that is no number.
        ValueError: a weight below 0; a limit that is none; a limit where each map has its own.
    """

    def __init__(self, maps: Array, limit: Number | None = None, per_panel: bool = False) -> None:
        if float(maps.min()) < 0:
            raise ValueError(
                f"weights: expected none below 0, got {float(maps.min()):.3g}; attention weights have none"
            )
        if limit is not None and per_panel:
            raise ValueError(
                f"limit: expected none where per_panel is set, as each panel has its own scale, got {limit}"
            )
        self.per_panel = per_panel
        shared = scale_end(float(maps.max())) if limit is None else as_number("limit", limit, above=0)
        self.top = 1.0 if per_panel else shared

    def top_of(self, one: Array) -> float:
        """The weight at which a map is brightest."""
        return (float(one.max()) or 1.0) if self.per_panel else self.top

    @property
    def label(self) -> str:
        """What stands at the colour bar."""
        if self.per_panel:
            return "weight / the panel's own maximum\n(square-root scale)"
        return "attention weight (square-root scale,\none scale for all panels)"

    @property
    def in_words(self) -> str:
        """The scale in an alt text."""
        which = (
            "each panel scaled to its own maximum"
            if self.per_panel
            else f"all panels on one scale up to {self.top:.2g}"
        )
        return f"on a square-root scale, {which}"


def draw_attention(
    axes: Axes, weights: Array, image: Array, edges: list[Array], clicks: list[Click], scale: AttentionScale
) -> None:
    """One map over the image, with the edges of masks, and ticks that point at clicks."""
    draw_image(axes, overlay(weights, in_grey(image), scale.top_of(weights)))
    draw_edges(axes, edges)
    draw_ticks(axes, clicks)
    bare(axes)


def draw_attention_bar(figure: Figure | SubFigure, panels: list[Axes], scale: AttentionScale, label: str = "") -> None:
    """The scale as a bar, over an image of middle grey, with what is on it."""
    levels = np.linspace(0.0, 1.0, 256) ** (1 / ROOT)
    colours = ListedColormap(overlay(levels[None], np.full((1, 256), 0.5), 1.0)[0])
    drawn = ScalarMappable(PowerNorm(ROOT, 0.0, scale.top), colours)
    ticks = [scale.top * part for part in _TICKS]
    bar = figure.colorbar(drawn, ax=panels, shrink=0.9, aspect=24, pad=0.015, ticks=ticks)
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.set_label(f"{label} (square-root scale)" if label else scale.label)
