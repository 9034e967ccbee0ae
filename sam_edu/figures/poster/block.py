"""The two blocks, steps (1) to (4), and the last attention, step (6-1)."""

import matplotlib as mpl
import numpy as np

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import BLOCK_FRAME, HEAT, IMAGE, INK, SOFT, TOKEN
from sam_edu.figures.poster.decode import Decode, quiet_colours
from sam_edu.figures.poster.geometry import (
    IMAGE_AT,
    IMAGE_BOTTOM,
    IMAGE_TOP,
    SMALL,
    STEP_4,
    STRIPE,
    TOKENS_AT,
    TOKENS_BOTTOM,
)
from sam_edu.figures.poster.parts import (
    draw_crossing,
    draw_join,
    draw_label,
    draw_maps,
    draw_module_path,
    draw_panel,
    draw_score_maps,
    draw_squares,
    draw_stripe,
    draw_tile,
)
from sam_edu.figures.poster.rows import StepRows, module_path, own_name
from sam_edu.figures.poster.sheet import Sheet


def draw_block(sheet: Sheet, decode: Decode, number: int, left: Number) -> None:
    """One two-way block: steps (1) to (4)."""
    steps = [decode.step(address, number) for address in "1234"]
    path = module_path(steps[0]["queries_1"])
    sheet.box(left, 168, 830, IMAGE_BOTTOM - 160, "none", BLOCK_FRAME, dashed=True)
    drawn = sheet.text(left + 300, IMAGE_BOTTOM + 14, f"block {number}", 18, SOFT, bold=True)
    after = left + 312 + float(drawn.get_window_extent().width)
    sheet.text(after, IMAGE_BOTTOM + 17, path, SMALL, SOFT, code=True)
    first = left + 12
    draw_self_attention(sheet, decode, first, steps[0], number)
    draw_token_attention(sheet, decode, first + 198, steps[1], steps[1]["queries_2"])
    draw_mlp(sheet, decode, first + 442, steps[2])
    draw_image_attention(sheet, decode, left + STEP_4, steps[3], number)
    text = f"{decode.grid[0] * decode.grid[1]} image tokens of {decode.width} numbers: the same until step (4)"
    sheet.text(first + 330, IMAGE_AT + 14, text, SMALL, IMAGE[1], ha="center")


def draw_self_attention(sheet: Sheet, decode: Decode, x: Number, rows: StepRows, number: int) -> None:
    """Self-attention among tokens: step (1)."""
    text = (
        "Only here do tokens attend to tokens: the mask tokens read the click."
        if number == 0
        else "The tokens exchange what they read from the image."
    )
    sheet.step(x, 178, 180, rows.address, text, TOKEN[1])
    draw_module_path(sheet, x, module_path(rows["q"]))
    sheet.arrow([(x - 32, TOKENS_AT), (x + 106, TOKENS_AT)], "white", 2)
    sheet.arrow([(x + 22, TOKENS_AT), (x + 22, TOKENS_BOTTOM + 2)], TOKEN[1])
    draw_stripe(sheet, decode, x + 56, 530, rows["out"])
    draw_join(sheet, x + 73, TOKEN[1], "+" if number else "=")
    draw_panel(sheet, decode, x + 110, rows["queries_1"])
    for i, one in enumerate(("q", "k", "v", "heads")):
        at = x + 2 + 46 * i
        encoded = number > 0 and one in "qk"
        sheet.text(at + 18, 751, own_name(rows[one]) + " ◎" * encoded, SMALL, INK, code=True, ha="center")
        sheet.stripes(at, 773, *STRIPE, decode.stripes(rows[one]))
    sheet.text(x + 90, 904, f"each {decode.shape(rows['q'])}", SMALL, SOFT, ha="center")
    scores, weights = decode[rows["scores"]], decode[rows["weights"]]
    limit = float(np.quantile(np.abs(scores), 0.98))
    draw_label(sheet, decode, x, 932, rows["scores"])
    for i, one in enumerate(scores):
        sheet.matrix(x + 2 + 46 * (i % 4), 954 + 46 * (i // 4), 40, quiet_colours(one, limit))
    draw_label(sheet, decode, x, 1056, rows["weights"])
    for i, one in enumerate(weights):
        at_x, at_y = x + 14 + 86 * (i % 2), 1092 + 84 * (i // 2)
        sheet.matrix(at_x, at_y, 78, mpl.colormaps[HEAT](one / float(weights.max()))[..., :3])
        if i < 2:
            draw_squares(sheet, decode.names, at_x, 1081, 78)
        if i % 2 == 0:
            draw_squares(sheet, decode.names, x + 2, at_y, 78, upright=True)
    sheet.words(x, 1434, 180, "Row: who reads. Column: who is read.", SMALL, SOFT)


def draw_token_attention(sheet: Sheet, decode: Decode, x: Number, rows: StepRows, result: str) -> None:
    """Tokens attend to the image: steps (2) and (6-1)."""
    followed = decode.names[decode.token]
    first = rows.address == "2"
    if first:
        text = "Each token attends to all positions of the image: 8 heads, 8 maps of weights."
    else:
        text = f"Step (4) has changed the image tokens. The result, {own_name(result)}, becomes the masks."
    sheet.step(x, 178, 226, rows.address, text, TOKEN[1])
    draw_module_path(sheet, x, module_path(rows["q"]))
    sheet.arrow([(x - 24, TOKENS_AT), (x + 152, TOKENS_AT)], "white", 2)
    sheet.arrow([(x + 31, TOKENS_AT), (x + 31, 508)], TOKEN[1], 2)
    draw_stripe(sheet, decode, x + 14, 530, rows["q"], encoded=True)
    draw_crossing(sheet, x + 31, TOKENS_BOTTOM, True, TOKEN[1])
    draw_stripe(sheet, decode, x + 88, 530, rows["out"])
    draw_crossing(sheet, x + 105, TOKENS_BOTTOM, False, TOKEN[1])
    draw_join(sheet, x + 105, TOKEN[1])
    draw_panel(sheet, decode, x + 156, result)
    draw_label(sheet, decode, x, 764, rows["heads"])
    sheet.stripes(x + 190, 764, STRIPE[0], 112, decode.stripes(rows["heads"]))
    draw_label(sheet, decode, x, 834, rows["weights"])
    sheet.text(x, 857, f"where {followed} attends")
    draw_maps(sheet, decode, x, 886, decode[rows["weights"]][:, decode.token])
    draw_label(sheet, decode, x, 1353, rows["scores"])
    draw_score_maps(sheet, decode, x, 1379, decode[rows["scores"]][:, decode.token])
    from_y = IMAGE_AT if first else 1640
    if not first:
        sheet.arrow([(x - 18, IMAGE_AT), (x - 18, from_y), (x + 171, from_y)], IMAGE[1], 2, head=False)
    for at, one in ((20, "k"), (134, "v")):
        sheet.arrow([(x + at + 36, from_y), (x + at + 36, 1626)], IMAGE[1], 2)
        draw_tile(sheet, decode, x + at, 1532, 70, rows[one], encoded=one == "k")
        draw_crossing(sheet, x + at + 36, IMAGE_TOP, False, IMAGE[1])


def draw_mlp(sheet: Sheet, decode: Decode, x: Number, rows: StepRows) -> None:
    """An MLP on each token: step (3)."""
    name = rows["hidden"]
    hidden = decode[name]
    text = f"To {hidden.shape[1]} numbers, and back."
    sheet.step(x, 178, 122, rows.address, text, TOKEN[1])
    draw_module_path(sheet, x, module_path(name), parts=3)
    sheet.text(x + 60, 751, own_name(name), SMALL, INK, code=True, ha="center")
    sheet.arrow([(x - 24, TOKENS_AT), (x + 46, TOKENS_AT)], "white", 2)
    sheet.arrow([(x + 6, TOKENS_AT), (x + 6, TOKENS_BOTTOM + 2)], TOKEN[1])
    sheet.arrow([(x + 30, TOKENS_BOTTOM), (x + 30, TOKENS_AT + 9)], TOKEN[1])
    sheet.sign(x + 30, TOKENS_AT, "+", TOKEN[1])
    draw_panel(sheet, decode, x + 50, rows["queries_3"], shape_at=x + 80)
    draw_squares(sheet, decode.names, x + 25, 773, 70)
    group = max(1, hidden.shape[1] // 512)
    largest = hidden.T[: len(hidden.T) // group * group].reshape(-1, group, len(hidden)).max(1)
    sheet.stripes(x + 25, 784, 70, 504, largest, top=True)
    sheet.text(x + 60, 1293, decode.shape(name), SMALL, SOFT, ha="center")
    fire = 100 * float((hidden > 0).mean())
    text = f"{fire:.0f} % of these numbers are above zero. In a row: the largest of {group}."
    sheet.words(x, 1322, 118, text, SMALL, SOFT)


def draw_image_attention(sheet: Sheet, decode: Decode, x: Number, rows: StepRows, number: int) -> None:
    """The image attends to the tokens: step (4)."""
    followed = decode.names[decode.token]
    text = "Each image token attends to the tokens and is updated: from here on it depends on the click."
    sheet.step(x, 178, 226, rows.address, text, IMAGE[1], station=True)
    draw_module_path(sheet, x, module_path(rows["q"]))
    sheet.arrow([(x - 24, TOKENS_AT), (x + 256, TOKENS_AT)], "white", 2, head=False)
    for at, one in ((34, "k"), (148, "v")):
        sheet.arrow([(x + at + 17, TOKENS_AT), (x + at + 17, 508)], TOKEN[1], 2)
        draw_stripe(sheet, decode, x + at, 530, rows[one], encoded=one == "k")
        draw_crossing(sheet, x + at + 17, TOKENS_BOTTOM, True, TOKEN[1])
    scores, weights = decode[rows["scores"]], decode[rows["weights"]]
    draw_label(sheet, decode, x, 758, rows["scores"])
    draw_score_maps(sheet, decode, x, 781, scores[:, :, decode.token])
    draw_label(sheet, decode, x, 900, rows["weights"])
    sheet.text(x, 921, f"attention to {followed}")
    draw_maps(sheet, decode, x, 946, weights[:, :, decode.token])
    stream = (IMAGE[1], 4) if number == 0 else ("white", 2)
    sheet.arrow([(x - 600, IMAGE_AT), (x + 70, IMAGE_AT)], *stream)
    sheet.arrow([(x + 33, IMAGE_AT), (x + 33, 1600)], IMAGE[1], 2)
    draw_label(sheet, decode, x, 1418, rows["q"], rows["heads"])
    draw_label(sheet, decode, x, 1441, rows["out"])
    for i, one in enumerate(("q", "heads", "out")):
        draw_tile(sheet, decode, x + 80 * i, 1532, 66, rows[one], encoded=one == "q", shape=False)
    draw_crossing(sheet, x + 33, IMAGE_TOP, False, IMAGE[1])
    draw_crossing(sheet, x + 113, IMAGE_TOP, True, IMAGE[1])
    sheet.sign(x + 82, IMAGE_AT, "+", IMAGE[1])
    name = rows["keys_4"]
    short = f"{own_name(name)} = {own_name(decode.step('5')['keys'])}" if number == 1 else ""
    draw_tile(sheet, decode, x + 104, 1656, 130, name, decode.stream[name], main=True, short=short)


def draw_last_attention(sheet: Sheet, decode: Decode, x: Number) -> None:
    """Tokens attend to the image a last time: step (6-1)."""
    rows = decode.step("6-1")
    draw_token_attention(sheet, decode, x, rows, rows["hs"])
