"""SVG: small, with words, with names of its own; what a reader of the file finds in it."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from sam_edu.figures.kit.svg import to_svg
from sam_edu.figures.kit.theme import blank, theme

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawing(values: tuple[float, ...] = (1.0, 3.0, 2.0), words: str = "IoU 0.83") -> str:
    with theme():
        figure = blank(200, 300)
        axes = figure.subplots()
        axes.plot(values, "o-", color="#112233")
        axes.scatter([0, 1], [2.0, 1.5], c="red")
        axes.fill_between([0, 1], [1, 1], [2, 2], hatch="//")
        axes.set_title(words)
        return to_svg(figure, 'A line: up & "down" < 3.', 300, 200)


def test_words_stand_inside() -> None:
    root = ET.fromstring(drawing())
    assert root.findtext(f"{NAMESPACE}title") == "A line"
    assert root.findtext(f"{NAMESPACE}desc") == root.attrib["aria-label"] == 'A line: up & "down" < 3.'
    assert root.attrib["role"] == "img"
    assert (root.attrib["width"], root.attrib["height"], root.attrib["viewBox"]) == ("300", "200", "0 0 270 180")


def test_every_reference_leads_to_a_definition_and_every_definition_has_one() -> None:
    svg = drawing()
    names = re.findall(r'\bid="([^"]+)"', svg)
    assert len(names) == len(set(names))
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    assert used == set(names)
    assert {name.partition("-")[2][:4] for name in names} >= {"mark", "clip", "hatc"}


def test_two_drawings_have_no_name_in_common() -> None:
    names = [set(re.findall(r'\bid="([^"]+)"', drawing(values))) for values in ((1.0, 3.0, 2.0), (1.0, 3.0, 2.1))]
    assert not names[0] & names[1]
    assert drawing() == drawing()


def test_numbers_have_few_decimals_and_texts_are_paths() -> None:
    svg = drawing((1 / 3, 2 / 7, 0.1))
    body = svg.partition("</desc>")[2]
    assert not re.search(r"\d\.\d{3}", re.sub(r"scale\([^)]*\)", "", body))
    assert "<text" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_the_card_is_white() -> None:
    root = ET.fromstring(drawing())
    first = next(element for element in root if element.tag == f"{NAMESPACE}path")
    assert first.attrib["d"] == "M0 180L270 180L270 0L0 0z"
    assert "#ffffff" in first.attrib["style"]


def test_no_point_of_a_line_is_left_out() -> None:
    """Matplotlib leaves out what lies on a straight line, and which points do depends on the last bits."""
    with theme():
        figure = blank(200, 300)
        figure.subplots().plot(np.linspace(0, 1, 500), np.zeros(500))
        svg = to_svg(figure, "A line: flat.", 300, 200)
    assert max(path.count("L") for path in re.findall(r'd="([^"]+)"', svg)) == 499


@pytest.mark.parametrize("text", ["a", "$x^2$", "mask 1 −0.20 × 256"])
def test_letters_stand_where_matplotlib_puts_them(text: str) -> None:
    with theme():
        figure: Figure = blank(100, 200)
        figure.text(0.5, 0.5, text, fontsize=10)
        svg = to_svg(figure, "Text: some.", 200, 100)
    [group] = re.findall(r'transform="(translate\(90 45\) scale\(0\.1 -0\.1\))"', svg)
    assert group
    assert svg.count("<use") == len(re.sub(r"[$^]| (?=x)", "", text))
