"""Attention maps and matrices: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import pytest
from examples import IMAGE, MASKS, NAMES, SELF, SHARES, SQUARE, WEIGHTS

from sam_edu import figures
from sam_edu.figures import Figure
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
    grid = figures.attention_over_image(WEIGHTS.unflatten(1, (8, 32))[:2], IMAGE, outlines=MASKS)
    plain = figures.attention_over_image(WEIGHTS.unflatten(1, (8, 32))[:2], IMAGE)
    assert edges(grid)[:3] == [2, 2, 2]
    assert edges(plain)[:3] == [0, 0, 0]
    heard = figures.attention_to_tokens(SHARES, NAMES, outlines=MASKS)
    assert edges(heard)[:8] == [2] * 8
    assert edges(figures.attention_to_tokens(SHARES, NAMES))[:8] == [0] * 8
    row = figures.masks_row(IMAGE, MASKS, truth=MASKS[::-1])
    assert edges(row) == [1, 2, 1]
    assert row.alt.endswith("Dashed: the ground truth.")
    assert "Dashed" not in figures.masks_row(IMAGE, MASKS).alt


def test_maps_bear_their_titles_or_the_numbers_of_their_heads() -> None:
    two = WEIGHTS[:2]
    named = figures.attention_over_image(two, SQUARE, titles=["one", "two"])
    assert [axes.get_title().split("\n")[0] for axes in named.figure.axes[:3]] == ["the image", "one", "two"]
    assert "one at (" in named.alt
    assert " and two at (" in named.alt
    assert "head 0 at (" in figures.attention_over_image(two, SQUARE).alt


def test_a_limit_ends_the_colours_and_by_default_the_largest_share_does() -> None:
    def ends(figure: Figure) -> set[tuple[float, float]]:
        return {axes.images[0].get_clim() for axes in figure.figure.axes[:7]}

    assert ends(figures.attention_to_tokens(SHARES, NAMES, limit=0.5)) == {(0.0, 0.5)}
    assert ends(figures.attention_to_tokens(SHARES, NAMES)) == {(0.0, scale_end(float(SHARES.max())))}


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.token_matrix(SELF, NAMES[:6]), r"values: expected shape \(panels, 6, 6\)"),
    (lambda: figures.token_matrix(SELF, NAMES, titles=["one"]), "titles: expected 8"),
    (lambda: figures.attention_over_image(WEIGHTS[:, :255], SQUARE), "weights: 255 image tokens are no square grid"),
    (lambda: figures.attention_over_image(WEIGHTS, SQUARE, outlines=MASKS), "outlines: expected shape"),
    (lambda: figures.attention_to_tokens(SHARES, NAMES[:2]), "names: expected 7"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
