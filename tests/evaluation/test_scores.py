"""The evaluation: rows with sane values, tables that render, intervals that hold the mean, scenes kept apart."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu.evaluation import scores as module
from sam_edu.evaluation.baselines import discs, ellipse, filled_box, iou
from sam_edu.evaluation.scores import (
    AREAS,
    MEASURES,
    TEST_STREAMS,
    Target,
    area_table,
    calibration_table,
    evaluate,
    head_table,
    interval,
    table,
)
from sam_edu.sam import build_tiny
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import centre_click
from sam_edu.scenes.scene import UNSEEN_FAMILIES, Scene, draw_scene
from sam_edu.training.batches import TRAINING_STREAM
from sam_edu.training.validation import VALIDATION_STREAM

SCENES = 2


@pytest.fixture(scope="module")
def rows(weights: Path) -> list[Target]:
    return evaluate(weights, SCENES, progress=False)


def test_a_row_per_level_of_each_scene(rows: list[Target]) -> None:
    expected = [
        (number, int(level))
        for number in range(SCENES)
        for level in np.unique(draw_scene((TEST_STREAMS["ordinary"], number)).level)
    ]
    assert [(row.scene, row.level) for row in rows] == expected


def test_rows_have_sane_values(rows: list[Target]) -> None:
    assert rows
    for row in rows:
        scores = [value(row) for value in MEASURES.values()] + [*row.true, row.overlap]
        assert len(row.corrected) == len(row.corrected_at_random) == 5
        assert all(0 <= score <= 1 for score in scores)
        assert row.click >= row.picked
        assert row.picked_any >= row.picked
        assert row.picked_any == row.true[row.pick]
        assert row.pick == int(np.argmax(row.predicted))
        assert row.click_discs > 0


def test_the_baselines_are_measured_on_the_same_mask(rows: list[Target]) -> None:
    for row in rows:
        scene = draw_scene((TEST_STREAMS["ordinary"], row.scene))
        candidates = [
            mask
            for mask, level in zip(scene.masks, scene.level, strict=True)
            if level == row.level and mask.sum() == row.area
        ]
        shape = scene.masks.shape[1:]

        def by_hand(mask: np.ndarray, shape: tuple[int, int] = shape) -> tuple[float, float, float]:
            box = tight_box(mask)
            return (
                iou(discs(centre_click(mask), shape), mask).max(),
                iou(filled_box(box, shape)[None], mask)[0],
                iou(ellipse(box, shape)[None], mask)[0],
            )

        assert (row.centre_discs, row.filled_box, row.ellipse) in [by_hand(mask) for mask in candidates]


def test_evaluation_repeats_itself(weights: Path, rows: list[Target]) -> None:
    again = evaluate(weights, 1, progress=False)
    assert again == [row for row in rows if row.scene == 0]


def test_unseen_scenes_are_of_the_unseen_families(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(module, "evaluate_scene", lambda model, scene, *rest: seen.append((scene, rest)) or [])
    assert evaluate(weights, 2, "unseen", progress=False) == []
    assert {family for scene, _ in seen for family in scene.family} <= set(UNSEEN_FAMILIES)
    assert [rest for _, rest in seen] == [(0, TEST_STREAMS["unseen"]), (1, TEST_STREAMS["unseen"])]


def test_streams_are_those_that_the_published_scores_were_measured_on() -> None:
    assert (TRAINING_STREAM, VALIDATION_STREAM) == (1, 2)
    assert TEST_STREAMS == {"ordinary": 3, "unseen": 4, "slender": 5}


def test_a_scene_with_nothing_to_click_on_gives_no_rows() -> None:
    scene = draw_scene(0, size=64)
    empty = Scene(scene.image, scene.masks[:0], scene.level[:0], scene.parent[:0], ())
    assert module.evaluate_scene(build_tiny().eval(), empty, 0, TEST_STREAMS["ordinary"]) == []


def test_no_test_scene_can_be_a_training_scene() -> None:
    """Seeds are lists of numbers of which the first is another for each use."""
    assert len({TRAINING_STREAM, VALIDATION_STREAM, *TEST_STREAMS.values()}) == 5
    images = {
        draw_scene((stream, 0)).image.tobytes()
        for stream in (TRAINING_STREAM, VALIDATION_STREAM, TEST_STREAMS["ordinary"])
    }
    assert len(images) == 3


def made_up(scene: int, click: float, level: int = 0, area: int = 500) -> Target:
    numbers = dict.fromkeys(Target.__dataclass_fields__, click)
    three, five = (click, click / 2, click / 3), (click,) * 5
    special = {"scene": scene, "mask": 0, "click_position": (1.0, 2.0), "level": level, "area": area, "pick": scene % 3}
    return Target(
        **numbers | special | {"corrected": five, "corrected_at_random": five, "predicted": three, "true": three}
    )


def test_interval_holds_the_mean_and_is_wider_where_masks_of_a_scene_are_alike() -> None:
    rng = np.random.default_rng(0)
    together = [made_up(scene, score) for scene, score in enumerate(rng.random(30)) for _ in range(4)]
    apart = [replace(row, scene=number) for number, row in enumerate(together)]
    mean, low, high = interval(together, lambda row: row.click)
    assert mean == pytest.approx(np.mean([row.click for row in together]))
    assert low < mean < high
    other_mean, other_low, other_high = interval(apart, lambda row: row.click)
    assert other_mean == pytest.approx(mean)
    assert high - low > 1.5 * (other_high - other_low)
    assert high - low == pytest.approx(2 * 1.96 * np.std([row.click for row in together]) / np.sqrt(30), rel=0.15)


def test_interval_repeats_itself_and_closes_on_equal_values() -> None:
    rows = [made_up(scene, 0.5) for scene in range(5)]
    assert interval(rows, lambda row: row.click) == (0.5, 0.5, 0.5)


def cells(text: str) -> list[list[str]]:
    """The cells of a Markdown table; every row has as many."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(row) for row in found}) == 1, text
    return found


def test_table_has_every_measure_and_the_mean_of_each_level() -> None:
    rows = [made_up(0, 0.2), made_up(1, 0.4), made_up(1, 0.9, level=2)]
    found = cells(table(rows))
    assert found[0] == ["mean IoU", "all", "95 %", "objects", "parts", "sub-parts"]
    assert len(found) == 2 + len(MEASURES) + 1
    for row in found[2:-1]:
        assert row[1] == "0.500"
        assert row[3:] == ["0.300", "-", "0.900"]
    assert found[-1] == ["number of masks", "3", "", "2", "0", "1"]


def test_area_table_counts_every_mask_once() -> None:
    rows = [made_up(i, 0.1 * (i + 1), area=area) for i, area in enumerate([0, 299, 300, 9999, 10000, 65535])]
    found = cells(area_table(rows))[2:]
    assert len(found) == len(AREAS) - 1
    assert [int(row[1]) for row in found] == [3, 0, 1, 2]
    assert found[0][2:] == ["0.200"] * 4
    assert found[1][2:] == ["-"] * 4


def test_head_table_by_hand() -> None:
    rows = [made_up(scene, 0.2 * (scene + 1)) for scene in range(4)]
    rows = [replace(row, true=(row.true[0], -row.true[1], row.true[2] + 0.1)) for row in rows]
    found = {row[0]: row[1:] for row in cells(head_table(rows))}
    assert found["correlation of predicted and true IoU"] == ["1.000", "-1.000", "1.000"]
    assert found["mean predicted IoU"] == ["0.500", "0.250", "0.167"]
    assert found["mean absolute error"] == ["0.000", "0.500", "0.100"]
    assert found["share of clicks for which it is picked"] == ["0.500", "0.250", "0.250"]
    assert "three masks of a click: 0.500" in head_table(rows)


def test_command_prints_the_tables_and_writes_the_rows(
    weights: Path,
    rows: list[Target],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []
    monkeypatch.setattr(module, "evaluate", lambda *arguments: asked.append(arguments) or rows)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    path = tmp_path / "rows.json"
    options = [
        "--weights",
        str(weights),
        "--scenes",
        "2",
        "--processes",
        "1",
        "--json",
        str(path),
        "--attention-scenes",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["evaluate", *options])
    module.main()
    assert asked == [(weights, 2, "ordinary", 1)]
    output = capsys.readouterr().out
    tables = (table(rows), area_table(rows), head_table(rows), calibration_table(rows))
    assert all(text in output for text in ("2 held-out scenes, ordinary", *tables, "share on the clicked object"))
    stored = json.loads(path.read_text())
    assert [row["click"] for row in stored] == [row.click for row in rows]


def test_calibration_puts_each_mask_into_one_bin(rows: list[Target]) -> None:
    lines = calibration_table(rows).splitlines()
    counts = [int(line.split("|")[2]) for line in lines[2:]]
    assert len(counts) == 8
    assert sum(counts) == 3 * len(rows)
