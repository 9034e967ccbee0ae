"""Stored numbers measured again: every ablation's score, a sample of the other arrays."""

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import (
    ABLATIONS,
    FIRST_SCENE,
    MEASURES,
    TERMS,
    TOLERANCE,
    Prompt,
    measuring,
    prompts_of,
    recompute,
    recompute_prompts,
)
from sam_edu.ablation.choosing import chosen_prompts
from sam_edu.ablation.measuring import Work
from sam_edu.sam import Sam

NAME = "transformer.final_attn_token_to_image head 3 zero"


STORED = [
    name for name, one in ABLATIONS.items() if not one.needs_by_position() and not one.needs("held_out") & {TERMS}
]
"""The ablations that need no mean by position: those means are too large for the file (`test_measuring` has them)."""

RELATIVE, ABSOLUTE = 2e-3, 1e-3
"""How far a change of the margin may be from the stored one: half floats keep three digits, and the last bits of logits
of about 20 differ from one processor to another."""


def telling_clicks(stats: ablation.Statistics) -> list[int]:
    """Clicks that are spread over the file."""
    return [int(i) for i in np.linspace(0, len(stats.prompts) - 1, 5)]


@pytest.fixture(scope="module")
def telling() -> dict[str, int]:
    """For each ablation the one of these clicks where it changes the margin most."""
    stats = ablation.load()
    clicks = telling_clicks(stats)
    return {name: clicks[int(np.abs(stats.changes(name, "margin")[clicks]).argmax())] for name in STORED}


def test_the_telling_clicks_tell_every_ablation_from_the_others(telling: dict[str, int]) -> None:
    """Otherwise the next test could not find an ablation that no longer does what was measured."""
    stats = ablation.load()
    every = np.stack([stats.changes(name, "margin") for name in STORED])
    alike = 0
    for name, click in telling.items():
        change = stats.changes(name, "margin")[click]
        assert abs(change) > 2 * ABSOLUTE, name
        alike += int((np.abs(every[:, click] - change) <= 2 * (RELATIVE * abs(change) + ABSOLUTE)).sum()) - 1
    assert alike < 0.003 * len(STORED) ** 2


@pytest.mark.parametrize("number", range(5))
def test_every_ablation_measured_again_gives_its_stored_score(
    number: int, telling: dict[str, int], model: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = ablation.load()
    click = telling_clicks(stats)[number]
    prompt = stats.prompts[click]
    names = [name for name in STORED if telling[name] == click]
    image, masks, prompts = prompts_of(prompt.scene)
    assert prompt in prompts
    monkeypatch.setattr(measuring, "prompts_of", lambda number: (image, masks, [prompt]))
    means = {name: stats.means.mean(name).numpy() for name in stats.means.names}
    [row] = measuring.measure_scene(model, prompt.scene, Work(names, (), means, {}))
    for column, measure in enumerate(MEASURES):
        baseline = stats.baseline(measure)[click]
        stored = np.array([0.0, *(stats.changes(name, measure)[click] for name in names)])
        tolerance = RELATIVE * np.abs(stored) + ABSOLUTE if measure == "margin" else TOLERANCE
        wrong = np.abs(row["scores"][:, column] - baseline - stored) > tolerance
        # Two of the predictions by which a mask is picked may be a tie.
        assert wrong.sum() <= (1 if measure == "picked" else 0), np.array(["unchanged", *names])[wrong]
    unchanged = [stats.baseline(measure, prompts="boxes")[click] for measure in MEASURES]
    np.testing.assert_allclose(row["box_scores"][0], unchanged, atol=TOLERANCE)


def test_a_sample_of_the_stored_arrays_is_measured_again(model: Sam) -> None:
    prompts = ablation.load().prompts
    sample = np.array([0, len(prompts) // 2, len(prompts) - 1])
    again = recompute_prompts(model, sample)
    for name in ("predicted", "iou", "iou_any", "stability"):
        np.testing.assert_allclose(getattr(again, name), getattr(prompts, name)[sample], atol=TOLERANCE)


def test_recomputing_a_click_that_is_not_held_out_is_refused(model: Sam) -> None:
    wrong = Prompt(FIRST_SCENE + 1, 0, 0, 0, 0, 1)
    with pytest.raises(ValueError, match="none of the held-out clicks"):
        recompute(model, NAME, [wrong])
    with pytest.raises(ValueError, match="none of the held-out clicks"):
        recompute_prompts(model, [wrong])


@pytest.mark.no_shape_check
def test_clicks_are_chosen_by_every_kind_of_index() -> None:
    known = ablation.load().prompts
    mask = np.zeros(len(known), bool)
    mask[[2, 5]] = True
    wanted = [known[2], known[5]]
    kinds = (wanted, [2, 5], (2, 5), np.array([2, 5]), torch.tensor([2, 5]), mask, list(mask), torch.from_numpy(mask))
    for given in (*kinds, slice(2, 6, 3), iter((2, 5)), [known[2], 5]):
        assert chosen_prompts(given) == wanted
    for wrong in ([1.5], [True, 2], mask[:5], [len(known)]):
        with pytest.raises((TypeError, ValueError), match="prompts: expected"):
            chosen_prompts(wrong)
