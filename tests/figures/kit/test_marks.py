"""Marks on an image: what becomes of clicks, boxes, and of two masks."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from sam_edu.figures.kit.marks import as_box, as_clicks, draw_edges, draw_rings, draw_ticks, overlap


def test_clicks_are_positive_without_labels() -> None:
    assert as_clicks([[3, 4]], None) == [(3.0, 4.0, 1)]
    assert as_clicks([[3, 4], [5, 6]], [0, 1]) == [(3.0, 4.0, 0), (5.0, 6.0, 1)]
    assert as_clicks(None, None) == []
    assert as_box([1, 2, 3, 4]) == (1.0, 2.0, 3.0, 4.0)
    assert as_box(None) is None


def test_ticks_leave_the_click_free_and_a_ring_stands_on_it() -> None:
    axes = Figure().subplots()
    draw_ticks(axes, [(10.0, 20.0, 1)], 2.0)
    assert len(axes.lines) == 4
    for line in axes.lines:
        assert max(np.abs(line.get_xdata() - 10).min(), np.abs(line.get_ydata() - 20).min()) == pytest.approx(2)
    draw_rings(axes, [(10.0, 20.0, 1)])
    assert (axes.lines[4].get_xdata()[0], axes.lines[4].get_ydata()[0]) == (10, 20)


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
