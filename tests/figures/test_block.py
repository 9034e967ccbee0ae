"""The figures of the two-way block: what they say, what they draw, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from drawings import check_drawing

from sam_edu import figures
from sam_edu.figures import Figure
from sam_edu.figures.kit.marks import overlap

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (32, 32, 3), dtype=np.uint8)
MASKS = np.zeros((3, 32, 32), bool)
MASKS[0, 4:20, 5:30] = True
MASKS[1, 8:12, 8:14] = True  # the third stays empty: that must draw too
OTHER = MASKS.copy()
OTHER[0, 12:] = False
NAMES = figures.token_names([1])
BEFORE, AFTER = torch.from_numpy(RNG.normal(size=(2, 7, 24)))
MOVED = np.arange(7) * 10.0
CHANGE = torch.from_numpy(RNG.uniform(0, 90, size=(2, 64)))
POINTS = RNG.normal(size=(3, 2))

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "block_diagram": lambda: figures.block_diagram(),
    "block_diagram later": lambda: figures.block_diagram(8, 16, dim=32, mlp_dim=64, first=False),
    "vectors_before_and_after": lambda: figures.vectors_before_and_after(
        {"there": (POINTS, POINTS + 1, POINTS[:2]), "back": (POINTS[:2], POINTS[:2], POINTS)}, title="Moves"
    ),
    "tokens_before_and_after": lambda: figures.tokens_before_and_after(
        BEFORE, AFTER, NAMES, moved=MOVED, title="Step (1)"
    ),
    "tokens_before_and_after ordered": lambda: figures.tokens_before_and_after(
        BEFORE, AFTER, NAMES, moved=2 * MOVED, order=list(range(23, -1, -1))
    ),
    "change_over_image": lambda: figures.change_over_image(
        CHANGE, IMAGE, ["one", "two"], points=[[3, 4]], outlines=MASKS, title="Change"
    ),
    "change_over_image bare": lambda: figures.change_over_image(CHANGE.unflatten(1, (8, 8))[:1] * 0, IMAGE, ["a"]),
    "masks_by_way": lambda: figures.masks_by_way(
        IMAGE, {"as it is": MASKS, "in two\nlines": OTHER}, reference=MASKS, names=NAMES[2:5], points=[[3, 4]]
    ),
    "masks_by_way five": lambda: figures.masks_by_way(
        IMAGE, {str(i): OTHER for i in range(5)}, reference=MASKS, names=NAMES[2:5]
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_figure_with_words_and_the_same_bytes_twice(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_diagram_tells_block_0_from_the_next() -> None:
    first, later = figures.block_diagram(), figures.block_diagram(first=False)
    assert "without positional encodings and without a residual" in first.alt
    assert "with positional encodings and a residual" in later.alt
    assert first.png != later.png
    sums = [[text.get_text() for text in one.figure.axes[0].texts].count("+") for one in (first, later)]
    assert sums == [3, 4]  # step (1) of block 0 has no residual
    note = "block 0: no PE,\nno residual"
    assert [note in [text.get_text() for text in one.figure.axes[0].texts] for one in (first, later)] == [True, False]
    for part in ("7 tokens and 4096 image tokens of width 256", "256 to 2048 to 256"):
        assert part in first.alt


def test_moves_say_how_far() -> None:
    figure = figures.vectors_before_and_after(
        {"there": ([[0, 0]], [[3, 4]], [[1, 1]]), "back": ([[1, 1]], [[1, 1]], [[3, 4]])}
    )
    assert "there: token 0 moves by 5.00; back: image token 0 moves by 0.00" in figure.alt


def test_before_and_after_share_a_scale_and_an_order() -> None:
    axes = figures.tokens_before_and_after(BEFORE, 3 * AFTER, NAMES, moved=MOVED, order=range(23, -1, -1)).figure.axes
    first, second = (axes[i].images[0] for i in (0, 1))
    np.testing.assert_allclose(first.get_array(), BEFORE.numpy()[:, ::-1])
    assert first.get_clim() == second.get_clim()
    both = np.abs(np.concatenate([BEFORE.numpy(), 3 * AFTER.numpy()]))
    assert first.get_clim()[1] == pytest.approx(np.quantile(both, 0.99))


def test_change_is_on_one_scale_and_says_where_it_is_largest() -> None:
    maps = np.zeros((2, 8, 8))
    maps[0, 1, 6], maps[1, 0, 0] = 40.0, 10.0
    figure = figures.change_over_image(maps, IMAGE, ["one", "two"])
    assert "one: mean 1, most (40) at (26, 6); two: mean 0, most (10) at (2, 2)" in figure.alt
    assert {axes.images[0].get_clim() for axes in figure.figure.axes[1:3]} == {(0.0, 40.0)}


def test_overlaps_are_computed() -> None:
    assert overlap(MASKS[0], OTHER[0]) == pytest.approx(0.5)
    assert overlap(MASKS[2], OTHER[2]) == 1.0  # both empty
    assert overlap(MASKS[0], MASKS[2]) == 0.0
    figure = figures.masks_by_way(IMAGE, {"cut": OTHER}, reference=MASKS, names=NAMES[2:5])
    assert "cut: mask 1 0.50, mask 2 1.00 and mask 3 1.00" in figure.alt


def test_ways_are_named_above_their_first_mask_and_iou_above_each() -> None:
    figure = figures.masks_by_way(IMAGE, {"as it is": MASKS, "cut": OTHER}, reference=MASKS, names=NAMES[2:5])
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert titles == ["as it is\nIoU 1.00", "cut\nIoU 0.50", "IoU 1.00", "IoU 1.00", "IoU 1.00", "IoU 1.00"]


def test_masks_stand_on_a_pale_image() -> None:
    for image in (IMAGE, IMAGE / 255):
        axes = figures.masks_by_way(image, {"a": MASKS}, reference=MASKS, names=NAMES[2:5]).figure.axes[0]
        np.testing.assert_allclose(axes.images[0].get_array(), 0.5 + IMAGE / 510)


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.vectors_before_and_after({}), "panels: expected at least one"),
    (lambda: figures.vectors_before_and_after({"a": (POINTS, POINTS[:2], POINTS)}), r"after: expected shape \(3, 2\)"),
    (
        lambda: figures.tokens_before_and_after(BEFORE, AFTER[:6], NAMES, moved=MOVED),
        r"after: expected shape \(7, 24\)",
    ),
    (lambda: figures.tokens_before_and_after(BEFORE, AFTER, NAMES[:6], moved=MOVED), "names: expected 7"),
    (lambda: figures.tokens_before_and_after(BEFORE, AFTER, NAMES, moved=MOVED[:6]), r"moved: expected shape \(7,\)"),
    (
        lambda: figures.tokens_before_and_after(BEFORE, AFTER, NAMES, moved=MOVED, order=[0]),
        "order: expected each number",
    ),
    (lambda: figures.change_over_image(CHANGE[:, :63], IMAGE, ["a", "b"]), "maps: 63 image tokens are no square grid"),
    (lambda: figures.change_over_image(CHANGE, IMAGE, ["a"]), "titles: expected 2"),
    (lambda: figures.masks_by_way(IMAGE, {}, reference=MASKS, names=NAMES[2:5]), "ways: expected at least one"),
    (lambda: figures.masks_by_way(IMAGE, {"a": MASKS[:2]}, reference=MASKS, names=NAMES[2:5]), "ways a: expected"),
    (lambda: figures.masks_by_way(IMAGE, {"a": MASKS}, reference=MASKS, names=NAMES), "names: expected 3"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_the_unchanged_mask_is_dashed_where_it_is_another() -> None:
    figure = figures.masks_by_way(IMAGE, {"as it is": MASKS, "cut": OTHER}, reference=MASKS, names=NAMES[2:5])
    assert [len(axes.collections) for axes in figure.figure.axes] == [1, 2, 1, 1, 0, 0]
