"""Families of slender things, and night: photographs show them, the other scenes do not.

A slender thing is six to twenty times as long as it is wide. Ordinary scenes, and with them the main test, were fixed
before these families and stay as they were: slender scenes are a kind of their own, with a test of their own.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from sam_edu.scenes.shapes import Number, Rng, Thing, arc, box, leaf, oval, path, tube


def launcher(rng: Rng) -> Thing:
    """A rocket that waits: stages, a nose that may be wider, an emblem, perhaps boosters."""
    thing = Thing()
    thing.add(-1, "white")
    w, shoulder = rng.uniform(0.06, 0.14), rng.uniform(-0.75, -0.55)
    nose = w * rng.uniform(1.0, 1.5)
    stages = [1.0, *sorted(rng.uniform(shoulder + 0.15, 0.85, int(rng.integers(0, 3))), reverse=True), shoulder]
    for number, (bottom, top) in enumerate(pairwise(stages)):
        thing.add(0, "white" if rng.random() < 0.6 else f"s{number}", box(-w, top, w, bottom))
    tip = thing.add(
        0,
        "white" if rng.random() < 0.4 else "n",
        path(
            (-nose, shoulder),
            (-nose, -0.83),
            (-0.6 * nose, -0.94),
            (0, -1),
            (0.6 * nose, -0.94),
            (nose, -0.83),
            (nose, shoulder),
        ),
    )
    if rng.random() < 0.6:
        thing.add(tip, "mark", oval(0, rng.uniform(-0.82, shoulder - 0.05), 0.6 * nose, 0.06), labelled=False)
    if rng.random() < 0.3:
        top = rng.uniform(0.1, 0.5)
        for side in (-1, 1):
            thing.add(0, "b", tube(side * 1.7 * w, top, side * 1.7 * w, 0.95, 0.6 * w))
    return thing


def lighthouse(rng: Rng) -> Thing:
    """A tower that narrows, with bands and a lamp room."""
    thing = Thing()
    thing.add(-1, "a")
    foot, top = rng.uniform(0.14, 0.24), rng.uniform(0.08, 0.13)
    tower = thing.add(0, "a", path((-top, -0.7), (top, -0.7), (foot, 1), (-foot, 1)))
    for y in np.linspace(-0.5, 0.8, int(rng.integers(0, 5))):
        thing.add(tower, "band", box(-1, y, 1, y + 0.17))
    thing.add(0, "light", box(-top, -0.88, top, -0.7))
    thing.add(0, "roof", path((-1.3 * top, -0.88), (0, -1.0), (1.3 * top, -0.88)))
    return thing


def post(rng: Rng) -> Thing:
    """A pole, a column or a lamp post, perhaps with a head and a foot."""
    thing = Thing()
    thing.add(-1, "a")
    w = rng.uniform(0.05, 0.14)
    thing.add(0, "a", box(-w, -0.85, w, 0.9))
    if rng.random() < 0.7:
        round_head = rng.random() < 0.5
        head = oval(0, -0.9, 1.8 * w, 1.4 * w) if round_head else box(-1.6 * w, -1.0, 1.6 * w, -0.8)
        thing.add(0, "light" if rng.random() < 0.5 else "a", head)
    if rng.random() < 0.6:
        thing.add(0, "foot", box(-1.7 * w, 0.82, 1.7 * w, 1.0))
    return thing


def spoon(rng: Rng) -> Thing:
    """A bowl on a handle; or, with a slim bowl, a brush or a paddle."""
    thing = Thing()
    thing.add(-1, "white" if rng.random() < 0.4 else "a")
    w, bowl = rng.uniform(0.04, 0.09), rng.uniform(0.14, 0.3)
    thing.add(0, "a" if rng.random() < 0.5 else "b", tube(0, -0.95, 0, 0.3, w, 0.8 * w))
    middle = rng.uniform(0.45, 0.6)
    bowl_index = thing.add(0, "a", oval(0, middle, bowl, 0.95 - middle))
    if rng.random() < 0.6:
        thing.add(bowl_index, "c", oval(0.03, middle, 0.6 * bowl, 0.6 * (0.95 - middle)), labelled=False)
    return thing


def pencil(rng: Rng) -> Thing:
    """Body, cone and tip; or a knife: a blade and a handle."""
    thing = Thing()
    thing.add(-1, "a")
    w = rng.uniform(0.06, 0.13)
    if rng.random() < 0.4:
        thing.add(0, "a", tube(0, 0.3, 0, 0.92, 0.8 * w))
        blade = path((-w, 0.25), (w, 0.25), (w, -0.7), (-0.3 * w, -1.0), (-w, -0.8))
        thing.add(0, "white" if rng.random() < 0.7 else "b", blade)
        return thing
    body = thing.add(0, "a", box(-w, -0.65, w, 0.85))
    thing.add(body, "b", box(-0.33 * w, -1, 0.33 * w, 1), labelled=False)
    cone = thing.add(0, "light", path((-w, -0.65), (0, -1.0), (w, -0.65)))
    thing.add(cone, "dark", box(-1, -1, 1, -0.87), labelled=False)
    thing.add(0, "c", box(-w, 0.85, w, 1.0))
    return thing


def candle(rng: Rng) -> Thing:
    """A candle with its flame, perhaps on a holder."""
    thing = Thing()
    thing.add(-1, "a")
    w = rng.uniform(0.09, 0.16)
    thing.add(0, "a", box(-w, -0.6, w, 0.9))
    thing.add(0, "light", leaf(0, -0.62, 0, -1.0, rng.uniform(0.15, 0.25)))
    if rng.random() < 0.6:
        thing.add(0, "b", arc(0, 0.78, 2.2 * w, 0.0, 0.0, np.pi))
    return thing


SLENDER: dict[str, Callable[[Rng], Thing]] = {
    function.__name__: function for function in (launcher, lighthouse, post, spoon, pencil, candle)
}
"""By name, as `FAMILIES`; none of the names occurs there."""
SLENDER_SHARES = (0.3, 0.14, 0.14, 0.14, 0.14, 0.14)
"""How often each is drawn: rockets most, as they have the most parts."""


def night(rng: Rng, size: int) -> tuple[Image.Image, list[np.ndarray]]:
    """A dark sky that brightens downwards, above a dark band of ground.

    Args:
        rng: generator.
        size: width and height in pixels.

    Returns:
        the image (RGB), and two of its colours, (3,) float32 from 0 to 255 each.
    """
    top = np.array([rng.uniform(5, 50), rng.uniform(10, 60), rng.uniform(30, 110)], np.float32)
    low = top * rng.uniform(0.9, 2.2) + rng.uniform(0, 40, 3) * np.array([1.0, 0.6, 0.4])
    y = np.linspace(0.0, 1.0, size, dtype=np.float32)[:, None, None]
    x = np.linspace(-1.0, 1.0, size, dtype=np.float32)[None, :, None]
    sky = top + (low - top) * y ** rng.uniform(0.6, 2.0) - rng.uniform(0, 25) * x**2
    horizon = int(size * rng.uniform(0.72, 1.05))
    sky[horizon:] *= rng.uniform(0.2, 0.6)
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    return image, [top, low.astype(np.float32)]


def lattice(rng: Rng, image: Image.Image) -> None:
    """Draw a mast of thin struts, from the image's lower edge upwards; it belongs to no object."""
    size = image.width
    draw = ImageDraw.Draw(image)
    x, top, width = rng.uniform(0, size), rng.uniform(0.0, 0.7) * size, rng.uniform(0.01, 0.05) * size
    shade = tuple(int(v) for v in rng.uniform(20, 110) * rng.uniform(0.8, 1.1, 3))
    rungs = np.arange(top, size, max(4.0, 1.6 * width))
    half_widths = np.linspace(rng.uniform(0.4, 1.0), 1.0, len(rungs)) * width
    for number in range(len(rungs) - 1):
        y0, y1, w0, w1 = rungs[number], rungs[number + 1], half_widths[number], half_widths[number + 1]
        for start, end in (((x - w0, y0), (x - w1, y1)), ((x + w0, y0), (x + w1, y1)), ((x - w0, y0), (x + w1, y1))):
            draw.line([start, end], fill=shade, width=1)


def glare(rng: Rng, image: Image.Image, height: Number) -> Image.Image:
    """Add lamps that dazzle, low in the image: bright cores with rays.

    Args:
        rng: generator.
        image: RGB.
        height: rows, counted from the foot, in which lamps stand.

    Returns:
        the image with its lamps; the masks do not change.
    """
    size = image.width
    pixels = np.asarray(image).astype(np.float32)
    for _ in range(int(rng.integers(1, 8))):
        cx, cy = rng.uniform(0, size), size - rng.uniform(0, height)
        reach = int(rng.uniform(0.03, 0.18) * size)
        x0, x1 = max(0, int(cx) - reach), min(size, int(cx) + reach + 1)
        y0, y1 = max(0, int(cy) - reach), min(size, int(cy) + reach + 1)
        x = np.arange(x0, x1, dtype=np.float32)[None] - np.float32(cx)
        y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(cy)
        away, angle = np.hypot(x, y), np.arctan2(y, x)
        rays = np.cos(angle * int(rng.integers(3, 8)) + rng.uniform(0, 6.28)) ** 16
        core = np.exp(-((away / (0.12 * reach + 0.5)) ** 2))
        shine = core + rays * 0.8 * np.clip(1.0 - away / reach, 0.0, 1.0) ** 2 / (1.0 + 0.3 * away)
        warm = np.array([255.0, rng.uniform(190, 255), rng.uniform(90, 230)], np.float32)
        pixels[y0:y1, x0:x1] += shine[..., None] * warm * 1.4
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
