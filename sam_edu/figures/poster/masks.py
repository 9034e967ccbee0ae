"""Steps (5), (6-2) and (6-3): the upscaled features, the weights, and their product."""

import numpy as np
from matplotlib.patches import Rectangle

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import IMAGE, INK, MASK_COLOURS, OUT, SOFT, TOKEN
from sam_edu.figures.kit.scales import three_colours
from sam_edu.figures.poster.decode import Decode, block_means, clicked_cell, quiet_colours
from sam_edu.figures.poster.geometry import IMAGE_AT, MEETING, SMALL, TOKENS_AT, TOKENS_BOTTOM
from sam_edu.figures.poster.parts import draw_bars, draw_crossing, draw_tile
from sam_edu.figures.poster.rows import module_path, own_name
from sam_edu.figures.poster.sheet import Sheet


def draw_upscaling(sheet: Sheet, decode: Decode, x: Number) -> None:
    """The image grows: step (5)."""
    rows = decode.step("5")
    last = decode[rows["activated_twice"]]
    text = f"Two transposed convolutions, to {last.shape[2]}×{last.shape[1]} and {len(last)} channels."
    sheet.step(x + 246, 1510, 214, rows.address, text, IMAGE[1])
    sheet.arrow([(x - 26, IMAGE_AT), (MEETING[0], IMAGE_AT)], "white", 2, head=False)
    for i, name in enumerate(("doubled_once", "normed", "activated_once", "doubled_twice")):
        array = decode[rows[name]]
        raised = 20 if name == "activated_once" else 0
        colours = three_colours(array[None])[0][0]
        draw_tile(sheet, decode, x + 2 + 117 * i, 1673, 100, rows[name], colours, raised=raised)
    sheet.text(x + 2, 1808, f"{module_path(rows['normed'])}.", SMALL, SOFT, code=True)
    sheet.arrow([(MEETING[0], IMAGE_AT), (MEETING[0], MEETING[1] + 24)], "white", 2)


def draw_product(sheet: Sheet, decode: Decode, x: Number) -> None:
    """Weights from the tokens, channels from the image, and their product: steps (6-2) and (6-3)."""
    hypernetwork, product = decode.step("6-2"), decode.step("6-3")
    upscaled = decode.step("5")["activated_twice"]
    weights, channels = decode[hypernetwork["hyper_in"]], decode[upscaled]
    best, count = decode.best, weights.shape[1]
    order = np.argsort(-weights[best], kind="stable")
    text = (
        f"One MLP for each mask token turns its {decode.width} numbers into {count}: the weights of {count} channels."
    )
    sheet.step(x, 178, 232, hypernetwork.address, text, OUT[1])
    sheet.arrow([(x - 20, TOKENS_AT), (MEETING[0], TOKENS_AT), (MEETING[0], MEETING[1] - 24)], "white", 2)
    sheet.arrow([(x + 25, TOKENS_AT), (x + 25, 468)], TOKEN[1], 2)
    sheet.text(x + 118, 366, own_name(hypernetwork["hyper_in"]), SMALL, OUT[1], bold=True, code=True, ha="center")
    top = float(np.abs(weights).max()) or 1.0
    for i, row in enumerate(weights):
        middle = 482 + 44 * i
        draw_bars(sheet, x + 36, middle, 184, 22, row[order] / top, MASK_COLOURS[i % 4])
        sheet.axes.add_patch(Rectangle((x + 20, middle - 5), 10, 10, facecolor=MASK_COLOURS[i % 4], zorder=5))
    sheet.text(x + 118, 663, decode.shape(hypernetwork["hyper_in"]), SMALL, SOFT, ha="center")
    draw_crossing(sheet, x + 118, TOKENS_BOTTOM, True, OUT[1])
    text = f"A pixel’s logit: its {count} channels, each times its weight, added up."
    sheet.step(x, 708, 220, product.address, text, OUT[1], station=True)
    row, column = clicked_cell(decode, channels.shape[1:])
    terms = weights[best] * channels[:, row, column]
    draw_bars(sheet, x + 4, 914, 196, 34, terms[order] / (float(np.abs(terms).max()) or 1.0), MASK_COLOURS[best % 4])
    sheet.text(x + 2, 952, f"at the click: sum {terms.sum():.1f}")
    sheet.text(x + 2, 982, own_name(upscaled), SMALL, INK, code=True)
    sheet.text(x + 2, 1003, decode.shape(upscaled), SMALL, SOFT)
    for i, channel in enumerate(order):
        at_x, at_y = x + 2 + 55 * (i % 4), 1030 + 57 * (i // 4)
        sheet.image(at_x, at_y, 51, 51, quiet_colours(block_means(channels[channel], 4)))
