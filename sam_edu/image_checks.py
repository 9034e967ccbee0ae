"""Checks of the image that a `Predictor` is given, and its conversion to RGB."""

from os import PathLike
from typing import Any

import numpy as np
from PIL import Image

# PIL modes of 8 bits a channel, and 1 bit. The others ("I", "F", "I;16") have no known range of values.
_PIL_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV")


def from_pil(image: Image.Image) -> np.ndarray:
    """A PIL image as an array, RGB or RGBA.

    Raises:
        ValueError: a mode whose range of values is not known.
    """
    if image.mode not in _PIL_MODES:
        raise ValueError(f"image: expected a PIL image of mode {', '.join(_PIL_MODES)}, got {image.mode}")
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def to_rgb(image: Any) -> np.ndarray:
    """Check an image and convert it to (height, width, 3) of uint8; its channels keep their order.

    Args:
        image: uint8, or floats from 0 to 1: grey, 3 channels, or 3 channels and alpha, which is blended with white.

    Raises:
        TypeError: no array, or an array of another dtype.
        ValueError: an empty image, another number of channels, NaN, floats outside 0 to 1.
    """
    if not isinstance(image, np.ndarray):
        hint = " (open a file with PIL.Image.open)" if isinstance(image, str | PathLike) else ""
        raise TypeError(f"image: expected a numpy array or a PIL image, got {type(image).__name__}{hint}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"image: expected (height, width) or (height, width, channels) with 1, 3 or 4 channels, got {image.shape}"
        )
    if image.size == 0:
        raise ValueError(f"image: expected at least one pixel, got an empty image of shape {image.shape}")
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            raise ValueError("image: expected floats from 0 to 1, got NaN or infinity")
        if image.min() < 0 or image.max() > 1:
            raise ValueError(f"image: expected floats from 0 to 1, got {image.min():.4g} to {image.max():.4g}")
        image = (image.astype(np.float64) * 255 + 0.5).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise TypeError(f"image: expected dtype uint8 (0 to 255) or float (0 to 1), got {image.dtype}")
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if channels == 4:
        alpha = image[..., 3:].astype(np.uint32)
        white = 255 * (255 - alpha)  # what shows through; 0 where the image is opaque, which leaves it unchanged
        return ((image[..., :3] * alpha + white + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(image)
