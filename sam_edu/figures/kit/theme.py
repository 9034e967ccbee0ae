"""The theme: sizes, fonts, and the empty figure that every drawing begins with."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import FAINT, INK, SOFT

DPI = 80
WIDTH = 900  # pixels: a notebook's column
SMALL = 9.9  # points, 11 pixels: the smallest letters

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.titlepad": 5.0,
    "axes.labelsize": 10.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "text.color": INK,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "image.interpolation": "auto",
    "image.interpolation_stage": "data",  # numbers are averaged before they are coloured: each colour is on the bar
    "svg.hashsalt": "sam_edu",
    "path.simplify": False,  # which points of a line are left out would depend on the last bits of its numbers
    "hatch.linewidth": 0.8,
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw, or write to a file, under the theme, whatever the reader's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)  # type: ignore[arg-type]
        yield


def blank(height: Number, width: Number = WIDTH) -> Figure:
    """An empty figure, in pixels. No pyplot: nothing is shown twice, nothing is kept open."""
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.02, hspace=0.03)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, title: str) -> None:
    """A title at the top left."""
    if title:
        figure.suptitle(title, x=0.008, ha="left", fontsize=11, fontweight="bold")


def titled(title: str, height: Number, width: Number = WIDTH) -> Figure:
    """An empty figure with a title at the top left, which gets room of its own."""
    figure = blank(height + (28 if title else 0), width)
    heading(figure, title)
    return figure


def bare(axes: Axes) -> None:
    """No ticks; a thin frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT)
