"""Mask numbers: what the 16 numbers hold that a mask prompt's convolutions make of each cell of 4 x 4 logits.

    numbers = ablation.load_mask_numbers()
    numbers.explained("16 numbers", "mean")          # share of the variance, with a 95 % interval
    numbers.explained("untrained", "deviations")     # the same of convolutions with fresh weights, each lot of them

The mask prompts are the logits of the mask that is best at each held-out click. A linear layer is fitted to read
something about the 16 logits of a cell from the numbers, at all cells of half of the scenes; the share that it explains
is that on the other half. Two things are read: the cell's **mean**, and its **deviations**, the 16 logits less their
mean: how the mask runs through the cell. Beside the 16 numbers stands one number, the mean itself.

**Directions.** The numbers go through one more linear layer to 256 channels. The variances along the principal axes of
these 256 say in how many directions they vary.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.ablation.controls.models import untrained
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompt_changes import CELL
from sam_edu.ablation.prompts import FIRST_SCENE, scene_and_prompts
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import COMMAND, Effect, Statistics, read
from sam_edu.ablation.scoring import ious
from sam_edu.argument_checks import as_choice
from sam_edu.evaluation.intervals import SceneBootstrap
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load

LOTS = 20
"""How many untrained prompt encoders there are."""

OfCell = Literal["mean", "deviations"]
OF_CELL: tuple[OfCell, ...] = get_args(OfCell)

READ_FROM = ("16 numbers", "one number", "untrained")
"""From what it is read: the trained convolutions' numbers, the mean of the cell, or the numbers of fresh weights."""

ARRAYS = ("errors", "variances", "directions")
"""What is measured; in the file "mask_numbers." stands before their names."""


def cells(logits: Float[Tensor, "height width"]) -> Float[Tensor, "image_tokens 16"]:
    """The 16 logits of each cell of 4 x 4."""
    return F.pixel_unshuffle(logits[None], CELL).flatten(1).T


def numbers_of(downscaling: nn.Sequential, logits: Float[Tensor, "height width"]) -> Float[Tensor, "image_tokens 16"]:
    """The numbers of each cell: a mask prompt after all but the last of its convolutions."""
    maps: Tensor = downscaling[:-1](logits[None, None])
    return maps[0].flatten(1).T


def directions_of(covariance: np.ndarray, weight: np.ndarray) -> Float[np.ndarray, "numbers"]:
    """The variances along the principal axes after a linear layer, the largest first.

    Args:
        covariance: of the numbers, (numbers, numbers).
        weight: of the layer, (channels, numbers).
    """
    # W C W^T has the same eigenvalues, but for zeros, as R C R^T with W = Q R.
    root: np.ndarray = np.linalg.qr(weight)[1]
    return np.linalg.eigvalsh(root @ covariance @ root.T)[::-1]


# --- Measuring ---


@torch.no_grad()
def sums_of_scene(model: Sam, number: int, encoders: list[nn.Sequential]) -> list[Row]:
    """Sums over the cells of each click's mask prompt, of which fits and their errors are made.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        encoders: the convolutions whose numbers are read: the model's own, then untrained ones.

    Returns:
        per click "prompt" (6,) and "products": the products of all columns with each other, (columns, columns). The
        columns are a 1, the cell's mean, the numbers of each of the encoders, and the cell's 16 deviations.
    """
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    rows = []
    for prompt in prompts:
        logits = model.mask_decoder.predict_masks(**decoder_inputs(predictor, prompt))[0][0]
        given = logits[1 + int(ious(logits[1:] > 0, scene.masks[prompt.mask]).argmax())]
        rows.append({"prompt": np.array(prompt), "products": products(given, encoders)})
    return rows


def products(given: Float[Tensor, "height width"], encoders: list[nn.Sequential]) -> np.ndarray:
    """The products of the columns of one mask prompt, see `sums_of_scene`."""
    of_cell = cells(given)
    mean = of_cell.mean(1, keepdim=True)
    columns = [torch.ones_like(mean), mean, *(numbers_of(one, given) for one in encoders), of_cell - mean]
    table = torch.cat(columns, dim=1).double()
    return (table.T @ table).cpu().numpy()


def errors_of(
    sums: Float[np.ndarray, "clicks columns columns"], halves: np.ndarray, inputs: list[int], outputs: list[int]
) -> tuple[Float[np.ndarray, "clicks"], Float[np.ndarray, "clicks"]]:
    """The squared errors of a linear fit at each click, and those of the constant, both fitted on the other half.

    Args:
        sums: from `products`, click by click.
        halves: 0 or 1 for each click.
        inputs, outputs: columns that are read from, beside the 1; and columns that are read.
    """
    errors, constant = np.zeros(len(sums)), np.zeros(len(sums))
    for half in (0, 1):
        fitted, judged = sums[halves != half].sum(0), halves == half
        for columns, found in (([0, *inputs], errors), ([0], constant)):
            x = np.ix_(columns, columns)
            weight = np.linalg.lstsq(fitted[x], fitted[np.ix_(columns, outputs)], rcond=1e-10)[0]
            for i in np.flatnonzero(judged):
                xy, yy = sums[i][np.ix_(columns, outputs)], sums[i][outputs, outputs].sum()
                found[i] = yy - 2 * (weight * xy).sum() + (weight * (sums[i][x] @ weight)).sum()
    return errors, constant


def encoders_of(model: Sam) -> list[nn.Sequential]:
    """The model's convolutions for mask prompts, and those of untrained prompt encoders."""
    lots = [
        untrained(model, generator=torch.Generator().manual_seed(i), parts=("prompt_encoder",)) for i in range(LOTS)
    ]
    return [one.prompt_encoder.mask_downscaling for one in (model, *lots)]


def measure_mask_numbers(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "mask_numbers.".
    """
    encoders = encoders_of(load("tiny", checkpoint=weights))
    rows = rows_of_scenes(partial(sums_of_scene, encoders=encoders), weights, scenes, processes, progress)
    stacked = stacked_rows(rows)
    prompts, sums = stacked["prompt"], stacked["products"]
    halves = (prompts[:, 0] - FIRST_SCENE) % 2
    lasts: list[Any] = [one[-1] for one in encoders]
    size: int = lasts[0].in_channels
    numbers = [list(range(2 + i * size, 2 + (i + 1) * size)) for i in range(1 + LOTS)]
    outputs = {"mean": [1], "deviations": list(range(2 + len(numbers) * size, sums.shape[1]))}
    inputs = [numbers[0], [1], *numbers[1:]]
    found = [[errors_of(sums, halves, columns, outputs[of]) for columns in inputs] for of in OF_CELL]
    total = sums.sum(0)
    covariances = [
        total[np.ix_(one, one)] / total[0, 0] - np.outer(total[0, one], total[0, one]) / total[0, 0] ** 2
        for one in numbers
    ]
    weights_of = [one.weight.detach().flatten(1).double().numpy() for one in lasts]
    return {
        **stamp(weights, stacked),
        # (clicks, what is read, inputs), and (clicks, what is read)
        "mask_numbers.errors": np.array([[one for one, _ in of] for of in found], np.float32).transpose(2, 0, 1),
        "mask_numbers.variances": np.array([of[0][1] for of in found], np.float32).T,
        "mask_numbers.directions": np.array(
            [directions_of(*both) for both in zip(covariances, weights_of, strict=True)], np.float32
        ),
    }


# --- Reading ---


class MaskNumbers:
    """The measurements of the 16 numbers over the held-out clicks.

    Args:
        data: the arrays of the file.

    Attributes:
        directions: the variances along the principal axes of the 256 channels, (1 + lots, 16): of the trained
            convolutions, then of each lot of untrained ones.

    Raises:
        ValueError: they were not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        missing = [name for name in ARRAYS if f"mask_numbers.{name}" not in data]
        if missing:
            raise ValueError(f"the file lacks the mask numbers' {', '.join(missing)}: {COMMAND} --only numbers")
        errors, variances, directions = (np.asarray(data[f"mask_numbers.{name}"], np.float64) for name in ARRAYS)
        self._errors, self._variances, self.directions = errors, variances, directions
        self._bootstrap = SceneBootstrap([prompt.scene for prompt in Statistics(data).prompts])

    def explained(self, what: str, of: OfCell) -> list[Effect]:
        """The share of the variance that is explained on scenes that the fit has not seen, with its interval.

        Args:
            what: it is read from, one of `READ_FROM`.
            of: what is read, "mean" or "deviations".

        Returns:
            one effect; of "untrained" one for each lot.

        Raises:
            ValueError: another one of these.
        """
        row = OF_CELL.index(as_choice("of", of, OF_CELL))
        first = READ_FROM.index(as_choice("what", what, READ_FROM))
        chosen = self._errors[:, row, first:] if what == "untrained" else self._errors[:, row, [first]]
        variances = self._variances[:, row]
        return [Effect(*self._bootstrap.ratio(variances - one, variances), len(one)) for one in chosen.T]


def load_mask_numbers(path: Path | None = None, *, weights: Path | None = None) -> MaskNumbers:
    """Read the measurements of the 16 numbers. Arguments and errors as for `sam_edu.ablation.load`."""
    return MaskNumbers(read(path, weights=weights))
