"""The rules that every executed notebook keeps, whatever it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nbformat import NotebookNode

from tools.notebook_format import KERNELSPEC, is_machine_dependent, label, to_text

MAX_CODE_LINES = 30
MAX_BYTES = 3_000_000

_PICTURES = ("image/png", "image/jpeg", "image/gif")
_IMG_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT_ATTRIBUTE = re.compile(r"\balt\s*=\s*(\"\s*[^\s\"]|'\s*[^\s'])", re.IGNORECASE)
_IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(")
_NAMED = re.compile(r"<title[^>]*>\s*[^\s<]|\baria-label\s*=\s*(\"\s*[^\s\"]|'\s*[^\s'])")
_TIME_STAMP = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d")


def problems(notebook: NotebookNode) -> list[str]:
    """What is wrong with an executed notebook, a sentence each; empty if all rules are kept."""
    found = []
    if notebook.metadata.get("kernelspec", {}).get("name") != KERNELSPEC["name"]:
        found.append("The metadata names no kernel (`kernelspec`), so that JupyterLab would ask for one.")
    size = len(to_text(notebook).encode())
    if size > MAX_BYTES:
        found.append(
            f"It takes {size / 1e6:.1f} MB of {MAX_BYTES / 1e6:.0f} MB allowed: draw fewer or smaller figures."
        )
    for index, cell in enumerate(notebook.cells):
        found += [f"{label(notebook, index)}: {problem}" for problem in _cell_problems(cell)]
    return found


def _cell_problems(cell: NotebookNode) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield from _markup_problems(cell.source)
        if _IMAGE_WITHOUT_ALT.search(cell.source):
            yield "an image has no alt text: write what is to be seen between the brackets of ![...](...)."
    if cell.cell_type != "code":
        return
    lines = code_lines(cell.source)
    if lines > MAX_CODE_LINES:
        yield f"{lines} lines of code; {MAX_CODE_LINES} are allowed."
    for output in cell.outputs:
        yield from _output_problems(output)
        if not is_machine_dependent(cell) and any(_TIME_STAMP.search(text) for text in _texts(output)):
            yield "the output holds a time stamp, which changes with every run."


def code_lines(source: str) -> int:
    """Lines of code, blank lines and lines of comment left out."""
    lines = (line.strip() for line in source.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def _output_problems(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "error":
        yield f"it raises {output.ename}: {output.evalue}"
    elif output.output_type == "stream" and output.name == "stderr":
        kind = "a warning" if "Warning" in output.text else "text"
        yield f"{kind} on stderr: {output.text.strip()}"
    for mime, data in output.get("data", {}).items():
        if mime in _PICTURES and not str(output.metadata.get(mime, {}).get("alt", "")).strip():
            yield f'a figure has no alt text: display it with metadata={{"{mime}": {{"alt": "what is to be seen"}}}}.'
        if mime == "image/svg+xml" and not _NAMED.search(data):
            yield "a drawing has no alt text: give the SVG a <title> or an aria-label."
        if mime == "image/svg+xml" and "<image" in data:
            yield "a drawing holds an image of pixels: display it as PNG."
        if mime in ("text/html", "text/markdown"):
            yield from _markup_problems(data)


def _markup_problems(markup: str) -> Iterator[str]:
    if any(not _ALT_ATTRIBUTE.search(tag) for tag in _IMG_TAG.findall(markup)):
        yield 'an image has no alt text: write <img alt="what is to be seen" ...>.'


def _texts(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "stream":
        yield output.text
    for mime, data in output.get("data", {}).items():
        if mime.startswith("text/"):
            yield data
