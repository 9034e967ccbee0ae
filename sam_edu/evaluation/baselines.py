"""Baselines without a network: discs at the click, a box or an ellipse, a flood fill."""

import itertools
from typing import Any

import numpy as np
from scipy import ndimage

from sam_edu.argument_checks import as_count
from sam_edu.arrays import as_numbers, shorten
from sam_edu.image_checks import as_size, to_rgb
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import draw_scene
from sam_edu.training.batches import TRAINING_STREAM

DISC_RADII = (19, 49, 88)
"""Radii in pixels of the three discs that fit training clicks best: `python -m sam_edu.evaluation.baselines`."""

FLOOD_TOLERANCES = (16, 40, 64)
"""Largest colour difference (0 to 255, largest of the three colours) of the three flood fills, found likewise."""


def discs(click: np.ndarray, shape: tuple[int, int], radii: tuple[int, ...] = DISC_RADII) -> np.ndarray:
    """Discs around a click.

    Args:
        click: (x, y) in pixels.
        shape: height and width in pixels.
        radii: in pixels.

    Returns:
        (len(radii), height, width) bool.

    Raises:
        TypeError: something else than numbers.
        ValueError: a click that is not (x, y), a shape that is none, no radius, or a negative one.
    """
    click, (height, width) = _as_click(click), as_size("shape", shape)
    sizes = _as_positive("radii", radii)
    y, x = np.ogrid[:height, :width]
    distance = (x - click[0]) ** 2 + (y - click[1]) ** 2
    return np.stack([distance <= radius**2 for radius in sizes])


def filled_box(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """All pixels of a box (x0, y0, x1, y1), both ends inclusive: (height, width) bool.

    Raises:
        TypeError: something else than numbers.
        ValueError: a box of another shape or with its corners swapped, or a shape that is none.
    """
    box, (height, width) = _as_box(box), as_size("shape", shape)
    y, x = np.ogrid[:height, :width]
    return (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])


def ellipse(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The largest upright ellipse in a box (x0, y0, x1, y1): (height, width) bool. Errors as for `filled_box`."""
    box, (height, width) = _as_box(box), as_size("shape", shape)
    y, x = np.ogrid[:height, :width]
    rx, ry = (box[2] - box[0] + 1) / 2, (box[3] - box[1] + 1) / 2
    return ((x - (box[0] + box[2]) / 2) / rx) ** 2 + ((y - (box[1] + box[3]) / 2) / ry) ** 2 <= 1


def flood_fills(image: np.ndarray, click: np.ndarray, tolerances: tuple[int, ...] = FLOOD_TOLERANCES) -> np.ndarray:
    """The connected region of the clicked pixel in which colours are nearly its own.

    Args:
        image: (height, width, 3) uint8; it is smoothed over 3 x 3 pixels first, as grain would stop the flood.
        click: (x, y) in pixels.
        tolerances: largest difference in any colour.

    Returns:
        (len(tolerances), height, width) bool.

    Raises:
        TypeError: no image, or something else than numbers.
        ValueError: a click that is not (x, y) or lies outside the image, no tolerance, or a negative one.
    """
    image, limits = to_rgb(image), _as_positive("tolerances", tolerances)
    x, y = (int(one) for one in np.floor(_as_click(click)))
    height, width = image.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"click: expected (x, y) inside the image of {width} x {height} pixels, got {shorten(click)}")
    smooth = ndimage.uniform_filter(image.astype(np.float32), size=(3, 3, 1))
    difference = np.abs(smooth - smooth[y, x]).max(axis=-1)
    fills = []
    for tolerance in limits:
        regions, _ = ndimage.label(difference <= tolerance)
        fills.append(regions == regions[y, x])
    return np.stack(fills)


def iou(masks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """IoU of each of (n, height, width) masks with one target: (n,).

    Raises:
        TypeError: they hold no numbers.
        ValueError: other values than 0 and 1, such as logits; or other shapes.
    """
    masks, target = as_masks("masks", masks), as_masks("target", target)
    if target.ndim != 2:
        raise ValueError(f"target: expected shape (height, width), got {target.shape}")
    if masks.ndim != 3 or masks.shape[1:] != target.shape:
        hint = "; masks[None] makes one mask a list of one" if masks.shape == target.shape else ""
        raise ValueError(f"masks: expected shape (n, {target.shape[0]}, {target.shape[1]}), got {masks.shape}{hint}")
    both = (masks & target).sum(axis=(1, 2))
    return both / np.maximum((masks | target).sum(axis=(1, 2)), 1)


def as_masks(name: str, values: Any) -> np.ndarray:
    """Masks as an array of bool.

    Raises:
        TypeError: no numbers.
        ValueError: other values than 0 and 1, such as logits.
    """
    array = as_numbers(name, values)
    if array.dtype.kind != "b":
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"{name}: expected masks of 0 and 1, got other values; of logits take logits > 0")
        array = array.astype(bool)
    return array


def _as_click(click: Any) -> np.ndarray:
    """A click (x, y) of finite numbers."""
    numbers = as_numbers("click", click)
    if numbers.shape != (2,) or not np.isfinite(numbers).all():
        raise ValueError(f"click: expected (x, y), got {shorten(click)}")
    return numbers


def _as_box(box: Any) -> np.ndarray:
    """A box (x0, y0, x1, y1) whose corners are in order."""
    numbers = as_numbers("box", box)
    if numbers.shape != (4,) or not np.isfinite(numbers).all():
        raise ValueError(f"box: expected (x0, y0, x1, y1), got {shorten(box)}")
    if (numbers[:2] > numbers[2:]).any():
        raise ValueError(f"box: expected (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, got {numbers.tolist()}")
    return numbers if numbers.dtype.kind == "f" else numbers.astype(np.int64)  # sizes of unsigned corners would wrap


def _as_positive(name: str, values: Any) -> list[float | int]:
    """Numbers that are not negative, at least one."""
    numbers = as_numbers(name, values)
    if numbers.ndim != 1 or not numbers.size or not (numbers >= 0).all():
        raise ValueError(
            f"{name}: expected a list of numbers that are not negative, at least one, got {shorten(values)}"
        )
    return numbers.tolist()


def tune(scenes: int = 300) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the three radii and the three tolerances with the best mean best-of-three IoU at random training clicks.

    Args:
        scenes: number of training scenes, a mask of each level from each.

    Raises:
        TypeError, ValueError: no whole number above zero.
    """
    scenes = as_count("scenes", scenes)
    radii = tuple(int(r) for r in np.geomspace(5, 130, 18))
    tolerances = (8, 12, 16, 24, 32, 40, 52, 64, 84)
    by_radius, by_tolerance = [], []
    for number in range(scenes):
        scene = draw_scene((TRAINING_STREAM, 0, number, 0, 0))
        rng = np.random.default_rng((TRAINING_STREAM, number))
        for level in np.unique(scene.level):
            target = scene.masks[rng.choice(np.flatnonzero(scene.level == level))]
            click = random_click(target, rng)
            by_radius.append(iou(discs(click, target.shape, radii), target))
            by_tolerance.append(iou(flood_fills(scene.image, click, tolerances), target))

    def best(candidates: tuple[int, ...], rows: list[np.ndarray]) -> tuple[int, ...]:
        table = np.stack(rows)
        triples = itertools.combinations(range(len(candidates)), 3)
        chosen = max(triples, key=lambda triple: table[:, triple].max(axis=1).mean())
        return tuple(candidates[i] for i in chosen)

    return best(radii, by_radius), best(tolerances, by_tolerance)


if __name__ == "__main__":
    print("DISC_RADII = {}\nFLOOD_TOLERANCES = {}".format(*tune()))
