"""Trainer: the loop, its schedule, its checkpoints; the same on one process or on several."""

import copy
import csv
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from sam_edu.figures import Figure, training_curves
from sam_edu.modules import Attention
from sam_edu.sam import Sam, build_tiny, tiny_weights
from sam_edu.training.batches import GROUPING_GRID, Batch
from sam_edu.training.decoder_choice import fastest_decoder
from sam_edu.training.draw_ahead import DrawAhead, Steps
from sam_edu.training.interrupt import Interrupt
from sam_edu.training.losses import grouping_loss
from sam_edu.training.mask_order import mean_areas, reorder_masks, smallest_first
from sam_edu.training.rounds import embed_image, plan_later_rounds, set_grid, training_losses
from sam_edu.training.settings import Settings
from sam_edu.training.sources import Sources
from sam_edu.training.validation import validate

GROUPING_WIDTH = 16

CHANGEABLE = ("steps", "hours", "validate_every", "validation_scenes")
"""Settings that may change when a run is resumed: its length, and how often it is saved and validated."""
FILES = ("checkpoint.pt", "level.pt", "tiny.safetensors", "log.csv", "curves.png")
"""The files of a run in its folder."""

Row = dict[str, float | int]
"""The names of the numbers that the log keeps of a step."""


class Trainer:
    """A training run in a folder, from its start or from its last checkpoint.

    Nothing is written before everything that was given has been checked.

    Args:
        settings: what to do.
        out: folder for checkpoint, log, curves and weights.
        device: where to train.
        resume: go on from the folder's checkpoint.
        workers: processes that draw batches ahead; 0 draws between the steps. The run is the same with any number.

    Raises:
        FileExistsError: the folder holds a run, and `resume` is False; or it is a file.
        FileNotFoundError: `resume` without a checkpoint; no file or folder at a path of the settings.
        ImportError: annotated images without pycocotools.
        PermissionError: the folder cannot be written to.
        ValueError: the images of a step cannot be shared evenly among the processes; the weights to begin with are not
            the tiny model's; the run to resume has other settings or other images; fewer than 0 workers; none of the
            given images can be used.

    Attributes:
        step: how many steps were taken.
        saved: how many of them are in the folder.
    """

    def __init__(
        self, settings: Settings, out: Path, device: torch.device, resume: bool = False, workers: int = 0
    ) -> None:
        self.settings, self.out, self.device, self.workers = settings, out, device, workers
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        if settings.images % self.world:
            raise ValueError(f"images: expected a multiple of the {self.world} processes, got {settings.images}")
        if workers < 0:
            raise ValueError(f"workers: expected 0 (draw between the steps) or more, got {workers}")
        check_folder(out, resume)
        with torch.random.fork_rng(devices=[]):
            # Module constructors draw from torch's global generator: seeded here, and put back as it was.
            torch.manual_seed(settings.seed)
            self.model = build_tiny()
            align_cross_attention(self.model)
            if settings.start is not None:
                self._begin_with(tiny_weights() if settings.start == "tiny" else Path(settings.start))
            self.grouping = nn.Conv2d(256, 3 * GROUPING_WIDTH, 1)
        self.model.to(device).train()
        self.grouping.to(device)
        for part in settings.freeze:
            self.model.get_submodule(part).requires_grad_(False)
        self.decoder = fastest_decoder(self.model.mask_decoder, device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        # The grouping loss trains the image encoder.
        grouping = [] if "image_encoder" in settings.freeze else [*self.grouping.parameters()]
        self.parameters = [*(p for p in self.model.parameters() if p.requires_grad), *grouping]
        self.optimizer = self._fresh_optimizer()
        self.step, self.seconds = 0, 0.0
        self.restarted: int | None = None
        self.log: list[Row] = []
        self.sources = Sources.of(settings)
        if resume:
            self._restore()
        self.saved = self.step
        if self.rank == 0:
            for line in self.sources.summary():
                tqdm.write(line)

    def run(self, interrupt: Interrupt | None = None) -> None:
        """Train to the end, and order the masks. An interrupt finishes the step that is under way and saves.

        Interrupts are Ctrl-C and SIGTERM; a second one, more than `PATIENCE` seconds later, stops a run of one process
        at once. Several processes stop at the same step, whichever was interrupted. Before the first step nothing is
        written.

        Args:
            interrupt: what hears the signals, if they were heard before the run began.

        Raises:
            KeyboardInterrupt: after an interrupt, once everything is saved.
            RuntimeError: a batch could not be drawn; everything before is saved.
        """
        if interrupt is None:
            interrupt = Interrupt(alone=self.world == 1)
        bar = tqdm(disable=self.rank != 0, unit="step", initial=self.step, total=self.settings.steps, smoothing=0.05)
        with interrupt.listening(), bar, self._batches() as batches:
            while (fraction := self._fraction()) < 1.0 and not self._in_any_process(interrupt.received):
                begin = time.perf_counter()
                if self._restart_is_due(fraction):
                    self._restart()
                row = self._train_step(fraction, self._next(batches))
                self.step += 1
                self.seconds += time.perf_counter() - begin
                bar.update()
                bar.set_postfix_str(
                    f"loss {row['loss']:.3f}, waiting for data {batches.waiting:.0%}, {self._left(fraction)}"
                )
                if self.step % self.settings.validate_every == 0:
                    self._validate(row)
                self.log.append(row)
                if self.step % self.settings.validate_every == 0:
                    self.save()
            if fraction >= 1.0:
                self._order_masks()
                self.save()
                return
            if self.saved != self.step:
                self.save()
            raise KeyboardInterrupt

    @contextmanager
    def _batches(self) -> Iterator[DrawAhead]:
        """The batches of this process, from the next step on."""
        settings = self.settings
        share = settings.images // self.world
        indices = range(self.rank * share, (self.rank + 1) * share)
        steps = Steps(settings.seed, indices, settings.prompt_sets, settings.box_share, self.sources)
        batches = DrawAhead(steps, self.step, self.workers)
        try:
            yield batches
        finally:
            batches.close()

    def _next(self, batches: DrawAhead) -> Batch:
        failure: Exception | None = None
        try:
            batch = batches.next().to(self.device)
        except Exception as error:
            failure = error
        if not self._in_any_process(failure is not None):
            return batch
        self.save()
        reason = "another process says why" if failure is None else failure
        raise RuntimeError(
            f"step {self.step}: its batch could not be drawn: {reason}. Everything up to here is in {self.out}; "
            "go on with --resume"
        ) from failure

    def _restart_is_due(self, fraction: float) -> bool:
        at = self.settings.restart_at
        return at is not None and self.restarted is None and fraction >= at

    def _restart(self) -> None:
        """Begin again with the averaged weights and a fresh optimizer."""
        self.model.load_state_dict(self.average.state_dict())
        self.optimizer = self._fresh_optimizer()
        self.restarted = self.step

    def _order_masks(self) -> None:
        """Order masks 1 to 3 by mean area, smallest first, in the model, its average and the optimizer."""
        order = torch.arange(4, device=self.device)
        if self.rank == 0:
            areas = mean_areas(self.average, self.settings.grid(1.0), self.settings.validation_scenes)
            order = torch.tensor(smallest_first(areas), device=self.device)
            shown = ", ".join(f"{areas[i - 1]:.1%}" for i in order[1:].tolist())
            tqdm.write(f"masks 1 to 3 in order of their mean area: {shown} of the image")
        if self.world > 1:
            dist.broadcast(order, 0)
        decoder = self.model.mask_decoder
        for model in (self.model, self.average):
            reorder_masks(decoder, model.mask_decoder.state_dict(), order.tolist())
        kept = {name: self.optimizer.state[p] for name, p in decoder.named_parameters() if p in self.optimizer.state}
        for moment in ("exp_avg", "exp_avg_sq"):
            reorder_masks(decoder, {name: state[moment] for name, state in kept.items()}, order.tolist())

    def save(self) -> None:
        """Write checkpoint, log and float16 weights; each appears whole or not at all. The first process writes."""
        if self.rank == 0:
            self._write()
        self.saved = self.step

    def _write(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "grouping": self.grouping.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "restarted": self.restarted,
            "sources": self.sources.fingerprint(),
            "log": self.log,
            "settings": json.dumps(asdict(self.settings)),
        }
        write_whole(self.out / "checkpoint.pt", lambda path: torch.save(state, path))
        if self.settings.is_level(self._fraction_here()):
            # A longer run can go on from here: the learning rate has not come down yet.
            write_whole(self.out / "level.pt", lambda path: shutil.copyfile(self.out / "checkpoint.pt", path))
        write_whole(self.out / "tiny.safetensors", lambda path: export(self.average, path))
        write_whole(self.out / "log.csv", self._write_log)
        if self.log:
            write_whole(self.out / "curves.png", lambda path: path.write_bytes(self._curves().png))

    def _begin_with(self, path: Path) -> None:
        wanted = f"expected a weights file (safetensors) of the tiny model to begin with, got {path}"
        if not path.is_file():
            raise FileNotFoundError(f"start: {wanted}: no such file; 'tiny' is the package's own")
        try:
            weights = load_file(path)
        except (SafetensorError, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"start: {wanted}: {error}") from error
        own = self.model.state_dict()
        wrong = sorted(set(weights) ^ set(own)) or [n for n, value in own.items() if value.shape != weights[n].shape]
        if wrong:
            raise ValueError(
                f"start: {wanted}: {len(wrong)} of its tensors are missing, unknown or of another shape, "
                f"such as {wrong[0]}"
            )
        self.model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=True)

    def _restore(self) -> None:
        path = self.out / "checkpoint.pt"
        if not path.is_file():
            raise FileNotFoundError(f"nothing to resume: {path} does not exist; start without --resume")
        state = read_checkpoint(path, self.device)
        before, now = json.loads(state["settings"]), json.loads(json.dumps(asdict(self.settings)))
        # What an older run did not know was as it is by default.
        before = {field.name: json.loads(json.dumps(field.default)) for field in fields(Settings)} | before
        changed = {
            name: f"{before[name]} then, {value} now"
            for name, value in now.items()
            if name not in CHANGEABLE and before[name] != value
        }
        if changed:
            raise ValueError(
                f"resume: {path} is of a run with other settings: {changed}; give its own, or another --out"
            )
        if state.get("sources") != self.sources.fingerprint():
            raise ValueError(
                f"resume: the photographs or annotated images have changed since {path} was written; put them back, "
                "or begin another run with --from-weights"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.grouping.load_state_dict(state["grouping"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        self.restarted = state.get("restarted")

    def _train_step(self, fraction: float, batch: Batch) -> Row:
        settings = self.settings
        grid = settings.grid(fraction)
        set_grid(self.model, grid)
        # Chance that all processes share: how many rounds of corrections, and which of them bring no new click.
        plan = plan_later_rounds(np.random.default_rng((settings.seed, self.step)))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            with torch.set_grad_enabled("image_encoder" not in settings.freeze):
                embedding = embed_image(self.model, batch.image, max(grid, GROUPING_GRID))
            coarse = embedding
            if grid < embedding.shape[-1]:
                coarse = nn.functional.avg_pool2d(embedding, embedding.shape[-1] // grid)
            losses = training_losses(
                self.model,
                self.decoder,
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
        total = total + 0.5 * max(0.1, 1.0 - settings.within(fraction) / 0.3) * losses["grouping"]
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        values = torch.stack([total, *losses.values()]).detach()
        self._average_over_processes(values)
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        rate = settings.rate(self._steps_since_restart(), fraction)
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
        """Embeddings that agree inside a mask, one set of them per level; 0 where the image encoder stays as it is."""
        if "image_encoder" in self.settings.freeze:
            return torch.zeros((), device=self.device)
        size = embedding.shape[-1]
        if size != GROUPING_GRID:
            embedding = nn.functional.avg_pool2d(embedding, size // GROUPING_GRID)
        features = self.grouping(embedding.float()).unflatten(1, (3, GROUPING_WIDTH)).flatten(3)
        chosen = batch.grouping[:, None].expand(-1, 3, -1)  # (images, levels, positions)
        compared = features.gather(3, chosen[:, :, None].expand(-1, -1, GROUPING_WIDTH, -1)).mT
        return grouping_loss(compared, batch.labels.flatten(2).gather(2, chosen))

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
        steps = self._steps_since_restart()
        decay = min(self.settings.ema, (1 + steps) / (10 + steps))
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

    def _steps_since_restart(self) -> int:
        return self.step - (self.restarted or 0)

    def _fresh_optimizer(self) -> torch.optim.AdamW:
        return torch.optim.AdamW(self._groups(), lr=self.settings.learning_rate, betas=(0.9, 0.98))

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
            # The score of a level that no validation scene has is nan, and a step can have no finite loss.
            rows = [row for row in self.log if math.isfinite(row.get(name, math.nan))]
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


def check_folder(out: Path, resume: bool) -> None:
    """See that a run can be written to a folder, without writing.

    Raises:
        FileExistsError: it holds a run, and `resume` is False; or it is a file.
        PermissionError: it cannot be written to.
    """
    present = [name for name in FILES if (out / name).exists()]
    if present and not resume:
        raise FileExistsError(
            f"out: {out} holds a run already ({', '.join(present)}), which would be lost; go on with it with --resume, "
            "or give another folder"
        )
    existing = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise FileExistsError(f"out: expected a folder, got {out}: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"out: {out} cannot be written to: no permission in {existing}")


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """A run's checkpoint.

    Raises:
        ValueError: the file is not one.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        missing = {"model", "average", "grouping", "optimizer", "step", "seconds", "log", "settings"} - set(state)
    except Exception as error:  # what is raised depends on where the file is damaged
        raise ValueError(f"resume: {path} is no checkpoint of a run: {error}; start anew in another --out") from error
    if missing:
        raise ValueError(f"resume: {path} is no checkpoint of a run: it lacks {', '.join(sorted(missing))}")
    return state


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside `path`, then move into place, so that a kill leaves the old file or the new one."""
    beside = path.with_name(path.name + f".{os.getpid()}.tmp")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
