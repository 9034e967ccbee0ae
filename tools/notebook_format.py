"""How a notebook is stored here: read, hash, normalise, write."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {"name": "python"}
MACHINE_DEPENDENT = "machine-dependent"

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}")
# What editors and runners note about the last run; it changes with every run and says nothing about the result.
_NOTES_OF_A_RUN = ("execution", "ExecuteTime", "collapsed", "scrolled")


def read(path: Path) -> NotebookNode:
    """A notebook from disk; an error names the file."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError) as error:
        raise ValueError(f"{path} is not a valid notebook: {error}") from error
    return notebook


def to_text(notebook: NotebookNode) -> str:
    """A notebook as it is stored: the same text for the same content."""
    return nbformat.writes(notebook) + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    """Store a notebook."""
    path.write_text(to_text(notebook), encoding="utf-8")


def source_hash(notebook: NotebookNode) -> str:
    """SHA-256 over the cells' types and sources: what the outputs were computed from."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells, ensure_ascii=False).encode()).hexdigest()


def is_machine_dependent(cell: NotebookNode) -> bool:
    """Whether a cell's outputs differ between machines (timings, versions) and are not to be compared."""
    return MACHINE_DEPENDENT in cell.metadata.get("tags", [])


def label(notebook: NotebookNode, index: int) -> str:
    """A cell's name in messages: its number among its kind, and how it begins."""
    cell = notebook.cells[index]
    number = sum(other.cell_type == cell.cell_type for other in notebook.cells[: index + 1])
    lines = cell.source.strip().splitlines() or ["(empty)"]
    start = lines[0] if len(lines[0]) <= 50 else lines[0][:47] + "..."
    return f"{cell.cell_type} cell {number} ({start})"


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy without anything that changes from run to run, stamped with the hash of its cells."""
    notebook = nbformat.from_dict(notebook)
    count = 0
    for cell in notebook.cells:
        for note in _NOTES_OF_A_RUN:
            cell.metadata.pop(note, None)
        if cell.cell_type != "code":
            continue
        cell.outputs = [_normalised_output(output) for output in _joined_streams(cell.outputs)]
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": KERNELSPEC,
            "language_info": LANGUAGE_INFO,
            "sam_edu": {"source_hash": source_hash(notebook)},
        }
    )
    return notebook


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one output: where a stream is cut is a matter of timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _normalised_output(output: NotebookNode) -> NotebookNode:
    """An output without memory addresses and without the transient keys of the message it came in."""
    output.pop("transient", None)
    if output.output_type == "stream":
        output.text = _ADDRESS.sub("", output.text)
    elif "data" in output:
        for mime, data in output.data.items():
            if isinstance(data, str):
                # PNG data end in a line break or not, depending on who wrote them.
                output.data[mime] = data.strip() if mime == "image/png" else _ADDRESS.sub("", data)
    return output
