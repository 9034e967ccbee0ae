"""Figures of step (5): its structure, one patch at each stage, and the differences between neighbouring pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_multiple
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_image,
    as_mapping,
    as_names,
)
from sam_edu.figures.kit.colours import ACTIVATION, GREY, IMAGE, OUT, SOFT, THIN_GRID, series_colours
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import three_colours
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
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


def patch_stages(
    stages: Mapping[str, ArrayLike | Any],
    *,
    tokens: int,
    image: ArrayLike | Any | None = None,
    title: str = "",
) -> Figure:
    """One patch of the image at several stages, its channels as three colours, with a line between image tokens.

    Each stage has directions of its own (see `embeddings`), so colours do not compare from stage to stage.

    Args:
        stages: per name the maps (channels, height, width) of the patch.
        tokens: how many image tokens lie along one side of it.
        image: (height, width, 3), the patch of the image, drawn first.
        title: the figure's title.
    """
    stages, tokens = as_mapping("stages", stages), as_count("tokens", tokens)
    given = {name: as_array(f"stages {name}", maps, ("channels", "height", "width")) for name, maps in stages.items()}
    drawn: dict[str, Array] = {} if image is None else {"the image": as_image(image)}
    kept = {}
    for name, maps in given.items():
        if len(maps) < 3 or maps.shape[1] % tokens or maps.shape[2] % tokens:
            raise ValueError(
                f"stages {name}: expected 3 channels or more on a grid of {tokens} times a number, got {maps.shape}"
            )
        colours, kept[name] = three_colours(maps[None].astype(np.float64))
        drawn[name] = colours[0]
    with theme():
        panel = (WIDTH - 40) / max(len(drawn), 3)
        figure = titled(title, panel + 42, panel * len(drawn) + 8 * len(drawn))
        for axes, (name, one) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True):
            axes.imshow(one, extent=(0, tokens, tokens, 0), interpolation="nearest")
            axes.vlines(range(1, tokens), 0, tokens, color=THIN_GRID, linewidth=0.7)
            axes.hlines(range(1, tokens), 0, tokens, color=THIN_GRID, linewidth=0.7)
            axes.set_title(f"{name}\n{100 * kept[name]:.0f} % of its variance" if name in kept else name)
            bare(axes)
    details = [
        f"{name}, {maps.shape[1]} by {maps.shape[2]} pixels ({100 * kept[name]:.0f} % of its variance)"
        for name, maps in given.items()
    ]
    return Figure(
        figure,
        f"{title or 'A patch as it grows'}: {tokens} by {tokens} image tokens as colour images, with lines between"
        f" the tokens; three directions of the channels at each stage: {listed(details)}.",
    )


def differences_by_position(
    ways: Mapping[str, ArrayLike | Any],
    positions: Sequence[str],
    *,
    ylabel: str = "mean jump / mean of all",
    title: str = "",
) -> Figure:
    """Bar chart of the mean difference between neighbouring pixels, by the position in an image token's square.

    Args:
        ways: per name (positions,), the mean jump at each.
        positions: one name per position.
        ylabel: what is measured; 1 where all positions are alike.
        title: the figure's title.
    """
    ways, names = as_mapping("ways", ways), as_names("positions", positions)
    given = {name: as_array(f"ways {name}", way, (len(names),)).astype(float) for name, way in ways.items()}
    with theme():
        figure = titled(title, 270, 760)
        axes = figure.subplots()
        width = 0.8 / len(given)
        for i, ((name, way), colour) in enumerate(zip(given.items(), series_colours(given), strict=True)):
            at = np.arange(len(names)) + (i - (len(given) - 1) / 2) * width
            axes.bar(at, way, width * 0.92, color=colour, label=name, snap=False)
        axes.axhline(1, color=SOFT, linestyle=(0, (4, 3)), linewidth=1.0)
        axes.set_xticks(range(len(names)), names)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
        figure.legend(loc="outside right upper")
    details = [
        f"{name}: {listed([f'{position} {v:.2f}' for position, v in zip(names, way, strict=True)])}"
        for name, way in given.items()
    ]
    return Figure(figure, f"{title or 'Jumps'}: bars, {ylabel}. {'; '.join(details)}.".replace("\n", " "))
