"""The upscaling notebook's figures: what they compute themselves, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes

from sam_edu import figures


def test_diagram_names_every_layer_and_size() -> None:
    alt = figures.upscaling_diagram(16, dim=64).alt
    for part in ("64 by 16 by 16", "64 to 16", "16 by 32 by 32", "16 to 8", "8 by 64 by 64", "4 by 4"):
        assert part in alt
    assert "256 to 64" in figures.upscaling_diagram().alt
    assert figures.upscaling_diagram().png != figures.upscaling_diagram(32).png


def texts_of(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_matrix_has_its_numbers_and_at_its_right_how_many_a_row_has() -> None:
    figure = figures.layer_matrices({"a": [[2.0, 0.0], [-1.0, 1.5]], "b": np.eye(3)}, digits=1, title="Two")
    first, second = figure.figure.axes
    assert texts_of(first) == ["2.0", "−1.0", "1.5", "1", "2", "pixels before", "pixels after"]
    assert texts_of(second) == ["1.0", "1.0", "1.0", "1", "1", "1", "pixels before", "pixels after"]
    assert first.get_title() == "a\n2 × 2"
    colours = [patch.get_facecolor()[:3] for patch in first.patches]
    assert [red > blue for red, _, blue in colours] == [True, False, True]
    assert not figure.holds_pixels
    assert "a, 2 by 2, with 1 and 2 of its entries not zero in each row; b, 3 by 3, with 1 of" in figure.alt


def test_matrices_stand_on_one_scale() -> None:
    axes = figures.layer_matrices({"large": [[4.0]], "small": [[1.0]]}).figure.axes
    faces = [one.patches[0].get_facecolor() for one in axes]
    assert faces[0] != faces[1]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.layer_matrices({}), "matrices: expected at least one"),
    (lambda: figures.layer_matrices({"a": np.ones(4)}), r"matrices a: expected shape \(outputs, inputs\)"),
    (lambda: figures.layer_matrices({"a": np.ones((1, 1))}, digits=-1), "digits"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
