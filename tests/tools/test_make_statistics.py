"""The command that measures: what it measures again, what it keeps, what it refuses."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, MEASURED, Prompt
from tools import make_statistics

CLICKS = [Prompt(FIRST_SCENE + i, 0, 0, 5, 6, 7) for i in range(3)]
SHAPES = {
    "corrections": (2, 3, 8),
    "corrections_without": (3, 8),
    "boxes_iou": (3,),
    "boxes_predicted": (3,),
}


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would be measured: which part, and over how many scenes."""
    found: list[tuple[str, int]] = []

    def stamped(weights: Path) -> dict[str, np.ndarray]:
        return {"weights": np.array(ablation.sha256(weights)), "prompts": np.array(CLICKS)}

    def measure(
        weights: Path, scenes: int, processes: int, names: object = None, box_names: object = None
    ) -> dict[str, np.ndarray]:
        found.append(("ablations", scenes))
        looks = {"entropy": (3, 7, 8), "distance": (3, 3, 9), "share": (3, 3, 9)}
        arrays = {name: np.zeros(shape) for name, shape in looks.items()}
        for kind in ("clicks", "boxes"):
            arrays[f"{kind}.definitions"] = np.array("{}")
            arrays[f"{kind}.unchanged"] = np.full((3, 4), 0.1 * len(found))
            arrays[f"{kind}.changes"] = np.zeros((0, 3, 4))
        return stamped(weights) | arrays

    def measure_prompts(weights: Path, scenes: int, processes: int) -> dict[str, np.ndarray]:
        found.append(("prompts", scenes))
        arrays = {name: np.full(SHAPES.get(name, (3, 4)), 0.1 * len(found)) for name in MEASURED if name != "area"}
        arrays["area"] = np.full((3, 4), len(found))
        return stamped(weights) | {f"prompts.{name}": values for name, values in arrays.items()}

    monkeypatch.setattr(make_statistics, "measure", measure)
    monkeypatch.setattr(make_statistics, "measure_prompts", measure_prompts)
    monkeypatch.setattr(make_statistics, "missing", lambda before, prompts="clicks": [])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    (tmp_path / "weights").write_bytes(b"weights")
    return found


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ablation.Statistics]:
    """Runs the command, and reads its file."""

    def run(*options: str) -> ablation.Statistics:
        weights, out = tmp_path / "weights", tmp_path / "statistics.npz"
        monkeypatch.setattr(sys, "argv", ["make", "--weights", str(weights), "--out", str(out), *options])
        make_statistics.main()
        return ablation.load(out, weights=weights)

    return run


def test_everything_is_measured_by_default(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics], capsys: pytest.CaptureFixture[str]
) -> None:
    stats = command("--scenes", "3")
    assert measured == [("ablations", 3), ("prompts", 3)]
    assert (stats.baseline()[0], stats.prompts.iou[0, 0]) == (pytest.approx(0.1), pytest.approx(0.2))
    output = capsys.readouterr().out
    assert "clicks alone: 0.200 0.200" in output
    assert "exact box, mask 0: 0.200" in output


def test_a_hundred_scenes_are_measured_by_default(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics]
) -> None:
    command()
    assert measured == [("ablations", 100), ("prompts", 100)]


def test_no_scenes_are_refused(
    measured: list[tuple[str, int]],
    command: Callable[..., ablation.Statistics],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command("--scenes", "0")
    assert "--scenes: expected at least 1, got 0" in capsys.readouterr().err
    assert measured == []


def test_one_part_is_measured_again_and_the_other_stays(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics]
) -> None:
    command("--scenes", "3")
    stats = command("--only", "prompts")
    assert measured[2:] == [("prompts", 3)]
    assert (stats.baseline()[0], stats.prompts.iou[0, 0]) == (pytest.approx(0.1), pytest.approx(0.3))
    stats = command("--new")
    assert measured[3:] == [("ablations", 3)]
    assert (stats.baseline()[0], stats.prompts.iou[0, 0]) == (pytest.approx(0.4), pytest.approx(0.3))


def test_file_of_other_weights_is_not_completed(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics], tmp_path: Path
) -> None:
    command("--scenes", "3")
    (tmp_path / "weights").write_bytes(b"others")
    for option in (["--only", "prompts"], ["--new"]):
        with pytest.raises(ValueError, match="measured on other weights"):
            command(*option)
    assert len(measured) == 2
