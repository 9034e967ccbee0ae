"""Attention maps and matrices: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import IMAGE, MASKS, NAMES, SELF, SHARES, SQUARE, WEIGHTS

from sam_edu import figures
from sam_edu.figures import Figure
from sam_edu.figures.kit.colours import NEGATIVE, POSITIVE
from sam_edu.figures.kit.overlay import in_grey, overlay
from sam_edu.figures.kit.scales import scale_end


def edges(figure: Figure) -> list[int]:
    """The number of lines around masks, per panel."""
    collections = [axes.collections for axes in figure.figure.axes]
    return [sum(any(len(path.vertices) for path in line.get_paths()) for line in lines) for lines in collections]


def test_values_change_the_figure() -> None:
    changed = SELF.clone()
    changed[0, 0] = changed[0, 0].flip(0)
    assert figures.token_matrix(changed, NAMES).png != figures.token_matrix(SELF, NAMES).png


def test_outlines_stand_on_every_panel_and_empty_ones_on_none() -> None:
    # Three masks, one of them empty; the last axes are the colour bar's, which has lines of its own.
    grid = figures.attention_maps(WEIGHTS.unflatten(1, (8, 32))[:2], IMAGE, outlines=MASKS)
    plain = figures.attention_maps(WEIGHTS.unflatten(1, (8, 32))[:2], IMAGE)
    assert edges(grid)[:2] == [2, 2]
    assert edges(plain)[:2] == [0, 0]
    heard = figures.attention_to_tokens(SHARES, NAMES, outlines=MASKS)
    assert edges(heard)[:8] == [2] * 8
    assert edges(figures.attention_to_tokens(SHARES, NAMES))[:8] == [0] * 8
    row = figures.masks_row(IMAGE, MASKS, truth=MASKS[::-1])
    assert edges(row) == [1, 2, 1]
    assert row.alt.endswith("Dashed: the ground truth.")
    assert "Dashed" not in figures.masks_row(IMAGE, MASKS).alt


def test_maps_bear_their_titles_or_the_numbers_of_their_heads() -> None:
    two = WEIGHTS[:2]
    named = figures.attention_maps(two, SQUARE, titles=["one", "two"])
    assert [axes.get_title().split("\n")[0] for axes in named.figure.axes[:2]] == ["one", "two"]
    assert "one at (" in named.alt
    assert " and two at (" in named.alt
    assert "head 0 at (" in figures.attention_maps(two, SQUARE).alt


FAINT_AND_STRONG = np.stack([np.full((8, 8), 1 / 64), np.eye(8) / 8])


def drawn(figure: Figure) -> list[np.ndarray]:
    """The colours of each map."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.figure.axes if axes.images]


def test_all_maps_share_one_scale_which_stands_beside_them() -> None:
    figure = figures.attention_maps(FAINT_AND_STRONG, SQUARE)
    faint, strong = drawn(figure)
    top = scale_end(1 / 8)
    for one, weights in ((faint, FAINT_AND_STRONG[0]), (strong, FAINT_AND_STRONG[1])):
        np.testing.assert_allclose(one, overlay(weights, in_grey(SQUARE), top))
    bar = figure.figure.axes[-1]
    assert "one scale for all panels" in bar.get_ylabel()
    assert "square-root scale" in bar.get_ylabel()
    assert bar.get_ylim() == (0.0, top)
    assert f"all panels on one scale up to {top:.2g}" in figure.alt
    brighter = figures.attention_maps(FAINT_AND_STRONG, SQUARE, limit=1 / 64)
    np.testing.assert_allclose(drawn(brighter)[0], overlay(np.ones((8, 8)), in_grey(SQUARE), 1.0))


def test_a_scale_for_each_panel_is_said() -> None:
    figure = figures.attention_maps(FAINT_AND_STRONG, SQUARE, per_panel=True)
    np.testing.assert_allclose(drawn(figure)[0], overlay(np.ones((8, 8)), in_grey(SQUARE), 1.0))
    assert "the panel's own maximum" in figure.figure.axes[-1].get_ylabel()
    assert "each panel scaled to its own maximum" in figure.alt


def test_clicks_are_ticks_that_leave_the_position_free() -> None:
    figure = figures.attention_maps(FAINT_AND_STRONG, SQUARE, points=[[3, 4], [9, 9]], labels=[1, 0])
    for axes in figure.figure.axes[:2]:
        assert {tuple(line.get_xydata()[0]) for line in axes.lines} == {(3.0, 4.0), (9.0, 9.0)}
        assert {line.get_markeredgecolor() for line in axes.lines} == {"white", POSITIVE, NEGATIVE}


def test_a_limit_ends_the_colours_and_by_default_the_largest_share_does() -> None:
    def ends(figure: Figure) -> set[tuple[float, float]]:
        return {axes.images[0].get_clim() for axes in figure.figure.axes[:7]}

    assert ends(figures.attention_to_tokens(SHARES, NAMES, limit=0.5)) == {(0.0, 0.5)}
    assert ends(figures.attention_to_tokens(SHARES, NAMES)) == {(0.0, scale_end(float(SHARES.max())))}


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.token_matrix(SELF, NAMES[:6]), r"values: expected shape \(panels, 6, 6\)"),
    (lambda: figures.token_matrix(SELF, NAMES, titles=["one"]), "titles: expected 8"),
    (lambda: figures.attention_maps(WEIGHTS[:, :255], SQUARE), "weights: 255 image tokens are no square grid"),
    (lambda: figures.attention_maps(WEIGHTS, SQUARE, outlines=MASKS), "outlines: expected shape"),
    (lambda: figures.attention_maps(-WEIGHTS, SQUARE), "weights: expected weights, which are not negative"),
    (lambda: figures.attention_maps(WEIGHTS, SQUARE, limit=0), "limit: expected a positive number"),
    (lambda: figures.attention_maps(WEIGHTS, SQUARE, limit=1, per_panel=True), "limit: .*each panel has its own scale"),
    (lambda: figures.attention_to_tokens(SHARES, NAMES[:2]), "names: expected 7"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
