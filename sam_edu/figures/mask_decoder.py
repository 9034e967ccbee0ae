"""The mask decoder's structure, with the names of Meta's code: the parts, the slices, and what is returned."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from sam_edu.argument_checks import as_count, as_multiple
from sam_edu.figures.kit.arrays import Number
from sam_edu.figures.kit.colours import (
    GREY,
    IMAGE,
    IOU_COLOUR,
    LEARNED,
    MASK_COLOURS,
    OUT,
    PADDING,
    POSITIVE,
    SOFT,
    TOKEN,
    Pair,
)
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_sum, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, theme

_HIGH, _WIDE = 384, 1000


def mask_decoder_diagram(
    prompt_tokens: int = 2, *, masks: int = 4, dim: int = 256, height: int = 64, width: int = 64
) -> Figure:
    """Diagram of the class MaskDecoder: its inputs, its six parts, the slices between them, and the choice at the end.

    Args:
        prompt_tokens: tokens of one prompt set.
        masks: number of mask tokens.
        dim: width of a token; a multiple of 8.
        height: of the grid of image tokens.
        width: of that grid.
    """
    prompt_tokens, masks = as_count("prompt_tokens", prompt_tokens, 0), as_count("masks", masks)
    dim, height, width = as_multiple("dim", dim, 8), as_count("height", height), as_count("width", width)
    tokens = 1 + masks + prompt_tokens
    channels, high, wide = dim // 8, 4 * height, 4 * width
    low = 292
    tall = 76 / tokens  # of a token in the drawn row, which begins at 86
    own, prompts = 86 + (1 + masks) * tall / 2, 86 + (1 + masks + prompt_tokens / 2) * tall
    with theme():
        figure, axes = canvas(_HIGH)
        subtitle = "grey-blue: its parts, which hold the parameters; all names are those of Meta's code"
        draw_title(axes, "The class MaskDecoder", subtitle)

        _part(axes, 66, 92, 124, 46, "iou_token.weight\nmask_tokens.weight", LEARNED)
        _part(axes, 66, 156, 116, 46, "sparse_prompt_\nembeddings", TOKEN)
        _part(axes, 66, 254, 116, 46, "image_embeddings", IMAGE)
        _part(axes, 66, 318, 116, 46, "dense_prompt_\nembeddings", IMAGE)
        _part(axes, 258, low + 50, 96, 34, "image_pe", IMAGE)
        _row(axes, 190, 124, masks, prompt_tokens)
        draw_text(axes, 190, 78, "(0) tokens", SMALL, TOKEN[1], bold=True)
        draw_text(axes, 190, 170, f"{tokens} × {dim}", SMALL, SOFT)
        draw_arrow(axes, [(128, 92), (136, 92), (136, own), (150, own)])
        draw_arrow(axes, [(124, 156), (136, 156), (136, prompts), (150, prompts)])
        draw_sum(axes, 160, 286, IMAGE[1])
        draw_arrow(axes, [(124, 254), (160, 254), (160, 276)])
        draw_arrow(axes, [(124, 318), (160, 318), (160, 296)])
        draw_text(axes, 214, 272, "(0) src", SMALL, IMAGE[1], bold=True)

        _part(axes, 350, 205, 120, 196, "transformer\n\n(1) to (4),\ntwice;\n\nthen (6-1)", LEARNED)
        draw_arrow(axes, [(232, 124), (290, 124)])
        draw_arrow(axes, [(170, 286), (290, 286)], f"{dim} × {height} × {width}", (226, 298))
        draw_arrow(axes, [(306, low + 50), (350, low + 50), (350, 303)])

        _row(axes, 484, 124, masks, prompt_tokens)
        draw_text(axes, 484, 78, "hs", 10.5, TOKEN[1], bold=True)
        draw_text(axes, 484, 170, f"{tokens} × {dim}", SMALL, SOFT)
        draw_arrow(axes, [(410, 124), (442, 124)])
        draw_arrow(axes, [(526, 86 + tall / 2), (548, 86 + tall / 2), (548, 62), (600, 62)], "hs[:, 0]", (570, 52))
        draw_arrow(
            axes,
            [(526, own + tall / 2), (548, own + tall / 2), (548, 160), (600, 160)],
            f"hs[:, 1:{1 + masks}]",
            (570, 172),
        )
        draw_text(axes, 484, 196, "prompt tokens\nare dropped", SMALL, SOFT)
        draw_text(axes, 484, 276, "keys", 10.5, IMAGE[1], bold=True)
        draw_arrow(axes, [(410, low), (600, low)], f"{height * width} × {dim}, folded back", (506, low + 12))

        _part(axes, 676, 62, 152, 46, "(7) iou_prediction_head", LEARNED)
        _part(axes, 676, 160, 152, 46, "(6-2) output_\nhypernetworks_mlps", LEARNED)
        _part(axes, 676, low, 152, 46, "(5) output_upscaling", LEARNED)
        _part(axes, 836, 226, 104, 46, "(6-3)\n@ at every pixel", OUT)
        draw_arrow(axes, [(752, 160), (836, 160), (836, 203)], f"hyper_in\n{masks} × {channels}", (795, 146))
        draw_arrow(axes, [(752, low), (836, low), (836, 249)], "upscaled_embedding", (820, low + 12))
        draw_text(axes, 820, low + 26, f"{channels} × {high} × {wide}", SMALL, SOFT)

        _part(axes, 948, 140, 96, 92, f"(8) multimask_\noutput?\nTrue: 1 to {masks - 1}\nFalse: 0", GREY)
        draw_arrow(axes, [(752, 62), (950, 62), (950, 94)], f"iou_pred, {masks}", (850, 52))
        draw_arrow(
            axes, [(888, 226), (950, 226), (950, 186)], f"masks\n{masks} ×\n{high} × {wide}", (944, 256), "center"
        )
        row = "The row: black the IoU token, then the mask tokens, green and grey the prompt's tokens."
        draw_text(axes, 650, 350, row, SMALL, SOFT)
        draw_text(axes, 650, 366, "Every tensor has one more axis in front: the prompt sets.", SMALL, SOFT)
    return Figure(
        figure,
        f"Diagram of the class MaskDecoder. Step (0): iou_token, {masks} mask_tokens and {prompt_tokens} prompt tokens"
        f" become a row of {tokens} tokens of width {dim}; image_embeddings plus dense_prompt_embeddings become src,"
        f" {dim} by {height} by {width}. The transformer takes tokens, src and image_pe, and gives hs, {tokens} by"
        f" {dim}, and keys, {height * width} by {dim}. Slot 0 of hs goes to iou_prediction_head (7), slots 1 to {masks}"
        f" to output_hypernetworks_mlps (6-2), which give hyper_in, {masks} by {channels}; the prompt's slots are"
        f" dropped. keys, reshaped to a feature map, go to output_upscaling (5), {channels} by {high} by {wide}. The"
        f" product (6-3) gives {masks} masks of {high} by {wide}. Step (8): multimask_output chooses 1: or :1 of masks"
        " and iou_pred.",
    )


def _part(axes: Axes, x: Number, y: Number, width: Number, height: Number, text: str, colours: Pair) -> None:
    """A box with smaller letters, as names of Meta's code are long."""
    draw_box(axes, x, y, width, text, colours, height=height, size=SMALL)


def _row(axes: Axes, x: Number, y: Number, masks: int, prompt_tokens: int) -> None:
    """The row of tokens, one line each, as `token_strip` shows it: IoU, masks, prompt."""
    colours = [IOU_COLOUR, *(MASK_COLOURS[i % 4] for i in range(masks)), *[POSITIVE] * (prompt_tokens > 0)]
    colours += [PADDING] * (prompt_tokens - 1)
    tall = 76 / len(colours)
    for i, colour in enumerate(colours):
        at = (x - 40, y - 38 + i * tall)
        axes.add_patch(Rectangle(at, 80, tall * 0.82, facecolor=colour, edgecolor="white", linewidth=0.5, zorder=3))
