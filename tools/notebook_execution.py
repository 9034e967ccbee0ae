"""Running one notebook from a clean kernel."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbclient
import nbformat
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellControlSignal, CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools.notebook_format import KERNELSPEC, label, normalise

CELL_TIMEOUT = 600  # seconds

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Execution:
    """What a run gave: the notebook with its new outputs, and the failure as text, if there was one."""

    notebook: NotebookNode
    seconds: float
    failure: str | None


def execute(
    notebook: NotebookNode,
    folder: Path,
    at_cell: Callable[[int], None] = lambda index: None,
    variables: Mapping[str, str] | None = None,
) -> Execution:
    """Run all cells of a copy of the notebook with `folder` as the working directory.

    `at_cell` is told the index of each cell before it runs. `variables` are added to the kernel's environment. A
    failing cell ends the run and is no exception here.
    """
    notebook = nbformat.from_dict(notebook)
    current = 0

    def note_cell(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell_index
        at_cell(cell_index)

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = nbclient.NotebookClient(
        notebook,
        kernel_name=KERNELSPEC["name"],
        timeout=CELL_TIMEOUT,
        extra_arguments=["--log-level=ERROR"],  # the kernel's own log, not what the notebook prints
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=note_cell,
    )
    failure = None
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="notebook-") as settings:
        try:
            client.execute(env=kernel_environment(Path(settings)) | dict(variables or {}))
        except (CellControlSignal, DeadKernelError) as error:
            failure = _describe(notebook, current, error)
        except (NoSuchKernel, RuntimeError) as error:
            failure = f"No kernel could be started: {error}"
    return Execution(normalise(notebook), time.monotonic() - started, failure)


def kernel_environment(settings: Path) -> dict[str, str]:
    """The environment variables of a kernel: the user's, but none of the user's settings of IPython and matplotlib."""
    style = settings / "matplotlibrc"
    style.touch()
    # On a busy machine torch with one thread per core is many times slower than with one thread.
    variables = {"OMP_NUM_THREADS": "1", **os.environ, "IPYTHONDIR": str(settings), "MATPLOTLIBRC": str(style)}
    variables.pop("MPLBACKEND", None)
    return variables


def _describe(notebook: NotebookNode, index: int, error: Exception) -> str:
    """The failing cell, its source and what went wrong."""
    if isinstance(error, CellExecutionError):
        reason = _traceback(notebook.cells[index])
    elif isinstance(error, CellTimeoutError):
        reason = f"It was still running after {CELL_TIMEOUT} seconds."
    else:
        reason = "The kernel died, for want of memory perhaps."
    source = "\n".join(f"    {line}" for line in notebook.cells[index].source.splitlines())
    return f"It stopped in {label(notebook, index)}:\n\n{source}\n\n{reason}"


def _traceback(cell: NotebookNode) -> str:
    errors = [output for output in cell.outputs if output.output_type == "error"]
    return _COLOUR.sub("", "\n".join(errors[-1].traceback)) if errors else "It raised an error that was not recorded."
