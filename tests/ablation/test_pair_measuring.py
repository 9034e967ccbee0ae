"""What is measured at each pair: the same as the plain predictor gives under a transplant, and how it is stored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation import (
    FIRST_SCENE,
    PAIR_ARRAYS,
    PAIR_KINDS,
    PAIR_MEASURES,
    TOLERANCE,
    TRANSPLANTS,
    UNCHANGED,
    Pair,
    pair_measuring,
    scene_and_pairs,
    transplanted,
)
from sam_edu.ablation.measuring import Row, store
from sam_edu.ablation.pair_measuring import add_pairs, measure_pairs, pairs_of_scene
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.scenes.scene import Scene
from sam_edu.tracing import trace

LAST = "transformer.layers.1 tokens and image tokens"
FEW = [LAST, "transformer.layers.0.cross_attn_image_to_token keys and values", "hyper_in"]
A, B = 0, 1


def few_pairs(number: int) -> tuple[Scene, list[Pair]]:
    """A scene with one pair of each kind."""
    scene, pairs = scene_and_pairs(number)
    return scene, [next(pair for pair in pairs if pair.kind == kind) for kind in PAIR_KINDS]


NUMBER = next(
    number
    for number in range(FIRST_SCENE, FIRST_SCENE + 50)
    if {pair.kind for pair in scene_and_pairs(number)[1]} == set(PAIR_KINDS)
)


@pytest.fixture(scope="module")
def rows(model: Sam) -> list[Row]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_measuring, "scene_and_pairs", few_pairs)
        return pairs_of_scene(model, NUMBER, FEW)


def score(logits: Tensor, mask: np.ndarray) -> tuple[float, float]:
    """IoU and margin, written out in NumPy."""
    one = logits.numpy().astype(np.float64)
    return ((one > 0) & mask).sum() / ((one > 0) | mask).sum(), one[mask].mean() - one[~mask].mean()


@pytest.mark.parametrize("which", range(len(PAIR_KINDS)), ids=PAIR_KINDS)
def test_each_run_is_the_plain_predictors(rows: list[Row], model: Sam, which: int) -> None:
    """With the clicks of the pair, and a click of label -1 where there is none."""
    scene, pairs = few_pairs(NUMBER)
    pair, row = pairs[which], rows[which]
    np.testing.assert_array_equal(row["clicks"], [pair.a, pair.b])
    assert PAIR_KINDS[row["kind"]] == pair.kind == PAIR_KINDS[which]
    predictor = Predictor(model)
    predictor.set_image(scene.image)

    def predict(side: int) -> Tensor:
        click = (pair.a, pair.b)[side]
        prompts = [[click.x, click.y]], [1 if pair.clicked[side] else -1]
        return torch.from_numpy(predictor.predict(*prompts, return_logits=True)[0])

    with trace(model) as source:
        b = predict(B)
    runs = [predict(A), b]
    for name in FEW:
        with transplanted(model, name, source):
            runs.append(predict(A))
    targets = [scene.masks[pair.a.mask], scene.masks[pair.b.mask]]
    good = [runs[side if pair.clicked[side] else 1 - side] for side in (A, B)]
    numbers = [
        int(np.argmax([score(one, target)[0] for one in run])) for run, target in zip(good, targets, strict=True)
    ]
    expected = [
        [score(run[numbers[side]], targets[side])[which] for which in (0, 1) for side in (A, B)] for run in runs
    ]
    assert row["scores"].shape == (len(UNCHANGED) + len(FEW), len(PAIR_MEASURES))
    np.testing.assert_allclose(row["scores"], expected, atol=TOLERANCE, rtol=1e-3)


def test_everything_after_the_last_block_scores_as_b(rows: list[Row]) -> None:
    for row in rows:
        _, b, everything, some, _ = row["scores"]
        np.testing.assert_allclose(everything, b, atol=1e-3)
        assert np.abs(some - row["scores"][0]).max() > 1e-3  # and less than everything has acted too


def test_the_click_of_another_object_gives_another_mask(rows: list[Row]) -> None:
    """Otherwise its transplants would tell nothing."""
    a, b = rows[PAIR_KINDS.index("other object")]["scores"][:2]
    assert a[0] > b[0] + 0.3
    assert b[1] > a[1] + 0.3


def test_a_scene_with_nothing_to_click_on_gives_no_rows(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, _ = scene_and_pairs(NUMBER)
    monkeypatch.setattr(pair_measuring, "scene_and_pairs", lambda number: (scene, []))
    assert pairs_of_scene(model, NUMBER) == []


def test_pairs_are_measured_stored_and_read(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_measuring, "scene_and_pairs", lambda _: few_pairs(NUMBER))  # the same scene every time
    monkeypatch.setattr("sam_edu.ablation.measuring.FIRST_SCENE", NUMBER)
    monkeypatch.setattr(pair_measuring, "PAIR_SCENES", 1)
    data = measure_pairs(weights, scenes=2, progress=False, names=FEW)  # of them the first
    assert set(data) == {"weights", *PAIR_ARRAYS}
    rest = {f"{kind}.{part}": "" for kind in ("clicks", "boxes") for part in ("definitions", "unchanged", "changes")}
    store(add_pairs({"weights": data["weights"], **rest}, data), tmp_path / "file.npz")
    pairs = ablation.load_pairs(tmp_path / "file.npz", weights=weights)
    assert list(pairs.pairs) == few_pairs(NUMBER)[1]
    assert list(pairs.names) == FEW
    [row, *_] = pairs_of_scene(load("tiny", checkpoint=weights), NUMBER, FEW)
    for number, name in enumerate((*UNCHANGED, *FEW)):
        for column, measure in enumerate(PAIR_MEASURES):
            stored = pairs.scores(name, measure)[0]
            assert stored == pytest.approx(row["scores"][number, column], abs=TOLERANCE, rel=TOLERANCE)
    # A small change keeps its digits, however large the value is that it is a change of.
    np.testing.assert_allclose(data["pairs.changes"][:, 0], row["scores"][2:] - row["scores"][0], rtol=1e-3, atol=1e-7)


def test_pairs_of_other_weights_are_not_added() -> None:
    new = {"weights": np.array("a"), "pairs.kind": np.zeros(2)}
    before = {"weights": np.array("a"), "scores": np.ones(3), "pairs.kind": np.ones(5)}
    both = add_pairs(before, new)
    assert both["scores"] is before["scores"]
    assert both["pairs.kind"] is new["pairs.kind"]
    with pytest.raises(ValueError, match="the pairs were measured on other weights"):
        add_pairs(before | {"weights": np.array("b")}, new)


def test_all_transplants_are_measured_by_default(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pair_measuring, "scene_and_pairs", lambda number: (few_pairs(number)[0], few_pairs(number)[1][:1])
    )
    [row] = pairs_of_scene(model, NUMBER)
    assert row["scores"].shape == (len(UNCHANGED) + len(TRANSPLANTS), len(PAIR_MEASURES))
