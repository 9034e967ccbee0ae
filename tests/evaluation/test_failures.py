"""The worst cases are those with the lowest scores, and are drawn as they were measured."""

from pathlib import Path

from sam_edu.evaluation.failures import worst_clicks
from sam_edu.evaluation.scores import LEVELS, evaluate
from sam_edu.sam import load


def test_worst_clicks_repeat_what_was_measured(weights: Path) -> None:
    rows = evaluate(weights, 3, progress=False)
    cases = worst_clicks(load("tiny", checkpoint=weights), rows, per_level=1)
    lowest = [min((row for row in rows if row.level == level), key=lambda row: row.click) for level in range(3)]
    assert len(cases) == len(LEVELS)
    for case, row, level in zip(cases, lowest, LEVELS, strict=True):
        assert f", {level}: IoU {row.click:.2f}" in case.name
        assert tuple(case.click) == row.click_position
        assert case.truth.sum() == row.area
