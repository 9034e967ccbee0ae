"""Firefox, driven by WebDriver BiDi, which it speaks itself: no driver is needed."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from tools.find_browsers import find_firefox


class Firefox:
    """One window.

    Args:
        socket: an open BiDi connection.
    """

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._ask("session.new", capabilities={})
        self._ask("session.subscribe", events=["log.entryAdded"])
        self.messages: list[str] = []
        self._window = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def open(self, address: str) -> None:
        self._ask("browsingContext.navigate", context=self._window, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it gives, as JSON can hold it."""
        code = f"Promise.resolve({expression}).then(value => JSON.stringify(value ?? null))"
        answer = self._ask("script.evaluate", expression=code, target={"context": self._window}, awaitPromise=True)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Wait until an expression holds."""
        self.evaluate(
            f"""new Promise((resolve, reject) => {{
                const started = performance.now();
                const look = () => {{
                    if ({condition}) resolve(true);
                    else if (performance.now() - started > {1000 * seconds}) reject(new Error("it does not hold"));
                    else setTimeout(look, 20);
                }};
                look();
            }})"""
        )

    def _ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("method") == "log.entryAdded":
                entry = answer["params"]
                self.messages.append(f"{entry['level']}: {entry['text']}")
            elif answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """A Firefox without windows, in a profile of its own."""
    command = [find_firefox(), "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"]
    process = subprocess.Popen(
        [*command, "about:blank"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8"
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            found = re.search(r"WebDriver BiDi listening on (ws://\S+)", line)
            if found:
                break
        else:
            raise RuntimeError("Firefox ended without a word of where it listens")
        socket = websocket.create_connection(f"{found[1]}/session", suppress_origin=True, timeout=120)
        yield Firefox(socket)
        socket.close()
    finally:
        process.terminate()
        process.wait(timeout=30)
