"""Training curves: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest

from sam_edu import figures


def test_losses_are_means_over_a_fiftieth_of_the_run_and_scores_are_drawn_as_they_are() -> None:
    values = np.arange(100.0) ** 2
    figure = figures.training_curves({"mask": (range(100), values.tolist())}, {"box": ([50, 99], [0.25, 0.75])})
    [loss], [score] = (axes.lines for axes in figure.figure.axes)
    np.testing.assert_array_equal(loss.get_xdata(), np.arange(1, 100))
    np.testing.assert_allclose(loss.get_ydata(), (values[1:] + values[:-1]) / 2)
    assert list(score.get_ydata()) == [0.25, 0.75]
    assert figure.alt.endswith("Last scores: box 0.75.")
    none_yet = figures.training_curves({"mask": ([0], [1.0])}, {})
    assert none_yet.alt.endswith("Last scores: none yet.")
    assert [axes.get_legend() is not None for axes in none_yet.figure.axes] == [True, False]


WRONG: list[tuple[Callable[[], object], str]] = [
    (
        lambda: figures.training_curves({"mask": ([], [])}, {}),
        r"losses mask, steps: expected shape \(steps,\), got \(0,\)",
    ),
    (lambda: figures.training_curves({}, {"box": ([1], [])}), r"scores box, values: expected shape \(1,\), got \(0,\)"),
    (lambda: figures.training_curves({}, {}), "at least one curve"),
    (lambda: figures.training_curves({"mask": ([1, 2], [0.5])}, {}), r"losses mask, values: expected shape \(2,\)"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
