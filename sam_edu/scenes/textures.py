"""Fills for the procedural scenes: scalar texture fields, colours, light and camera effects.

A texture is a field with values in [0, 1] over pixel positions; a `Paint` turns it into colours by mixing
two of them. Noise-like textures are cut from a few periodic tiles that are built once from a fixed seed, so
that they cost an indexing operation only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

TRAINING_TEXTURES: tuple[str, ...] = (
    "plain",
    "gradient",
    "stripes",
    "waves",
    "dots",
    "checks",
    "wood",
    "cloud",
    "bricks",
    "speckle",
    "grain",
    "fur",
)
UNSEEN_TEXTURES: tuple[str, ...] = ("zigzag", "ripples")

_TILE = 256


@lru_cache(maxsize=1)
def noise_tiles() -> np.ndarray:
    """Periodic noise from smooth to white: (4, 256, 256) float32, each with values over [0, 1]."""
    rng = np.random.default_rng(2023)
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :]) * _TILE
    tiles = []
    for slope in (1.9, 1.4, 0.9, 0.0):
        spectrum = np.fft.rfft2(rng.standard_normal((_TILE, _TILE))) / np.maximum(frequency, 1.0) ** slope
        spectrum[0, 0] = 0.0
        tile = np.fft.irfft2(spectrum, s=(_TILE, _TILE))
        tiles.append(np.clip(0.5 + 0.2 * tile / tile.std(), 0.0, 1.0))
    return np.stack(tiles).astype(np.float32)


def _noise(kind: int, x: np.ndarray, y: np.ndarray, step_x: float, step_y: float, p: np.ndarray) -> np.ndarray:
    """Cut noise tile `kind` at steps per pixel (step_x, step_y); x (1, w), y (h, 1) pixels -> (h, w)."""
    column = (x * step_x + p[4] * _TILE).astype(np.int64) % _TILE
    row = (y * step_y + p[5] * _TILE).astype(np.int64) % _TILE
    tile: np.ndarray = noise_tiles()[kind]
    return tile[row, column]


def _edge(value: np.ndarray, softness: float) -> np.ndarray:
    """Turn a signed distance in pixels into a soft step with values in [0, 1]."""
    return np.clip(0.5 + value / softness, 0.0, 1.0)


def field(name: str, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Evaluate a texture.

    Args:
        name: one of `TRAINING_TEXTURES` or `UNSEEN_TEXTURES`.
        x: (1, w) float32 pixel columns, y: (h, 1) float32 pixel rows, both from the centre of the thing.
        p: (6,) numbers in [0, 1) that fix period, angle, phase and so on.

    Returns:
        Array that broadcasts to (h, w), float32, values in [0, 1].
    """
    if name == "plain":
        return np.zeros((1, 1), np.float32)
    angle = float(p[0]) * 2.0 * np.pi
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    period = np.float32(6.0 + 22.0 * p[1] ** 2)
    if name == "cloud":
        step = 0.5 + 1.5 * float(p[1])
        return _noise(int(2 * p[2]), x, y, step, step, p)
    if name == "grain":
        return _noise(2 + int(2 * p[2]), x, y, 1.0, 1.0, p)
    if name == "fur":
        across, along = 0.9 + float(p[1]), 0.1 + 0.1 * float(p[2])
        return _noise(2, x, y, across, along, p) if p[0] < 0.5 else _noise(2, x, y, along, across, p)
    if name == "speckle":
        step = 0.35 + 0.5 * float(p[1])
        return _edge(_noise(2, x, y, step, step, p) - np.float32(0.55 + 0.15 * p[2]), 0.1)
    if name == "bricks":
        height = period * np.float32(0.7)
        row = np.floor(y / height)
        width = height * np.float32(1.6 + 1.2 * p[2])
        to_joint_y = np.abs(y / height - row - 0.5) * height
        to_joint_x = np.abs((x / width + 0.5 * (row % 2)) % 1.0 - 0.5) * width
        return _edge(np.maximum(to_joint_y - height / 2, to_joint_x - width / 2) + 1.3, 1.2)
    u = x * cos + y * sin
    if name == "gradient":
        return np.clip(0.5 + u / np.float32(60.0 + 120.0 * p[1]), 0.0, 1.0)
    if name == "stripes":
        return _edge(
            np.abs((u / period + p[2]).astype(np.float32) % 1.0 - 0.5) * period - period * (0.15 + 0.2 * p[3]), 1.2
        )
    v = y * cos - x * sin
    if name == "waves":
        return 0.5 + 0.5 * np.sin(u * (6.28 / period) + np.float32(2.0 * p[2]) * np.sin(v * (4.0 / period)))
    if name == "wood":
        warp = _noise(0, x, y, 0.5, 0.5, p)
        return 0.5 + 0.5 * np.sin(u * (5.0 / period) + 9.0 * warp + v * np.float32(0.02))
    if name == "dots":
        from_dot = np.hypot(u % period - period / 2, v % period - period / 2)
        return _edge(period * np.float32(0.2 + 0.22 * p[2]) - from_dot, 1.2)
    if name == "checks":
        half = period * np.float32(0.6)
        return ((np.floor(u / half) + np.floor(v / half)) % 2).astype(np.float32)
    if name == "zigzag":
        bend = np.abs(u / period % 1.0 - 0.5) * period
        return _edge(np.abs((v + bend) / period % 1.0 - 0.5) * period - period / 4, 1.2)
    if name == "ripples":
        shift_x, shift_y = np.float32(60.0 * (p[2] - 0.5)), np.float32(60.0 * (p[3] - 0.5))
        return 0.5 + 0.5 * np.sin(np.hypot(x - shift_x, y - shift_y) * (6.28 / period))
    raise ValueError(f"unknown texture {name!r}")


@dataclass(frozen=True)
class Paint:
    """A texture with its two colours ((3,) float32, 0 to 255) and its parameters ((6,) in [0, 1))."""

    texture: str
    first: np.ndarray
    second: np.ndarray
    p: np.ndarray

    def patch(self, x: np.ndarray, y: np.ndarray, light: np.ndarray) -> Image.Image:
        """Colour a patch: x (1, w), y (h, 1) pixels, light (h, w) factors -> RGB image of w x h pixels."""
        mix = field(self.texture, x, y, self.p)[..., None]
        colours = (self.first + mix * (self.second - self.first)) * light[..., None]
        return Image.fromarray(np.clip(colours, 0.0, 255.0, out=colours).astype(np.uint8))


def random_colour(rng: np.random.Generator, away_from: Sequence[np.ndarray] = (), gap: float = 70.0) -> np.ndarray:
    """Draw an RGB colour ((3,) float32, 0 to 255), if possible at distance `gap` from all of `away_from`."""
    best, best_distance = np.zeros(3, np.float32), -1.0
    for _ in range(8):
        hue, saturation, value = rng.random(), rng.beta(1.2, 1.6), 0.12 + 0.86 * rng.beta(1.4, 1.1)
        wheel = np.clip(np.abs((hue * 6.0 + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
        colour = (255.0 * value * (1.0 - saturation * (1.0 - wheel))).astype(np.float32)
        distance = min((float(np.linalg.norm(colour - other)) for other in away_from), default=np.inf)
        if distance >= gap:
            return colour
        if distance > best_distance:
            best, best_distance = colour, distance
    return best


def random_paint(rng: np.random.Generator, textures: Sequence[str], colour: np.ndarray) -> Paint:
    """A paint of random texture around `colour`; most textures have a weak second colour, some a strong one."""
    texture = textures[int(rng.integers(len(textures)))]
    strength = rng.uniform(0.5, 0.95) if rng.random() < 0.25 else rng.uniform(0.15, 0.45)
    second = colour + np.float32(strength) * (random_colour(rng, (colour,), 90.0) - colour)
    return Paint(texture, colour, second.astype(np.float32), rng.random(6))


@dataclass(frozen=True)
class Light:
    """Light on one thing: a linear ramp and a round highlight, in units of the thing's radius."""

    slope: tuple[float, float]
    highlight: float
    spot: tuple[float, float]

    def factors(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Brightness factors (h, w) at x (1, w), y (h, 1), in radii from the centre of the thing."""
        factors = 1.0 + np.float32(self.slope[0]) * x + np.float32(self.slope[1]) * y
        if self.highlight:
            squared = (x - np.float32(self.spot[0])) ** 2 + (y - np.float32(self.spot[1])) ** 2
            factors = factors + np.float32(self.highlight) * (1.0 - np.minimum(squared, 1.6))
        return factors


def random_light(rng: np.random.Generator) -> Light:
    """Draw a light: none, a ramp, a highlight, or both."""
    angle, strength = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.05, 0.35) * (rng.random() < 0.65)
    highlight = float(rng.uniform(0.1, 0.4) * (rng.random() < 0.4))
    slope = (float(strength * np.cos(angle)), float(strength * np.sin(angle)))
    return Light(slope, highlight, (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.6, 0.2))))


def photograph(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Add what a room and a camera add to an RGB image -> (h, w, 3) uint8.

    Uneven illumination, paler colours (now and then none), blur, colour cast, contrast and noise.
    """
    if rng.random() < 0.35:
        coarse = rng.integers(int(rng.integers(140, 220)), 256, (4, 4)).astype(np.uint8)
        shade = Image.fromarray(coarse).resize(image.size, Image.Resampling.BICUBIC)
        image = ImageChops.multiply(image, Image.merge("RGB", [shade] * 3))
    if rng.random() < 0.65:
        image = ImageEnhance.Color(image).enhance(0.0 if rng.random() < 0.12 else float(rng.uniform(0.2, 1.0)))
    if rng.random() < 0.75:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.0))))
    gain = rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, 3)
    offset = rng.uniform(-12.0, 20.0) + 110.0 * (1.0 - gain) * (rng.random() < 0.5)
    pixels = np.asarray(image) * gain.astype(np.float32) + offset.astype(np.float32)
    if rng.random() < 0.7:
        height, width = pixels.shape[:2]
        channels = 3 if rng.random() < 0.3 else 1
        noise = rng.standard_normal((height, width, channels), dtype=np.float32)
        pixels += noise * np.float32(rng.uniform(1.0, 9.0))
    return np.clip(pixels, 0.0, 255.0, out=pixels).astype(np.uint8)
