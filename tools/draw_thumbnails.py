"""Draw the notebooks' thumbnails for README and site: python -m tools.draw_thumbnails.

A thumbnail is the figure of one cell as it was committed, made smaller. With `--check` nothing is written, and the exit
status says whether the committed thumbnails belong to the committed figures.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tools import notebook_format
from tools.site_pages import KEY_FIGURES

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / "images" / "thumbnails"
SIZE = 480, 300
PREVIEW = 1200, 630
"""The size of an image that stands for a page where it is linked to."""
NEAR = 4.0
"""The mean difference of two drawings' pixels, of 255, that another version of Pillow may make."""


def figure_of(notebook: Path) -> Image.Image:
    """The figure that stands for a notebook.

    Raises:
        ValueError: the cell is not there, or has no figure.
    """
    wanted = KEY_FIGURES[notebook.name[:2]]
    for cell in notebook_format.read(notebook).cells:
        for output in cell.get("outputs", ()) if cell.id == wanted else ():
            png = output.get("data", {}).get("image/png")
            if png:
                return Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    raise ValueError(f"{notebook.name}: no figure in the cell {wanted}; see KEY_FIGURES in tools/site_pages.py")


def fitted(figure: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A figure on a white card of a given size; of a wide one the left part, since a strip would be unreadable."""
    width, height = size
    whole, full = sorted((width / figure.width, height / figure.height))
    scale = min(full, 2.2 * whole)
    small = figure.resize((round(figure.width * scale), round(figure.height * scale)), Image.Resampling.LANCZOS)
    card = Image.new("RGB", size, "white")
    card.paste(small, (max(0, (width - small.width) // 2), max(0, (height - small.height) // 2)))
    return card


def thumbnails(project: Path = PROJECT) -> dict[str, Image.Image]:
    """The thumbnails by the notebooks' numbers."""
    paths = sorted((project / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {path.name[:2]: fitted(figure_of(path), SIZE) for path in paths}


def stale(drawn: dict[str, Image.Image], folder: Path = FOLDER) -> list[str]:
    """Which thumbnails of a folder are missing or differ from what is drawn now."""
    found = []
    for number, image in drawn.items():
        path = folder / f"{number}.png"
        if not path.is_file():
            found.append(f"{path.name} is missing")
            continue
        stored = np.asarray(Image.open(path).convert("RGB"), float)
        now = np.asarray(image.quantize(64, dither=Image.Dither.NONE).convert("RGB"), float)
        if stored.shape != now.shape or np.abs(stored - now).mean() > NEAR:
            found.append(f"{path.name} is not what the notebook shows")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw_thumbnails", description="Draw the thumbnails.")
    parser.add_argument("--check", action="store_true", help="write nothing; say which are out of date")
    options = parser.parse_args(arguments)
    drawn = thumbnails()
    if options.check:
        problems = stale(drawn)
        print("\n".join(problems) or "All thumbnails belong to the notebooks' figures.")
        return int(bool(problems))
    FOLDER.mkdir(exist_ok=True)
    for number, image in drawn.items():
        image.quantize(64, dither=Image.Dither.NONE).save(FOLDER / f"{number}.png", optimize=True)
    print(f"{FOLDER}: {sum(path.stat().st_size for path in FOLDER.glob('*.png')):,} bytes in {len(drawn)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
