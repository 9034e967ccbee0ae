"""Scores of a model on held-out scenes: python -m sam_edu.evaluation.scores."""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from tqdm import tqdm

from sam_edu import checkpoints
from sam_edu.argument_checks import as_choice, as_count
from sam_edu.arrays import shorten
from sam_edu.evaluation.attention_share import attention_shares, share_table
from sam_edu.evaluation.baselines import discs, ellipse, filled_box, flood_fills, iou
from sam_edu.evaluation.intervals import Interval, SceneBootstrap, single_draws
from sam_edu.model_checks import as_sam
from sam_edu.sam import Sam, build_empty, load, tiny_weights
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import centre_click, random_click
from sam_edu.scenes.prompts import masks_at
from sam_edu.scenes.scene import Kind, Scene, draw_scene
from sam_edu.training.corrections import by_generator
from sam_edu.training.decoder_choice import fastest_decoder
from sam_edu.training.rounds import Prompts, decode, embed_image, next_prompts, set_grid

TEST_STREAMS: dict[Kind, int] = {"ordinary": 3, "unseen": 4, "slender": 5}
"""First numbers of the seeds of the test scenes, by kind: none of them is ever trained on."""

LEVELS = ("object", "part", "sub-part")
CORRECTIONS = 5
AREAS = (0, 1000, 3000, 10000, 65536)
CALIBRATION_BINS = (-np.inf, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, np.inf)


@dataclass(frozen=True)
class Target:
    """The scores of one mask of one test scene. Every score is an IoU at full resolution.

    Attributes:
        scene: number of the scene.
        mask: number of the mask in it.
        click_position: (x, y) in pixels of the random click.
        level: 0 object, 1 part, 2 sub-part.
        area: in pixels.
        centre, click: best of three masks, one click at the deepest position, at a random position of the mask.
        picked: after the random click, of the mask whose predicted IoU is highest.
        picked_any: the same mask against the best of all masks that hold the pixel.
        single: after the random click, mask 0.
        box: mask 0, for the exact box.
        corrected: mask 0 after 1 to 5 further clicks, each at the deepest position of the error (as the paper
            evaluates), beginning with the random click.
        corrected_at_random: the same with clicks at random positions of the error.
        pick: which of masks 1 to 3 was picked after the random click (0, 1, 2).
        predicted, true: of masks 1 to 3 after the random click, IoU predicted, and IoU with the best mask that holds
            the pixel.
        overlap: mean IoU between two of the three masks.
        centre_discs, click_discs: best of three discs at the same clicks.
        flood: best of three flood fills at the random click.
        filled_box, ellipse: for the exact box.
    """

    scene: int
    mask: int
    click_position: tuple[float, float]
    level: int
    area: int
    centre: float
    click: float
    picked: float
    picked_any: float
    single: float
    box: float
    corrected: tuple[float, ...]
    corrected_at_random: tuple[float, ...]
    pick: int
    predicted: tuple[float, ...]
    true: tuple[float, ...]
    overlap: float
    centre_discs: float
    click_discs: float
    flood: float
    filled_box: float
    ellipse: float


@torch.no_grad()
def evaluate_scene(model: Sam, scene: Scene, number: int, seed: int) -> list[Target]:
    """Measure one mask of each level that a scene has.

    Args:
        model: in eval mode, float32.
        scene: a test scene.
        number: of the scene, for the rows.
        seed: of all that is left to chance.

    Raises:
        TypeError: no model, no scene, or numbers that are not whole.
        ValueError: a number below zero.
    """
    model, number, seed = as_sam(model), as_count("number", number, 0), as_count("seed", seed, 0)
    if not isinstance(scene, Scene):
        raise TypeError(f"scene: expected a Scene, as draw_scene gives it, got {type(scene).__name__}")
    rng = np.random.default_rng((seed, number))
    chosen = [int(rng.choice(np.flatnonzero(scene.level == level))) for level in np.unique(scene.level)]
    if not chosen:
        return []
    shape = scene.masks.shape[1:]
    masks = scene.masks[chosen]
    centres = np.stack([centre_click(mask) for mask in masks])
    clicks = np.stack([random_click(mask, rng) for mask in masks])
    boxes = np.stack([tight_box(mask) for mask in masks])
    set_grid(model, 64)
    decoder = fastest_decoder(model.mask_decoder, model.device)
    image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(model.device)
    embedding = embed_image(model, image, 64)
    n = len(chosen)
    first = Prompts(
        torch.from_numpy(np.concatenate([centres, clicks, clicks]))[:, None].to(model.device),
        torch.ones(3 * n, 1, device=model.device),
        torch.from_numpy(np.concatenate([boxes, boxes, boxes])).to(model.device),
        (torch.arange(3 * n) >= 2 * n).to(model.device),
    )
    logits, quality = decode(model, decoder, embedding, first)
    drawn = (logits > 0).cpu().numpy()
    predicted = quality.cpu().numpy()

    def correct(rng: np.random.Generator | None) -> list[np.ndarray]:
        """Mask 0 after each correction, beginning with the random clicks."""
        targets = torch.from_numpy(masks).to(model.device)
        prompts = Prompts(first.clicks[n : 2 * n], first.labels[n : 2 * n], first.boxes[:n], first.is_box[:n])
        now, now_quality = logits[n : 2 * n], quality[n : 2 * n]
        corrected = []
        for _ in range(CORRECTIONS):
            choose = None if rng is None else by_generator(rng)
            prompts = next_prompts(prompts, now, now_quality, targets, choose)
            now, now_quality = decode(model, decoder, embedding, prompts)
            corrected.append((now[:, 0] > 0).cpu().numpy())
        return corrected

    corrected, corrected_at_random = correct(None), correct(rng)

    rows = []
    for i, index in enumerate(chosen):
        target = masks[i]
        by_click, by_box = drawn[n + i], drawn[2 * n + i]
        right = scene.masks[masks_at(scene, int(clicks[i, 0]), int(clicks[i, 1]), index)]
        pick = int(predicted[n + i, 1:].argmax())
        true = np.stack([iou(by_click[1:], mask) for mask in right]).max(axis=0)
        pairs = [iou(by_click[a][None], by_click[b])[0] for a, b in ((1, 2), (1, 3), (2, 3))]
        row = Target(
            scene=number,
            mask=index,
            click_position=(float(clicks[i, 0]), float(clicks[i, 1])),
            level=int(scene.level[index]),
            area=int(target.sum()),
            centre=float(iou(drawn[i, 1:], target).max()),
            click=float(iou(by_click[1:], target).max()),
            picked=float(iou(by_click[1 + pick][None], target)[0]),
            picked_any=float(true[pick]),
            single=float(iou(by_click[:1], target)[0]),
            box=float(iou(by_box[:1], target)[0]),
            corrected=tuple(float(iou(mask[i][None], target)[0]) for mask in corrected),
            corrected_at_random=tuple(float(iou(mask[i][None], target)[0]) for mask in corrected_at_random),
            pick=pick,
            predicted=tuple(predicted[n + i, 1:].tolist()),
            true=tuple(true.tolist()),
            overlap=float(np.mean(pairs)),
            centre_discs=float(iou(discs(centres[i], shape), target).max()),
            click_discs=float(iou(discs(clicks[i], shape), target).max()),
            flood=float(iou(flood_fills(scene.image, clicks[i]), target).max()),
            filled_box=float(iou(filled_box(boxes[i], shape)[None], target)[0]),
            ellipse=float(iou(ellipse(boxes[i], shape)[None], target)[0]),
        )
        rows.append(row)
    return rows


def evaluate(
    weights: Path, scenes: int, kind: Kind = "ordinary", processes: int = 1, progress: bool = True
) -> list[Target]:
    """Measure stored weights on test scenes.

    Args:
        weights: a safetensors file; computed in float32 whatever it stores.
        scenes: how many.
        kind: of the scenes.
        processes: how many to share the scenes among.
        progress: show a progress bar.

    Returns:
        a row per mask.

    Raises:
        TypeError: no path, or numbers that are not whole.
        FileNotFoundError: there is no such file.
        ValueError: weights that are not those of a tiny model, another kind, or a number below 1.
    """
    scenes, processes = as_count("scenes", scenes), as_count("processes", processes)
    kind = as_choice("kind", kind, TEST_STREAMS)  # type: ignore[assignment]
    _models.clear()  # the file may have changed since
    _models[weights] = _read_model(weights)  # refused before any process is started
    jobs = [(weights, kind, number) for number in range(scenes)]
    rows: list[Target] = []
    if processes == 1:
        results: Iterator[list[Target]] = map(_evaluate_job, jobs)
        for result in tqdm(results, total=scenes, disable=not progress, unit="scene"):
            rows += result
        return rows
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for result in tqdm(pool.imap(_evaluate_job, jobs, 4), total=scenes, disable=not progress, unit="scene"):
            rows += result
    return rows


_models: dict[Path, Sam] = {}


def _read_model(weights: Path) -> Sam:
    model = build_empty("tiny")
    checkpoints.fill(model, checkpoints.read(weights, argument="weights", name="tiny"), "tiny")
    return model


def _evaluate_job(job: tuple[Path, Kind, int]) -> list[Target]:
    weights, kind, number = job
    if weights not in _models:
        _models[weights] = _read_model(weights)
    stream = TEST_STREAMS[kind]
    scene = draw_scene((stream, number), kind=kind)
    return evaluate_scene(_models[weights], scene, number, stream)


def interval(rows: list[Target], value: Callable[[Target], float], draws: int = 1000) -> Interval:
    """Mean and 95 % interval, by bootstrap over the scenes, as the masks of one scene are not independent.

    Args:
        rows: the measurements; there must be at least one.
        value: what to average.
        draws: of the bootstrap.

    Raises:
        TypeError: a number of draws that is not whole.
        ValueError: no row, or a value that is not finite.
    """
    require_rows(rows)
    scenes = [row.scene for row in rows]
    values = np.array([value(row) for row in rows], dtype=np.float64)
    return SceneBootstrap(scenes, single_draws(len(set(scenes)), draws)).interval(values)


def _corrections(where: str, name: str) -> dict[str, Callable[[Target], float]]:
    return {
        f"{n} correction{'s' if n > 1 else ''} {where}": lambda row, n=n: getattr(row, name)[n - 1]  # type: ignore[misc]
        for n in range(1, CORRECTIONS + 1)
    }


MEASURES: dict[str, Callable[[Target], float]] = {
    "random click, best of three": lambda row: row.click,
    "  three discs at the click": lambda row: row.click_discs,
    "  three flood fills": lambda row: row.flood,
    "centred click, best of three": lambda row: row.centre,
    "  three discs at the click ": lambda row: row.centre_discs,
    "random click, picked by the IoU head": lambda row: row.picked,
    "  against any mask at that pixel": lambda row: row.picked_any,
    "random click, mask 0": lambda row: row.single,
    "exact box, mask 0": lambda row: row.box,
    "  filled box": lambda row: row.filled_box,
    "  ellipse in the box": lambda row: row.ellipse,
    **_corrections("at the deepest error", "corrected"),
    **_corrections("at a random error", "corrected_at_random"),
}


def table(rows: list[Target]) -> str:
    """All scores as Markdown: over all masks with a 95 % interval, and by level."""
    require_rows(rows)
    lines = [
        "| mean IoU | all | 95 % | " + " | ".join(f"{name}s" for name in LEVELS) + " |",
        "|---|---|---|" + "---|" * len(LEVELS),
    ]
    for name, value in MEASURES.items():
        mean, low, high = interval(rows, value)
        by_level = [_mean([value(row) for row in rows if row.level == level]) for level in range(len(LEVELS))]
        indented = name.rstrip().replace("  ", "&nbsp;&nbsp;", 1)
        lines.append(f"| {indented} | {mean:.3f} | {low:.3f} to {high:.3f} | " + " | ".join(by_level) + " |")
    counts = [str(sum(row.level == level for row in rows)) for level in range(len(LEVELS))]
    lines.append(f"| number of masks | {len(rows)} | | " + " | ".join(counts) + " |")
    return "\n".join(lines)


def area_table(rows: list[Target]) -> str:
    """Random click, discs and box by the mask's area, as Markdown."""
    require_rows(rows)
    lines = ["| area in pixels | masks | random click | discs | box | ellipse |", "|---|---|---|---|---|---|"]
    for low, high in pairwise(AREAS):
        inside = [row for row in rows if low <= row.area < high]
        values = [[getattr(row, name) for row in inside] for name in ("click", "click_discs", "box", "ellipse")]
        lines.append(f"| {low} to {high} | {len(inside)} | " + " | ".join(_mean(v) for v in values) + " |")
    return "\n".join(lines)


def head_table(rows: list[Target]) -> str:
    """The IoU head: correlation and calibration of each mask, how often it is picked, how alike the masks are."""
    require_rows(rows)
    predicted, true = np.array([row.predicted for row in rows]), np.array([row.true for row in rows])
    picks = np.bincount([row.pick for row in rows], minlength=3) / len(rows)
    lines = ["| | mask 1 | mask 2 | mask 3 |", "|---|---|---|---|"]

    def add(name: str, values: list[float]) -> None:
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")

    add("correlation of predicted and true IoU", [np.corrcoef(predicted[:, i], true[:, i])[0, 1] for i in range(3)])
    add("mean predicted IoU", predicted.mean(axis=0).tolist())
    add("mean true IoU", true.mean(axis=0).tolist())
    add("mean absolute error", np.abs(predicted - true).mean(axis=0).tolist())
    add("share of clicks for which it is picked", picks.tolist())
    lines.append("")
    lines.append(f"Mean IoU between two of the three masks of a click: {np.mean([row.overlap for row in rows]):.3f}.")
    return "\n".join(lines)


def calibration_table(rows: list[Target]) -> str:
    """Predicted IoU in bins, against the true IoU there, for all three masks together, as Markdown."""
    require_rows(rows)
    predicted, true = np.array([row.predicted for row in rows]).ravel(), np.array([row.true for row in rows]).ravel()
    lines = ["| predicted IoU | masks | mean predicted | mean true |", "|---|---|---|---|"]
    for low, high in pairwise(CALIBRATION_BINS):
        inside = (predicted >= low) & (predicted < high)
        means = f"{predicted[inside].mean():.3f} | {true[inside].mean():.3f}" if inside.any() else "- | -"
        lines.append(f"| {low:g} to {high:g} | {inside.sum()} | {means} |")
    return "\n".join(lines)


def require_rows(rows: Sequence[Target]) -> None:
    """Refuse rows of which nothing can be said."""
    if not isinstance(rows, Sequence) or not all(isinstance(row, Target) for row in rows):
        raise TypeError(f"rows: expected the rows that evaluate gives, got {shorten(rows)}")
    if not rows:
        raise ValueError("rows: expected at least one measured mask, got none")


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):.3f}" if values else "-"


def main() -> None:
    """Print all tables; write the rows as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m sam_edu.evaluation.scores", description="Score the tiny model.")
    parser.add_argument("--weights", type=Path, default=tiny_weights(), help="a safetensors file")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--kind", choices=get_args(Kind), default="ordinary", help="unseen: never trained on")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--attention-scenes", type=int, default=100, help="for where the heads look; 0 leaves it out")
    parser.add_argument("--json", type=Path, help="write a row per mask to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = evaluate(args.weights, args.scenes, args.kind, args.processes)
    print(f"{args.scenes} held-out scenes, {args.kind}\n")
    print("\n\n".join([table(rows), area_table(rows), head_table(rows), calibration_table(rows)]))
    if args.attention_scenes:
        model = load("tiny", checkpoint=args.weights)
        shares = attention_shares(model, args.attention_scenes, TEST_STREAMS[args.kind], args.kind)
        print(f"\n{share_table(shares)}")
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")


if __name__ == "__main__":
    main()
