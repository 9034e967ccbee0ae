"""All colours: one colour for one thing, in every figure."""

from collections.abc import Iterable

# Perceptual maps. SIGNED is always centred at zero.
HEAT = "magma"
PLAIN = "viridis"
SIGNED = "RdBu_r"

# Writing and lines.
INK = "#222222"
SOFT = "#6B6B6B"
FAINT = "#C9C9C9"
GROUND = "#FAFAFA"
FRAME = "#B5B5B5"
BEYOND = "#F1F1F1"
"""What cannot be reached: the room above a limit."""
GRID = "#000000BB"

UNLIT = "#9A9A9A"

# The poster: frames, lanes, the text of the legend.
THIN_FRAME = "#8A8A8A"
BLOCK_FRAME = "#A0A0A0"
TOKENS_LANE, IMAGE_LANE, OUTPUTS_LANE = "#E6F2F3", "#EFE9F7", "#F8EFE6"
LEGEND = "#444444"

# What stands on images. Blue, orange, pink and pale blue are masks and nothing else; in grey they are told apart too,
# from dark to light 0, 2, 1, 3, and so by people who do not see all colours.
MASK_COLOURS = ("#00519E", "#F0A010", "#C25A94", "#A5DBF5")
POSITIVE = "#12853A"
"""Green is a positive click and nothing else."""
NEGATIVE = "#D1202F"
BOX_COLOUR = "#F0E442"
CORNER = "#9A7B1C"
IOU_COLOUR = "#3B3B3B"
PADDING = "#B8B8B8"
TRUTH = INK
"""The ground truth, always a dashed line."""
EDGE = INK
"""A dashed line on a map of signed numbers: the final mask, the end of the image."""

# Pixels that one of two masks has: told apart by their lightness, and by hatches.
KEPT, GAINED, LOST = "#C9C9C9", "#FFF3B0", "#5A1035"

# Series: curves, heads, terms of a sum. None of them is the colour of a thing.
SERIES = ("#34558B", "#C9A227", "#B0607E", "#6F7F8C", "#222222", "#8FB3D9", "#D9B8A9", "#7D7A3C")
REPLICA = "#8C8C8C"
"""What another training of the same model gives."""
ABOVE, BELOW = "#B2182B", "#2166AC"
GROUPS = (ABOVE, SERIES[0], IOU_COLOUR)

# Boxes of diagrams, as face and edge.
Pair = tuple[str, str]
TOKEN: Pair = ("#DDEEF0", "#0B6B78")
IMAGE: Pair = ("#E9E1F3", "#65389B")
"""Purple is the image tokens and nothing else."""
OUT: Pair = ("#F4E7DA", "#8A5A2B")
LEARNED: Pair = ("#DCE1E7", "#3F4A56")
ENCODING = INK
"""A positional encoding that is added."""
ACTIVATION: Pair = ("#FFFFFF", SOFT)
"""A non-linearity, which learns nothing: ReLU, GELU."""
GREY: Pair = ("#F4F4F4", SOFT)
DARK: Pair = ("#F4F4F4", UNLIT)
"""What is not lit."""
PALE: Pair = ("#FBFBFB", "#CFCFCF")
"""What is not lit, among boxes with text of their own colour."""


def luminance(colour: str) -> float:
    """Relative luminance of a colour, from 0 for black to 1 for white (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def for_text(colour: str) -> str:
    """The colour, darker where letters of it could not be read on white: contrast 4.5 at least (WCAG 2.2)."""
    parts = [float(int(colour[i : i + 2], 16)) for i in (1, 3, 5)]
    while luminance(darker := "#" + "".join(f"{round(part):02X}" for part in parts)) > 1.05 / 4.5 - 0.05:
        parts = [0.95 * part for part in parts]
    return darker


def mask_colour(name: str) -> str | None:
    """The colour of what is named "mask 0" to "mask 3"; None for every other name."""
    number = name.removeprefix("mask ")
    return MASK_COLOURS[int(number) % 4] if number != name and number.isdecimal() else None


def series_colours(names: Iterable[object]) -> list[str]:
    """A colour for each series of a plot, in order; a series that is named after a mask has the mask's."""
    return [mask_colour(str(name)) or SERIES[i % len(SERIES)] for i, name in enumerate(names)]


def mark_edge(colour: str) -> str:
    """The edge of a series' mark: its own colour; ink around a mask's, as the pale ones would be lost on white."""
    return INK if colour in MASK_COLOURS else colour


def token_colour(name: str) -> str:
    """The colour of a token, by its name; grey for every other name."""
    if (mask := mask_colour(name)) is not None:
        return mask
    known = {"IoU": IOU_COLOUR, "click +": POSITIVE, "click −": NEGATIVE, "padding": PADDING}
    return known.get(name, CORNER if name.startswith("corner") else SOFT)
