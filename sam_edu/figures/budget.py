"""Two budgets: the shares of the same parts in two totals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import Array, as_array, as_names
from sam_edu.figures.kit.colours import IMAGE, INK, OUT, TOKEN
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.theme import SMALL, theme, titled

_KINDS = {"tokens": TOKEN, "image": IMAGE, "outputs": OUT}


def compared_shares(
    left: ArrayLike | Any,
    right: ArrayLike | Any,
    names: Sequence[str],
    *,
    labels: tuple[str, str],
    kinds: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Shares of two totals, part by part: bars to the left and to the right of each part's name.

    Args:
        left: (parts,), not negative.
        right: (parts,), not negative.
        names: one per part, from top to bottom.
        labels: what is counted on the left and on the right.
        kinds: per part "tokens", "image" or "outputs", whose colour it gets.
        title: the figure's title.

    Raises:
        ValueError: a negative number, a total of zero, or a kind that there is not.
    """
    names, counted = as_names("names", names), as_names("labels", labels, 2)
    sides = [as_array(word, given, (len(names),)).astype(float) for word, given in (("left", left), ("right", right))]
    for word, side in zip(("left", "right"), sides, strict=True):
        if (side < 0).any() or not side.sum():
            raise ValueError(
                f"{word}: expected numbers that are not negative, with a sum above zero, got {shorten(side.tolist())}"
            )
    chosen = ["outputs"] * len(names) if kinds is None else as_names("kinds", kinds, len(names))
    if unknown := sorted(set(chosen) - set(_KINDS)):
        raise ValueError(f"kinds: there is no {', '.join(unknown)}; there are {', '.join(_KINDS)}")
    shares = [side / side.sum() for side in sides]
    with theme():
        figure = titled(title, 64 + 25 * len(names), 900)
        first, second = figure.subplots(1, 2)
        for axes, side, share, label, turned in zip(
            (first, second), sides, shares, counted, (True, False), strict=True
        ):
            _bars(axes, side, share, chosen, turned)
            axes.set_xlabel(f"share of {label}")
            axes.set_title(f"{label}: {_short(side.sum())}", loc="right" if turned else "left")
        first.set_yticks([])
        second.set_yticks(range(len(names)), names)
        second.tick_params(axis="y", length=0, pad=6)
        first.spines["left"].set_visible(False)
        first.spines["right"].set_visible(True)
    details = [f"{name}: {_percent(a)} and {_percent(b)}" for name, a, b in zip(names, *shares, strict=True)]
    return Figure(
        figure,
        f"{title or 'Two budgets'}: shares of {counted[0]} ({_short(sides[0].sum())} in all) and of {counted[1]}"
        f" ({_short(sides[1].sum())} in all). {'; '.join(details)}.",
    )


def _bars(axes: Axes, side: Array, share: Array, kinds: Sequence[str], turned: bool) -> None:
    at = np.arange(len(side))
    faces, edges = ([_KINDS[kind][i] for kind in kinds] for i in (0, 1))
    axes.barh(at, 100 * share, height=0.72, color=faces, edgecolor=edges, linewidth=1.3, snap=False)
    for y, (number, part) in enumerate(zip(side, share, strict=True)):
        away = -4 if turned else 4
        axes.annotate(
            f"{_short(number)} · {_percent(part)}",
            (100 * part, y),
            (away, 0),
            textcoords="offset points",
            ha="right" if turned else "left",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    axes.set_ylim(len(side) - 0.4, -0.6)
    far = 100 * float(share.max()) * 1.45
    axes.set_xlim((far, 0) if turned else (0, far))
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)


def _short(number: float) -> str:
    """For example "1.05 M"."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 or share == 0 else "< 0.1 %"
