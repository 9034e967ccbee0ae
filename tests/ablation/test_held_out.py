"""What is measured at the held-out clicks: the same as the predictor gives, a click at a time."""

import numpy as np
import pytest
import torch

from sam_edu.ablation import FIRST_SCENE, MEASURED, TOLERANCE, Prompt, four_masks, held_out, ious, scene_and_prompts
from sam_edu.ablation.held_out import join, prompts_of_scene
from sam_edu.ablation.measuring import Row
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import corrective_click
from sam_edu.scenes.scene import Scene

NUMBER, FEW = FIRST_SCENE + 1, 3


@pytest.fixture(scope="module")
def rows(model: Sam) -> list[Row]:
    """Of a scene, with few clicks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out, "CLICKS", FEW)
        return prompts_of_scene(model, NUMBER)


@pytest.fixture(scope="module")
def predictor(model: Sam) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(scene_and_prompts(NUMBER)[0].image)
    return predictor


def first_prompt() -> tuple[Scene, Prompt, np.ndarray]:
    """The scene, its first click and the target mask."""
    scene, prompts = scene_and_prompts(NUMBER)
    return scene, prompts[0], scene.masks[prompts[0].mask]


def score(logits: np.ndarray, mask: np.ndarray) -> float:
    return float(ious(torch.from_numpy(logits)[None] > 0, mask))


def test_a_row_for_each_click(rows: list[Row]) -> None:
    assert [Prompt(*row["prompt"]) for row in rows] == scene_and_prompts(NUMBER)[1]
    for row in rows:
        assert set(row) == {"prompt", *MEASURED}
        assert row["corrections"].shape == (2, FEW)
        assert row["corrections_without"].shape == (FEW,)
        assert row["iou_any"].shape == row["area"].shape == (4,)
        assert row["boxes_iou"].shape == row["boxes_predicted"].shape == ()


def test_four_masks_and_box_are_the_predictors(rows: list[Row], predictor: Predictor) -> None:
    scene, prompt, mask = first_prompt()
    click = [[prompt.x, prompt.y]]
    results = [predictor.predict(click, [1], multimask_output=three, return_logits=True) for three in (False, True)]
    logits, predicted = (torch.from_numpy(np.concatenate([result[i] for result in results])) for i in (0, 1))
    for name, values in four_masks(logits, predicted, scene, prompt).items():
        np.testing.assert_allclose(rows[0][name], values, atol=TOLERANCE)
    np.testing.assert_allclose(rows[0]["area"], (logits > 0).sum(dim=(1, 2)), atol=3)
    by_box, [predicted_by_box], _ = predictor.predict(box=tight_box(mask), multimask_output=False, return_logits=True)
    assert rows[0]["boxes_iou"] == pytest.approx(score(by_box[0], mask), abs=TOLERANCE)
    assert rows[0]["boxes_predicted"] == pytest.approx(predicted_by_box, abs=TOLERANCE)


@pytest.mark.parametrize("give_logits", [True, False])
def test_corrections_are_what_a_user_does(rows: list[Row], predictor: Predictor, give_logits: bool) -> None:
    """Click, take the mask that is picked, click into its error; then mask 0, with its logits given back or not."""
    _, prompt, mask = first_prompt()
    clicks, labels = [[prompt.x, prompt.y]], [1]
    logits, predicted, low_res = predictor.predict(clicks, labels, return_logits=True)
    best = int(predicted.argmax())
    now, low = logits[best], low_res[best]
    found = [score(now, mask)]
    for _ in range(FEW - 1):
        click, label = corrective_click(now > 0, mask)
        clicks.append(click.tolist())
        labels.append(label)
        before = low[None].clip(-32, 32) if give_logits else None
        logits, _, low_res = predictor.predict(
            clicks, labels, mask_input=before, multimask_output=False, return_logits=True
        )
        now, low = logits[0], low_res[0]
        found.append(score(now, mask))
    stored = rows[0]["corrections"][0] if give_logits else rows[0]["corrections_without"]
    np.testing.assert_allclose(stored, found, atol=TOLERANCE)


def test_the_three_ways_begin_alike_and_part(rows: list[Row]) -> None:
    ways = np.stack([np.vstack([row["corrections"], row["corrections_without"]]) for row in rows])  # (clicks, 3, FEW)
    assert (ways[:, :, 0] == ways[:, :1, 0]).all()
    assert len({tuple(way.ravel()) for way in ways[:, :, 1:].swapaxes(0, 1)}) == 3


def test_only_what_belongs_together_is_joined() -> None:
    one = {"weights": np.array("a"), "prompts": np.zeros((2, 6)), "scores": np.ones(3)}
    two = {"weights": np.array("a"), "prompts": np.zeros((2, 6)), "prompts.iou": np.ones((2, 4))}
    assert set(join(one, two)) == {"weights", "prompts", "scores", "prompts.iou"}
    with pytest.raises(ValueError, match="other weights or other clicks"):
        join(one, two | {"weights": np.array("b")})
    with pytest.raises(ValueError, match="other weights or other clicks"):
        join(one, two | {"prompts": np.ones((2, 6))})
