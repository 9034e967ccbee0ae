"""The map of the decoder: its steps, their addresses, and the shapes of the tensors between them."""

from collections.abc import Iterable
from typing import NamedTuple

from matplotlib.axes import Axes

from sam_edu.figures.kit.arrays import as_names
from sam_edu.figures.kit.colours import DARK, IMAGE, INK, OUT, SOFT, TOKEN
from sam_edu.figures.kit.diagram import (
    WIDE,
    canvas,
    draw_arrow,
    draw_frame,
    draw_junction,
    draw_key,
    draw_shape,
    draw_sum,
    draw_text,
    draw_title,
)
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, theme

STEPS = {
    "0": "put the tokens together",
    "1": "self-attention among tokens",
    "2": "tokens attend to the image",
    "3": "an MLP on each token",
    "4": "the image attends to the tokens",
    "5": "upscale the image 4 times",
    "6-1": "tokens attend to the image, a last time",
    "6-2": "an MLP per mask token writes weights",
    "6-3": "the product of both, at every pixel",
    "7": "predict each mask's IoU",
    "8": "choose which masks to return",
}

_HIGH = 428


class _Box(NamedTuple):
    """A box: its centre, its width, its two lines, and its colours."""

    x: int
    y: int
    width: int
    text: str
    colours: tuple[str, str]


_TOP, _TOKENS, _IMAGE_LANE, _TALL = 62, 168, 316, 66
_BOXES = {
    "0": _Box(164, _TOKENS, 84, "all tokens\nin a row", TOKEN),
    "1": _Box(310, _TOKENS, 84, "self-attention\namong tokens", TOKEN),
    "2": _Box(412, _TOKENS, 84, "tokens attend\nto the image", TOKEN),
    "3": _Box(514, _TOKENS, 84, "MLP on\neach token", TOKEN),
    "4": _Box(586, _IMAGE_LANE, 84, "image attends\nto the tokens", IMAGE),
    "6-1": _Box(716, _TOKENS, 84, "tokens attend\nto the image", TOKEN),
    "5": _Box(752, _IMAGE_LANE, 84, "upscaling\n× 4", IMAGE),
    "7": _Box(846, _TOP, 84, "IoU head:\none MLP", OUT),
    "6-2": _Box(846, _TOKENS, 84, "one MLP per\nmask token", OUT),
    "6-3": _Box(898, _IMAGE_LANE, 84, "product at\nevery pixel", OUT),
    "8": _Box(955, 190, 70, "choose\nmasks", OUT),
}


def decoder_map(lit: Iterable[str] | None = None) -> Figure:
    """Diagram of the mask decoder: its steps, their addresses, and the shapes of the tensors between them.

    Args:
        lit: the steps to show in colour, by their addresses without brackets ("0", "6-1"); all by default.

    Raises:
        ValueError: an unknown step.
    """
    given = [lit] if isinstance(lit, str) else list(STEPS) if lit is None else as_names("lit", lit, least=0)
    chosen = {step.strip("()") for step in given}
    if unknown := sorted(chosen - set(STEPS)):
        raise ValueError(f"lit: there is no step {', '.join(unknown)}; the steps are {', '.join(STEPS)}")
    with theme():
        figure, axes = canvas(_HIGH)
        _frame(axes)
        _inputs(axes, bool({"0"} & chosen))
        _arrows(axes)
        for step, box in _BOXES.items():
            _draw(axes, step, box, step in chosen)
    return Figure(figure, _in_words(chosen))


def _frame(axes: Axes) -> None:
    """The lanes' names, the frame around the block, and the line at the bottom."""
    draw_frame(axes, (256, 116), 380, 254)
    draw_text(axes, 446, 102, "a block, twice: layers.0, then layers.1", SMALL, SOFT)
    draw_title(axes, "The mask decoder of Segment Anything", y=26)
    axes.text(8, 50, "one click in, masks out", fontsize=10, color=SOFT, va="center")
    for at, name, colours in ((200, "tokens", TOKEN), (278, "image tokens", IMAGE), (394, "outputs", OUT)):
        draw_key(axes, at, 50, name, colours)
    notes = "Every tensor has one more axis in front: the prompt sets. 7 tokens: those of one click.\n"
    notes += "◎: positional encodings are added to queries and keys, not to values (not in step (1) of block 0)."
    draw_text(axes, WIDE / 2, 404, notes, SMALL, SOFT)


def _inputs(axes: Axes, lit: bool) -> None:
    """What comes in: tokens above, image and dense prompt below."""
    for x, y, width, height, text, colours in (
        (54, 142, 92, 40, "IoU token,\n4 mask tokens", TOKEN),
        (54, 194, 92, 40, "click or box\ntokens", TOKEN),
        (54, 290, 92, 40, "image\nembedding", IMAGE),
        (54, 342, 92, 40, "mask prompt\nor “no mask”", IMAGE),
    ):
        pair = "white", colours[1] if lit else DARK[1]
        draw_shape(axes, (x - width / 2, y - height / 2), width, height, pair, rounding=5, line=1.0, zorder=1)
        draw_text(axes, x, y, text, SMALL, INK if lit else SOFT)
    edge = IMAGE[1] if lit else DARK[1]
    draw_sum(axes, 150, _IMAGE_LANE, edge)
    for y, shape in ((113, "5 × 256"), (223, "2 × 256"), (261, "256 × 64 × 64"), (371, "256 × 64 × 64")):
        draw_text(axes, 54, y, shape, SMALL, SOFT)


def _arrows(axes: Axes) -> None:
    """All connections, with the shapes that travel on them."""
    x = {step: box.x for step, box in _BOXES.items()}
    half, tall = 42, _TALL / 2
    draw_arrow(axes, [(100, 142), (111, 142), (111, _TOKENS - 8), (122, _TOKENS - 8)])
    draw_arrow(axes, [(100, 194), (111, 194), (111, _TOKENS + 8), (122, _TOKENS + 8)])
    draw_arrow(axes, [(100, 290), (150, 290), (150, _IMAGE_LANE - 9)])
    draw_arrow(axes, [(100, 342), (150, 342), (150, _IMAGE_LANE + 9)])
    # The tokens' lane.
    for one, other, shape, at in (
        ("0", "1", "7 × 256", 231),
        ("1", "2", "", 0),
        ("2", "3", "", 0),
        ("3", "6-1", "7 × 256", 612),
        ("6-1", "6-2", "4 × 256", 781),
    ):
        draw_arrow(axes, [(x[one] + half, _TOKENS), (x[other] - half, _TOKENS)], shape, (at, _TOKENS - 9))
    draw_arrow(axes, [(x["6-1"], _TOKENS - tall), (x["6-1"], _TOP), (x["7"] - half, _TOP)], "1 × 256", (762, _TOP - 9))
    # The image's lane.
    draw_arrow(axes, [(160, _IMAGE_LANE), (x["4"] - half, _IMAGE_LANE)], "4096 × 256", (212, _IMAGE_LANE - 9))
    draw_text(axes, 212, _IMAGE_LANE + 11, "(0) src", SMALL, IMAGE[1], bold=True)
    draw_arrow(
        axes, [(x["4"] + half, _IMAGE_LANE), (x["5"] - half, _IMAGE_LANE)], "4096 × 256", (674, _IMAGE_LANE + 12)
    )
    draw_arrow(axes, [(x["5"] + half, _IMAGE_LANE), (x["6-3"] - half, _IMAGE_LANE)], "32 ×\n256 × 256", (824, 333))
    # From lane to lane.
    up = [(x["2"], _IMAGE_LANE), (x["2"], _TOKENS + tall)]
    draw_arrow(axes, up, "attention\n7 × 4096\nper head", (x["2"] + 7, 252), "left")
    down = [(x["4"], _TOKENS), (x["4"], _IMAGE_LANE - tall)]
    draw_arrow(axes, down, "attention\n4096 × 7\nper head", (x["4"] - 7, 246), "right")
    draw_arrow(axes, [(674, _IMAGE_LANE), (674, 246), (x["6-1"], 246), (x["6-1"], _TOKENS + tall)])
    weights = [(862, _TOKENS + tall), (862, 246), (x["6-3"], 246), (x["6-3"], _IMAGE_LANE - tall)]
    draw_arrow(axes, weights, "4 × 32", (x["6-3"] + 7, 264), "left")
    for dot in ((x["2"], _IMAGE_LANE), (x["4"], _TOKENS), (674, _IMAGE_LANE)):
        draw_junction(axes, *dot)
    # Out.
    draw_arrow(axes, [(x["7"] + half, _TOP), (x["8"], _TOP), (x["8"], 190 - tall)], "4", (918, _TOP - 9))
    masks = [(x["6-3"] + half, _IMAGE_LANE), (968, _IMAGE_LANE), (968, 190 + tall)]
    draw_arrow(axes, masks, "4 ×\n256 × 256", (970, 335))


def _draw(axes: Axes, step: str, box: _Box, lit: bool) -> None:
    face, edge = box.colours if lit else DARK
    corner, line = (box.x - box.width / 2, box.y - _TALL / 2), 1.8 if lit else 1.0
    draw_shape(axes, corner, box.width, _TALL, (face, edge), rounding=7, line=line)
    sign = "  ◎" if step in ("1", "2", "4", "6-1") else ""
    draw_text(axes, box.x, box.y - 19, f"({step}){sign}", 10.5, edge if lit else SOFT, bold=lit)
    draw_text(axes, box.x, box.y + 10, box.text, SMALL, INK if lit else SOFT)


def _in_words(chosen: set[str]) -> str:
    """The map for those who do not see it."""
    which = (
        "all steps"
        if chosen == set(STEPS)
        else ", ".join(f"({step}) {STEPS[step]}" for step in STEPS if step in chosen)
    )
    return (
        "Map of the mask decoder. The IoU token, 4 mask tokens and the prompt's tokens become one row (0); the image"
        " embedding plus the mask prompt is src, a second stream of 4096 image tokens. A block, run twice: (1)"
        " self-attention among tokens, (2) tokens attend to the image, (3) an MLP on each token, (4) the image attends"
        " to the tokens. Then two independent branches: (6-1) the tokens attend to the image a last time, and (5) the"
        " image is upscaled 4 times."
        " The mask tokens go through (6-2), one MLP each, and meet the upscaled image in (6-3), a product at every"
        " pixel, which gives 4 masks; the IoU token goes to (7), the IoU head; (8) chooses what to return."
        f" In colour: {which or 'none'}."
    )
