"""Figures of the two-way block: its structure, how far each step moves the vectors, and masks of changed blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_number
from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_image,
    as_mapping,
    as_maps,
    as_mask_numbers,
    as_masks,
    as_names,
    as_tuple,
)
from sam_edu.figures.kit.colours import (
    ENCODING,
    FAINT,
    GREY,
    HEAT,
    IMAGE,
    INK,
    MASK_COLOURS,
    SIGNED,
    SOFT,
    TOKEN,
    for_text,
    token_colour,
)
from sam_edu.figures.kit.diagram import (
    canvas,
    draw_arrow,
    draw_box,
    draw_junction,
    draw_key,
    draw_path,
    draw_sum,
    draw_text,
)
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_clicks, draw_edges, draw_image, draw_mask, draw_ticks, overlap
from sam_edu.figures.kit.scales import scale_end, signed_norm, strongest
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import brightest, listed
from sam_edu.prompt_checks import check_flag
from sam_edu.selections import Select, as_indices


def block_diagram(
    tokens: int = 7,
    image_tokens: int = 4096,
    *,
    dim: int = 256,
    mlp_dim: int = 2048,
    first: bool = True,
) -> Figure:
    """Diagram of the two-way block: its four steps, with residuals and norms.

    Args:
        tokens: number of tokens.
        image_tokens: number of image tokens.
        dim: width of both.
        mlp_dim: inner width of the MLP.
        first: whether it is block 0, whose step (1) has neither positional encoding nor residual.
    """
    tokens, image_tokens = as_count("tokens", tokens), as_count("image_tokens", image_tokens)
    dim, mlp_dim, first = as_count("dim", dim), as_count("mlp_dim", mlp_dim), check_flag("first", first)
    with theme():
        figure, axes = canvas(374)
        axes.text(8, 20, f"The two-way block, {'layers.0' if first else 'layers.1'}", fontsize=13, fontweight="bold")
        draw_key(axes, 300, 16, "tokens", TOKEN)
        draw_key(axes, 378, 16, "image tokens", IMAGE)
        _encoding_mark(axes, 486, 16)
        axes.text(498, 16, "PE added to q and k", fontsize=SMALL, color=SOFT, va="center")
        axes.plot([640, 668], [16, 16], color=SOFT, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.text(674, 16, "residual: the input, added to the output", fontsize=SMALL, color=SOFT, va="center")
        top, low = 138, 288
        draw_text(axes, 32, top - 17, f"{tokens} × {dim}", SMALL, SOFT)
        draw_text(axes, 40, low - 17, f"{image_tokens} × {dim}", SMALL, SOFT)
        draw_text(axes, 36, top + 18, "queries", SMALL, TOKEN[1], bold=True)
        draw_text(axes, 36, low + 18, "keys", SMALL, IMAGE[1], bold=True)
        steps = (
            (154, top, "(1)", "self-attention\namong tokens", "norm1", TOKEN, ("q", "k"), "queries_1"),
            (394, top, "(2)", "tokens attend\nto the image", "norm2", TOKEN, ("q", "k"), "queries_2"),
            (620, top, "(3)", f"MLP, each alone\n{dim} → {mlp_dim} → {dim}", "norm3", TOKEN, (), "queries_3"),
            (770, low, "(4)", "image attends\nto the tokens", "norm4", IMAGE, ("q", "k"), "keys_4"),
        )
        starts = {"(1)": 10, "(2)": 284, "(3)": 510, "(4)": 10}
        for x, y, address, text, norm, colours, encoded, result in steps:
            bare_first = first and address == "(1)"
            wide = 118 if address == "(3)" else 92
            draw_box(axes, x, y, wide, f"{address}\n{text}", colours, height=68, size=SMALL)
            draw_arrow(axes, [(starts[address], y), (x - wide / 2, y)])
            plus, after = x + wide / 2 + 24, x + wide / 2 + 66
            if bare_first:
                draw_arrow(axes, [(x + wide / 2, y), (after - 26, y)])
            else:
                draw_arrow(axes, [(x + wide / 2, y), (plus - 8, y)])
                draw_sum(axes, plus, y, SOFT, area=170, line=1.1, plus=INK, size=11)
                draw_arrow(axes, [(plus + 8, y), (after - 24, y)])
                _residual(axes, x - wide / 2 - 22, plus, y)
            draw_box(axes, after, y, 48, norm, GREY, height=30, size=SMALL)
            draw_text(axes, after + 4, y - 27, result, SMALL, SOFT)
            if encoded and not bare_first:
                _encoding_mark(axes, x + wide / 2 - 14, y - 21)
        if first:
            draw_text(axes, 154, top - 60, "block 0: no PE,\nno residual", SMALL, ENCODING)
        draw_arrow(axes, [(745, top), (984, top)])
        draw_text(axes, 958, top - 17, f"{tokens} × {dim}", SMALL, SOFT)
        draw_arrow(axes, [(906, low), (984, low)])
        draw_text(axes, 958, low - 17, f"{image_tokens} × {dim}", SMALL, SOFT)
        draw_arrow(axes, [(394, low), (394, top + 34)], "keys and\nvalues", (401, (top + low) / 2 + 24), "left")
        draw_arrow(axes, [(770, top), (770, low - 34)], "keys and\nvalues", (777, (top + low) / 2 - 4), "left")
        for dot in ((394, low), (770, top)):
            draw_junction(axes, *dot)
        note = (
            "PE: positional encoding, for queries and keys, never for values. Every tensor has one more axis in front:"
            " the prompt sets."
        )
        draw_text(axes, 500, 356, note, SMALL, SOFT)
    return Figure(
        figure,
        f"Diagram of the two-way block, block {0 if first else 1}. {tokens} tokens and {image_tokens} image tokens of"
        f" width {dim} come in. (1) Self-attention among tokens, then norm1"
        f"{'; here without' if first else ', with'} positional encodings and"
        f"{' without' if first else ''} a residual."
        " (2) The tokens attend to the image, with positional encodings; residual, then norm2. (3) An MLP on each"
        f" token, {dim} to {mlp_dim} to {dim}, residual, then norm3. (4) The image attends to the tokens of step (3),"
        " with positional encodings; residual, then norm4. Both streams keep their shapes.",
    )


def _residual(axes: Axes, start: Number, plus: Number, y: Number) -> None:
    """The dashed residual path around a step."""
    over = y - 58
    corners = [(start, y), (start, over), (plus, over), (plus, y - 9)]
    draw_path(axes, corners, head=10, linestyle=(0, (4, 2)))
    draw_junction(axes, start, y)


def _encoding_mark(axes: Axes, x: Number, y: Number) -> None:
    axes.scatter([x], [y], s=85, c="white", edgecolors=ENCODING, linewidths=1.4, zorder=5)
    axes.scatter([x], [y], s=14, c=ENCODING, zorder=6)


def vectors_before_and_after(
    panels: Mapping[str, tuple[Any, Any, Any]],
    *,
    names: tuple[str, str] = ("token", "image token"),
    title: str = "",
) -> Figure:
    """Vectors of two numbers before and after they attend to others: an arrow from before to after.

    Args:
        panels: per panel title (before, after, read), each (vectors, 2): the vectors that move, before and after, and
            those that they attend to, which stay. In the first panel the first of `names` moves, in the second
            the other, and so on in turns.
        names: of the vectors that move in the first panel, and of those that they attend to.
        title: the figure's title.
    """
    panels = as_mapping("panels", panels)
    turns = as_names("names", names, 2)
    parts = "before", "after", "read"
    given = {name: as_tuple(f"panels {name}", panel, parts) for name, panel in panels.items()}
    details = []
    with theme():
        figure = titled(title, 300, min(WIDTH, 330 * len(panels) + 30))
        row = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
        for i, (axes, (name, (before, after, read))) in enumerate(zip(row, given.items(), strict=True)):
            before = as_array(f"panels {name}, before", before, ("vectors", 2)).astype(float)
            after = as_array(f"panels {name}, after", after, before.shape).astype(float)
            read = as_array(f"panels {name}, read", read, ("vectors", 2)).astype(float)
            mover, stays = turns if i % 2 == 0 else turns[::-1]
            colour, other = (TOKEN[1], IMAGE[1]) if i % 2 == 0 else (IMAGE[1], TOKEN[1])
            axes.plot(read[:, 0], read[:, 1], "s" if i % 2 == 0 else "o", color=other, markersize=8, alpha=0.55)
            axes.plot(before[:, 0], before[:, 1], "o", markerfacecolor="white", color=colour, markersize=8)
            axes.plot(after[:, 0], after[:, 1], "o", color=colour, markersize=8)
            for j, (start, end) in enumerate(zip(before, after, strict=True)):
                arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 4, "shrinkB": 4}
                axes.annotate("", end, start, arrowprops=arrow)
                way = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
                offset: dict[str, Any] = {"textcoords": "offset points", "ha": "right" if way[0] > 0 else "left"}
                axes.annotate(
                    f"{mover} {j}", start, tuple(-9 * way), va="center", color=colour, fontsize=SMALL, **offset
                )
            for j, one in enumerate(read):
                axes.annotate(f"{stays} {j}", one, (6, -13), textcoords="offset points", color=other, fontsize=SMALL)
            axes.set_title(name)
            axes.margins(0.24, 0.16)
            axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
            axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
            how_far = np.linalg.norm(after - before, axis=1)
            details.append(f"{name}: {listed([f'{mover} {j} moves by {far:.2f}' for j, far in enumerate(how_far)])}")
    return Figure(
        figure, f"{title or 'Moves'}: vectors as points, an arrow from before to after. {'; '.join(details)}."
    )


def tokens_before_and_after(
    before: ArrayLike | Any,
    after: ArrayLike | Any,
    names: Sequence[str],
    *,
    moved: ArrayLike | Any,
    order: Select | None = None,
    label: str = "angle (degrees)",
    limit: Number = 90,
    title: str = "",
) -> Figure:
    """The tokens before and after a step, on one colour scale, and beside them how far each moved.

    Args:
        before: (tokens, channels).
        after: (tokens, channels).
        names: one per token.
        moved: (tokens,), how far each moved.
        order: the channels' numbers in the order to draw them in.
        label: how that is measured.
        limit: where the bars' axis ends at least.
        title: the figure's title.
    """
    before = as_array("before", before, ("tokens", "channels"))
    after = as_array("after", after, before.shape)
    names = as_names("names", names, len(before))
    moved = as_array("moved", moved, (len(before),)).astype(float)
    limit = as_number("limit", limit, above=0)
    if moved.min() < 0:
        raise ValueError(f"moved: expected how far each moved, which is not negative, got {moved.min():g}")
    channels = list(range(before.shape[1])) if order is None else as_indices("order", order, before.shape[1])
    if sorted(channels) != list(range(before.shape[1])):
        raise ValueError(f"order: expected each number from 0 to {before.shape[1] - 1} once, got {shorten(channels)}")
    top = strongest(np.concatenate([before, after]), 0.99)
    with theme():
        figure = titled(title, 70 + 19 * len(before))
        first, second, bars = figure.subplots(1, 3, sharey=True, gridspec_kw={"width_ratios": [4, 4, 2]})
        for axes, one, name in ((first, before, "before"), (second, after, "after")):
            norm = signed_norm(top)
            drawn = axes.imshow(one[:, channels], cmap=SIGNED, norm=norm, aspect="auto", interpolation="nearest")
            axes.hlines(np.arange(1, len(names)) - 0.5, -0.5, len(channels) - 0.5, color="white", linewidth=2)
            axes.set_title(name)
            axes.set_xlabel("channel" if order is None else "channel, sorted")
            axes.set_xticks(
                [] if order is not None else range(0, len(channels), max(1, 10 ** (len(str(len(channels))) - 1)))
            )
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        first.set_yticks(range(len(names)), names)
        for tick, name in zip(first.get_yticklabels(), names, strict=True):
            tick.set_color(for_text(token_colour(name)))
            tick.set_fontweight("bold")
        figure.colorbar(drawn, ax=[first, second], aspect=14, pad=0.01, label="value", extend="both")
        bars.barh(range(len(names)), moved, color=[token_colour(name) for name in names], height=0.7, snap=False)
        for y, value in enumerate(moved):
            bars.annotate(f"{value:.0f}", (value, y), (4, 0), textcoords="offset points", va="center", fontsize=SMALL)
        bars.set_xlim(0, 1.18 * max(limit, float(moved.max())))
        bars.set_title("how far it moved")
        bars.set_xlabel(label)
        bars.tick_params(axis="y", length=0)
    details = [f"{name} {value:.0f}" for name, value in zip(names, moved, strict=True)]
    return Figure(
        figure,
        f"{title or 'Before and after'}: two matrices of {before.shape[0]} tokens by {before.shape[1]} channels, before"
        f" and after the step, and bars of how far each token moved, {label}: {listed(details)}.",
    )


def change_over_image(
    maps: ArrayLike | Any,
    image: ArrayLike | Any,
    titles: Sequence[str],
    *,
    points: ArrayLike | Any | None = None,
    outlines: ArrayLike | Any | None = None,
    label: str = "angle (degrees)",
    title: str = "",
) -> Figure:
    """How far each image token moved, as heat maps on one scale from zero, beside the image. A ring: a click.

    Args:
        maps: (maps, height, width), or (maps, image_tokens) of a square grid.
        image: (height, width, 3).
        titles: one per map.
        points: clicks (clicks, 2) as (x, y) in the image's pixels.
        outlines: masks (masks, height, width) of the image's size whose edges are drawn, for orientation.
        label: how the change is measured.
        title: the figure's title.
    """
    image, clicks, shown = as_image(image), as_clicks(points, None), as_maps("maps", maps)
    height, width = image.shape[:2]
    titles = as_names("titles", titles, len(shown))
    edges = [] if outlines is None else list(as_masks("outlines", outlines, ("masks", height, width)))
    if shown.min() < 0:
        raise ValueError(f"maps: expected how far each moved, which is not negative, got {shown.min():.3g}")
    top = scale_end(float(shown.max()))
    with theme():
        panel = min((WIDTH - 100) / (len(shown) + 1), 230.0)
        figure = titled(title, panel * height / width + 36, panel * (len(shown) + 1) + 100)
        first, *rest = figure.subplots(1, len(shown) + 1, squeeze=False)[0]
        draw_image(first, image)
        first.set_title("the image\n")
        draw_ticks(first, clicks)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        for axes, one, name in zip(rest, shown, titles, strict=True):
            drawn = axes.imshow(one, cmap=HEAT, vmin=0.0, vmax=top, extent=extent, interpolation="nearest")
            axes.set_title(f"{name}\nmean {one.mean():.0f}, from {one.min():.0f} to {one.max():.0f}")
            draw_edges(axes, edges, 0.7, 0.7)
            draw_ticks(axes, clicks)
        for axes in (first, *rest):
            bare(axes)
        figure.colorbar(drawn, ax=rest, shrink=0.8, aspect=18, pad=0.015, label=label)
    details = []
    for name, one in zip(titles, shown, strict=True):
        details.append(f"{name}: mean {one.mean():.0f}, most ({one.max():.0f}) at {brightest(one, width, height)}")
    return Figure(
        figure,
        f"{title or 'Change'}: the image, and heat maps of how far each image token moved, {label}."
        f" {'; '.join(details)}.",
    )


def masks_by_way(
    image: ArrayLike | Any,
    ways: Mapping[str, Any],
    *,
    reference: ArrayLike | Any,
    names: Sequence[str],
    numbers: Sequence[int] | None = None,
    points: ArrayLike | Any | None = None,
    title: str = "",
) -> Figure:
    """The same prompt decoded in several ways: a row per mask, a column per way, its IoU with the reference above it.

    The image is drawn pale, so that the masks stand out.

    Args:
        image: (height, width, 3).
        ways: per way its masks (masks, height, width), of zeros and ones.
        reference: the masks to compare with, drawn as dashed lines.
        names: one per mask.
        numbers: per mask the number of its mask token, which has its own colour; 1, 2, 3 by default.
        points: clicks (clicks, 2) as (x, y).
        title: the figure's title.
    """
    image, clicks = as_image(image), as_clicks(points, None)
    size = image.shape[:2]
    expected = as_masks("reference", reference, ("masks", *size))
    names = as_names("names", names, len(expected))
    tokens = as_mask_numbers("numbers", numbers, len(expected), (1, 2, 3))
    ways = as_mapping("ways", ways)
    pale = _pale(image)
    given = {way: as_masks(f"ways {way}", masks, expected.shape) for way, masks in ways.items()}
    scores = {way: [overlap(a, b) for a, b in zip(masks, expected, strict=True)] for way, masks in given.items()}
    with theme():
        panel = min((WIDTH - 40) / len(given), 140.0)
        lines = 1 + max(way.count("\n") for way in given)
        high = panel * size[0] / size[1]
        figure = titled(title, len(expected) * (high + 20) + 15 * lines + 8, (panel + 4) * len(given) + 34)
        grid = figure.subplots(len(expected), len(given), squeeze=False)
        for x, (way, masks) in enumerate(given.items()):
            for y, axes in enumerate(grid[:, x]):
                draw_image(axes, pale)
                draw_mask(axes, masks[y], MASK_COLOURS[tokens[y]])
                if expected[y].any() and not np.array_equal(masks[y], expected[y]):
                    lines_drawn = axes.contour(expected[y], levels=[0.5], colors=[INK], linewidths=1.0)
                    lines_drawn.set_linestyle((0, (2, 1.5)))
                draw_ticks(axes, clicks)
                axes.set_title(f"{way}\nIoU {scores[way][y]:.2f}" if y == 0 else f"IoU {scores[way][y]:.2f}", pad=3)
                bare(axes)
        for axes, name in zip(grid[:, 0], names, strict=True):
            axes.set_ylabel(name)
    details = []
    for way, overlaps in scores.items():
        scored = listed([f"{name} {score:.2f}" for name, score in zip(names, overlaps, strict=True)])
        details.append(f"{' '.join(way.split())}: {scored}")
    return Figure(
        figure,
        f"{title or 'Masks'}: one click decoded in {len(given)} ways, a column each, the unchanged masks dashed. IoU"
        f" with them: {'; '.join(details)}.",
    )


def _pale(image: Array) -> Array:
    """An image half way to white, in floats."""
    full = image.astype(float) / (255 if image.dtype.kind in "ui" else 1)
    return (1 + full) / 2
