"""The click lab as a widget in JupyterLab 4 and Notebook 7: it is shown, computes, and gives Python what is seen."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from click_lab import alike, chromium, masked

import sam_edu

pytestmark = pytest.mark.site

CELLS = (
    "import sam_edu\nexplorer = sam_edu.explore(sam_edu.Predictor(sam_edu.load('tiny')))\nexplorer",
    "print([explorer.prompts, explorer.trace['iou_pred'][0].tolist()])",
)


PLACES = {
    "jupyterlab": ("lab/tree/one.ipynb?reset", "text=| Idle"),
    "notebook": ("notebooks/one.ipynb", "[data-status=idle]"),
}
"""Where each application opens the notebook, and what it shows once the kernel is there."""


@pytest.fixture(params=PLACES)
def jupyter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str, Path]]:
    """A server's address, where it opens the notebook, what is shown when that is idle, and its folder."""
    folder = tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "one.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name.lower()}") for name in ("CONFIG", "RUNTIME")}
    command = [sys.executable, "-m", request.param, "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log, cwd=folder)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{address}api"):
                    break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
                time.sleep(0.2)
        place, idle = PLACES[request.param]
        yield address, place, idle, folder
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for_kernel(server: str) -> None:
    """Wait until the notebook's kernel is idle, and the page is connected with it."""
    for _ in range(300):
        with urllib.request.urlopen(f"{server}api/kernels") as answer:
            kernels = json.load(answer)
        if [one for one in kernels if one["execution_state"] == "idle" and one["connections"]]:
            return
        time.sleep(0.2)
    raise TimeoutError(f"no kernel is idle: {kernels}")


def test_widget_shows_computes_and_saves_a_still(jupyter: tuple[str, str, str, Path]) -> None:
    server, place, idle, folder = jupyter
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        page.goto(server + place)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        wait_for_kernel(server)  # what is run before the kernel is there is not run
        page.locator(idle).first.wait_for(timeout=60_000)
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector(".explorer[data-state=ready]", timeout=90_000)
        assert "Python computes" in page.inner_text(".explorer .status")

        image = page.locator(".explorer .image").bounding_box()
        assert image is not None
        page.locator(".explorer [data-tool=negative]").click()
        page.mouse.click(image["x"] + 60.5 / 256 * image["width"], image["y"] + 95.5 / 256 * image["height"])
        page.wait_for_selector(".explorer .card[data-mask='0'][aria-pressed='true']")
        page.wait_for_selector(".explorer[data-state=ready]")
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(1).click()
        page.keyboard.press("Shift+Enter")
        printed = page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output pre")
        printed.wait_for(timeout=60_000)
        prompts, iou = ast.literal_eval(printed.inner_text())
        assert prompts == {"point_coords": [[182, 133], [60, 95]], "point_labels": [1, 0]}
        shown = page.eval_on_selector_all(".card dd:nth-of-type(1)", "all => all.map(one => Number(one.dataset.value))")
        np.testing.assert_allclose(shown, iou, atol=1e-6)

        predictor = sam_edu.Predictor(sam_edu.load("tiny"))
        predictor.set_image(sam_edu.example().image)
        with sam_edu.trace(predictor) as t:
            predictor.predict(**prompts)
        data = page.eval_on_selector(
            ".card[data-mask='0'] canvas",
            "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 256, 256).data)",
        )
        pixels = np.array(data).reshape(256, 256, 4)[..., :3]
        assert alike(pixels, masked(sam_edu.example().image, t["masks"][0, 0].numpy() > 0, 0))

        page.keyboard.press("Control+s")
        for _ in range(100):
            saved = nbformat.read(folder / "one.ipynb", as_version=4)
            if saved.cells[1].outputs:
                break
            page.wait_for_timeout(100)
        # Somebody else's notebook, which this application does not trust: the still, before a cell is run.
        saved.cells.append(nbformat.v4.new_markdown_cell("From elsewhere."))
        nbformat.write(saved, folder / "two.ipynb")
        page.goto(server + place.replace("one.ipynb", "two.ipynb"))
        still = page.locator(".jp-CodeCell .jp-OutputArea-output img").first
        still.wait_for(timeout=60_000)
        assert "mask 3" in (still.get_attribute("alt") or "")
        assert still.evaluate("image => image.naturalWidth > 500")
        assert "Error displaying widget" not in page.inner_text(".jp-Notebook")
    assert "widgets" not in saved.metadata
    [output] = [one for one in saved.cells[0].outputs if "data" in one]
    assert output.data["image/png"]
    assert "mask 3" in output.metadata["image/png"]["alt"]
