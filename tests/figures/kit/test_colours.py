"""One colour for one thing."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import sam_edu.figures
from sam_edu.figures.kit.colours import (
    CORNER,
    GAINED,
    IMAGE,
    INK,
    IOU_COLOUR,
    KEPT,
    LOST,
    MASK_COLOURS,
    NEGATIVE,
    OUT,
    PADDING,
    POSITIVE,
    SERIES,
    SOFT,
    TOKEN,
    TRUTH,
    for_text,
    luminance,
    mark_edge,
    mask_colour,
    series_colours,
    token_colour,
)

FOLDER = Path(sam_edu.figures.__file__).parent


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("IoU", IOU_COLOUR),
        ("mask 0", MASK_COLOURS[0]),
        ("mask 5", MASK_COLOURS[1]),
        ("click +", POSITIVE),
        ("click −", NEGATIVE),
        ("padding", PADDING),
        ("corner 2", CORNER),
        ("mask tokens", SOFT),
    ],
)
def test_each_token_has_its_colour(name: str, colour: str) -> None:
    assert token_colour(name) == colour


@pytest.mark.parametrize("name", ["", "mask", "mask ", "mask²", "mask ²", "mask tokens", "mask 1, its token", "2"])
def test_only_the_name_of_a_mask_has_a_mask_s_colour(name: str) -> None:
    assert mask_colour(name) is None


def test_a_series_has_the_colour_of_the_mask_that_it_is_named_after_or_of_its_position() -> None:
    assert series_colours(["mask 2", "other", "mask 0"]) == [MASK_COLOURS[2], SERIES[1], MASK_COLOURS[0]]
    assert series_colours(range(len(SERIES) + 1)) == [*SERIES, SERIES[0]]
    assert [mark_edge(one) for one in (MASK_COLOURS[3], SERIES[1])] == [INK, SERIES[1]]


def test_colours_are_written_in_one_file() -> None:
    files = [path for path in FOLDER.rglob("*.py") if path.name != "colours.py"]
    found = {path.name for path in files if re.search(r"[\"']#[0-9A-Fa-f]{6}", path.read_text(encoding="utf-8"))}
    assert found == set()


def test_boxes_and_arrows_are_drawn_in_one_file() -> None:
    files = [path for path in FOLDER.rglob("*.py") if path.name != "diagram.py"]
    assert [path.name for path in files if re.search("FancyBboxPatch|FancyArrowPatch", path.read_text("utf-8"))] == []


# --- In grey, and for people who do not see all colours ---

APART = 0.12
"""How far the luminances of two masks lie apart at least, of 1."""

# Viénot, Brettel and Mollon 1999: how a dichromat sees linear RGB.
SEEN = {
    "all colours": np.eye(3),
    "protanopia": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


def seen(colour: str, by: str) -> np.ndarray:
    """A colour in CIE L*a*b*, as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ (SEEN[by] @ linear)
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.0))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("one", "other"), list(combinations(MASK_COLOURS, 2)))
def test_masks_are_told_apart_in_grey(one: str, other: str) -> None:
    assert abs(luminance(one) - luminance(other)) >= APART


@pytest.mark.parametrize("by", SEEN)
@pytest.mark.parametrize(("one", "other"), list(combinations(MASK_COLOURS, 2)))
def test_masks_are_told_apart_by_everybody(one: str, other: str, by: str) -> None:
    assert np.linalg.norm(seen(one, by) - seen(other, by)) >= 20


def test_kept_gained_and_lost_are_told_apart_in_grey() -> None:
    light = sorted(map(luminance, (KEPT, GAINED, LOST)))
    assert min(light[1] - light[0], light[2] - light[1]) >= 2 * APART


THINGS = {
    **{f"mask {i}": colour for i, colour in enumerate(MASK_COLOURS)},
    "positive click": POSITIVE,
    "negative click": NEGATIVE,
    "tokens": TOKEN[1],
    "image tokens": IMAGE[1],
    "outputs": OUT[1],
    "ground truth": TRUTH,
}


@pytest.mark.parametrize(("one", "other"), list(combinations(THINGS, 2)))
def test_one_colour_is_one_thing(one: str, other: str) -> None:
    assert np.linalg.norm(seen(THINGS[one], "all colours") - seen(THINGS[other], "all colours")) >= 20


@pytest.mark.parametrize("colour", SERIES)
@pytest.mark.parametrize("thing", [name for name in THINGS if name != "ground truth"])
def test_no_series_has_the_colour_of_a_thing(colour: str, thing: str) -> None:
    assert np.linalg.norm(seen(colour, "all colours") - seen(THINGS[thing], "all colours")) >= 10


@pytest.mark.parametrize("colour", [*MASK_COLOURS, PADDING, INK, "#FFFFFF"])
def test_words_in_a_colour_can_be_read_on_white(colour: str) -> None:
    darker = for_text(colour)
    assert 1.05 / (luminance(darker) + 0.05) >= 4.5
    if 1.05 / (luminance(colour) + 0.05) >= 4.6:
        assert darker.lower() == colour.lower()
