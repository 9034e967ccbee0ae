"""Batches that workers draw ahead: those of this process, in order, whatever a terminal signals."""

import os
import signal
import time

import pytest
import torch

from sam_edu.training import draw_ahead
from sam_edu.training.batches import Batch, draw_batch
from sam_edu.training.draw_ahead import DrawAhead, Steps
from sam_edu.training.sources import Sources

STEPS = Steps(seed=3, indices=range(1, 3), prompt_sets=2, box_share=0.4, sources=Sources())


def assert_equal(got: Batch, expected: Batch) -> None:
    for name, value in vars(expected).items():
        assert torch.equal(getattr(got, name), value), name
        assert getattr(got, name).dtype == value.dtype, name


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_from_the_first_step_on(workers: int) -> None:
    batches = DrawAhead(STEPS, 5, workers)
    for step in (5, 6, 7):
        assert_equal(batches.next(), draw_batch(3, step, range(1, 3), 2, 0.4, Sources()))
    batches.close()
    with pytest.raises(RuntimeError, match="closed"):
        batches.next()


def test_workers_leave_signals_to_the_parent_and_end_when_they_are_closed() -> None:
    batches = DrawAhead(STEPS, 0, 2)
    batches.next()
    workers = list(batches._batches._workers)  # type: ignore[union-attr]
    for worker in workers:
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
    for _ in range(6):  # more than was ready
        batches.next()
    assert all(worker.is_alive() for worker in workers)
    batches.close()
    assert not any(worker.is_alive() for worker in workers)


def test_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    DrawAhead(STEPS, 0, 0).next()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.no_shape_check  # its batches are stand-ins
def test_waiting_is_a_share_of_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 4.0, 10.0, 11.0, 19.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    batch = draw_batch(3, 0, range(1), 1, 0.4, Sources())
    monkeypatch.setattr(draw_ahead, "draw_batch", lambda *_: batch)
    monkeypatch.setattr(draw_ahead, "REMEMBERED", 2)
    batches = DrawAhead(STEPS, 0, 0)
    assert batches.waiting == 0
    batches.next()  # waited 4 of 4
    assert batches.waiting == 1
    batches.next()  # waited 1 of 7
    assert batches.waiting == pytest.approx(5 / 11)
    batches.next()  # waited 1 of 9; the first is forgotten
    assert batches.waiting == pytest.approx(2 / 16)
