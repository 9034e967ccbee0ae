"""The mask decoder notebook's figures: what they compute themselves, what they say, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from drawings import check_drawing, texts

from sam_edu import figures
from sam_edu.figures import Figure

RNG = np.random.default_rng(0)
PREDICTED = RNG.random(60)
TRUE = np.clip(PREDICTED + 0.1 * RNG.normal(size=60), 0, 1)
NAMES = ["(1) tokens", "(5) upscaling", "(7) head"]

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "mask_decoder_diagram": lambda: figures.mask_decoder_diagram(),
    "mask_decoder_diagram other": lambda: figures.mask_decoder_diagram(0, masks=6, dim=128, height=32, width=48),
    "calibration": lambda: figures.calibration(
        {"a": (PREDICTED, TRUE), "b": (torch.from_numpy(PREDICTED), TRUE**2)}, bins=5, title="Calibration"
    ),
    "calibration of one": lambda: figures.calibration({"a": ([1.2], [0.5])}, bins=1, limits=(0, 2)),
    "compared_shares": lambda: figures.compared_shares(
        [1_000_000, 2, 0], [3e9, 1e9, 5], NAMES, labels=("parameters", "FLOP"), kinds=["tokens", "image", "outputs"]
    ),
    "compared_shares bare": lambda: figures.compared_shares([1, 2], [3, 4], ["a", "b"], labels=("x", "y"), title="Two"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_figure_with_words(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_diagram_names_every_slice_and_shape() -> None:
    figure = figures.mask_decoder_diagram(3, masks=6, dim=128, height=32, width=48)
    for part in ("a row of 10 tokens of width 128", "128 by 32 by 48", "1536 by 128", "slots 1 to 6", "6 by 16"):
        assert part in figure.alt
    assert "6 masks of 128 by 192" in figure.alt
    drawn = texts(figure)
    assert "hs[:, 0]" in drawn
    assert "hs[:, 1:7]" in drawn
    assert drawn.count("10 × 128") == 2
    assert "(8) multimask_\noutput?\nTrue: 1 to 5\nFalse: 0" in drawn


def test_calibration_draws_the_means_of_equal_groups() -> None:
    predicted, true = np.array([0.9, 0.1, 0.2, 0.8]), np.array([0.5, 0.0, 0.4, 0.7])
    figure = figures.calibration({"a": (predicted, true)}, bins=2)
    assert "a: 0.15 / 0.20, 0.85 / 0.60" in figure.alt
    (axes,) = figure.figure.axes
    dots = [tuple(np.ravel(line.get_xydata())) for line in axes.lines if len(line.get_xydata()) == 1]  # type: ignore[arg-type]
    assert np.allclose(dots, [(0.15, 0.2), (0.85, 0.6)])
    assert axes.get_xlim() == axes.get_ylim()


def test_calibration_makes_room_for_predictions_beyond_one() -> None:
    figure = figures.calibration({"a": ([-0.3, 1.4], [0.2, 0.3])}, bins=1)
    low, high = figure.figure.axes[0].get_xlim()
    assert low < -0.3
    assert high > 1.4


def test_budgets_are_shares_of_their_own_total() -> None:
    figure = DRAWINGS["compared_shares"]()
    assert "(1) tokens: 100.0 % and 75.0 %" in figure.alt
    assert "(5) upscaling: < 0.1 % and 25.0 %" in figure.alt
    assert "(7) head: 0.0 % and < 0.1 %" in figure.alt
    assert "parameters (1 M in all)" in figure.alt
    left, right = figure.figure.axes
    assert left.get_xlim()[0] > left.get_xlim()[1]  # to the left
    assert [label.get_text() for label in right.get_yticklabels()] == NAMES
    assert left.get_ylim() == right.get_ylim()
    assert "3 G · 75.0 %" in texts(figure)


def test_calibration_cuts_into_eight_groups_in_the_order_of_predictions() -> None:
    predicted = np.array([0.7, 0.1, 0.4, 0.3, 0.6, 0.2, 0.5, 0.8])
    figure = figures.calibration({"a": (predicted, 1 - predicted)}, title="Eight")
    assert figure.alt.startswith("Eight: true IoU over predicted IoU, a dot per case, means of 8 groups of equal size")
    assert "a: 0.10 / 0.90, 0.20 / 0.80, 0.30 / 0.70, 0.40 / 0.60, 0.50 / 0.50" in figure.alt
    below, above = (text for text in figure.figure.axes[0].texts if text.get_text().startswith("predicted"))
    assert (below.get_text(), above.get_text()) == ("predicted too high", "predicted too low")
    assert below.get_position()[0] > below.get_position()[1]  # below the dashed line, and above it
    assert above.get_position()[0] < above.get_position()[1]


def test_numbers_are_written_short() -> None:
    figure = figures.compared_shares([1e9, 1e6, 1e3, 999.0], [1, 1, 1, 1997], list("abcd"), labels=("x", "y"))
    assert texts(figure)[:4] == ["1 G · 99.9 %", "1 M · 0.1 %", "1 k · < 0.1 %", "999 · < 0.1 %"]
    assert "d: < 0.1 % and 99.9 %" in figure.alt
    assert "a: 99.9 % and 0.1 %" in figure.alt  # 0.05 % is rounded, and less is "< 0.1 %"


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.calibration({}), "pairs: expected at least one"),
    (lambda: figures.calibration({"a": ([0.1], [0.1, 0.2])}), r"a, true: expected shape \(1,\)"),
    (lambda: figures.calibration({"a": ([0.1, 0.2], [0.1, 0.2])}, bins=3), "bins: expected from 1 to 2"),
    (
        lambda: figures.calibration({"a": ([0.1, 0.2], [0.1, 0.2])}, bins=0),
        "bins: expected a whole number of 1 or more, got 0",
    ),
    (lambda: figures.compared_shares([2, -1], [1, 1], ["a", "b"], labels=("x", "y")), "left: expected numbers"),
    (lambda: figures.compared_shares([1], [1, 2], ["a"], labels=("x", "y")), r"right: expected shape \(1,\)"),
    (
        lambda: figures.compared_shares([-1], [1], ["a"], labels=("x", "y")),
        "left: expected numbers that are not negative",
    ),
    (
        lambda: figures.compared_shares([1], [0], ["a"], labels=("x", "y")),
        "right: expected numbers that are not negative",
    ),
    (lambda: figures.compared_shares([1], [1], ["a"], labels=("x", "y"), kinds=["b"]), "kinds: there is no b"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
