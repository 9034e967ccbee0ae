"""Figures of speed: two orders of one product, times step by step, and the roofline of a machine."""

from collections.abc import Mapping

import numpy as np

from sam_edu.argument_checks import as_choice, as_count, as_number
from sam_edu.figures.kit.arrays import Number, as_mapping, as_tuple
from sam_edu.figures.kit.colours import BEYOND, FAINT, IMAGE, INK, SERIES, SOFT, TOKEN
from sam_edu.figures.kit.diagram import canvas, draw_shape, draw_text, draw_title
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled
from sam_edu.figures.kit.words import listed


def folding_diagram(
    tokens: int = 7, image_tokens: int = 4096, *, dim: int = 256, internal: int = 128, heads: int = 8
) -> Figure:
    """Diagram of step (2)'s scores in two orders of the same product: areas of squares are multiplications.

    Args:
        tokens: number of tokens.
        image_tokens: number of image tokens.
        dim: their width.
        internal: the width of all heads together.
        heads: number of heads.
    """
    tokens, image_tokens = as_count("tokens", tokens), as_count("image_tokens", image_tokens)
    dim, internal, heads = as_count("dim", dim), as_count("internal", internal), as_count("heads", heads)
    if internal % heads:
        raise ValueError(f"heads: must divide the internal width, {internal}, got {heads}")
    rows = tokens * heads
    encodings = tokens * image_tokens * internal
    lanes = {
        "as written": {
            "project the image tokens": image_tokens * dim * internal,
            "queries × keys": tokens * image_tokens * internal,
        },
        "folded": {
            "fold the queries": tokens * internal * dim,
            "folded queries × image tokens": rows * image_tokens * dim,
            "queries × known encodings": encodings,
        },
    }
    totals = {name: sum(products.values()) for name, products in lanes.items()}
    scale = _LARGEST_SIDE / max(number for products in lanes.values() for number in products.values()) ** 0.5
    with theme():
        figure, axes = canvas(360)
        draw_title(axes, "The same scores in two orders", "area of a square: its multiplications")
        for bottom, (name, products) in zip((168, 312), lanes.items(), strict=True):
            axes.text(8, bottom - 12, name, fontsize=10.5, fontweight="bold", va="center")
            for x, (product, number) in zip((200, 460, 720), products.items(), strict=False):
                side = scale * number**0.5
                colours = TOKEN if product == "fold the queries" else IMAGE
                draw_shape(axes, (x - side / 2, bottom - side), side, side, colours, rounding=0)
                draw_text(axes, x, bottom + 20, f"{product}\n{_millions(number)}", SMALL, INK)
            draw_text(axes, 920, bottom - 12, f"in all\n{_millions(totals[name])}", SMALL, INK, bold=True)
    shapes = f"{image_tokens} image tokens of width {dim}"
    parts = [
        f"{name}: {listed([f'{product} {_millions(number)}' for product, number in products.items()])}"
        for name, products in lanes.items()
    ]
    return Figure(
        figure,
        f"Diagram of one product in two orders, {shapes}: squares whose areas are the multiplications of each product."
        f" {'; '.join(parts)}. Folded, the {tokens} queries go through the same weights, head by head, and become"
        f" {rows} rows of width {dim}. Both give scores of shape {heads} by {tokens} by {image_tokens}; in all"
        f" {_millions(totals['as written'])} against {_millions(totals['folded'])}.",
    )


_LARGEST_SIDE = 110
"""Side of the largest square of `folding_diagram`, in pixels."""


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number < 1e8 else f"{number / 1e6:.0f} M"


def step_times(
    ways: Mapping[str, Mapping[str, Number]],
    *,
    ends: Mapping[str, tuple[Number, Number]] | None = None,
    least: Number = 0.03,
    unit: str = "time",
    title: str = "",
    note: str = "",
) -> Figure:
    """Times as stacked bars, a bar per way, made of its steps; the others are compared with the first.

    Args:
        ways: per way the time of each of its steps. Steps need not be the same.
        ends: per way the quartiles, or the range, of its whole time: a line at the end of the bar. Others have no
            line.
        least: steps that take less than this share of the first way's time are drawn as one, "the rest".
        unit: what the axis shows.
        title: the figure's title.
        note: what was measured, and on what: a line under the axis.
    """
    ways = {
        name: {step: as_number(f"ways {name}, {step}", time) for step, time in as_mapping(f"ways {name}", way).items()}
        for name, way in as_mapping("ways", ways).items()
    }
    least = as_number("least", least)
    given = {} if ends is None else as_mapping("ends", ends)
    for name in given:
        as_choice("ends", name, tuple(ways))
    lines = {name: tuple(as_number(f"ends {name}", x) for x in as_tuple(f"ends {name}", pair, ("low", "high")))
             for name, pair in given.items()}  # fmt: skip
    for name, way in ways.items():
        if (shortest := min(way.values())) < 0:
            raise ValueError(f"ways {name}: expected times, which are not negative, got {shortest:g}")
    totals = {name: float(sum(way.values())) for name, way in ways.items()}
    first = next(iter(totals.values()))
    digits = 2 if len(ways) == 2 else 1
    if first <= 0:
        raise ValueError("ways: expected a first one that takes time, as the others are compared with it, got 0")
    steps = list(dict.fromkeys(step for way in ways.values() for step in way))
    large = [step for step in steps if next(iter(ways.values())).get(step, 0.0) >= least * first]
    if len(large) > len(SERIES):
        raise ValueError(f"ways: expected at most {len(SERIES)} large steps, one colour each, got {len(large)}")
    with theme():
        figure = titled(title, 92 + 25 * len(ways) + (18 if note else 0), WIDTH)
        axes = figure.subplots()
        left = np.zeros(len(ways))
        at = np.arange(len(ways))
        rest = any(way.get(step) for way in ways.values() for step in steps if step not in large)
        for name in [*large, *(["the rest"] if rest else [])]:
            parts = [way.get(name, 0.0) if name in large else totals[w] - sum(way.get(s, 0.0) for s in large)
                     for w, way in ways.items()]  # fmt: skip
            colour = SERIES[large.index(name)] if name in large else FAINT
            axes.barh(
                at,
                parts,
                left=left,
                height=0.72,
                color=colour,
                edgecolor="white",
                linewidth=0.8,
                label=name,
                snap=False,
            )
            left += np.array(parts)
        for y, total in enumerate(totals.values()):
            low, high = lines.get(list(ways)[y], (total, total))
            axes.plot([low, high], [y, y], color=INK, linewidth=2.2, solid_capstyle="butt", zorder=3)
            label = f"{total:.3g}" if y == 0 else f"{total:.2g}: {first / total:.{digits}f} times as fast"
            axes.annotate(label, (max(total, high), y), (6, 0), textcoords="offset points", va="center", fontsize=SMALL)
        axes.set_yticks(at, list(ways))
        axes.set_ylim(len(ways) - 0.4, -0.6)
        axes.set_xlim(0, 1.22 * max(totals.values()))
        axes.set_xlabel(f"{unit}\n{note}" if note else unit)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=len(large) + rest)
    drawn = [*large, *(["the rest"] if rest else [])]
    details = [
        f"{name} {total:.3g}, {total / first:.2f} of the first"
        + (f" ({lines[name][0]:.3g} to {lines[name][1]:.3g})" if name in lines else "")
        for name, total in totals.items()
    ]
    largest = max(ways[list(ways)[-1]].items(), key=lambda item: item[1])[0]
    return Figure(
        figure,
        f"{title or 'Steps'}: a bar per way, made of {listed(drawn)}. {unit.capitalize()}:"
        f" {'; '.join(details)}. The largest part of the last bar is {largest}.",
    )


def roofline(
    points: Mapping[str, tuple[Number, Number]],
    *,
    peak: Number,
    memory: Number,
    title: str = "",
    note: str = "",
) -> Figure:
    """Roofline plot: operations per byte against operations per second, under the two limits of a machine.

    Args:
        points: per operation (operations / byte, operations / second), both above zero.
        peak: operations a second that the machine reaches at best.
        memory: bytes a second to and from memory.
        title: the figure's title.
        note: what was measured, and on what: a line under the axis.
    """
    peak, memory = as_number("peak", peak, above=0), as_number("memory", memory, above=0)
    given = {}
    for name, point in as_mapping("points", points).items():
        x, y = as_tuple(f"points {name}", point, ("operations / byte", "operations / second"))
        given[name] = as_number(f"points {name}", x, above=0), as_number(f"points {name}", y, above=0) / 1e9
    roof, slope, ridge = peak / 1e9, memory / 1e9, peak / memory
    low = min(0.5 * min(x for x, _ in given.values()), ridge / 4)
    high = max(2.5 * max(x for x, _ in given.values()), ridge * 4)
    with theme():
        figure = titled(title, 420 + (18 if note else 0), 860)
        axes = figure.subplots()
        xs = np.geomspace(low, high, 200)
        axes.plot(xs, np.minimum(roof, slope * xs), color=INK, linewidth=1.6)
        axes.fill_between(xs, np.minimum(roof, slope * xs), 10 * roof, color=BEYOND, zorder=0)
        axes.annotate(f"the most that this processor reaches: {roof:.0f} GFLOP/s", (high, roof), (-4, 6),
                      textcoords="offset points", ha="right", color=SOFT)  # fmt: skip
        middle = float(np.sqrt(low * ridge))
        label = f"memory: {slope:.0f} GB/s"
        axes.annotate(label, (middle, slope * middle), (-10, 8), textcoords="offset points", ha="right", color=SOFT)
        for number, (name, (x, y)) in enumerate(given.items(), start=1):
            axes.plot(x, y, "o", color=SERIES[0], markersize=15, zorder=3)
            axes.annotate(str(number), (x, y), ha="center", va="center", color="white", fontsize=SMALL, zorder=4)
            axes.plot([], [], " ", label=f"{number}  {name}: {y:.1f}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(0.4 * min(min(y for _, y in given.values()), slope * low), 3 * roof)
        axes.set_xlabel("operations per byte that is read or written" + (f"\n{note}" if note else ""))
        axes.set_ylabel("GFLOP per second")
        axes.grid(alpha=0.25)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=0, title="GFLOP/s reached")
    details = [
        f"{name}: {x:.2g} operations per byte, {y:.2g} GFLOP/s, {100 * y / min(roof, slope * x):.0f} % of the roof"
        for name, (x, y) in given.items()
    ]
    return Figure(
        figure,
        f"{title or 'Roofline'}: operations per second against operations per byte, both axes logarithmic. Two roofs: a"
        f" slope, memory at {slope:.0f} GB/s, and a ceiling at {roof:.0f} GFLOP/s; they meet at {ridge:.1f} operations"
        f" per byte. {'; '.join(details)}.",
    )
