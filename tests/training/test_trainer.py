"""The trainer: the same curve with and without interruptions and on one process or two, and files that are whole.

Run as a script, this file trains the same small model, so that torchrun can start it on several processes.
"""

import copy
import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from sam_edu.figures import Figure, training_curves
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.tiny.image_encoder import TinyImageEncoder
from sam_edu.training import draw_ahead, interrupt, trainer
from sam_edu.training.batches import draw_batch
from sam_edu.training.mask_order import mean_areas
from sam_edu.training.settings import Settings
from sam_edu.training.trainer import FILES, Trainer, export, write_whole
from sam_edu.training.validation import validate

PROJECT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
STEPS = 5
SMALL = Settings(
    steps=STEPS,
    seed=4,
    images=2,
    prompt_sets=2,
    followed=1,
    warm_up=2,
    grids=((0.0, 16),),
    precision="float32",
    validate_every=2,
    validation_scenes=3,  # the third has masks of all levels
)
SHARED = replace(SMALL, seed=4, steps=2)


def small_model() -> Sam:
    """The tiny model's shapes with far fewer weights."""
    decoder = MaskDecoder(
        transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, mlp_dim=32), iou_head_hidden_dim=32
    )
    return Sam(
        TinyImageEncoder(widths=(16, 16, 32), depth=1), PromptEncoder(256, (64, 64), (256, 256), 16), decoder, 256
    )


@pytest.fixture(autouse=True, scope="module")
def small() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_tiny", small_model)
        yield


@pytest.fixture(scope="module")
def uninterrupted(small: object, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    run = Trainer(SMALL, tmp_path_factory.mktemp("uninterrupted"), CPU)
    run.run()
    return run


def read_log(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open() as file:
        return [{k: float(v) if v else math.nan for k, v in row.items()} for row in csv.DictReader(file)]


def assert_same_curve(folder: Path, other: Path) -> None:
    got, expected = read_log(folder), read_log(other)
    assert [row["step"] for row in got] == [row["step"] for row in expected] == list(range(len(expected)))
    for a, b in zip(got, expected, strict=True):
        assert list(a) == list(b)
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-4, atol=1e-6)


def assert_same_weights(folder: Path, other: Path) -> None:
    got, expected = (torch.load(f / "checkpoint.pt", weights_only=True) for f in (folder, other))
    assert got["step"] == expected["step"]
    for part in ("model", "average", "grouping"):
        for key, value in expected[part].items():
            torch.testing.assert_close(got[part][key], value, rtol=1e-4, atol=1e-6, msg=f"{part} {key}")


def during_step(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], object]) -> None:
    """Do something while a step is under way."""

    def draw(seed: int, number: int, *rest: object) -> object:
        if number == step:
            action()
        return draw_batch(seed, number, *rest)

    monkeypatch.setattr(draw_ahead, "draw_batch", draw)


# --- Resuming ---


def test_ctrl_c_finishes_the_step_and_saves_and_resume_gives_the_same_curve(
    uninterrupted: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        during_step(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            Trainer(SMALL, tmp_path, CPU).run()
    assert len(read_log(tmp_path)) == 3
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3
    resumed = Trainer(SMALL, tmp_path, CPU, resume=True)
    assert resumed.step == 3
    resumed.run()
    assert_same_curve(tmp_path, uninterrupted.out)
    assert_same_weights(tmp_path, uninterrupted.out)


def test_a_kill_loses_the_steps_since_the_checkpoint_and_no_row_is_doubled(
    uninterrupted: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kill(BaseException):
        pass

    def kill() -> None:
        raise Kill

    with monkeypatch.context() as patch:
        during_step(patch, 3, kill)
        with pytest.raises(Kill):
            Trainer(SMALL, tmp_path, CPU).run()
    resumed = Trainer(SMALL, tmp_path, CPU, resume=True)
    assert resumed.step == 2
    resumed.run()
    assert_same_curve(tmp_path, uninterrupted.out)
    assert_same_weights(tmp_path, uninterrupted.out)


def test_a_second_ctrl_c_stops_at_once_and_python_s_own_handler_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(interrupt, "PATIENCE", 0.0)

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is not before
        signal.raise_signal(signal.SIGINT)

    during_step(monkeypatch, 0, twice)
    with pytest.raises(KeyboardInterrupt):
        Trainer(SMALL, tmp_path, CPU).run()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_interrupt_twice_at_once_counts_once(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`timeout` signals its command, and then the group that the command belongs to."""
    before = signal.getsignal(number)
    during_step(monkeypatch, 1, lambda: [signal.raise_signal(number) for _ in range(2)])
    saves = []
    monkeypatch.setattr(Trainer, "_write", lambda self: saves.append(self.step))
    with pytest.raises(KeyboardInterrupt):
        Trainer(replace(SMALL, validate_every=100), tmp_path, CPU).run()
    assert saves == [2]
    assert signal.getsignal(number) is before


def test_an_interrupt_in_a_step_that_is_saved_anyway_saves_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    during_step(monkeypatch, 1, lambda: signal.raise_signal(signal.SIGINT))
    saves = []
    monkeypatch.setattr(Trainer, "_write", lambda self: saves.append(self.step))
    with pytest.raises(KeyboardInterrupt):
        Trainer(SMALL, tmp_path, CPU).run()
    assert saves == [2]


def test_an_interrupt_in_a_validation_keeps_its_scores_and_saves_once(
    uninterrupted: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    write = Trainer._write

    def interrupted(*given: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return validate(*given)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", interrupted)
        patch.setattr(Trainer, "_write", lambda self: (saves.append(self.step), write(self)))
        with pytest.raises(KeyboardInterrupt):
            Trainer(SMALL, tmp_path, CPU).run()
    assert saves == [2]
    Trainer(SMALL, tmp_path, CPU, resume=True).run()
    assert_same_curve(tmp_path, uninterrupted.out)
    assert_same_weights(tmp_path, uninterrupted.out)


@pytest.mark.parametrize("resume", [False, True])
def test_an_interrupt_before_the_first_step_writes_nothing(
    resume: bool, uninterrupted: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    if resume:
        shutil.copytree(uninterrupted.out, out)
    run = Trainer(replace(SMALL, steps=STEPS + 1), out, CPU, resume)
    monkeypatch.setattr(run, "_fraction", lambda: signal.raise_signal(signal.SIGINT) or 0.0)
    monkeypatch.setattr(Trainer, "_write", lambda self: pytest.fail("there is nothing to write"))
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert run.step == run.saved == (STEPS if resume else 0)
    assert out.exists() == resume


def test_a_batch_that_cannot_be_drawn_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    during_step(monkeypatch, 1, fail)
    settings = replace(SMALL, validate_every=100)
    with pytest.raises(RuntimeError, match=r"step 1: .* could not be drawn: the disk is gone.*--resume"):
        Trainer(settings, tmp_path, CPU).run()
    assert Trainer(settings, tmp_path, CPU, resume=True).step == 1


def test_a_finished_run_has_nothing_left_to_do(uninterrupted: Trainer) -> None:
    before = read_log(uninterrupted.out)
    resumed = Trainer(SMALL, uninterrupted.out, CPU, resume=True)
    resumed.run()
    assert resumed.step == STEPS
    assert read_log(uninterrupted.out) == before


def test_resume_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing to resume: .*checkpoint\.pt does not exist"):
        Trainer(SMALL, tmp_path, CPU, resume=True)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_a_run_is_refused_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("an hour's work")
    with pytest.raises(FileExistsError, match=rf"holds a run already \({re.escape(name)}\).*--resume, or give another"):
        Trainer(SMALL, tmp_path, CPU)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "an hour's work")]


def test_other_files_in_the_folder_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert Trainer(SMALL, tmp_path, CPU).step == 0


def test_a_run_of_before_there_were_new_settings_is_resumed(uninterrupted: Trainer, tmp_path: Path) -> None:
    state = torch.load(uninterrupted.out / "checkpoint.pt", weights_only=True)
    known = json.loads(state["settings"])
    new = ("restart_at", "freeze", "photographs", "photograph_share", "annotated", "annotated_images")
    state["settings"] = json.dumps({name: v for name, v in known.items() if name not in (*new, "annotated_share")})
    del state["restarted"]
    torch.save(state, tmp_path / "checkpoint.pt")
    assert Trainer(replace(SMALL, steps=9), tmp_path, CPU, resume=True).step == STEPS
    with pytest.raises(ValueError, match=r"other settings: \{'restart_at': 'None then, 0.5 now'\}"):
        Trainer(replace(SMALL, restart_at=0.5), tmp_path, CPU, resume=True)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save({"model": {}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"resume: .*checkpoint\.pt is no checkpoint of a run"):
        Trainer(SMALL, tmp_path, CPU, resume=True)


# --- Workers ---


def test_any_number_of_workers_gives_the_same_run(uninterrupted: Trainer, tmp_path: Path) -> None:
    settings = replace(SMALL, steps=3)
    for workers in (0, 2):
        Trainer(settings, tmp_path / str(workers), CPU, workers=workers).run()
    assert (tmp_path / "0/log.csv").read_text() == (tmp_path / "2/log.csv").read_text()
    resumed = Trainer(replace(SMALL, steps=STEPS), tmp_path / "2", CPU, resume=True, workers=1)
    assert resumed.step == 3


def test_fewer_than_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"workers: expected 0 \(draw between the steps\) or more, got -1"):
        Trainer(SMALL, tmp_path, CPU, workers=-1)


def test_the_progress_line_shows_how_long_the_loop_waited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw_ahead.DrawAhead, "waiting", 0.25)
    Trainer(replace(SMALL, steps=1), tmp_path, CPU).run()
    assert "waiting for data 25%" in capsys.readouterr().err


# --- A restart, frozen parts, the order of the masks ---


def test_a_restart_begins_with_the_averaged_weights_and_a_fresh_optimizer(tmp_path: Path) -> None:
    settings = replace(SMALL, steps=4, restart_at=0.5, warm_up=3, decay_share=0.5, validate_every=100)
    run = Trainer(settings, tmp_path, CPU)
    seen = {}
    restart = run._restart

    def watched() -> None:
        average = copy.deepcopy(run.average.state_dict())
        restart()
        seen.update({name: torch.equal(value, average[name]) for name, value in run.model.state_dict().items()})
        assert run.optimizer.state == {}

    run._restart = watched  # type: ignore[method-assign]
    run.run()
    assert seen
    assert all(seen.values())
    assert run.restarted == 2
    rates = [row["rate"] for row in run.log]
    assert rates == pytest.approx([settings.learning_rate * share for share in (1 / 3, 2 / 3, 1 / 3, 2 / 3)])
    assert Trainer(settings, tmp_path, CPU, resume=True).restarted == 2


def test_frozen_parts_stay_as_they_are_and_the_others_learn(tmp_path: Path) -> None:
    torch.manual_seed(1)
    start = tmp_path / "start.safetensors"
    export(small_model(), start)
    settings = replace(SMALL, steps=2, start=str(start), freeze=("image_encoder",), validate_every=100)
    run = Trainer(settings, tmp_path / "run", CPU)
    before = copy.deepcopy(run.model.state_dict())
    run._order_masks = lambda: None  # type: ignore[method-assign]
    run.run()
    moved = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("image_encoder") for name in moved)
    assert any(name.startswith("mask_decoder.transformer") for name in moved)
    assert any(name.startswith("prompt_encoder") for name in moved)
    assert all(row["grouping"] == 0 for row in run.log)


def test_the_run_ends_with_the_masks_in_order(uninterrupted: Trainer) -> None:
    areas = mean_areas(uninterrupted.average, 16, SMALL.validation_scenes)
    assert areas == sorted(areas)
    stored = load_file(uninterrupted.out / "tiny.safetensors")["mask_decoder.mask_tokens.weight"]
    assert torch.equal(stored, uninterrupted.average.mask_decoder.mask_tokens.weight.half())


def test_ordering_moves_the_optimizer_s_moments_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Trainer(replace(SMALL, steps=1), tmp_path, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_order_masks", lambda self: None)
        run.run()
    tokens = run.model.mask_decoder.mask_tokens.weight
    wanted = {name: run.optimizer.state[tokens][name][[0, 2, 3, 1]].clone() for name in ("exp_avg", "exp_avg_sq")}
    current, average = (m.mask_decoder.mask_tokens.weight[[0, 2, 3, 1]].clone() for m in (run.model, run.average))
    monkeypatch.setattr(trainer, "mean_areas", lambda *_: [0.3, 0.1, 0.2])
    run._order_masks()
    assert torch.equal(run.model.mask_decoder.mask_tokens.weight, current)
    assert torch.equal(run.average.mask_decoder.mask_tokens.weight, average)
    for name, value in wanted.items():
        assert torch.equal(run.optimizer.state[tokens][name], value)


# --- Several processes ---


def run_two(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Train `SHARED` on two processes by running this file as a script."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_two_processes_give_the_losses_of_one(workers: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    Trainer(SHARED, one, CPU).run()
    result = run_two(str(two), workers)
    assert result.returncode == 0, result.stderr
    assert_same_curve(two, one)


def test_a_batch_that_another_process_cannot_draw_stops_this_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer(replace(SMALL, validate_every=100), tmp_path, CPU)
    during_step(monkeypatch, 1, lambda: monkeypatch.setattr(run, "_in_any_process", lambda here: True))
    with pytest.raises(RuntimeError, match=r"step 1: .* could not be drawn: another process says why.*--resume"):
        run.run()
    assert Trainer(SMALL, tmp_path, CPU, resume=True).step == 1


def test_a_batch_that_one_process_of_two_cannot_draw_stops_both_and_loses_nothing(tmp_path: Path) -> None:
    result = run_two(str(tmp_path / "two"), "0", "1")
    assert result.returncode == 1, result.stderr
    assert "step 1: its batch could not be drawn: the disk is gone. Everything up to here" in result.stderr
    assert Trainer(SHARED, tmp_path / "two", CPU, resume=True).step == 1


def test_images_must_be_shared_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match="images: expected a multiple of the 3 processes, got 2"):
        Trainer(SMALL, tmp_path, CPU)


# --- Files ---


def test_files_of_a_run(uninterrupted: Trainer) -> None:
    names = {path.name for path in uninterrupted.out.iterdir()}
    assert names == {"checkpoint.pt", "level.pt", "tiny.safetensors", "log.csv", "curves.png"}
    level = torch.load(uninterrupted.out / "level.pt", weights_only=True)
    assert level["step"] == 2  # the last checkpoint before the learning rate comes down


def test_curves_leave_out_what_is_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One validation scene may lack a level, and a step may have no finite loss; the run is saved all the same."""
    drawn: dict[str, object] = {}

    def draw(losses: dict[str, object], scores: dict[str, object], title: str) -> Figure:
        drawn.update(losses | scores)
        return training_curves(losses, scores, title=title)

    monkeypatch.setattr(trainer, "training_curves", draw)
    run = Trainer(SMALL, tmp_path, CPU)
    run.log = [{"step": 0, "mask": math.nan, "sub": math.nan}, {"step": 1, "mask": 0.5, "whole": 0.25}]
    run._curves()
    assert drawn == {"mask": ([1], [0.5]), "whole": ([1], [0.25])}


def test_log_has_a_row_per_step_and_scores_where_it_was_validated(uninterrupted: Trainer) -> None:
    rows = read_log(uninterrupted.out)
    assert len(rows) == STEPS
    names = {"step", "grid", "rate", "norm", "loss", "mask", "iou", "later_mask", "later_iou", "grouping"}
    assert names < set(rows[0])
    assert all(math.isfinite(row[name]) for row in rows for name in names)
    assert [math.isfinite(row["click"]) for row in rows] == [False, True, False, True, False]


def test_exported_weights_are_float16_of_the_average_and_load_again(uninterrupted: Trainer, tmp_path: Path) -> None:
    stored = load_file(uninterrupted.out / "tiny.safetensors")
    average = uninterrupted.average.state_dict()
    assert set(stored) == set(average)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    model = small_model()
    model.load_state_dict({key: value.float() for key, value in stored.items()}, strict=True)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, average[key], rtol=1e-3, atol=1e-6, msg=key)
    export(model, tmp_path / "again.safetensors")
    assert all(torch.equal(value, stored[key]) for key, value in load_file(tmp_path / "again.safetensors").items())


def test_write_whole_leaves_the_old_file_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, lambda beside: beside.write_text("old"))

    def fail(beside: Path) -> None:
        assert beside.parent == path.parent
        beside.write_text("half of the ne")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, lambda beside: beside.write_text("new"))
    assert path.read_text() == "new"


# --- Settings and the steps ---


def test_loss_weighs_the_iou_thrice_the_corrections_half_and_the_grouping_ever_less(uninterrupted: Trainer) -> None:
    for row, grouping in zip(read_log(uninterrupted.out), (0.5, 0.5 / 3, 0.05, 0.05, 0.05), strict=True):
        later = row["later_mask"] + 3 * row["later_iou"]
        total = row["mask"] + 3 * row["iou"] + 0.5 * later + grouping * row["grouping"]
        assert row["loss"] == pytest.approx(total, rel=1e-4)


def test_optimizer_decays_the_matrices_alone(tmp_path: Path) -> None:
    run = Trainer(SMALL, tmp_path, CPU)
    decayed, plain = run.optimizer.param_groups
    assert [group["weight_decay"] for group in (decayed, plain)] == [0.05, 0.0]
    assert {group["betas"] for group in (decayed, plain)} == {(0.9, 0.98)}
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert all(p.ndim < 2 for p in plain["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(run.parameters)


def test_average_follows_fast_at_first_and_slowly_later(tmp_path: Path) -> None:
    run = Trainer(SMALL, tmp_path, CPU)
    mean, current = next(run.average.parameters()), next(run.model.parameters())
    for step, kept in ((0, 0.1), (8, 0.5), (10**6, 0.999)):
        mean.zero_()
        with torch.no_grad():
            current.fill_(1.0)
        run.step = step
        run._update_average()
        torch.testing.assert_close(mean, torch.full_like(mean, 1 - kept), rtol=1e-4, atol=0)


def test_a_run_from_weights_begins_with_them_and_leaves_out_what_a_fresh_model_needs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = small_model()
    export(other, tmp_path / "other.safetensors")
    settings = replace(SMALL, start=str(tmp_path / "other.safetensors"), grids=((0.0, 16), (0.3, 32), (0.9, 64)))
    run = Trainer(settings, tmp_path, CPU)
    for model in (run.model, run.average):
        for (name, got), wanted in zip(model.named_parameters(), other.parameters(), strict=True):
            assert torch.equal(got, wanted.half().float()), name
    assert [settings.grid(fraction) for fraction in (0.0, 0.5, 0.95)] == [32, 32, 64]
    assert settings.balanced(0.0) == 0
    fresh = replace(settings, start=None, balanced_until=0.2)
    assert [fresh.grid(0.0), fresh.balanced(0.0), fresh.balanced(0.1), fresh.balanced(0.3)] == [16, 1.0, 0.5, 0.0]


def test_no_weights_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"start: expected a weights file .* nowhere: no such file"):
        Trainer(replace(SMALL, start="nowhere"), tmp_path, CPU)


def test_a_run_is_not_resumed_with_other_settings(uninterrupted: Trainer) -> None:
    with pytest.raises(ValueError, match=r"other settings: \{'images': '2 then, 4 now'\}"):
        Trainer(replace(SMALL, images=4), uninterrupted.out, CPU, resume=True)
    longer = Trainer(replace(SMALL, steps=99, validate_every=7), uninterrupted.out, CPU, resume=True)
    assert longer.step == STEPS


def test_hours_bound_a_run(tmp_path: Path) -> None:
    run = Trainer(replace(SMALL, steps=None, hours=1e-9, validate_every=100), tmp_path, CPU)
    run.run()
    assert run.step == 1
    assert run.seconds > 0


def test_grid_changes_during_a_run_and_the_optimizer_has_the_rate_of_the_schedule(tmp_path: Path) -> None:
    settings = replace(SMALL, steps=2, grids=((0.0, 8), (0.5, 32)), validate_every=100)
    run = Trainer(settings, tmp_path, CPU)
    run.run()
    assert [row["grid"] for row in run.log] == [8, 32]
    assert [row["rate"] for row in run.log] == [settings.rate(0, 0.0), settings.rate(1, 0.5)]
    assert {group["lr"] for group in run.optimizer.param_groups} == {settings.rate(1, 0.5)}


def test_a_step_moves_every_part_and_the_average_follows(uninterrupted: Trainer, tmp_path: Path) -> None:
    start = Trainer(SMALL, tmp_path, CPU)
    before = dict(start.model.named_parameters())
    average = dict(uninterrupted.average.named_parameters())
    still = {name for name, p in uninterrupted.model.named_parameters() if torch.equal(p, before[name])}
    # A key's bias adds the same to all scores of a query, which the softmax takes out again: no gradient.
    assert all(name.endswith("token_to_image.k_proj.bias") for name in still)
    assert len(still) == 3
    for name, parameter in uninterrupted.model.named_parameters():
        assert torch.equal(parameter, average[name]) == (name in still), name
    assert not any(p.requires_grad for p in uninterrupted.average.parameters())


def test_loss_goes_down_on_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_ahead, "draw_batch", lambda seed, step, *rest: draw_batch(seed, 0, *rest))
    settings = replace(SMALL, steps=8, learning_rate=1e-3, validate_every=100, balanced_until=1e9)
    run = Trainer(settings, tmp_path, CPU)
    run.run()
    losses = [row["mask"] for row in run.log]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


def test_a_seed_decides_the_weights_and_nothing_else_is_touched(tmp_path: Path) -> None:
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  (the global state must not matter)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = Trainer(SMALL, tmp_path, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    torch.manual_seed(1)
    again, other = Trainer(SMALL, tmp_path, CPU), Trainer(replace(SMALL, seed=1), tmp_path, CPU)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters, again.parameters, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters, other.parameters, strict=True))


def test_cross_attention_begins_aligned_and_self_attention_does_not(tmp_path: Path) -> None:
    transformer = Trainer(SMALL, tmp_path, CPU).model.mask_decoder.transformer
    names = [name.removesuffix(".q_proj") for name, _ in transformer.named_modules() if name.endswith("q_proj")]
    assert len(names) == 7
    for name in names:
        attention = transformer.get_submodule(name)
        assert torch.equal(attention.q_proj.weight, attention.k_proj.weight) == ("self_attn" not in name)


def test_validate_repeats_itself_and_leaves_the_grid_as_it_was() -> None:
    model = small_model().eval()
    first, again = (validate(model, 16, 3, "float32") for _ in range(2))
    assert first == again
    assert set(first) == {"click", "whole", "part", "sub", "picked", "box"}
    assert all(0 <= value <= 1 for value in first.values())
    assert first["click"] >= first["picked"]
    assert model.prompt_encoder.image_embedding_size == (64, 64)


def fail_to_draw(seed: int, step: int, *rest: object) -> object:
    if step == 1:
        raise OSError("the disk is gone")
    return draw_batch(seed, step, *rest)


if __name__ == "__main__":
    trainer.build_tiny = small_model
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    if sys.argv[3:] == [str(dist.get_rank())]:
        draw_ahead.draw_batch = fail_to_draw
    Trainer(SHARED, Path(sys.argv[1]), CPU, workers=int(sys.argv[2])).run()
    dist.destroy_process_group()
