"""Figures of positions and their encodings: what they say, what they draw, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam_edu import figures

RNG = np.random.default_rng(0)


def test_diagram_names_every_shape() -> None:
    alt = figures.prompt_diagram().alt
    for part in ("divided by 1024", "2 by 128", "256 by 256 logits", "4 by 128 by 128", "16 by 64 by 64", "256 by 64"):
        assert part in alt
    assert "divided by 256" in figures.prompt_diagram(side=256).alt
    assert figures.prompt_diagram().png != figures.prompt_diagram(grid=32).png


def test_maps_share_one_scale_and_say_their_extremes() -> None:
    maps = torch.zeros(2, 4, 8)
    maps[0, 1, 2], maps[1, 3, 7] = 0.5, -0.25
    figure = figures.position_maps(maps, ["a", "b"], points=[[0.3, 0.4], [0.9, 0.9]], title="Two")
    assert "2 maps of similarity" in figure.alt
    assert "a highest 0.50 at (0.31, 0.38)" in figure.alt
    assert "lowest -0.25 at (0.94, 0.88)" in figure.alt
    norms = {(axes.images[0].norm.vmin, axes.images[0].norm.vmax) for axes in figure.figure.axes[:2]}
    assert norms == {(-1.0, 1.0)}
    assert [len(axes.lines) for axes in figure.figure.axes[:2]] == [2, 2]  # a ring each, and its halo


def test_maps_wrap_into_rows() -> None:
    figure = figures.position_maps(np.zeros((5, 2, 2)), list("abcde"), columns=3)
    assert sum(bool(axes.images) for axes in figure.figure.axes) == 5
    assert "1 map of" in figures.position_maps(np.zeros((1, 2, 2)), ["a"]).alt


def test_wave_marks_positions_and_says_sine_and_cosine() -> None:
    x = np.linspace(0, 1, 5)
    alt = figures.wave_and_circle(np.pi * x, x, [0, 2]).alt
    assert "x = 0.00 has sine 0.00 and cosine 1.00 and x = 0.50 has sine 1.00 and cosine 0.00" in alt


def test_pixel_centres_says_both_means() -> None:
    alt = figures.pixel_centres(8, 4).alt
    assert "(1.5, 1.5)" in alt
    assert "(2, 2), the centre of the image token" in alt
    assert figures.pixel_centres(4, 2).png


def test_curves_say_their_ends_and_draw_band_and_formula() -> None:
    curve = {"one": [1.0, 0.5, 0.25]}
    plain = figures.curves_along([0, 1, 2], curve, xlabel="x", ylabel="y")
    assert "one from 1.00 to 0.25." in plain.alt
    full = figures.curves_along(
        [0, 1, 2], curve, dashed=curve, band={"one": ([0.9, 0.4, 0.2], [1.1, 0.6, 0.3])}, xlabel="x", ylabel="y"
    )
    assert "Dashed: the formula." in full.alt
    assert len(full.figure.axes[0].collections) == 1
    assert len(full.figure.axes[0].lines) == len(plain.figure.axes[0].lines) + 1


ONES = np.ones((2, 3, 3))
WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.prompt_diagram(dim=255), "dim: expected a multiple of 2, got 255"),
    (lambda: figures.prompt_diagram(inner=6), "inner: expected a multiple of 4, got 6"),
    (lambda: figures.position_maps(ONES, ["a"]), "names: expected 2"),
    (lambda: figures.position_maps(ONES[0], ["a"]), r"maps: expected shape \(maps, height, width\)"),
    (lambda: figures.position_maps(ONES, ["a", "b"], points=[[0, 1]]), r"points: expected shape \(2, 2\)"),
    (lambda: figures.position_maps(ONES, ["a", "b"], limit=0), "limit: expected a positive number"),
    (lambda: figures.position_maps(ONES, ["a", "b"], columns=0), "columns: expected a whole number of 1 or more"),
    (
        lambda: figures.wave_and_circle([1.0, 2.0], [0.0, 1.0], [2]),
        "marked: expected at least one index from 0 to 1, got 2",
    ),
    (lambda: figures.wave_and_circle([1.0], [0.0, 1.0], []), r"angles: expected shape \(2,\)"),
    (lambda: figures.pixel_centres(9, 4), "pixels: expected a multiple of 4, got 9"),
    (lambda: figures.curves_along([0], {}, xlabel="x", ylabel="y"), "curves: expected at least one"),
    (
        lambda: figures.curves_along([0], {"a": [1]}, dashed={"b": [1]}, xlabel="x", ylabel="y"),
        "dashed: there is no curve 'b'; there are 'a'",
    ),
    (
        lambda: figures.curves_along([0], {name: [1] for name in "abcde"}, xlabel="x", ylabel="y"),
        "curves: expected at most 4, as there are no more marks, got 5",
    ),
    (lambda: figures.curves_along([0], {"a": [1, 2]}, xlabel="x", ylabel="y"), r"a: expected shape \(1,\)"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
