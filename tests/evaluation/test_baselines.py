"""The baselines on toy images, by hand."""

from importlib.resources import files

import numpy as np
import pytest
import torch

from sam_edu.evaluation import baselines
from sam_edu.evaluation.baselines import (
    DISC_RADII,
    FLOOD_TOLERANCES,
    discs,
    ellipse,
    filled_box,
    flood_fills,
    iou,
    tune,
)
from sam_edu.scenes.scene import Scene


def test_discs_by_hand() -> None:
    small, large = discs(np.array([2.0, 1.0]), (4, 6), radii=(1, 2))
    assert small.astype(int).tolist() == [[0, 0, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0], [0] * 6]
    assert large.astype(int).tolist() == [
        [0, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 1, 0, 0, 0],
    ]


def test_tuned_sizes_are_those_that_the_model_card_names() -> None:
    card = files("sam_edu").joinpath("tiny/MODEL_CARD.md").read_text(encoding="utf-8")
    assert DISC_RADII == (19, 49, 88)
    assert FLOOD_TOLERANCES == (16, 40, 64)
    assert "19, 49, 88" in card
    assert "16, 40, 64" in card


def test_discs_have_the_tuned_radii() -> None:
    areas = discs(np.array([128.0, 128.0]), (256, 256)).sum(axis=(1, 2))
    np.testing.assert_allclose(areas, np.pi * np.array(DISC_RADII) ** 2, rtol=0.03)


def test_filled_box_holds_both_ends() -> None:
    mask = filled_box(np.array([1, 0, 3, 1], np.float32), (3, 5))
    assert mask.astype(int).tolist() == [[0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_ellipse_fills_its_box_to_the_edges() -> None:
    mask = ellipse(np.array([10, 20, 49, 39], np.float32), (60, 80))
    ys, xs = np.nonzero(mask)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (10, 20, 49, 39)
    assert mask.sum() == pytest.approx(np.pi * 20 * 10, rel=0.02)
    assert mask[29, 29]
    assert not mask[20, 10]
    np.testing.assert_array_equal(mask[20:40, 10:50], mask[20:40, 10:50][::-1, ::-1])


def test_ellipse_of_one_pixel() -> None:
    mask = ellipse(np.array([3, 2, 3, 2], np.float32), (5, 5))
    assert np.argwhere(mask).tolist() == [[2, 3]]


def test_flood_fill_stays_in_what_hangs_together() -> None:
    """Two squares of one colour on black, and one that is a little darker beside the first."""
    image = np.zeros((30, 60, 3), np.uint8)
    image[5:25, 5:20] = (200, 100, 50)
    image[5:25, 40:55] = (200, 100, 50)
    image[5:25, 20:30] = (200, 100, 20)
    strict, loose, all_of_it = flood_fills(image, np.array([10.0, 12.0]), tolerances=(10, 40, 255))
    inner = np.zeros((30, 60), bool)
    inner[7:23, 7:18] = True
    assert strict[inner].all()
    assert not strict[:, 22:].any()
    assert loose[10, 27]
    assert not loose[:, 32:].any()
    assert all_of_it.all()
    assert (strict <= loose).all()


def test_flood_fill_compares_the_colour_that_differs_most_and_is_not_stopped_by_grain() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)
    image[:, 10:, 2] = 160  # only blue differs
    image[5, 5] = 120  # one pixel of grain
    (fill,) = flood_fills(image, np.array([2.0, 2.0]), tolerances=(15,))
    assert fill[:, :9].all()
    assert not fill[:, 11:].any()


def test_flood_fills_have_the_tuned_tolerances() -> None:
    ramp = np.repeat(np.arange(0, 256, dtype=np.uint8)[None, :, None], 4, axis=0).repeat(3, axis=2)
    reach = flood_fills(ramp, np.array([100.0, 1.0]))[:, 1].sum(axis=1)
    assert reach.tolist() == [2 * tolerance + 1 for tolerance in FLOOD_TOLERANCES]


def test_iou_by_hand() -> None:
    masks = np.array([[[1, 1, 0]], [[0, 0, 1]], [[0, 0, 0]]], bool)
    target = np.array([[0, 1, 0]], bool)
    assert iou(masks, target).tolist() == [0.5, 0.0, 0.0]
    assert iou(masks[2:], masks[2]).tolist() == [0.0]


def test_tune_finds_the_radii_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With masks that are discs of three candidates' sizes around the click, these three win."""
    candidates = [int(r) for r in np.geomspace(5, 130, 18)]
    wanted = [candidates[2], candidates[7], candidates[12]]

    def disc_scene(seed: tuple[int, ...]) -> Scene:
        masks = discs(np.array([128.0, 128.0]), (256, 256), tuple(reversed(wanted)))
        image, level = np.zeros((256, 256, 3), np.uint8), np.arange(3, dtype=np.int8)
        return Scene(image, masks, level, np.array([-1, 0, 1], np.int16), ("disc",) * 3)

    monkeypatch.setattr(baselines, "draw_scene", disc_scene)
    monkeypatch.setattr(baselines, "random_click", lambda mask, rng: np.array([128.0, 128.0]))
    radii, tolerances = tune(2)
    assert list(radii) == wanted
    assert len(tolerances) == 3


@pytest.mark.no_shape_check
def test_iou_of_masks_in_every_form_and_of_nothing_else() -> None:
    masks, target = np.zeros((2, 4, 4), bool), np.zeros((4, 4), bool)
    masks[0, :2], masks[1, :, :1], target[:2] = True, True, True
    forms = (
        lambda x: x,
        torch.from_numpy,
        lambda x: x.astype(np.uint8),
        lambda x: torch.from_numpy(x).bfloat16(),
        lambda x: x.tolist(),
        lambda x: np.asfortranarray(x.astype(float)),
    )
    for form in forms:
        assert iou(form(masks), form(target)).tolist() == [1.0, 0.2]
    with pytest.raises(
        ValueError, match="masks: expected masks of 0 and 1, got other values; of logits take logits > 0"
    ):
        iou(masks - 0.5, target)
    with pytest.raises(TypeError, match="target: expected numbers"):
        iou(masks, None)
