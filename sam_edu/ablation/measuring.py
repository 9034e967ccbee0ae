"""Measuring: every held-out click under one ablation after another, for the file of `sam_edu.ablation.load`."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sam_edu.ablation.ablations import ABLATIONS
from sam_edu.ablation.prompts import FIRST_SCENE, prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.results import sha256
from sam_edu.ablation.scoring import both_scores
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load

Row = dict[str, np.ndarray]


@torch.no_grad()
def measure_scene(model: Sam, number: int, names: Sequence[str] | None = None) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        names: which ablations; all by default.

    Returns:
        per click "prompt" (6,) and "scores" (1 + ablations, 2).
    """
    names = tuple(ABLATIONS) if names is None else names
    image, masks, prompts = prompts_of(number)
    predictor, encoder, rows = Predictor(model), model.prompt_encoder, []
    if prompts:
        predictor.set_image(image)
    image_pe = encoder.get_dense_pe()
    encodings = position_encodings(model.mask_decoder, image_pe)
    for prompt in prompts:
        click = torch.tensor([[[float(prompt.x), float(prompt.y)]]], device=model.device)
        sparse, dense = encoder((click, torch.ones(1, 1, device=model.device)), None, None)
        inputs = {
            "image_embeddings": predictor.get_image_embedding(),
            "image_pe": image_pe,
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense,
        }
        decode = AblatedDecoder(model.mask_decoder, inputs, encodings)
        results: Iterator[tuple[Tensor, Tensor]] = (decode.run(ABLATIONS[n].of(model.mask_decoder)) for n in names)
        scores = [both_scores(decode.masks[0], decode.iou[0], masks[prompt.mask])]
        scores += [both_scores(logits[0], iou[0], masks[prompt.mask]) for logits, iou in results]
        rows.append({"prompt": np.array(prompt), "scores": np.array(scores)})
    return rows


def collect(weights: Path, rows: list[Row], names: Sequence[str]) -> dict[str, Any]:
    """The file's arrays, from the rows of clicks with these ablations."""
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return {
        "weights": np.array(sha256(weights)),
        "definitions": np.array(json.dumps({name: ABLATIONS[name].definition for name in names})),
        "prompts": stacked["prompt"].astype(np.int32),
        "scores": stacked["scores"].transpose(1, 0, 2).astype(np.float16),
    }


def measure(
    weights: Path, scenes: int, processes: int = 1, progress: bool = True, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measure stored weights.

    Args:
        weights: a safetensors file of the tiny model.
        scenes: how many.
        processes: how many to share the scenes among.
        progress: show a progress bar.
        names: which ablations; all by default.

    Returns:
        the arrays of the file but for those of `sam_edu.ablation.held_out` and `sam_edu.ablation.attention_statistics`,
        the same however many processes there are.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    names = tuple(ABLATIONS) if names is None else tuple(names)
    rows = rows_of_scenes(partial(measure_scene, names=names), weights, scenes, processes, progress)
    return collect(weights, rows, names)


def rows_of_scenes(
    of_scene: Callable[[Sam, int], list[Row]], weights: Path, scenes: int, processes: int = 1, progress: bool = True
) -> list[Row]:
    """The rows of all clicks, scene by scene.

    Args:
        of_scene: gives a scene's rows, from the model and the scene's number.
        weights, scenes, processes, progress: see `measure`.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    jobs = [(of_scene, weights, FIRST_SCENE + i) for i in range(scenes)]
    bar: Any = tqdm(total=scenes, disable=not progress, unit="scene")
    rows: list[Row] = []
    with ExitStack() as stack:
        stack.enter_context(bar)
        results: Iterator[list[Row]] = map(_job, jobs)
        if processes > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(processes, _one_thread))
            results = pool.imap(_job, jobs)
        for result in results:
            rows += result
            bar.update()
    if not rows:
        raise ValueError(f"scenes: expected some with at least one mask, got {scenes} without")
    return rows


def missing(before: dict[str, Any]) -> list[str]:
    """The ablations that a file's arrays lack, or hold under another definition than today's."""
    definitions = json.loads(str(before["definitions"]))
    return [name for name, one in ABLATIONS.items() if definitions.get(name) != one.definition]


def merge(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The arrays with the ablations that were measured before and are still listed, and new ones, in the list's order.

    Raises:
        ValueError: other weights, or other clicks.
    """
    if str(before["weights"]) != str(new["weights"]) or not np.array_equal(before["prompts"], new["prompts"]):
        raise ValueError("the file was measured on other weights or other clicks: measure everything again")
    found: dict[str, tuple[str, np.ndarray]] = {}
    for data in (before, new):
        names = json.loads(str(data["definitions"]))
        found |= {name: (text, row) for (name, text), row in zip(names.items(), data["scores"][1:], strict=True)}
    kept = {name: found[name] for name in ABLATIONS if name in found}
    definitions = json.dumps({name: text for name, (text, _) in kept.items()})
    scores = np.stack([new["scores"][0], *(row for _, row in kept.values())])
    return before | new | {"definitions": np.array(definitions), "scores": scores}


def store(data: dict[str, Any], path: Path) -> None:
    """Write the file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


_models: dict[Path, Sam] = {}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _job(job: tuple[Callable[[Sam, int], list[Row]], Path, int]) -> list[Row]:
    of_scene, weights, number = job
    if weights not in _models:
        _models[weights] = load("tiny", checkpoint=weights)
    return of_scene(_models[weights], number)
