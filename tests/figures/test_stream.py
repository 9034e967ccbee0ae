"""Figures of the two streams: what they compute themselves, what they say, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from drawings import check_drawing, texts

from sam_edu import figures
from sam_edu.figures import Figure

RNG = np.random.default_rng(0)
NAMES = figures.token_names([1])
QUERIES = torch.from_numpy(RNG.normal(size=(8, 7, 16)))
KEYS = torch.from_numpy(RNG.normal(size=(3, 64, 16)))
WEIGHTS = torch.from_numpy(RNG.normal(size=(2, 3, 64))).softmax(-1)
IMAGE = RNG.integers(0, 255, (32, 32, 3), dtype=np.uint8)
MASKS = np.zeros((2, 32, 32), bool)
MASKS[0, 4:20, 5:30] = True  # the second stays empty: that must draw too

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "two_way_transformer_diagram": lambda: figures.two_way_transformer_diagram(),
    "similarity_by_depth": lambda: figures.similarity_by_depth(QUERIES, KEYS, NAMES, outlines=MASKS, title="Both"),
    "streams of one block": lambda: figures.similarity_by_depth(QUERIES[:5], KEYS[:2], NAMES),
    "attention_grid": lambda: figures.attention_grid(
        WEIGHTS, IMAGE, ["a", "b"], ["x", "y", "z"], points=[[3, 4]], outlines=MASKS, title="Grid"
    ),
    "attention_grid bare": lambda: figures.attention_grid(WEIGHTS[:1, :1], IMAGE, ["a"], ["x"]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_figure_with_words(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_diagram_names_every_shape_and_way() -> None:
    figure = figures.two_way_transformer_diagram(9, 32, 48, dim=128)
    for part in ("9 tokens of width 128", "128 by 32 by 48", "1536 image tokens", "hs, 9 by 128", "keys, 1536 by 128"):
        assert part in figure.alt
    drawn = texts(figure)
    assert drawn.count("1536 × 128") == 3
    assert sum("◎" in text for text in drawn) == 2 + 3 + 1 + 1  # block 0, block 1, (6-1), the note
    assert {"layers.0", "layers.1", "hs", "keys"} <= set(drawn)
    assert figure.png != figures.two_way_transformer_diagram().png


def test_streams_draw_the_cosines_step_by_step() -> None:
    figure = figures.similarity_by_depth(QUERIES, KEYS, NAMES)
    to_start, to_end = figure.figure.axes[:2]
    expected = torch.cosine_similarity(QUERIES, QUERIES[:1], dim=-1).numpy()
    lines = {line.get_label(): line.get_ydata() for line in to_start.lines}
    for i, name in enumerate(NAMES):
        # start, (1), (2), (3), and at (4) what was there; twice; then (6-1).
        rows = [0, 1, 2, 3, 3, 4, 5, 6, 6, 7]
        np.testing.assert_allclose(lines[name], expected[rows, i], atol=1e-6)
    means = torch.cosine_similarity(KEYS, KEYS[-1:], dim=-1).mean(1).numpy()
    lines = {line.get_label(): line.get_ydata() for line in to_end.lines}
    np.testing.assert_allclose(lines["image tokens, mean"], means[[0, 0, 0, 0, 1, 1, 1, 1, 2, 2]], atol=1e-6)
    assert [tick.get_text() for tick in to_start.get_xticklabels()] == [
        "start",
        *("(1)", "(2)", "(3)", "(4)") * 2,
        "(6-1)",
    ]
    assert f"IoU {expected[-1, 0]:.2f}" in figure.alt


def test_streams_map_each_place() -> None:
    figure = figures.similarity_by_depth(QUERIES, KEYS, NAMES, outlines=MASKS)
    drawn = [axes.images[0].get_array() for axes in figure.figure.axes if axes.images]
    assert len(drawn) == 3  # none twice: the start is as like the end as the end is like the start
    for one, (state, other) in zip(drawn, ((1, 0), (2, 0), (1, 2)), strict=True):
        expected = torch.cosine_similarity(KEYS[state], KEYS[other], dim=-1).unflatten(0, (8, 8))
        np.testing.assert_allclose(one, expected.numpy(), atol=1e-6)


def test_grid_has_a_row_per_layer_and_a_column_per_token() -> None:
    spot = torch.zeros(2, 3, 64)
    for i in range(2):
        for j in range(3):
            spot[i, j, 8 * i + j] = 0.25 * (1 + j)
    figure = figures.attention_grid(spot, IMAGE, ["first", "second"], ["x", "y", "z"])
    assert "first: x at (2, 2), y at (6, 2) and z at (10, 2)" in figure.alt
    assert "second: x at (2, 6), y at (6, 6) and z at (10, 6)" in figure.alt
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert {"x\nmax 0.25", "y\nmax 0.5", "z\nmax 0.75", "max 0.25"} <= set(titles)
    assert {"first", "second"} <= {axes.get_ylabel() for axes in figure.figure.axes}


def test_values_change_the_figures() -> None:
    assert (
        figures.similarity_by_depth(QUERIES * 1.0, KEYS, NAMES).png
        != figures.similarity_by_depth(QUERIES.flip(1), KEYS, NAMES).png
    )
    grids = [figures.attention_grid(w, IMAGE, ["a", "b"], list("xyz")).png for w in (WEIGHTS, WEIGHTS.flip(0))]
    assert grids[0] != grids[1]


WRONG: list[tuple[Callable[[], object], str]] = [
    (
        lambda: figures.similarity_by_depth(QUERIES[:7], KEYS, NAMES),
        r"queries: expected shape \(8, tokens, 16\), got \(7, 7, 16\)",
    ),
    (lambda: figures.similarity_by_depth(QUERIES, KEYS[:2], NAMES), r"queries: expected shape \(5, tokens, 16\)"),
    (
        lambda: figures.similarity_by_depth(QUERIES[:2], KEYS[:1], NAMES),
        "keys: expected the start and at least one block",
    ),
    (lambda: figures.similarity_by_depth(QUERIES, KEYS, NAMES[:5]), "names: expected 7, one each, got 5"),
    (lambda: figures.similarity_by_depth(QUERIES, KEYS[:, :63], NAMES), "63 image tokens are no square grid"),
    (
        lambda: figures.attention_grid(WEIGHTS, IMAGE, ["a"], list("xyz")),
        r"weights: expected shape \(1, 3, image_tokens\)",
    ),
    (
        lambda: figures.attention_grid(WEIGHTS, IMAGE, ["a", "b"], ["x"]),
        r"weights: expected shape \(2, 1, image_tokens\)",
    ),
    (
        lambda: figures.attention_grid(WEIGHTS, IMAGE, ["a", "b"], list("xyz"), outlines=MASKS[:, :16]),
        r"outlines: expected shape \(masks, 32, 32\)",
    ),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_outlines_stand_on_every_map_of_the_grid() -> None:
    def edges(figure: Figure) -> list[int]:
        return [sum(len(line.get_paths()[0].vertices) > 0 for line in axes.collections) for axes in panels(figure)]

    def panels(figure: Figure) -> list:
        return figure.figure.axes[:6]

    assert set(edges(figures.attention_grid(WEIGHTS, IMAGE, ["a", "b"], list("xyz"), outlines=MASKS))) == {1}
    assert set(edges(figures.attention_grid(WEIGHTS, IMAGE, ["a", "b"], list("xyz")))) == {0}
