"""Draw the running example of the series and store it as package data: python -m tools.make_example."""

from pathlib import Path

import numpy as np

from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import centre_click
from sam_edu.scenes.scene import draw_scene

SEED = (9, 951)
"""Chosen by eye, before any model was trained, among scenes with an object, a part and a sub-part over each other."""

LEVELS = ("object", "part", "sub-part")


def main() -> None:
    """Draw, choose the prompts by rule, write `sam_edu/tiny/example.npz`."""
    scene = draw_scene(SEED)
    area = scene.masks.sum(axis=(1, 2))
    # The sub-part of the largest object; of several the largest.
    deepest = max(np.flatnonzero(scene.level == 2), key=lambda i: (area[scene.parent[scene.parent[i]]], area[i]))
    part = scene.parent[deepest]
    thing = scene.parent[part]
    path = Path(__file__).resolve().parent.parent / "sam_edu" / "tiny" / "example.npz"
    np.savez_compressed(
        path,
        image=scene.image,
        masks=np.packbits(scene.masks, axis=-1),
        level=scene.level,
        parent=scene.parent,
        names=np.array([f"{family}, {LEVELS[i]}" for family, i in zip(scene.family, scene.level, strict=True)]),
        click=centre_click(scene.masks[deepest])[None],
        negative_click=centre_click(scene.masks[thing] & ~scene.masks[part])[None],
        box=tight_box(scene.masks[thing]),
    )
    print(f"{path.name}: {len(scene.masks)} masks, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
