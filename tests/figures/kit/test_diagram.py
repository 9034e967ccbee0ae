"""Diagrams: the canvas counts pixels; boxes, arrows and sums stand where they are put."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from sam_edu.figures.kit.colours import OUT, PALE, TOKEN
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_frame, draw_path, draw_sum


def test_canvas_counts_pixels_from_the_top_left() -> None:
    figure, axes = canvas(300, 500)
    assert axes.get_xlim() == (0, 500)
    assert axes.get_ylim() == (300, 0)
    assert (figure.get_size_inches() * figure.dpi).tolist() == [500, 300]
    assert not axes.axison


def test_a_box_stands_around_its_centre_in_its_colours() -> None:
    _, axes = canvas(100)
    draw_box(axes, 50, 40, 30, "a box", TOKEN, height=20)
    [box] = axes.patches
    assert isinstance(box, FancyBboxPatch)
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (35, 30, 30, 20)
    assert (to_hex(box.get_facecolor()), to_hex(box.get_edgecolor())) == tuple(colour.lower() for colour in TOKEN)
    assert axes.texts[0].get_text() == "a box"
    assert axes.texts[0].get_position() == (50, 40)


def test_what_is_not_lit_has_pale_letters() -> None:
    _, axes = canvas(100)
    draw_box(axes, 50, 40, 30, "pale", PALE)
    draw_box(axes, 50, 40, 30, "lit", OUT)
    pale, lit = (text.get_color() for text in axes.texts)
    assert pale != lit


def test_an_arrow_follows_its_corners_with_its_shape_beside_it() -> None:
    _, axes = canvas(100)
    draw_arrow(axes, [(0, 0), (10, 0), (10, 20)], "7 × 256", (5, -3))
    [arrow] = axes.patches
    assert isinstance(arrow, FancyArrowPatch)
    assert axes.texts[0].get_text() == "7 × 256"
    draw_path(axes, [(0, 0), (10, 0)], head=0)
    heads = [bool(patch.get_arrowstyle().__class__.__name__ == "CurveFilledB") for patch in axes.patches]
    assert heads == [True, False]


def test_a_frame_lies_below_the_boxes_and_is_dashed() -> None:
    _, axes = canvas(100)
    draw_box(axes, 50, 40, 30, "a box", TOKEN)
    draw_frame(axes, (10, 10), 80, 60)
    box, frame = axes.patches
    assert frame.get_zorder() < box.get_zorder()
    assert frame.get_linestyle() != box.get_linestyle()


@pytest.mark.parametrize(("plus", "expected"), [("", "#112233"), ("#445566", "#445566")])
def test_a_sum_is_a_plus_in_the_colour_of_its_edge_or_its_own(plus: str, expected: str) -> None:
    _, axes = canvas(100)
    draw_sum(axes, 5, 6, "#112233", plus=plus)
    assert axes.texts[0].get_text() == "+"
    assert axes.texts[0].get_color() == expected
