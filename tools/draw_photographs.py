"""Draws the photographs with the outlines of images/photograph_outlines.json: `python -m tools.draw_photographs`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sam_edu.evaluation.photographs import outlines, read_image

FOLDER = Path(__file__).parents[1] / "images"
TARGET = FOLDER / "photographs.png"

WIDTH = 1400  # of a row of photographs, at most
GAP = 6
GREYS = 32
COLOURS = [(255, 255, 255), (255, 90, 0), (0, 200, 255)]  # paper, a photograph's first object, its second


def sheet(folder: Path) -> Image.Image:
    """The photographs in grey, in their own size, in rows; the first object of each is orange, the second blue."""
    photographs = [outlined(folder, name) for name in outlines(folder)]
    corners, x, y, row = [], GAP, GAP, 0
    for height, width in (photograph.shape for photograph in photographs):
        if x > GAP and x + width + GAP > WIDTH:
            x, y, row = GAP, y + row + GAP, 0
        corners.append((x, y))
        x, row = x + width + GAP, max(row, height)
    numbers = np.full((y + row + GAP, WIDTH), GREYS, np.uint8)
    for (x, y), photograph in zip(corners, photographs, strict=True):
        numbers[y : y + photograph.shape[0], x : x + photograph.shape[1]] = photograph
    result = Image.fromarray(numbers)
    greys = [(i * 255 // (GREYS - 1),) * 3 for i in range(GREYS)]
    result.putpalette([value for colour in [*greys, *COLOURS] for value in colour])
    return result


def outlined(folder: Path, name: str) -> np.ndarray:
    """One photograph with its outlines: (height, width) uint8, numbers of the sheet's colours."""
    grey = np.array(Image.fromarray(read_image(folder / name)).convert("L"))
    photograph = Image.fromarray(grey // (256 // GREYS))
    draw = ImageDraw.Draw(photograph)
    for i, outline in enumerate(outlines(folder)[name]):
        for ring in [outline.polygon, *outline.holes]:
            draw.line([*ring, ring[0]], fill=GREYS + 1 + i % (len(COLOURS) - 1))
    return np.array(photograph)


def main() -> None:
    """Write images/photographs.png."""
    sheet(FOLDER).save(TARGET, optimize=True)
    print(TARGET)


if __name__ == "__main__":
    main()
