"""Interrupt: the signals that end a run, kept until its step is over."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""The signals that end a run: Ctrl-C, and what `timeout` and job systems send."""
PATIENCE = 1.0
"""Seconds in which a second signal counts as the same: `timeout` signals its command, and then its whole group."""


class Interrupt:
    """Whether a run was asked to stop.

    A plain flag and no `threading.Event`: a second signal can come while the first is being handled, and would wait
    forever for the event's lock, which the first one's handler holds.

    Args:
        alone: whether the run is one process. A second signal, more than `PATIENCE` seconds later, then raises
            KeyboardInterrupt. One of several processes never stops by itself, as the others would wait for it.

    Attributes:
        received: whether a signal has come.
    """

    def __init__(self, alone: bool) -> None:
        self.alone, self.received = alone, False
        self._first = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals; afterwards they do what they did before."""
        if threading.current_thread() is not threading.main_thread():  # which alone may listen
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Hear the signals until the process ends."""
        for number in STOPPING:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self._first = time.monotonic()
            self.received = True
        elif self.alone and time.monotonic() - self._first > PATIENCE:
            raise KeyboardInterrupt
