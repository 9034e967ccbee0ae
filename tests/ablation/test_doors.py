"""Doors: both together are the click of B, each alone is less, and how they are stored."""

from pathlib import Path

import numpy as np
import pytest

from sam_edu import ablation
from sam_edu.ablation import DOORS, FIRST_SCENE, TOLERANCE, UNCHANGED, Pair, PairStatistics, pair_measuring
from sam_edu.ablation.changes import ATTENTIONS
from sam_edu.ablation.doors import DOOR_KINDS, IMAGE, SELF, measure_doors
from sam_edu.ablation.measuring import Row, store
from sam_edu.ablation.pair_measuring import add_pairs, pairs_of_scene, scene_and_pairs
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.scenes.scene import Scene
from sam_edu.tracing import intervene, trace

A, B = 0, 1


def one_of_each(number: int) -> tuple[Scene, list[Pair]]:
    """A scene with one pair of each kind."""
    scene, pairs = scene_and_pairs(number)
    return scene, [next(pair for pair in pairs if pair.kind == kind) for kind in DOOR_KINDS]


NUMBER = next(
    number
    for number in range(FIRST_SCENE, FIRST_SCENE + 50)
    if {pair.kind for pair in scene_and_pairs(number)[1]} >= set(DOOR_KINDS)
)


@pytest.fixture(scope="module")
def model() -> Sam:
    return load()


@pytest.fixture(scope="module")
def rows(model: Sam) -> list[Row]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_measuring, "scene_and_pairs", one_of_each)
        return pairs_of_scene(model, NUMBER, transplants=DOORS, kinds=DOOR_KINDS)


def test_the_attentions_that_read_tokens_are_steps_1_and_4() -> None:
    assert [ATTENTIONS.index(name) for name in SELF] == [0, 3]
    assert [ATTENTIONS.index(name) for name in IMAGE] == [2, 5]


def test_both_doors_together_give_the_masks_of_b(rows: list[Row]) -> None:
    """No other vector reads the prompt's tokens."""
    both = len(UNCHANGED) + list(DOORS).index("(1) and (4)")
    for row in rows:
        np.testing.assert_allclose(row["scores"][both], row["scores"][B], atol=1e-3)
        assert np.abs(row["scores"][A] - row["scores"][B]).max() > 1e-2


def test_each_door_alone_acts_and_is_not_the_other(rows: list[Row]) -> None:
    scores = rows[DOOR_KINDS.index("other object")]["scores"]
    for i in range(len(DOORS)):
        assert np.abs(scores[len(UNCHANGED) + i] - scores[A]).max() > 1e-3, list(DOORS)[i]
    assert len({tuple(one.round(4)) for one in scores}) == len(scores) - 1  # both doors are B


def test_a_door_is_what_interventions_give(model: Sam, rows: list[Row]) -> None:
    """Column by column: B's keys and values of tokens 5 and 6 in step (4), A's of the others."""
    scene, pairs = one_of_each(NUMBER)
    which = DOOR_KINDS.index("other object")
    pair = pairs[which]
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    with trace(model) as b:
        predictor.predict([[pair.b.x, pair.b.y]], [1])
    stack = [
        intervene(model, f"transformer.layers.{i}.cross_attn_image_to_token.{side}", b_tensor, keys=[5, 6])
        for i in range(2)
        for side in "kv"
        for b_tensor in (b[f"transformer.layers.{i}.cross_attn_image_to_token.{side}"],)
    ]
    with stack[0], stack[1], stack[2], stack[3]:
        logits, _, _ = predictor.predict([[pair.a.x, pair.a.y]], [1], return_logits=True)
    mask = scene.masks[pair.b.mask]
    best = predictor.predict([[pair.b.x, pair.b.y]], [1])[0]
    number = int(np.argmax([(one & mask).sum() / (one | mask).sum() for one in best]))
    one = logits[number] > 0
    expected = (one & mask).sum() / (one | mask).sum()
    found = rows[which]["scores"][len(UNCHANGED) + list(DOORS).index("(4)"), 1]
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_doors_are_measured_stored_and_read(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_measuring, "scene_and_pairs", one_of_each)
    monkeypatch.setattr("sam_edu.ablation.measuring.FIRST_SCENE", NUMBER)
    data = measure_doors(weights, scenes=1, progress=False)
    assert {name.partition(".")[0] for name in data} == {"weights", "doors"}
    rest = {f"{kind}.{part}": "" for kind in ("clicks", "boxes") for part in ("definitions", "unchanged", "changes")}
    store(add_pairs({"weights": data["weights"], **rest}, data), tmp_path / "file.npz")
    doors = ablation.load_doors(tmp_path / "file.npz", weights=weights)
    assert doors.names == tuple(DOORS)
    assert [pair.kind for pair in doors.pairs] == list(DOOR_KINDS)
    np.testing.assert_allclose(
        doors.scores("(1) and (4)", "margin_b"), doors.scores("B unchanged", "margin_b"), atol=1e-2
    )
    with pytest.raises(KeyError, match=r"'\(2\)': no transplant of that name"):
        doors.scores("(2)", "iou_a")
    with pytest.raises(ValueError, match=r"lacks the doors of clicks: .* --only doors"):
        PairStatistics({"weights": data["weights"]}, "doors", DOORS)


def test_only_pairs_of_the_wanted_kinds_are_measured(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_measuring, "scene_and_pairs", one_of_each)
    [row] = pairs_of_scene(model, NUMBER, ["(1)"], DOORS, ("same mask",))
    assert row["kind"] == 0
    assert row["scores"].shape[0] == len(UNCHANGED) + 1
