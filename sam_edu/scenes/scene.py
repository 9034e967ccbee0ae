"""Procedural training scenes with exact nested masks: objects, their parts and the parts of these.

Every region is painted through an anti-aliased alpha; the same alpha, cut at one half, writes the region's
number into an owner map. A mask is what the owner map says at the end, for the region and everything below
it, so that masks are visible regions, nest exactly and coincide with what is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sam_edu.scenes import textures
from sam_edu.scenes.photographs import PHOTOGRAPH_STREAM, PhotographPaint, Photographs, photograph_paint
from sam_edu.scenes.shapes import (
    FAMILIES,
    TRAINING_FAMILIES,
    UNSEEN_FAMILIES,
    WEIGHTS,
    Placement,
    Thing,
    blob,
    random_placement,
    simplified,
)
from sam_edu.scenes.slender_shapes import SLENDER, SLENDER_SHARES, glare, lattice, night
from sam_edu.scenes.textures import TRAINING_TEXTURES, UNSEEN_TEXTURES, Paint, random_colour, random_paint

__all__ = [
    "TRAINING_FAMILIES",
    "TRAINING_TEXTURES",
    "UNSEEN_FAMILIES",
    "UNSEEN_TEXTURES",
    "Kind",
    "Scene",
    "draw_scene",
]

Kind = Literal["ordinary", "slender", "unseen"]
"""The two kinds of scenes that training shows, and the one that it never shows."""

MIN_AREA = (600, 450, 350)
"""Smallest visible mask by level, in pixels of a scene of 256 x 256."""
MIN_AREA_SLENDER = (350, 150, 150)
"""The same in scenes with slender things."""
MAX_SHARE_OF_PARENT = 0.85
MIN_CORE = 0.45
"""Least share of a mask that is left when it is eroded by one pixel: thinner masks are dropped."""

_FIXED_COLOURS = {
    "white": (np.array([205.0, 205.0, 200.0]), 40.0),
    "dark": (np.array([42.0, 38.0, 40.0]), 30.0),
    "glass": (np.array([120.0, 160.0, 190.0]), 55.0),
    "skin": (np.array([195.0, 150.0, 122.0]), 50.0),
    "green": (np.array([70.0, 125.0, 60.0]), 45.0),
    "bark": (np.array([110.0, 80.0, 55.0]), 30.0),
    "light": (np.array([215.0, 205.0, 150.0]), 35.0),
}


@dataclass(frozen=True)
class Scene:
    """An image with the visible regions of its objects, parts and sub-parts.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        masks: (n, size, size) bool; a part's mask is a subset of its parent's mask.
        level: (n,) int8: 0 object, 1 part, 2 sub-part.
        parent: (n,) int16: index of the enclosing mask, or -1.
        family: (n,) name of the family of the thing that the mask belongs to.
    """

    image: np.ndarray
    masks: np.ndarray
    level: np.ndarray
    parent: np.ndarray
    family: tuple[str, ...]


@dataclass(frozen=True)
class _Region:
    """A region of a thing: the number of its parent (0: none), whether it is listed, and the thing's family."""

    parent: int
    labelled: bool
    family: str


@dataclass(frozen=True)
class _Cut:
    """An anti-aliased alpha and, perhaps, inner edge (mode L); upper left pixel at column x, row y of the scene."""

    alpha: Image.Image
    edge: Image.Image | None
    x: int
    y: int


def _rasterise(outlines: Sequence[np.ndarray], size: int, line: float = 0.0, around: _Cut | None = None) -> _Cut | None:
    """Rasterise pixel outlines ((k, 2) each) with supersampling.

    Args:
        outlines: polygons that are united, in pixels of the scene.
        size: width and height of the scene.
        line: width in pixels of the inner edge that is drawn as well, or 0.
        around: the cut to which the result is clipped.

    Returns:
        The cut, or None where nothing lies inside the scene.
    """
    points = np.concatenate(outlines)
    least, most = np.zeros(2, int), np.full(2, size)
    if around is not None:
        least = np.array([around.x, around.y])
        most = least + around.alpha.size
    low = np.clip(np.floor(points.min(axis=0)).astype(int) - 1, least, most)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 2, least, most)
    width, height = (int(v) for v in high - low)
    if width < 2 or height < 2:
        return None
    scale = 4 if max(width, height) < 72 else 2
    fine = Image.new("L", (width * scale, height * scale))
    canvas = ImageDraw.Draw(fine)
    flat = [((outline - low) * scale).ravel().tolist() for outline in outlines]
    for outline in flat:
        canvas.polygon(outline, fill=255)
    edge = None
    if line:
        fine_edge = Image.new("L", fine.size)
        canvas = ImageDraw.Draw(fine_edge)
        for outline in flat:
            canvas.line(outline + outline[:4], fill=255, width=max(1, round(2 * line * scale)))
        edge = fine_edge.reduce(scale)
    alpha = fine.reduce(scale)
    if around is not None:
        left, top = (int(v) for v in low - least)
        alpha = ImageChops.multiply(alpha, around.alpha.crop((left, top, left + width, top + height)))
    return _Cut(alpha, edge, int(low[0]), int(low[1]))


class _Taken:
    """What a scene takes from photographs, at random, with a generator of its own: its masks stay as they are."""

    def __init__(self, photographs: Photographs, seed: int | Sequence[int]) -> None:
        self.photographs = photographs
        self.rng = np.random.default_rng((PHOTOGRAPH_STREAM, *np.atleast_1d(seed).tolist()))

    def piece(self, size: int) -> np.ndarray | None:
        """A piece of a photograph; or None, where the painted fill stays."""
        return self.photographs.piece(self.rng, size) if self.rng.random() < self.photographs.share else None

    def fills(self, paints: Sequence[Paint], size: int) -> list[Paint | PhotographPaint]:
        """The paints of a thing, some of them replaced.

        Paints with the same numbers `p` are one fill, of which some are a little lighter or darker: they are replaced
        together.
        """
        chosen: dict[bytes, tuple[Paint, PhotographPaint | None]] = {}
        fills: list[Paint | PhotographPaint] = []
        for paint in paints:
            key = paint.p.tobytes()
            if key not in chosen:
                piece = self.piece(size)
                chosen[key] = (paint, None if piece is None else photograph_paint(piece, self.rng))
            original, taken = chosen[key]
            fills.append(paint if taken is None else replace(taken, first=taken.first + paint.first - original.first))
        return fills


class _Canvas:
    """The image so far, its owner map (size, size) int16 (0: background) and the regions (from number 1)."""

    def __init__(
        self,
        size: int,
        rng: np.random.Generator,
        fills: Sequence[str],
        least: tuple[int, int, int],
        dark: bool,
        taken: "_Taken | None",
    ) -> None:
        self.size, self.rng, self.fills, self.least, self.taken = size, rng, fills, least, taken
        self.unit = size / 256.0
        self.owner = np.zeros((size, size), np.int16)
        self.regions: list[_Region] = []
        self.image, self.ground = night(rng, size) if dark else self._background()
        piece = taken.piece(size) if taken is not None else None
        if piece is not None:
            self.image = Image.fromarray(piece)

    def _background(self) -> tuple[Image.Image, list[np.ndarray]]:
        """Draw a wall, or sky and ground with a horizon, with small clutter; returns also its colours."""
        rng, size = self.rng, self.size
        x = np.arange(size, dtype=np.float32)[None]
        y = np.arange(size, dtype=np.float32)[:, None]
        light = textures.random_light(rng).factors((x - size / 2) / size, (y - size / 2) / size)
        light = np.broadcast_to(light, (size, size))
        colours = [random_colour(rng)]
        image = random_paint(rng, TRAINING_TEXTURES, colours[0]).patch(x, y, light)
        kind = rng.random()
        if kind < 0.2:
            image = self._blurred_room(colours)
        elif kind < 0.65:
            colours.append(random_colour(rng, colours, 40.0))
            top = int(size * rng.uniform(0.3, 0.8))
            paint = random_paint(rng, TRAINING_TEXTURES, colours[1])
            ground = paint.patch(x, y[top:], light[top:])
            image.paste(ground, (0, top))
        for _ in range(int(rng.integers(0, 7)) if rng.random() < 0.5 else 0):
            self._clutter(image, random_colour(rng))
        return image, colours

    def _blurred_room(self, colours: list[np.ndarray]) -> Image.Image:
        """Draw large shapes far out of focus; appends their colours to `colours`."""
        rng, coarse = self.rng, self.size // 4
        image = Image.new("RGB", (coarse, coarse), tuple(int(v) for v in colours[0]))
        draw = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(3, 9))):
            colours.append(colours[0] + np.float32(0.6) * (random_colour(rng) - colours[0]))
            outline = blob(rng, 0, 0, 1, 0.5, n=12) * rng.uniform(0.1, 0.5, 2) + rng.random(2)
            draw.polygon((outline * coarse).ravel().tolist(), fill=tuple(int(v) for v in colours[-1]))
        del colours[2:]
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.5, 4.0))))
        return image.resize((self.size, self.size), Image.Resampling.BICUBIC)

    def _clutter(self, image: Image.Image, colour: np.ndarray) -> None:
        """Paint one small unlabelled blob on the background."""
        x, y = self.rng.uniform(0, self.size, 2)
        outline = blob(self.rng, 0, 0, 1, n=16) * self.rng.uniform(2.0, 7.0, 2) * self.unit + (x, y)
        cut = _rasterise([outline], self.size)
        if cut:
            image.paste(tuple(int(v) for v in colour), (cut.x, cut.y), cut.alpha)

    def cover(self) -> None:
        """Put one thin unlabelled thing in front of everything: a wire or a twig."""
        rng = self.rng
        (x0, y0), (x1, y1) = rng.uniform(0, self.size, (2, 2))
        across = np.array([y1 - y0, x0 - x1]) / max(1.0, float(np.hypot(x1 - x0, y1 - y0)))
        across = across * rng.uniform(1.0, 2.2) * self.unit
        ends = np.array([[x0, y0], [x1, y1]])
        outline = np.concatenate([ends + across, (ends - across)[::-1]])
        cut = _rasterise([outline], self.size)
        if cut:
            self.image.paste(tuple(int(v) for v in random_colour(rng)), (cut.x, cut.y), cut.alpha)
            self._own(cut, 0)

    def _own(self, cut: _Cut, number: int) -> None:
        """Write `number` into the owner map where the alpha is at least one half."""
        alpha = np.asarray(cut.alpha)
        block = self.owner[cut.y : cut.y + alpha.shape[0], cut.x : cut.x + alpha.shape[1]]
        block[alpha >= 128] = number

    def _shadow(self, outlines: Sequence[np.ndarray], radius: float) -> None:
        """Darken the image softly beside the thing that is about to be painted."""
        rng, coarse = self.rng, self.size // 4
        image = Image.new("L", (coarse, coarse))
        draw = ImageDraw.Draw(image)
        shift = rng.normal(0.0, 0.08, 2) * radius + (0.0, 0.06 * radius)
        for outline in outlines:
            draw.polygon(((outline + shift) / 4.0).ravel().tolist(), fill=int(255 * 0.45))
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 2.5)))).resize((self.size, self.size))
        self.image.paste((0, 0, 0), (0, 0), image)

    def _paints(self, thing: Thing, textured: float, faintness: float) -> list[tuple[Paint, bool]]:
        """Choose each node's paint, and whether it needs an edge because it is hardly set off."""
        rng = self.rng
        by_key: dict[str, Paint] = {}
        chosen: list[tuple[Paint, bool]] = []
        for node in thing.nodes:
            around = chosen[node.parent][0] if node.parent >= 0 else None
            if around is not None and node.labelled and rng.random() < faintness:
                shade = np.float32(rng.uniform(0.9, 1.1))
                chosen.append((Paint(around.texture, around.first * shade, around.second * shade, around.p), True))
                continue
            if node.paint not in by_key:
                others = [around.first] if around is not None else list(self.ground)
                if around is not None and not thing.nodes[node.parent].outlines:
                    others = [*others, *self.ground]
                colour = random_colour(rng, others)
                if node.paint in _FIXED_COLOURS and rng.random() < 0.75:
                    middle, width = _FIXED_COLOURS[node.paint]
                    colour = np.clip(middle + rng.normal(0.0, width / 2, 3), 0, 255).astype(np.float32)
                fills = self.fills if rng.random() < textured or "plain" not in self.fills else ("plain",)
                by_key[node.paint] = random_paint(rng, fills, colour)
            twin = any(n.paint == node.paint and n.parent == node.parent for n in thing.nodes[: len(chosen)])
            chosen.append((by_key[node.paint], twin and node.labelled))
        return chosen

    def put(self, family: str, thing: Thing, placement: Placement) -> None:
        """Paint a thing over everything so far and enter its regions."""
        rng, radius = self.rng, placement.radius
        outlines = [[placement.apply(outline) for outline in node.outlines] for node in thing.nodes]
        if rng.random() < 0.45:
            self._shadow(
                [o for node, group in zip(thing.nodes, outlines, strict=True) if node.free for o in group], radius
            )
        paints = self._paints(thing, rng.choice([0.15, 0.5, 0.9]), rng.choice([0.03, 0.1, 0.6], p=[0.6, 0.3, 0.1]))
        self.ground.append(paints[0][0].first)
        plain = [paint for paint, _ in paints]
        fills = plain if self.taken is None else self.taken.fills(plain, self.size)
        light = textures.random_light(rng)
        line = float(rng.uniform(0.5, 1.3)) * self.unit if rng.random() < 0.3 else 0.0
        ink = random_colour(rng) * np.float32(0.35)
        crease = np.float32(rng.choice([0.55, 0.55, 1.4]))
        roundness = float(rng.uniform(0.2, 0.6) if rng.random() < 0.35 else 0.0)
        first = len(self.regions) + 1
        for node in thing.nodes:
            parent = first + node.parent if node.parent >= 0 else 0
            self.regions.append(_Region(parent, node.labelled, family))
        cuts: dict[int, _Cut] = {}
        for index in sorted(range(len(thing.nodes)), key=lambda i: thing.nodes[i].z):
            node, faint, paint = thing.nodes[index], paints[index][1], fills[index]
            if not node.outlines:
                continue
            around = None if node.free else cuts.get(node.parent)
            width = line or (0.6 * self.unit if faint else 0.0)
            cut = _rasterise(outlines[index], self.size, width if len(outlines[index]) == 1 else 0.0, around)
            if cut is None or (around is None and not node.free):
                continue
            cuts[index] = cut
            x = np.arange(cut.x, cut.x + cut.alpha.width, dtype=np.float32)[None] - np.float32(placement.centre[0])
            y = np.arange(cut.y, cut.y + cut.alpha.height, dtype=np.float32)[:, None] - np.float32(placement.centre[1])
            scale = np.float32(1.0 / radius)
            factors = light.factors(x * scale, y * scale)
            if roundness:
                soft = cut.alpha.filter(ImageFilter.BoxBlur(1.0 + 0.12 * min(cut.alpha.size)))
                factors = factors * (1.0 + roundness * (np.asarray(soft, np.float32) / 255.0 - 0.9))
            patch = paint.patch(x, y, factors)
            if cut.edge is not None:
                colour = ink if line else np.minimum(paint.first * crease, 255.0)
                patch.paste(tuple(int(v) for v in colour), (0, 0), cut.edge)
            self.image.paste(patch, (cut.x, cut.y), cut.alpha)
            self._own(cut, first + index)

    def scene(self) -> Scene:
        """Read the masks off the owner map, drop what is small, thin or nearly its parent, and photograph."""
        count = len(self.regions) + 1
        parents = np.array([0] + [region.parent for region in self.regions])
        inside = np.eye(count, dtype=bool)  # inside[i, j]: region j lies in region i
        for number in range(count - 1, 0, -1):
            inside[parents[number]] |= inside[number]
        area = inside[:, 1:] @ np.bincount(self.owner.ravel(), minlength=count)[1:]
        owner = self.owner.astype(np.intp)
        kept: dict[int, int] = {}
        masks: list[np.ndarray] = []
        level: list[int] = []
        parent: list[int] = []
        family: list[str] = []
        for number, region in enumerate(self.regions, start=1):
            above = region.parent
            while above and above not in kept:
                above = int(parents[above])
            if not region.labelled or (region.parent and not above):
                continue
            depth = level[kept[above]] + 1 if above else 0
            if depth > 2 or area[number] < self.least[depth] * self.unit**2:
                continue
            if above and area[number] > MAX_SHARE_OF_PARENT * area[above]:
                continue
            mask = inside[number][owner]
            core = mask[1:-1, 1:-1] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
            if np.count_nonzero(core) < MIN_CORE * area[number]:
                continue
            kept[number] = len(masks)
            masks.append(mask)
            level.append(depth)
            parent.append(kept[above] if above else -1)
            family.append(region.family)
        stack = np.stack(masks) if masks else np.zeros((0, self.size, self.size), bool)
        pixels = textures.photograph(self.image, self.rng)
        return Scene(pixels, stack, np.array(level, np.int8), np.array(parent, np.int16), tuple(family))


def _spots(rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """Centres and radii (x, y, r, in pixels of a scene of 256) of `count` things, back to front."""
    spots: list[tuple[float, float, float]] = []
    largest = (122.0, 104.0, 88.0, 76.0, 66.0)[count - 1]
    for _ in range(count):
        best, best_room = (128.0, 128.0, 60.0), -np.inf
        radius = float(rng.uniform(0.55 * largest, largest))
        for _ in range(10):
            x, y = rng.uniform(0.6 * radius, 256.0 - 0.6 * radius, 2)
            room = min((np.hypot(x - a, y - b) / (radius + r) for a, b, r in spots), default=1.0)
            room = min(room, rng.uniform(0.5, 0.95))
            if room > best_room:
                best, best_room = (float(x), float(y), radius), room
        spots.append(best)
    return spots


def _rows(rng: np.random.Generator, most: int) -> list[tuple[float, float, float]]:
    """Centres and radii of things in rows, perhaps with gaps and disorder (pixels of a scene of 256)."""
    columns, rows = int(rng.integers(2, most + 1)), int(rng.integers(1, most))
    pitch = 230.0 / max(columns, rows)
    turn = rng.normal(0.0, 0.1)
    spots = []
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.1:
                continue
            x, y = (column - (columns - 1) / 2) * pitch, (row - (rows - 1) / 2) * pitch
            x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
            jitter = rng.normal(0.0, 0.05, 2) * pitch
            spots.append((128.0 + x + jitter[0], 128.0 + y + jitter[1], pitch * rng.uniform(0.36, 0.5)))
    return spots


def _slender_scene(rng: np.random.Generator, size: int, taken: _Taken | None) -> Scene:
    """A scene whose things are mostly slender, half of the time at night among masts and lamps."""
    dark = bool(rng.random() < 0.5)
    canvas = _Canvas(size, rng, TRAINING_TEXTURES, MIN_AREA_SLENDER, dark, taken)
    for _ in range(int(rng.integers(0, 5)) if dark or rng.random() < 0.3 else 0):
        lattice(rng, canvas.image)
    for x, y, radius in _spots(rng, int(rng.choice([1, 2, 3, 4, 5]))):
        slender = rng.random() < 0.75
        family = str(rng.choice(list(SLENDER), p=SLENDER_SHARES) if slender else rng.choice(TRAINING_FAMILIES))
        thing = SLENDER[family](rng) if slender else FAMILIES[family](rng)
        placement = random_placement(rng, (x * canvas.unit, y * canvas.unit), radius * canvas.unit)
        if slender:  # a bend that suits a house would tie a pencil in a knot
            placement = replace(placement, bend=placement.bend * rng.choice([0.0, 0.3, 1.0], p=[0.5, 0.4, 0.1]))
        canvas.put(family, simplified(thing, 0) if rng.random() < 0.2 else thing, placement)
    if dark and rng.random() < 0.8:
        canvas.image = glare(rng, canvas.image, size * rng.uniform(0.1, 0.4))
    return canvas.scene()


def draw_scene(
    seed: int | Sequence[int], *, size: int = 256, kind: Kind = "ordinary", photographs: Photographs | None = None
) -> Scene:
    """Draw the scene that belongs to a seed.

    Args:
        seed: seed (or several numbers that together are one) of `np.random.default_rng`.
        size: width and height in pixels, at least 64.
        kind: "ordinary"; "slender": mostly slender things, half of the time at night; or "unseen": things from
            `UNSEEN_FAMILIES` filled with `UNSEEN_TEXTURES`, which training never shows.
        photographs: images from which a share of the backgrounds and fills is taken; the masks do not change.

    Returns:
        The scene; it has at least one object in all but very rare cases.

    Raises:
        ValueError: `size` is below 64; another kind.
    """
    if size < 64:
        raise ValueError(f"size must be at least 64 pixels, got {size}")
    if kind not in get_args(Kind):
        raise ValueError(f"kind: expected one of {', '.join(get_args(Kind))}, got {kind!r}")
    rng = np.random.default_rng(seed)
    taken = None if photographs is None else _Taken(photographs, seed)
    if kind == "slender":
        return _slender_scene(rng, size, taken)
    unseen = kind == "unseen"
    families = UNSEEN_FAMILIES if unseen else TRAINING_FAMILIES
    canvas = _Canvas(size, rng, UNSEEN_TEXTURES if unseen else TRAINING_TEXTURES, MIN_AREA, False, taken)
    if rng.random() < 0.15:
        family = str(rng.choice(families)) if unseen or rng.random() < 0.4 else "coin"
        plan = [(family, spot) for spot in _rows(rng, 5 if family == "coin" else 3)]
    else:
        weights = np.array([WEIGHTS.get(name, 1.0) for name in families])
        spots = _spots(rng, int(rng.choice([1, 1, 2, 2, 3, 3, 4, 5])))
        plan = [(str(rng.choice(families, p=weights / weights.sum())), spot) for spot in spots]
    for family, (x, y, radius) in plan:
        thing = FAMILIES[family](rng)
        depth = int(rng.choice([0, 1, 2], p=[0.26, 0.12, 0.62]))
        placement = random_placement(rng, (x * canvas.unit, y * canvas.unit), radius * canvas.unit)
        canvas.put(family, thing if depth == 2 else simplified(thing, depth), placement)
    for _ in range(int(rng.integers(1, 3)) if rng.random() < 0.12 else 0):
        canvas.cover()
    return canvas.scene()
