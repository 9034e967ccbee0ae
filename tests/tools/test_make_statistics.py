"""The command that measures: what it measures again, what it keeps, what it refuses."""

import json
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

# Parts that the command treats alike, each with one array of its own.
ALIKE = {
    "product": "best",
    "terms": "share",
    "block": "effects",
    "streams": "turn",
    "maps": "ious",
    "units": "chosen",
    "forms": "clicks",
    "numbers": "errors",
    "upscaling": "best",
    "half": "changes",
    "corrected": "iou",
    "thresholds": "clicks",
    "grid": "iou",
    "likeness": "clicks",
    "tokens": "best",
    "coarse": "iou",
}
PARTS = ("ablations", "attention", "prompts", *ALIKE, "paths", "pairs", "doors")

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
        arrays = {"unchanged": np.full((3, 4), 0.1 * len(found)), "changes": np.zeros((0, 3, 4))}
        arrays["definitions"] = np.array("{}")
        return stamped(weights) | {f"{kind}.{name}": a for kind in ("clicks", "boxes") for name, a in arrays.items()}

    def measure_attention(weights: Path, scenes: int, processes: int) -> dict[str, np.ndarray]:
        found.append(("attention", scenes))
        shapes = {"entropy": (3, 7, 8), "distance": (3, 3, 9), "share": (3, 3, 9)}
        return stamped(weights) | {name: np.full(shape, 0.1 * len(found)) for name, shape in shapes.items()}

    def measure_prompts(weights: Path, scenes: int, processes: int) -> dict[str, np.ndarray]:
        found.append(("prompts", scenes))
        arrays = {name: np.full(SHAPES.get(name, (3, 4)), 0.1 * len(found)) for name in MEASURED if name != "area"}
        arrays["area"] = np.full((3, 4), len(found))
        return stamped(weights) | {f"prompts.{name}": values for name, values in arrays.items()}

    def measure_pairs(weights: Path, scenes: int, processes: int) -> dict[str, np.ndarray]:
        found.append(("pairs", scenes))
        return {
            "weights": np.array(ablation.sha256(weights)),
            "pairs.definitions": np.array(json.dumps({"hyper_in": ablation.TRANSPLANTS["hyper_in"].definition})),
            "pairs.clicks": np.array([CLICKS[:2], CLICKS[1:]]),
            "pairs.kind": np.array([1, 4]),
            "pairs.unchanged": np.full((2, 2, 4), 0.1 * len(found)),
            "pairs.changes": np.zeros((1, 2, 4)),
        }

    def measure_doors(weights: Path, scenes: int, processes: int) -> dict[str, np.ndarray]:
        found.append(("doors", scenes))
        return {"weights": np.array(ablation.sha256(weights)), "doors.kind": np.full(2, len(found))}

    def measurer(part: str, array: str) -> Callable[[Path, int, int], dict[str, np.ndarray]]:
        def measure_part(weights: Path, scenes: int, processes: int) -> dict[str, np.ndarray]:
            found.append((part, scenes))
            return stamped(weights) | {f"{part}.{array}": np.full(3, len(found))}

        return measure_part

    def measure_head_paths(
        data: dict[str, np.ndarray], weights: Path, scenes: int, processes: int
    ) -> dict[str, np.ndarray]:
        assert "clicks.changes" in data  # the effects that choose the heads
        found.append(("paths", scenes))
        return stamped(weights) | {"paths.changes": np.full(3, len(found))}

    monkeypatch.setattr(make_statistics, "measure_head_paths", measure_head_paths)
    monkeypatch.setattr(make_statistics, "measure_pairs", measure_pairs)
    monkeypatch.setattr(make_statistics, "measure_doors", measure_doors)
    monkeypatch.setattr(make_statistics, "measure", measure)
    unchanged = {"attention": measure_attention, "prompts": measure_prompts}
    unchanged |= {part: measurer(part, array) for part, array in ALIKE.items()}
    assert list(make_statistics.UNCHANGED) == list(unchanged)
    monkeypatch.setattr(make_statistics, "UNCHANGED", unchanged)
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


def numbers(stats: ablation.Statistics) -> list[float]:
    """One of each part: ablations, attention, prompts."""
    share = stats.share(ablation.TOKEN_TO_IMAGE[0])
    return [float(stats.baseline()[0]), float(share[0, 0]), float(stats.prompts.iou[0, 0])]


def test_everything_is_measured_by_default(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics], capsys: pytest.CaptureFixture[str]
) -> None:
    stats = command("--scenes", "3")
    assert measured == [(part, 3) for part in PARTS]
    assert numbers(stats) == pytest.approx([0.1, 0.2, 0.3])
    output = capsys.readouterr().out
    assert "clicks alone: 0.300 0.300" in output
    assert "exact box, mask 0: 0.300" in output
    measured_as = f"{0.1 * (PARTS.index('pairs') + 1):.3f}"
    assert f"  other object, 1 pairs\n    {measured_as} ({measured_as} to {measured_as})  A unchanged" in output
    assert output.count("hyper_in") == output.count("B unchanged") == 2


def test_a_hundred_scenes_are_measured_by_default(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics]
) -> None:
    command()
    assert measured == [(part, 100) for part in PARTS]


def test_no_scenes_are_refused(
    measured: list[tuple[str, int]],
    command: Callable[..., ablation.Statistics],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command("--scenes", "0")
    assert "--scenes: expected at least 1, got 0" in capsys.readouterr().err
    assert measured == []


def pairs_of(folder: Path) -> np.ndarray:
    """A score of each pair in the file."""
    pairs = ablation.load_pairs(folder / "statistics.npz", weights=folder / "weights")
    return pairs.scores("A unchanged", "iou_a")


def test_one_part_is_measured_again_and_the_others_stay(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics], tmp_path: Path
) -> None:
    command("--scenes", "3")
    n = len(PARTS)  # what is measured as number i has i in its numbers
    pairs = PARTS.index("pairs") + 1
    stats = command("--only", "prompts")
    assert measured[n:] == [("prompts", 3)]
    assert numbers(stats) == pytest.approx([0.1, 0.2, 0.1 * (n + 1)])
    assert pairs_of(tmp_path)[0] == pytest.approx(0.1 * pairs)
    stats = command("--only", "attention")
    assert measured[n + 1 :] == [("attention", 3)]
    assert numbers(stats) == pytest.approx([0.1, 0.1 * (n + 2), 0.1 * (n + 1)])
    stats = command("--new")
    assert measured[n + 2 :] == [("ablations", 3)]
    assert numbers(stats) == pytest.approx([0.1 * (n + 3), 0.1 * (n + 2), 0.1 * (n + 1)])
    assert pairs_of(tmp_path)[0] == pytest.approx(0.1 * pairs)
    stats = command("--only", "pairs")
    assert measured[n + 3 :] == [("pairs", 3)]
    assert numbers(stats) == pytest.approx([0.1 * (n + 3), 0.1 * (n + 2), 0.1 * (n + 1)])
    assert pairs_of(tmp_path)[0] == pytest.approx(0.1 * (n + 4))
    others = ALIKE | {"paths": "changes", "doors": "kind"}
    for number, (part, array) in enumerate(others.items(), start=n + 5):
        command("--only", part)
        assert measured[number - 1 :] == [(part, 3)]
        with np.load(tmp_path / "statistics.npz") as file:
            assert set(file[f"{part}.{array}"].tolist()) == {number}
    assert pairs_of(tmp_path)[0] == pytest.approx(0.1 * (n + 4))


def test_file_of_other_weights_is_not_completed(
    measured: list[tuple[str, int]], command: Callable[..., ablation.Statistics], tmp_path: Path
) -> None:
    command("--scenes", "3")
    (tmp_path / "weights").write_bytes(b"others")
    for option in (["--only", "prompts"], ["--only", "attention"], ["--only", "pairs"], ["--only", "paths"], ["--new"]):
        with pytest.raises(ValueError, match="measured on other weights"):
            command(*option)
    assert len(measured) == len(PARTS)


def test_other_weights_do_not_overwrite_the_packages_statistics(
    measured: list[tuple[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ablation, "stored_at", lambda: tmp_path / "package.npz")
    monkeypatch.setattr(sys, "argv", ["make", "--weights", str(tmp_path / "weights")])
    with pytest.raises(SystemExit):
        make_statistics.main()
    assert "--out: expected a file, as these are not the package's weights" in " ".join(capsys.readouterr().err.split())
    assert measured == []
    assert not (tmp_path / "package.npz").exists()
