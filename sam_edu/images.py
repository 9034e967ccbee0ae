"""image(): a photograph of the notebooks, wherever they are opened, or an image of one's own."""

from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

_PACKAGE = Path(__file__).resolve().parent


def image_folder() -> Path:
    """The folder of the notebooks' photographs and their outlines.

    An installed package has them inside; in a checkout they lie in `images/`, beside the package.

    Raises:
        FileNotFoundError: they are in neither place.
    """
    for folder in (_PACKAGE / "images", _PACKAGE.parent / "images"):
        if (folder / "chelsea.png").is_file():
            return folder
    raise FileNotFoundError(
        f"chelsea.png: expected the photographs in {_PACKAGE / 'images'} or {_PACKAGE.parent / 'images'}, found none: "
        "install sam_edu again, or take the repository's folder `images`"
    )


def image(name: str | PathLike[str]) -> np.ndarray:
    """Read an image as (height, width, 3) uint8, RGB, upright as its metadata say.

    Args:
        name: the file name of one of the notebooks' photographs, such as "chelsea.png", whatever the working directory
            is; or the path of an image of your own.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image.
    """
    path = Path(name)
    if not path.is_file():
        path = image_folder() / path
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in image_folder().glob("*.png")))
        raise FileNotFoundError(f"{name}: there is no such image; expected the path of one, or one of {known}")
    try:
        with Image.open(path) as opened:
            return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: expected an image that Pillow can read, got: {error}") from error
