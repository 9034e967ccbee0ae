"""The empty sheet, and the few things that are drawn on it: text, images, boxes, arrows, clicks."""

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.figure
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from sam_edu.figures.decoder_map import STEPS
from sam_edu.figures.kit.arrays import Array, Number
from sam_edu.figures.kit.colours import INK, NEGATIVE, POSITIVE, THIN_FRAME
from sam_edu.figures.kit.diagram import draw_path, draw_shape
from sam_edu.figures.poster.decode import Decode, quiet_colours
from sam_edu.figures.poster.geometry import DPI, HIGH, SMALL, WIDE


class Sheet:
    """An empty poster, and the few things that are drawn on it."""

    def __init__(self) -> None:
        self.figure = matplotlib.figure.Figure(figsize=(WIDE / DPI, HIGH / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_xlim(0, WIDE)
        self.axes.set_ylim(HIGH, 0)
        self.axes.set_autoscale_on(False)
        self.axes.set_axis_off()

    def text(
        self,
        x: Number,
        y: Number,
        text: str,
        size: Number = SMALL,
        colour: str = INK,
        *,
        bold: bool = False,
        code: bool = False,
        ha: Literal["left", "center", "right"] = "left",
        va: Literal["top", "center", "bottom"] = "top",
    ) -> Text:
        """Text, of one line or more."""
        return self.axes.text(
            x,
            y,
            text,
            fontproperties=font(size, bold, code),
            color=colour,
            ha=ha,
            va=va,
            linespacing=1.28,
            zorder=6,
        )

    def words(self, x: Number, y: Number, width: Number, text: str, size: Number = SMALL, colour: str = INK) -> float:
        """Text in a column of some width; returns where it ends."""
        lines = wrapped(text, width, size)
        drawn = self.text(x, y, "\n".join(lines), size, colour)
        return y + float(drawn.get_window_extent().height)

    def image(self, x: Number, y: Number, width: Number, height: Number, colours: Array) -> None:
        """Colours from 0 to 1 as an image with a thin frame."""
        drawn = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
        self.axes.imshow(drawn, extent=(x, x + width, y + height, y), aspect="auto", interpolation="auto", zorder=4)
        self.axes.add_patch(
            Rectangle((x, y), width, height, fill=False, edgecolor=THIN_FRAME, linewidth=points(1), zorder=5)
        )

    def stripes(self, x: Number, y: Number, width: Number, height: Number, values: Array, top: bool = False) -> None:
        """(channels, tokens) as upright stripes, one per token; from white to grey where nothing is negative."""
        greys = mpl.colormaps["Greys"](0.55 * np.clip(values / (np.quantile(values, 0.98) or 1.0), 0, 1))[..., :3]
        self.image(x, y, width, height, np.repeat(greys if top else quiet_colours(values), 10, axis=1))

    def matrix(self, x: Number, y: Number, size: Number, colours: Array) -> None:
        """A small matrix of colours whose cells stay sharp."""
        self.image(x, y, size, size, np.repeat(np.repeat(colours, 12, 0), 12, 1))

    def arrow(
        self, corners: Sequence[tuple[Number, Number]], colour: str, width: Number = 3, head: bool = True
    ) -> None:
        """A path, with a head at its end."""
        size = points(5 * width + 6) if head else 0
        options = {"joinstyle": "miter", "capstyle": "butt"}
        draw_path(self.axes, corners, colour=colour, line=points(width), head=size, zorder=3, **options)

    def box(
        self, x: Number, y: Number, width: Number, height: Number, face: str, edge: str, dashed: bool = False
    ) -> None:
        """A box with round corners."""
        options: dict[str, Any] = {
            "rounding": 14,
            "line": points(1.5),
            "dashed": dashed,
            "zorder": 1.5 if dashed else 4,
        }
        draw_shape(self.axes, (x, y), width, height, (face, edge), **options)

    def sign(self, x: Number, y: Number, sign: str, colour: str) -> None:
        """A sign in a small circle."""
        self.axes.add_patch(Circle((x, y), 11, facecolor="white", edgecolor=colour, linewidth=points(2), zorder=5))
        self.text(x, y - 0.5, sign, 17, colour, bold=True, ha="center", va="center")

    def clicks(self, decode: Decode, x: Number, y: Number, width: Number, height: Number, size: Number) -> None:
        """The clicks on an image: four ticks each that point at the position and leave it free."""
        high, wide = decode.image.shape[:2]
        for at_x, at_y, label in decode.clicks:
            across, down = x + (at_x + 0.5) * width / wide, y + (at_y + 0.5) * height / high
            for colour, line, more in (("white", 0.6, 0.12), (POSITIVE if label == 1 else NEGATIVE, 0.36, 0.0)):
                for to_x, to_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                    near, far = (1 - more) * size, (2.6 + more) * size
                    self.axes.plot(
                        [across + near * to_x, across + far * to_x],
                        [down + near * to_y, down + far * to_y],
                        color=colour,
                        linewidth=points(line * size),
                        solid_capstyle="butt",
                        zorder=6,
                    )

    def step(
        self, x: Number, y: Number, width: Number, step: str, text: str, edge: str, station: bool = False
    ) -> float:
        """A step's number, name and a sentence or two; returns where they end. A station of the path is larger."""
        high, letters = (48, 34) if station else (34, 22)
        wide = high - 10 + 0.6 * letters * len(step)
        draw_shape(self.axes, (x, y), wide, high, (edge, edge), rounding=high / 2, line=1.0, zorder=4)
        self.text(x + wide / 2, y + high / 2, step, letters, "white", bold=True, ha="center", va="center")
        name = STEPS[step][0].upper() + STEPS[step][1:]
        lines = wrapped(name, width - wide - 8, 17, bold=True)
        if len(lines) == 1:
            drawn = self.text(x + wide + 8, y + high / 2, name, 17, edge, bold=True, va="center")
        else:
            drawn = self.text(x + wide + 8, y - 2, "\n".join(lines), 17, edge, bold=True)
        return self.words(x, y + max(high + 2, float(drawn.get_window_extent().height)) + 6, width, text)


def points(pixels: Number) -> float:
    return pixels * 72 / DPI


def font(size: Number, bold: bool = False, code: bool = False) -> FontProperties:
    family = "DejaVu Sans Mono" if code else "DejaVu Sans"
    return FontProperties(family=family, size=points(size), weight="bold" if bold else "normal")


def wrapped(text: str, width: Number, size: Number, bold: bool = False) -> list[str]:
    """Text cut into lines that are no wider than `width` pixels, unless one word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        measured, _, _ = text_to_path.get_text_width_height_descent(longer, font(size, bold), False)
        if lines and measured * DPI / 72 <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
