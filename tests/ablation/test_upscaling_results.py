"""The stored results of step (5): each number is found under its name, and what does not fit is refused."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from sam_edu.ablation import (
    FIRST_SCENE,
    UPSCALING_ARRAYS,
    UPSCALING_MEASURES,
    UPSCALING_WAYS,
    UpscalingStatistics,
)
from sam_edu.ablation.grid_parts import KINDS, PARTS
from sam_edu.ablation.upscaling_results import EDGES, INPUTS, JUMPS, MAPS, MODELS, TARGETS

CLICKS = 6


def random_data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    prompts = np.zeros((CLICKS, 6), np.int32)
    prompts[:, 0] = FIRST_SCENE + np.arange(CLICKS) // 2
    prompts[:, 2] = np.arange(CLICKS) % 2
    shapes = {
        "scores": (CLICKS, len(UPSCALING_MEASURES), 1 + len(UPSCALING_WAYS)),
        "targets": (CLICKS, len(UPSCALING_MEASURES), len(TARGETS)),
        "shares": (CLICKS, len(MODELS), len(MAPS), len(PARTS)),
        "support": (CLICKS, len(MODELS), len(PARTS)),
        "jumps": (CLICKS, len(JUMPS), len(KINDS)),
        "edges": (CLICKS, len(EDGES), len(KINDS)),
        "near": (CLICKS, len(INPUTS)),
    }
    return {
        "weights": np.array("0" * 64),
        "prompts": prompts,
        "upscaling.definitions": np.array(json.dumps(UPSCALING_WAYS)),
        "upscaling.best": np.array([1, 2, 3, 1, 2, 3], np.int8),
        **{f"upscaling.{name}": rng.uniform(0.5, 1, size=shape) for name, shape in shapes.items()},
    }


def test_each_number_is_found_under_its_name() -> None:
    data = random_data()
    stats = UpscalingStatistics(data)
    assert set(data) - {"weights", "prompts"} == set(UPSCALING_ARRAYS)
    for i, measure in enumerate(UPSCALING_MEASURES):
        scores = data["upscaling.scores"][:, i]
        np.testing.assert_array_equal(stats.scores(None, measure), scores[:, 0])
        for j, way in enumerate(UPSCALING_WAYS, start=1):
            np.testing.assert_array_equal(stats.scores(way, measure), scores[:, j])
            assert stats.effect(way, measure).mean == pytest.approx((scores[:, j] - scores[:, 0]).mean())
        for j, way in enumerate(TARGETS):
            assert stats.target(way, measure).mean == pytest.approx(data["upscaling.targets"][:, i, j].mean())
    for m, model in enumerate(MODELS):
        for p, part in enumerate(PARTS):
            assert stats.support(part, model).mean == pytest.approx(data["upscaling.support"][:, m, p].mean())
            for i, of in enumerate(MAPS):
                expected = data["upscaling.shares"][:, m, i, p].mean()
                assert stats.share(of, part, model).mean == pytest.approx(expected)
    for i, of in enumerate(EDGES):
        counts = data["upscaling.edges"][:, i]
        for j, kind in enumerate(KINDS):
            assert stats.edge_share(of, kind).mean == pytest.approx(counts[:, j].sum() / counts.sum())
    for i, activation in enumerate(INPUTS):
        assert stats.near_zero(activation).mean == pytest.approx(data["upscaling.near"][:, i].mean())
    assert repr(stats) == "<UpscalingStatistics: 6 clicks on 3 held-out scenes, 20 ways>"


def test_jumps_are_across_lines_over_inside_halves() -> None:
    data = random_data()
    for i in range(len(JUMPS)):
        data["upscaling.jumps"][:, i] = [1, 2 + i, 1, 4 + i]
    stats = UpscalingStatistics(data)
    for i, of in enumerate(JUMPS):
        assert stats.jumps(of).mean == pytest.approx(3 + i)


def test_a_level_and_a_difference_are_over_their_own_clicks() -> None:
    data = random_data()
    stats = UpscalingStatistics(data)
    change = stats.scores("squares flat", "boundary") - stats.scores(None, "boundary")
    part = stats.effect("squares flat", "boundary", "part")
    assert part.mean == pytest.approx(change[1::2].mean())
    assert part.prompts == CLICKS // 2
    more = stats.scores("squares flat") - stats.scores("squares joined")
    assert stats.difference("squares flat", "squares joined").mean == pytest.approx(more.mean())
    assert stats.difference("squares flat", "squares joined").low <= more.mean()
    thin = stats.scores("squares flat", "thin boundary") - stats.scores("squares joined", "thin boundary")
    assert stats.difference("squares flat", "squares joined", "thin boundary").mean == pytest.approx(thin.mean())


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.scores("no pixels"), "way: expected one of no last GELU"),
        (lambda s: s.scores(None, "length"), "measure: expected one of area, boundary, thin boundary, got 'length'"),
        (lambda s: s.target("no norm"), "way: expected one of squares flat"),
        (lambda s: s.share("masks", "pattern"), "of: expected one of channels"),
        (lambda s: s.share("mask", "stamp"), "part: expected one of token means"),
        (lambda s: s.support("pattern", "Meta's"), "model: expected one of trained"),
        (lambda s: s.jumps("target"), "of: expected one of mask"),
        (lambda s: s.edge_share("mask", "left"), "kind: expected one of in the first half"),
        (lambda s: s.near_zero("GELU"), "activation: expected one of first GELU"),
    ],
)
def test_unknown_names_are_refused(ask: Callable[[UpscalingStatistics], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(UpscalingStatistics(random_data()))


def test_a_file_without_them_or_with_other_ways_is_refused() -> None:
    data = random_data()
    with pytest.raises(ValueError, match=r"lacks step \(5\): .* --only upscaling"):
        UpscalingStatistics({name: array for name, array in data.items() if name != "upscaling.near"})
    changed = json.dumps(UPSCALING_WAYS | {"no norm": "another text"})
    with pytest.raises(ValueError, match="the ways have changed"):
        UpscalingStatistics(data | {"upscaling.definitions": np.array(changed)})
