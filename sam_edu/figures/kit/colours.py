"""All colours: one colour for one thing, in every figure."""

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
THIN_GRID = "#00000066"
"""Lines between the image tokens, on a map."""

UNLIT = "#9A9A9A"

# The poster: frames, lanes, the text of the legend.
THIN_FRAME = "#8A8A8A"
BLOCK_FRAME = "#A0A0A0"
TOKENS_LANE, IMAGE_LANE, OUTPUTS_LANE = "#E8F0F8", "#E8F8F0", "#F8F0E0"
LEGEND = "#444444"

# Masks, clicks, tokens: Okabe and Ito's colours, told apart by people who do not see all colours.
MASK_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9")
IOU_COLOUR = "#3B3B3B"
POSITIVE = "#009E73"
NEGATIVE = "#D55E00"
BOX_COLOUR = "#F0E442"
CORNER = "#9A7B1C"
PADDING = "#B8B8B8"
RING = "#35E0B0"
"""A click on a heat map."""
EDGE = "#1B7837"
"""A dashed line on a map of signed numbers: the final mask, the end of the image."""
IMAGE_STREAM = "#5B2A86"
"""The mean of the image tokens, as a line."""
ENCODING = "#A0348C"
"""A positional encoding that is added."""

# Series: curves, heads, terms of a sum.
SERIES = (*MASK_COLOURS, POSITIVE, NEGATIVE, CORNER, SOFT)
STEP_COLOURS = (*MASK_COLOURS, POSITIVE, NEGATIVE, CORNER, "#7A5195")
ABOVE, BELOW = "#B2182B", "#2166AC"
GROUPS = (ABOVE, MASK_COLOURS[0], IOU_COLOUR)

# Boxes of diagrams, as face and edge.
Pair = tuple[str, str]
TOKEN: Pair = ("#DCEBF7", "#0072B2")
IMAGE: Pair = ("#DDF1E9", "#00805D")
OUT: Pair = ("#FBEBD0", "#B86E00")
LEARNED: Pair = ("#EADDF1", "#8A4F9E")
ACTIVATION: Pair = ("#F3E5F0", "#A4518A")
"""A non-linearity, which learns nothing: ReLU, GELU."""
GREY: Pair = ("#F4F4F4", SOFT)
DARK: Pair = ("#F4F4F4", UNLIT)
"""What is not lit."""
PALE: Pair = ("#FBFBFB", "#CFCFCF")
"""What is not lit, among boxes with text of their own colour."""


def token_colour(name: str) -> str:
    """The colour of a token, by its name; grey for every other name."""
    if name.startswith("mask ") and name[5:].isdigit():
        return MASK_COLOURS[int(name[5:]) % 4]
    known = {"IoU": IOU_COLOUR, "click +": POSITIVE, "click −": NEGATIVE, "padding": PADDING}
    return known.get(name, CORNER if name.startswith("corner") else SOFT)
