"""Tokens: names, strips, bars: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import NAMES, STATES

from sam_edu import figures


@pytest.mark.parametrize(
    ("labels", "box", "expected"),
    [
        ((), False, []),
        ([1], False, ["click +", "padding"]),
        ([1, 0, 1], False, ["click +", "click −", "click +", "padding"]),
        ((), True, ["corner 1", "corner 2"]),
        ([0], True, ["click −", "corner 1", "corner 2"]),
    ],
)
def test_token_names(labels: list[int], box: bool, expected: list[str]) -> None:
    assert figures.token_names(labels, box) == ["IoU", "mask 0", "mask 1", "mask 2", "mask 3", *expected]


def test_a_strip_is_on_one_scale_or_each_row_on_its_own() -> None:
    rows = np.array([[1.0, -2.0], [10.0, -40.0], [0.0, 0.0]])
    names = NAMES[:3]
    [together], [alone] = (figures.token_strip(rows, names, per_row=one).figure.axes[0].images for one in (False, True))
    np.testing.assert_allclose(together.get_array(), rows)
    assert together.get_clim()[1] == pytest.approx(np.quantile(np.abs(rows), 0.99))
    np.testing.assert_allclose(alone.get_array(), [[0.5, -1.0], [0.25, -1.0], [0.0, 0.0]])
    assert alone.get_clim() == (-1.0, 1.0)


def test_half_precision_and_tensors_with_gradients_are_drawn() -> None:
    states = STATES[:, :8].bfloat16().requires_grad_()
    assert figures.token_strip(states, NAMES).alt == figures.token_strip(states.detach().float().numpy(), NAMES).alt


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.token_strip(STATES, NAMES[:3]), "names: expected 7, one each, got 3"),
    (lambda: figures.token_strip(STATES[0], NAMES), r"vectors: expected shape \(rows, channels\), got \(256,\)"),
    (lambda: figures.token_strip(STATES, NAMES, order=[0, 1]), "order: expected each number from 0 to 255 once"),
    (lambda: figures.vector_bars([1.0], ["a", "b"]), r"values: expected shape \(2,\)"),
    (lambda: figures.vector_bars({}, ["a"]), "values: expected at least one, got none"),
    (
        lambda: figures.token_strip(STATES[:, :3], NAMES, order=[0, 1, 1]),
        "order: expected each number from 0 to 2 once",
    ),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
