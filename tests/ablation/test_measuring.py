"""What is measured at each click, and how the file is written and completed."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam_edu import ablation
from sam_edu.ablation import (
    ABLATIONS,
    ATTENTIONS,
    BOX_ABLATIONS,
    MEASURES,
    TERMS,
    Prompt,
    ablations,
    measuring,
    prompts,
    sha256,
)
from sam_edu.ablation.attention_statistics import attention_of_scene, measure_attention
from sam_edu.ablation.held_out import join, measure_prompts, prompts_of_scene
from sam_edu.ablation.measuring import Work, collect, measure, merge, missing, store
from sam_edu.sam import load
from sam_edu.scenes.scene import Scene, draw_scene


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
    assert measuring.measure_scene(model, 1000, Work((), (), {}, {})) == []
    assert attention_of_scene(model, 1000) == []
    assert prompts_of_scene(model, 1000) == []


@pytest.fixture
def few_ablations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list of a few ablations of every mode, two of them for boxes too."""
    few = [
        f"{ATTENTIONS[-1]} head 0 zero",
        f"{ATTENTIONS[1]} head 7 token mean",
        f"{ATTENTIONS[0]} mean",
        f"{ATTENTIONS[3]} resample",
        f"{ATTENTIONS[2]} mean by position",
        f"{ATTENTIONS[2]} mean over positions",
        f"{ATTENTIONS[5]} head 2 mean of this image",
        "transformer.layers.1.mlp mean",
        "channel 3 mean by position",
        "channel 4 mean over positions",
        "channel 4 resample",
    ]
    chosen = {name: ABLATIONS[name] for name in few}
    for module in (ablations, measuring):
        monkeypatch.setattr(module, "ABLATIONS", chosen)
        monkeypatch.setattr(module, "BOX_ABLATIONS", (few[2], few[5]))
    return few


def test_file_is_measured_stored_and_read(weights: Path, few_ablations: list[str], tmp_path: Path) -> None:
    data = measure(weights, scenes=2, progress=False)
    assert not missing(data)
    assert not missing(data, "boxes")
    path = tmp_path / "statistics.npz"
    parts = (measure_attention(weights, scenes=2, progress=False), measure_prompts(weights, scenes=2, progress=False))
    store(join(data, *parts), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    stats = ablation.load(path, weights=weights)
    assert list(stats.names) == few_ablations
    assert stats.box_names == (few_ablations[2], few_ablations[5])
    assert {prompt.scene for prompt in stats.prompts} == {ablation.FIRST_SCENE, ablation.FIRST_SCENE + 1}
    model = load("tiny", checkpoint=weights)
    held_out = ablation.reference(model, sorted(ablations.needed(few_ablations, "held_out")), stats.prompts)
    sample = np.array([0, len(stats.prompts) - 1])
    for number, name in enumerate((None, *few_ablations)):
        of = MEASURES[number % len(MEASURES)]
        live = ablation.recompute(model, name, stats.prompts.clicks[:: len(stats.prompts) - 1], of, held_out=held_out)
        stored = stats.baseline(of) if name is None else stats.scores(name, of)
        np.testing.assert_allclose(live, stored[sample], atol=ablation.TOLERANCE, err_msg=f"{name}, {of}")
    for name in (few_ablations[2], few_ablations[5], "transformer.layers.1.mlp mean"):  # by the means in the file
        [live] = ablation.recompute(model, name, [stats.prompts[0]], "margin", held_out=stats.means)
        np.testing.assert_allclose(live, stats.scores(name, "margin")[0], atol=ablation.TOLERANCE)
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
        "scores": np.arange(3)[:, None] * np.array([0.1, 0.2, 3e-5, 1.0]) + 7,
        "box_scores": np.full((1, 4), 0.5),
    }
    names = list(ABLATIONS)[:2]
    means = {"hs": np.ones((7, 256), np.float32), "keys": np.ones((4096, 256), np.float32), TERMS: np.ones(3)}
    data = collect(weights, [row, row], Work(names, (), means, {}))
    assert str(data["weights"]) == sha256(weights)
    assert data["prompts"].tolist() == [[1000, 0, 0, 5, 6, 7]] * 2
    assert data["clicks.unchanged"].tolist() == [[7.0] * 4] * 2
    assert data["clicks.changes"].shape == (2, 2, 4)
    # A small change keeps its digits, however large the value is that it is a change of.
    np.testing.assert_allclose(data["clicks.changes"][1, 0], [0.2, 0.4, 6e-5, 2.0], rtol=1e-3)
    assert data["boxes.unchanged"].tolist() == [[0.5] * 4] * 2
    assert data["boxes.changes"].shape == (0, 2, 4)
    assert list(json.loads(str(data["clicks.definitions"]))) == names
    assert {name: data[name].shape for name in data if name.startswith("means.")} == {
        "means.hs": (7, 256),
        "means.keys": (1, 256),
    }


def constant_data(weights: str, names: list[str], value: float) -> dict[str, object]:
    return {
        "weights": np.array(weights),
        "prompts": np.array([Prompt(1000, 0, 0, 5, 6, 7)]),
        "clicks.definitions": np.array(json.dumps({name: ABLATIONS[name].definition for name in names})),
        "clicks.unchanged": np.full((1, 4), value),
        "clicks.changes": np.full((len(names), 1, 4), value),
        "boxes.definitions": np.array("{}"),
        "boxes.unchanged": np.full((1, 4), value),
        "boxes.changes": np.zeros((0, 1, 4)),
    }


def test_what_is_new_joins_what_was_measured_before() -> None:
    first, second, third, *_ = ABLATIONS
    before, new = constant_data("a", [third, first], 0.5), constant_data("a", [second], 0.25)
    before["clicks.definitions"] = np.array(str(before["clicks.definitions"])[:-1] + ', "gone": "what it was"}')
    before["clicks.changes"] = np.full((3, 1, 4), 0.5)
    box = BOX_ABLATIONS[3]
    before["boxes.definitions"] = np.array(json.dumps({box: ABLATIONS[box].definition, BOX_ABLATIONS[0]: "changed"}))
    before["boxes.changes"] = np.full((2, 1, 4), 0.75)
    assert missing(before, "boxes") == [name for name in BOX_ABLATIONS if name != box]
    assert missing(before) == [name for name in ABLATIONS if name not in (first, third)]
    before["prompts.iou"] = np.ones((1, 4))
    merged = merge(before, new)
    assert merged["prompts.iou"] is before["prompts.iou"]
    assert list(json.loads(str(merged["clicks.definitions"]))) == [first, second, third]
    assert merged["clicks.changes"][:, 0, 0].tolist() == [0.5, 0.25, 0.5]
    assert merged["clicks.unchanged"][0, 0] == 0.25
    assert list(json.loads(str(merged["boxes.definitions"]))) == [BOX_ABLATIONS[0], box]
    assert merged["boxes.changes"][:, 0, 0].tolist() == [0.75, 0.75]
    with pytest.raises(ValueError, match="other weights or other clicks"):
        merge(before, constant_data("b", [second], 0.25))
