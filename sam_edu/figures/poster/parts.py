"""Parts that several steps share: panels of tokens, tiles of the image, maps of attention, bars, labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Polygon, Rectangle

from sam_edu.figures.kit.arrays import Array, Number
from sam_edu.figures.kit.colours import IMAGE, INK, SOFT, TOKEN, token_colour
from sam_edu.figures.kit.scales import three_colours
from sam_edu.figures.poster.decode import Decode, quiet_colours
from sam_edu.figures.poster.geometry import GAP, MAP, PANEL, SMALL, STRIPE, TOKENS_AT, TOKENS_BOTTOM
from sam_edu.figures.poster.rows import own_name
from sam_edu.figures.poster.sheet import Sheet


def draw_panel(
    sheet: Sheet,
    decode: Decode,
    x: Number,
    name: str,
    *,
    slots: slice = slice(None),
    short: str = "",
    shape_at: Number | None = None,
) -> None:
    """Tokens at one point of their stream, all of them or some."""
    height, names = PANEL[1], decode.names[slots]
    width = PANEL[0] / len(decode.names) * len(names)
    values = decode.stripes(name)
    values = values[:, slots] if len(values.T) > len(names) else values
    named = short or own_name(name)
    sheet.text(x + width / 2, 366, named, SMALL, TOKEN[1], bold=True, code=not short, ha="center")
    draw_squares(sheet, names, x, 391, width)
    sheet.stripes(x, 402, width, height, values)
    shape_at = x + width / 2 if shape_at is None else shape_at
    sheet.text(shape_at, 663, f"{values.shape[1]} × {values.shape[0]}", SMALL, SOFT, ha="center")


def draw_squares(
    sheet: Sheet, names: Sequence[str], x: Number, y: Number, length: Number, upright: bool = False
) -> None:
    """A square of each token's colour, in a row or upright."""
    step = length / len(names)
    for i, name in enumerate(names):
        corner = (x, y + i * step + 1) if upright else (x + i * step + 1, y)
        width, height = (8, step - 2) if upright else (step - 2, 8)
        sheet.axes.add_patch(Rectangle(corner, width, height, facecolor=token_colour(name), edgecolor="none", zorder=5))


def draw_stripe(sheet: Sheet, decode: Decode, x: Number, y: Number, name: str, encoded: bool = False) -> None:
    """Queries, keys, values or results of an attention, at the side of the tokens."""
    width, height = STRIPE
    sheet.text(x + width / 2, y - 22, own_name(name) + " ◎" * encoded, SMALL, INK, code=True, ha="center")
    sheet.stripes(x, y, width, height, decode.stripes(name))
    sheet.text(x + width / 2, y + height + 4, decode.shape(name, tight=True), SMALL, SOFT, ha="center")


def draw_tile(
    sheet: Sheet,
    decode: Decode,
    x: Number,
    y: Number,
    size: Number,
    name: str,
    colours: Array | None = None,
    *,
    main: bool = False,
    encoded: bool = False,
    short: str = "",
    shape: bool = True,
    raised: Number = 0,
) -> None:
    """A tensor at the side of the image, as colours; its name above it, raised, or below it, where names are long."""
    colours = three_colours(decode.over_grid(name)[None])[0][0] if colours is None else colours
    short = (short or own_name(name)) + " ◎" * encoded
    colour = IMAGE[1] if main else INK
    sheet.text(x + size / 2, y - 21 - raised, short, SMALL, colour, bold=main, code=True, ha="center")
    sheet.image(x, y, size, size, colours)
    if shape:
        sheet.text(x + size / 2, y + size + 4, decode.shape(name, tight=True), SMALL, SOFT, ha="center")


def draw_label(sheet: Sheet, decode: Decode, x: Number, y: Number, *names: str) -> None:
    """The name of a tensor, or of several of one shape, and the shape, in one line."""
    drawn = sheet.text(x, y, ", ".join(map(own_name, names)), SMALL, INK, code=True)
    sheet.text(x + float(drawn.get_window_extent().width) + 8, y + 1, decode.shape(names[0]), SMALL, SOFT)


def draw_module_path(sheet: Sheet, x: Number, name: str, parts: int = 1) -> None:
    """A module's path in two lines; the second holds the last `parts` of it."""
    before, last = name.rsplit(".", parts)[0], name.split(".")[-parts:]
    sheet.text(x, TOKENS_BOTTOM + 16, f"{before}.\n{'.'.join(last)}", SMALL, SOFT)


def draw_join(sheet: Sheet, x: Number, colour: str, sign: str = "+") -> None:
    """A result comes up and joins the tokens' stream."""
    sheet.arrow([(x, 508), (x, TOKENS_AT + 9)], colour, 2)
    sheet.sign(x, TOKENS_AT, sign, colour)


def draw_crossing(sheet: Sheet, x: Number, y: Number, down: bool, colour: str) -> None:
    """A triangle on the edge of a lane: here something enters or leaves it."""
    tip = 12 if down else -12
    corners = [(x - 9, y - tip / 2), (x + 9, y - tip / 2), (x, y + tip / 2)]
    sheet.axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="none", zorder=5))


def draw_maps(sheet: Sheet, decode: Decode, x: Number, y: Number, maps: Array) -> None:
    """A map per head over the image, two in a row."""
    for i, one in enumerate(maps):
        at_x, at_y = x + (MAP + GAP) * (i % 2), y + (MAP + GAP) * (i // 2)
        sheet.image(at_x, at_y, MAP, MAP, decode.overlay(one))
        sheet.clicks(decode, at_x, at_y, MAP, MAP, 5)
        sheet.text(at_x + 5, at_y + 3, str(i), SMALL, "white", bold=True)


def draw_score_maps(sheet: Sheet, decode: Decode, x: Number, y: Number, maps: Array) -> None:
    """Scores of each head over the grid, four in a row."""
    limit = float(np.quantile(np.abs(maps), 0.98))
    for i, one in enumerate(maps):
        sheet.image(x + 58 * (i % 4), y + 58 * (i // 4), 52, 52, quiet_colours(one.reshape(decode.grid), limit))


def draw_bars(sheet: Sheet, x: Number, y: Number, width: Number, high: Number, values: Array, colour: str) -> None:
    """Numbers from -1 to 1 as upright bars about a line."""
    step = width / len(values)
    for i, value in enumerate(values):
        corner = (x + i * step + 0.5, y - max(value, 0.0) * high)
        bar = Rectangle(corner, step - 1, abs(value) * high, facecolor=colour, edgecolor="none", zorder=5)
        sheet.axes.add_patch(bar)
    sheet.arrow([(x - 4, y), (x + width + 4, y)], SOFT, 1, head=False)
