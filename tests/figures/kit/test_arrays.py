"""Input checks that all figures share: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import CLICK, IMAGE

from sam_edu import figures


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.ones((4, 4, 3)), np.full((4, 4, 3), 255, np.uint8)])
def test_all_that_an_image_may_hold_is_drawn(image: np.ndarray) -> None:
    assert figures.prompts_and_masks(image).png


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.prompts_and_masks(IMAGE[..., 0]), r"image: expected shape \(height, width, 3\), got \(32, 48\)"),
    (lambda: figures.prompts_and_masks(IMAGE * 2.0), "image: expected bytes, or floats from 0 to 1"),
    (lambda: figures.prompts_and_masks(IMAGE, points=[1, 2]), r"points: expected shape \(clicks, 2\)"),
    (lambda: figures.prompts_and_masks(IMAGE, points=CLICK, labels=[1, 0]), r"labels: expected shape \(1,\)"),
    (lambda: figures.prompts_and_masks(IMAGE, box=[[1, 2, 3, 4]]), r"box: expected shape \(4,\), got \(1, 4\)"),
    (lambda: figures.prompts_and_masks(IMAGE / 255 - 0.1), "image: expected bytes, or floats from 0 to 1"),
    (lambda: figures.prompts_and_masks(IMAGE / 255 * np.nan), "image: holds numbers that are not finite"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
