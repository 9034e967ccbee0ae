"""Run the notebooks, each from a clean kernel, and say how it went.

python -m tools.run_notebooks                    run all; executed copies and HTML pages go to build/
python -m tools.run_notebooks 03_attention       run one, named by its file name or the start of it
python -m tools.run_notebooks --check            also: do they keep the rules, are the committed outputs fresh?
python -m tools.run_notebooks --write            as --check, and rewrite the committed outputs that are not fresh
python -m tools.run_notebooks --from-root        run those that read images as editors do, from the project's folder
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from tools import notebook_format, notebook_freshness, notebook_rules
from tools.formulas import formula_problems
from tools.notebook_execution import execute

PROJECT = Path(__file__).resolve().parent.parent
WORKERS = 2
READS_IMAGES = re.compile(r"\bsam_edu\.image\(|\bphotographs\(|\bImage\.open\(|\bimages/")
NEAR = 0.1  # what moves by more than this share of a tolerance is near it


@dataclass
class Report:
    """How one notebook fared."""

    path: Path
    seconds: float = 0.0
    failure: str | None = None
    problems: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    rewritten: bool = False

    @property
    def passed(self) -> bool:
        return not (self.failure or self.problems or self.stale)

    @property
    def result(self) -> str:
        """One word or two for the table."""
        if self.failure:
            return "FAILED"
        if self.rewritten:
            return "rewritten"
        if self.problems or self.stale:
            return "out of date" if self.stale and not self.problems else "breaks rules"
        return "passed"


class Progress:
    """One line per finished notebook; on a terminal also a last line that says what is running."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = sys.stdout.isatty()

    def at_cell(self, path: Path, index: int, cells: int) -> None:
        """Note that a notebook has come to a cell."""
        with self._lock:
            self._running[path.stem] = f"{path.stem} {index + 1}/{cells}"
            self._show_running()

    def finished(self, report: Report) -> None:
        """Print a notebook's line."""
        with self._lock:
            self._running.pop(report.path.stem, None)
            self._done += 1
            self._clear()
            print(
                f"[{self._done}/{self._total}] {report.path.name}  {report.seconds:.1f} s  {report.result}", flush=True
            )
            self._show_running()

    def _show_running(self) -> None:
        if self._live and self._running:
            line = "running: " + ", ".join(self._running.values())
            self._clear()
            print(line[: shutil.get_terminal_size().columns - 1], end="", flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="")


class Runner:
    """Runs the notebooks of a project folder: `notebooks/` beside `images/`, results under `build/`.

    Args:
        project: the folder.
        check: judge each run by the rules, and the committed outputs by each run.
        write: the same, and rewrite what is out of date.
        build: where the results go, if not to `build/` of the project.
        variables: what the kernels find in their environment besides the user's.
        working_folder: where the kernels run, if not in `notebooks/`.
    """

    def __init__(
        self,
        project: Path,
        check: bool = False,
        write: bool = False,
        *,
        build: Path | None = None,
        variables: Mapping[str, str] | None = None,
        working_folder: Path | None = None,
    ) -> None:
        self.project = project
        self.check = check or write
        self.write = write
        self.variables = dict(variables or {})
        self.folder = project / "notebooks"
        self.working_folder = working_folder or self.folder
        build = build or project / "build"
        self.copies = build / "notebooks"
        self.seconds = 0.0

    def select(self, names: Sequence[str]) -> list[Path]:
        """The notebooks with the given names, or all of them."""
        present = sorted(self.folder.glob("*.ipynb"))
        if not present:
            raise ValueError(f"There are no notebooks in {self.folder}.")
        chosen = []
        for name in names:
            start = Path(name).name
            found = [path for path in present if path.name == start or path.stem == start]
            found = found or [path for path in present if path.name.startswith(start)]
            if len(found) != 1:
                several = "fits no notebook" if not found else "fits more than one notebook"
                raise ValueError(f"{name} {several}. There are: {', '.join(path.stem for path in present)}.")
            chosen += found
        return chosen or present

    def reading_images(self, paths: Sequence[Path]) -> list[Path]:
        """Those of the notebooks whose code reads an image file."""
        return [
            path
            for path in paths
            if any(
                cell.cell_type == "code" and READS_IMAGES.search(cell.source)
                for cell in notebook_format.read(path).cells
            )
        ]

    def run(self, paths: Sequence[Path]) -> list[Report]:
        """Run notebooks, two at a time, and write their copies."""
        started = time.monotonic()
        self._prepare()
        progress = Progress(len(paths))
        reports = {}
        pool = ThreadPoolExecutor(WORKERS)
        # From the last on, which takes longest: begun at the end, it would run while the other place is empty.
        futures: dict[Future[Report], Path] = {
            pool.submit(self.run_one, path, progress): path for path in reversed(paths)
        }
        for future in as_completed(futures):
            path = futures[future]
            try:
                reports[path] = future.result()
            except Exception:  # of a page that cannot be made, say: the other notebooks have nothing to do with it
                reports[path] = Report(path, failure=traceback.format_exc())
            progress.finished(reports[path])
        pool.shutdown()
        self.seconds = time.monotonic() - started
        return [reports[path] for path in paths]

    def run_one(self, path: Path, progress: Progress) -> Report:
        """Run one notebook, judge it and store what came out."""
        report = Report(path)
        try:
            committed = notebook_format.read(path)
        except ValueError as error:
            report.failure = str(error)
            return report
        cells = len(committed.cells)
        execution = execute(
            committed, self.working_folder, lambda index: progress.at_cell(path, index, cells), self.variables
        )
        executed = execution.notebook
        report.seconds, report.failure = execution.seconds, execution.failure

        notebook_format.write(executed, self.copies / path.name)
        if self.check and not report.failure:
            self._judge(report, committed, executed)
        return report

    def _judge(self, report: Report, committed: NotebookNode, executed: NotebookNode) -> None:
        """Hold the rules and the committed outputs against a run that succeeded."""
        report.problems = [*notebook_rules.problems(executed), *formula_problems(executed)]
        report.stale = notebook_freshness.staleness(committed, executed)
        if not report.stale:
            report.near = notebook_freshness.changed_outputs(committed, executed, NEAR)
        report.not_compared = [
            notebook_format.label(committed, index)
            for index, cell in enumerate(committed.cells)
            if cell.cell_type == "code" and notebook_format.is_machine_dependent(cell)
        ]
        # Outputs that break the rules are not worth committing: first the notebook, then its outputs.
        if self.write and report.stale and not report.problems:
            notebook_format.write(notebook_freshness.keep_fresh_outputs(committed, executed), report.path)
            report.stale, report.rewritten = [], True

    def _prepare(self) -> None:
        """Folders for the results, with the images beside the copies, where the notebooks look for them."""
        self.copies.mkdir(parents=True, exist_ok=True)
        if (self.project / "images").is_dir():
            shutil.copytree(self.project / "images", self.copies.parent / "images", dirs_exist_ok=True)


def print_results(reports: Sequence[Report], runner: Runner) -> None:
    """What is to be said about each notebook, then the table, and how long it took."""
    for report in reports:
        for heading, lines in (
            ("failed", [report.failure] if report.failure else []),
            ("breaks rules", report.problems),
            ("is out of date", report.stale),
        ):
            if lines:
                print(f"\n{report.path.name} {heading}:")
                print("\n".join(f"  {line}" for text in lines for line in text.splitlines()))
    for report in reports:
        if report.not_compared:
            print(f"\n{report.path.name}: run but not compared, being machine-dependent:")
            print("\n".join(f"  {cell}" for cell in report.not_compared))

    width = max(len("notebook"), *(len(report.path.name) for report in reports))
    print(f"\n{'notebook':{width}}  seconds  result\n{'-' * width}  -------  ------")
    for report in reports:
        print(f"{report.path.name:{width}}  {report.seconds:7.1f}  {report.result}")
    minutes, seconds = divmod(round(runner.seconds), 60)
    print(f"\nAll together took {minutes} min {seconds} s, {WORKERS} notebooks at a time.")


def main(arguments: Sequence[str] | None = None, project: Path = PROJECT) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Run the notebooks, each from a clean kernel.")
    parser.add_argument("names", nargs="*", help="notebooks to run, by file name or the start of it; default: all")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="also check the rules and that committed outputs are fresh")
    mode.add_argument(
        "--write", action="store_true", help="as --check, and rewrite committed outputs that are not fresh"
    )
    mode.add_argument(
        "--from-root",
        action="store_true",
        help="run with the project's folder as working directory, as VS Code and PyCharm do; default: those that read"
        " images; results go to build/from_root",
    )
    options = parser.parse_args(arguments)

    # The kernel of this environment, whatever kernels the user has installed elsewhere.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    runner = Runner(
        project,
        check=options.check,
        write=options.write,
        build=project / "build" / "from_root" if options.from_root else None,
        working_folder=project if options.from_root else None,
    )
    try:
        paths = runner.select(options.names)
        if options.from_root and not options.names:
            paths = runner.reading_images(paths)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        reports = runner.run(paths)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr, flush=True)
        # At once: an ordinary exit would wait for the notebooks that are running. Their kernels follow by themselves.
        os._exit(130)
    print_results(reports, runner)
    return 0 if all(report.passed for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
