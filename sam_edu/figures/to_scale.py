"""Figure of the decoder's tensors to scale: areas are counts of numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from sam_edu.figures.kit.arrays import Array, Number, as_array, as_mapping
from sam_edu.figures.kit.colours import IMAGE, INK, MASK_COLOURS, SOFT, TOKEN, Pair, for_text, token_colour
from sam_edu.figures.kit.diagram import canvas, draw_path, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, theme
from sam_edu.figures.tokens import token_names

AXES: dict[str, tuple[str, ...]] = {
    "tokens": ("batch", "tokens", "dim"),
    "src": ("batch", "dim", "height", "width"),
    "output_upscaling.activated_twice": ("batch", "channels", "height", "width"),
    "hyper_in": ("batch", "masks", "channels"),
    "masks": ("batch", "masks", "height", "width"),
    "iou_pred": ("batch", "masks"),
}
"""The tensors that are drawn, with their axes."""

_WIDEST = 326
"""Side in pixels of the largest tensor, drawn as a square."""
_TIMES = 8
"""How much larger the tokens are drawn once more, so that they can be told apart."""


def decoder_to_scale(tensors: Mapping[str, Any], *, title: str = "The decoder's tensors to scale") -> Figure:
    """The decoder's main tensors as areas, one scale for all: equal areas hold equally many numbers.

    A token is a ribbon of `dim` numbers. The image tokens are a carpet whose cells hold `dim` numbers each.

    Args:
        tensors: a trace of a decode with one click; only shapes are read.
        title: the figure's title.

    Raises:
        TypeError: no mapping of tensors.
        ValueError: a tensor that is drawn is missing or has another number of axes.
    """
    as_mapping("tensors", tensors)
    for name in AXES:
        if name not in tensors:
            raise ValueError(f"tensors: expected a trace of a decode, got one without {name}")
    given = {name: as_array(f"tensors[{name!r}]", tensors[name], axes)[0] for name, axes in AXES.items()}
    tokens, src, upscaled, weights, masks, scores = given.values()
    unit = _WIDEST / math.sqrt(upscaled.size)  # pixels of the page per square root of a number
    names = token_names([1], masks=len(masks))
    names = names if len(names) == len(tokens) else [f"token {i}" for i in range(len(tokens))]
    with theme():
        figure, axes = canvas(_WIDEST + 122)
        draw_title(axes, title, "equal areas hold equally many numbers", y=22)
        middle = 60 + _WIDEST / 2
        _draw_tokens(axes, tokens, names, unit, middle)
        side = unit * math.sqrt(src.size)
        _draw_carpet(axes, (232, middle - side / 2), side, src.shape[1:], IMAGE)
        _label(axes, 232 + side / 2, ["src: the image tokens", _product(src.shape[1:], src.shape[0])], IMAGE[1])
        axes.add_patch(Rectangle((492, 60), _WIDEST, _WIDEST, facecolor=IMAGE[0], edgecolor=IMAGE[1], linewidth=1))
        high = _WIDEST / len(upscaled)
        lines = [[(492, 60 + high * i), (492 + _WIDEST, 60 + high * i)] for i in range(1, len(upscaled))]
        axes.add_collection(LineCollection(lines, colors=IMAGE[1], linewidths=0.4))
        _label(axes, 492 + _WIDEST / 2, ["(5): the upscaled feature map", _product(upscaled.shape)], IMAGE[1])
        _draw_outputs(axes, 848, middle, unit, weights, masks, scores)
    listed = "; ".join(
        f"{name} {' by '.join(map(str, one.shape))}, {one.size:,} numbers" for name, one in given.items()
    )
    return Figure(
        figure,
        f"{title}: areas in proportion to how many numbers a tensor holds. {listed}. The tokens are ribbons that can"
        " hardly be seen beside the carpet of image tokens.",
    )


def _draw_tokens(axes: Axes, tokens: Array, names: Sequence[str], unit: float, middle: Number) -> None:
    """The tokens twice: as ribbons to scale, and enlarged with their names."""
    count, dim = tokens.shape
    long, thin = unit * math.sqrt(dim) * 4, unit * math.sqrt(dim) / 4
    top = middle - 130
    for i, name in enumerate(names):
        y = top + i * 2.4 * _TIMES * thin
        axes.add_patch(Rectangle((84, y), _TIMES * long / 4, _TIMES * thin, facecolor=token_colour(name)))
        axes.text(
            78, y + _TIMES * thin / 2, name, fontsize=SMALL, color=for_text(token_colour(name)), ha="right", va="center"
        )
    low = top + len(names) * 2.4 * _TIMES * thin
    draw_text(axes, 110, low + 10, "enlarged", SMALL, SOFT)
    for i, name in enumerate(names):
        y = middle + 70 + i * 1.6 * thin
        axes.add_patch(Rectangle((110 - long / 2, y), long, thin, facecolor=token_colour(name)))
    draw_path(axes, [(110, low + 20), (110, middle + 62)], head=9)
    axes.text(
        110,
        middle + 70 + 1.6 * thin * count + 22,
        "to scale:\none ribbon, one\ntoken; one cell,\none image token",
        fontsize=SMALL,
        color=SOFT,
        ha="center",
        va="top",
        linespacing=1.2,
    )
    _label(axes, 110, ["(0): the tokens", _product(tokens.shape)], TOKEN[1])


def _draw_carpet(axes: Axes, corner: tuple[Number, Number], side: float, grid: tuple[int, ...], colours: Pair) -> None:
    x, y = corner
    axes.add_patch(Rectangle(corner, side, side, facecolor=colours[0], edgecolor=colours[1], linewidth=1))
    down = [[(x, y + side * i / grid[0]), (x + side, y + side * i / grid[0])] for i in range(1, grid[0])]
    across = [[(x + side * i / grid[1], y), (x + side * i / grid[1], y + side)] for i in range(1, grid[1])]
    axes.add_collection(LineCollection(down + across, colors=colours[1], linewidths=0.25))


def _draw_outputs(
    axes: Axes, left: Number, middle: Number, unit: float, weights: Array, masks: Array, scores: Array
) -> None:
    """The masks as squares, their weights as ribbons, their scores as dots."""
    side = unit * math.sqrt(masks[0].size)
    across = math.ceil(math.sqrt(len(masks)))
    top = middle - side - 20
    for i in range(len(masks)):
        x, y = left + (i % across) * (side + 6), top + (i // across) * (side + 6)
        axes.add_patch(Rectangle((x, y), side, side, facecolor=MASK_COLOURS[i % 4], edgecolor=INK, linewidth=0.6))
    centre = left + side + 3
    draw_text(axes, centre, top + 2 * side + 32, "(6-3): the logits\n" + _product(masks.shape), SMALL, INK)
    long = unit * math.sqrt(weights[0].size) * 2
    for i in range(len(weights)):
        y = middle - side - 92 + 5 * i
        thin = unit * unit * weights[0].size / long
        axes.add_patch(Rectangle((centre - long / 2, y), long, thin, facecolor=MASK_COLOURS[i % 4], edgecolor="none"))
    draw_text(axes, centre, middle - side - 52, "(6-2): the weights\n" + _product(weights.shape), SMALL, INK)
    for i in range(len(scores)):
        corner = (centre - 9 + 6 * i, middle + side + 78)
        axes.add_patch(Rectangle(corner, unit, unit, facecolor=INK, edgecolor="none"))
    draw_text(axes, centre, middle + side + 100, f"(7): {len(scores)} scores", SMALL, INK)


def _label(axes: Axes, x: Number, lines: Sequence[str], colour: str) -> None:
    axes.text(
        x, 60 + _WIDEST + 14, "\n".join(lines), fontsize=SMALL, color=colour, ha="center", va="top", linespacing=1.3
    )


def _product(shape: Sequence[int], *more: int) -> str:
    sizes = [*shape, *more]
    return " × ".join(map(str, sizes)) + f" = {math.prod(sizes):,}"
