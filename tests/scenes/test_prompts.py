"""Prompt sets of a scene: whose they are, how often a box, and which masks fit them."""

import numpy as np
import pytest
from toy_masks import rectangle

from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.prompts import LEVEL_SHARE, MAX_VALID, masks_at, sample_prompt_sets
from sam_edu.scenes.scene import Scene


def make_scene(masks: list[np.ndarray], level: list[int], parent: list[int]) -> Scene:
    stack = np.stack(masks) if masks else np.zeros((0, 40, 60), bool)
    image = np.zeros((*stack.shape[1:], 3), np.uint8)
    return Scene(image, stack, np.array(level, np.int8), np.array(parent, np.int16), ("toy",) * len(masks))


@pytest.fixture
def nested() -> Scene:
    """An object, its part, that part's sub-part, and an object beside them."""
    masks = [
        rectangle(2, 2, 30, 30),
        rectangle(5, 5, 20, 20),
        rectangle(8, 8, 12, 12),
        rectangle(40, 10, 50, 30),
    ]
    return make_scene(masks, [0, 1, 2, 0], [-1, 0, 1, -1])


def test_sampling_respects_the_levels_and_the_share_of_boxes(nested: Scene) -> None:
    prompts = sample_prompt_sets(nested, 2000, 0.3, np.random.default_rng(0))
    shares = np.bincount(nested.level[prompts.target], minlength=3) / 2000
    assert LEVEL_SHARE == (0.38, 0.34, 0.28)
    np.testing.assert_allclose(shares, LEVEL_SHARE, atol=0.04)
    counts = np.bincount(prompts.target, minlength=4)
    assert abs(counts[0] - counts[3]) < 120  # the two objects are as likely
    assert prompts.is_box.mean() == pytest.approx(0.3, abs=0.04)


def test_levels_that_a_scene_does_not_have_leave_their_share_to_the_others() -> None:
    scene = make_scene([rectangle(2, 2, 30, 30), rectangle(5, 5, 20, 20)], [0, 1], [-1, 0])
    prompts = sample_prompt_sets(scene, 1000, 0.0, np.random.default_rng(0))
    assert (prompts.target == 0).mean() == pytest.approx(LEVEL_SHARE[0] / (LEVEL_SHARE[0] + LEVEL_SHARE[1]), abs=0.05)


def test_prompts_fit_their_targets(nested: Scene) -> None:
    prompts = sample_prompt_sets(nested, 300, 0.5, np.random.default_rng(3))
    assert prompts.valid.shape == (300, MAX_VALID)
    assert prompts.is_box.any()
    assert not prompts.is_box.all()
    for target, valid, (x, y), box, is_box in zip(
        prompts.target, prompts.valid, prompts.click, prompts.box, prompts.is_box, strict=True
    ):
        assert valid[0] == target
        assert nested.masks[target, int(y), int(x)]
        assert np.abs(box - tight_box(nested.masks[target])).max() <= 5
        given = [int(i) for i in valid if i >= 0]
        holding = np.flatnonzero(nested.masks[:, int(y), int(x)]).tolist()
        assert sorted(given) == ([target] if is_box else holding)
        assert (valid[len(given) :] == -1).all()


def test_masks_at_puts_the_target_first_and_stops_at_three(nested: Scene) -> None:
    assert masks_at(nested, 10, 10, 1) == [1, 0, 2]
    assert masks_at(nested, 25, 25, 0) == [0]
    four = make_scene([rectangle(0, 0, 9, 9)] * 4, [0, 0, 0, 0], [-1] * 4)
    assert masks_at(four, 3, 3, 3) == [3, 0, 1]


def test_same_generator_same_prompts(nested: Scene) -> None:
    first, again = (sample_prompt_sets(nested, 9, 0.5, np.random.default_rng(4)) for _ in range(2))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_a_scene_without_masks_is_refused() -> None:
    with pytest.raises(ValueError, match="scene: expected at least one mask, got none"):
        sample_prompt_sets(make_scene([], [], []), 3, 0.5, np.random.default_rng(0))
