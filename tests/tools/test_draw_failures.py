"""Drawing the worst clicks anew: which clicks, with which weights, into which file, and nothing else."""

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sam_edu.evaluation.scores import Target, evaluate
from sam_edu.sam import tiny_weights
from tools import draw_failures


@pytest.fixture(scope="module")
def rows() -> list[Target]:
    """The measurements on one held-out scene."""
    return evaluate(tiny_weights(), 1, progress=False)


def test_the_sheet_is_drawn_from_measurements_of_the_embedded_weights(
    rows: list[Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def measured(weights: Path, scenes: int, processes: int) -> list[Target]:
        asked.append((weights, scenes, processes))
        return rows

    monkeypatch.setattr(draw_failures, "evaluate", measured)
    monkeypatch.setattr(draw_failures, "TARGET", tmp_path / "failures.png")
    monkeypatch.setattr(sys, "argv", ["draw_failures", "--scenes", "7", "--processes", "1"])
    before = tiny_weights().read_bytes()
    draw_failures.main()
    assert asked == [(tiny_weights(), 7, 1)]
    assert tiny_weights().read_bytes() == before
    with Image.open(tmp_path / "failures.png") as drawn:
        assert drawn.width == 1800  # 900 pixels of the page


def test_each_panel_says_what_was_measured(rows: list[Target]) -> None:
    drawn = draw_failures.sheet(draw_failures.load(), rows)
    assert drawn.alt.startswith(f"Where the best of three masks after a random click is worst: {len(rows)} images")
    for row in rows:
        assert f"IoU {row.click:.2f}" in drawn.alt
