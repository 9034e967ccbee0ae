"""Figure: a drawing with its alt text."""

import base64
import io
from functools import cached_property
from pathlib import Path

import matplotlib.figure
import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.image import AxesImage, _ImageBase
from PIL import Image

from sam_edu.argument_checks import as_path
from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import Array
from sam_edu.figures.kit.scales import averaged
from sam_edu.figures.kit.svg import to_svg
from sam_edu.figures.kit.theme import DPI, theme

SCALE = 2
"""Pixels of a PNG in one pixel of the page, across and down: today's screens have as many."""
LEVELS = 16
"""How many levels of red, of green and of blue a PNG knows."""
NARROW = 200
"""Panels of fewer pixels of the page show photographs with one pixel in each, so that the file stays small."""


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
        if not isinstance(alt, str):
            raise TypeError(f"alt: expected a text, got {shorten(alt)}")
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
        path = as_path("path", path)
        kind = path.suffix.removeprefix(".").lower()
        if kind not in ("png", "svg"):
            raise ValueError(f"path: expected a name that ends in .png or .svg, got {path.name}")
        if kind == "png":
            path.write_bytes(self.png)
        else:
            path.write_text(self.svg, encoding="utf-8")
        return path

    def _pixels(self, scale: float | int) -> Array:
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
        for image in self.figure.findobj(AxesImage):
            _fit(image)

    def __repr__(self) -> str:
        return f"<Figure: {self.alt.partition(':')[0].rstrip('.')}>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str | int]]]:
        data: dict[str, str] = {"text/plain": repr(self)}
        metadata: dict[str, dict[str, str | int]] = {}
        if self.holds_pixels:
            image = self.png
        else:
            image = _as_png(self._pixels(1), DPI)
            data["image/svg+xml"] = self.svg
            metadata["image/svg+xml"] = {"alt": self.alt}
        data["image/png"] = base64.b64encode(image).decode("ascii")
        metadata["image/png"] = {"alt": self.alt, "width": self.width}
        return data, metadata


def _fit(image: AxesImage) -> None:
    """Give an image as many pixels as it has room for, so that no byte of the file is spent on what nobody sees.

    Numbers that become colours are averaged until they have a pixel of the page each, and so is a photograph on a panel
    that is narrower than `NARROW`, below what is drawn sharply on it. What is enlarged in the PNG keeps its pixels.
    """
    if image.get_interpolation() != "auto":
        return
    room = float(image.get_window_extent().width)
    values = image.get_array()
    if values is not None and values.ndim == 2 and values.shape[1] > room:
        extent = image.get_extent()
        image.set_data(averaged(np.asarray(values), max(values.shape) * room / values.shape[1]))
        image.set_extent(extent)
    if values is not None and values.ndim == 3 and values.shape[2] == 3 and room < min(NARROW, values.shape[1]):
        extent, size = image.get_extent(), (round(room), round(room * values.shape[0] / values.shape[1]))
        colours = np.asarray(values)
        whole = colours if colours.dtype == np.uint8 else np.rint(255 * colours).astype(np.uint8)
        image.set_data(np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BOX)))
        image.set_extent(extent)
    if SCALE * room >= image.get_size()[1]:
        image.set_interpolation("nearest")


def _as_png(pixels: Array, dpi: float | int, count: int = LEVELS) -> bytes:
    """Pixels as PNG, with `count` levels of each colour, evenly from 0 to 255, which makes the file much smaller.

    Where no more than 256 colours are left, the file holds a palette, without any further loss. A palette chosen to
    fit an image would depend on every pixel, and so on the processor that computed them; rounding does not.
    """
    values = np.rint(np.arange(count) * 255 / (count - 1)).astype(np.uint8)
    place = np.rint(np.arange(256) * (count - 1) / 255).astype(np.int32)
    numbers = np.ravel_multi_index(tuple(place[pixels[..., i]] for i in range(3)), (count,) * 3)
    used = np.flatnonzero(np.bincount(numbers.ravel()))
    if len(used) <= 256:
        at = np.zeros(count**3, np.uint8)
        at[used] = np.arange(len(used))
        image = Image.fromarray(at[numbers])
        image.putpalette(values[np.stack(np.unravel_index(used, (count,) * 3), axis=1)].tobytes())
    else:
        image = Image.fromarray(values[place[pixels]])
    buffer = io.BytesIO()
    image.save(buffer, format="png", dpi=(dpi, dpi), optimize=True)
    return buffer.getvalue()
