"""Figures of the two streams, tokens and image tokens, on their way through the two-way transformer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_image,
    as_maps,
    as_masks,
    as_names,
    as_weights,
)
from sam_edu.figures.kit.colours import DARK, FAINT, IMAGE, INK, PLAIN, SOFT, TOKEN, token_colour
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_frame, draw_junction, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_clicks, draw_edges
from sam_edu.figures.kit.overlay import AttentionScale, draw_attention, draw_attention_bar
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import brightest, listed
from sam_edu.prompt_checks import check_flag

_STYLES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))


# --- The structure ---


def two_way_transformer_diagram(tokens: int = 7, height: int = 64, width: int = 64, *, dim: int = 256) -> Figure:
    """Diagram of the two-way transformer of depth 2: two streams, two blocks, the last attention, and the outputs.

    Args:
        tokens: number of tokens.
        height: of the grid of image tokens.
        width: of the grid.
        dim: width of tokens and image tokens.
    """
    tokens, dim = as_count("tokens", tokens), as_count("dim", dim)
    height, width = as_count("height", height), as_count("width", width)
    count = height * width
    top, low, lane_above, lane_below = 150, 286, 78, 350
    with theme():
        figure, axes = canvas(420)
        subtitle = "two streams, two blocks, a last attention; (5) does not wait for (6-1)"
        draw_title(axes, "The two-way transformer", subtitle, y=22)
        draw_box(axes, 54, top, 98, "tokens:\npoint_\nembedding", TOKEN, height=58)
        draw_box(axes, 54, low, 98, "src:\nimage_\nembedding", IMAGE, height=58)
        draw_box(axes, 174, low, 56, "flatten,\npermute", DARK, size=SMALL)
        draw_arrow(axes, [(103, low), (146, low)], f"{dim} ×\n{height} × {width}", (126, low - 36))
        for i, left in enumerate((222, 482)):
            _block(axes, left, i, top, low)
        draw_arrow(axes, [(103, top), (232, top)], f"{tokens} × {dim}", (162, top - 10))
        draw_arrow(axes, [(436, top), (492, top)])
        draw_arrow(axes, [(696, top), (760, top)])
        draw_arrow(axes, [(202, low), (380, low)], f"{count} × {dim}", (272, low - 10))
        draw_arrow(axes, [(440, low), (640, low)], f"{count} × {dim}", (540, low - 10))
        draw_box(axes, 800, top, 80, "(6-1)  ◎\ntokens attend\nto the image", TOKEN, height=58, size=SMALL)
        draw_box(axes, 884, top, 52, "add,\nnorm", DARK, size=SMALL)
        draw_arrow(axes, [(840, top), (858, top)])
        draw_arrow(axes, [(700, low), (930, low)], f"{count} × {dim}", (864, low - 10))
        draw_arrow(axes, [(800, low), (800, top + 29)])
        draw_junction(axes, 800, low)
        draw_arrow(axes, [(910, top), (930, top)])
        draw_text(axes, 966, top - 14, "hs", 10.5, TOKEN[1], bold=True)
        draw_text(axes, 966, top + 10, f"{tokens} × {dim}\nto (6-2), (7)", SMALL, INK)
        draw_text(axes, 966, low - 14, "keys", 10.5, IMAGE[1], bold=True)
        draw_text(axes, 966, low + 10, f"{count} × {dim}\nto (5)", SMALL, INK)
        frames = ((340, 106), (600, 106), (800, top - 29))
        _encodings(axes, [(54, top - 29), (54, lane_above)], frames, TOKEN[1])
        frames = ((340, 324), (600, 324), (814, top + 29))
        _encodings(axes, [(174, low + 24), (174, lane_below)], frames, IMAGE[1])
        note = "query_pe: the tokens before block 0, the same each time"
        axes.text(190, lane_above - 10, note, fontsize=SMALL, color=TOKEN[1], va="center", zorder=5)
        note = "key_pe: the positional encodings of the grid (image_pe), flattened the same way, the same each time"
        axes.text(190, lane_below + 12, note, fontsize=SMALL, color=IMAGE[1], va="center", zorder=5)
        note = "Every tensor has one more axis in front: the prompt sets.  ◎: positional encodings are added to queries"
        note += (
            " and keys, never to values.\nIn the blocks, too, every step ends in “add, norm”. In block 0, step (1) is"
        )
        note += " the exception: no encodings, and no residual."
        draw_text(axes, 500, 396, note, SMALL, SOFT)
    return Figure(
        figure,
        f"Diagram of the two-way transformer. {tokens} tokens of width {dim}, and the image embedding, {dim} by"
        f" {height} by {width}, flattened and permuted to {count} image tokens of width {dim}, enter two blocks one"
        " after the other. In each block the tokens go through (1), (2) and (3), and then (4) rewrites the image"
        f" tokens. After block 1 the ways part: the image tokens leave as keys, {count} by {dim}, to step (5); the"
        f" tokens attend to them a last time in (6-1), are added and normalised, and leave as hs, {tokens} by {dim}, to"
        " steps (6-2) and (7). The positional encodings query_pe and key_pe enter both blocks and (6-1) unchanged.",
    )


def _block(axes: Axes, left: Number, number: int, top: Number, low: Number) -> None:
    """One block: its frame, its four steps, and the arrows between them."""
    draw_frame(axes, (left, top - 44), 236, low - top + 82)
    axes.text(left + 10, low + 24, f"layers.{number}", fontsize=SMALL, color=SOFT, va="center", zorder=4)
    first, second, third, fourth = left + 42, left + 118, left + 188, left + 188
    draw_box(
        axes,
        first,
        top,
        64,
        "(1)" + ("  ◎" if number else "") + "\nself-\nattention",
        TOKEN,
        height=66,
        size=SMALL,
    )
    draw_box(axes, second, top, 68, "(2)  ◎\ntokens\nattend to\nthe image", TOKEN, height=66, size=SMALL)
    draw_box(axes, third, top, 52, "(3)\nMLP", TOKEN, size=SMALL)
    draw_box(axes, fourth, low, 70, "(4)  ◎\nimage\nattends to\nthe tokens", IMAGE, height=66, size=SMALL)
    draw_arrow(axes, [(first + 32, top), (second - 34, top)])
    draw_arrow(axes, [(second + 34, top), (third - 26, top)])
    draw_arrow(axes, [(second, low), (second, top + 33)])
    draw_junction(axes, second, low)
    draw_arrow(axes, [(third, top + 24), (fourth, low - 33)])


def _encodings(
    axes: Axes, start: Sequence[tuple[Number, Number]], ends: Sequence[tuple[Number, Number]], colour: str
) -> None:
    """A dashed line along the lanes, from the encodings to the blocks and to the last attention."""
    y = start[-1][1]
    dashed = (0, (4, 3))
    corners = [*start, (ends[-1][0], y)]
    axes.plot(*zip(*corners, strict=True), color=colour, linewidth=1.1, linestyle=dashed, zorder=0)
    for x, target in ends:
        axes.plot([x, x], [y, target], color=colour, linewidth=1.1, linestyle=dashed, zorder=2)
        marker = "v" if target > y else "^"
        at = target - 4 if target > y else target + 4
        axes.plot(x, at, marker, color=colour, markersize=6, zorder=4)


# --- The streams through the depth ---


def similarity_by_depth(
    queries: ArrayLike | Any,
    keys: ArrayLike | Any,
    names: Sequence[str],
    *,
    outlines: ArrayLike | Any | None = None,
    title: str = "",
) -> Figure:
    """Cosine similarity of tokens and image tokens to their own start and to their own end, through the depth.

    Above, a line per token and a thick one for the image tokens' mean; below, a map per state of the image tokens.
    The cosine of two vectors is 1 where they point the same way and 0 where they are orthogonal.

    Args:
        queries: (steps, tokens, dim): the tokens at the start, after steps (1), (2), (3) of each block, and after the
            last attention (6-1).
        keys: (states, image_tokens, dim): the image tokens at the start and after step (4) of each block.
        names: one per token.
        outlines: masks (masks, height, width) whose edges are drawn on the maps, for orientation.
        title: the figure's title.
    """
    keys = as_array("keys", keys, ("states", "image_tokens", "dim")).astype(float)
    depth = len(keys) - 1
    if depth < 1:
        raise ValueError("keys: expected the start and at least one block, got one state")
    queries = as_array("queries", queries, (3 * depth + 2, "tokens", keys.shape[2])).astype(float)
    names = as_names("names", names, queries.shape[1])
    edges = [] if outlines is None else list(as_masks("outlines", outlines, ("masks", "height", "width")))
    # One tick per step. At step (4) the tokens stay what they were, at all others the image tokens do.
    steps = ["start", *(f"({i})" for _ in range(depth) for i in (1, 2, 3, 4)), "(6-1)"]
    of_queries = [0, *(3 * block + min(i, 3) for block in range(depth) for i in (1, 2, 3, 4)), len(queries) - 1]
    of_keys = [0, *(block + (i == 4) for block in range(depth) for i in (1, 2, 3, 4)), depth]
    similarity = {
        word: (_cosine(queries, queries[i]), _cosine(keys, keys[i])) for word, i in (("start", 0), ("end", -1))
    }
    low = min(0.0, *(float(one.min()) for pair in similarity.values() for one in pair))
    darkest = min(float(image_tokens.min()) for _, image_tokens in similarity.values())
    with theme():
        figure = titled(title, 520)
        halves: Any = figure.subfigures(2, 1, height_ratios=[270, 250])
        above, below = halves
        for axes, (word, (tokens, image_tokens)) in zip(
            above.subplots(1, 2, sharey=True), similarity.items(), strict=True
        ):
            for block in range(depth):
                axes.axvspan(
                    4 * block + 0.5, 4 * block + 4.5, color=FAINT, alpha=0.45 - 0.25 * (block % 2), linewidth=0
                )
                axes.text(4 * block + 2.5, 1.05, f"block {block}", ha="center", fontsize=SMALL, color=SOFT)
            for i, name in enumerate(names):
                style = _STYLES[i % len(_STYLES)]
                axes.plot(tokens[of_queries, i], color=token_colour(name), linestyle=style, linewidth=1.8, label=name)
            band = np.quantile(image_tokens, [0.1, 0.9], axis=1)[:, of_keys]
            axes.plot(image_tokens.mean(1)[of_keys], color=IMAGE[1], linewidth=3.5, label="image tokens, mean")
            axes.fill_between(
                range(len(steps)), *band, color=IMAGE[1], alpha=0.15, linewidth=0, label="the middle 80 %"
            )
            axes.set_xticks(range(len(steps)), steps, fontsize=SMALL)
            axes.set_ylim(low - 0.04, 1.14)
            axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
            axes.set_title(f"similarity to its own {word}")
            axes.grid(axis="y", alpha=0.25)
        above.axes[0].set_ylabel("cosine")
        handles, labels = above.axes[0].get_legend_handles_labels()
        above.legend(handles, labels, loc="outside lower center", ncols=len(labels), columnspacing=1.1)
        panels = list(below.subplots(1, 2 * depth - 1, squeeze=False).flat)
        # Between the same two states the cosine is the same: the map of the start as it is to the end would repeat one.
        shown = [("start", i) for i in range(1, depth + 1)] + [("end", i) for i in range(1, depth)]
        for axes, (word, i) in zip(panels, shown, strict=True):
            values = similarity[word][1][i]
            drawn = _state_map(axes, as_maps(word, values[None])[0], edges, darkest)
            axes.set_title(
                f"image tokens after block {i - 1},\nsimilarity to the {word}: mean {values.mean():.2f}",
                fontsize=SMALL,
            )
        below.colorbar(drawn, ax=panels, shrink=0.85, aspect=18, pad=0.01, label="cosine")
    each = listed([f"{name} {value:.2f}" for name, value in zip(names, similarity["start"][0][-1], strict=True)])
    return Figure(
        figure,
        f"{title or 'The streams'}: cosines of {len(names)} tokens through {len(steps) - 1} steps as lines, to their"
        " start on the left and to their end on the right, with the image tokens' mean as a thick line, and below maps"
        f" of the image tokens after each block. From start to end: {each}; the mean of"
        f" the image tokens {similarity['start'][1][-1].mean():.2f}.",
    )


def _cosine(states: Array, other: Array) -> Array:
    """(states, vectors): the cosine of each state's vectors with those of `other`."""
    size = np.linalg.norm(states, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray((states * other).sum(-1) / np.maximum(size, 1e-12))


def _state_map(axes: Axes, values: Array, edges: list[Array], low: Number) -> Any:
    height, width = edges[0].shape if edges else values.shape
    drawn = axes.imshow(
        values,
        cmap=PLAIN,
        vmin=low,
        vmax=1.0,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="nearest",
    )
    draw_edges(axes, edges, 0.7, 0.8)
    bare(axes)
    return drawn


# --- Attention through the depth ---


def attention_grid(
    weights: ArrayLike | Any,
    image: ArrayLike | Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    points: ArrayLike | Any | None = None,
    labels: ArrayLike | Any | None = None,
    outlines: ArrayLike | Any | None = None,
    per_panel: bool = False,
    title: str = "",
) -> Figure:
    """Attention maps of several tokens in several layers, over the image in grey: a row per layer, a column per token.

    All panels share one square-root scale, which stands beside them; above each stands its largest weight.

    Args:
        weights: (rows, columns, image_tokens) of a square grid.
        image: (height, width, 3).
        rows: one name per row.
        columns: one per column.
        points: clicks (clicks, 2) as (x, y) in the image's pixels; ticks point at them.
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        outlines: masks (masks, height, width) of the image's size whose edges are drawn, for orientation.
        per_panel: scale each panel to its own maximum, to compare shapes, not strengths. The figure says so.
        title: the figure's title.
    """
    rows, columns = as_names("rows", rows), as_names("columns", columns)
    weights = as_weights("weights", as_array("weights", weights, (len(rows), len(columns), "image_tokens")))
    image, clicks = as_image(image), as_clicks(points, labels)
    edges = [] if outlines is None else list(as_masks("outlines", outlines, ("masks", *image.shape[:2])))
    maps = np.stack([as_maps("weights", row) for row in weights])
    scale = AttentionScale(maps, None, check_flag("per_panel", per_panel))
    down, across = len(rows), len(columns)
    height, width = image.shape[:2]
    with theme():
        panel = min((WIDTH - 130) / across, 200.0)
        figure = titled(title, down * (panel * height / width + 22) + 20, panel * across + 130)
        grid = figure.subplots(down, across, squeeze=False)
        for (y, x), axes in np.ndenumerate(grid):
            draw_attention(axes, maps[y, x], image, edges, clicks, scale)
            axes.set_title(f"{columns[x]}\n" * (y == 0) + f"max {maps[y, x].max():.2g}", pad=3)
        for axes, name in zip(grid[:, 0], rows, strict=True):
            axes.set_ylabel(name)
        draw_attention_bar(figure, list(grid.flat), scale)
    details = []
    for name, row in zip(rows, maps, strict=True):
        spots = [f"{column} at {brightest(one, width, height)}" for column, one in zip(columns, row, strict=True)]
        details.append(f"{name}: {listed(spots)}")
    return Figure(
        figure,
        f"{title or 'Attention'}: attention of {len(columns)} tokens in {down} rows, over the image in grey,"
        f" {scale.in_words}. Brightest positions as (x, y): {'; '.join(details)}.",
    )
