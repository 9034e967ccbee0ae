"""Attention statistics: of known weights, of the stored clicks, and their nulls by permuted clicks."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import (
    ATTENTIONS,
    FIRST_SCENE,
    TOKEN_TO_IMAGE,
    TOLERANCE,
    Prompt,
    Statistics,
    attention_statistics,
)
from sam_edu.ablation.attention_statistics import (
    another_object,
    attention_of_scene,
    measure_attention,
    permuted_clicks,
)
from sam_edu.ablation.measuring import Row
from sam_edu.ablation.results import NULLS
from sam_edu.sam import Sam, tiny_weights

NUMBER = FIRST_SCENE + 3
GRID = 16


def forty_clicks(**other: object) -> dict[str, object]:
    """The stored file's arrays for its first 40 clicks; without the nulls, but for those given."""
    data = ablation.read()
    n = len(data["prompts"])
    short = {
        name: np.take(array, range(40), axis=array.shape.index(n)) if n in array.shape else array
        for name, array in data.items()
        if name not in NULLS
    }
    return short | other


def test_attention_statistics_of_known_weights() -> None:
    """On a grid of 2 x 2 positions of 2 x 2 pixels, with the click in the first pixel."""
    weights = {name: torch.full((8, 7, 4), 0.25) for name in ATTENTIONS}
    weights[TOKEN_TO_IMAGE[1]][3, 5] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    masks = np.zeros((1, 4, 4), bool)
    masks[0, :2, :3] = True
    row = attention_statistics.attention_statistics(weights, Prompt(0, 0, 0, 0, 0, 6), masks)
    assert row["entropy"].shape == (7, 8)
    np.testing.assert_allclose(row["entropy"][0], 1)
    np.testing.assert_allclose(row["entropy"][ATTENTIONS.index(TOKEN_TO_IMAGE[1]), 3], 6 / 7)
    assert row["distance"].shape == row["share"].shape == (3, 9)
    np.testing.assert_allclose(row["distance"][1, 3], math.hypot(2.5, 0.5))
    np.testing.assert_allclose(row["share"][1, 3], 0.5)
    np.testing.assert_allclose(row["share"][:, 8], 6 / 16)
    np.testing.assert_allclose(row["distance"][0, :8], row["distance"][0, 8])
    np.testing.assert_allclose(row["inside"], [1, 0.5, 0, 0])
    np.testing.assert_allclose(row["maps"] @ row["inside"], row["share"][:, :8])
    np.testing.assert_allclose(row["maps"] @ row["away"], row["distance"][:, :8], rtol=1e-6)


def test_clicks_are_on_another_object_where_no_mask_holds_both() -> None:
    masks = np.zeros((3, 8, 8), bool)
    masks[0, :, :4] = True  # an object
    masks[1, :2, :2] = True  # its part
    masks[2, :, 5:] = True  # another object
    part, rest, other = (Prompt(0, 0, 0, x, y, 1) for x, y in ((1, 1), (3, 6), (6, 6)))
    assert not another_object(masks, part, rest)
    assert another_object(masks, part, other)
    assert another_object(masks, other, rest)


# --- Permuted clicks, on maps that are known ---


def made_up(follows: float, seed: int = 0, scenes: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Maps of two clicks in each scene that look at the target by a share, and at a fixed region by the rest.

    Returns:
        maps (clicks, 1, positions), targets (clicks, positions), scenes (clicks,), and each map's share on its target.
    """
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(scenes), 2)
    y, x = np.mgrid[:GRID, :GRID]
    centre = rng.normal(GRID / 2, GRID / 6, size=(len(numbers), 2)).clip(0, GRID)  # objects lie in the middle
    targets = (np.hypot(y - centre[:, 0, None, None], x - centre[:, 1, None, None]) < 4).reshape(len(numbers), -1)
    fixed = (np.hypot(y - GRID / 2, x - GRID / 2) < 5).ravel() / (np.hypot(y - GRID / 2, x - GRID / 2) < 5).sum()
    maps = follows * targets / targets.sum(axis=1, keepdims=True) + (1 - follows) * fixed
    return maps[:, None], targets.astype(float), numbers, (maps * targets).sum(axis=1)


def statistics_of(maps: np.ndarray, targets: np.ndarray, scenes: np.ndarray, share: np.ndarray) -> Statistics:
    """A file with these shares in the first head of the first attention."""
    of_click, of_map = permuted_clicks(maps, targets, scenes)
    arrays = {name: np.zeros((40, 3, 8)) for name in NULLS}
    arrays["share_null"][:, 0, :1], arrays["share_null_of_map"][:, 0, :1] = of_click, of_map
    arrays["share"] = np.zeros((40, 3, 9))
    arrays["share"][:, 0, 0] = share
    prompts = np.array([Prompt(FIRST_SCENE + scene, 0, 0, 10, 20, 300) for scene in scenes])
    return Statistics(forty_clicks(**arrays, prompts=prompts))


def test_a_map_that_never_depends_on_the_click_equals_its_null() -> None:
    """It lies on objects far more than uniform attention does, and yet it follows no click."""
    maps, targets, scenes, share = made_up(follows=0.0)
    of_click, of_map = permuted_clicks(maps, targets, scenes)
    np.testing.assert_allclose(of_click[:, 0], share)
    assert share.mean() > 1.5 * targets.mean()
    assert np.ptp(of_map) < 0.05 * share.mean()


def test_a_map_that_follows_the_click_exceeds_its_null() -> None:
    maps, targets, scenes, share = made_up(follows=0.3, scenes=20)
    stats = statistics_of(maps, targets, scenes, share)
    first, second, *_ = stats.share_above_null(TOKEN_TO_IMAGE[0])
    assert first.low > 0.1
    assert first.mean == pytest.approx((share - stats.share_null(TOKEN_TO_IMAGE[0])[:, 0]).mean())
    assert first.prompts == 40
    assert second.mean == 0


def test_a_fixed_map_is_not_clear() -> None:
    maps, targets, scenes, share = made_up(follows=0.0, scenes=20)
    effect, *_ = statistics_of(maps, targets, scenes, share).share_above_null(TOKEN_TO_IMAGE[0])
    assert effect.mean == pytest.approx(0, abs=1e-12)
    assert effect.low <= 0 <= effect.high


def test_maps_that_belong_to_no_click_are_clear_as_rarely_as_they_should_be() -> None:
    """Sharp maps anywhere on objects, drawn anew for each scene without regard to the click: no effect, in 5 % clear.

    An interval that takes the null's maps as given would be too narrow.
    """
    clear, effects = [], []
    for seed in range(100):
        _, targets, scenes, _ = made_up(0.0, seed, scenes=20)
        maps, *_ = made_up(1.0, 1000 + seed, scenes=20)
        stats = statistics_of(maps, targets, scenes, (maps[:, 0] * targets).sum(axis=1))
        effect, *_ = stats.share_above_null(TOKEN_TO_IMAGE[0])
        clear.append(effect.clear)
        effects.append(effect)
    assert np.mean(clear) < 0.13
    width = np.mean([effect.high - effect.low for effect in effects])
    assert width == pytest.approx(2 * 1.96 * np.std([effect.mean for effect in effects]), rel=0.2)


def test_a_map_that_follows_the_image_and_not_the_click_exceeds_the_null_of_other_scenes_alone() -> None:
    """It looks at both objects of its scene alike, whichever is clicked."""
    _, targets, scenes, _ = made_up(0.0, scenes=20)
    pairs = targets.reshape(20, 2, -1)
    pairs[:, 0] *= pairs[:, 1] == 0  # two objects share no position
    both = pairs.sum(axis=1) / pairs.sum(axis=(1, 2))[:, None]
    maps, targets = both[scenes][:, None], pairs.reshape(40, -1)
    share = (maps[:, 0] * targets).sum(axis=1)
    stats = statistics_of(maps, targets, scenes, share)
    other, *_ = stats.share_above_null(TOKEN_TO_IMAGE[0])
    assert other.low > 0.1
    # In the same scene the other click's map is the same map.
    stats._data["share_null_same_scene"][:, 0, 0] = (maps[np.arange(40) ^ 1, 0] * targets).sum(axis=1)
    same, *_ = stats.share_above_null(TOKEN_TO_IMAGE[0], "same scene")
    assert same.mean == pytest.approx(0, abs=1e-12)


def test_the_interval_is_that_of_a_bootstrap_that_makes_the_null_anew() -> None:
    maps, targets, scenes, share = made_up(follows=0.5, scenes=20)
    effect, *_ = statistics_of(maps, targets, scenes, share).share_above_null(TOKEN_TO_IMAGE[0])
    table, other = targets @ maps[:, 0].T, scenes[:, None] != scenes[None]
    found = []
    for drawn in np.random.default_rng(5).multinomial(20, np.full(20, 1 / 20), size=2000):
        weight = drawn[scenes]
        pairs = weight[:, None] * weight[None] * other
        found.append((weight @ share) / weight.sum() - (pairs * table).sum() / pairs.sum())
    low, high = np.percentile(found, [2.5, 97.5])
    assert effect.low == pytest.approx(low, abs=0.12 * (high - low))
    assert effect.high == pytest.approx(high, abs=0.12 * (high - low))


def test_null_by_hand_leaves_out_the_clicks_of_the_same_scene() -> None:
    maps = np.eye(3)[:, None]  # each click looks at a position of its own
    values = np.array([[1.0, 2, 4], [8, 16, 32], [64, 128, 256]])
    of_click, of_map = permuted_clicks(maps, values, np.array([0, 0, 1]))
    assert of_click[:, 0].tolist() == [4, 32, (64 + 128) / 2]
    assert of_map[:, 0].tolist() == [64, 128, (4 + 32) / 2]


def test_a_single_scene_has_no_null() -> None:
    of_click, of_map = permuted_clicks(np.ones((2, 1, 4)), np.ones((2, 4)), np.array([7, 7]))
    assert np.isnan(of_click).all()
    assert np.isnan(of_map).all()


# --- The stored statistics ---


def test_nulls_are_found_by_attention_and_pool() -> None:
    data = forty_clicks()
    rng = np.random.default_rng(1)
    nulls = {name: rng.uniform(size=(40, 3, 8)) for name in NULLS}
    stats = Statistics(data | nulls)
    last = TOKEN_TO_IMAGE[-1]
    np.testing.assert_array_equal(stats.share_null(last), nulls["share_null"][:, 2])
    np.testing.assert_array_equal(stats.distance_null(last, "same scene"), nulls["distance_null_same_scene"][:, 2])
    effects = stats.distance_above_null(last)
    assert len(effects) == 8
    wanted = np.asarray(data["distance"])[:, 2, :8] - nulls["distance_null"][:, 2]
    np.testing.assert_allclose([effect.mean for effect in effects], wanted.mean(axis=0))


def test_in_the_same_scene_clicks_without_another_object_are_left_out() -> None:
    data = forty_clicks()
    nulls = {name: np.zeros((40, 3, 8)) for name in NULLS}
    nulls["share_null_same_scene"][::2] = np.nan
    stats = Statistics(data | nulls)
    effect = stats.share_above_null(TOKEN_TO_IMAGE[0], "same scene")[5]
    assert effect.prompts == 20
    assert effect.mean == pytest.approx(np.asarray(data["share"])[1::2, 0, 5].mean())
    nulls["share_null_same_scene"][:] = np.nan
    with pytest.raises(ValueError, match="pool: expected clicks with another one in same scene, got none"):
        Statistics(data | nulls).share_above_null(TOKEN_TO_IMAGE[0], "same scene")


@pytest.mark.no_shape_check
def test_missing_nulls_and_wrong_names_are_refused() -> None:
    stats = Statistics(forty_clicks())
    with pytest.raises(
        ValueError, match=r"lacks share_null: python -m tools\.make_statistics --only attention measures"
    ):
        stats.share_null(TOKEN_TO_IMAGE[0])
    with pytest.raises(ValueError, match="pool: expected one of other scenes, same scene, got 'all'"):
        stats.share_null(TOKEN_TO_IMAGE[0], "all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"attention: expected one of .*token_to_image, got .*self_attn"):
        stats.distance_above_null(ATTENTIONS[0])


@pytest.fixture(scope="module")
def rows(model: Sam) -> list[Row]:
    """Of a scene with clicks on different objects."""
    return attention_of_scene(model, NUMBER)


def test_stored_statistics_are_measured_again(rows: list[Row]) -> None:
    stats = ablation.load()
    for row in rows:
        click = stats.prompts.clicks.index(Prompt(*map(int, row["prompt"])))
        for i, attention in enumerate(ATTENTIONS):
            np.testing.assert_allclose(row["entropy"][i], stats.entropy(attention)[click], atol=TOLERANCE)
        for i, attention in enumerate(TOKEN_TO_IMAGE):
            np.testing.assert_allclose(row["distance"][i], stats.distance(attention)[click], rtol=TOLERANCE)
            np.testing.assert_allclose(row["share"][i], stats.share(attention)[click], atol=TOLERANCE)


def test_nulls_within_a_scene_are_those_of_the_clicks_on_other_objects(model: Sam, rows: list[Row]) -> None:
    _, masks, prompts = ablation.prompts_of(NUMBER)
    others_of = [[j for j, two in enumerate(prompts) if another_object(masks, one, two)] for one in prompts]
    assert [len(others) for others in others_of] == [2, 1, 1]
    for row, others in zip(rows, others_of, strict=True):
        for name, what in (("share", "inside"), ("distance", "away")):
            wanted = np.mean([rows[j]["maps"] @ row[what] for j in others], axis=0)
            np.testing.assert_allclose(row[f"{name}_null_same_scene"], wanted, rtol=1e-5)
    [alone] = attention_of_scene(model, FIRST_SCENE)
    assert np.isnan(alone["share_null_same_scene"]).all()


def test_the_file_holds_the_rows_of_all_clicks_and_nulls_of_other_scenes(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scene's rows twice, the second time under another scene's number."""
    moved = [row | {"prompt": row["prompt"] + np.array([1, 0, 0, 0, 0, 0])} for row in rows]
    monkeypatch.setattr("sam_edu.ablation.attention_statistics.rows_of_scenes", lambda *_: [*rows, *moved])
    data = measure_attention(tiny_weights(), scenes=2)
    np.testing.assert_array_equal(data["prompts"][:, 0], [NUMBER] * len(rows) + [NUMBER + 1] * len(rows))
    for name, what in (("share", "inside"), ("distance", "away")):
        np.testing.assert_allclose(data[name][: len(rows)], [row[name] for row in rows], rtol=1e-3, atol=1e-6)
        null = [np.mean([other["maps"] @ row[what] for other in rows], axis=0) for row in rows]
        np.testing.assert_allclose(data[f"{name}_null"][: len(rows)], null, rtol=2e-3, atol=1e-6)


def test_an_untrained_model_follows_no_click(weights: Path) -> None:
    """Measured as the command does, over a few scenes: all arrays are there, and nothing is above the null."""
    data = measure_attention(weights, scenes=3, progress=False)
    assert {*NULLS, "entropy", "share", "distance"} < set(data)
    above = np.asarray(data["share"], np.float64)[..., :8] - data["share_null"]
    assert np.abs(above.mean(axis=0)).max() < 0.05
    trained = measure_attention(tiny_weights(), scenes=3, progress=False)
    above = np.asarray(trained["share"], np.float64)[..., :8] - trained["share_null"]
    assert above.mean(axis=0).max() > 0.2
