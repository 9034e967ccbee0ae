"""What is placed on a mask refuses an empty one."""

from collections.abc import Callable

import numpy as np
import pytest

from sam_edu.scenes.boxes import noisy_box, tight_box
from sam_edu.scenes.clicks import centre_click, random_click
from sam_edu.scenes.mask_checks import check_not_empty

PLACED: dict[str, Callable[[np.ndarray], object]] = {
    "check": check_not_empty,
    "centred click": centre_click,
    "random click": lambda mask: random_click(mask, np.random.default_rng(0)),
    "box": tight_box,
    "noisy box": lambda mask: noisy_box(mask, np.random.default_rng(0)),
}


@pytest.mark.parametrize("place", PLACED.values(), ids=PLACED)
def test_an_empty_mask_is_refused(place: Callable[[np.ndarray], object]) -> None:
    with pytest.raises(ValueError, match=r"mask: expected at least one pixel, got an empty mask of shape \(3, 4\)"):
        place(np.zeros((3, 4), bool))


def test_the_message_names_the_argument() -> None:
    with pytest.raises(ValueError, match="target: expected at least one pixel"):
        check_not_empty(np.zeros((3, 4), bool), "target")


@pytest.mark.parametrize("place", PLACED.values(), ids=PLACED)
def test_one_pixel_is_enough(place: Callable[[np.ndarray], object]) -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    place(mask)
