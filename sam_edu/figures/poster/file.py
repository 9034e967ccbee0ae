"""Poster: a figure of the size of A2, as PNG and as SVG."""

import base64
import io
import re
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import theme
from sam_edu.figures.poster.geometry import DPI


class Poster(Figure):
    """The poster: a `Figure` that is A2 on paper, and as SVG holds each drawn tensor once and the words inside."""

    @cached_property
    def png(self) -> bytes:
        """The poster as PNG: the same bytes each time, without a date. Colours are rounded to multiples of 8."""
        with theme():
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        buffer = io.BytesIO()
        rounded = np.minimum((pixels + 4) // 8 * 8, 255).astype(np.uint8)
        Image.fromarray(rounded).save(buffer, format="png", dpi=(DPI, DPI), optimize=True)
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the poster to `path`, as PNG or SVG by its ending."""
        path = Path(path)
        if path.suffix.lower() != ".svg":
            return super().save(path)
        images = self.figure.axes[0].images
        before = [image.get_interpolation() for image in images]
        try:
            for image in images:
                image.set_interpolation("none")  # each image with its own pixels, once
            with theme():
                self.figure.savefig(path, format="svg", metadata={"Date": None})
        finally:
            for image, how in zip(images, before, strict=True):
                image.set_interpolation(how)
        drawn = re.sub(r"data:image/png;base64,([^\"]+)", shorter, path.read_text(encoding="utf-8"))
        drawn = drawn.replace("image-rendering:crisp-edges;image-rendering:pixelated", "")
        head, opened, rest = drawn.partition("<svg ")
        attributes, _, body = rest.partition(">")
        words = f"<title>The mask decoder of Segment Anything</title>\n<desc>{escape(self.alt)}</desc>"
        path.write_text(f'{head}{opened}role="img" {attributes}>\n{words}{body}', encoding="utf-8")
        return path


def shorter(found: re.Match[str]) -> str:
    """An image inside the SVG in fewer bytes: with a palette where it has few colours, else as JPEG."""
    drawn = Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")
    buffer = io.BytesIO()
    if drawn.getcolors(256):
        drawn.quantize(256).save(buffer, format="png", optimize=True)
        kind = "png"
    else:
        drawn.save(buffer, format="jpeg", quality=92, subsampling=0, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
