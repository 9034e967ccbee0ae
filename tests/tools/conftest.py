"""Tiny notebooks for the tests of the runner."""

import base64
import io
from collections.abc import Callable
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode, v4
from PIL import Image


@pytest.fixture(scope="session")
def png() -> Callable[[np.ndarray], str]:
    """Turns an image (height, width, 3) into the text that a notebook stores."""

    def encode(pixels: np.ndarray) -> str:
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    return encode


@pytest.fixture(scope="session")
def make_notebook() -> Callable[..., NotebookNode]:
    """Makes a notebook of cells: a string is code, ("markdown", text) is prose, ("tag", source) is tagged code."""

    def make(*cells: str | tuple[str, str]) -> NotebookNode:
        notebook = v4.new_notebook()
        for number, cell in enumerate(cells):
            kind, source = cell if isinstance(cell, tuple) else ("code", cell)
            if kind == "markdown":
                notebook.cells.append(v4.new_markdown_cell(source))
            else:
                metadata = {} if kind == "code" else {"tags": [kind]}
                notebook.cells.append(v4.new_code_cell(source, metadata=metadata))
            notebook.cells[-1].id = f"cell-{number}"
        return notebook

    return make


@pytest.fixture(scope="session")
def with_output(make_notebook: Callable[..., NotebookNode]) -> Callable[..., NotebookNode]:
    """Makes a notebook with one executed cell of the given outputs, as the runner would store it."""

    def make(*outputs: dict[str, Any], source: str = "run()", tags: tuple[str, ...] = ()) -> NotebookNode:
        from tools.notebook_format import normalise

        notebook = make_notebook(source)
        notebook.cells[0].metadata["tags"] = list(tags)
        notebook.cells[0].outputs = [nbformat.from_dict(output) for output in outputs]
        return normalise(notebook)

    return make


@pytest.fixture(scope="session")
def printed() -> Callable[..., dict[str, Any]]:
    """An output of printed text."""

    def make(text: str, name: str = "stdout") -> dict[str, Any]:
        return {"output_type": "stream", "name": name, "text": text}

    return make


@pytest.fixture(scope="session")
def shown() -> Callable[..., dict[str, Any]]:
    """An output of displayed data, with alt text for a PNG unless told otherwise."""

    def make(mime: str, data: str, alt: str | None = "what is to be seen") -> dict[str, Any]:
        metadata = {mime: {"alt": alt}} if mime.startswith("image/") and alt is not None else {}
        return {"output_type": "display_data", "data": {mime: data}, "metadata": metadata}

    return make
