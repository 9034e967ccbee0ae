"""One colour for one thing."""

import re
from pathlib import Path

import pytest

import sam_edu.figures
from sam_edu.figures.kit.colours import (
    CORNER,
    IOU_COLOUR,
    MASK_COLOURS,
    NEGATIVE,
    PADDING,
    POSITIVE,
    SOFT,
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


def test_colours_are_written_in_one_file() -> None:
    files = [path for path in FOLDER.rglob("*.py") if path.name != "colours.py"]
    found = {path.name for path in files if re.search(r"[\"']#[0-9A-Fa-f]{6}", path.read_text(encoding="utf-8"))}
    assert found == set()


def test_boxes_and_arrows_are_drawn_in_one_file() -> None:
    files = [path for path in FOLDER.rglob("*.py") if path.name != "diagram.py"]
    assert [path.name for path in files if re.search("FancyBboxPatch|FancyArrowPatch", path.read_text("utf-8"))] == []
