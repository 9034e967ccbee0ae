"""Image files of every kind that a folder may hold, made for the tests."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 60, 40


def coloured() -> np.ndarray:
    """(40, 60, 3) uint8: red to the right, green downwards, a blue corner at the upper left."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, WIDTH)[None]
    pixels[..., 1] = np.linspace(0, 255, HEIGHT)[:, None]
    pixels[:10, :10, 2] = 255
    return pixels


def rgb() -> Image.Image:
    return Image.fromarray(coloured())


def oriented(path: Path) -> None:
    """Stored on its side, with the EXIF orientation that turns it upright again."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def with_alpha(path: Path) -> None:
    """The right half is transparent."""
    image = rgb().convert("RGBA")
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, WIDTH // 2 :] = 0
    image.putalpha(Image.fromarray(alpha))
    image.save(path)


def with_16_bits(path: Path) -> None:
    Image.fromarray(coloured()[..., 0].astype(np.uint16) * 257).save(path)


def with_transparent_palette(path: Path) -> None:
    rgb().quantize(8).save(path, transparency=0)


USABLE: dict[str, Callable[[Path], object]] = {
    "rgb.png": lambda path: rgb().save(path),
    "rgb.jpg": lambda path: rgb().save(path, quality=95),
    "upper case.JPG": lambda path: rgb().save(path, quality=95),
    "grey.png": lambda path: rgb().convert("L").save(path),
    "grey.jpg": lambda path: rgb().convert("L").save(path),
    "black and white.png": lambda path: rgb().convert("1").save(path),
    "cmyk.jpg": lambda path: rgb().convert("CMYK").save(path, quality=95),
    "16 bits.png": with_16_bits,
    "alpha.png": with_alpha,
    "grey alpha.png": lambda path: rgb().convert("LA").save(path),
    "palette.png": lambda path: rgb().quantize(8).save(path),
    "transparent palette.png": with_transparent_palette,
    "oriented.jpg": oriented,
    "frames.gif": lambda path: rgb().save(path, save_all=True, append_images=[rgb().rotate(90)]),
    "lossy.webp": lambda path: rgb().save(path, quality=90),
}
"""By file name how the file is written."""


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size, with no more than a few of its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def cut_off(path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[:-1500])


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "cannot identify"),
    "text.png": (lambda path: path.write_text("not an image", encoding="utf-8"), "cannot identify"),
    "cut off.jpg": (cut_off, "truncated"),
    "bomb.png": (lambda path: path.write_bytes(png_header(20_000, 20_000)), "pixels"),
    "large.png": (lambda path: path.write_bytes(png_header(9_000, 9_000)), "too large: 9000 x 9000 pixels"),
    "few pixels.png": (lambda path: path.write_bytes(png_header(300, 300)), "truncated|pixels|data"),
    "small.png": (lambda path: Image.new("RGB", (100, 12)).save(path), "too small: 100 x 12 pixels"),
    "float.tif": (lambda path: Image.new("F", (50, 50), 0.5).save(path), "floats"),
}
"""By file name how the file is written, and what is said of it."""


def fill(folder: Path) -> None:
    """Write every kind into a folder, and files that are no images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in USABLE.items():
        write(folder / name)
    for name, (write, _) in UNUSABLE.items():
        write(folder / name)
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    (folder / ".hidden.png").write_bytes(b"")
