"""Figures of step (5): its structure, and its layers as matrices."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_multiple
from sam_edu.figures.kit.arrays import Number, as_array, as_mapping
from sam_edu.figures.kit.colours import ACTIVATION, FAINT, GREY, IMAGE, INK, OUT, SIGNED, SOFT
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import strongest
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled
from sam_edu.figures.kit.words import listed


def upscaling_diagram(grid: int = 64, *, dim: int = 256) -> Figure:
    """Diagram of the five layers of step (5), with their shapes, and below them one image token at each stage.

    Args:
        grid: image tokens along one side.
        dim: channels of an image token; a multiple of 8.
    """
    grid, dim = as_count("grid", grid), as_multiple("dim", dim, 8)
    once, twice = dim // 4, dim // 8
    y, x = 92, {"in": 62, "0": 232, "1": 400, "2": 528, "3": 672, "4": 812, "out": 935}
    with theme():
        figure, axes = canvas(286)
        subtitle = "grey: learned; white: not learned. Numbers in brackets: Meta's names of the layers"
        draw_title(axes, "Step (5): output_upscaling", subtitle)
        draw_box(axes, x["in"], y, 100, "image tokens", IMAGE)
        draw_box(axes, x["0"], y, 134, f"[0] ConvTranspose2d\n{dim} → {once}, 2 × 2", GREY)
        draw_box(axes, x["1"], y, 104, f"[1] LayerNorm2d\n{once}", GREY)
        draw_box(axes, x["2"], y, 74, "[2] GELU", ACTIVATION)
        draw_box(axes, x["3"], y, 134, f"[3] ConvTranspose2d\n{once} → {twice}, 2 × 2", GREY)
        draw_box(axes, x["4"], y, 74, "[4] GELU", ACTIVATION)
        draw_box(axes, x["out"], y, 92, "to the product\n(6-3)", OUT)
        for start, end in ((112, 165), (299, 348), (452, 491), (565, 605), (739, 775), (849, 889)):
            draw_arrow(axes, [(start, y), (end, y)])
        for at, channels, times in ((62, dim, 1), (400, once, 2), (812, twice, 4)):
            draw_text(axes, at, y - 44, f"{channels} × {times * grid} × {times * grid}", SMALL, SOFT)
            _squares(axes, at, 200, 84, times)
            label = "one image token" if times == 1 else f"{times} × {times} pixels"
            draw_text(axes, at, 256, f"{label}\nof {channels} numbers", SMALL, SOFT)
        draw_arrow(axes, [(112, 200), (350, 200)], "a matrix for each of 4 positions", (231, 190))
        draw_arrow(axes, [(450, 200), (762, 200)], "and again, for each of them", (606, 190))
    return Figure(
        figure,
        f"Diagram of step (5). Image tokens, {dim} by {grid} by {grid}, go through layer 0, a transposed convolution"
        f" {dim} to {once} of kernel 2 by 2; layer 1, LayerNorm2d over {once} channels; layer 2, GELU: {once} by"
        f" {2 * grid} by {2 * grid}; layer 3, a transposed convolution {once} to {twice}; layer 4, GELU: {twice} by"
        f" {4 * grid} by {4 * grid}, which go to the product (6-3). Below: one image token becomes 2 by 2 pixels, then"
        " 4 by 4.",
    )


def _squares(axes: Axes, x: Number, y: Number, size: Number, times: int) -> None:
    """A square of one image token, cut into what it has become."""
    for row, column in np.ndindex(times, times):
        side = size / times
        axes.add_patch(
            Rectangle(
                (x - size / 2 + column * side, y - size / 2 + row * side),
                side,
                side,
                facecolor=IMAGE[0],
                edgecolor=IMAGE[1],
                linewidth=1.0,
            )
        )


def layer_matrices(
    matrices: Mapping[str, ArrayLike | Any],
    *,
    xlabel: str = "pixels before",
    ylabel: str = "pixels after",
    digits: int = 0,
    title: str = "",
) -> Figure:
    """Matrices of linear layers, a panel each: red above zero, blue below, empty where no input reaches an output.

    At the right of each row stands how many of its entries are not zero: from how many inputs that output is computed.

    Args:
        matrices: per name (outputs, inputs).
        xlabel: what a column is.
        ylabel: what a row is.
        digits: number of digits after the decimal point.
        title: the figure's title.
    """
    matrices, digits = as_mapping("matrices", matrices), as_count("digits", digits, 0)
    given = {
        name: as_array(f"matrices {name}", one, ("outputs", "inputs")).astype(float) for name, one in matrices.items()
    }
    limit = max(strongest(one) for one in given.values())
    high, wide = max(one.shape[0] for one in given.values()), [one.shape[1] + 2.5 for one in given.values()]
    colours = colormaps[SIGNED]
    with theme():
        cell = min(30.0, (WIDTH - 60) / sum(wide))
        figure = titled(title, cell * high + 78, cell * sum(wide) + 60)
        grid = figure.subplots(1, len(given), squeeze=False, gridspec_kw={"width_ratios": wide})[0]
        for axes, (name, one) in zip(grid, given.items(), strict=True):
            for y, x in np.argwhere(one != 0):
                face = colours(0.5 + 0.42 * one[y, x] / limit)  # the darkest end of the map is left out
                axes.add_patch(Rectangle((x, y), 1, 1, facecolor=face, linewidth=0))
                colour = "white" if abs(one[y, x]) > 0.65 * limit else INK
                number = f"{one[y, x]:.{digits}f}".replace("-", "−")
                axes.text(x + 0.5, y + 0.5, number, ha="center", va="center", color=colour)
            rows, columns = one.shape
            axes.hlines(range(rows + 1), 0, columns, color=FAINT, linewidth=0.7)
            axes.vlines(range(columns + 1), 0, rows, color=FAINT, linewidth=0.7)
            for y, count in enumerate((one != 0).sum(1)):
                axes.text(columns + 0.5, y + 0.5, str(count), ha="center", va="center", fontsize=SMALL, color=SOFT)
            axes.set_xlim(-0.8, columns + 1.2)
            axes.set_ylim(high + 1, -0.2)
            axes.set_aspect("equal", anchor="N")
            axes.set_title(f"{name}\n{rows} × {columns}")
            axes.text(columns / 2, rows + 0.6, xlabel, ha="center", va="center", fontsize=SMALL)
            axes.text(-0.4, rows / 2, ylabel, ha="center", va="center", fontsize=SMALL, rotation=90)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
    details = []
    for name, one in given.items():
        counts = sorted({int(n) for n in (one != 0).sum(1)})
        details.append(
            f"{name}, {one.shape[0]} by {one.shape[1]}, with {listed([str(n) for n in counts])} of its entries not zero"
            " in each row"
        )
    return Figure(figure, f"{title or 'Matrices'}: {ylabel} by {xlabel}. {'; '.join(details)}.".replace("\n", " "))
