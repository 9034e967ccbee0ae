"""The heading, the lanes, and step (0): the image, the click, and the two streams that they become."""

import numpy as np
from matplotlib.patches import Rectangle

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import (
    IMAGE,
    IMAGE_LANE,
    INK,
    OUT,
    OUTPUTS_LANE,
    SOFT,
    TOKEN,
    TOKENS_LANE,
    token_colour,
)
from sam_edu.figures.poster.decode import Decode
from sam_edu.figures.poster.geometry import (
    CLICK_TOKEN,
    IMAGE_AT,
    IMAGE_BOTTOM,
    IMAGE_TOP,
    PANEL,
    PHOTOGRAPH,
    SMALL,
    TOKENS_AT,
    TOKENS_BOTTOM,
    TOKENS_TOP,
)
from sam_edu.figures.poster.parts import draw_panel, draw_tile
from sam_edu.figures.poster.path import click_colour, draw_line
from sam_edu.figures.poster.rows import module_path
from sam_edu.figures.poster.sheet import Sheet


def draw_heading(sheet: Sheet, decode: Decode) -> None:
    sheet.text(50, 40, "The mask decoder of Segment Anything", 62, INK, bold=True)
    count = len(decode.tensors)
    text = f"One click, from prompt to masks: the {count} tensors of one real forward pass, each with its name in the"
    sheet.text(52, 120, f"{text} code, its shape and its values", 25, SOFT)
    for x, name, (face, edge) in ((2316, "tokens", TOKEN), (2466, "the image", IMAGE), (2656, "outputs", OUT)):
        sheet.box(x, 60, 30, 30, face, edge)
        sheet.text(x + 42, 75, name, 22, edge, bold=True, va="center")
    colour = click_colour(decode)
    draw_line(sheet, [(1560, 66), (1640, 66)], colour)
    sheet.text(1666, 66, "Follow the click", 36, colour, bold=True, va="center")
    sheet.text(1666, 92, "its token, the tokens’ stream, steps (4), (6-3), the masks", 18, colour)


def draw_lanes(sheet: Sheet) -> None:
    """The two streams as broad bands, and the room of what comes out."""
    for left, right, top, bottom, colour in (
        (44, 2396, TOKENS_TOP, TOKENS_BOTTOM, TOKENS_LANE),
        (44, 2640, IMAGE_TOP, IMAGE_BOTTOM, IMAGE_LANE),
        (2396, 2926, TOKENS_TOP, TOKENS_BOTTOM, OUTPUTS_LANE),
        (2646, 2926, TOKENS_BOTTOM, IMAGE_BOTTOM, OUTPUTS_LANE),
    ):
        sheet.axes.add_patch(Rectangle((left, top), right - left, bottom - top, facecolor=colour, zorder=1))


def draw_inputs(sheet: Sheet, decode: Decode) -> None:
    """The image and the click, and how they become two streams: step (0)."""
    text = (
        "The IoU token and the mask tokens are learned; a click adds its own, and clicks without a box are followed by"
        " one for padding. To the image embedding the mask prompt is added or, without one, the “no mask” embedding."
    )
    rows, prompt = decode.step("0"), decode.step("prompt")
    sparse, dense = prompt["sparse_embeddings"], prompt["dense_embeddings"]
    sheet.step(50, 178, 400, rows.address, text, TOKEN[1])
    fixed = 1 + len(decode.iou)
    draw_panel(sheet, decode, 60, rows["tokens"], slots=slice(fixed), short="learned")
    step = PANEL[0] / len(decode.names)
    extra = step * (len(decode.names) - fixed)
    draw_panel(sheet, decode, CLICK_TOKEN - extra / 2, sparse, slots=slice(fixed, None), shape_at=CLICK_TOKEN - 46)
    sheet.text(CLICK_TOKEN, 347, f"{module_path(sparse)}.", SMALL, SOFT, code=True, ha="center")
    for i, name in enumerate(decode.names):
        y = 476 + min(26.0, 182 / len(decode.names)) * i
        sheet.axes.add_patch(Rectangle((290, y), 10, 10, facecolor=token_colour(name), edgecolor="none", zorder=5))
        sheet.text(307, y + 5, name, SMALL, INK, va="center")
    sheet.arrow([(60 + step * fixed, TOKENS_AT), (CLICK_TOKEN - extra / 2, TOKENS_AT)], TOKEN[1], head=False)
    sheet.arrow([(CLICK_TOKEN + extra / 2, TOKENS_AT), (376, TOKENS_AT)], "white", 2)
    draw_panel(sheet, decode, 380, rows["tokens"])
    # The image.
    x, y, size = PHOTOGRAPH
    high, wide = decode.image.shape[:2]
    width, height = size * min(1, wide / high), size * min(1, high / wide)
    sheet.image(x, y, width, height, decode.image / (255 if decode.image.dtype == np.uint8 else 1))
    sheet.clicks(decode, x, y, width, height, 12)
    sheet.text(x, y + height + 8, f"image and click  {high} × {wide} × 3", SMALL, SOFT)
    draw_named_box(sheet, 148, 745, "prompt encoder", TOKEN[1])
    sheet.words(342, 748, 110, "once for each prompt", SMALL, SOFT)
    sheet.arrow([(216, y + height + 34), (216, IMAGE_TOP - 2)], IMAGE[1])
    draw_named_box(sheet, 126, 1300, "image encoder", IMAGE[1])
    sheet.words(320, 1303, 110, "once for each image", SMALL, SOFT)
    # The image.
    flat = float(np.ptp(decode[dense], axis=(1, 2)).max()) == 0
    sheet.text(50, 1635, "image embedding", SMALL, IMAGE[1], bold=True)
    sheet.image(58, 1656, 130, 130, decode.stream["image embedding"])
    sheet.text(123, 1790, decode.shape(rows["src"], tight=True), SMALL, SOFT, ha="center")
    sheet.sign(206, IMAGE_AT, "+", IMAGE[1])
    plain = np.full((*decode.grid, 3), 0.8)
    draw_tile(sheet, decode, 220, 1681, 80, dense, plain if flat else None, raised=-147)
    sheet.text(260, 1786, f"{module_path(dense)}.", SMALL, SOFT, code=True, ha="center")
    if flat:
        sheet.text(260, IMAGE_AT, "the same\nvector", SMALL, INK, ha="center", va="center")
    sheet.sign(314, IMAGE_AT, "=", IMAGE[1])
    draw_tile(sheet, decode, 332, 1656, 130, rows["src"], decode.stream[rows["src"]], main=True)
    draw_tile(sheet, decode, 378, 1532, 70, rows["pos_src"])
    text = "Positional encodings: sines and cosines. ◎: added to queries and keys in every attention, never to values."
    sheet.words(58, 1516, 300, text)


def draw_named_box(sheet: Sheet, x: Number, y: Number, name: str, edge: str) -> None:
    sheet.box(x, y, 180, 44, "white", edge)
    sheet.text(x + 90, y + 22, name, 18, edge, bold=True, ha="center", va="center")
