"""Turns, ratios, laps and what the machine is; nothing here depends on a time."""

import numpy as np
import torch

from sam_edu import timing
from sam_edu.timing import Busy, Ratio, Stopwatch


def test_interleaving_gives_everyone_a_turn_in_every_round():
    order = []
    times = timing.interleave({name: lambda name=name: order.append(name) for name in "abc"}, 3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert {name: values.shape for name, values in times.items()} == {"a": (3,), "b": (3,), "c": (3,)}


def test_a_ratio_is_taken_within_each_round():
    ratio = Ratio.of(np.array([2.0, 40.0, 6.0]), np.array([1.0, 10.0, 2.0]))
    assert (ratio.low, ratio.median, ratio.high) == (2.0, 3.0, 4.0)  # three rounds have a range, and no quartiles
    assert str(ratio) == "3.00 (2.00 to 4.00)"


def test_quartiles_take_nine_rounds():
    values, ones = np.arange(1.0, 10.0), np.ones(9)
    assert (Ratio.of(values, ones).low, Ratio.of(values, ones).high) == (3.0, 7.0)
    assert (Ratio.of(values[:8], ones[:8]).low, Ratio.of(values[:8], ones[:8]).high) == (1.0, 8.0)


def test_a_stopwatch_books_every_moment_once(monkeypatch):
    moments = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(moments))
    watch = Stopwatch()
    for name in ("a", "b", "a"):
        watch.lap(name)
    assert watch.seconds == {"a": 5.0, "b": 2.0}


def test_laps_are_taken_in_turns_and_without_those_of_the_warm_up(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    order = []

    def work(name, lap):
        order.append(name)
        lap("first")
        lap("second")

    calls = {name: lambda lap, name=name: work(name, lap) for name in "ab"}
    laps = timing.interleave_laps(calls, 3)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert {name: list(found) for name, found in laps.items()} == {name: ["first", "second"] for name in "ab"}
    assert all(found[lap].tolist() == [1.0, 1.0, 1.0] for found in laps.values() for lap in found)


def test_rates_are_counts_over_the_best_time(monkeypatch):
    monkeypatch.setattr(timing, "interleave", lambda calls, *more, **named: dict.fromkeys(calls, np.array([4.0, 2.0])))
    assert timing.matrix_peak(size=10) == 2 * 10**3 / 2.0
    assert timing.memory_rate(megabytes=1) == 2 * 2**20 / 2.0


def test_the_machine_says_its_processor_its_torch_and_its_threads():
    processor, software = timing.machine()
    assert processor.startswith("CPU: ")
    assert torch.__version__ in software
    assert "thread(s)" in software


def test_a_waiting_processor_counts_only_where_the_processor_does_the_work():
    busy = Busy()
    busy.load, busy.cpu = 0.0, busy.cpu + 1000.0
    assert ["for only" in warning for warning in busy.warnings()] == [True]
    assert busy.warnings(torch.device("cuda")) == []


def test_a_busy_machine_is_reported():
    busy = Busy()
    busy.load, busy.cpu = 1000.0, busy.cpu + 1000.0
    assert len(busy.warnings()) == 2
    busy.load, busy.cpu = 0.0, busy.cpu - 2000.0
    assert busy.warnings() == []
