"""Photographs with objects outlined by hand: a test of the tiny model on what it was not trained on."""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from sam_edu.argument_checks import as_count, as_path
from sam_edu.image_checks import from_pil, to_rgb
from sam_edu.images import image_folder
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import centre_click

OUTLINES = "photograph_outlines.json"
"""The file of the outlines, in the folder of the images."""

Ring = list[tuple[float | int, float | int]]


@dataclass(frozen=True)
class Outline:
    """An object's edge, in pixels of the image; pixel (0, 0) has its centre at (0, 0).

    Attributes:
        name: what the object is.
        polygon: its corners (x, y), in order; the edge itself belongs to the object.
        holes: what is left out of it, polygons too; their edges are left out with them.
    """

    name: str
    polygon: Ring
    holes: list[Ring]


@dataclass(frozen=True)
class Photograph:
    """One object on one photograph.

    Attributes:
        name: the image's file name.
        object: what the object is.
        image: (height, width, 3) uint8, RGB.
        mask: (height, width) bool.
        click: (2,) float32, the pixel (x, y) deepest inside the object.
        box: (4,) float32, the smallest box (x0, y0, x1, y1) around it, both ends inclusive.
    """

    name: str
    object: str
    image: np.ndarray
    mask: np.ndarray
    click: np.ndarray
    box: np.ndarray


def photographs(folder: str | PathLike[str] | None = None) -> list[Photograph]:
    """Every outlined object of a folder, image by image, in the order of `photograph_outlines.json`.

    Args:
        folder: of the images and their outlines; the notebooks' photographs where it is not given.

    Raises:
        TypeError: no path.
        FileNotFoundError: no `photograph_outlines.json` in the folder, or an image that it names is missing.
        ValueError: `photograph_outlines.json` or an image cannot be read, or an outline leaves its image.
    """
    folder = image_folder() if folder is None else as_path("folder", folder)
    found = []
    for name, objects in outlines(folder).items():
        image = read_image(folder / name)
        for outline in objects:
            mask = rasterise(outline, image.shape[0], image.shape[1], name)
            found.append(Photograph(name, outline.name, image, mask, centre_click(mask), tight_box(mask)))
    return found


def outlines(folder: str | PathLike[str]) -> dict[str, list[Outline]]:
    """The outlines of a folder's `photograph_outlines.json`, by the images' file names.

    Raises:
        TypeError: no path.
        FileNotFoundError: no `photograph_outlines.json` in the folder.
        ValueError: it is not JSON of the expected form.
    """
    path = as_path("folder", folder) / OUTLINES
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; expected a folder of images with their outlines")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got text that is not: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(objects, list) for objects in content.values()):
        raise ValueError(f"{path}: expected a list of objects for each image's file name")
    return {name: [_outline(entry, f"{path}, {name}") for entry in objects] for name, objects in content.items()}


def read_image(path: Path) -> np.ndarray:
    """Read an image as (height, width, 3) uint8, RGB, upright; what is transparent is blended with white.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image, or one whose range of values is not known.
    """
    path = as_path("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such image, but {OUTLINES} has outlines for it")
    try:
        with Image.open(path) as image:
            return to_rgb(from_pil(image))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: expected an image that Pillow can read, got: {error}") from error
    except ValueError as error:  # of a kind that is not known
        raise ValueError(f"{path}: {error}") from error


def rasterise(outline: Outline, height: int, width: int, name: str = "image") -> np.ndarray:
    """The pixels inside an outline: (height, width) bool.

    Args:
        outline: the object's edge.
        height: of the image, in pixels.
        width: of the image, in pixels.
        name: of the image, for the messages.

    Raises:
        TypeError: no outline, or a size that is no whole number.
        ValueError: a corner lies outside the image, or nothing is left of the object; or a size below 1.
    """
    height, width = as_count("height", height), as_count("width", width)
    if not isinstance(outline, Outline):
        raise TypeError(f"outline: expected an Outline, as outlines(folder) gives, got {type(outline).__name__}")
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    for value, ring in [(1, outline.polygon), *((0, hole) for hole in outline.holes)]:
        for x, y in ring:
            if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                raise ValueError(
                    f"{name}, {outline.name}: expected corners inside the image of {width} × {height} pixels, "
                    f"got ({x:g}, {y:g})"
                )
        draw.polygon(ring, fill=value, outline=value)
    mask = np.array(canvas, bool)
    if not mask.any():
        raise ValueError(f"{name}, {outline.name}: expected at least one pixel, got none: the holes cover the object")
    return mask


def _outline(entry: Any, where: str) -> Outline:
    """One entry of the file, checked."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError(f'{where}: expected objects with "name", "polygon" and "holes", got {entry!r:.80}')
    where = f"{where}, {entry['name']}"
    holes = entry.get("holes", [])
    if not isinstance(holes, list):
        raise ValueError(f"{where}: expected a list of polygons as holes, got {holes!r:.80}")
    return Outline(entry["name"], _ring(entry.get("polygon"), where), [_ring(hole, where) for hole in holes])


def _ring(corners: Any, where: str) -> Ring:
    """A polygon's corners, checked."""
    if not isinstance(corners, list) or len(corners) < 3:
        raise ValueError(f"{where}: expected a polygon of at least three corners [x, y], got {corners!r:.80}")
    for corner in corners:
        numbers = isinstance(corner, list) and [type(value) in (int, float) for value in corner]
        if numbers != [True, True]:
            raise ValueError(f"{where}: expected corners [x, y] of two numbers, got {corner!r:.80}")
    return [(x, y) for x, y in corners]
