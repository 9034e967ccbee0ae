"""report(): a stored report of the benchmark, so that numbers of other machines are read and never copied by hand."""

import re
from dataclasses import dataclass
from pathlib import Path

from sam_edu.argument_checks import as_choice

REPORTS = ("intel_xeon_one_thread", "nvidia_h200")
"""The reports that come with the package: `docs/benchmarks`, written by `make benchmark`."""

_PACKAGE = Path(__file__).resolve().parent
Row = dict[str, str]


@dataclass(frozen=True)
class Report:
    """What a report of the benchmark holds.

    Attributes:
        machine: the lines about the machine and the measurement, such as "GPU: NVIDIA H200".
        tables: by heading, without what stands in brackets there; a row is a dictionary from column to cell.
    """

    machine: tuple[str, ...]
    tables: dict[str, list[Row]]

    def rows(self, heading: str, **cells: str | int) -> list[Row]:
        """The rows of a table in which columns hold these cells.

        Args:
            heading: of the table.
            cells: per column the cell's text (a whole number will do), such as `batch=16`.

        Raises:
            ValueError: there is no such table, column or row.
        """
        table = self.tables[as_choice("heading", heading, tuple(self.tables))]
        for column in cells:
            as_choice("cells", column, tuple(table[0]))
        found = [row for row in table if all(row[column] == str(cell) for column, cell in cells.items())]
        if not found:
            raise ValueError(f"cells: no row of “{heading}” has {cells}")
        return found


def report(name: str) -> Report:
    """Read a report that comes with the package.

    Args:
        name: one of `REPORTS`.

    Raises:
        ValueError: another name.
        FileNotFoundError: the package came without its reports.
    """
    name = as_choice("name", name, REPORTS)
    for folder in (_PACKAGE / "reports", _PACKAGE.parent / "docs" / "benchmarks"):
        path = folder / f"{name}.md"
        if path.is_file():
            return read(path.read_text(encoding="utf-8"))
    raise FileNotFoundError(
        f"{name}.md: expected it in {_PACKAGE / 'reports'} or {_PACKAGE.parent / 'docs' / 'benchmarks'}, found none:"
        " install sam_edu again, or take the repository's folder `docs`"
    )


def read(text: str) -> Report:
    """Read a report from its Markdown."""
    machine: list[str] = []
    tables: dict[str, list[Row]] = {}
    heading, columns = "", None
    for line in text.splitlines():
        if line.startswith("## "):
            heading, columns = re.sub(r" \(.*\)$", "", line.removeprefix("## ")), None
        elif line.startswith("- ") and not heading:
            machine.append(line.removeprefix("- "))
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if columns is None:
                columns = cells
                tables[heading] = []
            elif not all(re.fullmatch(r"-+", cell) for cell in cells):
                tables[heading].append(dict(zip(columns, cells, strict=True)))
    return Report(tuple(machine), tables)
