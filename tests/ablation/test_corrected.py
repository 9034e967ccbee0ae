"""What each corrective click does: known answers, a scene beside the stored corrections, and what is refused."""

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import CORRECTED, FIRST_SCENE, GIVEN, SHOWN, USUAL
from sam_edu.ablation.corrected import contradictions, corrected_in, corrections_of_scene, mask_prompts, step_between
from sam_edu.sam import load
from sam_edu.training.rounds import plan_later_rounds

NUMBER = FIRST_SCENE + 5


def test_a_mask_contradicts_clicks_on_its_wrong_side() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    clicks = np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]], np.float32)
    assert contradictions(mask, clicks, np.array([1.0, 0.0, 1.0, 0.0], np.float32)) == 2
    assert contradictions(mask, clicks[:1], np.ones(1, np.float32)) == 0


def test_a_step_counts_what_it_mended_and_broke_and_how_far_away() -> None:
    before, after, target = np.zeros((3, 9, 9), bool)
    target[4, :3] = before[4, 8] = True  # three pixels are missing, one is too many
    after[4, [0, 1, 4]] = True  # two of three found, one taken off, one wrong
    step = step_between(before, after, target, np.array([0, 4], np.float32))
    assert (step["mended"], step["broken"], step["distance"]) == (3, 1, 2.5)
    before[4, 8], before[3:6, 3:6] = False, True
    edge = [np.hypot(x, y - 4) for y in range(2, 7) for x in range(2, 7) if is_edge(x - 4, y - 4)]
    assert step_between(before, after, target, np.array([0, 4], np.float32))["of_edge"] == pytest.approx(
        np.median(edge)
    )
    before[:] = False
    before[0] = True  # along the upper border: the edge is there, and not at the lower one
    edge = [np.hypot(x, y - 4) for y in (0, 1) for x in range(9)]
    assert step_between(before, after, target, np.array([0, 4], np.float32))["of_edge"] == pytest.approx(
        np.median(edge)
    )
    empty = step_between(np.zeros((9, 9), bool), np.zeros((9, 9), bool), target, np.array([0, 0], np.float32))
    assert np.isnan([empty["distance"], empty["of_edge"]]).all()


def is_edge(x: int, y: int) -> bool:
    """Whether a pixel lies at the edge of a square of 3 x 3 around 0, on either side of it."""
    inside = max(abs(x), abs(y)) == 1
    outside = max(abs(x), abs(y)) == 2 and min(abs(x), abs(y)) <= 1
    return inside or outside


def test_mask_prompts_say_the_same_mask_or_another_or_none() -> None:
    logits = torch.tensor([[[[3.0, -2.0], [0.0, 0.5]]]])
    given = mask_prompts(logits)
    assert tuple(given) == GIVEN
    assert {name: None if one is None else one.flatten().tolist() for name, one in given.items()} == {
        "the logits": [3, -2, 0, 0.5],
        "10 and -10": [10, -10, -10, 10],
        "0 and 0.99": [pytest.approx(0.99), 0, 0, pytest.approx(0.99)],
        "mirrored logits": [-2, 3, 0.5, 0],
        "zeros": [0, 0, 0, 0],
        "nothing": None,
    }


def test_a_scene_is_corrected_as_the_stored_clicks_were() -> None:
    model, stored = load().requires_grad_(False), ablation.load().prompts
    of_scene = [i for i, prompt in enumerate(stored) if prompt.scene == NUMBER]
    rows = corrections_of_scene(model, NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == [stored[i] for i in of_scene]
    for row, i in zip(rows, of_scene, strict=True):
        np.testing.assert_allclose(row["iou"], stored.corrections[0][i], atol=ablation.TOLERANCE)
        assert row["two_iou"][0] == row["iou"][1]
        assert row["two_predicted"][0] == row["predicted"][1]
        assert (row["contradicted"] <= np.arange(1, 9)).all()
        assert row["given"].shape == (2, len(GIVEN))
        np.testing.assert_allclose(row["given"][:, 0], row["iou"][1:3], atol=1e-6)
        assert row["given"][0, -1] == pytest.approx(stored.corrections_without[i, 1], abs=ablation.TOLERANCE)
        assert row["still"].shape == row["mended"].shape == (7,)
        assert not np.allclose(row["still"], row["iou"][1:], atol=1e-4)


def test_training_shows_no_more_clicks_than_is_said() -> None:
    rng, later = np.random.default_rng(0), []
    for _ in range(2000):
        later.append(1 + sum(not one.still for one in plan_later_rounds(rng)))
    assert max(later) == SHOWN
    assert 0.9 <= np.mean(np.array(later) <= USUAL) < 0.95


def test_stored_numbers_are_read_and_what_is_missing_is_refused() -> None:
    shapes = dict.fromkeys(("iou", "predicted", "contradicted"), (2, 8)) | {"given": (2, 2, len(GIVEN))}
    shapes |= dict.fromkeys(("two_iou", "two_predicted", "two_stability"), (2, 4))
    data = {f"corrected.{name}": np.full(shapes.get(name, (2, 7)), i) for i, name in enumerate(CORRECTED)}
    assert [getattr(corrected_in(data), name).flat[0] for name in CORRECTED] == list(range(len(CORRECTED)))
    for name in CORRECTED:
        with pytest.raises(ValueError, match=f"lacks the corrections' {name}: .*--only corrected"):
            corrected_in({key: array for key, array in data.items() if key != f"corrected.{name}"})
