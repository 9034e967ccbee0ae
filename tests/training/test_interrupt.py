"""Interrupt: what counts as one signal, where a second one may come, and what is put back."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import pytest

from sam_edu.training import interrupt
from sam_edu.training.interrupt import STOPPING, Interrupt

numbers = pytest.mark.parametrize("number", STOPPING)


@numbers
def test_a_signal_sets_the_flag_and_the_handlers_of_before_are_put_back(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in STOPPING]
    asked = Interrupt(alone=True)
    with asked.listening():
        assert not asked.received
        signal.raise_signal(number)
        assert asked.received
    assert [signal.getsignal(each) for each in STOPPING] == before


@numbers
def test_heard_already_before_it_is_heard_until_the_end(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in STOPPING}
    asked = Interrupt(alone=False)
    try:
        asked.listen()
        with asked.listening():
            pass
        signal.raise_signal(number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert asked.received


@numbers
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("patience", [-1.0, 1e9])
def test_a_later_signal_stops_at_once_what_is_alone(
    number: signal.Signals, alone: bool, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupt, "PATIENCE", patience)
    with Interrupt(alone).listening():
        signal.raise_signal(number)
        if alone and patience < 0:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        else:
            signal.raise_signal(number)


@numbers
def test_a_signal_at_any_line_of_another_one_s_handling_counts_as_the_same(number: signal.Signals) -> None:
    """Python runs a handler between any two instructions of another one: a lock that is taken there blocks forever."""
    lines: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        if event == "line":
            lines.append((frame.f_code.co_name, frame.f_lineno))
            if len(lines) == chosen:
                signal.raise_signal(number)
        return trace

    def blocked(number: int, frame: object) -> None:
        raise AssertionError(f"the second signal's handling does not end: {lines[-1]}")

    alarm, tracing = signal.signal(signal.SIGALRM, blocked), sys.gettrace()
    signal.alarm(60)
    chosen = 0
    try:
        while chosen <= len(lines):
            chosen += 1
            lines.clear()
            asked = Interrupt(alone=True)
            with asked.listening():
                sys.settrace(trace)
                try:
                    signal.raise_signal(number)
                finally:
                    sys.settrace(tracing)
            assert asked.received
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, alarm)
    assert [name for name, _ in lines].count("_handle") >= 3


def test_another_thread_than_the_main_one_hears_nothing_and_runs_on() -> None:
    before = [signal.getsignal(each) for each in STOPPING]
    seen: list[object] = []

    def run() -> None:
        with Interrupt(alone=True).listening():
            seen.extend(signal.getsignal(each) for each in STOPPING)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == before
