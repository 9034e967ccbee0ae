"""Steps (7) and (8), and the legend at the foot of the sheet."""

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Rectangle

from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import HEAT, INK, LEGEND, MASK_COLOURS, OUT, SOFT, TOKEN, for_text
from sam_edu.figures.kit.words import share
from sam_edu.figures.poster.decode import Decode, quiet_colours, signed_colours
from sam_edu.figures.poster.geometry import LOGIT_LIMIT, SMALL
from sam_edu.figures.poster.parts import draw_label
from sam_edu.figures.poster.rows import own_name, step_of
from sam_edu.figures.poster.sheet import Sheet, points


def draw_outputs(sheet: Sheet, decode: Decode, x: Number) -> None:
    """The outputs: steps (7) and (8)."""
    text = "From the IoU token alone: the predicted IoU of each mask."
    predicted, product = decode.step("7"), decode.step("6-3")
    sheet.step(x + 8, 178, 257, predicted.address, text, OUT[1])
    sheet.arrow([(2384, 646), (x + 18, 646)], TOKEN[1])
    sheet.text(x + 136, 366, own_name(predicted["iou_pred"]), SMALL, OUT[1], bold=True, code=True, ha="center")
    for i, value in enumerate(decode.iou):
        y = 404 + 58 * i
        sheet.text(x + 22, y - 8, f"mask {i}")
        length = 150 * max(float(value), 0.0)
        sheet.axes.add_patch(Rectangle((x + 22, y + 14), length, 18, facecolor=MASK_COLOURS[i % 4], zorder=5))
        sheet.text(x + 28 + length, y + 23, f"{value:.2f}", 18, INK, bold=True, va="center")
    sheet.text(x + 22, 622, f"highest of 1 to 3: mask {decode.best}")
    sheet.text(x + 136, 663, decode.shape(predicted["iou_pred"]), SMALL, SOFT, ha="center")
    text = "multimask_output=True: masks 1 to 3; False: mask 0. A logit above 0 means inside."
    sheet.step(x + 8, 708, 257, "8", text, OUT[1], station=True)
    draw_label(sheet, decode, x + 8, 861, product["masks"])
    for i, logits in enumerate(decode.masks):
        at_x, at_y = x + 8 + 63 * (i % 2), 907 + 63 * (i // 2)
        sheet.image(at_x, at_y, 60, 60, signed_colours(logits, LOGIT_LIMIT))
        sheet.text(at_x + 5, at_y + 3, str(i), SMALL, "white", bold=True)
    draw_mask(sheet, decode, 0, x + 142, 882, 123, "mask 0")
    for i in range(1, len(decode.masks)):
        draw_mask(sheet, decode, i, x + 19, 1036 + 266 * (i - 1), 234, f"mask {i}: {share(decode.masks[i] > 0)}")


def draw_mask(sheet: Sheet, decode: Decode, number: int, x: Number, y: Number, size: Number, text: str) -> None:
    """A mask on the image, below its name; in a frame, the one of 1 to 3 whose predicted IoU is highest."""
    sheet.text(x, y, text, SMALL, for_text(MASK_COLOURS[number % 4]), bold=True)
    sheet.image(x, y + 26, size, size, decode.masked(number))
    sheet.clicks(decode, x, y + 26, size, size, 0.03 * size + 1.5)
    if number == decode.best:
        colour, line = MASK_COLOURS[number % 4], points(5)
        frame = Rectangle((x - 3, y + 23), size + 6, size + 6, fill=False, edgecolor=colour, linewidth=line, zorder=5)
        sheet.axes.add_patch(frame)


def draw_legend(sheet: Sheet, decode: Decode, note: str) -> None:
    """How to read the sheet."""
    best = decode.names[decode.token]
    addresses = {"src": ("0", None), "keys_4": ("4", 0), "activated_twice": ("5", None), "hs": ("6-1", None)}
    src, keys, upscaled, hs = (own_name(decode.step(*address)[name]) for name, address in addresses.items())
    ramp = np.linspace(0, 1, 136)[None]
    scales = {
        "Panels of tokens": quiet_colours(2 * ramp - 1, 1),
        "Maps of attention": mpl.colormaps[HEAT](0.25 + 0.75 * ramp)[..., :3],
    }
    columns = (
        (
            "Panels of tokens",
            "A column is a token, its colour stands above it; a row is a channel. Red is above zero, blue below. The"
            f" channels stand in the order of what the mask tokens hold at the end, in {hs}: so order can be seen to"
            " arise. Small stripes: the channels of the heads, one head below the other.",
        ),
        (
            "Feature maps as colours",
            "The three directions in which the vectors vary most, as three colours: like colours, like vectors. Image"
            f" embedding, {src} and both {keys} share directions and scale. The channels of {upscaled}: each on its own"
            " scale, red above zero.",
        ),
        (
            "Maps of attention",
            f"A map per head over the image, all of them of {best}, the one of masks 1 to 3 whose predicted IoU is"
            " highest (in a frame). Bright: much weight, on a scale of square roots up to the map’s largest."
            " Ticks: the click. Scores, before the softmax: red is above zero.",
        ),
        (
            "Signs",
            "+ : the result is added to the stream, then LayerNorm. = : in block 0 it replaces the stream. ◎ : with"
            " positional encodings; those of the tokens are the tokens of step (0). heads: the values, averaged with"
            f" the weights. (6-3): {best}, channels in the order of its weights.",
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
        sheet.words(x, 1932, 536, text, SMALL, LEGEND)


def not_drawn(decode: Decode) -> str:
    """The traced tensors that have no drawing of their own, with their steps and shapes."""
    names = [f"{name} {step_of(name)}, {decode.shape(name)}" for name in decode.without_drawing]
    return f"Traced too: {'; '.join(names)}. " if names else ""
