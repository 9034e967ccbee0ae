"""What is measured at each click, and how the file is written and completed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import ABLATIONS, ATTENTIONS, Prompt, ablations, measuring, prompts, sha256
from sam_edu.ablation.attention_statistics import attention_of_scene, measure_attention
from sam_edu.ablation.held_out import join, measure_prompts, prompts_of_scene
from sam_edu.ablation.measuring import collect, measure, merge, missing, store
from sam_edu.sam import build_tiny, load
from sam_edu.scenes.scene import Scene, draw_scene
from sam_edu.training.trainer import export


def test_scenes_are_measured_from_the_first_held_out_one_on(weights: Path) -> None:
    rows = measuring.rows_of_scenes(lambda model, number: [{"prompt": np.array(number)}], weights, 3, progress=False)
    assert [int(row["prompt"]) for row in rows] == [1000, 1001, 1002]
    with pytest.raises(ValueError, match="scenes: expected some with at least one mask, got 2 without"):
        measuring.rows_of_scenes(lambda model, number: [], weights, 2, progress=False)


def test_a_scene_with_nothing_to_click_on_gives_no_rows(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("tiny", checkpoint=weights)
    scene = draw_scene(0)
    empty = Scene(scene.image, scene.masks[:0], scene.level[:0], scene.parent[:0], ())
    monkeypatch.setattr(prompts, "draw_scene", lambda seed: empty)
    assert ablation.prompts_of(1000)[2] == []
    assert measuring.measure_scene(model, 1000) == []
    assert attention_of_scene(model, 1000) == []
    assert prompts_of_scene(model, 1000) == []


@pytest.fixture
def few_ablations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list of two ablations."""
    few = [f"{ATTENTIONS[-1]} head 0 zero", f"{ATTENTIONS[1]} head 7 token mean"]
    chosen = {name: ABLATIONS[name] for name in few}
    monkeypatch.setattr(ablations, "ABLATIONS", chosen)
    monkeypatch.setattr(measuring, "ABLATIONS", chosen)
    return few


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones, as the trainer stores them."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        export(build_tiny(), path)
    return path


def test_file_is_measured_stored_and_read(weights: Path, few_ablations: list[str], tmp_path: Path) -> None:
    data = measure(weights, scenes=1, progress=False)
    assert not missing(data)
    path = tmp_path / "statistics.npz"
    parts = (measure_attention(weights, scenes=1, progress=False), measure_prompts(weights, scenes=1, progress=False))
    store(join(data, *parts), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    stats = ablation.load(path, weights=weights)
    assert list(stats.names) == few_ablations
    assert [prompt.scene for prompt in stats.prompts] == [ablation.FIRST_SCENE] * len(stats.prompts)
    model = load("tiny", checkpoint=weights)
    for name in (None, *few_ablations):
        live = ablation.recompute(model, name, stats.prompts)
        stored = stats.baseline() if name is None else stats.scores(name)
        np.testing.assert_allclose(live, stored, atol=ablation.TOLERANCE)
    again = ablation.recompute_prompts(model, stats.prompts)
    for name in ("predicted", "iou", "iou_any", "stability"):
        np.testing.assert_allclose(getattr(again, name), getattr(stats.prompts, name), atol=ablation.TOLERANCE)


def test_interrupted_writing_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "statistics.npz"
    path.write_bytes(b"before")

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(KeyboardInterrupt):
        store({}, path)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_rows_are_stacked_and_stamped(weights: Path) -> None:
    row = {
        "prompt": np.array(Prompt(1000, 0, 0, 5, 6, 7)),
        "scores": np.zeros((1 + len(ABLATIONS), 2)),
    }
    data = collect(weights, [row, row], list(ABLATIONS))
    assert str(data["weights"]) == sha256(weights)
    assert data["scores"].shape == (1 + len(ABLATIONS), 2, 2)


def constant_data(weights: str, names: list[str], value: float) -> dict[str, object]:
    return {
        "weights": np.array(weights),
        "prompts": np.array([Prompt(1000, 0, 0, 5, 6, 7)]),
        "definitions": np.array(json.dumps({name: ABLATIONS[name].definition for name in names})),
        "scores": np.full((1 + len(names), 1, 2), value),
    }


def test_what_is_new_joins_what_was_measured_before() -> None:
    first, second, third, *_ = ABLATIONS
    before, new = constant_data("a", [third, first], 0.5), constant_data("a", [second], 0.25)
    before["definitions"] = np.array(str(before["definitions"]).replace("}", ', "gone": "what it was"}'))
    before["scores"] = np.full((4, 1, 2), 0.5)
    assert missing(before) == [name for name in ABLATIONS if name not in (first, third)]
    before["prompts.iou"] = np.ones((1, 4))
    merged = merge(before, new)
    assert merged["prompts.iou"] is before["prompts.iou"]
    assert list(json.loads(str(merged["definitions"]))) == [first, second, third]
    assert merged["scores"][:, 0, 0].tolist() == [0.25, 0.5, 0.25, 0.5]
    with pytest.raises(ValueError, match="other weights or other clicks"):
        merge(before, constant_data("b", [second], 0.25))
