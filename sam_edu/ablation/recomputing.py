"""Recomputing: some held-out clicks measured again, one by one, with the plain decoder."""

from collections.abc import Iterable
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.ablations import ablated, find
from sam_edu.ablation.changes import TERMS, Ablation, References
from sam_edu.ablation.choosing import drawn_again
from sam_edu.ablation.prompts import Prompt
from sam_edu.ablation.references import clicks_on_image, decoder_inputs, other_trace, reference
from sam_edu.ablation.results import FourMasks, Measure, column, load
from sam_edu.ablation.scoring import Scorer, four_masks
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.scene import Scene
from sam_edu.selections import Select
from sam_edu.tracing import ReferenceRuns


def recompute(
    model: Sam,
    name: str | None,
    prompts: Select | Iterable[Prompt | int | np.integer],
    measure: Measure = "best",
    *,
    held_out: ReferenceRuns | None = None,
) -> np.ndarray:
    """Measure some clicks under an ablation: the whole decoder, a click at a time, nothing reused.

    Args:
        model: what to measure; in eval mode.
        name: one of `ABLATIONS`, or a short name; None for the unchanged model.
        prompts: held-out clicks, or their numbers in the package's statistics: a list, an array, a slice, or a mask.
        measure: one of `MEASURES`.
        held_out: the means over held-out clicks, for an ablation that needs them; those of the package's statistics by
            default. These hold no mean by position: such a mean is taken over all clicks again, which takes a minute.

    Returns:
        the measure at each click, (prompts,): an IoU within `TOLERANCE` of the stored one, if the model is the one that
        was measured.

    Raises:
        KeyError: no such name.
        TypeError: numbers that are not whole.
        ValueError: another measure, or a prompt that is none of the held-out ones.
    """
    number, predictor, found = column(measure), Predictor(model), []
    ablation = None if name is None else find(name)
    if ablation is not None and held_out is None:
        held_out = _held_out(model, ablation)
    for prompt, scene in drawn_again(prompts):
        predictor.set_image(scene.image)
        unchanged = _all_masks(predictor, prompt)
        score = Scorer(*unchanged, scene.masks[prompt.mask])
        if ablation is None or name is None:
            found.append(score(*unchanged)[number])
            continue
        with ablated(model, name, _references(model, ablation, prompt, scene, held_out)):
            found.append(score(*_all_masks(predictor, prompt))[number])
    return np.array(found)


def _held_out(model: Sam, ablation: Ablation) -> ReferenceRuns | None:
    """The stored means where they are enough, otherwise those over all clicks."""
    needed = ablation.needs("held_out")
    if not needed:
        return None
    stats = load()
    by_position = ablation.needs_by_position() | ({TERMS} & needed)
    return reference(model, sorted(needed), stats.prompts.clicks) if by_position else stats.means


def _references(
    model: Sam, ablation: Ablation, prompt: Prompt, scene: Scene, held_out: ReferenceRuns | None
) -> References:
    """What an ablation puts in at a click."""
    of_image, of_other = ablation.needs("image"), ablation.needs("other")
    return References(
        held_out,
        clicks_on_image(model, sorted(of_image), scene.image) if of_image else None,
        other_trace(model, prompt, sorted(of_other)) if of_other else None,
    )


def recompute_prompts(model: Sam, numbers: Select | Iterable[Prompt | int | np.integer]) -> FourMasks:
    """Measure masks 0 to 3 of some clicks with the unchanged decoder, a click at a time, nothing reused.

    Args:
        model: what to measure; in eval mode.
        numbers: of the clicks in the package's statistics, or held-out clicks.

    Returns:
        a row per click: each array within `TOLERANCE` of the same rows of `load().prompts`, if the model is the one
        that was measured.

    Raises:
        ValueError: a prompt that is none of the held-out ones.
    """
    predictor, rows = Predictor(model), []
    for prompt, scene in drawn_again(numbers):
        predictor.set_image(scene.image)
        rows.append(four_masks(*_all_masks(predictor, prompt), scene, prompt))
    return FourMasks(**{one.name: np.stack([row[one.name] for row in rows]) for one in fields(FourMasks)})


@torch.no_grad()
def _all_masks(predictor: Predictor, prompt: Prompt) -> tuple[Tensor, Tensor]:
    """Logits and predicted IoU of masks 0 to 3. A held-out image is as large as the masks of the decoder."""
    logits, predicted = predictor.model.mask_decoder.predict_masks(**decoder_inputs(predictor, prompt))
    return logits[0], predicted[0]
