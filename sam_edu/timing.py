"""Timing: calls measured in turns in one process, as ratios, beside the best that the machine reaches."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

Call = Callable[[], Any]
CPU = torch.device("cpu")


def seconds(call: Call, device: torch.device = CPU) -> float:
    """How long one call takes: by CUDA events where there is CUDA, else by the clock."""
    if device.type == "cuda":
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize(device)
        return float(begin.elapsed_time(end)) / 1e3
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def interleave(
    calls: Mapping[str, Call], rounds: int, device: torch.device = CPU, *, warm_up: int = 1
) -> dict[str, np.ndarray]:
    """Times in seconds by name, one per round. In every round each is called once, in an order that rotates.

    So a moment in which the machine was busy, or slow, meets them all.
    """
    names = list(calls)
    for name in names * warm_up:
        calls[name]()
    times: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        for j in range(len(names)):
            name = names[(i + j) % len(names)]
            times[name].append(seconds(calls[name], device))
    return {name: np.array(values) for name, values in times.items()}


ROUNDS_FOR_QUARTILES = 9


@dataclass(frozen=True)
class Ratio:
    """Median of the ratios within each round, with their quartiles; with the range where there are fewer than nine.

    Attributes:
        median: of the rounds.
        low: the lower quartile, or the smallest.
        high: the upper quartile, or the largest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, slower: np.ndarray, faster: np.ndarray) -> Ratio:
        """How many times longer `slower` takes."""
        ends = [0.25, 0.75] if len(slower) >= ROUNDS_FOR_QUARTILES else [0.0, 1.0]
        low, median, high = (float(q) for q in np.quantile(slower / faster, [ends[0], 0.5, ends[1]]))
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


class Stopwatch:
    """A stopwatch: `lap(name)` adds the time since the last lap to that name.

    Attributes:
        seconds: by name, in the order of the names.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last lap, or since the start."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def interleave_laps(
    calls: Mapping[str, Callable[[Callable[[str], None]], Any]], rounds: int, *, warm_up: int = 1
) -> dict[str, dict[str, np.ndarray]]:
    """`interleave`, lap by lap: each call gets the `lap` of a stopwatch. Seconds by call and lap, one per round."""
    watches: dict[str, list[dict[str, float]]] = {name: [] for name in calls}

    def timed(name: str) -> None:
        watch = Stopwatch()
        calls[name](watch.lap)
        watches[name].append(watch.seconds)

    interleave({name: partial(timed, name) for name in calls}, rounds, warm_up=warm_up)
    return {
        name: {lap: np.array([one[lap] for one in found[warm_up:]]) for lap in found[-1]}
        for name, found in watches.items()
    }


def matrix_peak(device: torch.device = CPU, size: int = 1024, rounds: int = 9) -> float:
    """Floating point operations a second that a square matrix product reaches here, at best."""
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    times = interleave({"linear": lambda: F.linear(a, b), "matmul": lambda: a @ b}, rounds, device, warm_up=2)
    return 2 * size**3 / min(float(values.min()) for values in times.values())


def memory_rate(device: torch.device = CPU, megabytes: int = 128, rounds: int = 5) -> float:
    """Bytes a second that pass between processor and memory when a large tensor is copied: each is read and written."""
    a = torch.ones(megabytes * 2**18, device=device)
    b = torch.empty_like(a)
    times = interleave({"copy": lambda: b.copy_(a)}, rounds, device)["copy"]
    return 2 * a.numel() * a.element_size() / float(times.min())


def machine(device: torch.device = CPU) -> list[str]:
    """A description of the machine: a line each for the processor, torch with its threads, and the GPU if used."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip()
            for line in info.read_text(encoding="utf-8", errors="replace").splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    lines = [
        f"CPU: {model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {torch.backends.cpu.get_cpu_capability()}",
    ]
    if device.type == "cuda":
        lines.append(f"GPU: {torch.cuda.get_device_name(device)}")
    return lines


class Busy:
    """Reports whether others used the machine meanwhile: by the load at the start, and by the time of waiting."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def warnings(self, device: torch.device = CPU) -> list[str]:
        """Reasons not to trust the times."""
        found = []
        cores = os.cpu_count() or 1
        if self.load > cores - 0.5:
            found.append(
                f"The load was {self.load:.1f} on {cores} cores at the start: the times are not to be trusted."
            )
        share = (time.process_time() - self.cpu) / (time.perf_counter() - self.wall)
        if device.type == "cpu" and share < 0.9:
            found.append(f"We had a processor for only {share:.0%} of the time: the times are not to be trusted.")
        return found
