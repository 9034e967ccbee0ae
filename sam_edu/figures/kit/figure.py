"""Figure: a drawing with its alt text."""

import base64
import io
from functools import cached_property
from pathlib import Path

import matplotlib.figure
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from sam_edu.figures.kit.theme import DPI, theme


class Figure:
    """A figure with its alt text. As the last value of a notebook cell it is shown, once, and carries the text along.

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

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG: the same bytes each time, without a date.

        Colours are rounded to multiples of 6, which nobody sees and which makes the file a third smaller.
        """
        with theme():
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        buffer = io.BytesIO()
        rounded = np.minimum((pixels + 3) // 6 * 6, 255).astype(np.uint8)
        Image.fromarray(rounded).save(buffer, format="png", dpi=(DPI, DPI))
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the figure to `path`, as PNG or SVG by its ending."""
        path = Path(path)
        kind = path.suffix.removeprefix(".").lower()
        if kind not in ("png", "svg"):
            raise ValueError(f"path: expected a name that ends in .png or .svg, got {path.name}")
        if kind == "png":
            path.write_bytes(self.png)
        else:
            with theme():
                self.figure.savefig(path, format="svg", metadata={"Date": None})
        return path

    def __repr__(self) -> str:
        return f"<Figure: {self.alt.partition(':')[0].rstrip('.')}>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        data = {"image/png": base64.b64encode(self.png).decode("ascii"), "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.alt}}
