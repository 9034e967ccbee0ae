"""Photographs: pieces of images from a folder, as fills and backgrounds of the drawn scenes."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from sam_edu.scenes.image_files import image_paths, other_colours, read_rgb, unreadable

PHOTOGRAPH_STREAM = 11
"""First number of the seeds of what is taken from photographs; the scenes themselves are drawn with others."""
MOST = 512
"""Pixels of the longer side to which images are reduced; a piece becomes as large as the scene."""


@dataclass(frozen=True)
class Photographs:
    """A folder's usable images.

    Attributes:
        paths: of the images.
        share: how often a fill or a background is taken from them.
        left_out: what cannot be used, with the reason.
    """

    paths: tuple[Path, ...]
    share: float
    left_out: dict[Path, str]

    @classmethod
    def of_folder(cls, folder: Path, share: float) -> "Photographs":
        """Read all images below a folder once, so that a broken one is found now and not in the middle of a run.

        Raises:
            FileNotFoundError: no such folder.
            ValueError: no usable image in it.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"photographs: expected a folder of images, got {folder}: no such folder")
        paths = image_paths(folder)
        left_out = unreadable(paths)
        usable = tuple(path for path in paths if path not in left_out)
        if not usable:
            first = next((f"; {path.name}: {reason}" for path, reason in left_out.items()), "")
            raise ValueError(f"photographs: expected a folder of images, got {folder}: none can be used{first}")
        return cls(usable, share, left_out)

    def fingerprint(self) -> str:
        """Changes when files are added, removed, renamed or of another length."""
        listed = "\n".join(f"{path.name} {path.stat().st_size}" for path in self.paths)
        return hashlib.sha256(listed.encode()).hexdigest()

    def piece(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """A square piece of one of the images, perhaps mirrored, with other colours: (size, size, 3) uint8."""
        image = _reduced(self.paths[int(rng.integers(len(self.paths)))])
        side = rng.uniform(0.4, 1.0) * min(image.size)
        left, top = rng.uniform(0, image.width - side), rng.uniform(0, image.height - side)
        piece = image.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        if rng.random() < 0.5:
            piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(other_colours(piece, rng))


@dataclass(frozen=True)
class PhotographPaint:
    """A piece of a photograph as a fill; it has what `textures.Paint` has for the canvas.

    Attributes:
        piece: (h, w, 3) float32, its difference from its mean colour.
        first: (3,) float32, the mean colour of the fill.
        corner: (x, y), the pixel of the piece that lies at the thing's centre.
    """

    piece: np.ndarray
    first: np.ndarray
    corner: tuple[int, int]

    def patch(self, x: np.ndarray, y: np.ndarray, light: np.ndarray) -> Image.Image:
        """Colour a patch: x (1, w), y (h, 1) pixels, light (h, w) factors -> RGB image of w x h pixels.

        Beyond its border the piece goes on mirrored.
        """
        row = _mirrored(y[:, 0].astype(np.int64) + self.corner[1], self.piece.shape[0])
        column = _mirrored(x[0].astype(np.int64) + self.corner[0], self.piece.shape[1])
        colours = (self.piece[row[:, None], column[None]] + self.first) * light[..., None]
        return Image.fromarray(np.clip(colours, 0.0, 255.0, out=colours).astype(np.uint8))


def photograph_paint(piece: np.ndarray, rng: np.random.Generator) -> PhotographPaint:
    """A piece of a photograph, at a random position, as a fill."""
    colours = piece.astype(np.float32)
    mean = colours.mean((0, 1))
    height, width = piece.shape[:2]
    return PhotographPaint(colours - mean, mean, (int(rng.integers(width)), int(rng.integers(height))))


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """An index beyond either end, mirrored back: 0, 1, ..., size - 1, size - 1, ..., 1, 0, 0, 1, ..."""
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


@lru_cache(maxsize=128)
def _reduced(path: Path) -> Image.Image:
    return read_rgb(path, most=MOST)
