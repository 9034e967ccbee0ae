"""DrawAhead: the batches of a run in order, drawn ahead by worker processes."""

import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sam_edu.training.batches import Batch, draw_batch
from sam_edu.training.interrupt import STOPPING
from sam_edu.training.sources import Sources

AHEAD = 2
"""Batches that each worker has ready or under way."""
REMEMBERED = 100
"""The waiting of this many steps is averaged."""


@dataclass(frozen=True)
class Steps(Dataset[dict[str, np.ndarray]]):
    """The batches of a run by the number of their step.

    Attributes:
        seed: of the run.
        indices: which images of each step.
        prompt_sets: per image.
        box_share: share of boxes among the prompts.
        sources: images other than the drawn scenes.
    """

    seed: int
    indices: range
    prompt_sets: int
    box_share: float
    sources: Sources

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        return draw_batch(self.seed, step, self.indices, self.prompt_sets, self.box_share, self.sources).packed()


class DrawAhead:
    """Batches step by step, from a first step on.

    A batch is a function of the run's seed and the step alone, so the number of workers changes nothing but the time.
    Workers send arrays through a pipe and not as tensors, which would need shared memory and a file handle for each
    tensor: containers and long queues run out of both.

    Args:
        steps: the batches.
        first: number of the first step.
        workers: processes that draw; 0 draws in this process when a batch is asked for.
    """

    def __init__(self, steps: Steps, first: int, workers: int) -> None:
        loader = DataLoader(
            steps,
            batch_size=None,
            sampler=_From(first),
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            collate_fn=_unchanged,
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # else the loader draws from the global one
        )
        with _signals_held_back():
            self._batches: Iterator[dict[str, np.ndarray]] | None = iter(loader)
        self._waits: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._last = time.perf_counter()

    def next(self) -> Batch:
        """The next step's batch."""
        if self._batches is None:
            raise RuntimeError("the batches were closed")
        begin = time.perf_counter()
        arrays = next(self._batches)
        end = time.perf_counter()
        self._waits.append((end - begin, end - self._last))
        self._last = end
        return Batch.unpacked(arrays)

    @property
    def waiting(self) -> float:
        """The share of the time of the last steps that the loop waited for a batch."""
        waited, passed = (sum(times) for times in zip(*self._waits, strict=True)) if self._waits else (0.0, 0.0)
        return waited / passed if passed else 0.0

    def close(self) -> None:
        """End the workers."""
        self._batches = None


class _From(Iterable[int]):
    """The whole numbers from one on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return count(self.first)


def _unchanged(arrays: Any) -> Any:
    return arrays  # the loader would make tensors of them


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold back the stopping signals while workers start, which inherit this, until each has said what it does."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_the_parent(worker: int) -> None:
    """A terminal and `timeout` signal all processes of a group; the run alone decides when its workers end.

    A worker ends when the run closes it, and some seconds after the run's process is gone.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    with suppress(AttributeError):  # Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
