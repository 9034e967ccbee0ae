"""Measures `sam_edu.ablation.UpscalingStatistics`: step (5) at every held-out click."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from sam_edu.ablation.controls.models import untrained
from sam_edu.ablation.grid_parts import (
    covariances,
    edges_by_kind,
    flat_squares,
    joined_squares,
    jumps_by_kind,
    split,
    stamps,
)
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import TEST_STREAM, Prompt, prompts_of
from sam_edu.ablation.scoring import ious
from sam_edu.ablation.upscaling_results import NEAR, THIN
from sam_edu.ablation.upscaling_ways import UPSCALING_WAYS, Activation, UpscalingMeans, logits_by_way
from sam_edu.evaluation.boundary import boundary_iou
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import Trace, trace

OTHERS = 20
"""From how many further scenes the means come. They are not measured, so no click has a part in its own means."""

FURTHER = 2000
"""How much higher the numbers of these scenes are."""

LOTS = 20
"""How often the weights are assigned to the channels at random."""

ONCE, NORMED = "output_upscaling.doubled_once", "output_upscaling.normed"
TWICE, FEATURES = "output_upscaling.doubled_twice", "output_upscaling.activated_twice"


@torch.no_grad()
def upscaling_sums_of_scene(model: Sam, number: int) -> list[Row]:
    """What `UpscalingMeans` is made of: a row per click of a scene. Of the GELUs six sums per channel."""
    rows, layers = [], model.mask_decoder.output_upscaling
    for _, t in _decodes(Predictor(model), number):
        tensors = {
            "pixel_mean": t[ONCE].mean(),
            "pixel_variance": t[ONCE].var(1, correction=0).mean(),
            "stamps": stamps(t[FEATURES][0]),
            "first": _sums(t[NORMED][0], layers[2](t[NORMED])[0]),
            "last": _sums(t[TWICE][0], layers[4](t[TWICE])[0]),
        }
        rows.append({name: tensor.double().cpu().numpy() for name, tensor in tensors.items()})
    return rows


def upscaling_sums_of_further_scene(model: Sam, number: int) -> list[Row]:
    """The same for the scene that lies so far behind it that it is none of those that are measured."""
    return upscaling_sums_of_scene(model, number + FURTHER)


def _sums(x: Tensor, y: Tensor) -> Tensor:
    """Per channel the sums of x, y, x y, x^2 and max(x, 0) over the pixels, and their count: (6, channels)."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    each = (x, y, x * y, x * x, x.clamp(min=0), torch.ones_like(x))
    return torch.stack([one.sum(1) for one in each])


def upscaling_means_of(rows: list[Row]) -> UpscalingMeans:
    """The means over clicks, from their rows."""
    mean = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
    return UpscalingMeans(
        first=_activation(mean["first"]),
        last=_activation(mean["last"]),
        pixel_mean=float(mean["pixel_mean"]),
        pixel_variance=float(mean["pixel_variance"]),
        stamps=torch.from_numpy(mean["stamps"]).float(),
    )


def _activation(sums: np.ndarray) -> Activation:
    """From what `_sums` gives: the best straight line of y on x, and what a ReLU takes from the mean of y."""
    x, y, xy, xx, positive = sums[:5] / sums[5]
    slope = (xy - x * y) / (xx - x * x)
    return Activation(*(torch.from_numpy(one).float() for one in (slope, y - slope * x, y - positive)))


@torch.no_grad()
def upscaling_of_scene(model: Sam, number: int, means: UpscalingMeans) -> list[Row]:
    """Measure step (5) at all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        means: over clicks of other scenes.

    Returns:
        per click "prompt" (6,), and the arrays of `UpscalingStatistics` without the axis of the clicks.
    """
    masks, rows = prompts_of(number)[1], []
    layers: Any = model.mask_decoder.output_upscaling[:5]
    side = model.prompt_encoder.image_embedding_size[1]
    fresh = untrained(model, generator=torch.Generator().manual_seed(number), parts=("mask_decoder", "prompt_encoder"))
    decodes = zip(_decodes(Predictor(model), number), _decodes(Predictor(fresh), number), strict=True)
    for (prompt, t), (_, other) in decodes:
        target = torch.from_numpy(masks[prompt.mask]).to(model.device)
        best = 1 + int(ious(t["masks"][0, 1:] > 0, masks[prompt.mask]).argmax())
        image_tokens = t["keys"].mT.unflatten(2, (-1, side))
        ways = logits_by_way(layers, image_tokens, t["hyper_in"][0, best], means)
        logits, truth = t["masks"][:, best], target[None].float()
        between, _, drawing = split(logits)
        smooth, flat = joined_squares(logits), flat_squares(logits)
        coarse = torch.cat([flat_squares(truth), joined_squares(truth), flat_squares(truth, 2)])
        generator = torch.Generator().manual_seed(_seed(prompt))
        parts = [_parts(one[FEATURES][0], one["hyper_in"][0, best], generator) for one in (t, other)]
        maps = torch.cat([logits, between + drawing, smooth, other["masks"][:, best]])
        row = {
            "scores": _scores(torch.stack(list(ways.values())) > 0, masks[prompt.mask]),
            "targets": _scores(coarse > 0.5, masks[prompt.mask]),
            "shares": torch.stack([shares for shares, _ in parts]).cpu().numpy(),
            "support": torch.stack([support for _, support in parts]).cpu().numpy(),
            "jumps": jumps_by_kind(maps).cpu().numpy(),
            "edges": edges_by_kind(torch.cat([logits > 0, truth > 0, smooth > 0, flat > 0])).cpu().numpy(),
            "near": np.array([float((t[name].abs() <= NEAR).double().mean()) for name in (NORMED, TWICE)]),
        }
        rows.append({"prompt": np.array(prompt), "best": np.array(best)} | row)
    return rows


def measure_upscaling(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and its arrays whose names begin with "upscaling.".
    """
    others = rows_of_scenes(upscaling_sums_of_further_scene, weights, OTHERS, processes, progress)
    of_scene = partial(upscaling_of_scene, means=upscaling_means_of(others))
    stacked = stacked_rows(rows_of_scenes(of_scene, weights, scenes, processes, progress))
    whole = {"best": np.int8, "edges": np.int32}
    return {
        **stamp(weights, stacked),
        "upscaling.definitions": np.array(json.dumps(UPSCALING_WAYS)),
        **{
            f"upscaling.{name}": values.astype(whole.get(name, np.float32))
            for name, values in stacked.items()
            if name != "prompt"
        },
    }


def _decodes(predictor: Predictor, number: int) -> Iterator[tuple[Prompt, Trace]]:
    """The trace of the decoder at each held-out click of a scene, before the next one is decoded."""
    image, _, prompts = prompts_of(number)
    if prompts:
        predictor.set_image(image)
    for prompt in prompts:
        with trace(predictor.model.mask_decoder) as t:
            predictor.predict([[prompt.x, prompt.y]], [1])
        yield prompt, t


def _seed(prompt: Prompt) -> int:
    """Of what is drawn at a click."""
    return int(np.random.SeedSequence((TEST_STREAM, prompt.scene, prompt.mask, 6)).generate_state(1)[0])


# --- What is measured at a click ---


def _scores(masks: Bool[Tensor, "ways height width"], target: Bool[np.ndarray, "height width"]) -> np.ndarray:
    """By each of `UPSCALING_MEASURES`, (measures, ways)."""
    drawn = masks.cpu().numpy()
    thin = THIN / float(np.hypot(*target.shape))
    return np.stack(
        [ious(masks, target).cpu().numpy(), boundary_iou(drawn, target), boundary_iou(drawn, target, share=thin)]
    )


def _parts(features: Tensor, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """How the variance of features and of one mask's logits splits.

    Returns:
        shares: (maps, parts), in the order of `MAPS` and `PARTS`.
        support: (parts,): the logits' variance over the one that uncorrelated channels would give.
    """
    by_part = covariances(features)
    own = by_part.diagonal(dim1=1, dim2=2)  # (parts, channels)
    orders = [torch.randperm(len(weights), generator=generator).to(weights.device) for _ in range(LOTS)]
    lots = torch.stack([weights, *(weights[order] for order in orders)])
    variances = torch.einsum("lc,pcd,ld->lp", lots, by_part, lots)  # of the logits, real and with weights at random
    shares = variances / variances.sum(1, keepdim=True)
    of_channels = (own / own.sum(0)).mean(1)
    return torch.stack([of_channels, shares[0], shares[1:].mean(0)]), variances[0] / (own @ weights.square())
