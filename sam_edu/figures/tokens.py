"""Figures of tokens: their values as strips of colours, and one number per token as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sam_edu.argument_checks import as_count
from sam_edu.arrays import as_numbers, shorten
from sam_edu.figures.kit.arrays import as_array, as_mapping, as_names
from sam_edu.figures.kit.colours import SOFT, for_text, token_colour
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.scales import draw_signed, strongest
from sam_edu.figures.kit.theme import SMALL, WIDTH, theme, titled
from sam_edu.figures.kit.words import listed
from sam_edu.prompt_checks import check_flag
from sam_edu.selections import Select, as_indices


def token_names(labels: Sequence[int] | Any = (), box: bool = False, masks: int = 4) -> list[str]:
    """The names of a decode's tokens, in their order.

    Args:
        labels: of the clicks: 1 positive, 0 negative.
        box: whether the prompt set has a box. Clicks without one are followed by a padding token.
        masks: number of mask tokens.

    Raises:
        TypeError: labels that are no numbers, or a flag that is none.
        ValueError: other labels, or no mask token.
    """
    box, masks = check_flag("box", box), as_count("masks", masks)
    given = as_numbers("labels", labels)
    if given.ndim != 1 or not np.isin(given, (0, 1)).all():
        raise ValueError(f"labels: expected a list of 1 (positive) and 0 (negative), got {shorten(labels)}")
    clicks = [f"click {'+' if label == 1 else '−'}" for label in given]
    prompts = clicks + (["corner 1", "corner 2"] if box else ["padding"] if clicks else [])
    return ["IoU", *(f"mask {i}" for i in range(masks)), *prompts]


def token_strip(
    vectors: ArrayLike | Any,
    names: Sequence[str],
    *,
    title: str = "",
    along: str = "channel",
    label: str = "value",
    order: Select | None = None,
    per_row: bool = False,
) -> Figure:
    """Vectors as strips of colours, a row each, a cell per number: red above zero, blue below.

    Args:
        vectors: (rows, channels).
        names: one per row.
        title: the figure's title.
        along: the name of the horizontal axis.
        label: the name of what the colours show.
        order: the channels' numbers in the order to draw them in.
        per_row: scale each row to its own largest absolute value; else one row of large values makes the others pale.
    """
    vectors = as_array("vectors", vectors, ("rows", "channels"))
    names = as_names("names", names, len(vectors))
    width = vectors.shape[1]
    channels = list(range(width)) if order is None else as_indices("order", order, width)
    if sorted(channels) != list(range(width)):
        raise ValueError(f"order: expected each number from 0 to {width - 1} once, got {shorten(channels)}")
    per_row = check_flag("per_row", per_row)
    limit = 1.0 if per_row else strongest(vectors, 0.99)
    shown = vectors[:, channels]
    if per_row:
        tops = np.abs(vectors).max(1)
        shown = shown / np.where(tops > 0, tops, 1.0)[:, None]
        label = f"{label} / the row's max"
    with theme():
        figure = titled(title, 70 + 28 * len(vectors))
        axes = figure.subplots()
        drawn = draw_signed(axes, shown, limit, aspect="auto")
        axes.set_yticks(range(len(names)), names)
        for tick, name in zip(axes.get_yticklabels(), names, strict=True):
            tick.set_color(for_text(token_colour(name)))
            tick.set_fontweight("bold")
        axes.hlines(np.arange(1, len(names)) - 0.5, -0.5, width - 0.5, color="white", linewidth=2)
        if width <= 40:
            axes.set_xticks(range(width), [str(i) for i in channels], fontsize=SMALL)
        axes.set_xlabel(along)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        figure.colorbar(drawn, ax=axes, aspect=12, pad=0.01, label=label, extend="neither" if per_row else "both")
    sizes = [f"{name} {float(np.abs(row).mean()):.2g}" for name, row in zip(names, vectors, strict=True)]
    return Figure(
        figure,
        f"{title or 'Vectors'}: {len(vectors)} rows of {width} numbers each, as colours, blue below zero and red above."
        f" Mean absolute value: {listed(sizes)}.",
    )


def vector_bars(
    values: ArrayLike | Any | Mapping[str, Any],
    names: Sequence[str],
    *,
    title: str = "",
    label: str = "value",
    digits: int = 2,
) -> Figure:
    """One bar per name with its number; or one per name and series.

    Args:
        values: (names,), or several of them under their series' names.
        names: one per bar.
        title: the figure's title.
        label: the name of the horizontal axis.
        digits: number of digits after the decimal point.
    """
    series_by_name = as_mapping("values", values) if isinstance(values, Mapping) else {"": values}
    names, digits = as_names("names", names), as_count("digits", digits, 0)
    series = {
        key: as_array(f"values {key}".strip(), one, (len(names),)).astype(float) for key, one in series_by_name.items()
    }
    thick = 0.8 / len(series)
    low = min(0.0, *(float(one.min()) for one in series.values()))
    high = max(0.0, *(float(one.max()) for one in series.values())) or 1.0
    with theme():
        figure = titled(title, 60 + 26 * len(names) * (0.6 + 0.4 * len(series)), WIDTH * 0.7)
        axes = figure.subplots()
        for j, (key, one) in enumerate(series.items()):
            at = np.arange(len(names)) + (j - (len(series) - 1) / 2) * thick
            colours = [token_colour(name) for name in names]
            faces = colours if j == 0 else ["white"] * len(names)
            axes.barh(at, one, height=thick * 0.9, color=faces, edgecolor=colours, linewidth=1.4, snap=False)
            for y, value in zip(at, one, strict=True):
                text = f"{value:.{digits}f}" + (f"  {key}" if key else "")
                axes.annotate(
                    text, (max(value, 0.0), y), (5, 0), textcoords="offset points", va="center", fontsize=SMALL
                )
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(low * 1.05, high * (1.12 if "" in series else 1.25))
        axes.axvline(0.0, color=SOFT, linewidth=0.8)
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0)
    details = [
        f"{name} " + ", ".join(f"{key} {one[i]:.{digits}f}".strip() for key, one in series.items())
        for i, name in enumerate(names)
    ]
    return Figure(figure, f"{title or label}: bars of {label}: {'; '.join(details)}.")
