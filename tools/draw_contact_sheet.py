"""Draws scenes beside their masks, at the end slender and unseen ones: `python -m tools.draw_contact_sheet`."""

from pathlib import Path

import numpy as np
from PIL import Image

from sam_edu.evaluation.scores import TEST_STREAMS
from sam_edu.scenes.scene import Scene, draw_scene
from sam_edu.training.batches import TRAINING_STREAM

COLUMNS, ROWS, TILE = 4, 6, 160
COLOURS = np.array([[235, 64, 52], [250, 200, 40], [40, 170, 240]], np.float32)
"""Outlines by level: object, part, sub-part."""


def tile(scene: Scene) -> np.ndarray:
    """The scene, and beside it the same in grey with its outlines: (TILE, 2 * TILE, 3) uint8."""
    grey = scene.image.mean(axis=-1, keepdims=True).repeat(3, axis=-1) * 0.6 + 80
    for level in range(3):
        for mask in scene.masks[scene.level == level]:
            edge = mask & ~(np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1))
            grey[edge] = COLOURS[level]
    pair = Image.fromarray(np.concatenate([scene.image, grey.astype(np.uint8)], axis=1))
    return np.asarray(pair.resize((2 * TILE, TILE), Image.Resampling.LANCZOS))


def main() -> None:
    """Write `images/scenes.jpg`."""
    scenes = [draw_scene((TRAINING_STREAM, 0, 0, i, 0)) for i in range(COLUMNS * (ROWS - 2))]
    scenes += [draw_scene((TRAINING_STREAM, 0, 6, i, 0), kind="slender") for i in range(COLUMNS)]
    scenes += [draw_scene((TEST_STREAMS["unseen"], i), kind="unseen") for i in range(COLUMNS)]
    tiles = [tile(scene) for scene in scenes]
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    path = Path(__file__).resolve().parent.parent / "images" / "scenes.jpg"
    Image.fromarray(np.concatenate(rows)).save(path, quality=85)
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
