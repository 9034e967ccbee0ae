"""What other prompts make of a tensor: which prompts, which runs are kept, and what their mean is over."""

import numpy as np
import pytest
import torch
from ablation_cases import predicted
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation import BIASES, FIRST_SCENE, TERMS, Prompt, clicks_on_image, other_prompt, references
from sam_edu.ablation.channels import VALUES, WEIGHTS, terms
from sam_edu.ablation.references import Collected, reference
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.tracing import Trace

HEADS = "transformer.layers.0.self_attn.heads"
NUMBERS = [0, 1, 4]


@pytest.fixture(scope="module")
def clicks() -> list[Prompt]:
    return [ablation.load().prompts[number] for number in NUMBERS]


@pytest.fixture(scope="module")
def decodes(model: Sam, clicks: list[Prompt]) -> list[Trace]:
    return [predicted(model, ablation.prompts_of(click.scene)[0], click) for click in clicks]


def stacked(decodes: list[Trace], name: str) -> Tensor:
    return torch.cat([t[name] for t in decodes])


def test_runs_are_those_of_the_prompts_in_their_order(model: Sam, decodes: list[Trace]) -> None:
    runs = reference(model, [HEADS, "hs", BIASES], NUMBERS)
    assert runs.count == len(NUMBERS)
    for name in (HEADS, "hs"):
        torch.testing.assert_close(runs[name], stacked(decodes, name), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(runs.mean(name), stacked(decodes, name).mean(0), atol=1e-4, rtol=1e-4)
    product = torch.stack([terms(t[WEIGHTS], t[VALUES])[0].mean(dim=(2, 3), keepdim=True) for t in decodes])
    torch.testing.assert_close(runs[BIASES], product, atol=1e-4, rtol=1e-3)


def test_boxes_stand_in_the_clicks_place(model: Sam, clicks: list[Prompt], decodes: list[Trace]) -> None:
    [run] = reference(model, ["hs"], [clicks[0]], boxes=True)["hs"]
    image, masks, _ = ablation.prompts_of(clicks[0].scene)
    of_box = predicted(model, image, None, tight_box(masks[clicks[0].mask]))
    torch.testing.assert_close(run, of_box["hs"][0], atol=1e-4, rtol=1e-4)
    assert run.shape == decodes[0]["hs"][0].shape  # two corners, or a click and the padding token
    assert not torch.allclose(run, decodes[0]["hs"][0], atol=1e-2)


def test_of_a_large_tensor_the_first_and_the_last_run_are_kept_and_all_count(
    model: Sam, decodes: list[Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "LARGE", decodes[0]["hyper_in"].numel())
    monkeypatch.setattr(references, "KEPT", 2)
    runs = reference(model, ["hyper_in", "hs"], NUMBERS)
    torch.testing.assert_close(runs["hs"], stacked(decodes, "hs")[[0, 2]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(runs.mean("hs"), stacked(decodes, "hs").mean(0), atol=1e-4, rtol=1e-4)
    assert len(runs["hyper_in"]) == len(NUMBERS)  # no larger than the limit


def test_nothing_and_names_of_nothing_are_refused(model: Sam) -> None:
    with pytest.raises(ValueError, match="prompts: expected at least one, got none"):
        reference(model, ["hs"], [])
    with pytest.raises(KeyError, match="no tensor"):
        reference(model, ["no tensor"], [0])


def test_clicks_on_an_image_are_the_middles_of_a_grid(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """In (x, y), row by row, on an image that is wider than it is high."""
    found: list[tuple[float, float]] = []
    predict = Predictor.predict

    def noted(self: Predictor, clicks: list[tuple[float, float]], labels: list[int]) -> object:
        assert labels == [1]
        found.extend(clicks)
        return predict(self, clicks, labels)

    monkeypatch.setattr(Predictor, "predict", noted)
    monkeypatch.setattr(references, "GRID", 2)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    runs = clicks_on_image(model, ["hs"], image)
    assert found == [(32, 16), (96, 16), (32, 48), (96, 48)]
    assert runs.count == 4
    chosen = clicks_on_image(model, ["hs"], image, found[1:3])
    torch.testing.assert_close(chosen["hs"], runs["hs"][1:3])
    torch.testing.assert_close(chosen.mean("hs"), runs["hs"][1:3].mean(0), atol=1e-5, rtol=1e-4)


def test_what_is_resampled_comes_from_another_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two scenes it is always the other one; which of its clicks depends on the click."""
    monkeypatch.setattr(references, "SCENES", 2)
    scenes = {number: ablation.prompts_of(number)[2] for number in (FIRST_SCENE, FIRST_SCENE + 1)}
    clicks = [Prompt(number, mask, 0, 0, 0, 1) for number in scenes for mask in range(20)]
    monkeypatch.setattr(references, "scene_and_prompts", lambda number: (None, scenes[number]))
    drawn = [other_prompt(click) for click in clicks]
    assert [other_prompt(click) for click in clicks] == drawn
    for click, other in zip(clicks, drawn, strict=True):
        assert other.scene != click.scene
        assert other in scenes[other.scene]
    assert {tuple(other) for other in drawn} == {tuple(click) for found in scenes.values() for click in found}


def test_other_tensors_are_those_of_the_other_click(model: Sam, clicks: list[Prompt]) -> None:
    found = ablation.other_trace(model, clicks[0], ["hs", "src"])
    assert set(found) == {"hs", "src"}
    other = other_prompt(clicks[0])
    t = predicted(model, ablation.prompts_of(other.scene)[0], other)
    torch.testing.assert_close(found["hs"], t["hs"], atol=1e-4, rtol=1e-4)


def test_collections_are_joined_into_the_mean_of_all(decodes: list[Trace]) -> None:
    first, rest, whole = Collected(["hs", "masks"], runs=False), Collected(["hs"]), Collected([TERMS])
    first.add(decodes[0])
    for t in decodes[1:]:
        rest.add(t)
    first.merge(rest.sums, rest.count)
    torch.testing.assert_close(first.means()["hs"], stacked(decodes, "hs").mean(0))
    assert first.count == len(decodes)
    assert list(first.runs()) == []  # none was to be kept
    whole.add(decodes[0])
    torch.testing.assert_close(whole.means()[TERMS], terms(decodes[0][WEIGHTS], decodes[0][VALUES])[0])
