"""Paths of heads: how they are chosen, that one reader alone misses them, and how they are stored."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from ablation_cases import decode_of_scene
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, PATHS, HeadPaths, head_paths
from sam_edu.ablation.changes import Ablation, Change, Memory
from sam_edu.ablation.head_paths import (
    ARRAYS,
    DEFINITION,
    HEAD_KINDS,
    ROWS,
    Chosen,
    changes_of_path,
    choose_heads,
    head_paths_of_scene,
    heads_of,
    measure_head_paths,
    step_4,
)
from sam_edu.ablation.measuring import Row
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.scoring import Scorer
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, tiny_weights
from sam_edu.tracing import intervene, trace

NUMBER = FIRST_SCENE + 3
MEANS = {
    f"{step_4(i)}.heads": np.random.default_rng(i).normal(scale=0.3, size=(8, 1, 16)).astype(np.float32)
    for i in range(2)
}
CHOSEN = Chosen(np.array([[7, 1], [6, 2]]), MEANS)


@pytest.fixture(scope="module")
def decode(model: Sam) -> AblatedDecoder:
    return decode_of_scene(model, NUMBER)


def without_head(decode: AblatedDecoder, block: int) -> Tensor:
    """The image tokens after a block without what head 3 says."""
    memory = Memory()
    change = Change(f"{step_4(block)}.heads", "zero", {"heads": 3})
    decode.run(Ablation("", (change, memory.keep(f"transformer.layers.{block}.keys_4"))))
    return memory[f"transformer.layers.{block}.keys_4"]


def encoding_of(model: Sam) -> Tensor:
    return model.prompt_encoder.get_dense_pe().flatten(2).transpose(1, 2)


# --- Paths ---


@pytest.mark.parametrize("block", PATHS)
def test_all_paths_together_are_the_whole_effect(model: Sam, decode: AblatedDecoder, block: int) -> None:
    """Each reader gets the broken image tokens, one by one: the masks are those of the head ablated for all."""
    broken = without_head(decode, block)
    paths = [path for path in PATHS[block][1:] if path != "past block 1"]
    changes = [change for path in paths for change in changes_of_path(decode, block, path, broken, encoding_of(model))]
    if block == 0:  # the residual, added to what step (4) of block 1 makes of the other two
        norm = decode.decoder.get_submodule("transformer.layers.1.norm4")
        memory = Memory()
        changes.append(memory.keep(f"{step_4(1)}.out"))
        changes.append(Change("transformer.layers.1.keys_4", lambda _: norm(broken + memory[f"{step_4(1)}.out"])))
    masks, iou = decode.run(Ablation("", tuple(changes)))
    whole, whole_iou = decode.run(Ablation("", (Change(f"{step_4(block)}.heads", "zero", {"heads": 3}),)))
    torch.testing.assert_close(masks, whole, atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(iou, whole_iou, atol=1e-4, rtol=1e-4)
    assert (whole - decode.masks).abs().max() > 0.05


@pytest.mark.parametrize(("block", "path"), [(block, path) for block in PATHS for path in PATHS[block][1:]])
def test_one_path_alone_changes_the_masks_and_nothing_before_its_reader(
    model: Sam, decode: AblatedDecoder, block: int, path: str
) -> None:
    changes = changes_of_path(decode, block, path, without_head(decode, block), encoding_of(model))
    masks, _ = decode.run(Ablation("", changes))
    assert (masks - decode.masks).abs().max() > 0
    for change in changes:
        assert isinstance(change.how, Tensor)
        assert change.how.shape == decode.t[change.point].shape
        assert not torch.equal(change.how, decode.t[change.point])


def test_unbroken_image_tokens_change_nothing(model: Sam, decode: AblatedDecoder) -> None:
    for block in PATHS:
        whole = decode.t[f"transformer.layers.{block}.keys_4"]
        for path in PATHS[block][1:]:
            masks, _ = decode.run(Ablation("", changes_of_path(decode, block, path, whole, encoding_of(model))))
            torch.testing.assert_close(masks, decode.masks, atol=2e-3, rtol=1e-4)


def test_an_unknown_path_is_refused(model: Sam, decode: AblatedDecoder) -> None:
    with pytest.raises(ValueError, match=r"path: expected one of to \(6-1\), to \(5\), got 'to \(2\)'"):
        changes_of_path(decode, 1, "to (2)", decode.t["keys"], encoding_of(model))
    with pytest.raises(ValueError, match="block: expected one of 0, 1, got 2"):
        changes_of_path(decode, 2, "to (2)", decode.t["keys"], encoding_of(model))


# --- Choice ---


def test_each_half_reports_what_the_other_chose() -> None:
    data = ablation.read()
    names = list(ablation.load().names)
    changes = np.zeros(data["clicks.changes"].shape)
    odd = data["prompts"][:, 0] % 2 == 1
    for chooses, heads in ((~odd, (3, 5)), (odd, (0, 7))):
        for block, head in enumerate(heads):
            row = names.index(f"{step_4(block)} head {head} mean over positions")
            changes[row, chooses, ablation.MEASURES.index("margin")] = -1
    chosen = choose_heads(data | {"clicks.changes": changes})
    np.testing.assert_array_equal(chosen.costliest, [[0, 7], [3, 5]])  # even scenes report what odd ones chose
    assert set(chosen.means) == {f"{step_4(block)}.heads" for block in PATHS}
    for name, mean in chosen.means.items():
        assert mean.shape == (8, 1, 16)
        np.testing.assert_array_equal(mean, data[f"means.{name}"].astype(np.float32))
    with pytest.raises(ValueError, match="of even and some of odd"):
        choose_heads(data | {"prompts": data["prompts"] * np.array([2, 1, 1, 1, 1, 1])})


def test_the_control_is_another_head_and_not_always_the_same() -> None:
    drawn = np.stack([heads_of(number, CHOSEN) for number in range(1000, 1040)])
    np.testing.assert_array_equal(drawn[::2, :, 0], np.broadcast_to([7, 1], (20, 2)))
    np.testing.assert_array_equal(drawn[1::2, :, 0], np.broadcast_to([6, 2], (20, 2)))
    assert (drawn[..., 0] != drawn[..., 1]).all()
    assert len(set(drawn[::2, 0, 1].tolist())) >= 5


# --- What is stored ---


def test_a_scene_is_what_interventions_give(model: Sam) -> None:
    rows = head_paths_of_scene(model, NUMBER, CHOSEN)
    image, masks, prompts = prompts_of(NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == prompts
    assert all(row["changes"].shape == (len(ROWS), 4) for row in rows)
    predictor, prompt = Predictor(model), prompts[0]
    predictor.set_image(image)
    inputs = decoder_inputs(predictor, prompt)
    with torch.no_grad(), trace(model) as t:
        model.mask_decoder.predict_masks(**inputs)
    score = Scorer(t["masks"][0], t["iou_pred"][0], masks[prompt.mask])
    for block, (number, kind) in product(PATHS, reversed(list(enumerate(HEAD_KINDS)))):  # the costliest last
        name, head = f"{step_4(block)}.heads", int(rows[0]["heads"][block, number])
        mean = torch.from_numpy(MEANS[name])[None, [head]]
        with torch.no_grad(), intervene(model, name, mean, heads=head), trace(model) as t_all:
            model.mask_decoder.predict_masks(**inputs)
        change = np.subtract(score(t_all["masks"][0], t_all["iou_pred"][0]), score(t["masks"][0], t["iou_pred"][0]))
        row = rows[0]["changes"][ROWS.index((kind, block, "to all"))]
        np.testing.assert_allclose(row, change, atol=2e-3, rtol=1e-3)
    broken = t_all["transformer.layers.1.keys_4"]
    with torch.no_grad(), intervene(model, "keys", broken), trace(model) as t_one:
        model.mask_decoder.predict_masks(**inputs)
    change = np.subtract(score(t_one["masks"][0], t_one["iou_pred"][0]), score(t["masks"][0], t["iou_pred"][0]))
    np.testing.assert_allclose(rows[0]["changes"][ROWS.index(("costliest", 1, "to (5)"))], change, atol=2e-3)


def test_the_file_holds_the_rows_of_all_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    data, rng = ablation.read(), np.random.default_rng(0)
    rows = [
        {"prompt": np.array(prompt), "heads": rng.integers(8, size=(2, 2)), "changes": rng.normal(size=(len(ROWS), 4))}
        for prompt in prompts_of(NUMBER)[2]
    ]

    def measured(of_scene: partial[object], *_: object) -> list[Row]:
        assert of_scene.func is head_paths_of_scene
        np.testing.assert_array_equal(of_scene.keywords["chosen"].costliest, choose_heads(data).costliest)
        return rows

    monkeypatch.setattr(head_paths, "rows_of_scenes", measured)
    found = measure_head_paths(data, tiny_weights(), scenes=1)
    assert set(found) == {"weights", "prompts", *(f"paths.{name}" for name in ARRAYS)}
    assert str(found["weights"]) == ablation.sha256(tiny_weights())
    assert str(found["paths.definition"]) == DEFINITION
    for name, key in (("prompts", "prompt"), ("paths.heads", "heads")):
        np.testing.assert_array_equal(found[name], [row[key] for row in rows])
    np.testing.assert_allclose(found["paths.changes"], [row["changes"] for row in rows], rtol=1e-3, atol=1e-6)


@pytest.fixture
def made_up() -> dict[str, np.ndarray]:
    """The package's file with other numbers of the paths."""
    data = ablation.read()
    n = len(data["prompts"])
    numbers, heads = np.random.default_rng(0).normal(size=(n, len(ROWS), 4)), np.zeros((n, 2, 2), int)
    return data | {"paths.definition": np.array(DEFINITION), "paths.heads": heads, "paths.changes": numbers}


def test_stored_numbers_are_read(made_up: dict[str, np.ndarray]) -> None:
    paths, numbers = HeadPaths(made_up), made_up["paths.changes"]
    np.testing.assert_array_equal(paths.changes(0, "to (2)"), numbers[:, 1, 2])
    np.testing.assert_array_equal(paths.changes(1, "to (5)", "random", "best"), numbers[:, -1, 0])
    effect = paths.effect(1, "to (6-1)", measure="predicted")
    assert effect.mean == pytest.approx(numbers[:, ROWS.index(("costliest", 1, "to (6-1)")), 3].mean())
    assert effect.low < effect.mean < effect.high
    with pytest.raises(ValueError, match="--only paths"):
        HeadPaths(made_up | {"paths.definition": np.array("others")})
    with pytest.raises(ValueError, match="--only paths"):
        HeadPaths({name: array for name, array in made_up.items() if name != "paths.changes"})
    assert {kind for kind, _, _ in ROWS} == set(HEAD_KINDS)


@pytest.mark.no_shape_check
def test_an_unknown_block_path_or_kind_is_refused(made_up: dict[str, np.ndarray]) -> None:
    paths = HeadPaths(made_up)
    for wrong, message in (
        ((1, "to (2)"), r"path: expected one of to all, to \(6-1\), to \(5\), got 'to \(2\)'"),
        ((2, "to (2)"), "block: expected one of 0, 1, got 2"),
        ((0, "to (2)", "cheapest"), "kind: expected one of costliest, random, got 'cheapest'"),
    ):
        with pytest.raises(ValueError, match=message):
            paths.changes(*wrong)  # type: ignore[arg-type]
