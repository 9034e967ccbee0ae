"""Checks of the image that a `Predictor` is given, its conversion to RGB, and checks of a stored embedding."""

import struct
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sam_edu.arrays import as_numbers, shorten

# PIL modes of 8 bits a channel, and 1 bit. The others ("I", "F", "I;16") have no known range of values.
_PIL_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")

_EIGHT_BITS = "divide 16 bits by 257 and 12 bits by 16, then .astype(np.uint8)"
_OTHER_RANGE = {
    "u": _EIGHT_BITS,
    "i": f"if its values go from 0 to 255, .astype(np.uint8); else {_EIGHT_BITS}",
    "b": "255 * image.astype(np.uint8) makes an image of a mask",
}


class Embedded(NamedTuple):
    """An image's embedding, and what leads from the decoder's grid back to the image.

    Attributes:
        features: (1, dim, height, width).
        original_size: the image's height and width in pixels.
        input_size: its height and width in the model's frame, before padding.
    """

    features: Tensor
    original_size: tuple[int, int]
    input_size: tuple[int, int]


def from_pil(image: Image.Image) -> np.ndarray:
    """A PIL image as an array, RGB or RGBA, turned upright as its metadata say.

    Cameras store how they were held (EXIF orientation) and do not turn the pixels. Colour profiles and gamma are not
    applied, as in Meta's code.

    Raises:
        ValueError: a mode whose range of values is not known, or a file that cannot be read to its end.
    """
    if image.mode not in _PIL_MODES:
        hint = f"np.asarray(image) gives its values: {_EIGHT_BITS}" if image.mode.startswith("I") else ""
        hint = hint or "scale its values to 0 to 1 and give them as an array"
        raise ValueError(f"image: expected a PIL image of mode {', '.join(_PIL_MODES)}, got {image.mode}; {hint}")
    try:
        upright = ImageOps.exif_transpose(image)
    except (SyntaxError, struct.error) as error:
        # Pillow keeps what it read before the damage; with that, a second call would turn nothing, without a word.
        image._exif = None
        raise ValueError(
            f"image: its EXIF metadata, which say how to turn it, are damaged ({error}); turn it upright yourself and "
            "remove them: image.info.pop('exif')"
        ) from error
    except OSError as error:
        raise ValueError(f"image: it cannot be read to its end ({error})") from error
    if upright.mode in ("La", "RGBa"):  # colours multiplied by alpha
        upright = upright.convert({"La": "LA", "RGBa": "RGBA"}[upright.mode])
    transparent = upright.mode in ("LA", "PA", "RGBA") or "transparency" in upright.info
    if upright.mode == "P" and upright.palette is not None:
        transparent = transparent or upright.palette.mode.endswith("A")
    return np.asarray(upright.convert("RGBA" if transparent else "RGB"))


def to_rgb(image: Any) -> np.ndarray:
    """Check an image and convert it to (height, width, 3) of uint8; its channels keep their order.

    Args:
        image: uint8, or floats from 0 to 1: grey, 3 channels, or 3 channels and alpha, which is blended with white.

    Raises:
        TypeError: no array, or an array of another dtype.
        ValueError: an empty image, another number of channels, NaN, floats outside 0 to 1, masked values.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"image: expected a numpy array or a PIL image, got {type(image).__name__}{_as_an_array(image)}"
        )
    if image.dtype.kind in "iufb":
        image = as_numbers("image", image)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"image: expected (height, width) or (height, width, channels) with 1, 3 or 4 channels, got {image.shape}"
            f"{_other_axes(image.shape)}"
        )
    if image.size == 0:
        raise ValueError(f"image: expected at least one pixel, got an empty image of shape {image.shape}")
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            raise ValueError("image: expected floats from 0 to 1, got NaN or infinity")
        if image.min() < 0 or image.max() > 1:
            hint = "; divide it by 255, or give it as uint8" if image.min() >= 0 and image.max() <= 255 else ""
            hint = hint or ("; undo its normalisation: image * std + mean" if image.min() < 0 else "")
            raise ValueError(f"image: expected floats from 0 to 1, got {image.min():.4g} to {image.max():.4g}{hint}")
        image = (image.astype(np.float64) * 255 + 0.5).astype(np.uint8)
    elif image.dtype != np.uint8:
        hint = f"; {_OTHER_RANGE[image.dtype.kind]}" if image.dtype.kind in _OTHER_RANGE else ""
        raise TypeError(f"image: expected dtype uint8 (0 to 255) or float (0 to 1), got {image.dtype}{hint}")
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if channels == 4:
        alpha = image[..., 3:].astype(np.uint32)
        white = 255 * (255 - alpha)  # what shows through; 0 where the image is opaque, which leaves it unchanged
        return ((image[..., :3] * alpha + white + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(image)


def check_frame(image: Tensor) -> None:
    """Refuse an image in the model's frame whose values cannot go from 0 to 255."""
    if image.is_meta or not image.is_floating_point():
        return
    if not torch.isfinite(image).all():
        raise ValueError("transformed_image: expected values from 0 to 255, got NaN or infinity")
    top = float(image.abs().max())
    if 0 < top <= 1:
        raise ValueError(
            f"transformed_image: expected values from 0 to 255, got at most {top:.4g}; multiply an image from 0 to 1 by"
            " 255 (the model normalises it)"
        )


def as_size(name: str, value: Any) -> tuple[int, int]:
    """A height and a width in pixels, as whole numbers.

    Raises:
        ValueError: not two of them, or one below 1.
        TypeError: something else than whole numbers.
    """
    size = as_numbers(name, value)
    if size.shape != (2,) or not (size >= 1).all():
        raise ValueError(f"{name}: expected (height, width) in pixels, got {shorten(value)}")
    if size.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected (height, width) as whole numbers of pixels, got {shorten(value)}")
    return int(size[0]), int(size[1])


def check_sizes(original_size: tuple[int, int], input_size: tuple[int, int], resized: Any) -> None:
    """Refuse a width and a height in exchanged order, as `PIL.Image.size` gives them.

    Args:
        original_size: as given.
        input_size: height and width of the resized image.
        resized: what a size becomes in the model's frame.
    """
    if resized(*original_size) != input_size == resized(*original_size[::-1]):
        raise ValueError(
            f"original_image_size: expected (height, width) of an image that becomes {input_size[0]} x {input_size[1]},"
            f" got {original_size}; if it is (width, height), as PIL's image.size, exchange them"
        )


def as_embedded(features: Any, original_size: Any, input_size: Any) -> Embedded:
    """An embedding that may have been stored and put back, checked.

    Args:
        features: as `Embedded` has it; a NumPy array is converted.
        original_size: likewise.
        input_size: likewise.

    Raises:
        TypeError, ValueError: one of them is missing or is something else.
    """
    given = {"features": features, "original_size": original_size, "input_size": input_size}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise ValueError(
            f"{missing[0]}: expected what was stored of an image, got None; put back features, original_size and "
            "input_size together, then is_image_set = True; or call set_image(image)"
        )
    if not isinstance(features, Tensor):
        features = torch.from_numpy(as_numbers("features", features).copy())
    if features.ndim != 4:
        hint = "; features[None] has the batch's axis" if features.ndim == 3 else ""
        raise ValueError(f"features: expected shape (1, dim, height, width), got {tuple(features.shape)}{hint}")
    return Embedded(features, as_size("original_size", original_size), as_size("input_size", input_size))


def _as_an_array(image: Any) -> str:
    """How to make an array of what is none; "" where it is not known."""
    if isinstance(image, str | PathLike):
        return " (open a file with PIL.Image.open)"
    if isinstance(image, Tensor):
        first = image.ndim == 3 and image.shape[0] in (1, 3, 4) and image.shape[2] not in (1, 3, 4)
        return "; give image.permute(1, 2, 0).numpy()" if first else "; give image.numpy(), (height, width, channels)"
    if isinstance(image, list | tuple):
        return "; give np.array(image, dtype=np.uint8); several images one by one"
    return "; was the file found? (OpenCV reads None where it was not)" if image is None else ""


def _other_axes(shape: tuple[int, ...]) -> str:
    """What to do with an image whose axes are in another order; "" where it is not known."""
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "; channels come last: image.transpose(1, 2, 0)"
    if len(shape) == 4 and shape[0] == 1:
        return "; one image without the batch's axis: image[0]"
    return ""
