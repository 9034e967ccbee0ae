"""The poster: the whole decode of one prompt set, every tensor with its name, its shape and its values."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from sam_edu.figures.kit.arrays import as_image
from sam_edu.figures.kit.marks import as_clicks
from sam_edu.figures.kit.theme import theme
from sam_edu.figures.poster.block import draw_block, draw_last_attention
from sam_edu.figures.poster.decode import Decode
from sam_edu.figures.poster.file import Poster
from sam_edu.figures.poster.geometry import BLOCKS, LAST, OUTPUTS, PRODUCT
from sam_edu.figures.poster.inputs import draw_heading, draw_inputs, draw_lanes
from sam_edu.figures.poster.masks import draw_product, draw_upscaling
from sam_edu.figures.poster.outputs import draw_legend, draw_outputs
from sam_edu.figures.poster.path import draw_path_of_click
from sam_edu.figures.poster.sheet import Sheet
from sam_edu.figures.poster.words import alt_text


def poster(
    tensors: Mapping[str, Any],
    image: ArrayLike | Any,
    *,
    points: ArrayLike | Any,
    labels: ArrayLike | Any | None = None,
    note: str = "",
) -> Poster:
    """Every tensor of a decode on one sheet, from the click at the left to the masks at the right.

    A thick line in the colour of the first click follows it: its token, the tokens' stream, steps (4) into the image,
    the product (6-3), the masks.

    The maps of the attentions are those of one token: that of the mask, of 1, 2 and 3, whose predicted IoU is highest.

    Args:
        tensors: a trace of a whole model (prompt encoder and decoder of depth 2) for one prompt set, or arrays by the
            same names.
        image: (height, width, 3), the image that the encoder saw.
        points: clicks (clicks, 2) as (x, y) in the image's pixels. The prompt set has no box.
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        note: a line for the foot of the sheet: which weights these are.

    Raises:
        KeyError: a tensor is missing.
        TypeError: no trace.
        ValueError: more than one prompt set, or tokens that are not those of the clicks.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors: expected a trace, or a dictionary of tensors, got {type(tensors).__name__}")
    decode = Decode(tensors, as_image(image), as_clicks(points, labels))
    with theme():
        sheet = Sheet()
        draw_heading(sheet, decode)
        draw_lanes(sheet)
        draw_path_of_click(sheet, decode)
        draw_inputs(sheet, decode)
        for i, left in enumerate(BLOCKS):
            draw_block(sheet, decode, i, left)
        draw_last_attention(sheet, decode, LAST)
        draw_upscaling(sheet, decode, LAST)
        draw_product(sheet, decode, PRODUCT)
        draw_outputs(sheet, decode, OUTPUTS)
        draw_legend(sheet, decode, note)
    return Poster(sheet.figure, alt_text(decode))
