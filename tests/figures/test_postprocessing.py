"""The figures of what comes after the decoder: what they compute themselves, what they say, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from drawings import check_drawing

from sam_edu import figures
from sam_edu.figures import Figure

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (30, 40, 3), dtype=np.uint8)
MASK = np.zeros((30, 40), bool)
MASK[8:14, 10:22] = True
ROUNDS = np.stack([MASK, np.roll(MASK, 2, axis=1), MASK & False])
CLICKS, LABELS = np.array([[12, 10], [14, 11], [20, 9]]), [1, 0, 1]
ROUND_ARGUMENTS = {"clicks": {"a": CLICKS}, "labels": {"a": LABELS}}

SIZES = {"low": RNG.normal(size=(16, 16)), "cut": RNG.normal(size=(12, 16)), "full": RNG.normal(size=(30, 40))}
DRAWINGS: dict[str, Callable[[], Figure]] = {
    "postprocessing_diagram": lambda: figures.postprocessing_diagram(),
    "postprocessing_diagram other": lambda: figures.postprocessing_diagram(90, 30, side=256, low=64),
    "resampled_line": lambda: figures.resampled_line(
        [1.0, -1.0],
        {"one": ([0.5, 1.0], [1.0, 0.0]), "other": (torch.tensor([0.2]), torch.tensor([1.0]))},
        title="Line",
    ),
    "sized_maps": lambda: figures.sized_maps(
        SIZES,
        image=IMAGE,
        frame=(12, 16),
        title="Sizes",
    ),
    "sized_maps bare": lambda: figures.sized_maps({"a": torch.zeros(5, 7)}),
    "corrections": lambda: figures.corrections(
        IMAGE,
        {"a": ROUNDS, "b": ROUNDS[:2]},
        MASK,
        clicks={"a": CLICKS, "b": CLICKS[:2]},
        labels={"a": LABELS, "b": LABELS[:2]},
        title="Corrections",
    ),
    "corrections zoomed": lambda: figures.corrections(
        IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS, first=2, columns=1, zoom=True
    ),
    "many_masks": lambda: figures.many_masks(
        IMAGE, {"kept": ROUNDS[:2], "none": ROUNDS[:0]}, points=CLICKS, title="Everything"
    ),
    "many_masks of floats": lambda: figures.many_masks(IMAGE / 255, {"kept": ROUNDS[:2]}),
    "means_with_intervals": lambda: figures.means_with_intervals(
        {"one": {"a": (0.5, 0.4, 0.6), "b": (0.7, 0.6, 0.8)}, "two": {"a": (0.1, 0.0, 0.2), "b": (0.9, 0.9, 1.0)}}
    ),
    "means_with_intervals single": lambda: figures.means_with_intervals({"one": {"a": (0.5, 0.4, 0.6)}}, title="Means"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_figure_with_words(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_diagram_has_the_sizes_of_both_ways() -> None:
    figure = figures.postprocessing_diagram(480, 200, side=256, low=64)
    for part in (
        "480 by 200",
        "scaled by 0.533 to 256 by 107",
        "64 by 64 are enlarged to 256 by 256",
        "x by 107 / 200",
    ):
        assert part in figure.alt
    drawn = [text.get_text() for text in figure.figure.axes[0].texts]
    for part in ("cut the padding off\n256 × 107", "x × 107 / 200\ny × 256 / 480", "logits\n64 × 64"):
        assert part in drawn


def test_line_draws_given_numbers_in_the_middles_of_their_pixels() -> None:
    figure = figures.resampled_line([3.0, -1.0], {"way": ([0.25, 1.75], [3.0, -1.0])})
    (axes,) = figure.figure.axes
    given, new = (line for line in axes.lines if line.get_label() in ("given", "new"))
    assert list(given.get_xdata()) == [0.5, 1.5]
    assert list(new.get_ydata()) == [3.0, -1.0]
    assert "at 0.25, 1.75 are 3.00, -1.00" in figure.alt


def test_sized_maps_have_one_scale_and_mark_the_frame() -> None:
    maps = {"low": np.ones((16, 16)), "cut": np.ones((12, 16)), "full": -np.ones((30, 40))}
    figure = figures.sized_maps(maps, frame=(12, 16))
    panels = figure.figure.axes[:3]
    assert len({axes.get_ylim() for axes in panels}) == 1
    assert [len(axes.patches) for axes in panels] == [1, 0, 0]
    assert "low, 16 by 16, above 0 on 100 % of the image" in figure.alt
    assert "padding begins" in figure.alt


def test_corrections_compute_the_iou_and_draw_all_clicks_so_far() -> None:
    figure = figures.corrections(IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS)
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert titles == ["1 click: IoU 1.00", "2 clicks: IoU 0.71", "3 clicks: IoU 0.00"]
    assert "a: IoU 1.00, 0.71, 0.00" in figure.alt
    later = figures.corrections(IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS, first=2, columns=1)
    assert [axes.get_title() for axes in later.figure.axes] == ["2 clicks: IoU 0.71"]
    assert "after 2 to 2 clicks" in later.alt


def test_zoom_shows_all_masks_and_clicks() -> None:
    figure = figures.corrections(IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS, zoom=True)
    for axes in figure.figure.axes:
        (x0, x1), (y1, y0) = axes.get_xlim(), axes.get_ylim()
        assert x0 >= -0.5
        assert x1 <= 39.5
        assert x0 < 10
        assert x1 > 24
        assert -0.5 <= y0 < 8
        assert 14 < y1 <= 29.5


def test_many_masks_count_what_is_covered() -> None:
    figure = figures.many_masks(IMAGE, {"kept": ROUNDS[:1], "none": ROUNDS[:0]})
    percent = round(100 * MASK.mean())
    assert f"kept: 1, {percent} % of the image covered and none: 0, 0 % of the image covered" in figure.alt
    assert [axes.get_title() for axes in figure.figure.axes] == ["kept: 1", "none: 0"]


def test_means_are_named_with_their_series() -> None:
    figure = DRAWINGS["means_with_intervals"]()
    assert "one: a 0.50, b 0.70; two: a 0.10, b 0.90" in figure.alt
    assert [text.get_text() for text in figure.figure.axes[0].texts] == ["0.50", "0.70", "0.10", "0.90"]


def test_means_of_several_series_have_a_legend() -> None:
    one = {"x": (0.5, 0.4, 0.6)}
    assert not figures.means_with_intervals({"a": one}).figure.legends
    four = figures.means_with_intervals(dict.fromkeys("abcd", one))
    assert [text.get_text() for text in four.figure.legends[0].get_texts()] == list("abcd")


def test_ways_of_fewer_rounds_leave_their_last_places_empty() -> None:
    figure = DRAWINGS["corrections"]()
    assert [axes.axison for axes in figure.figure.axes] == [True] * 5 + [False]
    assert [axes.get_title() for axes in figure.figure.axes][3:5] == ["IoU 1.00", "IoU 0.71"]
    assert "b: IoU 1.00, 0.71" in figure.alt


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figures.resampled_line([1.0], {}), "ways: expected at least one"),
        (lambda: figures.resampled_line([1.0], {"a": ([1.0], [1.0, 2.0])}), r"a, values: expected shape \(1,\)"),
        (lambda: figures.sized_maps({}), "maps: expected at least one"),
        (lambda: figures.sized_maps({"a": np.zeros((3, 3))}, image=IMAGE), "image: expected the size of the last map"),
        (lambda: figures.corrections(IMAGE, {}, MASK, clicks={}, labels={}), "ways: expected at least one"),
        (
            lambda: figures.corrections(IMAGE, {"a": ROUNDS[:2]}, MASK, **ROUND_ARGUMENTS),
            "clicks a: expected 2, one per round, got 3",
        ),
        (lambda: figures.corrections(IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS, first=4), "first: expected"),
        (lambda: figures.corrections(IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS, first=0), "first: expected"),
        (
            lambda: figures.corrections(IMAGE, {"a": ROUNDS}, MASK, **ROUND_ARGUMENTS, columns=0),
            "columns: expected a whole number",
        ),
        (
            lambda: figures.corrections(IMAGE, {"a": ROUNDS}, MASK, clicks={"b": CLICKS}, labels={"a": LABELS}),
            "clicks: expected the names of `ways`, 'a', got 'b'",
        ),
        (
            lambda: figures.corrections(IMAGE, {"a": ROUNDS}, MASK, clicks={"a": CLICKS}, labels={"b": LABELS}),
            "labels: expected the names of `ways`, 'a', got 'b'",
        ),
        (lambda: figures.means_with_intervals({"a": {}}), "series a: expected at least one"),
        (lambda: figures.means_with_intervals({c: {"x": (0, 0, 0)} for c in "abcde"}), "at most four series"),
        (lambda: figures.many_masks(IMAGE, {}), "groups: expected at least one"),
        (lambda: figures.many_masks(IMAGE, {"a": np.zeros((2, 3, 3))}), "a: expected shape"),
        (lambda: figures.means_with_intervals({}), "series: expected at least one"),
        (lambda: figures.means_with_intervals({"a": {"x": (0, 0, 0)}, "b": {"y": (0, 0, 0)}}), "the same names"),
    ],
)
def test_refuses_what_cannot_be_drawn(draw: Callable[[], Figure], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw()
