"""What counts as the same drawing, and what does not: each tolerance from both sides."""

import matplotlib
import numpy as np
import pytest

from sam_edu.figures import Figure
from sam_edu.figures.kit.theme import blank, theme
from tools.notebook_freshness import staleness
from tools.output_drawings import COLOUR, POINTS, drawings_differ

matplotlib.use("Agg")
WIDE = 400  # pixels; the axes run over 320 of them, from 0 to 4


def plot(
    values: tuple[float, ...] = (1.0, 3.0, 2.0, 2.5),
    title: str = "score 0.83",
    colour: str = "#34558b",
    size: float = 6.0,
    fade: float = 0.5,
    wide: float = 1.0,
) -> str:
    """A plot whose axes have 80 pixels for each unit, across and up."""
    with theme():
        figure = blank(400, WIDE)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.set(xlim=(0, 4), ylim=(0, 4), title=title)
        axes.plot(range(len(values)), values, "o-", color=colour, markersize=size, linewidth=wide)
        axes.scatter(np.arange(len(values)), np.array(values) / 2, c=values, alpha=fade, cmap="viridis")
        return Figure(figure, f"A plot: {title}, values {', '.join(f'{x:.2f}' for x in values)}.").svg


def moved(pixels: float) -> str:
    """The plot with one point higher by so many pixels."""
    return plot((1.0, 3.0 + pixels / 80, 2.0, 2.5))


@pytest.mark.parametrize("other", [plot(), moved(1e-9 * 80), moved(-1e-9 * 80), moved(0.1)])
def test_rounding_is_no_change(other: str) -> None:
    assert drawings_differ(plot(), other) is None
    assert drawings_differ(other, plot()) is None


CHANGED = {
    "a point by half a pixel": moved(0.5),
    "a point by a pixel": moved(-1),
    "a digit": plot(title="score 0.88"),
    "a digit more": plot(title="score 0.831"),
    "a label": plot(title="Score 0.83"),
    "a colour": plot(colour="#38558b"),
    "a point more": plot((1.0, 3.0, 2.0, 2.5, 2.0)),
    "a mark's size": plot(size=6.2),
    "an opacity": plot(fade=0.51),
    "a line's width": plot(wide=1.1),
}


@pytest.mark.parametrize("other", CHANGED.values(), ids=CHANGED)
def test_changed_drawings_are_found(other: str) -> None:
    assert drawings_differ(plot(), other)
    assert drawings_differ(other, plot())


def svg(inside: str = "", **attributes: str) -> str:
    words = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f'<svg xmlns="http://www.w3.org/2000/svg"><path {words}/>{inside}</svg>'


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (svg(d="M1 2L3 4"), svg(d=f"M1 2L3 {4 + POINTS}"), True),
        (svg(d="M1 2L3 4"), svg(d=f"M1 2L3 {4 + POINTS + 0.01}"), False),
        (svg(d="M1 2L3 4"), svg(d="M1 2C3 4"), False),
        (svg(d="M1 2L3 4"), svg(d="M1 2L3 4L3 4"), False),
        (svg(transform="translate(1 2) scale(0.1)"), svg(transform="translate(1.1 2) scale(0.10005)"), True),
        (svg(transform="translate(1 2) scale(0.1)"), svg(transform="translate(1 2) scale(0.11)"), False),
        (svg(transform="translate(1 2)"), svg(transform="rotate(1 2)"), False),
        (svg(style="fill:#102030"), svg(style=f"fill:#1020{0x30 + COLOUR:02x}"), True),
        (svg(style="fill:#102030"), svg(style=f"fill:#1020{0x30 + COLOUR + 1:02x}"), False),
        (svg(style="fill:#102030"), svg(style="fill:none"), False),
        (svg(style="opacity:0.5"), svg(style="opacity:0.5004"), True),
        (svg(style="opacity:0.5"), svg(style="opacity:0.502"), False),
        (svg(href="#ab1c-s41"), svg(href="#zz9z-s41"), True),
        (svg(href="#ab1c-s41"), svg(href="#ab1c-s42"), False),
        (svg(clip_path="url(#ab1c-clip0)"), svg(clip_path="url(#zz9z-clip0)"), True),
        (svg(clip_path="url(#ab1c-clip0)"), svg(clip_path="url(#ab1c-clip1)"), False),
        (svg(aria_label="IoU 0.5000"), svg(aria_label="IoU 0.5001"), True),
        (svg(aria_label="IoU 0.50"), svg(aria_label="IoU 0.51"), False),
        (svg("<desc>a 0.5</desc>"), svg("<desc>b 0.5</desc>"), False),
        (svg("<g/>"), svg("<g/><g/>"), False),
        (svg("<g/>"), svg("<path/>"), False),
        (svg("<g><path/></g>"), svg("<g/><path/>"), False),
        (svg(d="M1 2", style="x"), svg(d="M1 2"), False),
        (svg('<defs><path d="M1 2"/></defs>'), svg('<defs><path d="M1.02 2"/></defs>'), True),
        (svg('<defs><path d="M1 2"/></defs>'), svg('<defs><path d="M1.05 2"/></defs>'), False),
        ("<svg", "<svg", True),
        ("<svg", "<svg/>", False),
    ],
)
def test_each_tolerance_ends_where_it_says(old: str, new: str, same: bool) -> None:
    assert (drawings_differ(old, new) is None) is same
    assert (drawings_differ(new, old) is None) is same


def test_a_share_of_the_tolerance_finds_what_is_near_it_but_not_the_last_digit() -> None:
    old = svg(d="M1 2")
    assert drawings_differ(old, svg(d="M1.01 2"), 0.1) is None
    assert drawings_differ(old, svg(d="M1.02 2"), 0.1)


def test_the_message_says_where_and_what() -> None:
    found = drawings_differ(svg(d="M1 2"), svg(d="M1 3"))
    assert found == "<svg/path> d: `M1 2` was expected, and `M1 3` came out."
    assert drawings_differ(svg(), svg("<g/>")) == "the drawing had 2 elements and now has 3."


def test_drawings_in_notebooks_are_compared(with_output, shown) -> None:
    def stale(new: str) -> list[str]:
        return staleness(*(with_output(shown("image/svg+xml", one, "a plot")) for one in (plot(), new)))

    assert stale(moved(1e-9)) == []
    assert "image/svg+xml: <svg" in stale(moved(0.5))[0]
