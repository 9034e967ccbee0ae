"""Feature maps: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import MAPS

from sam_edu import figures


def test_channels_are_on_one_scale_or_each_on_its_own() -> None:
    maps = np.zeros((2, 2, 2))
    maps[0, 0, 0], maps[1] = 2.0, 8.0
    together, alone = figures.channels(maps), figures.channels(maps, per_channel=True)
    assert [axes.get_title() for axes in together.figure.axes[:2]] == ["0", "1"]
    assert [axes.get_title() for axes in alone.figure.axes[:2]] == ["0: 2", "1: 8"]
    assert [axes.images[0].get_array().max() for axes in together.figure.axes[:2]] == [0.25, 1.0]
    assert [axes.images[0].get_array().max() for axes in alone.figure.axes[:2]] == [1.0, 1.0]
    assert "on one colour scale; 0 varies most over the image, 1 least" in together.alt
    assert "each scaled to its own maximum; 0 varies most" in alone.alt


def test_embeddings_have_the_colours_of_their_basis_or_else_their_own() -> None:
    basis, maps = figures.embedding_basis(MAPS), np.stack([MAPS.flip(1), MAPS / 3])
    fixed, own = figures.embeddings(maps, ["a", "b"], basis=basis), figures.embeddings(maps, ["a", "b"])
    fixed_colours, own_colours = (
        [image.get_array() for axes in one.figure.axes for image in axes.images] for one in (fixed, own)
    )
    np.testing.assert_allclose(fixed_colours, basis.colours(maps))
    assert np.ptp(fixed_colours[1]) < 0.75 < np.ptp(own_colours[1])
    kept = f"{100 * basis.kept:.0f} % of the variance of the embedding that they are made from."
    assert fixed.alt.endswith(f"The three directions shown hold {kept}")
    assert own.alt.endswith(" % of the variance.")


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.channels(MAPS, order=[32]), "order: expected at least one index from 0 to 31, got 32"),
    (lambda: figures.channels(MAPS[0]), r"maps: expected shape \(channels, height, width\)"),
    (
        lambda: figures.embeddings(MAPS[None, :2], ["a"]),
        "maps: expected at least 3 channels, one for each colour, got 2",
    ),
    (lambda: figures.channels(MAPS, order=[]), "order: expected at least one index"),
    (lambda: figures.channels(MAPS, order=[3, -33]), "order: expected at least one index from 0 to 31"),
]


@pytest.mark.no_shape_check
def test_the_colour_bar_of_channels_ends_at_zero_where_nothing_is_negative() -> None:
    bars = [figures.channels(maps).figure.axes[-1] for maps in (MAPS, np.abs(MAPS))]
    assert [bar.get_ylim() for bar in bars] == [(-1, 1), (0, 1)]
    assert [len(bar.get_yticklabels()) for bar in bars] == [3, 2]


@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
