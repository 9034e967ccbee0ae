"""The click's path over the sheet: one thick line from the click to the masks."""

from collections.abc import Sequence

from matplotlib.patches import Circle, Polygon

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import NEGATIVE, POSITIVE
from sam_edu.figures.poster.decode import Decode
from sam_edu.figures.poster.geometry import (
    BLOCKS,
    CLICK_TOKEN,
    IMAGE_AT,
    MEETING,
    OUTPUTS,
    PHOTOGRAPH,
    STEP_4,
    TOKENS_AT,
    TOKENS_BOTTOM,
)
from sam_edu.figures.poster.sheet import Sheet, points

THICK = 16
ABOVE_PHOTOGRAPH, BELOW_TILES = 816, 1616  # where the line turns


def click_colour(decode: Decode) -> str:
    """The colour of the click that is followed: the first."""
    return POSITIVE if decode.clicks[0][2] == 1 else NEGATIVE


def draw_path_of_click(sheet: Sheet, decode: Decode) -> None:
    """The click, its token, the tokens' stream, steps (4) into the image, the product, the masks."""
    colour = click_colour(decode)
    left, top, size = PHOTOGRAPH
    high, wide = decode.image.shape[:2]
    x, y = (at + 0.5 for at in decode.clicks[0][:2])
    click = (left + size * x / max(high, wide), top + size * y / max(high, wide) - 34)
    over, meet = MEETING
    stations = [left + STEP_4 for left in BLOCKS]
    tokens = [(click[0], top), (click[0], ABOVE_PHOTOGRAPH), (CLICK_TOKEN, ABOVE_PHOTOGRAPH)]
    draw_line(sheet, [*tokens, (CLICK_TOKEN, TOKENS_AT), (over, TOKENS_AT), (over, meet)], colour)
    if click[1] < top:
        draw_line(sheet, [(click[0], top), (click[0], top - 20)], colour)
    else:
        draw_line(sheet, [click, (click[0], top)], colour, zorder=5.5)
    for at in stations:
        turns = [(at - 10, TOKENS_AT), (at - 10, BELOW_TILES), (at + 82, BELOW_TILES), (at + 82, IMAGE_AT)]
        draw_line(sheet, turns, colour)
        sheet.text(at, 1468, "into the image", 22, colour, bold=True)
    draw_line(sheet, [(stations[0] + 82, IMAGE_AT), (over, IMAGE_AT), (over, meet)], colour)
    corners = [(over, meet - 16), (OUTPUTS - 6, meet - 16), (OUTPUTS + 8, meet), (OUTPUTS - 6, meet + 16)]
    sheet.axes.add_patch(Polygon([*corners, (over, meet + 16)], facecolor=colour, edgecolor="none", zorder=5))
    sheet.axes.add_patch(Circle(MEETING, 21, facecolor="white", edgecolor=colour, linewidth=points(6), zorder=5.5))
    sheet.text(over, meet - 1, "×", 38, colour, bold=True, ha="center", va="center")
    sheet.text(OUTPUTS + 8, 826, "the masks", 24, colour, bold=True)
    right = click[0] < left + 0.75 * size
    sheet.text(click[0] + (16 if right else -16), 832, "click", 24, colour, bold=True, ha="left" if right else "right")
    sheet.text(CLICK_TOKEN + 16, TOKENS_BOTTOM + 14, "its token", 24, colour, bold=True)


def draw_line(sheet: Sheet, corners: Sequence[tuple[Number, Number]], colour: str, zorder: float = 2.0) -> None:
    """The line through some corners, with a white edge that lifts it off the lanes."""
    for line, width, above in (("white", THICK + 6, -0.1), (colour, THICK, 0.0)):
        sheet.axes.plot(
            *zip(*corners, strict=True),
            color=line,
            linewidth=points(width),
            solid_capstyle="round" if above == 0.0 and zorder < 3 else "butt",
            solid_joinstyle="round",
            zorder=zorder + above,
        )
