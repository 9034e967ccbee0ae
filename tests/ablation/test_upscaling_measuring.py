"""What is measured of step (5): against the plain predictor, and how it is stored."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, UPSCALING_ARRAYS, UPSCALING_WAYS, sha256, upscaling_measuring
from sam_edu.ablation.controls import untrained
from sam_edu.ablation.grid_parts import PARTS, edges_by_kind, joined_squares, jumps_by_kind, split, stamps
from sam_edu.ablation.measuring import Row
from sam_edu.ablation.upscaling_measuring import (
    FURTHER,
    measure_upscaling,
    upscaling_means_of,
    upscaling_of_scene,
    upscaling_sums_of_further_scene,
    upscaling_sums_of_scene,
)
from sam_edu.ablation.upscaling_results import MAPS, UpscalingStatistics
from sam_edu.ablation.upscaling_ways import UpscalingMeans
from sam_edu.evaluation.boundary import boundary_iou
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.tracing import Trace, trace

NUMBER = FIRST_SCENE + 5
CLICK = 1


@pytest.fixture(scope="module")
def model() -> Sam:
    return load()


@pytest.fixture(scope="module")
def means(model: Sam) -> UpscalingMeans:
    return upscaling_means_of(upscaling_sums_of_scene(model, NUMBER + 1))


@pytest.fixture(scope="module")
def row(model: Sam, means: UpscalingMeans) -> Row:
    return upscaling_of_scene(model, NUMBER, means)[CLICK]


@pytest.fixture(scope="module")
def plain(model: Sam) -> Trace:
    """The predictor's own decode of the click."""
    return decoded(model, NUMBER, CLICK)


def decoded(model: Sam, number: int, click: int) -> Trace:
    image, _, prompts = ablation.prompts_of(number)
    predictor = Predictor(model)
    predictor.set_image(image)
    with trace(model) as t:
        predictor.predict([[prompts[click].x, prompts[click].y]], [1])
    return t


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_means_are_over_all_clicks_of_the_scenes(model: Sam, means: UpscalingMeans) -> None:
    number = NUMBER + 1
    traces = [decoded(model, number, i) for i in range(len(ablation.prompts_of(number)[2]))]
    assert len(traces) > 1
    doubled = torch.cat([t["output_upscaling.doubled_once"] for t in traces]).double()
    assert means.pixel_mean == pytest.approx(float(doubled.mean()), rel=1e-3)
    assert means.pixel_variance == pytest.approx(float(doubled.var(1, correction=0).mean()), rel=1e-3)
    own = torch.stack([stamps(t["output_upscaling.activated_twice"][0]) for t in traces]).mean(0)
    torch.testing.assert_close(means.stamps, own, atol=1e-4, rtol=1e-3)
    for usual, name in ((means.first, "normed"), (means.last, "doubled_twice")):
        x = torch.cat([t[f"output_upscaling.{name}"][0].flatten(1) for t in traces], dim=1).double()
        y = F.gelu(x)
        slope, intercept = np.polyfit(x[3].numpy(), y[3].numpy(), 1)
        assert float(usual.slope[3]) == pytest.approx(slope, rel=1e-3)
        assert float(usual.intercept[3]) == pytest.approx(intercept, abs=1e-3)
        assert float(usual.lost[3]) == pytest.approx(float((y - F.relu(x))[3].mean()), abs=1e-4)


def test_means_come_from_scenes_that_are_not_measured(model: Sam) -> None:
    [row, *_] = upscaling_sums_of_further_scene(model, NUMBER)
    [same, *_] = upscaling_sums_of_scene(model, NUMBER + FURTHER)
    np.testing.assert_array_equal(row["first"], same["first"])
    assert FURTHER > ablation.SCENES


def test_scores_compare_the_best_mask_with_its_target(row: Row, plain: Trace) -> None:
    _, masks, prompts = ablation.prompts_of(NUMBER)
    target, drawn = masks[prompts[CLICK].mask], (plain["masks"][0] > 0).numpy()
    assert tuple(row["prompt"]) == prompts[CLICK]
    best = int(row["best"])
    assert iou(drawn[best], target) == max(iou(one, target) for one in drawn[1:])
    assert row["scores"].shape == (3, 1 + len(UPSCALING_WAYS))
    thin = boundary_iou(drawn[best][None], target, share=2 / np.hypot(256, 256))
    expected = [iou(drawn[best], target), *boundary_iou(drawn[best][None], target), *thin]
    np.testing.assert_allclose(row["scores"][:, 0], expected, atol=1e-6)
    # All of this small mask lies within 7 pixels of its boundary; the thin band is another matter.
    assert row["scores"][2, 0] < row["scores"][1, 0] - 0.1


@pytest.mark.parametrize(("name", "layer"), [("no last GELU", torch.nn.Identity()), ("last GELU a ReLU", F.relu)])
def test_a_way_is_the_same_as_in_the_model(model: Sam, row: Row, name: str, layer: object) -> None:
    """The layer exchanged in the model itself, by a function at the tensor behind it."""
    image, masks, prompts = ablation.prompts_of(NUMBER)
    predictor = Predictor(model)
    predictor.set_image(image)
    with trace(model) as t:
        predictor.predict([[prompts[CLICK].x, prompts[CLICK].y]], [1])
    before = t["output_upscaling.doubled_twice"]
    features = layer(before)  # type: ignore[operator]
    logits = torch.einsum("c,chw->hw", t["hyper_in"][0, int(row["best"])], features[0])
    at = 1 + list(UPSCALING_WAYS).index(name)
    assert row["scores"][0, at] == pytest.approx(iou((logits > 0).numpy(), masks[prompts[CLICK].mask]), abs=1e-4)


def test_the_target_on_a_coarse_grid_loses_more_at_its_edge(row: Row) -> None:
    _, masks, prompts = ablation.prompts_of(NUMBER)
    target = masks[prompts[CLICK].mask]
    squares = target.reshape(64, 4, 64, 4).mean((1, 3)) > 0.5
    flat = squares.repeat(4, 0).repeat(4, 1)
    assert row["targets"].shape == (3, 3)
    assert row["targets"][0, 0] == pytest.approx(iou(flat, target))
    assert row["targets"][2, 0] < row["targets"][0, 0]
    assert row["targets"][0, 2] > row["targets"][0, 0]


def test_shares_sum_to_one_and_the_masks_are_those_of_its_logits(row: Row, plain: Trace) -> None:
    assert row["shares"].shape == (2, len(MAPS), len(PARTS))
    np.testing.assert_allclose(row["shares"].sum(-1), 1, atol=1e-5)
    logits = plain["masks"][0, int(row["best"])]
    means = F.avg_pool2d(logits[None], 4)
    assert row["shares"][0, 1, 0] == pytest.approx(float(means.var() / logits.var()), rel=0.01)
    features = plain["output_upscaling.activated_twice"][0]
    between = F.avg_pool2d(features[None], 4)[0].var((1, 2)) / features.var((1, 2))
    assert row["shares"][0, 0, 0] == pytest.approx(float(between.mean()), rel=0.01)
    weights = plain["hyper_in"][0, int(row["best"])]
    uncorrelated = (weights.square() * F.avg_pool2d(features[None], 4)[0].var((1, 2), correction=0)).sum()
    assert row["support"][0, 0] == pytest.approx(float(means.var(correction=0) / uncorrelated), rel=0.01)
    assert np.abs(row["shares"][0] - row["shares"][1]).max() > 0.05  # untrained


def test_jumps_edges_and_near_inputs(row: Row, plain: Trace) -> None:
    _, masks, prompts = ablation.prompts_of(NUMBER)
    logits = plain["masks"][:, int(row["best"])]
    np.testing.assert_allclose(row["jumps"][0], jumps_by_kind(logits)[0], atol=1e-3)
    np.testing.assert_allclose(row["jumps"][2], jumps_by_kind(joined_squares(logits))[0], atol=1e-3)
    target = torch.from_numpy(masks[prompts[CLICK].mask])[None]
    assert row["edges"][1].tolist() == edges_by_kind(target)[0].tolist()
    assert row["edges"][3, :3].tolist() == [0, 0, 0]  # flat squares begin and end with a token
    assert row["edges"][0].sum() > 20
    near = [
        float((plain[f"output_upscaling.{name}"].abs() <= 0.75).double().mean()) for name in ("normed", "doubled_twice")
    ]
    np.testing.assert_allclose(row["near"], near, atol=1e-4)


def test_jumps_without_the_pattern_and_of_the_untrained_mask(model: Sam, row: Row, plain: Trace) -> None:
    best = int(row["best"])
    logits = plain["masks"][:, best]
    token_means, pattern, _ = split(logits)
    np.testing.assert_allclose(row["jumps"][1], jumps_by_kind(logits - pattern)[0], atol=1e-3)
    assert np.abs(row["jumps"][1] - jumps_by_kind(token_means)[0].numpy()).max() > 0.01
    generator = torch.Generator().manual_seed(NUMBER)
    fresh = untrained(model, generator=generator, parts=("mask_decoder", "prompt_encoder"))
    other = decoded(fresh, NUMBER, CLICK)["masks"]
    np.testing.assert_allclose(row["jumps"][3], jumps_by_kind(other[:, best])[0], rtol=1e-3)
    assert not np.allclose(row["jumps"][3], jumps_by_kind(other[:, 0])[0], rtol=1e-2)


def test_weights_at_random_are_twenty_orders_that_belong_to_the_click(row: Row, plain: Trace) -> None:
    prompts = ablation.prompts_of(NUMBER)[2]
    assert len({upscaling_measuring._seed(prompt) for prompt in prompts}) == len(prompts)
    generator = torch.Generator().manual_seed(upscaling_measuring._seed(prompts[CLICK]))
    features = plain["output_upscaling.activated_twice"][0]
    weights = plain["hyper_in"][0, int(row["best"])]
    orders = torch.stack([weights[torch.randperm(32, generator=generator)] for _ in range(20)])
    parts = split(torch.einsum("lc,chw->lhw", orders, features))
    variances = torch.stack([part.var((1, 2), correction=0) for part in parts], dim=1)
    expected = (variances / variances.sum(1, keepdim=True)).mean(0)
    np.testing.assert_allclose(row["shares"][0, 2], expected, atol=1e-3)


def test_what_is_stored(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscaling_measuring, "OTHERS", 1)
    data = measure_upscaling(weights, 2, progress=False)
    assert set(data) == {"weights", "prompts", *UPSCALING_ARRAYS}
    assert str(data["weights"]) == sha256(weights)
    stats = UpscalingStatistics(data)
    assert list(stats.clicks) == [p for i in range(2) for p in ablation.prompts_of(FIRST_SCENE + i)[2]]
    assert all(np.isfinite(data[name]).all() for name in UPSCALING_ARRAYS[1:])
