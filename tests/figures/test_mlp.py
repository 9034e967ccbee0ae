"""The MLP notebook's figures: what they compute themselves, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam_edu import figures


def test_diagram_names_every_width() -> None:
    alt = figures.mlp_diagram(9, dim=64, inner=128, masks=3, channels=8).alt
    for part in ("9 tokens of width 64", "lin1, 64 to 128", "lin2, 128 to 64", "3 MLPs", "64 to 8", "3 scores"):
        assert part in alt
    assert figures.mlp_diagram().png != figures.mlp_diagram(inner=1024).png


def test_each_panel_has_its_curves() -> None:
    x = torch.linspace(0, 1, 5)
    many = {f"unit {i}": i * x for i in range(6)}
    figure = figures.line_panels(
        x, {"many": many, "sum": {"total": 15 * x}}, points=([0.5], [1.0]), kinks=[0.5, 9.0], title="Hinges"
    )
    first, last = figure.figure.axes
    assert len(first.lines) == 6
    assert first.get_legend() is None
    np.testing.assert_allclose(last.lines[1].get_ydata(), 15 * x)  # the points come first
    np.testing.assert_allclose(last.lines[2].get_xdata(), [0.5])  # a kink outside the panel is left out
    assert "many: 6 curves; sum: total from 0 to 15" in figure.alt
    assert last.get_legend() is not None


def test_points_stand_in_every_panel_where_each_has_one_curve() -> None:
    panels = {name: {"": np.arange(3.0)} for name in ("a", "b", "c")}
    figure = figures.line_panels(np.arange(3), panels, points=([1.0], [1.0]), columns=2)
    assert [len(axes.lines) for axes in figure.figure.axes] == [2, 2, 2, 0]
    assert "a: from 0 to 2; b: from 0 to 2" in figure.alt


def test_units_are_sorted_by_the_tokens_that_they_fire_for() -> None:
    hidden = torch.tensor([[0.0, 2.0, 1.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.0, 4.0]])
    figure = figures.firing_units(hidden, ["IoU", "mask 0", "click +"])
    white = np.ones(3)
    drawn = figure.figure.axes[0].images[0].get_array()
    coloured = [[bool((cell != white).any()) for cell in row] for row in drawn]
    # Unit 1 fires for all three, then unit 4 for two, then unit 2 for one; units 0 and 3 are left out.
    assert coloured == [[True, False, True], [True, True, False], [True, True, False]]
    assert "IoU 2, mask 0 2 and click + 2. 1 fire for all tokens, 2 of 5 for none" in figure.alt


def test_units_that_never_fire_can_be_drawn() -> None:
    assert "0 fire for all tokens, 4 of 4 for none" in figures.firing_units(torch.zeros(2, 4), ["a", "b"]).alt
    assert figures.firing_units(torch.zeros(2, 4), ["a", "b"]).png


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.line_panels([0, 1], {}), "panels: expected at least one"),
    (lambda: figures.line_panels([0, 1], {"a": {}}), "panels a: expected at least one"),
    (lambda: figures.line_panels([0, 1], {"a": {"b": [1, 2, 3]}}), r"b: expected shape \(2,\), got \(3,\)"),
    (lambda: figures.line_panels([0, 1], {"a": {"": [1, 2, 3]}}), r"a: expected shape \(2,\)"),
    (lambda: figures.line_panels([0, 1], {"a": {"b": [1, 2]}}, points=([1], [1, 2])), r"points: expected shape \(1,\)"),
    (lambda: figures.firing_units(np.ones((2, 3, 4)), ["a", "b"]), r"hidden: expected shape \(tokens, units\)"),
    (lambda: figures.firing_units(np.ones((2, 3)), ["a"]), "names: expected 2"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_ranges_of_units_say_for_how_many_tokens_they_fire() -> None:
    hidden = np.zeros((2, 25))
    hidden[:, :12], hidden[0, 12:23] = 1.0, 1.0
    figure = figures.firing_units(hidden, ["a", "b"])
    assert [text.get_text() for axes in figure.figure.axes for text in axes.texts] == ["2 tokens", "1 token"]
    assert "Units that fire: a 23 and b 12. 12 fire for all tokens, 2 of 25 for none." in figure.alt
    narrow = figures.firing_units(hidden[:, :14], ["a", "b"])  # two units for one token: no room for a word
    assert [text.get_text() for axes in narrow.figure.axes for text in axes.texts] == ["2 tokens", "1 token"]
    narrower = figures.firing_units(hidden[:, :13], ["a", "b"])
    assert [text.get_text() for axes in narrower.figure.axes for text in axes.texts] == ["2 tokens", "1"]
