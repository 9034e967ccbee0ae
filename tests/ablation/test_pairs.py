"""Pairs of held-out clicks: each kind is what it says, on drawn scenes and on scenes made by hand."""

import numpy as np
import pytest

from sam_edu.ablation import FIRST_SCENE, MAX_OVERLAP, PAIR_KINDS, Pair, pairs, scene_and_pairs, scene_and_prompts
from sam_edu.scenes.scene import Scene

NUMBERS = range(FIRST_SCENE, FIRST_SCENE + 30)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Scene, list[Pair]]]:
    return [scene_and_pairs(number) for number in NUMBERS]


def of_kind(drawn: list[tuple[Scene, list[Pair]]], kind: str) -> list[tuple[Scene, Pair]]:
    """There have to be some, or a test would prove nothing."""
    found = [(scene, pair) for scene, pairs in drawn for pair in pairs if pair.kind == kind]
    assert len(found) >= 20
    return found


def hand_made(masks: list[tuple[slice, slice]], parent: list[int]) -> Scene:
    """A scene of 32 x 32 pixels with these rectangles (rows, columns) as masks."""
    stack = np.zeros((len(masks), 32, 32), bool)
    for mask, (rows, columns) in zip(stack, masks, strict=True):
        mask[rows, columns] = True
    level: list[int] = []
    for above in parent:
        level.append(level[above] + 1 if above >= 0 else 0)
    image = np.zeros((32, 32, 3), np.uint8)
    return Scene(image, stack, np.array(level, np.int8), np.array(parent, np.int16), ("",) * len(masks))


def test_each_click_lies_on_its_target_mask(drawn: list[tuple[Scene, list[Pair]]]) -> None:
    for scene, found in drawn:
        for pair in found:
            for click in (pair.a, pair.b):
                assert scene.masks[click.mask, click.y, click.x]
                assert click.level == scene.level[click.mask]
                assert click.area == scene.masks[click.mask].sum()
                assert click.scene == found[0].a.scene


def test_pairs_are_drawn_anew_alike_and_kind_by_kind(drawn: list[tuple[Scene, list[Pair]]]) -> None:
    assert scene_and_pairs(NUMBERS[3])[1] == drawn[3][1]
    kinds = {pair.kind for _, found in drawn for pair in found}
    assert kinds == set(PAIR_KINDS)


def test_same_mask_has_two_different_clicks_on_one_mask(drawn: list[tuple[Scene, list[Pair]]]) -> None:
    for _, pair in of_kind(drawn, "same mask"):
        assert pair.a.mask == pair.b.mask
        assert (pair.a.x, pair.a.y) != (pair.b.x, pair.b.y)


def test_same_mask_finds_the_other_one_of_two_pixels() -> None:
    scene = hand_made([(slice(4, 5), slice(4, 6))], [-1])
    for seed in range(10):
        [pair] = pairs._same_mask(scene, 0, np.random.default_rng(seed))
        assert {pair.a.x, pair.b.x} == {4, 5}


def test_other_object_means_two_objects_that_do_not_overlap(drawn: list[tuple[Scene, list[Pair]]]) -> None:
    """Two clicks on two parts of the same object are clicks on one thing."""
    for scene, pair in of_kind(drawn, "other object"):
        a, b = scene.masks[pair.a.mask], scene.masks[pair.b.mask]
        assert (a & b).sum() / (a | b).sum() < MAX_OVERLAP
        outermost = []
        for mask in (pair.a.mask, pair.b.mask):
            while scene.parent[mask] >= 0:
                mask = int(scene.parent[mask])
            outermost.append(mask)
        assert outermost[0] != outermost[1]
        assert not scene.masks[outermost[0], pair.b.y, pair.b.x]  # B's click is not on A's object at all
        assert not scene.masks[outermost[1], pair.a.y, pair.a.x]
        assert pair.a.level == pair.b.level


def test_a_part_of_a_part_belongs_to_its_object() -> None:
    nested = [(slice(0, 20 - 4 * i), slice(0, 20)) for i in range(3)]
    scene = hand_made([*nested, (slice(24, 30), slice(0, 20)), (slice(24, 27), slice(0, 20))], [-1, 0, 1, -1, 3])
    assert pairs.objects_of(scene) == [0, 0, 0, 3, 3]


def test_the_overlap_of_known_masks_is_their_iou() -> None:
    first, second = np.array([[1, 1, 1, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    assert pairs.overlap(first, second) == 0.5
    assert pairs.overlap(first, ~first) == 0


def test_parts_of_one_object_and_objects_that_overlap_are_no_other_objects() -> None:
    whole, left, right = (slice(0, 20), slice(0, 20)), (slice(0, 20), slice(0, 8)), (slice(0, 20), slice(10, 20))
    rng = np.random.default_rng(0)
    assert pairs._other_object(hand_made([whole, left, right], [-1, 0, 0]), 0, rng) == []
    assert pairs._other_object(hand_made([whole, left], [-1, -1]), 0, rng) == []
    apart = hand_made([left, right], [-1, -1])
    [pair] = pairs._other_object(apart, 0, rng)
    assert {pair.a.mask, pair.b.mask} == {0, 1}
    both = {pairs._other_object(apart, 0, np.random.default_rng(seed))[0].a.mask for seed in range(20)}
    assert both == {0, 1}  # either is A
    several = hand_made([(slice(0, 5), slice(6 * i, 6 * i + 5)) for i in range(5)], [-1] * 5)
    many = pairs._other_object(several, 0, rng)
    assert len({frozenset((pair.a.mask, pair.b.mask)) for pair in many}) == len(many) == pairs.OTHER_OBJECTS


def test_other_level_is_a_mask_and_its_part_either_way_round(drawn: list[tuple[Scene, list[Pair]]]) -> None:
    found = of_kind(drawn, "other level")
    for scene, pair in found:
        outer, inner = sorted((pair.a, pair.b), key=lambda click: click.level)
        assert scene.parent[inner.mask] == outer.mask
        assert not scene.masks[inner.mask, outer.y, outer.x]  # not a click on both
    both = {(pair.a, pair.b) for _, pair in found}
    assert both == {(pair.b, pair.a) for _, pair in found}
    assert {pair.b.level for _, pair in found} == {0, 1, 2}


def test_without_a_click_stands_the_same_click_on_both_sides(drawn: list[tuple[Scene, list[Pair]]]) -> None:
    for scene, found in drawn:
        clicks = scene_and_prompts(found[0].a.scene)[1]
        for kind, clicked in (("no click in A", (False, True)), ("no click in B", (True, False))):
            some = [pair for pair in found if pair.kind == kind]
            assert [pair.a for pair in some] == [pair.b for pair in some] == clicks
            assert {pair.clicked for pair in some} == {clicked}
        assert {pair.clicked for pair in found if "no click" not in pair.kind} == {(True, True)}
        assert len(scene.masks)


def test_a_scene_without_masks_has_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = hand_made([], [])
    monkeypatch.setattr(pairs, "scene_and_prompts", lambda number: (empty, []))
    assert scene_and_pairs(FIRST_SCENE)[1] == []
