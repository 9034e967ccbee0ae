"""Images with outlined objects (COCO's JSON) as scenes to train on."""

import hashlib
import json
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam_edu.scenes.image_files import check_size, other_colours, read_rgb, sizes
from sam_edu.scenes.scene import Scene

LEAST_PIXELS = 100
"""Pixels of the smallest mask that is trained on, in a scene of 256 x 256."""
SAME = 0.9
"""IoU from which two outlines are of one object."""
INSIDE = 0.9
"""Share of a mask that has to lie in another to be a part of it."""
PADDING = (124, 116, 104)
"""The colour of no image: nearly zero once it is normalised, as the model pads."""
MOST = 768
"""Pixels of the longer side to which images are reduced before pieces are cut out."""

Rle = dict[str, Any]
"""A mask as pycocotools keeps it: "size" (height, width) and "counts", the compressed run-lengths."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file with the masks of its objects.

    Attributes:
        path: of the file.
        upright: whether the masks lie on the image as its EXIF orientation turns it, or as it is stored.
        masks: of the objects, compressed; all of one size, which need not be that of the file.
    """

    path: Path
    upright: bool
    masks: tuple[Rle, ...]


@dataclass(frozen=True)
class Annotated:
    """The usable images of an annotated file.

    Attributes:
        images: with at least one usable object each.
        left_out: images and annotations that cannot be used, with the reason.
        digest: of the file.
    """

    images: tuple[AnnotatedImage, ...]
    left_out: dict[str, str]
    digest: str

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return sum(len(image.masks) for image in self.images)

    def fingerprint(self) -> str:
        """Changes with the file, and when images are missing or of another length."""
        listed = "\n".join(f"{image.path.name} {image.path.stat().st_size}" for image in self.images)
        return hashlib.sha256((self.digest + listed).encode()).hexdigest()

    def scene(self, rng: np.random.Generator, size: int = 256) -> Scene:
        """A piece of one of the images, or a whole one with padding, perhaps mirrored, with other colours.

        Its masks are objects; one that lies in another is a part of it, and one in that a sub-part.
        """
        chosen = self.images[int(rng.integers(len(self.images)))]
        image = _reduced(chosen.path, chosen.upright)
        height, width = chosen.masks[0]["size"]
        whole = (0.0, 0.0, float(width), float(height))
        boxes = [whole]
        if rng.random() < 0.5:
            side = rng.uniform(0.5, 1.0) * min(height, width)
            left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
            boxes = [(left, top, left + side, top + side), whole]  # a piece may hold no object
        mirrored = bool(rng.random() < 0.5)
        for box in boxes:
            masks = [_cut(mask, box, size, mirrored) for mask in chosen.masks]
            masks = [mask for mask in masks if np.count_nonzero(mask) >= LEAST_PIXELS * (size / 256) ** 2]
            if masks:
                break
        scale = image.width / width, image.height / height
        across, down = _extent(box, size)
        piece = image.resize(
            (across, down),
            Image.Resampling.BILINEAR,
            (box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]),
            reducing_gap=2.0,
        )
        if mirrored:
            piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        canvas = Image.new("RGB", (size, size), PADDING)
        canvas.paste(other_colours(piece, rng), (0, 0))
        return nested(np.asarray(canvas), masks)


def nested(image: np.ndarray, masks: list[np.ndarray]) -> Scene:
    """A scene of masks that lie in each other as they may: objects, parts, sub-parts, the larger first.

    Args:
        image: (size, size, 3) uint8.
        masks: (size, size) bool each; those that are nearly the same as a larger one are left out.
    """
    kept: list[np.ndarray] = []
    level: list[int] = []
    parent: list[int] = []
    for mask in sorted(masks, key=np.count_nonzero, reverse=True):
        area = np.count_nonzero(mask)
        common = [np.count_nonzero(mask & other) for other in kept]
        if any(
            both / (area + np.count_nonzero(other) - both) >= SAME for both, other in zip(common, kept, strict=True)
        ):
            continue
        around = [i for i, both in enumerate(common) if both >= INSIDE * area and level[i] < 2]
        parent.append(around[-1] if around else -1)  # the smallest of those around
        level.append(level[around[-1]] + 1 if around else 0)
        kept.append(mask)
    stack = np.stack(kept) if kept else np.zeros((0, *image.shape[:2]), bool)
    return Scene(image, stack, np.array(level, np.int8), np.array(parent, np.int16), ("annotated",) * len(kept))


def read_annotated(file: Path, folder: Path | None = None) -> Annotated:
    """Read a file in COCO's JSON and all of its images once, so that what is broken is found now.

    Crowds ("iscrowd") are left out. So are, and are named: objects without an outline, with a damaged one, or with too
    few pixels; images that are missing, broken, too large, of another shape than the file says, or without an object.

    Args:
        file: "images" with "id", "file_name", "width" and "height"; "annotations" with "image_id" and "segmentation":
            polygons, or run-lengths as a list or compressed.
        folder: of the images; None is the file's own.

    Raises:
        FileNotFoundError: no such file or folder.
        ImportError: pycocotools is not installed.
        ValueError: it is not JSON of that form, or nothing in it can be used.
    """
    try:
        from pycocotools import mask as _  # noqa: F401
    except ImportError as error:
        raise ImportError("annotated: pycocotools reads outlines; get it with: pip install pycocotools") from error
    if not file.is_file():
        raise FileNotFoundError(f"annotated: expected a file in COCO's JSON, got {file}: no such file")
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"annotated_images: expected a folder, got {folder}: no such folder")
    content = file.read_bytes()
    entries = _entries(file, content)
    left_out: dict[str, str] = {}
    for entry in entries.values():
        _take_outlines(entry, left_out)
    folder = file.parent if folder is None else folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is about to be left out, and of harmless metadata
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda entry: _checked(entry, folder), entries.values()))
    images = []
    for entry, image in zip(entries.values(), found, strict=True):
        if isinstance(image, str):
            left_out[entry.name] = image
        else:
            images.append(image)
    if not images:
        first = next((f"; {name}: {reason}" for name, reason in left_out.items()), "")
        raise ValueError(f"annotated: {file}: none of its {len(entries)} images can be used{first}")
    return Annotated(tuple(images), left_out, hashlib.sha256(content).hexdigest())


@dataclass
class _Entry:
    """An image of the file, and what the file says about it."""

    name: str
    width: int
    height: int
    annotations: list[dict[str, Any]] = field(default_factory=list)
    masks: list[Rle] = field(default_factory=list)


def _entries(file: Path, content: bytes) -> dict[Any, _Entry]:
    """The images of a file with their annotations, checked for their form."""
    try:
        table = json.loads(content)
    except ValueError as error:
        raise ValueError(f"annotated: {file}: expected JSON, got text that is not: {error}") from error
    if not isinstance(table, dict) or not all(isinstance(table.get(n), list) for n in ("images", "annotations")):
        raise ValueError(f'annotated: {file}: expected COCO\'s form, with lists "images" and "annotations"')
    entries: dict[Any, _Entry] = {}
    for number, image in enumerate(table["images"]):
        where = f"annotated: {file}, image {number}"
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
            raise ValueError(f'{where}: expected "id", "file_name", "width" and "height", got {image!r:.80}')
        width, height = image.get("width"), image.get("height")
        if not isinstance(image.get("id"), int | str) or not (_is_size(width) and _is_size(height)):
            raise ValueError(f'{where}: expected "id", "file_name", "width" and "height", got {image!r:.80}')
        if image["id"] in entries:
            raise ValueError(f"{where}: the id {image['id']!r} occurs twice")
        entries[image["id"]] = _Entry(image["file_name"], image["width"], image["height"])
    for number, annotation in enumerate(table["annotations"]):
        key = annotation.get("image_id") if isinstance(annotation, dict) else None
        if not isinstance(key, int | str) or key not in entries:
            raise ValueError(
                f'annotated: {file}, annotation {number}: expected the "image_id" of one of its images, got {key!r:.80}'
            )
        entries[key].annotations.append({"id": f"number {number}"} | annotation)
    return entries


def _is_size(value: object) -> bool:
    return type(value) is int and value > 0


def _take_outlines(entry: _Entry, left_out: dict[str, str]) -> None:
    """Turn the annotations of an image into masks; name those that cannot be used."""
    for annotation in entry.annotations:
        if annotation.get("iscrowd"):
            continue
        try:
            check_size(max(entry.width, 32), max(entry.height, 32))
            rle = _rle(annotation.get("segmentation"), entry.height, entry.width)
            pixels = np.count_nonzero(_cut(rle, (0.0, 0.0, float(entry.width), float(entry.height)), 256, False))
            if pixels < LEAST_PIXELS:
                raise ValueError(f"its mask has {pixels} of the {LEAST_PIXELS} pixels that it needs at 256 x 256")
        except (ValueError, TypeError, OverflowError) as error:
            left_out[f"{entry.name}, annotation {annotation['id']}"] = str(error)
            continue
        entry.masks.append(rle)


def _rle(segmentation: Any, height: int, width: int) -> Rle:
    """A mask from polygons or run-lengths. Everything is checked first, as pycocotools trusts what it is given."""
    from pycocotools import mask as coco

    rle: Rle
    if isinstance(segmentation, list) and segmentation:
        for polygon in segmentation:
            if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
                raise ValueError("expected polygons of at least three corners x, y")
            for number, value in enumerate(polygon):
                size = height if number % 2 else width
                if type(value) not in (int, float) or not math.isfinite(value) or not -size <= value <= 2 * size:
                    raise ValueError(f"expected corners in the image of {width} x {height} pixels, got {value!r:.40}")
        rle = coco.merge(coco.frPyObjects(segmentation, height, width))
        return rle
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [height, width]:
            other = segmentation.get("size")
            raise ValueError(f"expected run-lengths of {height} x {width} pixels (height first), got {other!r:.40}")
        counts = segmentation.get("counts")
        if isinstance(counts, list):
            if not all(type(n) is int and n >= 0 for n in counts) or sum(counts) != height * width:
                raise ValueError(f"expected run-lengths of {height * width} pixels in all")
            rle = coco.frPyObjects(segmentation, height, width)
        elif isinstance(counts, str) and _is_compressed(counts):
            rle = {"size": [height, width], "counts": counts.encode()}
        else:
            raise ValueError("expected run-lengths as a list of numbers or as a compressed text")
        return rle
    raise ValueError("it has no outline")


def _is_compressed(counts: str) -> bool:
    """Whether a text can be compressed run-lengths: characters from "0" to "o" with five bits of a number each, and one
    bit that says that the number goes on. pycocotools would read on beyond the end of an unfinished one."""
    return bool(counts) and all("0" <= c <= "o" for c in counts) and not (ord(counts[-1]) - ord("0")) & 32


def _checked(entry: _Entry, folder: Path) -> AnnotatedImage | str:
    """The image of an entry, read once; or why it cannot be used."""
    path = folder / entry.name
    if not entry.masks:
        return "none of its objects can be used" if entry.annotations else "it has no object"
    try:
        upright, stored = sizes(path)
        fits = _fit(upright, stored, (entry.width, entry.height))
        if fits is None:
            return f"it has {upright[0]} x {upright[1]} pixels, and the file says {entry.width} x {entry.height}"
        read_rgb(path, most=MOST, upright=fits)
    except ValueError as error:
        return str(error)
    return AnnotatedImage(path, fits, tuple(entry.masks))


def _fit(upright: tuple[int, int], stored: tuple[int, int], size: tuple[int, int]) -> bool | None:
    """Whether masks of a size lie on the upright image (True), on the stored one (False), or on neither (None).

    Images may have been made larger or smaller since they were outlined, as long as their shape is the same.
    """
    if size in (upright, stored):
        return size == upright
    ratio = size[0] / size[1]
    for fits, (width, height) in ((True, upright), (False, stored)):
        if abs(width / height / ratio - 1) < 0.01:
            return fits
    return None


def _extent(box: tuple[float, float, float, float], size: int) -> tuple[int, int]:
    """Width and height of a box whose longer side becomes `size`."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = size / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _cut(mask: Rle, box: tuple[float, float, float, float], size: int, mirrored: bool) -> np.ndarray:
    """A mask's part in a box: (size, size) bool, with nothing beyond the box."""
    from pycocotools import mask as coco

    full = coco.decode(mask)
    across, down = _extent(box, size)
    xs = box[0] + (np.arange(across) + 0.5) * (box[2] - box[0]) / across
    ys = box[1] + (np.arange(down) + 0.5) * (box[3] - box[1]) / down
    part = full[ys.astype(int)[:, None], xs.astype(int)[None]] > 0
    canvas = np.zeros((size, size), bool)
    canvas[:down, :across] = part[:, ::-1] if mirrored else part
    return canvas


@lru_cache(maxsize=64)
def _reduced(path: Path, upright: bool) -> Image.Image:
    return read_rgb(path, most=MOST, upright=upright)
