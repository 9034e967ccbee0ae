"""The families of things in the procedural scenes, as trees of polygons.

A thing lives in its own coordinates: x to the right, y downwards, within about one unit of the origin. Each
`Node` is the object itself (index 0), a part, a sub-part or an unlabelled decoration. A node's region is its
own outlines and everything below it; a node is clipped to its parent's outlines unless it is `free`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

Number = float | int
"""A coordinate or a length: whole ones are as good."""

Rng = np.random.Generator


@dataclass(frozen=True)
class Node:
    """One region: outlines ((k, 2) arrays, thing's coordinates), parent index (-1: none) and paint key."""

    outlines: tuple[np.ndarray, ...]
    parent: int
    paint: str
    labelled: bool
    free: bool
    z: int


@dataclass
class Thing:
    """A tree of nodes; parents come before their children, index 0 is the object."""

    nodes: list[Node] = field(default_factory=list)

    def add(
        self,
        parent: int,
        paint: str,
        *outlines: np.ndarray,
        labelled: bool = True,
        free: bool = False,
        z: int = 0,
    ) -> int:
        """Append a node and return its index; z below 0 is painted behind the others, above 0 before them."""
        free = free or parent < 0 or not self.nodes[parent].outlines
        self.nodes.append(Node(outlines, parent, paint, labelled, free, z))
        return len(self.nodes) - 1


def oval(
    cx: Number,
    cy: Number,
    rx: Number,
    ry: Number | None = None,
    *,
    power: Number = 2.0,
    turn: Number = 0.0,
    n: int = 32,
) -> np.ndarray:
    """Superellipse (n, 2): power 2 is an ellipse, larger ones approach a rectangle with rounded corners."""
    t = np.arange(n) * (2.0 * np.pi / n)
    cos, sin = np.cos(t), np.sin(t)
    x = rx * np.sign(cos) * np.abs(cos) ** (2.0 / power)
    y = (rx if ry is None else ry) * np.sign(sin) * np.abs(sin) ** (2.0 / power)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], axis=1)


def box(x0: Number, y0: Number, x1: Number, y1: Number) -> np.ndarray:
    """Axis-parallel rectangle (n, 2) with points along its sides, so that it can be bent."""
    return path((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def path(*corners: tuple[Number, Number], step: Number = 0.25) -> np.ndarray:
    """Closed polygon (n, 2) through the corners with a point at least every `step`."""
    points = np.array(corners, float)
    runs = []
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        count = max(1, int(np.hypot(*(end - start)) / step))
        runs.append(start + (end - start) * (np.arange(count) / count)[:, None])
    return np.concatenate(runs)


def star(cx: Number, cy: Number, outer: Number, inner: Number, points: int, turn: Number = 0.0) -> np.ndarray:
    """Star (2 * points, 2); with inner = outer * cos(pi / points) it is a regular polygon."""
    t = turn + np.arange(2 * points) * (np.pi / points)
    r = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1)


def blob(rng: Rng, cx: Number, cy: Number, radius: Number, wobble: Number = 0.18, n: int = 40) -> np.ndarray:
    """Smooth random closed curve (n, 2)."""
    t = np.arange(n) * (2.0 * np.pi / n)
    r = np.full(n, float(radius))
    for k in range(2, 6):
        r += radius * wobble * rng.normal() / k * 1.4 * np.cos(k * t + rng.uniform(0.0, 6.28))
    r = np.maximum(r, 0.3 * radius)
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1)


def leaf(x0: Number, y0: Number, x1: Number, y1: Number, width: Number, n: int = 14) -> np.ndarray:
    """Lens (2n, 2) from one point to another; width is its half-width over its length."""
    t = np.linspace(0.0, 1.0, n)
    side = width * np.sin(np.pi * t) ** 0.8
    along = np.array([x1 - x0, y1 - y0])
    across = np.array([-along[1], along[0]])
    start = np.array([x0, y0])
    upper = start + t[:, None] * along + side[:, None] * across
    return np.concatenate([upper, (start + t[:, None] * along - side[:, None] * across)[::-1]])


def tube(x0: Number, y0: Number, x1: Number, y1: Number, r0: Number, r1: Number | None = None) -> np.ndarray:
    """Capsule (16, 2) around a segment with end radii r0 and r1: limbs, stems, handles."""
    angle = np.arctan2(y1 - y0, x1 - x0)
    t = np.linspace(-np.pi / 2, np.pi / 2, 8)
    r1 = r0 if r1 is None else r1
    end = np.stack([x1 + r1 * np.cos(angle + t), y1 + r1 * np.sin(angle + t)], axis=1)
    start = np.stack([x0 - r0 * np.cos(angle + t), y0 - r0 * np.sin(angle + t)], axis=1)
    return np.concatenate([end, start])


def arc(cx: Number, cy: Number, outer: Number, inner: Number, start: Number, stop: Number, n: int = 20) -> np.ndarray:
    """Piece of a ring (2n, 2) between two angles in radians."""
    t = np.linspace(start, stop, n)
    ray = np.stack([np.cos(t), np.sin(t)], axis=1)
    return np.array([cx, cy]) + np.concatenate([outer * ray, inner * ray[::-1]])


def _eye(rng: Rng, thing: Thing, parent: int, x: Number, y: Number, r: Number, share: Number) -> None:
    """Eye with an iris: a part with a sub-part when its parent is the object."""
    eye = thing.add(parent, "white", oval(x, y, r, r * share))
    thing.add(eye, "dark", oval(x + 0.15 * r, y, 0.62 * r, 0.62 * r * min(1.0, share + 0.2)))


def house(rng: Rng) -> Thing:
    """Roof, wall, door with a panel, windows with bars, chimney."""
    t = Thing()
    t.add(-1, "a")
    w, top, peak = rng.uniform(0.6, 0.9), rng.uniform(-0.35, 0.0), -rng.uniform(0.75, 1.0)
    eaves, ridge = w * rng.uniform(1.05, 1.3), w * rng.choice([0.0, 0.0, 0.4, 0.7])
    if rng.random() < 0.5:
        x = rng.uniform(0.3, 0.6) * w
        t.add(0, "c", box(x, peak, x + 0.22, top))
    wall = t.add(0, "b", box(-w, top, w, 0.85))
    t.add(0, "a", path((-eaves, top), (-ridge, peak), (ridge, peak), (eaves, top)))
    side = rng.choice([-1.0, 1.0])
    dx = rng.uniform(0.0, 0.45) * w * side
    half, door_top = rng.uniform(0.16, 0.24), rng.uniform(0.2, 0.35)
    door = t.add(int(rng.choice([0, wall])), "d", box(dx - half, door_top, dx + half, 0.85))
    if t.nodes[door].parent == 0:
        t.add(door, "e", oval(dx, 0.5 * (door_top + 0.85) - 0.08, 0.65 * half, 0.2, power=rng.choice([2.0, 8.0])))
    for x in (-0.6 * w * side, 0.62 * w * side):
        if abs(x - dx) > half + 0.2 and rng.random() < 0.8:
            size = rng.uniform(0.14, 0.2)
            y = top + rng.uniform(0.22, 0.3)
            window = t.add(wall, "glass", oval(x, y, size, size, power=rng.choice([2.0, 12.0])))
            t.add(
                window,
                "white",
                box(x - 0.02, y - 1, x + 0.02, y + 1),
                box(x - 1, y - 0.02, x + 1, y + 0.02),
                labelled=False,
            )
    return t


def face(rng: Rng) -> Thing:
    """Skin, hair, ears, eyes with irises, nose, mouth with teeth."""
    t = Thing()
    w, h = rng.uniform(0.65, 0.85), rng.uniform(0.75, 0.95)
    t.add(-1, "skin", oval(0, 0.05, w, h, power=rng.uniform(1.9, 2.8)))
    if rng.random() < 0.5:
        t.add(0, "hair", oval(0, -0.15, w * 1.25, h * 1.05, power=2.3), free=True, z=-1)
    if rng.random() < 0.5:
        for s in (-1, 1):
            t.add(0, "skin2", oval(s * w, 0.0, 0.2, 0.26), free=True, z=-1)
    if rng.random() < 0.75:
        line = -rng.uniform(0.35, 0.5)
        t.add(
            0,
            "hair",
            path(
                (-w - 0.1, line + 0.2),
                (0.0, line),
                (w + 0.1, line + 0.2),
                (0.8 * w, -h * 0.9),
                (0, -h * 1.12),
                (-0.8 * w, -h * 0.9),
            ),
            free=True,
        )
    r, y, gap = rng.uniform(0.15, 0.24), rng.uniform(-0.18, 0.0), rng.uniform(0.4, 0.5) * w
    share = rng.uniform(0.6, 1.1)
    for s in (-1, 1):
        _eye(rng, t, 0, s * gap, y, r, share)
    if rng.random() < 0.6:
        t.add(0, "skin2", oval(0, 0.27, rng.uniform(0.08, 0.14), rng.uniform(0.1, 0.2)))
    y, mw, mh = 0.58, rng.uniform(0.22, 0.36), rng.uniform(0.09, 0.17)
    mouth = t.add(0, "lips", oval(0, y, mw, mh))
    if rng.random() < 0.6:
        t.add(mouth, "white", box(-mw, y - 0.45 * mh, mw, y + 0.25 * mh))
    return t


def vehicle(rng: Rng) -> Thing:
    """Car, lorry or bus: bodies, windows, wheels with hubs."""
    t = Thing()
    t.add(-1, "a")
    kind = rng.integers(3)
    wheel, base = rng.uniform(0.2, 0.3), 0.35
    if kind == 0:
        cabin = t.add(0, "b", path((-0.55, -0.05), (-0.3, -0.5), (0.3, -0.5), (0.6, -0.05)))
        t.add(cabin, "glass", path((-0.4, -0.1), (-0.23, -0.42), (0.02, -0.42), (0.02, -0.1)))
        t.add(cabin, "glass", path((0.1, -0.1), (0.1, -0.42), (0.26, -0.42), (0.46, -0.1)))
        body = t.add(0, "a", oval(0, 0.15, 1.0, 0.25, power=4.0))
        xs = [-0.58, 0.58]
    elif kind == 1:
        t.add(0, "b", box(-1.0, -0.55, 0.4, base))
        cabin = t.add(0, "a", path((0.42, -0.3), (0.75, -0.3), (1.0, 0.05), (1.0, base), (0.42, base)))
        body = t.add(cabin, "glass", path((0.5, -0.22), (0.72, -0.22), (0.9, 0.04), (0.5, 0.04)))
        xs = [-0.62, 0.64]
    else:
        body = t.add(0, "a", oval(0, -0.1, 1.0, 0.5, power=6.0))
        for x in np.linspace(-0.68, 0.68, int(rng.integers(2, 5))):
            t.add(body, "glass", oval(x, -0.25, 0.18, 0.19, power=8.0))
        xs = [-0.55, 0.55]
    if kind != 1 and rng.random() < 0.5:
        t.add(body, "light", oval(0.9, 0.1, 0.12, 0.1))
    for x in xs:
        w = t.add(0, "dark", oval(x, base, wheel))
        t.add(w, "light", oval(x, base, wheel * rng.uniform(0.5, 0.62)))
    return t


def flower(rng: Rng) -> Thing:
    """Petals around a core, one by one or as one head; stem and leaves."""
    t = Thing()
    t.add(-1, "a")
    stem = rng.random() < 0.55
    cy, reach = (-0.35, 0.62) if stem else (0.0, 0.95)
    if stem:
        t.add(0, "green", tube(0, cy, rng.uniform(-0.15, 0.15), 1.0, 0.05), labelled=False)
        for s in (-1, 1):
            if rng.random() < 0.7:
                t.add(0, "green", leaf(0, 0.85, s * rng.uniform(0.5, 0.75), rng.uniform(0.3, 0.6), 0.22))
    petals = int(rng.integers(4, 9))
    width = rng.uniform(0.28, 0.42) if petals < 7 else 0.22
    apart = rng.random() < 0.4
    head = 0 if apart else t.add(0, "p")
    for k in range(petals):
        a = 2 * np.pi * k / petals
        t.add(head, "p", leaf(0, cy, reach * np.cos(a), cy + reach * np.sin(a), width), labelled=apart)
    core = t.add(head, "c", oval(0, cy, reach * rng.uniform(0.26, 0.42)), free=True)
    if apart:
        t.add(core, "d", oval(0, cy, reach * 0.2))
    return t


def fish(rng: Rng) -> Thing:
    """Body with a stripe, fins, tail, eye."""
    t = Thing()
    t.add(-1, "a")
    h = rng.uniform(0.35, 0.6)
    t.add(0, "fin", path((-0.5, 0), (-1.0, -0.5), (-0.85, 0), (-1.0, 0.5)))
    t.add(0, "fin", path((-0.35, -0.6 * h), (-0.1, -h - 0.25), (0.35, -h - 0.05), (0.35, -0.6 * h)))
    body = t.add(0, "a", leaf(-0.72, 0, 0.95, 0, h / 1.67))
    if rng.random() < 0.5:
        t.add(
            body,
            "b",
            box(0.2, -1, 0.36, 1) if rng.random() < 0.5 else box(-0.4, -1, -0.1, 1),
        )
    t.add(0, "fin", leaf(0.15, 0.1, -0.3, 0.25 + 0.2 * h, 0.3))
    r = rng.uniform(0.12, 0.17)
    _eye(rng, t, int(rng.choice([0, body])), 0.55, -0.1, r, 1.0)
    return t


def cat(rng: Rng) -> Thing:
    """Head with ears and eyes, body with a belly patch, tail."""
    t = Thing()
    t.add(-1, "a")
    t.add(0, "a", tube(0.4, 0.75, 0.95, rng.uniform(-0.1, 0.3), 0.1, 0.07))
    body = t.add(0, "a", oval(0.05, 0.5, 0.55, 0.5, power=2.4))
    if rng.random() < 0.6:
        t.add(body, "b", oval(0.05, 0.6, 0.28, 0.35))
    for s in (-1, 1):
        ear = t.add(0, "a", path((s * 0.5, -0.35), (s * 0.52, -1.0), (s * 0.08, -0.6)))
        t.add(ear, "skin", path((s * 0.42, -0.5), (s * 0.45, -0.85), (s * 0.22, -0.65)))
    head = t.add(0, "a" if rng.random() < 0.5 else "c", oval(0, -0.3, 0.55, 0.45, power=2.2))
    r = rng.uniform(0.12, 0.17)
    for s in (-1, 1):
        _eye(rng, t, head if rng.random() < 0.3 else 0, s * 0.24, -0.35, r, 0.9)
    t.add(head, "skin", path((-0.1, -0.16), (0.1, -0.16), (0, -0.04)), labelled=False)
    return t


def bird(rng: Rng) -> Thing:
    """Body, head, wing, tail, beak, eye."""
    t = Thing()
    t.add(-1, "a")
    t.add(0, "fin", path((-0.4, 0.1), (-1.0, rng.uniform(-0.3, 0.2)), (-0.95, 0.4), (-0.4, 0.35)))
    t.add(0, "beak", path((0.6, -0.6), (1.0, -0.42), (0.6, -0.3)))
    t.add(0, "beak", tube(-0.05, 0.5, -0.05, 0.95, 0.04), tube(0.15, 0.5, 0.15, 0.95, 0.04), labelled=False)
    body = t.add(0, "a", oval(0, 0.15, 0.62, rng.uniform(0.38, 0.5), turn=-0.25))
    t.add(body, "b", oval(0.25, 0.42, 0.4, 0.25))
    head = t.add(0, "a" if rng.random() < 0.5 else "c", oval(0.45, -0.42, 0.32))
    t.add(0, "wing", leaf(0.25, 0.05, -0.65, rng.uniform(0.1, 0.4), 0.26))
    _eye(rng, t, head if rng.random() < 0.5 else 0, 0.52, -0.48, 0.14, 1.0)
    return t


def bug(rng: Rng) -> Thing:
    """Beetle: head, back with spots, legs."""
    t = Thing()
    t.add(-1, "a")
    for s in (-1, 1):
        legs = [tube(0, y, s * 0.85, y + rng.uniform(-0.1, 0.2), 0.035) for y in (-0.1, 0.25, 0.6)]
        t.add(0, "dark", *legs, labelled=False)
    t.add(0, "dark", oval(0, -0.6, rng.uniform(0.26, 0.36)))
    body = t.add(0, "a", oval(0, 0.2, 0.62, 0.7))
    if rng.random() < 0.5:
        t.add(body, "dark", box(-0.03, -1, 0.03, 1), labelled=False)
    for x, y in ((-0.3, 0.0), (0.3, 0.0), (-0.25, 0.5), (0.25, 0.5))[: int(rng.choice([2, 4]))]:
        t.add(body, "b", oval(x, y, rng.uniform(0.13, 0.19)))
    return t


def figure(rng: Rng) -> Thing:
    """Standing person: head with hair, torso, arms, legs with shoes."""
    t = Thing()
    t.add(-1, "a")
    stance, arm = rng.uniform(0.08, 0.25), rng.uniform(-0.35, 0.35)
    legs = t.add(0, "b")
    for s in (-1, 1):
        t.add(legs, "b", tube(s * 0.11, 0.15, s * stance, 0.9, 0.13, 0.1), labelled=False)
        t.add(legs, "shoe", oval(s * stance + 0.05, 0.95, 0.17, 0.1))
        t.add(
            0, "a" if rng.random() < 0.6 else "skin", tube(s * 0.22, -0.3, s * 0.55, arm if s > 0 else 0.15, 0.1, 0.08)
        )
    torso = t.add(0, "a", path((-0.3, -0.42), (0.3, -0.42), (0.25, 0.25), (-0.25, 0.25)))
    if rng.random() < 0.6:
        t.add(
            torso,
            "c",
            box(-0.3, -0.1, 0.3, 0.06) if rng.random() < 0.5 else path((-0.12, -0.42), (0.12, -0.42), (0, 0.1)),
        )
    head = t.add(0, "skin", oval(0, -0.68, rng.uniform(0.22, 0.28), 0.29))
    if rng.random() < 0.8:
        t.add(head, "hair", box(-0.4, -1.1, 0.4, -0.74))
    return t


def cup(rng: Rng) -> Thing:
    """Mug: body with a mark, rim with the drink in it, handle."""
    t = Thing()
    t.add(-1, "a")
    w, foot = rng.uniform(0.5, 0.7), rng.uniform(0.3, 0.6)
    if rng.random() < 0.75:
        t.add(0, "a", arc(w - 0.02, 0.1, 0.42, 0.26, -1.7, 1.9))
    body = t.add(0, "a", path((-w, -0.6), (w, -0.6), (foot, 0.8), (-foot, 0.8)))
    if rng.random() < 0.7:
        mark = oval(-0.05, 0.15, 0.24) if rng.random() < 0.5 else box(-1, 0.0, 1, 0.3)
        t.add(body, "c", mark)
    rim = t.add(0, "d", oval(0, -0.6, w, rng.uniform(0.14, 0.24)))
    t.add(rim, "dark", oval(0, -0.57, w * 0.84, 0.13))
    return t


def plate(rng: Rng) -> Thing:
    """Plate or bowl with pieces of food."""
    t = Thing()
    squash = rng.uniform(0.45, 1.0)
    t.add(-1, "a", oval(0, 0, 0.95, 0.95 * squash))
    inner = t.add(0, "b", oval(0, 0, 0.68, 0.68 * squash))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.3, 0.3, 2)
        t.add(inner, f"f{rng.integers(3)}", blob(rng, x, y * squash, rng.uniform(0.16, 0.3)))
    return t


def rocket(rng: Rng) -> Thing:
    """Body, nose, fins, porthole, flame."""
    t = Thing()
    t.add(-1, "a")
    w, top = rng.uniform(0.24, 0.36), rng.uniform(-0.5, -0.35)
    if rng.random() < 0.7:
        flame = t.add(0, "flame", path((-w * 0.7, 0.55), (w * 0.7, 0.55), (0, 1.1)))
        t.add(flame, "light", path((-w * 0.4, 0.55), (w * 0.4, 0.55), (0, 0.88)))
    for s in (-1, 1):
        t.add(0, "c", path((s * w * 0.8, 0.1), (s * (w + 0.35), 0.7), (s * w * 0.8, 0.55)))
    body = t.add(0, "a", box(-w, top, w, 0.6))
    t.add(
        0,
        "c",
        arc(0, top, w, 0.0, np.pi, 2 * np.pi) if rng.random() < 0.3 else path((-w, top), (0, -1.0), (w, top)),
    )
    window = t.add(0 if rng.random() < 0.6 else body, "white", oval(0, -0.12, w * 0.68))
    if t.nodes[window].parent == 0:
        t.add(window, "glass", oval(0, -0.12, w * 0.46))
    if rng.random() < 0.5:
        t.add(body, "c", box(-1, 0.35, 1, 0.52))
    return t


def coin(rng: Rng) -> Thing:
    """Coin or button with an inner ring and an emblem."""
    t = Thing()
    kind = rng.integers(4)
    t.add(-1, "a", oval(0, 0, 0.95) if kind < 3 else star(0, 0, 1.0, 0.88, int(rng.integers(7, 12))))
    parent = 0
    if kind in (1, 3):
        parent = t.add(0, "b", oval(0, 0, rng.uniform(0.6, 0.74)))
    if kind and rng.random() < 0.8:
        emblem = (star(0, 0, 0.5, 0.22, 5), oval(0, 0, 0.36), oval(0, 0, 0.3, power=9.0), blob(rng, 0, 0, 0.36))
        t.add(parent, "c", emblem[int(rng.integers(4))])
    return t


def tree(rng: Rng) -> Thing:
    """Trunk with a crown that bears fruit, or with three tiers."""
    t = Thing()
    t.add(-1, "a")
    t.add(0, "bark", path((-0.13, -0.1), (0.13, -0.1), (0.2, 1.0), (-0.2, 1.0)))
    if rng.random() < 0.5:
        crown = t.add(0, "green", blob(rng, 0, -0.35, 0.62, 0.2))
        for _ in range(int(rng.integers(0, 4))):
            t.add(crown, "fruit", oval(rng.uniform(-0.4, 0.4), rng.uniform(-0.65, 0.0), rng.uniform(0.1, 0.15)))
    else:
        for k in range(3):
            w, y = 0.75 - 0.17 * k, 0.6 - 0.45 * k
            t.add(0, "green" if k != 1 else "leaf", path((-w, y), (w, y), (0, y - 0.75)))
    return t


def shape(rng: Rng) -> Thing:
    """Ellipse, polygon, star or blob; plain, divided, banded, or with something inscribed."""
    t = Thing()
    sides = int(rng.integers(3, 8))
    outer = (
        oval(0, 0, 0.95, rng.uniform(0.5, 0.95), power=rng.choice([2.0, 2.0, 3.0, 10.0])),
        star(0, 0, 1.0, np.cos(np.pi / sides), sides, rng.uniform(0, 6)),
        star(0, 0, 1.0, rng.uniform(0.45, 0.7), sides + 1, rng.uniform(0, 6)),
        blob(rng, 0, 0, 0.85, 0.3),
    )
    t.add(-1, "a", outer[int(rng.choice([0, 0, 1, 1, 2, 3, 3]))])
    style = rng.integers(5)
    if style == 1:
        part = t.add(0, "b", blob(rng, rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.uniform(0.35, 0.5)))
        t.add(part, "c", oval(0, 0, rng.uniform(0.18, 0.25)))
    elif style == 2:
        x = rng.uniform(-0.3, 0.3)
        t.add(0, "b", path((-2, x), (2, x + rng.uniform(-0.5, 0.5)), (2, 2), (-2, 2)))
    elif style == 3:
        part = t.add(0, "b", box(-2, -0.25, 2, 0.3))
        if rng.random() < 0.6:
            t.add(part, "c", oval(rng.uniform(-0.4, 0.4), 0.02, 0.22))
    return t


def ring(rng: Rng) -> Thing:
    """Ring with a hole and perhaps a stone, or nested discs."""
    t = Thing()
    if rng.random() < 0.4:
        hole = rng.uniform(0.45, 0.72)
        t.add(-1, "a", arc(0, 0.1, 0.85, 0.85 * hole, 0, 2 * np.pi, n=40))
        if rng.random() < 0.6:
            stone = star(0, -0.75, 0.32, 0.3, 6) if rng.random() < 0.5 else oval(0, -0.75, 0.36, 0.28)
            t.add(0, "b", stone, free=True)
        return t
    t.add(-1, "a", oval(0, 0, 0.95))
    inner = t.add(0, "b", oval(0, 0, rng.uniform(0.52, 0.7)))
    if rng.random() < 0.6:
        t.add(inner, "c", oval(0, 0, rng.uniform(0.26, 0.4)))
    return t


def sign(rng: Rng) -> Thing:
    """Board, perhaps on a post, with a letter-like mark."""
    t = Thing()
    t.add(-1, "a")
    post = rng.random() < 0.5
    cy, r = (-0.35, 0.6) if post else (0.0, 0.92)
    if post:
        t.add(0, "bark", box(-0.07, cy, 0.07, 1.0))
    boards = (
        oval(0, cy, r),
        oval(0, cy, r, 0.7 * r, power=9.0),
        star(0, cy, r, r * 0.924, 8, np.pi / 8),
        star(0, cy, r * 1.1, r * 0.55, 3, -np.pi / 2),
    )
    board = t.add(0, "a", boards[int(rng.integers(4))])
    u = r * 0.5
    marks = (
        [box(-0.25 * u, cy - 0.8 * u, 0.25 * u, cy + 0.8 * u), box(-0.7 * u, cy - 0.8 * u, 0.7 * u, cy - 0.35 * u)],
        [box(-0.6 * u, cy - 0.8 * u, -0.15 * u, cy + 0.8 * u), box(-0.6 * u, cy + 0.4 * u, 0.7 * u, cy + 0.8 * u)],
        [
            path(
                (-0.9 * u, cy - 0.2 * u),
                (0.2 * u, cy - 0.2 * u),
                (0.2 * u, cy - 0.7 * u),
                (u, cy),
                (0.2 * u, cy + 0.7 * u),
                (0.2 * u, cy + 0.2 * u),
                (-0.9 * u, cy + 0.2 * u),
            )
        ],
        [oval(0, cy, 0.7 * u)],
    )
    t.add(board, "b", *marks[int(rng.integers(4))])
    return t


def clock(rng: Rng) -> Thing:
    """Case, dial, hands and hub."""
    t = Thing()
    t.add(-1, "a", oval(0, 0, 0.95, power=rng.choice([2.0, 2.0, 6.0])))
    dial = t.add(0, "white" if rng.random() < 0.5 else "b", oval(0, 0, rng.uniform(0.68, 0.8)))
    for length in (0.55, 0.4):
        a = rng.uniform(0, 2 * np.pi)
        t.add(dial, "dark", tube(0, 0, length * np.cos(a), length * np.sin(a), 0.035), labelled=False)
    t.add(dial, "c", oval(0, 0, rng.uniform(0.08, 0.2)))
    return t


def bottle(rng: Rng) -> Thing:
    """Body, cap and label with a mark."""
    t = Thing()
    t.add(-1, "a")
    w, neck = rng.uniform(0.28, 0.45), rng.uniform(0.1, 0.17)
    body = t.add(
        0,
        "a",
        path(
            (-neck, -0.75), (neck, -0.75), (neck, -0.45), (w, -0.15), (w, 0.95), (-w, 0.95), (-w, -0.15), (-neck, -0.45)
        ),
    )
    t.add(0, "c", box(-neck - 0.06, -1.0, neck + 0.06, -0.7))
    label = t.add(0 if rng.random() < 0.6 else body, "b", box(-w, 0.1, w, rng.uniform(0.5, 0.75)))
    if t.nodes[label].parent == 0:
        t.add(label, "d", oval(0, 0.33, 0.17))
    return t


def fruit(rng: Rng) -> Thing:
    """Fruit with a stalk or a leaf, or cut open."""
    t = Thing()
    t.add(-1, "a", blob(rng, 0, 0.1, 0.82, 0.08) if rng.random() < 0.5 else oval(0, 0.1, 0.8, rng.uniform(0.6, 0.85)))
    style = rng.integers(4)
    if style == 1:
        t.add(0, "green", leaf(0, -0.6, rng.uniform(0.3, 0.6), -1.0, 0.28), free=True)
    elif style == 2:
        inner = t.add(0, "b", oval(0, 0.1, 0.64, 0.55))
        t.add(inner, "dark", oval(0, 0.12, rng.uniform(0.15, 0.28), 0.25))
    if style < 2:
        t.add(0, "bark", tube(0, -0.5, rng.uniform(-0.1, 0.1), -0.9, 0.05), labelled=False, free=True)
    return t


def crate(rng: Rng) -> Thing:
    """Box seen from a corner: three faces, a mark on the front."""
    t = Thing()
    t.add(-1, "a")
    w, top, dx, dy = rng.uniform(0.4, 0.65), rng.uniform(-0.4, 0.0), rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.4)
    t.add(0, "b", path((-w, top), (w, top), (w + dx, top - dy), (-w + dx, top - dy)))
    t.add(0, "c", path((w, top), (w + dx, top - dy), (w + dx, 0.8 - dy), (w, 0.8)))
    front = t.add(0, "a", box(-w, top, w, 0.8))
    if rng.random() < 0.6:
        mark = (oval(0, 0.3, 0.24), box(-1, 0.2, 1, 0.4), oval(0, 0.3, 0.3, 0.17, power=9.0))
        t.add(front, "d", mark[int(rng.integers(3))])
    return t


def lamp(rng: Rng) -> Thing:
    """Shade, stand and foot."""
    t = Thing()
    t.add(-1, "a")
    w, neck = rng.uniform(0.45, 0.7), rng.uniform(0.2, 0.4)
    t.add(0, "b", tube(0, -0.2, 0, 0.8, rng.uniform(0.05, 0.12)))
    t.add(0, "c", oval(0, 0.82, rng.uniform(0.35, 0.5), 0.14))
    shade = t.add(0, "a", path((-neck, -0.9), (neck, -0.9), (w, -0.15), (-w, -0.15)))
    if rng.random() < 0.6:
        t.add(shade, "d", box(-1, -0.38, 1, -0.15))
    return t


def bust(rng: Rng) -> Thing:
    """Head and shoulders: coat with a shirt, face with hair."""
    t = Thing()
    t.add(-1, "a")
    w = rng.uniform(0.75, 0.95)
    coat = t.add(0, "a", path((-w, 1.0), (-w * 0.9, 0.5), (-0.25, 0.22), (0.25, 0.22), (w * 0.9, 0.5), (w, 1.0)))
    shirt = t.add(coat, "white", path((-0.24, 0.2), (0.24, 0.2), (0.0, rng.uniform(0.7, 1.0))))
    t.add(shirt, "c", tube(0, 0.3, 0, 0.9, 0.06), labelled=False)
    t.add(0, "skin", tube(0, 0.0, 0, 0.25, 0.17), labelled=False)
    head = t.add(0, "skin", oval(0, -0.33, rng.uniform(0.36, 0.46), 0.5))
    t.add(head, "hair", path((-1, -1), (1, -1), (1, -0.35), (0.28, -0.62), (-0.3, -0.58), (-1, -0.3)))
    for x in (-0.16, 0.16):
        t.add(head, "dark", oval(x, -0.34, 0.06), labelled=False)
    t.add(head, "lips", oval(0, -0.06, 0.13, 0.05), labelled=False)
    return t


def eye(rng: Rng) -> Thing:
    """Eye from close by: lid, white, iris, pupil."""
    t = Thing()
    t.add(-1, "white", leaf(-0.95, 0, 0.95, 0, rng.uniform(0.25, 0.42)))
    iris = t.add(0, "a", oval(rng.uniform(-0.2, 0.2), 0, rng.uniform(0.36, 0.48)))
    x = t.nodes[iris].outlines[0].mean(axis=0)[0]
    t.add(iris, "dark", oval(x, 0, 0.2 if rng.random() < 0.6 else 0.1, 0.2 if rng.random() < 0.6 else 0.3))
    if rng.random() < 0.6:
        t.add(0, "skin", leaf(-1.0, 0, 1.0, 0, 0.5), free=True, z=-1)
    return t


def screen(rng: Rng) -> Thing:
    """Frame with a lit panel, perhaps on a foot."""
    t = Thing()
    h = rng.uniform(0.55, 0.75)
    t.add(-1, "a", oval(0, 0, 0.95, h, power=rng.uniform(7.0, 14.0)))
    panel = t.add(0, "glass" if rng.random() < 0.5 else "b", oval(0, 0, 0.8, h - 0.14, power=12.0))
    if rng.random() < 0.7:
        t.add(panel, "c", blob(rng, rng.uniform(-0.3, 0.3), 0, rng.uniform(0.2, 0.35), 0.3))
    if rng.random() < 0.5:
        t.add(0, "a", path((-0.12, h - 0.1), (0.12, h - 0.1), (0.4, h + 0.25), (-0.4, h + 0.25)), free=True, z=-1)
    return t


def butterfly(rng: Rng) -> Thing:
    """Four wings with spots and a body."""
    t = Thing()
    t.add(-1, "a")
    up, low = rng.uniform(0.28, 0.4), rng.uniform(0.3, 0.42)
    for s in (-1, 1):
        lower = t.add(0, "b", leaf(0, 0.05, s * 0.7, 0.8, low))
        t.add(lower, "c", oval(s * 0.42, 0.48, 0.14))
        upper = t.add(0, "a", leaf(0, 0.05, s * 0.95, -0.75, up))
        t.add(upper, "c", oval(s * 0.55, -0.4, 0.17))
    t.add(0, "dark", oval(0, 0.05, 0.11, 0.6))
    return t


def boat(rng: Rng) -> Thing:
    """Hull, mast and two sails."""
    t = Thing()
    t.add(-1, "a")
    t.add(0, "bark", box(-0.04, -0.95, 0.04, 0.4))
    sail = t.add(0, "b", path((0.08, -0.9), (0.08, 0.25), (rng.uniform(0.6, 0.85), 0.25)))
    t.add(sail, "d", box(0, -0.25, 1, 0.0))
    t.add(0, "c", path((-0.08, -0.7), (-0.08, 0.25), (-rng.uniform(0.4, 0.65), 0.25)))
    hull = t.add(0, "a", path((-0.95, 0.35), (0.95, 0.35), (0.6, 0.85), (-0.65, 0.85)))
    t.add(hull, "e", box(-1, 0.35, 1, 0.48) if rng.random() < 0.5 else oval(0.3, 0.58, 0.15))
    return t


FAMILIES: dict[str, Callable[[Rng], Thing]] = {
    function.__name__: function
    for function in (
        house, face, vehicle, flower, fish, cat, bird, bug, figure, cup, plate,
        rocket, coin, tree, shape, ring, sign, clock, bottle,
        fruit, crate, lamp, bust, eye, screen, butterfly, boat,
    )
}  # fmt: skip
UNSEEN_FAMILIES: tuple[str, ...] = ("butterfly", "boat")
# How often a family is drawn, relative to 1 for those not named.
WEIGHTS: dict[str, float] = {"shape": 4.5, "fruit": 1.5, "face": 1.5, "bust": 1.5}
TRAINING_FAMILIES: tuple[str, ...] = tuple(name for name in FAMILIES if name not in UNSEEN_FAMILIES)


def simplified(thing: Thing, depth: int) -> Thing:
    """The same outline with less inside: depth 1 leaves out what lies in parts, depth 0 is one silhouette."""
    if depth == 0:
        outlines = tuple(outline for node in thing.nodes if node.free for outline in node.outlines)
        return Thing([replace(thing.nodes[0], outlines=outlines)])
    nodes: list[Node] = []
    position, level = {-1: -1}, {-1: -1}
    for index, node in enumerate(thing.nodes):
        level[index] = level[node.parent] + 1
        if node.free or (level[index] <= depth and node.parent in position):
            position[index] = len(nodes)
            nodes.append(replace(node, parent=position[node.parent]))
    return Thing(nodes)


@dataclass(frozen=True)
class Placement:
    """Where a thing stands: centre and radius in pixels, and the bend and affine map of its coordinates."""

    centre: tuple[Number, Number]
    radius: Number
    affine: np.ndarray
    bend: np.ndarray

    def apply(self, outline: np.ndarray) -> np.ndarray:
        """Map an outline ((k, 2), thing's coordinates) to pixels ((k, 2))."""
        amplitude, frequency, phase = self.bend[:2], self.bend[2:4], self.bend[4:6]
        bent = outline + amplitude * np.sin(outline[:, ::-1] * frequency + phase)
        bent = bent * (1.0 + self.bend[6] * outline[:, 1:])
        pixels: np.ndarray = bent @ self.affine.T * self.radius + np.array(self.centre)
        return pixels


def random_placement(rng: Rng, centre: tuple[Number, Number], radius: Number) -> Placement:
    """Draw rotation (mostly small), mirror image, stretch, shear, perspective and smooth bending."""
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.2 else rng.normal(0.0, 0.15)
    cos, sin = np.cos(angle), np.sin(angle)
    stretch = np.exp(rng.normal(0.0, 0.1))
    shear = np.array([[rng.choice([-1.0, 1.0]) * stretch, rng.normal(0.0, 0.1)], [0.0, 1.0 / stretch]])
    bend = np.concatenate(
        [rng.normal(0.0, 0.035, 2), rng.uniform(1.5, 3.5, 2), rng.uniform(0.0, 6.28, 2), rng.normal(0.0, 0.07, 1)]
    )
    return Placement(centre, radius, np.array([[cos, -sin], [sin, cos]]) @ shear, bend)
