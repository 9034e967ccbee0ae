"""The committed poster is the one that the code draws from the embedded weights."""

import re

import numpy as np
import pytest
from PIL import Image

from sam_edu.figures.poster import Poster
from tools.draw_poster import TARGETS, draw, weights

SVG, PNG = TARGETS
AGAIN = "run python -m tools.draw_poster"


@pytest.fixture(scope="module")
def drawn() -> Poster:
    return draw()


def words(svg: str) -> list[str]:
    """The words of an SVG: each line of text stands in a comment before its letters."""
    return re.findall(r"<!-- (.*?) -->", svg)


def test_committed_poster_is_of_the_present_weights() -> None:
    assert f"SHA-256 {weights()}" in " ".join(words(SVG.read_text(encoding="utf-8"))), AGAIN


def test_committed_png_is_what_the_code_draws(drawn: Poster, tmp_path) -> None:
    with Image.open(PNG) as stored, Image.open(drawn.save(tmp_path / "poster.png")) as anew:
        difference = np.abs(np.asarray(stored, np.int16) - np.asarray(anew, np.int16)).max(-1)
    # Colours are rounded to multiples of 8, and another processor may round a few of them the other way.
    assert (difference > 8).sum() <= 500, AGAIN
    assert difference.mean() < 0.05, AGAIN


def test_committed_svg_is_what_the_code_draws(drawn: Poster, tmp_path) -> None:
    stored, anew = (path.read_text(encoding="utf-8") for path in (SVG, drawn.save(tmp_path / "poster.svg")))
    assert len(words(anew)) > 300
    assert words(stored) == words(anew), AGAIN
    assert stored.count("<image ") == anew.count("<image "), AGAIN
    assert drawn.alt in stored, AGAIN


def test_smallest_letters_of_the_svg_are_9_points_on_a2() -> None:
    svg = SVG.read_text(encoding="utf-8")
    width, height = (float(side) for side in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups())
    assert (round(width / 72 * 25.4), round(height / 72 * 25.4)) == (594, 420)
    # Letters are drawn 100 points high, and scaled to the size of their text.
    sizes = [100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -[\d.]+\)", svg)]
    assert len(sizes) >= len(words(svg))
    assert min(sizes) >= 9


def test_both_are_small_enough_for_a_repository() -> None:
    assert SVG.stat().st_size <= 2_300_000
    assert PNG.stat().st_size <= 1_300_000
