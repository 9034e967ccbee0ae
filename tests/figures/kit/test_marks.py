"""Marks on an image: what becomes of clicks, boxes, and of two masks."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from sam_edu.figures.kit.colours import NEGATIVE, POSITIVE
from sam_edu.figures.kit.marks import as_box, as_clicks, draw_edges, draw_prompts, draw_ticks, overlap


def test_clicks_are_positive_without_labels() -> None:
    assert as_clicks([[3, 4]], None) == [(3.0, 4.0, 1)]
    assert as_clicks([[3, 4], [5, 6]], [0, 1]) == [(3.0, 4.0, 0), (5.0, 6.0, 1)]
    assert as_clicks(None, None) == []
    assert as_box([1, 2, 3, 4]) == (1.0, 2.0, 3.0, 4.0)
    assert as_box(None) is None


def test_ticks_leave_the_click_free_and_show_its_sign() -> None:
    axes = Figure().subplots()
    draw_ticks(axes, [(10.0, 20.0, 1), (5.0, 6.0, 0)])
    assert [tuple(line.get_xydata()[0]) for line in axes.lines] == [(10, 20)] * 2 + [(5, 6)] * 2
    marks = [line._marker for line in axes.lines]
    for mark in marks:
        vertices = mark.get_transform().transform(mark.get_path().vertices)
        assert np.hypot(*vertices.T).min() == pytest.approx(0.2)  # of the mark's size; half of it is the end
    assert [len(mark.get_path().vertices) for mark in marks] == [8, 8, 4, 4]
    assert axes.lines[1].get_markeredgecolor() == POSITIVE
    assert axes.lines[3].get_markeredgecolor() == NEGATIVE


@pytest.mark.parametrize(("width", "ticks"), [(100, True), (259, True), (260, False)])
def test_discs_stand_on_large_images_alone(width: int, ticks: bool) -> None:
    axes = Figure().subplots()
    draw_prompts(axes, [(10.0, 20.0, 1)], (1.0, 2.0, 3.0, 4.0), width)
    assert (len(axes.lines), len(axes.collections)) == ((2, 0) if ticks else (0, 2))
    assert len(axes.patches) == 2


def test_empty_masks_have_no_edge() -> None:
    axes, mask = Figure().subplots(), np.zeros((8, 8), bool)
    draw_edges(axes, [mask])
    assert not axes.collections
    mask[2:5, 2:5] = True
    draw_edges(axes, [mask])
    assert len(axes.collections) == 1


def test_overlap_is_the_iou_and_one_for_two_empty_masks() -> None:
    one, other = np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool)
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one & ~one, other & ~other) == 1.0
