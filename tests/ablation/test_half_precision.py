"""Half precision: known answers, and how the numbers are stored."""

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, HALF_MEASURES, HALF_WAYS, HalfPrecision
from sam_edu.ablation.half_precision import changes, half_precision_of_scene
from sam_edu.ablation.prompts import prompts_of
from sam_edu.predictor import Predictor
from sam_edu.sam import load

NUMBER = FIRST_SCENE + 3


def test_changes_are_counted() -> None:
    exact = torch.full((3, 2, 4), -1.0)
    exact[0, 0], exact[1, :, 0] = 1.0, 1.0  # the third stays empty
    logits, scores = exact.clone(), torch.tensor([0.5, 0.9, 0.1])
    np.testing.assert_allclose(changes(logits, scores, exact, scores), [0, 1, 1, 0, 0])
    logits[0, 0, 0], logits[1, 0, 1] = -1.0, 1.0  # one of four is lost; one is gained beside two
    found = dict(zip(HALF_MEASURES, changes(logits, torch.tensor([1.0, 0.9, 0.1]), exact, scores), strict=True))
    assert found["flipped"] == pytest.approx(2 / 24)
    assert found["iou"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert found["lowest"] == pytest.approx(2 / 3)
    assert found["score"] == pytest.approx(0.5)
    assert found["other"] == 1


@pytest.mark.no_shape_check
def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="logits: expected shape"):
        changes(torch.zeros(2, 4, 4), torch.zeros(2), torch.zeros(3, 4, 4), torch.zeros(3))


def test_a_scene_is_what_the_decoders_give() -> None:
    model = load()
    rows, (image, _, prompts) = half_precision_of_scene(model, NUMBER), prompts_of(NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == prompts
    predictor = Predictor(model)
    predictor.set_image(image)
    prompt = prompts[-1]
    _, scores, logits = predictor.predict([[prompt.x, prompt.y]], [1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sparse, dense = model.prompt_encoder(
            (torch.tensor([[[float(prompt.x), prompt.y]]]), torch.ones(1, 1)), None, None
        )
        rough, rough_scores = model.mask_decoder(
            predictor.features, model.prompt_encoder.get_dense_pe(), sparse.float(), dense, True
        )
    expected = changes(rough[0].float(), rough_scores[0].float(), torch.tensor(logits), torch.tensor(scores))
    np.testing.assert_allclose(rows[-1]["changes"][HALF_WAYS.index("autocast"), 1], expected[1], atol=0.02)
    found = np.stack([row["changes"] for row in rows])
    assert found[:, 0, 0].max() < 1e-4  # the control
    assert (found[:, 1:, 0].mean(0) > found[:, 0, 0].mean()).all()  # both have acted


def test_stored_numbers_are_read() -> None:
    data, numbers = ablation.read(), np.random.default_rng(0)
    values = numbers.uniform(size=(len(data["prompts"]), len(HALF_WAYS), len(HALF_MEASURES)))
    half = HalfPrecision(data | {"half_precision.changes": values})
    np.testing.assert_allclose(half.values("bfloat16", "score"), values[:, 2, 3])
    assert half.mean("fast", "iou").mean == pytest.approx(values[:, 0, 1].mean())


@pytest.mark.no_shape_check
def test_what_is_missing_is_named() -> None:
    data = {name: array for name, array in ablation.read().items() if not name.startswith("half_precision.")}
    with pytest.raises(ValueError, match="--only half measures it"):
        HalfPrecision(data)
    full = HalfPrecision(ablation.read() | {"half_precision.changes": np.zeros((len(data["prompts"]), 3, 5))})
    with pytest.raises(ValueError, match="way: "):
        full.values("float16", "iou")
    with pytest.raises(ValueError, match="measure: "):
        full.values("fast", "pixels")
