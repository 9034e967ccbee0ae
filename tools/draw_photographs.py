"""Draws the outlines of images/photograph_outlines.json over them, for the eye: `python -m tools.draw_photographs`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sam_edu.evaluation.photographs import outlines, read_picture

FOLDER = Path(__file__).parents[1] / "images"
TARGET = FOLDER / "photographs.png"

WIDTH = 1400  # of a row of pictures, at most
GAP = 6
GREYS = 32
COLOURS = [(255, 255, 255), (255, 90, 0), (0, 200, 255)]  # paper, a picture's first object, its second


def sheet(folder: Path) -> Image.Image:
    """The pictures in grey, as large as they are, in rows; a picture's first object orange, its second blue."""
    pictures = [outlined(folder, name) for name in outlines(folder)]
    places, x, y, row = [], GAP, GAP, 0
    for height, width in (picture.shape for picture in pictures):
        if x > GAP and x + width + GAP > WIDTH:
            x, y, row = GAP, y + row + GAP, 0
        places.append((x, y))
        x, row = x + width + GAP, max(row, height)
    numbers = np.full((y + row + GAP, WIDTH), GREYS, np.uint8)
    for (x, y), picture in zip(places, pictures, strict=True):
        numbers[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    result = Image.fromarray(numbers)
    greys = [(i * 255 // (GREYS - 1),) * 3 for i in range(GREYS)]
    result.putpalette([value for colour in [*greys, *COLOURS] for value in colour])
    return result


def outlined(folder: Path, name: str) -> np.ndarray:
    """One picture with its outlines, (height, width) uint8 numbers of the sheet's colours."""
    grey = np.array(Image.fromarray(read_picture(folder / name)).convert("L"))
    picture = Image.fromarray(grey // (256 // GREYS))
    draw = ImageDraw.Draw(picture)
    for i, outline in enumerate(outlines(folder)[name]):
        for ring in [outline.polygon, *outline.holes]:
            draw.line([*ring, ring[0]], fill=GREYS + 1 + i % (len(COLOURS) - 1))
    return np.array(picture)


def main() -> None:
    """Write images/photographs.png."""
    sheet(FOLDER).save(TARGET, optimize=True)
    print(TARGET)


if __name__ == "__main__":
    main()
