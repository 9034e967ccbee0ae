"""Measuring: every held-out click under one ablation after another, for the file of `sam_edu.ablation.load`."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sam_edu.ablation.ablations import ABLATIONS, BOX_ABLATIONS, needed
from sam_edu.ablation.changes import BIASES, TERMS, References
from sam_edu.ablation.prompts import FIRST_SCENE, prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import Collected, clicks_on_image, decoder_inputs, other_trace, traces_of
from sam_edu.ablation.results import sha256
from sam_edu.ablation.scoring import Scorer
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.scenes.boxes import tight_box
from sam_edu.tracing import ReferenceRuns, position_axes

PORTIONS = 8
"""The means are summed over so many portions of the scenes, however many processes there are."""

Row = dict[str, np.ndarray]


class Work(NamedTuple):
    """What is measured at every click.

    Attributes:
        names: of the ablations of clicks.
        box_names: of the ablations of exact boxes.
        means: over the held-out clicks, by the names of tensors.
        box_means: over their exact boxes.
    """

    names: Sequence[str]
    box_names: Sequence[str]
    means: dict[str, np.ndarray]
    box_means: dict[str, np.ndarray]


@torch.no_grad()
def measure_scene(model: Sam, number: int, work: Work) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        work: what to measure.

    Returns:
        per click "prompt" (6,), "scores" (1 + ablations, 4) and "box_scores" (1 + ablations of boxes, 4).
    """
    image, masks, prompts = prompts_of(number)
    predictor, rows = Predictor(model), []
    if not prompts:
        return []
    predictor.set_image(image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    held_out, of_boxes = _as_runs(work.means, model), _as_runs(work.box_means, model)
    names_of_image, names_of_other = needed(work.names, "image"), needed(work.names, "other")
    of_image = clicks_on_image(model, names_of_image, image) if names_of_image else None
    for prompt in prompts:
        mask = masks[prompt.mask]
        other = other_trace(model, prompt, names_of_other) if names_of_other else None
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt), encodings)
        row = {
            "prompt": np.array(prompt),
            "scores": _scores(decode, mask, work.names, References(held_out, of_image, other), box=False),
        }
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt, tight_box(mask)), encodings)
        row["box_scores"] = _scores(decode, mask, work.box_names, References(of_boxes), box=True)
        rows.append(row)
    return rows


def _scores(
    decode: AblatedDecoder, mask: np.ndarray, names: Sequence[str], references: References, box: bool
) -> np.ndarray:
    """The four measures of the unchanged decode, and under each ablation."""
    score = Scorer(decode.masks[0], decode.iou[0], mask, box)
    found = [score(decode.masks[0], decode.iou[0])]
    for name in names:
        logits, iou = decode.run(ABLATIONS[name], references)
        found.append(score(logits[0], iou[0]))
    return np.array(found)


def _as_runs(means: dict[str, np.ndarray], model: Sam) -> ReferenceRuns:
    return ReferenceRuns({}, {name: torch.from_numpy(mean).to(model.device) for name, mean in means.items()})


# --- The means that stand in for what is replaced ---


def _sums(model: Sam, job: tuple[Sequence[int], tuple[str, ...], bool]) -> tuple[dict[str, np.ndarray], int]:
    """The sums over some scenes, as arrays, which pass from one process to another; and the number of prompts."""
    numbers, names, boxes = job
    found = Collected(names, runs=False)
    for t in traces_of(model, [prompt for number in numbers for prompt in prompts_of(number)[2]], boxes):
        found.add(t)
    return {name: total.cpu().numpy() for name, total in found.sums.items()}, found.count


def measure_means(
    weights: Path, scenes: int, names: Sequence[str], boxes: bool, processes: int = 1, progress: bool = True
) -> dict[str, np.ndarray]:
    """The means of the decoder's tensors over the held-out prompts.

    What is small enough for the file is rounded as it is stored there, so that a mean from the file gives what was
    measured.

    Args:
        weights, scenes, processes, progress: see `measure`.
        names: of the tensors.
        boxes: over the exact boxes and not the clicks.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    total = Collected(names, runs=False)
    if names:
        portions = [part for part in np.array_split(np.arange(scenes), PORTIONS) if len(part)]
        jobs = [([FIRST_SCENE + int(i) for i in part], tuple(names), boxes) for part in portions]
        what = "means of boxes" if boxes else "means of clicks"
        for sums, count in _results(_sums, jobs, weights, processes, progress, what):
            total.merge({name: torch.from_numpy(array) for name, array in sums.items()}, count)
        if not total.count:
            raise ValueError(f"scenes: expected some with at least one mask, got {scenes} without")
    means = total.means()
    return {name: _rounded(mean) if mean.numel() <= _SMALL else mean.numpy() for name, mean in means.items()}


_SMALL = 2**14


def _rounded(mean: Tensor) -> np.ndarray:
    return mean.half().float().numpy()


def stored_means(means: dict[str, np.ndarray], model: Sam) -> dict[str, np.ndarray]:
    """The means that the file holds: those with a row per position are averaged over the positions."""
    found = {}
    for name, mean in means.items():
        if name == TERMS:
            continue
        axes: tuple[str, ...] = () if name == BIASES else model.mask_decoder.get_submodule(name).axes  # type: ignore[assignment]
        over = tuple(axes.index(axis) - 1 for axis in position_axes(name, axes)) if axes else ()
        found[name] = (mean.mean(axis=over, keepdims=True) if over else mean).astype(np.float16)
    return found


# --- The file's arrays ---


def stacked_rows(rows: list[Row]) -> Row:
    """Each array of the rows with an axis of the rows in front."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def stamp(weights: Path, stacked: Row) -> dict[str, Any]:
    """What a file says of itself: whose weights were measured, and at which clicks."""
    return {"weights": np.array(sha256(weights)), "prompts": stacked["prompt"].astype(np.int32)}


def collect(weights: Path, rows: list[Row], work: Work) -> dict[str, Any]:
    """The file's arrays, from the rows of clicks."""
    stacked = stacked_rows(rows)
    means = stored_means(work.means, load("tiny", checkpoint=weights))
    return {
        **stamp(weights, stacked),
        **_measured("clicks", stacked["scores"], work.names),
        **_measured("boxes", stacked["box_scores"], work.box_names),
        **{f"means.{name}": mean for name, mean in means.items()},
    }


def _measured(prompts: str, scores: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """What is stored of the scores (prompts, 1 + ablations, measures): of an ablation the change.

    Half a float is enough for a change, as its error is relative to it.
    """
    return {
        f"{prompts}.definitions": np.array(json.dumps({name: ABLATIONS[name].definition for name in names})),
        f"{prompts}.unchanged": scores[:, 0].astype(np.float32),
        f"{prompts}.changes": (scores[:, 1:] - scores[:, :1]).transpose(1, 0, 2).astype(np.float16),
    }


def measure(
    weights: Path,
    scenes: int,
    processes: int = 1,
    progress: bool = True,
    names: Sequence[str] | None = None,
    box_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Measure stored weights.

    Args:
        weights: a safetensors file of the tiny model.
        scenes: how many.
        processes: how many to share the scenes among.
        progress: show progress bars.
        names: which ablations of clicks; all by default.
        box_names: which ablations of exact boxes; all of `BOX_ABLATIONS` by default.

    Returns:
        the arrays of the file but for those of `sam_edu.ablation.held_out` and `sam_edu.ablation.attention_statistics`,
        the same however many processes there are.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    names = tuple(ABLATIONS) if names is None else tuple(names)
    box_names = BOX_ABLATIONS if box_names is None else tuple(box_names)
    means = [
        measure_means(weights, scenes, sorted(needed(some, "held_out")), boxes, processes, progress)
        for some, boxes in ((names, False), (box_names, True))
    ]
    work = Work(names, box_names, *means)
    rows = rows_of_scenes(measure_scene, weights, scenes, processes, progress, work)
    return collect(weights, rows, work)


def rows_of_scenes(
    of_scene: Callable[..., list[Row]],
    weights: Path,
    scenes: int,
    processes: int = 1,
    progress: bool = True,
    work: Work | None = None,
    holding: str = "at least one mask",
) -> list[Row]:
    """The rows of all clicks, scene by scene.

    Args:
        of_scene: gives a scene's rows, from the model, the scene's number, and `work` if there is any.
        weights, scenes, processes, progress: see `measure`.
        work: is sent to each process once.
        holding: what a scene needs to have rows, for the message.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    jobs = [FIRST_SCENE + i for i in range(scenes)]
    rows = [row for some in _results(of_scene, jobs, weights, processes, progress, "scenes", work) for row in some]
    if not rows:
        raise ValueError(f"scenes: expected some with {holding}, got {scenes} without")
    return rows


def missing(before: dict[str, Any], prompts: str = "clicks") -> list[str]:
    """The ablations that a file's arrays lack, or hold under another definition than today's."""
    definitions = json.loads(str(before[f"{prompts}.definitions"]))
    return [name for name in listed(prompts) if definitions.get(name) != ABLATIONS[name].definition]


def listed(prompts: str) -> tuple[str, ...]:
    """The names of all ablations that are measured for clicks, or for boxes."""
    return BOX_ABLATIONS if prompts == "boxes" else tuple(ABLATIONS)


def merge(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The arrays with the ablations that were measured before and are still listed, and new ones, in the list's order.

    Raises:
        ValueError: other weights, or other clicks.
    """
    if str(before["weights"]) != str(new["weights"]) or not np.array_equal(before["prompts"], new["prompts"]):
        raise ValueError("the file was measured on other weights or other clicks: measure everything again")
    merged = before | new
    for prompts in ("clicks", "boxes"):
        found: dict[str, tuple[str, np.ndarray]] = {}
        for data in (before, new):
            names = json.loads(str(data[f"{prompts}.definitions"]))
            rows = data[f"{prompts}.changes"]
            found |= {name: (text, row) for (name, text), row in zip(names.items(), rows, strict=True)}
        kept = {name: found[name] for name in listed(prompts) if name in found}
        merged[f"{prompts}.definitions"] = np.array(json.dumps({name: text for name, (text, _) in kept.items()}))
        empty = new[f"{prompts}.changes"][:0]
        merged[f"{prompts}.changes"] = np.stack([row for _, row in kept.values()]) if kept else empty
    return merged


def store(data: dict[str, Any], path: Path) -> None:
    """Write the file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


# --- Processes ---


_models: dict[Path, Sam] = {}
_work: list[Work | None] = [None]


def _results(
    function: Callable[..., Any],
    jobs: Sequence[Any],
    weights: Path,
    processes: int,
    progress: bool,
    what: str,
    work: Work | None = None,
) -> Iterator[Any]:
    """What a function gives for each job, in their order, with a progress bar."""
    calls = [(function, weights, job) for job in jobs]
    with ExitStack() as stack:
        bar: Any = stack.enter_context(tqdm(total=len(jobs), disable=not progress, desc=what))
        if processes > 1:
            pool = multiprocessing.get_context("spawn").Pool(processes, _begin, (work, True))
            results: Iterator[Any] = stack.enter_context(pool).imap(_call, calls)
        else:
            _begin(work)
            results = map(_call, calls)
        for result in results:
            yield result
            bar.update()


def _begin(work: Work | None, one_thread: bool = False) -> None:
    _work[0] = work
    if one_thread:
        torch.set_num_threads(1)


def _call(call: tuple[Callable[..., Any], Path, Any]) -> Any:
    function, weights, job = call
    if weights not in _models:
        _models[weights] = load("tiny", checkpoint=weights)
    more = () if _work[0] is None else (_work[0],)
    return function(_models[weights], job, *more)
