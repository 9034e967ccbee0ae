"""The procedural scenes: reproducible, exactly nested, large enough, and without the unseen things."""

from collections import Counter

import numpy as np
import pytest

from sam_edu.scenes import textures
from sam_edu.scenes.scene import (
    MIN_AREA,
    MIN_AREA_SLENDER,
    TRAINING_FAMILIES,
    TRAINING_TEXTURES,
    UNSEEN_FAMILIES,
    UNSEEN_TEXTURES,
    Scene,
    draw_scene,
)
from sam_edu.scenes.shapes import FAMILIES, simplified
from sam_edu.scenes.slender_shapes import SLENDER


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene([11, index]) for index in range(60)]


def test_same_seed_same_scene_and_other_seed_other_scene() -> None:
    first, again, other = draw_scene(5), draw_scene(5), draw_scene(6)
    np.random.default_rng(5).random(1000)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    np.testing.assert_array_equal(first.parent, again.parent)
    assert first.family == again.family
    assert not np.array_equal(first.image, other.image)
    assert not np.array_equal(draw_scene([5, 0]).image, draw_scene([5, 1]).image)


def test_a_scene_does_not_depend_on_what_was_drawn_before() -> None:
    expected = draw_scene(21).image
    draw_scene(22, kind="unseen")
    np.random.seed(0)  # noqa: NPY002  (the global state must not matter)
    np.testing.assert_array_equal(draw_scene(21).image, expected)


@pytest.mark.parametrize("size", [64, 256, 320])
def test_shapes_and_types(size: int) -> None:
    scene = draw_scene(3, size=size)
    n = len(scene.masks)
    assert n > 0
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.masks.shape == (n, size, size)
    assert scene.masks.dtype == bool
    assert scene.level.shape == scene.parent.shape == (n,)
    assert scene.level.dtype == np.int8
    assert scene.parent.dtype == np.int16
    assert len(scene.family) == n


def test_masks_nest(scenes: list[Scene]) -> None:
    for scene in scenes:
        for index, (level, parent) in enumerate(zip(scene.level, scene.parent, strict=True)):
            if level == 0:
                assert parent == -1
                continue
            assert 0 <= parent < index
            assert scene.level[parent] == level - 1
            assert scene.family[parent] == scene.family[index]
            assert not (scene.masks[index] & ~scene.masks[parent]).any()
            assert scene.masks[index].sum() <= 0.85 * scene.masks[parent].sum()


def test_masks_of_one_level_are_disjoint_so_none_occurs_twice(scenes: list[Scene]) -> None:
    for scene in scenes:
        for level in range(3):
            assert scene.masks[scene.level == level].sum(axis=0).max(initial=0) <= 1
        flat = scene.masks.reshape(len(scene.masks), -1).astype(np.float32)
        common = flat @ flat.T
        area = np.diag(common)
        iou = common / (area[:, None] + area[None] - common)
        assert (iou - np.eye(len(iou))).max() < 0.95


def test_masks_are_large_enough(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert (scene.masks.sum(axis=(1, 2)) >= np.array(MIN_AREA)[scene.level]).all()


def test_levels_and_objects_are_well_mixed(scenes: list[Scene]) -> None:
    levels = np.concatenate([scene.level for scene in scenes])
    share = np.bincount(levels, minlength=3) / len(levels)
    assert 0.28 < share[0] < 0.5
    assert 0.3 < share[1] < 0.55
    assert 0.1 < share[2] < 0.3
    assert all((scene.level == 0).any() for scene in scenes)
    objects = np.concatenate([scene.masks[scene.level == 0].sum(axis=(1, 2)) for scene in scenes])
    assert 3000 < np.median(objects) < 12000


def test_masks_coincide_with_what_is_seen(scenes: list[Scene]) -> None:
    """Colours change more across the borders of objects than one step inside or outside of them."""
    across, beside = [], []
    for scene in scenes:
        change = np.abs(np.diff(scene.image.astype(np.float32), axis=1)).sum(axis=2)
        for mask in scene.masks[scene.level == 0]:
            border = mask[:, 1:] != mask[:, :-1]
            across.append(change[border])
            beside.append(change[:, 4:][border[:, :-4]])
            beside.append(change[:, :-4][border[:, 4:]])
    assert np.mean(np.concatenate(across)) > 2.0 * np.mean(np.concatenate(beside))


def test_unseen_families_are_kept_apart(scenes: list[Scene]) -> None:
    assert len(UNSEEN_FAMILIES) == len(UNSEEN_TEXTURES) == 2
    assert not set(TRAINING_FAMILIES) & set(UNSEEN_FAMILIES)
    assert set(FAMILIES) == set(TRAINING_FAMILIES) | set(UNSEEN_FAMILIES)
    seen = Counter(name for scene in scenes for name in scene.family)
    assert set(seen) <= set(TRAINING_FAMILIES)
    assert len(seen) > 0.8 * len(TRAINING_FAMILIES)
    unseen = {name for index in range(10) for name in draw_scene([12, index], kind="unseen").family}
    assert unseen == set(UNSEEN_FAMILIES)


def test_unseen_textures_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    original = textures.field

    def spy(name: str, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        used.append(name)
        return original(name, x, y, p)

    monkeypatch.setattr(textures, "field", spy)
    for index in range(25):
        draw_scene([13, index])
    assert set(used) == set(TRAINING_TEXTURES)
    used.clear()
    scene = draw_scene(14, kind="unseen")
    things = len(used) - 2  # at most a wall and a ground lie behind them
    assert things > 0
    assert all(name in UNSEEN_TEXTURES for name in used[-things:])
    assert len(scene.masks) > 0


@pytest.mark.parametrize("name", TRAINING_TEXTURES + UNSEEN_TEXTURES)
def test_texture_fields_are_bounded_and_broadcast(name: str) -> None:
    x, y = np.arange(-20, 30, dtype=np.float32)[None], np.arange(-9, 31, dtype=np.float32)[:, None]
    for seed in range(5):
        mix = textures.field(name, x, y, np.random.default_rng(seed).random(6))
        assert np.broadcast_shapes(mix.shape, (40, 50)) == (40, 50)
        assert mix.min() >= 0.0
        assert mix.max() <= 1.0


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_things_are_trees_that_stay_near_the_origin(name: str) -> None:
    for seed in range(10):
        thing = FAMILIES[name](np.random.default_rng(seed))
        assert [index for index, node in enumerate(thing.nodes) if node.parent < 0] == [0]
        assert all(node.parent < index for index, node in enumerate(thing.nodes))
        reach = [np.abs(outline).max() for node in thing.nodes if node.free for outline in node.outlines]
        assert 0.5 < max(reach) < 1.5
        silhouette = simplified(thing, 0)
        assert len(silhouette.nodes) == 1
        assert len(silhouette.nodes[0].outlines) == len(reach)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="got 10"):
        draw_scene(0, size=10)
    with pytest.raises(ValueError, match="'velvet'"):
        textures.field("velvet", np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(6))


@pytest.fixture(scope="module")
def slender_scenes() -> list[Scene]:
    return [draw_scene([15, index], kind="slender") for index in range(40)]


def test_slender_scenes_nest_and_have_large_enough_masks(slender_scenes: list[Scene]) -> None:
    for scene in slender_scenes:
        for mask, level, parent in zip(scene.masks, scene.level, scene.parent, strict=True):
            assert mask.sum() >= MIN_AREA_SLENDER[level]
            assert level == 0 or not (mask & ~scene.masks[parent]).any()
    assert np.mean([len(scene.masks) > 0 for scene in slender_scenes]) > 0.9


def test_slender_scenes_have_what_ordinary_ones_lack(scenes: list[Scene], slender_scenes: list[Scene]) -> None:
    assert not set(SLENDER) & set(FAMILIES)
    assert not {name for scene in scenes for name in scene.family} & set(SLENDER)
    assert {name for scene in slender_scenes for name in scene.family} >= set(SLENDER)
    assert not {name for scene in slender_scenes for name in scene.family} & set(UNSEEN_FAMILIES)

    def slenderness(scene: Scene, names: set[str]) -> list[float]:
        rows = zip(scene.masks, scene.level, scene.family, strict=True)
        return [_length_over_width(mask) for mask, level, family in rows if level == 0 and family in names]

    thin = [value for scene in slender_scenes for value in slenderness(scene, set(SLENDER))]
    usual = [value for scene in scenes for value in slenderness(scene, set(FAMILIES))]
    assert np.median(thin) > 2.5 * np.median(usual)
    dark = [scene.image.mean() < 60 for scene in slender_scenes]
    assert np.mean(dark) > 2 * np.mean([scene.image.mean() < 60 for scene in scenes])


def _length_over_width(mask: np.ndarray) -> float:
    """Ratio of the standard deviations along the principal axes."""
    long, short = np.linalg.svd(np.argwhere(mask) - np.argwhere(mask).mean(axis=0), compute_uv=False)
    return float(long / short)


@pytest.mark.no_shape_check
def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind: expected one of ordinary, slender, unseen, got 'fat'"):
        draw_scene(0, kind="fat")  # type: ignore[arg-type]
