"""Image files of any kind as RGB of 8 bits, and a check of many before hours of work rest on them."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageEnhance, ImageOps

LARGEST = 64_000_000
"""Pixels of the largest image that is read; a small file can claim to be much larger and fill the memory."""
SMALLEST = 32
"""Pixels of the shortest side of an image that is used."""
FULL_16_BITS = 257
"""65535 / 255: from 16 bits to 8."""


def read_rgb(path: Path, most: int | None = None, upright: bool = True) -> Image.Image:
    """Read an image as RGB of 8 bits.

    Grey, palette and CMYK images are converted, 16 bits become 8, what is transparent becomes white. Of several frames
    the first is read.

    Args:
        path: of the file.
        most: if given, the image is made smaller, to at most this many pixels a side.
        upright: turn the image as its EXIF orientation says.

    Raises:
        ValueError: the file is missing, broken, no image, too large, too small, or has float pixels; the message gives
            the reason without the name.
    """
    try:
        with Image.open(path) as image:
            check_size(*image.size)
            if most is not None:
                image.draft(None, (most, most))  # a JPEG can be decoded at a half, a quarter, an eighth
            image.load()
            rgb = as_rgb(ImageOps.exif_transpose(image) if upright else image)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except Exception as error:  # a broken file makes the readers of Pillow fail in a dozen ways
        raise ValueError(str(error) or type(error).__name__) from error
    if most is not None:
        rgb.thumbnail((most, most), Image.Resampling.BILINEAR)
    return rgb


def check_size(width: int, height: int) -> None:
    """Refuse what is too large to decode, or too small to be of use.

    Raises:
        ValueError: the size is out of bounds.
    """
    if width * height > LARGEST:
        raise ValueError(f"too large: {width} x {height} pixels, more than {LARGEST}")
    if min(width, height) < SMALLEST:
        raise ValueError(f"too small: {width} x {height} pixels, expected at least {SMALLEST} a side")


def as_rgb(image: Image.Image) -> Image.Image:
    """An image in any of Pillow's modes as RGB.

    Raises:
        ValueError: float pixels, whose range is not known.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floats, whose range is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int32)
        deep = image.mode != "I" or values.max(initial=0) > 255
        values = values // FULL_16_BITS if deep else values
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of an image as it stands upright, and as it is stored; its pixels are not read.

    Raises:
        ValueError: the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return ((height, width) if turned else (width, height)), (width, height)


def image_paths(folder: Path) -> list[Path]:
    """The files below a folder that are named like images, in the order of their names; hidden ones are left out."""
    suffixes = set(Image.registered_extensions())
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def unreadable(paths: Sequence[Path]) -> dict[Path, str]:
    """Read every file to its end; those that cannot be used, with the reason."""

    def reason(path: Path) -> str | None:
        try:
            read_rgb(path, most=512)
        except ValueError as error:
            return str(error)
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is about to be left out, and of harmless metadata
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            reasons = list(pool.map(reason, paths))
    return {path: text for path, text in zip(paths, reasons, strict=True) if text is not None}


def other_colours(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same image with other colour, brightness and contrast."""
    for enhance, least, most in (
        (ImageEnhance.Color, 0.4, 1.3),
        (ImageEnhance.Brightness, 0.7, 1.3),
        (ImageEnhance.Contrast, 0.7, 1.3),
    ):
        image = enhance(image).enhance(float(rng.uniform(least, most)))
    return image
