"""The click lab as a widget in JupyterLab 4: it is shown, it computes, and what is seen comes back to Python."""

from __future__ import annotations

import ast
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


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and its folder, which holds one notebook."""
    folder = tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "one.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name.lower()}") for name in ("CONFIG", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
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
        yield address, folder
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_widget_in_jupyterlab(jupyter: tuple[str, Path]) -> None:
    address, folder = jupyter
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        page.goto(f"{address}lab/tree/one.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        page.get_by_text("| Idle").wait_for(timeout=60_000)  # what is run before the kernel is there is not run
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
    assert "widgets" not in saved.metadata
    [output] = [one for one in saved.cells[0].outputs if "data" in one]
    assert output.data["image/png"]
    assert "mask 3" in output.metadata["image/png"]["alt"]
