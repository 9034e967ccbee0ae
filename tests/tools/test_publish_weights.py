"""Publishing weights: what is stored, what the card says of their training, and what is refused."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam_edu.figures import Figure, images
from sam_edu.sam import tiny_weights
from tools import publish_weights

SETTINGS: dict[str, Any] = {
    "start": None,
    "images": 8,
    "prompt_sets": 4,
    "learning_rate": 5e-4,
    "decay_share": 0.5,
    "ema": 0.999,
    "grids": [[0.0, 16], [0.2, 32]],
}
RUN = ["--command", "python -m sam_edu.training --out runs/a", "--cores", "2", "--machine", "two cores"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder of its own, and measurements that take no time; the card then shows their arguments."""
    package = tmp_path / "project" / "sam_edu" / "tiny"
    package.mkdir(parents=True)
    (tmp_path / "project" / "images").mkdir()
    monkeypatch.setattr(publish_weights, "TINY", package)
    monkeypatch.setattr(
        publish_weights, "evaluate", lambda weights, scenes, kind="ordinary", processes=1: (kind, scenes)
    )
    for name in ("table", "area_table", "head_table", "calibration_table", "share_table"):
        monkeypatch.setattr(publish_weights, name, lambda rows, name=name: f"{name} of {rows}")
    monkeypatch.setattr(publish_weights, "attention_shares", lambda model, scenes, stream: ("shares", scenes, stream))
    monkeypatch.setattr(publish_weights, "photo_table", lambda model, images: f"photographs of {images.name}")
    monkeypatch.setattr(publish_weights, "sheet", lambda model, rows: square())
    return package


def square() -> Figure:
    return images([np.zeros((8, 8, 3), np.uint8)], ["a square"])


def run(tmp_path: Path, **other: Any) -> Path:
    """A folder as training leaves it."""
    source = tmp_path / "run"
    source.mkdir()
    shutil.copyfile(tiny_weights(), source / "tiny.safetensors")
    state = {"step": 1234, "seconds": 3600.0, "settings": json.dumps(SETTINGS | other)}
    torch.save(state, source / "checkpoint.pt")
    return source


def publish(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["publish_weights", *map(str, arguments), "--scenes", "10"])
    publish_weights.main()


def test_a_run_is_stored_with_its_hash_and_its_card(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = run(tmp_path)
    publish(monkeypatch, source, *RUN)
    stored = (folder / "tiny.safetensors").read_bytes()
    assert stored == (source / "tiny.safetensors").read_bytes()
    sha = hashlib.sha256(stored).hexdigest()
    assert (folder / "tiny.sha256").read_text(encoding="utf-8") == f"{sha}  tiny.safetensors\n"
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (
        sha,
        "1,234 steps of 8 scenes with 4 prompt sets each, 2.0 core-hours (two cores;",
        "learning rate 0.0005, the last 50% of the time",
        "The grid is 16 x 16, then 32 x 32. To make it again:\n\n    python -m sam_edu.training --out runs/a\n",
        "table of ('ordinary', 10)",
        "table of ('unseen', 10)",
        "table of ('slender', 2)",
        "share_table of ('shares', 5, 3)",
        "photographs of images",
    ):
        assert text in card
    assert "{" not in card
    assert (tmp_path / "project" / "images" / "failures.png").is_file()


def test_a_run_from_weights_says_what_it_began_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, run(tmp_path, start="old.safetensors"), *RUN, "--begun-with", "the old ones")
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "The grid is 32 x 32. It began with the old ones. To make it again:" in card


def test_a_run_on_one_grid_from_weights_names_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = run(tmp_path, start="old.safetensors", grids=[[0.0, 64]])
    publish(monkeypatch, source, *RUN, "--begun-with", "the old ones")
    assert "The grid is 64 x 64. It began" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("own", [{"photographs": "photos"}, {"annotated": "coco.json"}])
def test_a_run_on_other_images_has_to_name_them(
    own: dict[str, str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "tiny.safetensors").read_bytes() if (folder / "tiny.safetensors").exists() else None
    with pytest.raises(SystemExit, match=r"trained on other images .* --lineage"):
        publish(monkeypatch, run(tmp_path, **own), *RUN)
    after = (folder / "tiny.safetensors").read_bytes() if (folder / "tiny.safetensors").exists() else None
    assert after == before


def test_a_file_is_published_with_its_lineage(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = tmp_path / "lineage.md"
    lineage.write_text("They grew on a tree.\n", encoding="utf-8")
    publish(monkeypatch, tiny_weights(), "--lineage", lineage)
    assert (folder / "tiny.safetensors").read_bytes() == tiny_weights().read_bytes()
    assert "## Training\n\nThey grew on a tree.\n\nBeside" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    publish(monkeypatch, folder / "tiny.safetensors", "--lineage", lineage)  # the stored file itself: measured again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (RUN[:4], "a run is published with --command, --cores and --machine"),
        ([*RUN, "--lineage", "a.md"], "without --lineage"),
        ([*RUN, "--begun-with", "something"], "--begun-with: the run began with None"),
    ],
)
def test_a_run_without_its_facts_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        publish(monkeypatch, run(tmp_path), *arguments)
    assert list(folder.iterdir()) == []


def test_a_file_without_its_lineage_or_too_large_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lineage = tmp_path / "lineage.md"
    lineage.write_text("They grew on a tree.", encoding="utf-8")
    for arguments in ([], ["--lineage", lineage, "--cores", "2"]):
        with pytest.raises(SystemExit, match="a file is published with --lineage alone"):
            publish(monkeypatch, tiny_weights(), *arguments)
    with pytest.raises(SystemExit, match="is neither a folder of a run nor a file"):
        publish(monkeypatch, tmp_path / "none", "--lineage", lineage)
    monkeypatch.setattr(publish_weights, "LARGEST", 1000)
    with pytest.raises(SystemExit, match="more than 1000"):
        publish(monkeypatch, tiny_weights(), "--lineage", lineage)
    assert list(folder.iterdir()) == []
