"""Cases: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import IMAGE, MASKS

from sam_edu import figures


def test_cases_are_named_and_what_is_left_of_the_grid_is_empty() -> None:
    panels = [figures.Case(IMAGE, MASKS[0], MASKS[1], np.array([3.0, 4.0]), name) for name in "abc"]
    figure = figures.cases(panels, columns=2)
    assert [axes.get_title() for axes in figure.figure.axes] == ["a", "b", "c", ""]
    assert [axes.axison for axes in figure.figure.axes] == [True, True, True, False]
    assert figure.alt == "Cases: 3 images, each with a click and a mask. a; b; c."


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.cases([]), "panels: expected at least one case"),
    (
        lambda: figures.cases([figures.Case(IMAGE, MASKS[0], MASKS[1], np.ones(2), "one")], columns=0),
        "columns: expected a whole number of 1 or more, got 0",
    ),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
