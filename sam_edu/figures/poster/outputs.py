"""Steps (7) and (8), and the legend at the foot of the sheet."""

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Polygon, Rectangle

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import HEAT, INK, LEGEND, MASK_COLOURS, OUT, SOFT, TOKEN
from sam_edu.figures.kit.words import share
from sam_edu.figures.poster.decode import Decode, signed_colours
from sam_edu.figures.poster.geometry import LOGIT_LIMIT
from sam_edu.figures.poster.parts import draw_label
from sam_edu.figures.poster.rows import own_name, step_of
from sam_edu.figures.poster.sheet import Sheet


def draw_outputs(sheet: Sheet, decode: Decode, x: Number) -> None:
    """The outputs: steps (7) and (8)."""
    text = "From the IoU token alone: the predicted IoU of each mask."
    predicted, product = decode.step("7"), decode.step("6-3")
    sheet.step(x + 8, 178, 257, predicted.address, text, OUT[1])
    sheet.arrow([(2384, 646), (x + 18, 646)], TOKEN[1])
    sheet.text(x + 136, 366, own_name(predicted["iou_pred"]), 14, OUT[1], bold=True, code=True, ha="center")
    for i, value in enumerate(decode.iou):
        y = 404 + 58 * i
        sheet.text(x + 22, y - 8, f"mask {i}", 14, INK)
        length = 150 * max(float(value), 0.0)
        sheet.axes.add_patch(Rectangle((x + 22, y + 14), length, 18, facecolor=MASK_COLOURS[i % 4], zorder=5))
        sheet.text(x + 28 + length, y + 23, f"{value:.2f}", 18, INK, bold=True, va="center")
    sheet.text(x + 136, 663, decode.shape(predicted["iou_pred"]), 13, SOFT, ha="center")
    text = "multimask_output=True: masks 1 to 3; False: mask 0. A logit above 0 means inside."
    sheet.step(x + 8, 708, 257, "8", text, OUT[1])
    draw_label(sheet, decode, x + 8, 834, product["masks"])
    sheet.text(x + 203, 834, "above 0", 13, INK, ha="center")
    for i, logits in enumerate(decode.masks):
        y = 876 + 154 * i
        sheet.text(x + 8, y - 19, f"mask {i}", 13, MASK_COLOURS[i % 4], bold=True)
        sheet.image(x + 8, y, 124, 124, signed_colours(logits, LOGIT_LIMIT))
        sheet.image(x + 141, y, 124, 124, decode.masked(i))
        for at in (8, 141):
            sheet.clicks(decode, x + at, y, 124, 124, 5)
    sheet.axes.add_patch(Polygon([(x - 9, 992), (x - 9, 1010), (x + 3, 1001)], facecolor=OUT[1], zorder=5))
    best = decode.best
    sheet.text(x + 8, 1514, f"highest predicted IoU: mask {best}", 15, OUT[1], bold=True)
    sheet.image(x + 8, 1540, 257, 257, decode.masked(best))
    sheet.text(x + 8, 1806, f"{share(decode.masks[best] > 0)}", 13, SOFT)


def draw_legend(sheet: Sheet, decode: Decode, note: str) -> None:
    """How to read the sheet."""
    best = decode.names[decode.token]
    addresses = {"src": ("0", None), "keys_4": ("4", 0), "activated_twice": ("5", None), "hs": ("6-1", None)}
    src, keys, upscaled, hs = (own_name(decode.step(*address)[name]) for name, address in addresses.items())
    ramp = np.linspace(0, 1, 136)[None]
    scales = {
        "Panels of tokens": signed_colours(2 * ramp - 1, 1),
        "Maps of attention": mpl.colormaps[HEAT](0.25 + 0.75 * ramp)[..., :3],
    }
    columns = (
        (
            "Panels of tokens",
            "A column is a token, its colour stands above it; a row is a channel. Red is above zero, blue below. The"
            " channels stand everywhere in the order of what the mask tokens hold at the end, in"
            f" {hs}: so order can be seen to arise. Small stripes: the channels of the heads, one head below the"
            " other.",
        ),
        (
            "Feature maps as colours",
            "Many numbers at each position, as three colours: the three directions in which they vary most. Like"
            f" colours mean like vectors. Image embedding, {src} and both {keys} share the directions of the embedding"
            f" and one scale, so their colours can be compared. The channels of {upscaled}: each on its own scale, red"
            " above zero.",
        ),
        (
            "Maps of attention",
            f"A map per head over the image, all of them of {best}, the one of masks 1 to 3 whose predicted IoU is"
            " highest. Bright: much weight, on a scale of square roots up to the map’s largest. Ticks: the click."
            " Scores, before the softmax: red is above zero.",
        ),
        (
            "Signs",
            "+ : the result is added to the stream, then LayerNorm. = : in block 0 it replaces the stream. ◎ :"
            " with the positional encodings. Steps (5) and (6-1) do not wait for each other. Bars and channels of (6-3)"
            f" stand in the order of the weights of {best}, which are written below.",
        ),
        (
            "Names and shapes",
            f"A full name is the grey path and the tensor’s own: {decode.step('1', 0)['q']}. By it sam_edu.trace"
            f" records it. All shapes have one more axis in front, the prompt sets: here 1. {not_drawn(decode)}{note}",
        ),
    )
    for i, (title, text) in enumerate(columns):
        x = 50 + 580 * i
        sheet.text(x, 1906, title, 18, INK, bold=True)
        if title in scales:
            sheet.image(x + 400, 1908, 136, 16, scales[title])
        sheet.words(x, 1932, 536, text, 15, LEGEND)


def not_drawn(decode: Decode) -> str:
    """The traced tensors that have no drawing of their own, with their steps and shapes."""
    names = [f"{name} {step_of(name)}, {decode.shape(name)}" for name in decode.without_drawing]
    return f"Traced too: {'; '.join(names)}. " if names else ""
