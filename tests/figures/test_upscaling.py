"""The upscaling notebook's figures: what they compute themselves, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam_edu import figures


def test_diagram_names_every_layer_and_size() -> None:
    alt = figures.upscaling_diagram(16, dim=64).alt
    for part in ("64 by 16 by 16", "64 to 16", "16 by 32 by 32", "16 to 8", "8 by 64 by 64", "4 by 4"):
        assert part in alt
    assert "256 to 64" in figures.upscaling_diagram().alt
    assert figures.upscaling_diagram().png != figures.upscaling_diagram(32).png


def test_patch_has_a_panel_per_stage_and_lines_between_tokens() -> None:
    torch.manual_seed(0)
    stages = {"64": torch.randn(8, 4, 4), "128": torch.randn(6, 8, 8)}
    figure = figures.patch_stages(stages, tokens=4, image=np.zeros((16, 16, 3), np.uint8), title="Growing")
    axes = figure.figure.axes
    assert [one.get_title().partition("\n")[0] for one in axes] == ["the image", "64", "128"]
    assert [one.images[0].get_array().shape for one in axes] == [(16, 16, 3), (4, 4, 3), (8, 8, 3)]
    for one in axes:
        assert one.images[0].get_extent() == [0, 4, 4, 0]
        assert [len(lines.get_segments()) for lines in one.collections] == [3, 3]
    assert "Growing: 4 by 4 image tokens" in figure.alt
    assert "64, 4 by 4 pixels (" in figure.alt


def test_three_directions_hold_all_of_three_channels() -> None:
    torch.manual_seed(1)
    assert "100 % of its variance" in figures.patch_stages({"a": torch.randn(3, 4, 4)}, tokens=2).alt


def test_jumps_stand_beside_each_other() -> None:
    figure = figures.differences_by_position(
        {"logits": torch.tensor([0.5, 1.5]), "control": [1.0, 1.0]}, ["inside\na square", "between"], title="Jumps"
    )
    bars = figure.figure.axes[0].containers
    assert [[bar.get_height() for bar in one] for one in bars] == [[0.5, 1.5], [1.0, 1.0]]
    lefts = [bar.get_x() for one in bars for bar in one]
    assert lefts[0] < lefts[2] < lefts[1] < lefts[3]
    assert "logits: inside a square 0.50 and between 1.50; control: inside a square 1.00" in figure.alt


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.patch_stages({}, tokens=2), "stages: expected at least one"),
    (lambda: figures.patch_stages({"a": np.ones((4, 4))}, tokens=2), r"a: expected shape \(channels, height, width\)"),
    (lambda: figures.patch_stages({"a": np.ones((2, 4, 4))}, tokens=2), "a: expected 3 channels or more"),
    (lambda: figures.patch_stages({"a": np.ones((3, 4, 4))}, tokens=3), "on a grid of 3 times a number"),
    (lambda: figures.patch_stages({"a": np.ones((3, 4, 6))}, tokens=4), "on a grid of 4 times a number"),
    (lambda: figures.patch_stages({"a": np.ones((3, 6, 4))}, tokens=4), "on a grid of 4 times a number"),
    (lambda: figures.differences_by_position({}, ["a"]), "ways: expected at least one"),
    (lambda: figures.differences_by_position({"x": [1.0, 2.0]}, ["a"]), r"x: expected shape \(1,\)"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
