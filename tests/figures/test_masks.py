"""Prompts and masks on images: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import IMAGE, MASKS

from sam_edu import figures


def test_scores_stand_above_masks_where_they_are_given() -> None:
    both = figures.masks_row(IMAGE, MASKS[:1], predicted=[0.5], true=[0.25])
    assert both.figure.axes[0].get_title() == "mask 1\nIoU predicted 0.50, true 0.25"
    assert "predicted IoU 0.50, true IoU 0.25" in both.alt
    assert figures.masks_row(IMAGE, MASKS[:1]).figure.axes[0].get_title() == "mask 1"


@pytest.mark.parametrize(
    ("pixels", "words"), [(0, "0 %"), (1, "less than 1 %"), (15, "less than 1 %"), (16, "1 %"), (1536, "100 %")]
)
def test_a_mask_that_is_there_never_covers_nothing(pixels: int, words: str) -> None:
    mask = (np.arange(32 * 48) < pixels).reshape(1, 32, 48)
    assert f"mask 1 covers {words} of the image" in figures.masks_row(IMAGE, mask).alt


@pytest.mark.parametrize(
    ("points", "labels", "box", "words"),
    [
        ([[3, 4], [30, 20]], [1, 0], None, "a positive click at (3, 4) and a negative click at (30, 20)"),
        ([[3, 4]], None, [2, 3, 30, 25], "a positive click at (3, 4) and a box from (2, 3) to (30, 25)"),
        (None, None, [2, 3, 30, 25], "a box from (2, 3) to (30, 25)"),
    ],
)
def test_prompts_stand_in_the_alt_text(points: object, labels: object, box: object, words: str) -> None:
    assert words in figures.prompts_and_masks(IMAGE, points=points, labels=labels, box=box).alt
    assert f"the image with {words}. " in figures.masks_row(IMAGE, MASKS, points=points, labels=labels, box=box).alt


def test_images_are_named() -> None:
    figure = figures.images([np.ones((4, 4, 3)) / 3, np.zeros((4, 4, 3), np.uint8)], ["one\ntwo", "three"])
    assert "2 images: one two and three." in figure.alt


BLACK = np.zeros((40, 50, 3), np.uint8)
SQUARES = np.zeros((3, 40, 50))
SQUARES[0, :20, :25] = 1


def test_masks_by_prompt_gives_each_panel_its_own_prompts() -> None:
    figure = figures.masks_by_prompt(
        BLACK,
        SQUARES,
        ["click", "box\nswapped", "nothing"],
        clicks=[[[5, 6], [7, 8], [9, 9]], None, None],
        labels=[[1, 0, -1], None, None],
        boxes=[None, [30, 35, 10, 12], None],
        numbers=[1, 0, 0],
        corners=True,
        title="Three",
    )
    assert (
        "a positive click at (5, 6), a negative click at (7, 8) and a click of label -1 at (9, 9): 25 %" in figure.alt
    )
    assert "box swapped, a box from (30, 35) to (10, 12): 0 %" in figure.alt
    assert "nothing, no prompt: 0 %" in figure.alt
    first, second, third = figure.figure.axes
    assert [text.get_text() for text in first.texts] == ["−1"]
    assert [(text.get_text(), text.get_position()) for text in second.texts] == [("1", (30, 35)), ("2", (10, 12))]
    assert not third.texts
    assert not third.patches


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.prompts_and_masks(IMAGE, MASKS[:, 1:]), r"masks: expected shape \(masks, 32, 48\)"),
    (lambda: figures.prompts_and_masks(IMAGE, MASKS, names=["one"]), "names: expected 3, one each, got 1"),
    (lambda: figures.masks_row(IMAGE, MASKS, true=[0.5]), r"true: expected shape \(3,\)"),
    (lambda: figures.masks_row(IMAGE, MASKS, truth=MASKS[:2]), "truth: expected shape"),
    (lambda: figures.masks_row(IMAGE, MASKS, numbers=[1]), "numbers: expected 3"),
    (lambda: figures.masks_row(IMAGE, MASKS[:0]), "masks: expected shape"),
    (lambda: figures.logits_and_mask(np.zeros((4, 8, 8)), IMAGE), "logits: expected shape"),
    (lambda: figures.logits_and_mask(np.full((1, 32, 48), np.nan), IMAGE), "logits: expected shape|not finite"),
    (lambda: figures.logits_and_mask(np.full((1, 32, 48), np.inf), IMAGE), "logits: holds numbers that are not finite"),
    (lambda: figures.logits_and_mask(np.zeros((1, 32, 48)), IMAGE, limit=0), "limit: expected a positive number"),
    (lambda: figures.images([], []), "images: expected at least one"),
    (lambda: figures.masks_by_prompt(BLACK, SQUARES, ["a"]), "names: expected 3"),
    (lambda: figures.masks_by_prompt(BLACK, np.ones((2, 3, 3)), ["a", "b"]), "masks: expected shape"),
    (lambda: figures.masks_by_prompt(BLACK, SQUARES, list("abc"), boxes=[None]), "boxes: expected 3, one per panel"),
    (
        lambda: figures.masks_by_prompt(BLACK, SQUARES, list("abc"), clicks=[[[1]], None, None]),
        "clicks: expected shape",
    ),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
