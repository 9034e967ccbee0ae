"""Steps (5), (6-2) and (6-3): the upscaled features, the weights, and their product."""

import numpy as np
from matplotlib.patches import Rectangle

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import IMAGE, INK, MASK_COLOURS, OUT, SOFT, TOKEN
from sam_edu.figures.kit.scales import three_colours
from sam_edu.figures.poster.decode import Decode, block_means, clicked_cell, signed_colours
from sam_edu.figures.poster.geometry import IMAGE_AT, IMAGE_TOP, TOKENS_AT, TOKENS_BOTTOM
from sam_edu.figures.poster.parts import draw_bars, draw_crossing, draw_label, draw_tile
from sam_edu.figures.poster.rows import module_path, own_name
from sam_edu.figures.poster.sheet import Sheet


def draw_upscaling(sheet: Sheet, decode: Decode, x: Number) -> None:
    """The image grows: step (5)."""
    rows = decode.step("5")
    last = decode[rows["activated_twice"]]
    text = f"Two transposed convolutions: from {decode.grid[1]} to {last.shape[2]} wide, from {decode.width}"
    sheet.step(x + 246, 1514, 214, rows.address, f"{text} to {len(last)} channels.", IMAGE[1])
    sheet.arrow([(x - 26, IMAGE_AT), (x + 480, IMAGE_AT)], IMAGE[1], 4, head=False)
    for i, name in enumerate(("doubled_once", "normed", "activated_once", "doubled_twice")):
        array = decode[rows[name]]
        draw_tile(sheet, decode, x + 2 + 117 * i, 1672, 106, rows[name], three_colours(array[None])[0][0])
    sheet.text(x + 2, 1806, f"{module_path(rows['normed'])}.", 13, SOFT, code=True)
    sheet.arrow([(x + 478, IMAGE_AT + 2), (x + 478, IMAGE_TOP - 12)], IMAGE[1], 4)


def draw_product(sheet: Sheet, decode: Decode, x: Number) -> None:
    """Weights from the tokens, channels from the image, and their product: steps (6-2) and (6-3)."""
    hypernetwork, product = decode.step("6-2"), decode.step("6-3")
    upscaled = decode.step("5")["activated_twice"]
    weights, channels = decode[hypernetwork["hyper_in"]], decode[upscaled]
    best, count = decode.best, weights.shape[1]
    order = np.argsort(-weights[best], kind="stable")
    digits = int(np.clip(1 - np.floor(np.log10(np.abs(weights[best]).max() or 1.0)), 0, 3))
    text = (
        f"One MLP for each mask token turns its {decode.width} numbers into {count}: the weights of {count} channels."
    )
    sheet.step(x, 178, 232, hypernetwork.address, text, OUT[1])
    sheet.arrow([(2384, TOKENS_AT), (x + 12, TOKENS_AT)], TOKEN[1])
    sheet.text(x + 118, 366, own_name(hypernetwork["hyper_in"]), 14, OUT[1], bold=True, code=True, ha="center")
    top = float(np.abs(weights).max()) or 1.0
    for i, row in enumerate(weights):
        middle = 424 + 58 * i
        draw_bars(sheet, x + 36, middle, 196, 29, row[order] / top, MASK_COLOURS[i % 4])
        sheet.axes.add_patch(Rectangle((x + 20, middle - 5), 10, 10, facecolor=MASK_COLOURS[i % 4], zorder=5))
    sheet.text(x + 118, 663, decode.shape(hypernetwork["hyper_in"]), 13, SOFT, ha="center")
    draw_crossing(sheet, x + 134, TOKENS_BOTTOM, True, OUT[1])
    text = f"A pixel’s logit: its {count} channels, each times its weight, added up."
    sheet.step(x, 708, 236, product.address, text, OUT[1])
    row, column = clicked_cell(decode, channels.shape[1:])
    terms = weights[best] * channels[:, row, column]
    draw_bars(sheet, x + 36, 860, 196, 34, terms[order] / (float(np.abs(terms).max()) or 1.0), MASK_COLOURS[best % 4])
    sheet.text(x + 134, 896, f"at the click, mask {best}: sum {terms.sum():.1f}", 13, INK, ha="center")
    draw_label(sheet, decode, x, 930, upscaled)
    for i, channel in enumerate(order):
        at_x, at_y = x + 61 * (i % 4), 954 + 67 * (i // 4)
        sheet.image(at_x, at_y, 52, 52, signed_colours(block_means(channels[channel], 4)))
        sheet.text(at_x + 26, at_y + 53, f"{weights[best, channel]:+.{digits}f}", 12, SOFT, ha="center")
