"""Recomputing: some held-out clicks measured again, one by one, with the plain decoder."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.ablations import ablated
from sam_edu.ablation.prompts import Prompt, scene_and_prompts
from sam_edu.ablation.results import COMMAND, FourMasks, Measure, column, load
from sam_edu.ablation.scoring import both_scores, four_masks
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.scene import Scene
from sam_edu.selections import Select, as_indices


def recompute(
    model: Sam, name: str | None, prompts: Select | Iterable[Prompt | int | np.integer], measure: Measure = "best"
) -> np.ndarray:
    """Measure some clicks under an ablation: the whole decoder, a click at a time, nothing reused.

    Args:
        model: what to measure; in eval mode.
        name: one of `ABLATIONS`; None for the unchanged model.
        prompts: held-out clicks, or their numbers in the package's statistics: a list, an array, a slice, or a mask.
        measure: "best" or "picked".

    Returns:
        the IoU of each click, (prompts,): within `TOLERANCE` of the stored one, if the model is the one that was
        measured.

    Raises:
        KeyError: no such name.
        TypeError: numbers that are not whole.
        ValueError: another measure, or a prompt that is none of the held-out ones.
    """
    number, predictor, scores = column(measure), Predictor(model), []
    for prompt, scene in _drawn_again(prompts):
        predictor.set_image(scene.image)
        with ExitStack() as stack:
            if name is not None:
                stack.enter_context(ablated(model, name))
            logits, predicted = _predict(predictor, prompt, three=True)
        scores.append(both_scores(logits, predicted, scene.masks[prompt.mask])[number])
    return np.array(scores)


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
    for prompt, scene in _drawn_again(numbers):
        predictor.set_image(scene.image)
        single, three = _predict(predictor, prompt, three=False), _predict(predictor, prompt, three=True)
        rows.append(four_masks(torch.cat([single[0], three[0]]), torch.cat([single[1], three[1]]), scene, prompt))
    return FourMasks(**{one.name: np.stack([row[one.name] for row in rows]) for one in fields(FourMasks)})


def _drawn_again(prompts: Select | Iterable[Prompt | int | np.integer]) -> Iterator[tuple[Prompt, Scene]]:
    """Clicks or their numbers, as clicks with their scenes."""
    for prompt in _found(prompts):
        scene, drawn = scene_and_prompts(prompt.scene)
        if prompt not in drawn:
            raise ValueError(f"{prompt}: is none of the held-out clicks; {COMMAND} draws them anew")
        yield prompt, scene


def _found(prompts: Select | Iterable[Prompt | int | np.integer]) -> list[Prompt]:
    """Clicks as they are; numbers, also as a slice or a mask with a bool for each, as the clicks of these numbers."""
    given = prompts if isinstance(prompts, slice | np.ndarray | Tensor) else list(prompts)  # type: ignore[arg-type]
    if isinstance(given, list) and all(isinstance(one, Prompt) for one in given):
        return given
    known = load().prompts
    if isinstance(given, list) and any(isinstance(one, Prompt) for one in given):
        return [one if isinstance(one, Prompt) else known[as_indices("prompts", one, len(known))[0]] for one in given]
    return [known[i] for i in as_indices("prompts", given, len(known))]


def _predict(predictor: Predictor, prompt: Prompt, three: bool) -> tuple[Tensor, Tensor]:
    """Logits at full size and predicted IoU: of masks 1 to 3, or of mask 0."""
    logits, predicted, _ = predictor.predict([[prompt.x, prompt.y]], [1], multimask_output=three, return_logits=True)
    return torch.from_numpy(logits), torch.from_numpy(predicted)
