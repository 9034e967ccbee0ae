"""Figures of the hypernetwork's product: a logit as a sum, a mask channel by channel, features against weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_multiple, as_number
from sam_edu.choices import name_largest
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_image,
    as_mapping,
    as_mask_numbers,
    as_masks,
    as_names,
    as_tuple,
)
from sam_edu.figures.kit.colours import ABOVE, BELOW, EDGE, FAINT, GROUPS, IMAGE, INK, MASK_COLOURS, OUT, SOFT, TOKEN
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_clicks, draw_image, draw_mask, draw_ticks
from sam_edu.figures.kit.scales import draw_signed, strongest
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import listed, prompts_in_words, share
from sam_edu.prompt_checks import check_flag
from sam_edu.selections import Select, as_indices


def hypernetwork_diagram(masks: int = 4, height: int = 64, width: int = 64, *, dim: int = 256) -> Figure:
    """Diagram of the hypernetwork: steps (6-2) and (6-3), and the branch (5) that they meet.

    Args:
        masks: number of mask tokens.
        height: of the grid of image tokens.
        width: of the grid.
        dim: width of tokens and image tokens; a multiple of 8.
    """
    masks, dim = as_count("masks", masks), as_multiple("dim", dim, 8)
    height, width = as_count("height", height), as_count("width", width)
    channels, high, wide = dim // 8, 4 * height, 4 * width
    lane, low = 62 + 17 * (masks - 1), 112 + 34 * masks
    with theme():
        figure, axes = canvas(low + 84)
        subtitle = "mask tokens become weights, image tokens become features"
        draw_title(axes, "The hypernetwork and its product", subtitle)
        draw_box(axes, 62, lane, 100, "tokens hs\n(6-1)", TOKEN)
        draw_box(axes, 236, lane, 116, f"cut out the\n{masks} mask tokens", TOKEN)
        draw_arrow(axes, [(112, lane), (178, lane)], f"tokens\n× {dim}", (144, lane - 18))
        for i in range(masks):
            y = lane + 34 * (i - (masks - 1) / 2)
            draw_box(axes, 478, y, 196, f"MLP {i}: {dim} → {dim} → {dim} → {channels}", OUT, height=26, size=SMALL)
            draw_arrow(axes, [(294, lane), (320, lane), (320, y), (380, y)])
            draw_arrow(axes, [(576, y), (632, y), (632, lane), (664, lane)])
        draw_text(axes, 340, lane - 17 * masks + 2, f"{dim} each", SMALL, SOFT)
        axes.text(478, lane + 17 * masks + 14, "(6-2)", fontsize=10.5, fontweight="bold", color=OUT[1], ha="center")
        draw_box(axes, 722, lane, 116, f"weights hyper_in\n{masks} × {channels}", OUT)
        draw_box(axes, 62, low, 100, "image tokens\nkeys", IMAGE)
        draw_box(axes, 300, low, 150, f"(5) upscaling\n{dim} → {channels} channels", IMAGE)
        draw_box(axes, 560, low, 150, f"features\n{channels} × {high} × {wide}", IMAGE)
        draw_arrow(axes, [(112, low), (225, low)], f"{height * width} × {dim}", (168, low - 12))
        draw_arrow(axes, [(375, low), (485, low)])
        draw_box(axes, 790, low, 150, "(6-3) at every pixel:\nweights · features", OUT)
        draw_arrow(axes, [(635, low), (715, low)], f"{channels}\nper pixel", (673, low - 18))
        draw_arrow(axes, [(780, lane), (790, lane), (790, low - 24)], f"{masks} × {channels}", (796, low - 62), "left")
        draw_box(axes, 945, low, 96, f"logits\n{masks} × {high} × {wide}", OUT)
        draw_arrow(axes, [(865, low), (897, low)])
        note = "Every tensor has one more axis in front: the prompt sets. There is no bias and no activation in (6-3)."
        draw_text(axes, 500, low + 66, note, SMALL, SOFT)
    return Figure(
        figure,
        f"Diagram of the hypernetwork. The {masks} mask tokens are cut out of the tokens after step (6-1). Each goes"
        f" through an MLP of its own, {dim} to {dim} to {dim} to {channels}: step (6-2). Together they are the weights"
        f" hyper_in, {masks} by {channels}. The image tokens, {height * width} by {dim}, are upscaled in step (5) to"
        f" features, {channels} by {high} by {wide}. In step (6-3) weights and features are multiplied and summed at"
        f" every pixel, which gives logits, {masks} by {high} by {wide}.",
    )


def logit_waterfall(
    contributions: Mapping[str, ArrayLike | Any],
    *,
    title: str = "",
    label: str = "channel, the largest term first",
) -> Figure:
    """Sums term by term, as staircases: each bar starts where the one before ended, up in red and down in blue.

    Args:
        contributions: per sum its terms (channels,). They are drawn by their size, the largest first.
        title: the figure's title.
        label: the name of the horizontal axis.
    """
    contributions = as_mapping("contributions", contributions)
    given = {
        name: as_array(f"contributions {name}", one, ("channels",)).astype(float) for name, one in contributions.items()
    }
    with theme():
        figure = titled(title, 20 + 158 * len(given))
        rows = figure.subplots(len(given), 1, squeeze=False)[:, 0]
        for axes, (name, terms) in zip(rows, given.items(), strict=True):
            order = np.argsort(-np.abs(terms), kind="stable")
            ends = np.cumsum(terms[order])
            starts = ends - terms[order]
            colours = [ABOVE if term > 0 else BELOW for term in terms[order]]
            axes.bar(range(len(terms)), ends - starts, bottom=starts, color=colours, width=0.78, snap=False)
            axes.step(np.arange(len(terms) + 1) - 0.5, [0.0, *ends], where="post", color=SOFT, linewidth=0.7)
            axes.axhline(0.0, color=INK, linewidth=0.9)
            axes.axhline(ends[-1], color=INK, linewidth=0.9, linestyle="--")
            axes.set_xlim(-0.7, len(terms) - 0.3)
            low, high = min(0.0, ends.min()), max(0.0, ends.max())
            axes.set_ylim(low - 0.07 * (high - low), high + 0.07 * (high - low) or 1.0)
            axes.set_xticks(range(len(terms)), [str(i) for i in order], fontsize=SMALL)
            axes.set_ylabel("sum so far")
            axes.set_title(f"{name}: the sum is {ends[-1]:.2f} (dashed)", loc="left")
        rows[-1].set_xlabel(label)
    details = [
        f"{name}: {(terms > 0).sum()} terms up, together {terms[terms > 0].sum():.1f}, {(terms < 0).sum()} down,"
        f" together {terms[terms < 0].sum():.1f}, sum {terms.sum():.2f}, largest channel"
        f" {name_largest(np.abs(terms), [str(i) for i in range(len(terms))])}"
        for name, terms in given.items()
    ]
    return Figure(figure, f"{title or 'Sums as staircases'}: {'; '.join(details)}.")


def map_sequence(
    frames: ArrayLike | Any,
    names: Sequence[str],
    *,
    image: ArrayLike | Any | None = None,
    final: ArrayLike | Any | None = None,
    columns: int = 6,
    line: bool = True,
    block: int = 4,
    label: str = "logit so far",
    title: str = "",
) -> Figure:
    """A sequence of maps on one colour scale, with a line where each is zero.

    Args:
        frames: (frames, height, width).
        names: one per frame.
        image: (height, width, 3), drawn first.
        final: mask (height, width) whose edge is drawn dashed into each frame.
        columns: panels in a row.
        line: draw the line where a map is zero.
        block: the line follows means over so many rows and columns, where they divide the map, since single pixels
            flicker around zero.
        label: the name of what the colours show.
        title: the figure's title.
    """
    frames = as_array("frames", frames, ("frames", "height", "width")).astype(float)
    names = as_names("names", names, len(frames))
    height, width = frames.shape[1:]
    mask = None if final is None else as_masks("final", final, (height, width))
    columns, block, line = as_count("columns", columns), as_count("block", block), check_flag("line", line)
    shown = None if image is None else as_image(image)
    first = 0 if shown is None else 1
    limit = strongest(frames, 0.99)
    with theme():
        across = min(columns, len(frames) + first)
        down = math.ceil((len(frames) + first) / across)
        panel = (WIDTH - 100) / max(across, 3)
        lines = 1 + max(name.count("\n") for name in names)
        figure = titled(title, down * (panel * height / width + 8 + 13 * lines), panel * across + 100)
        grid = figure.subplots(down, across, squeeze=False)
        for i, axes in enumerate(grid.flat):
            one = i - first
            if one >= len(frames):
                axes.set_axis_off()
                continue
            if shown is not None and one < 0:
                draw_image(axes, shown)
                axes.set_title("the image", fontsize=SMALL, pad=3)
            else:
                drawn = draw_signed(axes, frames[one], limit)
                if line:
                    _zero_line(axes, frames[one], block)
                axes.set_title(names[one], fontsize=SMALL, pad=3)
            if mask is not None:
                _final_edge(axes, mask)
            bare(axes)
        figure.colorbar(drawn, ax=list(grid.flat), shrink=0.7, aspect=24, pad=0.015, label=label, extend="both")
    details = [f"{name} above zero on {share(one > 0)}" for name, one in zip(names, frames, strict=True)]
    alt = f"{title or 'A film strip'}: {len(frames)} maps on one colour scale"
    alt += ", with a line where each is zero" if line else ""
    alt += ", dashed the edge of the final mask. " if mask is not None else ". "
    return Figure(figure, alt + f"{'; '.join(details)}.".replace("\n", ", "))


def _zero_line(axes: Axes, values: Array, block: int) -> None:
    """Where the means over blocks change their sign."""
    height, width = values.shape
    if height % block or width % block or min(height, width) < 8 * block:
        block = 1
    means = values.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    if (means > 0).any() and not (means > 0).all():
        x, y = ((np.arange(size // block) + 0.5) * block - 0.5 for size in (width, height))
        axes.contour(x, y, means, levels=[0.0], colors=[INK], linewidths=0.9)


def _final_edge(axes: Axes, mask: Array) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[EDGE], linewidths=1.3, linestyles=["dashed"])


def channel_scatter(
    across: ArrayLike | Any,
    upward: ArrayLike | Any,
    *,
    groups: Mapping[str, Select] | None = None,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """Scatter plot of channels by two numbers, chosen ones in colour; numbers at those chosen or far from the origin.

    Args:
        across: (channels,).
        upward: (channels,).
        groups: per name the channels to colour; at most three names.
        xlabel: what `across` is.
        ylabel: what `upward` is.
        title: the figure's title.
    """
    x = as_array("across", across, ("channels",)).astype(float)
    y = as_array("upward", upward, x.shape).astype(float)
    named = {} if groups is None else as_mapping("groups", groups)
    if len(named) > len(GROUPS):
        raise ValueError(f"groups: expected at most {len(GROUPS)}, one colour each, got {len(named)}")
    members_of = {name: as_indices(f"groups {name}", members, len(x)) for name, members in named.items()}
    with theme():
        figure = titled(title, 350, 640)
        axes = figure.subplots()
        axes.axhline(0.0, color=FAINT, linewidth=0.9, zorder=0)
        axes.axvline(0.0, color=FAINT, linewidth=0.9, zorder=0)
        axes.plot(x, y, "o", color=FAINT, markersize=5)
        chosen: set[int] = set()
        for (name, members), colour, marker in zip(members_of.items(), GROUPS, "sDo", strict=False):
            axes.plot(x[members], y[members], marker, color=colour, markersize=8, label=name)
            chosen |= set(members)
        far = np.hypot(x / (np.abs(x).max() or 1.0), y / (np.abs(y).max() or 1.0)) > 0.35
        for i in range(len(x)):
            if i not in chosen and not far[i]:
                continue  # near the origin numbers would cover each other
            axes.annotate(
                str(i),
                (x[i], y[i]),
                (5, 4),
                textcoords="offset points",
                fontsize=10.5 if i in chosen else SMALL,
                fontweight="bold" if i in chosen else "normal",
                color=INK if i in chosen else SOFT,
            )
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.margins(0.08)
        if members_of:
            figure.legend(loc="outside right upper")
    details = [f"{name}: {listed([f'channel {i}' for i in members])}" for name, members in members_of.items()]
    alt = f"{title or 'Channels by two numbers'}: {len(x)} dots; {xlabel} from {x.min():.2g} to {x.max():.2g}, {ylabel}"
    return Figure(figure, f"{alt} from {y.min():.2g} to {y.max():.2g}. {'; '.join(details)}".rstrip(". ") + ".")


def mask_grid(
    image: ArrayLike | Any,
    masks: ArrayLike | Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    notes: Sequence[Sequence[str]] | None = None,
    clicks: Mapping[str, Any] | None = None,
    numbers: Sequence[int] | None = None,
    size: Number = 200,
    title: str = "",
) -> Figure:
    """Masks in rows and columns, one for each combination of a row and a column.

    Args:
        image: (height, width, 3).
        masks: (rows, columns, height, width), of zeros and ones.
        rows: one name per row.
        columns: one per column.
        notes: per row and column a line above the panel.
        clicks: per letter or word a position (2,) as (x, y), drawn as a click with its word.
        numbers: per column the number of its mask token, which has its own colour; 1 everywhere by default.
        size: largest width of a panel, in pixels.
        title: the figure's title.
    """
    image, size = as_image(image), as_number("size", size, above=0)
    rows, columns = as_names("rows", rows), as_names("columns", columns)
    masks = as_masks("masks", masks, (len(rows), len(columns), *image.shape[:2]))
    lines_of = [[""] * len(columns)] * len(rows) if notes is None else as_tuple("notes", notes, tuple(rows))
    written = [as_names("notes", line, len(columns)) for line in lines_of]
    tokens = as_mask_numbers("numbers", numbers, len(columns), [1])
    at = {} if clicks is None else as_mapping("clicks", clicks)
    placed = {word: as_clicks([as_array(f"clicks {word}", one, (2,))], None, name="clicks") for word, one in at.items()}
    with theme():
        panel = min((WIDTH - 60) / len(columns), size)
        lines = 1 if notes is None else 2
        high = panel * image.shape[0] / image.shape[1] + 10 + 14 * lines
        figure = titled(title, high * len(rows) + 14, max(panel * len(columns) + 60, 420))
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        for (y, x), axes in np.ndenumerate(grid):
            draw_image(axes, image)
            draw_mask(axes, masks[y, x], MASK_COLOURS[tokens[x]])
            for word, click in placed.items():
                draw_ticks(axes, click)
                axes.annotate(
                    word,
                    click[0][:2],
                    (7, 5),
                    textcoords="offset points",
                    fontsize=10,
                    fontweight="bold",
                    color="white",
                    bbox={"boxstyle": "round,pad=0.15", "facecolor": INK, "edgecolor": "none"},
                    zorder=7,
                )
            axes.set_title("\n".join(part for part in (columns[x] if y == 0 else "", written[y][x]) if part), pad=4)
            bare(axes)
            if x == 0:
                axes.set_ylabel(rows[y])
    where = "; ".join(f"{word}: {prompts_in_words(click)}" for word, click in placed.items())
    details = [
        f"{rows[y]} with {columns[x]}: {share(masks[y, x])}" + (f", {written[y][x]}" if written[y][x] else "")
        for y, x in np.ndindex(len(rows), len(columns))
    ]
    alt = f"{title or 'Masks in rows and columns'}: {where + '. ' if where else ''}{'; '.join(details)}."
    return Figure(figure, alt.replace("\n", " "))
