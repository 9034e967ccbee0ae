"""Differences of masks and of two clicks' tensors: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from drawings import check_drawing
from examples import CLICK, IMAGE, MASKS, NAMES, RNG, SQUARE, WEIGHTS

from sam_edu import figures
from sam_edu.figures import Figure
from sam_edu.figures.kit.colours import GAINED, KEPT, LOST
from sam_edu.figures.kit.scales import scale_end

VECTORS = RNG.normal(size=(7, 64))
CHANGED = VECTORS + np.eye(7, 64)
BEFORE = MASKS[0]
AFTER = np.stack([np.roll(BEFORE, 3, axis=1), BEFORE, ~BEFORE, BEFORE & False])

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "gained_and_lost": lambda: figures.gained_and_lost(
        IMAGE, BEFORE, AFTER, names=["moved", "same", "other", "none"], points=CLICK, title="What became of it"
    ),
    "gained_and_lost pairs": lambda: figures.gained_and_lost(IMAGE / 255, MASKS, MASKS[::-1]),
    "strips": lambda: figures.two_and_difference(VECTORS, CHANGED, names=("A", "B"), rows=NAMES),
    "maps": lambda: figures.two_and_difference(
        WEIGHTS[:2],
        WEIGHTS[2:4],
        names=("A", "B"),
        rows=["head 0", "head 1"],
        image=SQUARE,
        points=(CLICK, [[20, 20]]),
        label="weight",
        title="Two clicks",
    ),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_drawing(draw: Callable[[], Figure]) -> None:
    check_drawing(draw)


def test_pixels_are_counted() -> None:
    figure = DRAWINGS["gained_and_lost"]()
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert titles[0] == "moved\n+48, −48 pixels, IoU 0.79"
    assert titles[1] == "same\n0, 0 pixels, IoU 1.00"
    assert titles[3] == "none\n0, −400 pixels, IoU 0.00"
    assert "moved: +48, −48 pixels, IoU 0.79; same: 0, 0 pixels" in figure.alt


def test_each_kind_has_its_colour_and_hatch() -> None:
    figure = figures.gained_and_lost(IMAGE, BEFORE, AFTER[:1])
    [legend] = figure.figure.legends
    from matplotlib.colors import to_hex

    shown = {text.get_text(): patch for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)}
    colours = {name: to_hex(patch.get_facecolor()).upper() for name, patch in shown.items()}
    assert colours == {"kept": KEPT, "gained": GAINED, "lost": LOST}
    assert len({patch.get_hatch() for patch in shown.values()}) == 3
    areas = [one for one in figure.figure.axes[0].collections if one.filled]
    assert len(areas) == 3


def test_two_share_a_scale_and_the_difference_has_its_own() -> None:
    figure = figures.two_and_difference(VECTORS, CHANGED, names=("A", "B"), rows=NAMES)
    one, other, change = (axes.images[0] for axes in figure.figure.axes[:3])
    assert one.get_clim() == other.get_clim() != change.get_clim()
    np.testing.assert_allclose(change.get_array(), CHANGED - VECTORS)
    assert change.get_clim()[1] == scale_end(float(np.quantile(np.abs(CHANGED - VECTORS), 0.995)))
    assert [axes.get_title("left") for axes in figure.figure.axes[:3]] == ["A", "B", "B − A"]


def test_maps_have_a_row_each_and_ticks_at_their_click() -> None:
    figure = DRAWINGS["maps"]()
    panels = figure.figure.axes[:6]
    places = [{tuple(line.get_xydata()[0]) for line in axes.lines} for axes in panels]
    assert places == [{(10, 9)}, {(20, 20)}, {(10, 9), (20, 20)}] * 2
    assert [panels[0].get_ylabel(), panels[3].get_ylabel()] == ["head 0", "head 1"]
    assert "square-root scale" in figure.figure.axes[6].get_ylabel()


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.gained_and_lost(IMAGE, BEFORE[1:], AFTER), r"before: expected shape \(32, 48\)"),
    (lambda: figures.gained_and_lost(IMAGE, MASKS, AFTER), r"before: expected shape \(4, 32, 48\)"),
    (lambda: figures.gained_and_lost(IMAGE, BEFORE, AFTER, names=["a"]), "names: expected 4"),
    (lambda: figures.two_and_difference(VECTORS, CHANGED, names=("A", "B"), rows=["a"]), r"one: expected shape \(1,"),
    (
        lambda: figures.two_and_difference(VECTORS, CHANGED[:6], names=("A", "B"), rows=NAMES),
        r"other: expected shape \(7, 64\)",
    ),
    (
        lambda: figures.two_and_difference(WEIGHTS[:1], WEIGHTS, names=("A", "B"), rows=["a"], image=SQUARE),
        r"other: expected shape \(1, 16, 16\)",
    ),
    (
        lambda: figures.two_and_difference(-WEIGHTS[:1], WEIGHTS[:1], names=("A", "B"), rows=["a"], image=SQUARE),
        "one: expected weights, which are not negative",
    ),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
