"""Trainer: the loop, its schedule, its checkpoints; the same on one process or on several."""

import copy
import csv
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.figures import Figure, training_curves
from sam_edu.modules import Attention
from sam_edu.sam import Sam, build_tiny
from sam_edu.training.batches import Batch, draw_batch
from sam_edu.training.losses import grouping_loss
from sam_edu.training.rounds import embed_image, plan_later_rounds, set_grid, training_losses
from sam_edu.training.validation import validate

GROUPING_WIDTH, GROUPING_PIXELS, GROUPING_GRID = 16, 128, 32

CHANGEABLE = ("steps", "hours", "validate_every", "validation_scenes")
"""Settings that may change when a run is resumed: its length, and how often it is saved and validated."""

Row = dict[str, float | int]
"""The names of the numbers that the log keeps of a step."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run. `steps` or `hours` bounds it: exactly one of the two.

    `start` names a weights file to begin with. Such a run leaves out what a fresh model needs at first: the coarsest
    grid and the balanced loss.
    """

    steps: int | None = None
    hours: float | None = None
    seed: int = 0
    images: int = 8
    prompt_sets: int = 8
    followed: int = 3
    box_share: float = 0.4
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    iou_weight: float = 3.0
    warm_up: int = 200
    decay_share: float = 0.5
    ema: float = 0.999
    grids: tuple[tuple[float, int], ...] = ((0.0, 16), (0.08, 32), (0.8, 64))
    balanced_until: float = 0.15
    start: str | None = None
    precision: str = "bfloat16"
    validate_every: int = 250
    validation_scenes: int = 48

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.hours is None):
            raise ValueError(f"give steps or hours, one of the two; got steps={self.steps}, hours={self.hours}")

    def grid(self, fraction: float) -> int:
        """The grid of image tokens at a fraction of the run."""
        grids = [grid for start, grid in self.grids if fraction >= start]
        return grids[-1] if self.start is None else max(grids[-1], self.grids[min(1, len(self.grids) - 1)][1])

    def balanced(self, fraction: float) -> float:
        """The share of the balanced loss at a fraction of the run: from 1 down to 0."""
        return 0.0 if self.start is not None else max(0.0, 1.0 - fraction / self.balanced_until)

    def rate(self, step: int, fraction: float) -> float:
        """Learning rate: up, level, then down to nearly nothing over the last `decay_share`."""
        decay = min(1.0, (1.0 - fraction) / self.decay_share)
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up) * max(0.01, decay)


class Trainer:
    """A training run in a folder, from its start or from its last checkpoint.

    Args:
        settings: what to do.
        out: folder for checkpoint, log, curves and weights.
        device: where to train.
        resume: go on from the folder's checkpoint.

    Raises:
        FileNotFoundError: `resume` without a checkpoint; no file at `settings.start`.
        ValueError: the images of a step cannot be shared evenly among the processes; the run to resume has other
            settings.
    """

    def __init__(self, settings: Settings, out: Path, device: torch.device, resume: bool = False) -> None:
        self.settings, self.out, self.device = settings, out, device
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        if settings.images % self.world:
            raise ValueError(f"images: expected a multiple of the {self.world} processes, got {settings.images}")
        with torch.random.fork_rng(devices=[]):
            # Module constructors draw from torch's global generator: seeded here, and put back as it was.
            torch.manual_seed(settings.seed)
            self.model = build_tiny()
            align_cross_attention(self.model)
            if settings.start is not None:
                self._begin_with(Path(settings.start))
            self.grouping = nn.Conv2d(256, 3 * GROUPING_WIDTH, 1)
        self.model.to(device).train()
        self.grouping.to(device)
        self.fast = FastMaskDecoder(self.model.mask_decoder)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.parameters = [*self.model.parameters(), *self.grouping.parameters()]
        self.optimizer = torch.optim.AdamW(self._groups(), lr=settings.learning_rate, betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0
        self.log: list[Row] = []
        if resume:
            self._restore()

    def run(self) -> None:
        """Train to the end. Ctrl-C finishes the step that is under way and saves; a second one stops at once.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once everything is saved.
        """
        bar = tqdm(disable=self.rank != 0, unit="step", initial=self.step, total=self.settings.steps, smoothing=0.05)
        with self._until_interrupted() as interrupted, bar:
            while (fraction := self._fraction()) < 1.0 and not self._in_any_process(interrupted.is_set()):
                begin = time.perf_counter()
                row = self._train_step(fraction)
                self.step += 1
                self.seconds += time.perf_counter() - begin
                bar.update()
                bar.set_postfix_str(f"loss {row['loss']:.3f}, {self._left(fraction)}")
                if self.step % self.settings.validate_every == 0:
                    self._validate(row)
                self.log.append(row)
                if self.step % self.settings.validate_every == 0:
                    self.save()
            self.save()
            if fraction < 1.0:
                raise KeyboardInterrupt

    def save(self) -> None:
        """Write checkpoint, log and float16 weights; each appears whole or not at all."""
        if self.rank != 0:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "grouping": self.grouping.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "log": self.log,
            "settings": json.dumps(asdict(self.settings)),
        }
        write_whole(self.out / "checkpoint.pt", lambda path: torch.save(state, path))
        if self._fraction_here() < 1 - self.settings.decay_share:
            # A longer run can go on from here: the learning rate has not come down yet.
            write_whole(self.out / "level.pt", lambda path: shutil.copyfile(self.out / "checkpoint.pt", path))
        write_whole(self.out / "tiny.safetensors", lambda path: export(self.average, path))
        write_whole(self.out / "log.csv", self._write_log)
        if self.log:
            write_whole(self.out / "curves.png", lambda path: path.write_bytes(self._curves().png))

    def _begin_with(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(
                f"start: expected a weights file (safetensors) to begin with, got {path}: no such file"
            )
        self.model.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=True)

    def _restore(self) -> None:
        path = self.out / "checkpoint.pt"
        if not path.is_file():
            raise FileNotFoundError(f"nothing to resume: {path} does not exist; start without --resume")
        state = torch.load(path, map_location=self.device, weights_only=True)
        before, now = json.loads(state["settings"]), json.loads(json.dumps(asdict(self.settings)))
        changed = {
            name: f"{before.get(name)} then, {value} now"
            for name, value in now.items()
            if name not in CHANGEABLE and before.get(name) != value
        }
        if changed:
            raise ValueError(
                f"resume: {path} is of a run with other settings: {changed}; give its own, or another --out"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.grouping.load_state_dict(state["grouping"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]

    def _train_step(self, fraction: float) -> Row:
        settings = self.settings
        grid = settings.grid(fraction)
        set_grid(self.model, grid)
        # Chance that all processes share: how many rounds of corrections, and which of them bring no new click.
        shared = np.random.default_rng((settings.seed, self.step))
        plan = plan_later_rounds(shared)
        share = settings.images // self.world
        indices = range(self.rank * share, (self.rank + 1) * share)
        batch = draw_batch(settings.seed, self.step, indices, settings.prompt_sets, settings.box_share)
        batch = to_device(batch, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            embedding = embed_image(self.model, batch.image, max(grid, GROUPING_GRID))
            coarse = embedding
            if grid < embedding.shape[-1]:
                coarse = nn.functional.avg_pool2d(embedding, embedding.shape[-1] // grid)
            losses = training_losses(
                self.model,
                self.fast,
                batch,
                coarse,
                balanced=settings.balanced(fraction),
                followed=settings.followed,
                plan=plan,
            )
        losses["grouping"] = self._grouping_loss(embedding, batch)
        total = losses["mask"] + settings.iou_weight * losses["iou"]
        if "later_mask" in losses:
            total = total + 0.5 * (losses["later_mask"] + settings.iou_weight * losses["later_iou"])
        total = total + 0.5 * max(0.1, 1.0 - fraction / 0.3) * losses["grouping"]
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        values = torch.stack([total, *losses.values()]).detach()
        self._average_over_processes(values)
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        rate = settings.rate(self.step, fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if torch.isfinite(norm):
            self.optimizer.step()
        self._update_average()
        names = ["loss", *losses]
        return {"step": self.step, "grid": grid, "rate": rate, "norm": float(norm)} | dict(
            zip(names, values.tolist(), strict=True)
        )

    def _grouping_loss(self, embedding: Tensor, batch: Batch) -> Tensor:
        """Embeddings that agree inside a mask, one set of them per level."""
        size = embedding.shape[-1]
        if size != GROUPING_GRID:
            embedding = nn.functional.avg_pool2d(embedding, size // GROUPING_GRID)
        features = self.grouping(embedding.float()).unflatten(1, (3, GROUPING_WIDTH)).flatten(3)
        stride = batch.labels.shape[-1] // GROUPING_GRID
        labels = batch.labels[..., stride // 2 :: stride, stride // 2 :: stride].flatten(2)
        losses = []
        for image, rng in enumerate(batch.rngs):
            chosen = torch.from_numpy(rng.choice(GROUPING_GRID**2, GROUPING_PIXELS, replace=False)).to(self.device)
            for level in range(3):
                losses.append(grouping_loss(features[image, level, :, chosen].T, labels[image, level, chosen]))
        return torch.stack(losses).mean()

    def _average_over_processes(self, values: Tensor) -> None:
        if self.world == 1:
            return
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([*(p.grad.flatten() for p in self.parameters if p.grad is not None), values])
        dist.all_reduce(flat)
        flat /= self.world
        start = 0
        for parameter in self.parameters:
            end = start + parameter.numel()
            parameter.grad = flat[start:end].view_as(parameter)
            start = end
        values.copy_(flat[start:])

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for mean, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(current, 1 - decay)

    def _validate(self, row: Row) -> None:
        if self.rank == 0:
            scores = validate(self.average, int(row["grid"]), self.settings.validation_scenes, self.settings.precision)
            row.update(scores)
            text = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
            tqdm.write(f"step {self.step}  {self.seconds / 60:.0f} min  grid {row['grid']}  {text}")
        if self.world > 1:
            dist.barrier()

    @contextmanager
    def _until_interrupted(self) -> Iterator[threading.Event]:
        """Turn Ctrl-C into an event, as a step cut off halfway would leave weights that no other run has."""
        interrupted = threading.Event()

        def stop(number: int, frame: object) -> None:
            # torchrun hands on a Ctrl-C that the terminal has given its processes already.
            if interrupted.is_set() and self.world == 1:
                raise KeyboardInterrupt
            interrupted.set()

        if threading.current_thread() is not threading.main_thread():  # which alone may listen
            yield interrupted
            return
        before = signal.signal(signal.SIGINT, stop)
        try:
            yield interrupted
        finally:
            signal.signal(signal.SIGINT, before)

    def _in_any_process(self, here: bool) -> bool:
        """Whether a flag is set in any process, so that all stop at the same step."""
        if self.world == 1:
            return here
        anywhere = torch.tensor(float(here), device=self.device)
        dist.all_reduce(anywhere, dist.ReduceOp.MAX)
        return bool(anywhere)

    def _fraction(self) -> float:
        """How much of the run is done; the first process' clock counts."""
        if self.world > 1 and self.settings.hours is not None:
            seconds = torch.tensor(self.seconds, dtype=torch.float64, device=self.device)
            dist.broadcast(seconds, 0)
            self.seconds = float(seconds)
        return self._fraction_here()

    def _fraction_here(self) -> float:
        if self.settings.steps is not None:
            return self.step / self.settings.steps
        return self.seconds / (3600 * (self.settings.hours or 1.0))

    def _left(self, fraction: float) -> str:
        left = self.seconds * (1 - fraction) / max(fraction, 1e-9) if fraction else float("nan")
        return f"{left / 60:.0f} min left"

    def _groups(self) -> list[dict[str, object]]:
        decayed = [p for p in self.parameters if p.ndim >= 2]
        plain = [p for p in self.parameters if p.ndim < 2]
        return [
            {"params": decayed, "weight_decay": self.settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]

    def _curves(self) -> Figure:
        """Losses and scores so far."""

        def column(name: str) -> tuple[list[float | int], list[float | int]]:
            rows = [row for row in self.log if name in row]
            return [row["step"] for row in rows], [row[name] for row in rows]

        losses = {name: column(name) for name in ("mask", "later_mask", "iou", "grouping")}
        scores = {name: column(name) for name in ("whole", "part", "sub", "picked", "box")}
        return training_curves(
            {name: curve for name, curve in losses.items() if curve[0]},
            {name: curve for name, curve in scores.items() if curve[0]},
            title=f"{self.step} steps",
        )

    def _write_log(self, path: Path) -> None:
        names = list(dict.fromkeys(name for row in self.log for name in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.log)


def align_cross_attention(model: Sam) -> None:
    """Start every cross-attention with k_proj equal to q_proj, so that similar vectors attend to each other."""
    for name, module in model.mask_decoder.named_modules():
        if isinstance(module, Attention) and "self_attn" not in name:
            module.k_proj.load_state_dict(module.q_proj.state_dict())


def export(model: Sam, path: Path) -> None:
    """Write a model's weights as float16 safetensors."""
    save_file({k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}, path)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on another device."""
    moved: dict[str, Any] = {k: v.to(device) for k, v in vars(batch).items() if isinstance(v, Tensor)}
    return replace(batch, **moved)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside `path`, then move into place, so that a kill leaves the old file or the new one."""
    beside = path.with_name(path.name + f".{os.getpid()}.tmp")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
