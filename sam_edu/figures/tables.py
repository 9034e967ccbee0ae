"""Tables of signed numbers, for example of cosines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count
from sam_edu.choices import name_largest
from sam_edu.figures.kit.arrays import as_array, as_names
from sam_edu.figures.kit.colours import INK
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import draw_signed, scale_end
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled


def signed_matrix(
    values: ArrayLike | Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    digits: int = 2,
    label: str = "value",
    title: str = "",
) -> Figure:
    """A matrix of numbers of both signs, each in its cell: red above zero, blue below.

    Args:
        values: (rows, columns).
        rows: one name per row.
        columns: one per column; the rows' names by default.
        digits: number of digits after the decimal point.
        label: the name of what the numbers are.
        title: the figure's title.
    """
    rows, digits = as_names("rows", rows), as_count("digits", digits, 0)
    columns = rows if columns is None else as_names("columns", columns)
    values = as_array("values", values, (len(rows), len(columns))).astype(float)
    limit = scale_end(float(np.abs(values).max()))
    with theme():
        cell = min(92.0, (WIDTH - 240) / len(columns))
        figure = titled(title, 36 * len(rows) + 40, cell * len(columns) + 240)
        axes = figure.subplots()
        drawn = draw_signed(axes, values, limit, aspect="auto")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for y, x in np.ndindex(values.shape):
            colour = "white" if abs(values[y, x]) > 0.6 * limit else INK
            text = f"{round(float(values[y, x]), digits) + 0.0:.{digits}f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=SMALL, color=colour)
        figure.colorbar(drawn, ax=axes, aspect=14, pad=0.02, label=label)
    # Of a symmetric table each pair is named once; of a square one its diagonal is not news.
    square = rows == columns
    twice = square and np.allclose(values, values.T)
    cells = [
        (y, x) for y in range(len(rows)) for x in range(len(columns)) if not square or (x > y if twice else x != y)
    ]
    off = np.array([abs(values[cell]) for cell in cells] or [0.0])
    furthest = name_largest(off, [f"{rows[y]} / {columns[x]}" for y, x in cells] or ["nothing"])
    apart = "apart from the diagonal " if square else ""
    value = values[cells[int(off.argmax())]] if cells else 0.0
    return Figure(
        figure,
        f"{title or 'A table'}: {label}, {len(rows)} rows ({', '.join(rows)}) by {len(columns)} columns"
        f" ({', '.join(columns)}); furthest from zero {apart}{furthest}, {value:.{digits}f}.",
    )
