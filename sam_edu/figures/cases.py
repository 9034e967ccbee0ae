"""Many small cases side by side: image, click, predicted mask and ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam_edu.argument_checks import as_count
from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import as_array, as_image, as_mask_numbers, as_masks
from sam_edu.figures.kit.colours import INK, MASK_COLOURS
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_clicks, draw_image, draw_mask, draw_outline, draw_ticks
from sam_edu.figures.kit.theme import WIDTH, bare, blank, heading, theme


@dataclass(frozen=True)
class Case:
    """One panel.

    Attributes:
        image: (height, width, 3).
        mask: (height, width), the predicted mask.
        truth: (height, width), the ground truth.
        click: (2,) as (x, y).
        name: what stands above the panel.
        number: of the mask, whose colour it gets.
    """

    image: np.ndarray
    mask: np.ndarray
    truth: np.ndarray
    click: np.ndarray
    name: str
    number: int = 1


def cases(panels: Sequence[Case], *, columns: int = 4, title: str = "") -> Figure:
    """A grid of cases: the mask in colour, the ground truth as a dashed line.

    Args:
        panels: the cases, row by row.
        columns: panels in a row.
        title: what they have in common.

    Raises:
        TypeError: something else than cases.
        ValueError: no case, fewer than one column, a number that no mask has, or a mask of another size.
    """
    columns = as_count("columns", columns)
    if not isinstance(panels, Sequence) or not all(isinstance(case, Case) for case in panels):
        raise TypeError(f"panels: expected a list of figures.Case, got {shorten(panels)}")
    if not panels:
        raise ValueError("panels: expected at least one case, got none")
    numbers = as_mask_numbers("number", [case.number for case in panels], len(panels), [1])
    rows = -(-len(panels) // columns)
    side = (WIDTH - 10) / columns
    with theme():
        figure = blank(rows * (side + 14) + 30)
        heading(figure, title)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, case, number in zip(grid, panels, numbers, strict=False):
            image = as_image(case.image)
            draw_image(axes, image)
            draw_mask(axes, as_masks("mask", case.mask, image.shape[:2]), MASK_COLOURS[number], 0.3)
            draw_outline(axes, as_masks("truth", case.truth, image.shape[:2]), INK, width=1.2, dashed=True)
            draw_ticks(axes, as_clicks([as_array("click", case.click, (2,))], None, name="click"))
            axes.set_title(case.name)
            bare(axes)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
    details = "; ".join(case.name for case in panels)
    return Figure(figure, f"{title or 'Cases'}: {len(panels)} images, each with a click and a mask. {details}.")
