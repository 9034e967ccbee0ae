"""The figures of where the time goes: what they draw, what they say, and what they refuse."""

from collections.abc import Callable

import pytest

from sam_edu import figures


def test_the_diagram_counts_both_orders() -> None:
    figure = figures.folding_diagram()
    for part in ("134 M", "3.7 M", "56 rows of width 256", "0.2 M", "58.7 M", "138 M against 62.6 M"):
        assert part in figure.alt
    small = figures.folding_diagram(tokens=2, image_tokens=10, dim=8, internal=4, heads=2)
    assert "4 rows of width 8" in small.alt
    assert small.png != figure.png


def test_areas_of_the_diagram_are_the_multiplications() -> None:
    squares = [patch.get_bbox() for patch in figures.folding_diagram().figure.axes[0].patches]
    areas = [square.width * square.height for square in squares]
    numbers = [4096 * 256 * 128, 7 * 4096 * 128, 7 * 128 * 256, 56 * 4096 * 256, 7 * 4096 * 128]
    assert [area / areas[0] for area in areas] == pytest.approx([number / numbers[0] for number in numbers])


def test_bars_stand_end_to_end_and_small_steps_are_one() -> None:
    ways = {"old": {"a": 6.0, "b": 4.0, "c": 0.1, "d": 0.1}, "new": {"a": 2.0, "b": 3.0, "c": 0.1}}
    figure = figures.step_times(ways, unit="time, ms", title="Growing", note="on a machine")
    axes = figure.figure.axes[0]
    assert [bars.get_label() for bars in axes.containers] == ["a", "b", "the rest"]
    for i, way in enumerate(ways.values()):
        ends = [(bars[i].get_x(), bars[i].get_width()) for bars in axes.containers]
        assert ends[0] == (0.0, way["a"])
        assert ends[1] == (way["a"], way["b"])
        assert sum(width for _, width in ends) == pytest.approx(sum(way.values()))
    assert [text.get_text() for text in axes.texts] == ["10.2", "5.1: 2.00 times as fast"]
    assert "on a machine" in axes.get_xlabel()
    assert "new 5.1, 0.50 of the first" in figure.alt
    assert "largest part of the last bar is b" in figure.alt


def test_quartiles_are_a_line_at_the_end_of_their_bar() -> None:
    ways = {"old": {"a": 6.0, "b": 4.0}, "new": {"a": 2.0, "b": 3.0}, "newer": {"a": 1.0, "b": 3.0}}
    figure = figures.step_times(ways, ends={"new": (4.5, 5.25)})
    lines = [line.get_xydata().tolist() for line in figure.figure.axes[0].lines]
    assert lines == [[[10, 0], [10, 0]], [[4.5, 1], [5.25, 1]], [[4, 2], [4, 2]]]
    assert "new 5, 0.50 of the first (4.5 to 5.25); newer 4, 0.40 of the first" in figure.alt


def test_points_lie_where_they_were_measured_under_two_roofs() -> None:
    points = {"product": (50.0, 60e9), "sum": (0.1, 1e9)}
    figure = figures.roofline(points, peak=100e9, memory=20e9, title="Roofs", note="on a machine")
    axes = figure.figure.axes[0]
    roof = axes.lines[0]
    assert roof.get_ydata().max() == 100.0
    assert roof.get_ydata()[0] == pytest.approx(20.0 * roof.get_xdata()[0])
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines[1:] if len(line.get_xdata())]
    assert drawn == [(50.0, 60.0), (0.1, 1.0)]
    assert "meet at 5.0 operations per byte" in figure.alt
    assert "product: 50 operations per byte, 60 GFLOP/s, 60 % of the roof" in figure.alt
    assert "sum: 0.1 operations per byte, 1 GFLOP/s, 50 % of the roof" in figure.alt


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.step_times({}), "ways: expected at least one"),
    (lambda: figures.step_times({"a": {}}), "ways a: expected at least one"),
    (lambda: figures.step_times({"a": {"x": -1.0}}), "not negative"),
    (lambda: figures.step_times({"a": {"x": 0.0}}), "takes time"),
    (lambda: figures.step_times({"a": {str(i): 1.0 for i in range(9)}}), "at most 8 large steps"),
    (lambda: figures.step_times({"a": {"x": 1.0}, "b": {}}), "ways b: expected at least one"),
    (lambda: figures.step_times({"a": {"x": 2.0}, "b": {"x": 1.0, "y": -1.0}}), "not negative"),
    (lambda: figures.step_times({"a": {"x": 1.0}}, ends={"b": (1.0, 2.0)}), "ends: "),
    (lambda: figures.step_times({"a": {"x": 1.0}}, ends={"a": (1.0,)}), "ends a: "),
    (lambda: figures.roofline({"a": (1.0, 0.0)}, peak=1.0, memory=1.0), "expected a positive number, got 0"),
    (lambda: figures.roofline({"a": (1.0, 1.0)}, peak=0.0, memory=1.0), "expected a positive number, got 0"),
    (lambda: figures.roofline({}, peak=1.0, memory=1.0), "points: expected at least one"),
    (lambda: figures.roofline({"a": (0.0, 1.0)}, peak=1.0, memory=1.0), "expected a positive number, got 0"),
    (lambda: figures.roofline({"a": (1.0, 1.0)}, peak=1.0, memory=0.0), "expected a positive number, got 0"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
