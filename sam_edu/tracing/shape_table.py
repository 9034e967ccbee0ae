"""ShapeTable: a trace as a table of names, steps, axes and shapes."""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload


class Row(NamedTuple):
    """One tensor of a shape table."""

    name: str
    step: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    notebook: str


class ShapeTable(Sequence[Row]):
    """A table of traced tensors: name, step, axes, shape, notebook. Shown as text or as HTML."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> "ShapeTable": ...

    def __getitem__(self, index: int | slice) -> "Row | ShapeTable":
        return ShapeTable(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (row.name, row.step, " ".join(row.axes), " x ".join(map(str, row.shape)), row.notebook)
            for row in self._rows
        ]

    def __str__(self) -> str:
        table = [Row._fields, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in table]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        left = ' style="text-align: left"'
        head = "".join(f'<th scope="col"{left}>{field}</th>' for field in Row._fields)
        body = "\n".join(
            f"<tr><td{left}><code>{html.escape(name)}</code></td>"
            + "".join(f"<td{left}>{html.escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for name, *rest in self._cells()
        )
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
