"""Streams: the measures on vectors with known answers, the clicks beside a click, and how they are stored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sam_edu import ablation
from sam_edu.ablation import DISTANCES, FIRST_SCENE, STAGES, TOKEN_TO_IMAGE, TURNS, Streams, scene_and_prompts, sha256
from sam_edu.ablation.streams import (
    KEPT,
    apart,
    clicks_beside,
    distances,
    kept,
    measure_streams,
    streams_of_decode,
    streams_of_scene,
    turns,
)
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.tracing import trace

NUMBER = FIRST_SCENE + 3
SHAPES = {"turn": (7,), "kept": (5, 2), "apart": (4, 2), "distance": (3, 4)}


@pytest.fixture(scope="module")
def model() -> Sam:
    return load()


# --- Vectors with known answers ---


def test_turns_are_angles_between_neighbouring_states() -> None:
    x, y = torch.eye(2).double()
    path = torch.stack([torch.stack([x, x]), torch.stack([y, x]), torch.stack([-y, 3 * x])])
    torch.testing.assert_close(turns(path), torch.tensor([45.0, 90.0]).double())


def test_kept_is_one_for_longer_vectors_and_the_shared_part_is_removed() -> None:
    start = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(kept(start, 3 * start), torch.ones(2).double())
    shared = 100 * torch.ones(8).double()
    as_they_are, own = kept(start + shared, start.flip(0) + shared)
    assert as_they_are > 0.99
    assert abs(own) < 0.2


def test_apart_is_the_angle_of_tokens_1_to_4_alone() -> None:
    tokens = torch.eye(7).double()
    tokens[0], tokens[5], tokens[6] = 9.0, -4.0, 2.0  # the others do not count
    assert float(apart(tokens)[0]) == pytest.approx(90)
    # Seven vectors without anything in common: without their mean the cosine is -1 / 6.
    assert float(apart(torch.eye(7).double())[1]) == pytest.approx(np.degrees(np.arccos(-1 / 6)))


def test_distances_of_maps() -> None:
    maps = torch.zeros(3, 2, 4, 5)  # clicks, heads, masks, positions
    maps[0, :, :, 0] = 1
    maps[1, :, :, 0], maps[1, :, :, 1] = 0.75, 0.25
    maps[2, :, :, 4] = 1
    torch.testing.assert_close(distances(maps), torch.tensor([0, 0, 0.25, 1]))
    maps[0, 1] = maps[0, 1].roll(1, dims=-1)
    assert float(distances(maps)[1]) == 1
    maps[0, :, 0] = maps[0, :, 0].roll(2, dims=-1)
    assert float(distances(maps)[0]) == pytest.approx(0.5)  # three of six pairs
    assert distances(maps[:2])[3].isnan()


def test_clicks_beside_lie_on_the_mask_and_on_another_object() -> None:
    several = 0
    for number in range(FIRST_SCENE, FIRST_SCENE + 12):
        scene, prompts = scene_and_prompts(number)
        for prompt in prompts:
            clicks = clicks_beside(scene, prompt)
            assert clicks == clicks_beside(scene, prompt)
            x, y = clicks[0]
            assert scene.masks[prompt.mask, y, x]
            assert (x, y) != (prompt.x, prompt.y)
            for x, y in clicks[1:]:
                assert not (scene.masks[:, y, x] & scene.masks[:, prompt.y, prompt.x])[scene.level == 0].any()
            several += len(clicks) == 2
    assert several > 5


# --- A scene ---


def test_a_scene_is_what_a_decode_gives(model: Sam) -> None:
    rows = streams_of_scene(model, NUMBER)
    scene, prompts = scene_and_prompts(NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == prompts
    assert all(row[name].shape == (2, *shape) for row in rows for name, shape in SHAPES.items())
    predictor, prompt = Predictor(model), prompts[0]
    predictor.set_image(scene.image)
    with trace(model) as t:
        predictor.predict([[prompt.x, prompt.y]], [1])
    for name, values in streams_of_decode(t).items():
        there = np.isfinite(values)  # one click alone: no other to compare with
        np.testing.assert_allclose(rows[0][name][0][there], values[there], atol=0.05 if name in "turn apart" else 1e-3)
    first = F.cosine_similarity(t["tokens"][0], t["transformer.layers.0.queries_1"][0], dim=-1).arccos().rad2deg()
    assert rows[0]["turn"][0, 0] == pytest.approx(float(first.mean()), abs=0.05)
    assert abs(rows[0]["kept"][0] - rows[0]["kept"][1]).max() > 0.05  # the untrained decoder is another one


# --- What is stored ---


def stored() -> dict[str, np.ndarray]:
    data = ablation.read()
    numbers, n = np.random.default_rng(0), len(data["prompts"])
    return data | {f"streams.{name}": numbers.normal(size=(n, 2, *shape)) for name, shape in SHAPES.items()}


def test_stored_numbers_are_read() -> None:
    data = stored()
    data["streams.distance"][:9, :, :, 3] = np.nan
    streams = Streams(data)
    means = {name: data[f"streams.{name}"].mean(0) for name in SHAPES}
    for i, step in enumerate(TURNS):
        assert streams.turn(step).mean == pytest.approx(means["turn"][0, i])
    for i, (stream, stage) in enumerate(KEPT):
        assert streams.kept(stream, stage, trained=False).mean == pytest.approx(means["kept"][1, i, 0])
        assert streams.kept(stream, stage, shared=False).mean == pytest.approx(means["kept"][0, i, 1])
    for i, stage in enumerate(STAGES):
        assert streams.apart(stage, shared=False).mean == pytest.approx(means["apart"][0, i, 1])
    for i, attention in enumerate(TOKEN_TO_IMAGE):
        for j, of in enumerate(DISTANCES):
            effect = streams.distance(attention, of)
            assert effect.mean == pytest.approx(np.nanmean(data["streams.distance"][:, 0, i, j]))
            assert effect.low < effect.mean < effect.high
            assert effect.prompts == len(data["prompts"]) - 9 * (j == 3)
    np.testing.assert_array_equal(streams.values("turn", trained=False), data["streams.turn"][:, 1])


def test_what_is_missing_or_unknown_is_refused() -> None:
    data = stored()
    with pytest.raises(ValueError, match=r"lacks the streams' apart .*--only streams"):
        Streams({name: array for name, array in data.items() if name != "streams.apart"})
    with pytest.raises(ValueError, match=r"lacks the streams' turn .*--only streams"):
        Streams(data | {"streams.turn": data["streams.turn"][:, :, :3]})
    streams = Streams(data)
    with pytest.raises(ValueError, match="step"):
        streams.turn("(4) block 0")
    with pytest.raises(ValueError, match="stream, stage"):
        streams.kept("image tokens", "end")
    with pytest.raises(ValueError, match="stage"):
        streams.apart("block 2")
    with pytest.raises(ValueError, match="of"):
        streams.distance(TOKEN_TO_IMAGE[0], "two tokens")
    with pytest.raises(ValueError, match="name"):
        streams.values("path")


def test_they_are_measured_and_stamped(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam_edu.ablation.measuring.FIRST_SCENE", NUMBER)
    data = measure_streams(weights, scenes=1, progress=False)
    assert str(data["weights"]) == sha256(weights)
    assert {name: data[f"streams.{name}"].shape[1:] for name in SHAPES} == {
        name: (2, *shape) for name, shape in SHAPES.items()
    }
    assert Streams(data).turn("(1) block 0").mean == pytest.approx(data["streams.turn"][:, 0, 0].mean())
