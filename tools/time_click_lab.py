"""Time the click lab in Chromium: python -m tools.time_click_lab.

It opens the built site (`make site`) and prints how long what people wait for takes, with what was aimed at. Times
depend on the machine and on what else it does, so no test looks at them.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tools.find_browsers import find_chromium

SITE = Path(__file__).resolve().parent.parent / "build" / "html"
ROWS = "{:<58} {:>10} {:>10}   {}"
SETTLED = """state => new Promise(resolve => {
    const root = document.querySelector("#explorer"), started = performance.now();
    const inNextFrame = () => requestAnimationFrame(() => resolve(performance.now() - started));
    explorer.set(state);
    if (root.dataset.state === "ready") return inNextFrame();
    const observer = new MutationObserver(() => {
        if (root.dataset.state !== "ready") return;
        observer.disconnect();
        inNextFrame();
    });
    observer.observe(root, { attributes: true, attributeFilter: ["data-state"] });
})"""
DRAGGED = """async milliseconds => {
    const started = performance.now(), shown = new Set();
    let step = 0;
    while (performance.now() - started < milliseconds) {
        explorer.set({ points: [[40 + (step * 7) % 180, 60 + (step * 3) % 130, 1]] }, false);
        step++;
        await new Promise(requestAnimationFrame);
        if (explorer.answer) shown.add(explorer.answer);
    }
    return shown.size * 1000 / milliseconds;
}"""


def median_and_95th(times: Sequence[float]) -> tuple[float, float]:
    return statistics.median(times), float(np.quantile(times, 0.95))


def settled(page: Page, **state: Any) -> float:
    """Change the state; the milliseconds until all that is open shows it."""
    return float(page.evaluate(SETTLED, state))


def clicks(page: Page, count: int, panel: str, **more: Any) -> list[float]:
    """The milliseconds from each of many clicks until the panel shows it."""
    rng = np.random.default_rng(0)
    settled(page, image="example", panel=panel, points=[[100, 100, 1]], **more)
    return [settled(page, points=[[int(x), int(y), 1]]) for x, y in rng.integers(5, 250, (count, 2))]


def memory(browser: Browser) -> float:
    """Megabytes that the page's process holds for itself; it is the largest of them.

    The browser's program, which is mapped into each of its processes and shared by all, is not counted.
    """
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = [0]
    for one in processes:
        status = Path(f"/proc/{one['id']}/status")
        if one["type"] == "renderer" and status.is_file():
            found = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("RssAnon")]
            sizes.append(sum(int(line.split()[1]) for line in found))
    return max(sizes) / 1000


def serve() -> http.server.ThreadingHTTPServer:
    """The site, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of each request."""

    Quiet.extensions_map = {**Quiet.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def measure(count: int, long: int) -> None:
    """Print a row for each."""
    server = serve()
    address = f"http://127.0.0.1:{server.server_address[1]}/explorer/index.html"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"])
        print(ROWS.format("milliseconds", "median", "95 %", "asked (aim)"))
        opened, ready = [], []
        for _ in range(5):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            started = time.perf_counter()
            page.goto(address)
            _wait_for(page, "#explorer[data-state=ready]")
            opened.append(1000 * (time.perf_counter() - started))
            _wait_for(page, ".status[data-state=ready]")
            ready.append(1000 * (time.perf_counter() - started))
            if len(opened) < 5:
                page.context.close()
        _row("first screen", opened, "under 1000")
        _row("model ready, files on this machine", ready, "under 3000")
        settled(page, points=[[60, 95, 1]])
        _row("click to masks", clicks(page, count, "masks"), "under 200 (100)")
        for panel in ("attention", "channels"):
            _row(f"click to masks and the panel {panel}", clicks(page, count, panel), "under 300 (150)")
        _row(
            "click to the switchboard, zero, mean and resample",
            clicks(page, count // 3, "switches", off=["transformer.layers.0.mlp"]),
            "under 300 (150)",
        )
        kept = {"points": [[182, 133, 1]], "box": None}
        _memory_row("megabytes then", browser)
        _row(
            "click to two clicks, both streams",
            clicks(page, count // 3, "clicks", other=kept, off=[]),
            "under 300 (150)",
        )
        _memory_row("megabytes then", browser)
        settled(page, panel="masks", off=[], other=None)
        images = []
        for number in range(5):
            file = io.BytesIO()
            pixels = np.random.default_rng(number).integers(0, 256, (480, 640, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, format="PNG")
            settled(page, panel="own")
            started = time.perf_counter()
            page.locator(".drop input").first.set_input_files(
                {"name": "one.png", "mimeType": "image/png", "buffer": file.getvalue()}
            )
            page.wait_for_function("explorer.state.image === 'own' && explorer.shown?.info.id === 'own'")
            settled(page, points=[[320, 240, 1]])
            images.append(1000 * (time.perf_counter() - started))
            settled(page, image="example", points=[[182, 133, 1]])
        _row("a new image of 640 x 480 to its masks", images, "under 1500")
        settled(page, panel="masks", points=[[100, 100, 1]])
        print(
            ROWS.format("masks a second while dragging", f"{page.evaluate(DRAGGED, 5000):.1f}", "", "at least 5 (10)")
        )
        clicks(page, 20, "attention")
        before = memory(browser)
        clicks(page, long, "attention")
        after = memory(browser)
        print(
            ROWS.format(
                f"megabytes before and after {long} more clicks", f"{before:.0f}", f"{after:.0f}", "under 500, stable"
            )
        )
        browser.close()
    server.shutdown()


def _wait_for(page: Page, selector: str) -> None:
    """Wait until there is one, and look in each frame: Playwright's own waiting looks every half second at last."""
    page.wait_for_function("selector => document.querySelector(selector) !== null", arg=selector)


def _row(words: str, times: Sequence[float], asked: str) -> None:
    median, most = median_and_95th(times)
    print(ROWS.format(words, f"{median:.0f}", f"{most:.0f}", asked), flush=True)


def _memory_row(words: str, browser: Browser) -> None:
    print(ROWS.format(words, f"{memory(browser):.0f}", "", "under 500"), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.time_click_lab", description="Time the click lab.")
    parser.add_argument("--clicks", type=int, default=30, help="for each median")
    parser.add_argument("--long", type=int, default=500, help="clicks over which memory is watched")
    options = parser.parse_args(arguments)
    if not (SITE / "explorer" / "index.html").is_file():
        parser.error(f"{SITE} holds no click lab: make site")
    measure(options.clicks, options.long)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
