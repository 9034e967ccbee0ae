"""Figures of what comes after the decoder: resizing, the way back to the image, corrections, all masks at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count, as_number
from sam_edu.arrays import as_numbers
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_image,
    as_interval,
    as_mapping,
    as_mask_numbers,
    as_masks,
    as_tuple,
)
from sam_edu.figures.kit.colours import (
    EDGE,
    FAINT,
    IMAGE,
    INK,
    MASK_COLOURS,
    NEGATIVE,
    OUT,
    POSITIVE,
    SERIES,
    SOFT,
    TOKEN,
    series_colours,
)
from sam_edu.figures.kit.diagram import canvas, draw_arrow, draw_box, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import Click, as_clicks, draw_image, draw_mask, draw_outline, draw_ticks, overlap
from sam_edu.figures.kit.scales import draw_signed
from sam_edu.figures.kit.theme import SMALL, WIDTH, bare, theme, titled
from sam_edu.figures.kit.words import listed, share
from sam_edu.image_checks import as_size
from sam_edu.prompt_checks import check_flag

Size = tuple[int, int]


def postprocessing_diagram(height: int = 300, width: int = 451, *, side: int = 1024, low: int = 256) -> Figure:
    """Diagram of preprocessing and postprocessing: image and click into the model's square, logits back to the image.

    Args:
        height: of the image.
        width: of the image.
        side: of the square that the image encoder sees.
        low: of the decoder's square of logits.
    """
    height, width = as_count("height", height), as_count("width", width)
    side, low = as_count("side", side), as_count("low", low)
    scale = side / max(height, width)
    tall, wide = int(height * scale + 0.5), int(width * scale + 0.5)
    lanes = 74, 172, 270
    with theme():
        figure, axes = canvas(332)
        draw_title(axes, "Preprocessing and postprocessing", "every size is height × width; a click is (x, y)")
        there, click, back = lanes
        draw_box(axes, 70, there, 120, f"the image\n{height} × {width}", IMAGE)
        draw_box(axes, 268, there, 150, f"longer side to {side}\n{tall} × {wide}", IMAGE)
        draw_box(axes, 492, there, 168, f"pad right and below\n{side} × {side}", IMAGE)
        draw_box(axes, 734, there, 130, "image encoder,\nonce per image", IMAGE)
        draw_arrow(axes, [(130, there), (193, there)], f"× {scale:.3g}", (161, there - 11))
        draw_arrow(axes, [(343, there), (408, there)])
        draw_arrow(axes, [(576, there), (669, there)])
        draw_box(axes, 70, click, 120, "a click\n(x, y)", TOKEN)
        draw_box(axes, 268, click, 150, f"x × {wide} / {width}\ny × {tall} / {height}", TOKEN)
        draw_box(axes, 492, click, 168, f"+ 0.5, then / {side}\n(notebook 03)", TOKEN)
        draw_arrow(axes, [(130, click), (193, click)])
        draw_arrow(axes, [(343, click), (408, click)])
        draw_arrow(axes, [(576, click), (843, click)], "encoded: prompt tokens", (710, click - 11))
        draw_box(axes, 918, click, 150, "mask decoder,\nonce per click", OUT)
        draw_arrow(axes, [(799, there), (918, there), (918, click - 24)], "image embedding", (862, there - 11))
        draw_box(axes, 918, back, 150, f"logits\n{low} × {low}", OUT)
        draw_arrow(axes, [(918, click + 24), (918, back - 24)])
        draw_box(axes, 710, back, 150, f"enlarge, bilinear\n{side} × {side}", OUT)
        draw_box(axes, 508, back, 150, f"cut the padding off\n{tall} × {wide}", OUT)
        draw_box(axes, 300, back, 150, f"resize, bilinear\n{height} × {width}", OUT)
        draw_box(axes, 92, back, 150, f"threshold: > 0\n{height} × {width}, bool", OUT)
        for start, end in ((843, 785), (635, 583), (433, 375), (225, 167)):
            draw_arrow(axes, [(start, back), (end, back)])
        note = "Only the encoders and the decoder are learned. Logits and masks have two more axes in front."
        draw_text(axes, 500, 320, note, SMALL, SOFT)
    return Figure(
        figure,
        f"Diagram of preprocessing and postprocessing. The image, {height} by {width}, is scaled by {scale:.3g} to"
        f" {tall} by {wide}, padded on the right and below to {side} by {side}, and goes through the image encoder. A"
        f" click is scaled in the same way, x by {wide} / {width} and y by {tall} / {height}; the prompt encoder adds"
        f" 0.5 and divides by {side}. Both meet in the mask decoder. Then logits of {low} by {low} are enlarged to"
        f" {side} by {side}, the padding is cut off, {tall} by {wide}, they are resized to {height} by {width}, and the"
        f" threshold at 0 makes the mask.",
    )


def resampled_line(
    values: ArrayLike | Any, ways: Mapping[str, tuple[ArrayLike | Any, ArrayLike | Any]], *, title: str = ""
) -> Figure:
    """Interpolation on a line: the given numbers, and the values computed between them, a panel per way.

    Args:
        values: (n,), number i lies over the pixel from i to i + 1, drawn at its middle.
        ways: per name the positions (m,), in units of these pixels, and the values computed there (m,).
        title: the figure's title.
    """
    values = as_array("values", values, ("n",)).astype(float)
    given = {
        name: as_tuple(f"ways {name}", way, ("positions", "values")) for name, way in as_mapping("ways", ways).items()
    }
    middles = np.arange(len(values)) + 0.5
    details = []
    with theme():
        figure = titled(title, 250, min(WIDTH, 60 + 420 * len(given)))
        for axes, (name, (positions, found)) in zip(
            figure.subplots(1, len(given), squeeze=False, sharey=True)[0], given.items(), strict=True
        ):
            at = as_array(f"ways {name}, positions", positions, ("m",)).astype(float)
            computed = as_array(f"ways {name}, values", found, at.shape).astype(float)
            axes.axhline(0, color=SOFT, linewidth=0.9)
            for i in range(len(values) + 1):
                axes.axvline(i, color=FAINT, linewidth=0.9, zorder=0)
            ends = [0.0, *middles, float(len(values))]
            axes.plot(ends, [values[0], *values, values[-1]], color=SERIES[0], linewidth=1.2, zorder=1)
            axes.plot(middles, values, "o", color=SERIES[0], markersize=11, label="given", zorder=2)
            axes.plot(at, computed, "D", color=SERIES[1], markeredgecolor=INK, markersize=5.5, label="new", zorder=3)
            axes.set_title(name)
            axes.set_xlabel("position, in pixels of the small line")
            axes.set_xticks(range(len(values) + 1))
            details.append(
                f"{name}: at {', '.join(f'{x:.2f}' for x in at)} are {', '.join(f'{y:.2f}' for y in computed)}"
            )
        figure.axes[0].set_ylabel("logit")
        figure.axes[0].legend()
    numbers = ", ".join(f"{value:g}" for value in values)
    return Figure(
        figure,
        f"{title or 'A line, resampled'}: {numbers} in the middles of {len(values)} pixels. {'; '.join(details)}.",
    )


def sized_maps(
    maps: Mapping[str, ArrayLike | Any],
    *,
    image: ArrayLike | Any | None = None,
    frame: Size | None = None,
    number: int = 1,
    limit: Number = 6,
    title: str = "",
) -> Figure:
    """Logits of several sizes in a row, all drawn to the same scale, with the line where they are zero.

    Args:
        maps: per name a map (height, width).
        image: (height, width, 3): the image, drawn last, with the mask of the last map.
        frame: height and width of the image within the padding, drawn into the maps that
            are not of this size, but not into the last.
        number: of the mask, whose colour it gets.
        limit: the colours end here.
        title: the figure's title.
    """
    limit = as_number("limit", limit, above=0)
    around = None if frame is None else as_size("frame", frame)
    given = {
        name: as_array(f"maps {name}", one, ("height", "width")).astype(float)
        for name, one in as_mapping("maps", maps).items()
    }
    shown = None if image is None else as_image(image)
    last = list(given.values())[-1]
    [token] = as_mask_numbers("number", [number], 1, [1])
    if shown is not None and shown.shape[:2] != last.shape:
        raise ValueError(f"image: expected the size of the last map, {last.shape}, got {shown.shape[:2]}")
    sizes = [one.shape for one in given.values()] + ([last.shape] if shown is not None else [])
    across = sum(size[1] for size in sizes)
    scale = (WIDTH - 90 - 12 * len(sizes)) / across
    high = max(size[0] for size in sizes)
    with theme():
        figure = titled(title, scale * high + 54)
        panels = figure.subplots(1, len(sizes), squeeze=False, gridspec_kw={"width_ratios": [s[1] for s in sizes]})[0]
        for i, (axes, (name, one)) in enumerate(zip(panels, given.items(), strict=False)):
            drawn = draw_signed(axes, one, limit)
            draw_outline(axes, one > 0, INK, width=0.9)
            if around is not None and i < len(given) - 1 and one.shape != around:
                axes.add_patch(
                    Rectangle((-0.5, -0.5), around[1], around[0], fill=False, edgecolor=EDGE, linestyle="--")
                )
            axes.set_title(f"{name}\n{one.shape[0]} × {one.shape[1]}")
        if shown is not None:
            draw_image(panels[-1], shown)
            draw_mask(panels[-1], last > 0, MASK_COLOURS[token])
            panels[-1].set_title("mask: > 0\n" + f"{last.shape[0]} × {last.shape[1]}")
        for axes in panels:
            _same_scale(axes, high)
        figure.colorbar(drawn, ax=list(panels), shrink=0.8, aspect=22, pad=0.01, label="logit", extend="both")
    details = [f"{name}, {one.shape[0]} by {one.shape[1]}, above 0 on {share(one > 0)}" for name, one in given.items()]
    alt = f"{title or 'Maps of several sizes'}: {'; '.join(details)}."
    alt += " Last: the image with the mask." if shown is not None else ""
    return Figure(figure, alt + (" Dashed: where the image ends and the padding begins." if around else ""))


def _same_scale(axes: Axes, high: int) -> None:
    """All panels as high as the highest, so that a pixel is as large in each; what is beyond stays white."""
    axes.set_ylim(high - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def corrections(
    image: ArrayLike | Any,
    ways: Mapping[str, ArrayLike | Any],
    truth: ArrayLike | Any,
    *,
    clicks: Mapping[str, ArrayLike | Any],
    labels: Mapping[str, Sequence[int]],
    numbers: Mapping[str, Sequence[int]] | None = None,
    first: int = 1,
    columns: int = 6,
    zoom: bool = False,
    title: str = "",
) -> Figure:
    """Masks after one click, two, three ...: a row per way, the ground truth dashed, the IoU above each panel.

    Args:
        image: (height, width, 3).
        ways: per name the masks (rounds, height, width) after each click.
        truth: (height, width), the ground truth.
        clicks: per name (rounds, 2) as (x, y), in the order of clicking.
        labels: per name (rounds,): 1 positive, 0 negative.
        numbers: per name and round the number of the mask, whose colour it gets; 0 by default, the mask of a prompt
            set that is not ambiguous.
        first: the number of clicks to begin with; the clicks before are drawn.
        columns: how many rounds to show at most.
        zoom: show the part of the image around the ground truth, the masks and the clicks.
        title: the figure's title.
    """
    ways = as_mapping("ways", ways)
    for word, one in (("clicks", clicks), ("labels", labels), ("numbers", ways if numbers is None else numbers)):
        if set(as_mapping(word, one)) != set(ways):
            names = ", ".join(map(repr, ways))
            raise ValueError(f"{word}: expected the names of `ways`, {names}, got {', '.join(map(repr, one))}")
    columns, first, zoom = as_count("columns", columns), as_count("first", first), check_flag("zoom", zoom)
    image = as_image(image)
    target = as_masks("truth", truth, image.shape[:2])
    given = {name: as_masks(f"ways {name}", one, ("rounds", *image.shape[:2])) for name, one in ways.items()}
    placed = {name: as_clicks(clicks[name], labels[name], name=f"clicks {name}".strip()) for name in ways}
    for name, masks in given.items():
        if len(placed[name]) != len(masks):
            raise ValueError(f"clicks {name}: expected {len(masks)}, one per round, got {len(placed[name])}")
    tokens = {
        name: as_mask_numbers(f"numbers {name}", None if numbers is None else numbers[name], len(masks), [0])
        for name, masks in given.items()
    }
    most = max(len(masks) for masks in given.values())
    if first > most:
        raise ValueError(f"first: expected a number from 1 to that of the rounds, {most}, got {first}")
    across = min(columns, most - first + 1)
    drawn = np.concatenate([target[None], *(masks[first - 1 : first - 1 + columns] for masks in given.values())])
    window = _window(drawn, [click for one in placed.values() for click in one[: first - 1 + columns]], zoom)
    details = []
    with theme():
        panel = min((WIDTH - 40) / max(across, 3), 230.0)
        high = panel * (window[3] - window[1]) / (window[2] - window[0])
        figure = titled(title, len(given) * (high + 24) + 8, (panel + 4) * across + 34)
        grid = figure.subplots(len(given), across, squeeze=False)
        for y, (name, masks) in enumerate(given.items()):
            scores = [overlap(mask, target) for mask in masks]
            for i, axes in enumerate(grid[y], start=first - 1):
                if i >= len(masks):
                    axes.set_axis_off()
                    continue
                _round(axes, image, masks[i], MASK_COLOURS[tokens[name][i]], target, placed[name][: i + 1])
                axes.set_xlim(window[0], window[2])
                axes.set_ylim(window[3], window[1])
                number = f"{i + 1} click{'s' if i else ''}: " if y == 0 else ""
                axes.set_title(f"{number}IoU {scores[i]:.2f}", pad=3)
            grid[y, 0].set_ylabel(name)
            shown = scores[first - 1 : first - 1 + across]
            details.append(f"{name}: IoU ".removeprefix(": ") + ", ".join(f"{score:.2f}" for score in shown))
    return Figure(
        figure,
        f"{title or 'Corrections'}: masks after {first} to {first + across - 1} clicks, a row each; dashed the"
        f" ground truth; the newest click has ticks around it. {'; '.join(details)}.",
    )


def _round(axes: Axes, image: Array, mask: Array, colour: str, target: Array, clicks: list[Click]) -> None:
    draw_image(axes, image)
    draw_mask(axes, mask, colour, fill=0.35)
    draw_outline(axes, target, INK, width=1.2, dashed=True)
    for x, y, label in clicks[:-1]:
        axes.scatter(
            [x], [y], s=26, c=POSITIVE if label == 1 else NEGATIVE, edgecolors="white", linewidths=0.9, zorder=4
        )
    draw_ticks(axes, clicks[-1:])
    bare(axes)


def _window(masks: Array, clicks: list[Click], zoom: bool) -> tuple[float, float, float, float]:
    """The square around all masks and clicks, with a margin, within the image: (x0, y0, x1, y1)."""
    height, width = masks.shape[1:]
    whole = -0.5, -0.5, width - 0.5, height - 0.5
    if not zoom:
        return whole
    ys, xs = np.nonzero(masks.any(axis=0))
    across = [*xs, *(x for x, _, _ in clicks)]
    down = [*ys, *(y for _, y, _ in clicks)]
    side = min(max(max(across) - min(across), max(down) - min(down)) + 24.0, width, height)
    x0 = float(np.clip((max(across) + min(across) - side) / 2, -0.5, width - 0.5 - side))
    y0 = float(np.clip((max(down) + min(down) - side) / 2, -0.5, height - 0.5 - side))
    return x0, y0, x0 + side, y0 + side


def many_masks(
    image: ArrayLike | Any,
    groups: Mapping[str, ArrayLike | Any],
    *,
    points: ArrayLike | Any | None = None,
    title: str = "",
) -> Figure:
    """Many masks drawn over each other, the largest lowest, each in a colour of its own, a panel per group.

    Args:
        image: (height, width, 3).
        groups: per panel its masks (masks, height, width), perhaps none of them.
        points: (points, 2) as (x, y), drawn as dots in a first panel.
        title: the figure's title.
    """
    image = as_image(image)
    given: dict[str, Array] = {}
    for name, masks in as_mapping("groups", groups).items():
        word, size = f"groups {name}", image.shape[:2]
        empty = as_numbers(word, masks).shape == (0, *size)
        given[name] = np.zeros((0, *size), bool) if empty else as_masks(word, masks, ("masks", *size))
    dots = None if points is None else as_array("points", points, ("points", 2))
    count = len(given) + (dots is not None)
    with theme():
        panel = min((WIDTH - 10) / max(count, 3), 300.0)
        high = panel * image.shape[0] / image.shape[1]
        figure = titled(title, high + 26, (panel + 4) * count + 6)
        panels = list(figure.subplots(1, count, squeeze=False)[0])
        if dots is not None:
            draw_image(panels[0], image)
            panels[0].plot(*dots.T, "o", color="white", markeredgecolor=INK, markersize=4.2, markeredgewidth=0.8)
            panels[0].set_title(f"{len(dots)} clicks")
            bare(panels.pop(0))
        for axes, (name, masks) in zip(panels, given.items(), strict=True):
            draw_image(axes, np.full_like(image, 255) if image.dtype.kind == "u" else np.ones_like(image))
            axes.imshow(image, alpha=0.35)
            for i, mask in enumerate(sorted(masks > 0, key=lambda one: -float(one.sum()))):
                draw_mask(axes, mask, _colour(i), fill=0.5)
            axes.set_title(f"{name}: {len(masks)}")
            bare(axes)
    details = [f"{name}: {len(masks)}, {share(_any(masks))} covered" for name, masks in given.items()]
    alt = f"{title or 'Many masks'}: " + (f"an image with a grid of {len(dots)} clicks; " if dots is not None else "")
    return Figure(figure, f"{alt}masks laid over each other, {listed(details)}.")


def _any(masks: Array) -> Array:
    return np.asarray((masks > 0).any(axis=0))  # of no masks: nowhere


def _colour(number: int) -> str:
    """Colours that differ from their neighbours, and in lightness too."""
    turn = 0.61803398875 * number % 1.0
    red, green, blue = hsv_to_rgb((turn, 0.75, (0.95, 0.7, 0.5)[number % 3]))
    return f"#{round(255 * red):02X}{round(255 * green):02X}{round(255 * blue):02X}"


def means_with_intervals(
    series: Mapping[str, Mapping[str, Sequence[Number]]],
    *,
    label: str = "mean IoU",
    title: str = "",
) -> Figure:
    """Means with their intervals, a row per name and a mark per series, from zero to one.

    Args:
        series: per series and per name (mean, low, high), or any sequence that begins so.
        label: what is measured.
        title: the figure's title.
    """
    rows_of = {key: as_mapping(f"series {key}".strip(), one) for key, one in as_mapping("series", series).items()}
    names = list(next(iter(rows_of.values())))
    if any(list(one) != names for one in rows_of.values()) or len(rows_of) > len(MASK_COLOURS):
        raise ValueError(
            "series: expected the same names in each, and at most four series, got "
            + "; ".join(f"{key}: {', '.join(map(str, one))}" for key, one in rows_of.items())
        )
    values = {}
    for key, one in rows_of.items():
        values[key] = np.array([as_interval(f"series {key}, {name}", one[name]) for name in names])
        low, high = float(values[key].min()), float(values[key].max())
        if low < 0 or high > 1:
            raise ValueError(
                f"series {key}: expected numbers from 0 to 1, got {low:g} to {high:g}; `effects` draws others"
            )
    details = []
    with theme():
        figure = titled(title, 70 + (12 + 15 * len(values)) * len(names), WIDTH * 0.86)
        axes = figure.subplots()
        for j, ((key, rows), colour) in enumerate(zip(values.items(), series_colours(values), strict=True)):
            at = np.arange(len(names)) + (j - (len(values) - 1) / 2) * 0.7 / len(values)
            axes.hlines(at, rows[:, 1], rows[:, 2], color=colour, linewidth=2.4)
            axes.plot(rows[:, 0], at, "osD^"[j], color=colour, markeredgecolor=INK, markersize=6.5, label=key)
            for y, mean, end in zip(at, rows[:, 0], rows[:, 2], strict=True):
                axes.annotate(f"{mean:.2f}", (end, y), (5, 0), textcoords="offset points", va="center", fontsize=SMALL)
            details.append(f"{key}: " + ", ".join(f"{n} {m:.2f}" for n, m in zip(names, rows[:, 0], strict=True)))
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"{label}, and its 95 % interval")
        axes.grid(axis="x", alpha=0.25)
        axes.tick_params(axis="y", length=0)
        if len(values) > 1:
            figure.legend(loc="outside upper right", ncols=len(values))
    return Figure(figure, f"{title or label}: {label} with intervals. {'; '.join(details)}.")
