"""What the tests of the click lab share: the page in Chromium, and what it should show."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from sam_edu.explorer.generated import generated
from tools.find_browsers import find_chromium

SITE = Path(__file__).resolve().parents[2] / "build" / "html"
CLICK = [182, 133, 1]
READY = "#explorer[data-state=ready]"
MODEL_READY = ".status[data-state=ready]"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files as a static host serves them."""

    extensions_map = {  # noqa: RUF012 - the base class has it so
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    broken: Mapping[str, bytes | None] = {}
    """What is sent in a file's place; None is an error of the server."""
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.asked.append(name)
        if name not in self.broken:
            super().do_GET()
            return
        body = self.broken[name]
        self.send_response(500 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


@contextmanager
def served(
    folder: Path, broken: Mapping[str, bytes | None] | None = None, asked: list[str] | None = None
) -> Iterator[str]:
    """A folder's address; some files can be broken, and the names of those that were asked for are noted."""
    kind = type("Served", (Handler,), {"broken": broken or {}, "asked": [] if asked is None else asked})
    handler = functools.partial(kind, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


class Lab:
    """The page, opened.

    Attributes:
        page: of the browser.
        messages: what it said on the console, what failed, and what it asked of other hosts.
    """

    def __init__(
        self, browser: Browser, address: str, state: dict[str, Any] | str | None = None, **options: Any
    ) -> None:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        self.address = address
        self.messages: list[str] = []
        self.page: Page = browser.new_context(**options).new_page()
        self.page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.on("requestfailed", lambda request: self.messages.append(f"failed: {request.url}"))
        self.page.on("request", self._note_request)
        self.open(state)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.messages.append(f"elsewhere: {request.url}")

    def open(self, state: dict[str, Any] | str | None = None) -> None:
        """Open the page anew, in a state or with what stands behind the # of its address."""
        hash_ = f"#{quote(json.dumps(state))}" if isinstance(state, dict) else (state or "")
        self.leave()
        self.page.goto(f"{self.address}explorer/index.html{hash_}")
        self.settle()

    def leave(self) -> None:
        """Leave the page, once nothing is on its way to it."""
        if self.page.locator(".status").count():
            self.page.wait_for_selector(".status[data-state=ready], .status[data-state=failed]", timeout=60_000)
            self.page.goto("about:blank")

    def settle(self) -> None:
        """Wait until what is set is shown."""
        self.page.wait_for_selector(READY, timeout=60_000)

    def model(self) -> None:
        """Wait until the model is loaded."""
        self.page.wait_for_selector(MODEL_READY, timeout=60_000)

    def set(self, **state: Any) -> None:
        """Change the state and wait for what comes of it."""
        self.page.evaluate("state => explorer.set(state)", state)
        self.settle()

    def state(self) -> dict[str, Any]:
        return self.page.evaluate("explorer.state")

    def values(self, selector: str) -> list[float]:
        """The numbers of elements, in full, as they carry them beside their words."""
        return self.page.eval_on_selector_all(selector, "all => all.map(one => Number(one.dataset.value))")

    def pixels(self, selector: str) -> np.ndarray:
        """What stands on a canvas, (height, width, 3)."""
        width, height, data = self.page.eval_on_selector(
            selector,
            """canvas => {
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                let text = "";
                for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
                return [canvas.width, canvas.height, btoa(text)];
            }""",
        )
        import base64

        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]

    def close(self) -> None:
        self.leave()
        self.page.context.close()


# --- What should be seen ---

DATA = generated()


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)


def coloured(values: np.ndarray, low: float, high: float, *, signed: bool, root: bool = False) -> np.ndarray:
    """A map in the colours of its scale, (height, width, 3)."""
    table = np.array([rgb(colour) for colour in DATA["colours"]["signed" if signed else "heat"]])
    share = np.clip((values - low) / ((high - low) or 1), 0, 1)
    at = (np.sqrt(share) if root else share) * (len(table) - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, len(table) - 1)
    part = (at - below)[..., None]
    return table[below] * (1 - part) + table[above] * part


def alike(shown: np.ndarray, expected: np.ndarray, levels: float = 3, share: float = 0.002) -> bool:
    """Whether two images differ by more than some levels of 255 in a small share of the pixels at most."""
    assert shown.shape == expected.shape
    return float(np.mean(np.abs(shown.astype(float) - expected).max(axis=-1) > levels)) <= share


def logit_end(*logits: np.ndarray) -> float:
    """Where the colours of logits end."""
    most, size = max(one.max() for one in logits), max(np.abs(one).max() for one in logits)
    return float(min(2 * most, size) if most > 0 else size)


def masked(image: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
    """An image with a mask's edge, darker outside of it."""
    height, width = mask.shape
    thick = max(1, int(max(width, height) / 220 + 0.5))
    padded = np.pad(mask, thick)
    inner = mask.copy()
    for dy, dx in ((0, thick), (0, -thick), (thick, 0), (-thick, 0)):
        inner &= padded[thick + dy : thick + dy + height, thick + dx : thick + dx + width]
    dimmed = np.where(mask[..., None], image, np.round(0.5 * image))
    return np.where((mask & ~inner)[..., None], rgb(DATA["colours"]["masks"][number]), dimmed)
