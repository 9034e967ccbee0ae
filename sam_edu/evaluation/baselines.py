"""Baselines without a network: discs at the click, a box or an ellipse, a flood fill."""

import itertools
from typing import Any

import numpy as np
from scipy import ndimage

from sam_edu.arrays import as_numbers
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
    """
    click = as_numbers("click", click)
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = (x - click[0]) ** 2 + (y - click[1]) ** 2
    return np.stack([distance <= radius**2 for radius in radii])


def filled_box(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """All pixels of a box (x0, y0, x1, y1), both ends inclusive: (height, width) bool."""
    box = as_numbers("box", box)
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])


def ellipse(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The largest upright ellipse in a box (x0, y0, x1, y1): (height, width) bool."""
    box = as_numbers("box", box)
    y, x = np.ogrid[: shape[0], : shape[1]]
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
    """
    x, y = (int(one) for one in as_numbers("click", click))
    smooth = ndimage.uniform_filter(image.astype(np.float32), size=(3, 3, 1))
    difference = np.abs(smooth - smooth[y, x]).max(axis=-1)
    fills = []
    for tolerance in tolerances:
        regions, _ = ndimage.label(difference <= tolerance)
        fills.append(regions == regions[y, x])
    return np.stack(fills)


def iou(masks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """IoU of each of (n, height, width) masks with one target: (n,).

    Raises:
        TypeError: they hold no numbers.
        ValueError: other values than 0 and 1, such as logits.
    """
    masks, target = as_masks("masks", masks), as_masks("target", target)
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


def tune(scenes: int = 300) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the three radii and the three tolerances with the best mean best-of-three IoU at random training clicks.

    Args:
        scenes: number of training scenes, a mask of each level from each.
    """
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
