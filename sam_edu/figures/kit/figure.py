"""Figure: a drawing with its alt text."""

import base64
import io
from functools import cached_property
from pathlib import Path

import matplotlib.figure
import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.image import _ImageBase
from PIL import Image

from sam_edu.figures.kit.arrays import Array
from sam_edu.figures.kit.svg import to_svg
from sam_edu.figures.kit.theme import DPI, theme

SCALE = 2
"""Pixels of a PNG in one pixel of the page, across and down: today's screens have as many."""
STEP = 6
"""Colours of a PNG are multiples of this."""
STEP_OF_STAND_IN = 16
"""The same of the PNG that stands beside an SVG."""


class Figure:
    """A figure with its alt text. As the last value of a notebook cell it is shown, once, and carries the text along.

    What holds pixels, an image or a heat map, is shown as PNG of twice the size; everything else, diagrams and plots,
    as SVG. Beside an SVG stands a PNG for viewers that do not show SVG: JupyterLab does not, before a notebook is
    trusted.

    Args:
        figure: what was drawn.
        alt: what is to be seen, in words.

    Raises:
        ValueError: the alt text is empty.
    """

    def __init__(self, figure: matplotlib.figure.Figure, alt: str) -> None:
        if not alt.strip():
            raise ValueError("alt: expected a description of what is to be seen, got an empty one")
        self.figure = figure
        self.alt = " ".join(alt.split())

    @property
    def holds_pixels(self) -> bool:
        """Whether something in it consists of pixels: an image, a heat map, a colour bar."""
        found = self.figure.findobj(lambda artist: isinstance(artist, _ImageBase | QuadMesh) and artist.get_visible())
        return bool(found)

    @property
    def width(self) -> int:
        """Width on the page, in pixels."""
        return round(float(self.figure.get_size_inches()[0]) * DPI)

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG, twice as large as it is shown: the same bytes each time, without a date."""
        return _as_png(self._pixels(SCALE), DPI * SCALE)

    @cached_property
    def svg(self) -> str:
        """The figure as SVG: the same text each time, without a date, the alt text inside."""
        width, height = (round(float(side) * DPI, 2) for side in self.figure.get_size_inches())
        self._lay_out()
        with theme():
            return to_svg(self.figure, self.alt, width, height)

    def save(self, path: str | Path) -> Path:
        """Write the figure to `path`, as PNG or SVG by its ending."""
        path = Path(path)
        kind = path.suffix.removeprefix(".").lower()
        if kind not in ("png", "svg"):
            raise ValueError(f"path: expected a name that ends in .png or .svg, got {path.name}")
        if kind == "png":
            path.write_bytes(self.png)
        else:
            path.write_text(self.svg, encoding="utf-8")
        return path

    def _pixels(self, scale: float) -> Array:
        """The drawing as bytes (height, width, 3), `scale` times as large as it is shown."""
        buffer = io.BytesIO()
        self._lay_out()
        with theme():
            self.figure.savefig(buffer, format="png", dpi=DPI * scale, pil_kwargs={"compress_level": 1})
        with Image.open(buffer) as drawn:
            return np.asarray(drawn.convert("RGB"))

    def _lay_out(self) -> None:
        """Put everything in its place, once: a second time it would come to lie a little beside, and cost as much."""
        if self.figure.get_layout_engine() is not None:
            with theme():
                self.figure.draw_without_rendering()
            self.figure.set_layout_engine("none")

    def __repr__(self) -> str:
        return f"<Figure: {self.alt.partition(':')[0].rstrip('.')}>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str | int]]]:
        data, metadata = {"text/plain": repr(self)}, {}
        if self.holds_pixels:
            image = self.png
        else:
            image = _as_png(self._pixels(1), DPI, STEP_OF_STAND_IN)
            data["image/svg+xml"] = self.svg
            metadata["image/svg+xml"] = {"alt": self.alt}
        data["image/png"] = base64.b64encode(image).decode("ascii")
        metadata["image/png"] = {"alt": self.alt, "width": self.width}
        return data, metadata


def _as_png(pixels: Array, dpi: float, step: int = STEP) -> bytes:
    """Pixels as PNG, their colours rounded to multiples of `step`, which nobody sees and which makes the file smaller.

    Where no more than 256 colours are left, the file holds a palette, without any further loss. A palette chosen to
    fit an image would hang on every pixel, and so on the processor that computed them; rounding does not.
    """
    levels = np.minimum((np.arange(256) + step // 2) // step * step, 255)  # of each value
    values = np.unique(levels)
    place = np.searchsorted(values, levels).astype(np.int32)
    numbers = np.ravel_multi_index(tuple(place[pixels[..., i]] for i in range(3)), (len(values),) * 3)
    used = np.flatnonzero(np.bincount(numbers.ravel()))
    if len(used) <= 256:
        at = np.zeros(len(values) ** 3, np.uint8)
        at[used] = np.arange(len(used))
        image = Image.fromarray(at[numbers])
        palette = values[np.stack(np.unravel_index(used, (len(values),) * 3), axis=1)]
        image.putpalette(palette.astype(np.uint8).tobytes())
    else:
        image = Image.fromarray(levels[pixels].astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="png", dpi=(dpi, dpi), optimize=True)
    return buffer.getvalue()
