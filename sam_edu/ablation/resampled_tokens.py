"""Resampled tokens: tokens that hold, after both blocks, what they hold at a click on another scene.

    tokens = ablation.load_resampled_tokens()
    tokens.change("IoU token")          # of the best IoU of masks 1 to 3, at every held-out click

The queries after step (3) of each block are replaced in some slots of the row, and everything that follows is computed
from them.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sam_edu.ablation.changes import DEPTH
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.references import other_trace
from sam_edu.ablation.results import COMMAND, read
from sam_edu.ablation.scoring import ious
from sam_edu.argument_checks import as_choice
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import intervene

RESAMPLED_SLOTS: dict[str, tuple[int, ...]] = {
    "none": (),
    "IoU token": (0,),
    "padding": (6,),
    "all but the IoU token": (1, 2, 3, 4, 5, 6),
}
"""Which of the seven tokens of a click are replaced, by the name of the set."""

ARRAY = "resampled_tokens.best"


@torch.no_grad()
def resampled_tokens_of_scene(model: Sam, number: int) -> list[Row]:
    """Resample the tokens of all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,) and "best" (sets of slots,), the best IoU of masks 1 to 3 with the target mask.
    """
    image, truth, prompts = prompts_of(number)
    if not prompts:
        return []
    predictor, rows = Predictor(model), []
    predictor.set_image(image)
    names = [f"transformer.layers.{block}.queries_3" for block in range(DEPTH)]
    for prompt in prompts:
        other, best = other_trace(model, prompt, names), []
        for slots in RESAMPLED_SLOTS.values():
            with ExitStack() as stack:
                for name in names if slots else ():
                    stack.enter_context(intervene(model, name, "transplant", reference=other, tokens=slots))
                masks, _, _ = predictor.predict([[prompt.x, prompt.y]], [1])
            best.append(float(ious(torch.from_numpy(masks), truth[prompt.mask]).max()))
        rows.append({"prompt": np.array(prompt), "best": np.array(best)})
    return rows


def measure_resampled_tokens(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the array "resampled_tokens.best" (clicks, sets of slots).
    """
    stacked = stacked_rows(rows_of_scenes(resampled_tokens_of_scene, weights, scenes, processes, progress))
    return stamp(weights, stacked) | {ARRAY: stacked["best"].astype(np.float32)}


class ResampledTokens:
    """The best IoU of masks 1 to 3 with some tokens resampled, by the sets of `RESAMPLED_SLOTS`.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: it was not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        if ARRAY not in data:
            raise ValueError(f"the file lacks resampled tokens: {COMMAND} --only tokens measures them")
        self._best = np.asarray(data[ARRAY], np.float64)

    def change(self, slots: str) -> Float[np.ndarray, "clicks"]:
        """The change against no resampled token, at every held-out click.

        Raises:
            ValueError: an unknown set of slots.
        """
        names = list(RESAMPLED_SLOTS)
        return self._best[:, names.index(as_choice("slots", slots, names))] - self._best[:, 0]


def load_resampled_tokens(path: Path | None = None, *, weights: Path | None = None) -> ResampledTokens:
    """Read the effects of resampled tokens. Arguments and errors as for `sam_edu.ablation.load`."""
    return ResampledTokens(read(path, weights=weights))
