"""example(): the running example, one scene with masks and prompts that the whole series uses."""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np


@dataclass(frozen=True)
class Example:
    """A rendered scene with exact masks, and prompts on it.

    Attributes:
        image: (256, 256, 3) uint8 RGB.
        masks: (n, 256, 256) bool: objects, their parts, the parts of these.
        level: (n,) int: 0 object, 1 part, 2 sub-part.
        parent: (n,) int: index of the mask in which each lies, or -1.
        names: (n,) family of the thing that each belongs to, and its level: "house, part".
        click: (1, 2) float (x, y) in pixels: a pixel where an object, a part and a sub-part overlap.
        negative_click: (1, 2): a pixel on the same object, outside the clicked part.
        box: (4,) float (x0, y0, x1, y1) in pixels: around the clicked object.
    """

    image: np.ndarray
    masks: np.ndarray
    level: np.ndarray
    parent: np.ndarray
    names: tuple[str, ...]
    click: np.ndarray
    negative_click: np.ndarray
    box: np.ndarray

    def at(self, x: float | int | np.floating, y: float | int | np.floating) -> list[int]:
        """Indices of the masks that contain a pixel, the largest first.

        Raises:
            ValueError: outside the image.
        """
        height, width = self.image.shape[:2]
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"x, y: expected a pixel of the image of {width} x {height}, got ({x:g}, {y:g})")
        inside = np.flatnonzero(self.masks[:, int(y), int(x)])
        return [int(i) for i in inside[np.argsort(-self.masks[inside].sum(axis=(1, 2)))]]


def example() -> Example:
    """The running example, from the package's own data.

    Raises:
        FileNotFoundError: the data file is not where the package keeps it.
    """
    path = files("sam_edu") / "tiny" / "example.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: install sam_edu again (pip install --force-reinstall sam-edu)")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
        masks = np.unpackbits(data["masks"], axis=-1).astype(bool)
        return Example(
            image=data["image"],
            masks=masks,
            level=data["level"],
            parent=data["parent"],
            names=tuple(str(name) for name in data["names"]),
            click=data["click"],
            negative_click=data["negative_click"],
            box=data["box"],
        )
