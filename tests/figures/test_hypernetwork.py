"""The hypernetwork notebook's figures: what they compute themselves, what they say, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from drawings import check_drawing, texts

from sam_edu import figures
from sam_edu.figures import Figure

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (32, 40, 3), dtype=np.uint8)
MASK = np.zeros((32, 40), bool)
MASK[4:20, 5:30] = True
MAPS = torch.from_numpy(RNG.normal(size=(5, 32, 40)))
GRID = np.stack([np.stack([MASK, ~MASK, MASK & False]), np.stack([MASK, MASK, ~MASK])])

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "hypernetwork_diagram": lambda: figures.hypernetwork_diagram(),
    "hypernetwork_diagram other": lambda: figures.hypernetwork_diagram(6, 32, 48, dim=128),
    "logit_waterfall": lambda: figures.logit_waterfall({"a": [1.0, -2.0, 0.5], "b": torch.zeros(3)}, title="Sums"),
    "map_sequence": lambda: figures.map_sequence(MAPS, list("abcde"), image=IMAGE, final=MASK, columns=4, title="Film"),
    "map_sequence bare": lambda: figures.map_sequence(MAPS[:1] * 0, ["a"]),
    "map_sequence without line": lambda: figures.map_sequence(MAPS, list("abcde"), line=False),
    "channel_scatter": lambda: figures.channel_scatter(
        np.arange(8.0), np.arange(8.0)[::-1], groups={"one": [0, 1], "other": [5]}, xlabel="x", ylabel="y"
    ),
    "channel_scatter bare": lambda: figures.channel_scatter(np.zeros(3), np.zeros(3), xlabel="x", ylabel="y"),
    "mask_grid": lambda: figures.mask_grid(
        IMAGE, GRID, ["r0", "r1"], ["c0", "c1", "c2"], notes=[["n"] * 3] * 2, clicks={"A": [3, 4]}, numbers=[1, 2, 3]
    ),
    "mask_grid bare": lambda: figures.mask_grid(IMAGE, GRID[:1, :1], ["r"], ["c"], title="One"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_figure_with_words(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_diagram_names_every_shape_and_mlp() -> None:
    figure = figures.hypernetwork_diagram(6, 32, 48, dim=128)
    for part in ("6 mask tokens", "128 to 128 to 16", "6 by 16", "1536 by 128", "16 by 128 by 192", "6 by 128 by 192"):
        assert part in figure.alt
    drawn = texts(figure)
    assert [f"MLP {i}: 128 → 128 → 128 → 16" for i in range(6)] == [text for text in drawn if text.startswith("MLP")]
    assert "logits\n6 × 128 × 192" in drawn


def test_cascade_ends_at_the_sum_with_the_largest_term_first() -> None:
    figure = figures.logit_waterfall({"pixel": [1.0, -3.0, 0.5]})
    (axes,) = figure.figure.axes
    bars = axes.patches
    assert [round(bar.get_y(), 6) for bar in bars] == [0.0, -3.0, -2.0]  # type: ignore[attr-defined]
    assert [round(bar.get_height(), 6) for bar in bars] == [-3.0, 1.0, 0.5]  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "0", "2"]
    down, up, other = (bar.get_facecolor() for bar in bars)
    assert up == other != down
    for part in ("2 terms up, together 1.5", "1 down, together -3.0", "sum -1.50", "largest channel 1"):
        assert part in figure.alt


def test_film_shares_one_scale_and_draws_the_zero_line() -> None:
    frames = np.zeros((2, 32, 40))
    frames[0, :, :20], frames[0, :, 20:] = 1.0, -1.0
    frames[1] = 4.0
    figure = figures.map_sequence(frames, ["half", "full"], image=IMAGE, final=MASK)
    shown = [axes for axes in figure.figure.axes if axes.images][1:]
    assert shown[0].images[0].norm.vmax == shown[1].images[0].norm.vmax == 4.0
    lines = [sum(len(one.get_paths()[0].vertices) > 0 for one in axes.collections) for axes in shown]
    assert lines == [2, 1]  # the zero line and the final edge; the final edge alone
    assert "half above zero on 50 % of the image; full above zero on 100 %" in figure.alt
    assert "dashed the edge of the final mask" in figure.alt
    without = figures.map_sequence(frames, ["half", "full"], line=False)
    assert not any(axes.collections for axes in without.figure.axes if axes.images)


def test_zero_line_follows_block_means() -> None:
    flicker = np.ones((1, 32, 40))
    flicker[0, ::2, ::2] = -2.0  # every block's mean is above zero
    figure = figures.map_sequence(flicker, ["flicker"])
    assert not figure.figure.axes[0].collections
    assert figures.map_sequence(flicker, ["flicker"], block=1).figure.axes[0].collections


def test_roles_number_what_is_chosen_or_far() -> None:
    figure = figures.channel_scatter(
        [1.0, 0.01, 0.02, 0.0], [0.0, 0.01, -0.01, 1.0], groups={"near": [2]}, xlabel="inside", ylabel="edge"
    )
    assert texts(figure) == ["0", "2", "3"]
    bold = [text.get_fontweight() == "bold" for text in figure.figure.axes[0].texts]
    assert bold == [False, True, False]  # what is chosen stands out
    assert "inside from 0 to 1, edge from -0.01 to 1. near: channel 2." in figure.alt


def test_grid_says_what_each_panel_shows() -> None:
    figure = figures.mask_grid(IMAGE, GRID, ["r0", "r1"], ["c0", "c1", "c2"], notes=[list("abc"), list("def")])
    percent = round(100 * MASK.mean())
    assert f"r0 with c0: {percent} % of the image, a" in figure.alt
    assert "r0 with c2: 0 % of the image, c" in figure.alt
    panels = figure.figure.axes
    assert [axes.get_title() for axes in panels] == ["c0\na", "c1\nb", "c2\nc", "d", "e", "f"]
    assert [panels[0].get_ylabel(), panels[3].get_ylabel()] == ["r0", "r1"]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.logit_waterfall({}), "contributions: expected at least one"),
    (lambda: figures.logit_waterfall({"a": [[1.0]]}), r"a: expected shape \(channels,\)"),
    (lambda: figures.map_sequence(MAPS, ["a"]), "names: expected 5"),
    (lambda: figures.map_sequence(MAPS, list("abcde"), final=MASK[:3]), r"final: expected shape \(32, 40\)"),
    (lambda: figures.map_sequence(MAPS[0], ["a"]), r"frames: expected shape \(frames, height, width\)"),
    (lambda: figures.channel_scatter([1.0], [1.0, 2.0], xlabel="x", ylabel="y"), r"upward: expected shape \(1,\)"),
    (
        lambda: figures.channel_scatter([1.0], [1.0], groups={c: [0] for c in "abcd"}, xlabel="x", ylabel="y"),
        "groups: expected at most 3",
    ),
    (lambda: figures.mask_grid(IMAGE, GRID, ["r0"], ["c0", "c1", "c2"]), r"masks: expected shape \(1, 3, 32, 40\)"),
    (
        lambda: figures.mask_grid(IMAGE, GRID[:1], ["r0"], list("abc"), notes=[["a"]]),
        "notes: expected 3, one each, got 1",
    ),
    (lambda: figures.mask_grid(IMAGE, GRID[:1], ["r0"], list("abc"), numbers=[1]), "numbers: expected 3"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
