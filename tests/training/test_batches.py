"""Batches: the same for a step in every process, and equal to the scenes."""

import hashlib

import numpy as np
import pytest
import torch

from sam_edu.scenes.scene import Kind, Scene, draw_scene
from sam_edu.training import batches
from sam_edu.training.batches import SLENDER_SHARE, TRAINING_STREAM, Batch, label_map, shrink
from sam_edu.training.batches import draw_batch as draw_batch_of
from sam_edu.training.corrections import DRAWS
from sam_edu.training.sources import Sources

SETS = 5


def draw_batch(seed: int, step: int, indices: range, prompt_sets: int, box_share: float) -> Batch:
    """A batch of drawn scenes alone."""
    return draw_batch_of(seed, step, indices, prompt_sets, box_share, Sources())


@pytest.fixture(scope="module")
def whole() -> Batch:
    return draw_batch(3, 11, range(4), SETS, 0.4)


def rows(batch: Batch, images: slice) -> dict[str, torch.Tensor]:
    """The tensors of some images of a batch and of their prompt sets."""
    sets = slice(images.start * SETS, images.stop * SETS)
    per_image = {"image", "labels", "grouping"}
    tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return {name: value[images if name in per_image else sets] for name, value in tensors.items()}


def test_shapes_and_types(whole: Batch) -> None:
    shapes = {name: tuple(value.shape) for name, value in rows(whole, slice(0, 4)).items()}
    assert shapes == {
        "image": (4, 3, 256, 256),
        "targets": (20, 3, 256, 256),
        "valid": (20, 3),
        "clicks": (20, 2),
        "boxes": (20, 4),
        "is_box": (20,),
        "draws": (20, 5),
        "labels": (4, 3, 32, 32),
        "grouping": (4, 128),
    }
    assert whole.image.dtype == whole.targets.dtype == torch.uint8
    assert whole.clicks.dtype == whole.boxes.dtype == torch.float32
    assert whole.valid.dtype == whole.is_box.dtype == torch.bool
    assert whole.draws.dtype == whole.labels.dtype == whole.grouping.dtype == torch.int64


def test_a_part_of_the_indices_gives_the_same_rows(whole: Batch) -> None:
    part = draw_batch(3, 11, range(1, 3), SETS, 0.4)
    expected = rows(whole, slice(1, 3))
    for name, value in rows(part, slice(0, 2)).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("arguments", [(4, 11), (3, 12)])
def test_another_seed_or_step_gives_another_batch(whole: Batch, arguments: tuple[int, int]) -> None:
    other = draw_batch(*arguments, range(1), SETS, 0.4)
    assert not torch.equal(other.image[0], whole.image[0])


def test_a_batch_holds_what_its_scenes_and_prompts_say(whole: Batch) -> None:
    scene = draw_scene((TRAINING_STREAM, 3, 11, 2, 0))
    np.testing.assert_array_equal(whole.image[2].permute(1, 2, 0).numpy(), scene.image)
    masks = torch.from_numpy(scene.masks)
    assert whole.valid[:, 0].all()
    for row in range(2 * SETS, 3 * SETS):
        x, y = whole.clicks[row].long().tolist()
        assert not whole.targets[row][~whole.valid[row]].any()
        held = whole.targets[row][whole.valid[row]].bool()
        assert held[:, y, x].all()
        assert all(any(torch.equal(target, mask) for mask in masks) for target in held)
        expected = 1 if whole.is_box[row] else min(3, int(masks[:, y, x].sum()))
        assert len(held) == expected


def test_scenes_without_masks_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def sometimes_empty(seed: tuple[int, ...], kind: Kind, photographs: None) -> Scene:
        asked.append(seed)
        scene = draw_scene(seed, kind=kind)
        empty = Scene(scene.image, scene.masks[:0], scene.level[:0], scene.parent[:0], ())
        return empty if seed[-1] < 2 else scene

    monkeypatch.setattr(batches, "draw_scene", sometimes_empty)
    batch = draw_batch(0, 5, range(7, 8), 2, 0.0)
    assert asked == [(TRAINING_STREAM, 0, 5, 7, attempt) for attempt in range(3)]
    assert batch.valid[:, 0].all()


def test_a_share_of_the_scenes_is_slender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which ones is fixed by the seed; the image is the slender scene itself."""
    kinds: list[Kind] = []
    small = draw_scene(1, size=64)

    def spy(seed: tuple[int, ...], kind: Kind, photographs: None) -> Scene:
        kinds.append(kind)
        return small

    with monkeypatch.context() as patched:
        patched.setattr(batches, "draw_scene", spy)
        for step in range(50):
            draw_batch(0, step, range(8), 1, 0.0)
    assert set(kinds) == {"ordinary", "slender"}
    assert SLENDER_SHARE == 0.3
    assert np.mean([kind == "slender" for kind in kinds]) == pytest.approx(SLENDER_SHARE, abs=0.06)
    number = kinds.index("slender")
    batch = draw_batch(0, number // 8, range(number % 8, number % 8 + 1), 1, 0.0)
    scene = draw_scene((TRAINING_STREAM, 0, number // 8, number % 8, 0), kind="slender")
    np.testing.assert_array_equal(batch.image[0].permute(1, 2, 0).numpy(), scene.image)


def test_scenes_and_first_prompts_are_those_of_the_published_weights(whole: Batch) -> None:
    """A change here would make another run of every recipe. Integers and truth values alone: they do not depend on the
    processor. Of the images, whose last bits do, the means."""
    digest = hashlib.sha256()
    integers = (whole.targets.to(torch.uint8), whole.valid, whole.clicks.long(), whole.is_box, whole.labels)
    for value in integers:
        digest.update(np.ascontiguousarray(value.numpy()).tobytes())
    assert digest.hexdigest() == "4181e81850f455501248a6b6cd42e2ac0b970521e2d9190dfa1bbc9abe7955b1"
    means = [[175, 129, 198], [78, 69, 73], [113, 103, 60], [113, 128, 98]]
    np.testing.assert_allclose(whole.image.float().mean((2, 3)), means, atol=0.51)


def test_draws_and_positions_are_whole_numbers_in_their_range(whole: Batch) -> None:
    assert ((whole.draws >= 0) & (whole.draws < DRAWS)).all()
    assert len(whole.draws.unique()) == whole.draws.numel()
    for chosen in whole.grouping:
        assert len(chosen.unique()) == 128
        assert ((chosen >= 0) & (chosen < 32 * 32)).all()


def test_packing_gives_the_same_batch_in_an_eighth_of_the_bytes(whole: Batch) -> None:
    packed = whole.packed()
    again = Batch.unpacked(packed)
    for name, value in vars(whole).items():
        assert torch.equal(getattr(again, name), value), name
        assert getattr(again, name).dtype == value.dtype, name
    assert packed["targets"].nbytes * 8 == whole.targets.numel()


def test_to_moves_every_tensor(whole: Batch) -> None:
    assert {value.device.type for value in vars(whole.to(torch.device("meta"))).values()} == {"meta"}


def test_label_map_numbers_the_masks_of_each_level() -> None:
    masks = np.zeros((4, 6, 6), bool)
    masks[0, :4, :4] = masks[1, 1:3, 1:3] = masks[2, 1, 1] = masks[3, 5] = True
    scene = Scene(
        np.zeros((6, 6, 3), np.uint8), masks, np.array([0, 1, 2, 0], np.int8), np.array([-1, 0, 1, -1], np.int16), ()
    )
    labels = label_map(scene, 6)
    assert labels.shape == (3, 6, 6)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels[0], 1 * masks[0] + 4 * masks[3])
    np.testing.assert_array_equal(labels[1], 2 * masks[1])
    np.testing.assert_array_equal(labels[2], 3 * masks[2])
    np.testing.assert_array_equal(label_map(scene, 2), labels[:, 1::3, 1::3])  # the middle of each cell


def test_shrink_keeps_what_fills_at_least_half_of_a_cell() -> None:
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    masks[0, 0, 0, :2] = 1  # half of the first cell
    masks[0, 0, 0, 2] = 1  # a quarter of the second
    masks[0, 0, 2:, 2:] = 1  # all of the last
    small = shrink(masks, 2)
    assert small.dtype == torch.float32
    assert small[0, 0].tolist() == [[1, 0], [0, 1]]
    assert torch.equal(shrink(masks, 4), masks.float())
