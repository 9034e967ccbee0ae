"""What every test of figures asks of a drawing."""

import base64
import io
import warnings
from collections.abc import Callable
from xml.etree import ElementTree as ET

from matplotlib.text import Text
from PIL import Image

from sam_edu.figures import Figure

NAMESPACE = "{http://www.w3.org/2000/svg}"
LARGEST_SVG = 90_000  # bytes; a diagram full of words comes near, a plot has less than two thirds
SMALLEST_LETTERS = 11.0  # pixels on the page


def check_drawing(draw: Callable[[], Figure]) -> None:
    """No warning; of a page's size; words; large letters; the same twice; PNG or SVG by what it holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, again = draw(), draw()
        data, metadata = figure._repr_mimebundle_()
    drawn = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    drawn.load()
    times = 2 if figure.holds_pixels else 1
    assert drawn.mode in ("RGB", "P")
    assert "transparency" not in drawn.info
    assert metadata["image/png"] == {"alt": figure.alt, "width": figure.width}
    assert abs(drawn.width - times * figure.width) <= 1
    assert 100 <= figure.width <= 1000
    assert 60 <= drawn.height / times <= 900
    assert drawn.convert("RGB").getpixel((drawn.width - 1, drawn.height - 1)) == (255, 255, 255)
    assert len(figure.alt) > 20
    assert "text/plain" in data
    assert figure.alt == again.alt
    if figure.holds_pixels:
        assert "image/svg+xml" not in data
        assert figure.png == again.png
    else:
        check_svg(data["image/svg+xml"], figure)
        assert metadata["image/svg+xml"] == {"alt": figure.alt}
        assert figure.svg == again.svg
    assert small_letters(figure) == []


def check_svg(svg: str, figure: Figure) -> None:
    """A drawing of paths alone, with its words, of its size in pixels, in few bytes."""
    root = ET.fromstring(svg)
    tags = {element.tag.removeprefix(NAMESPACE) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "defs", "g", "path", "use", "rect", "clipPath", "pattern"}
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == figure.alt == root.findtext(f"{NAMESPACE}desc")
    assert root.findtext(f"{NAMESPACE}title")
    assert abs(float(root.attrib["width"]) - figure.width) <= 0.5
    assert len(svg.encode()) <= LARGEST_SVG
    names = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(names) == len(set(names))
    used = {element.attrib["href"][1:] for element in root.iter(f"{NAMESPACE}use")}
    assert used <= set(names)


def small_letters(figure: Figure) -> list[str]:
    """Words smaller than what can be read beside a page's text, with their size in pixels."""
    return [
        f"{text.get_text()}: {text.get_fontsize() * 80 / 72:.1f}"
        for text in figure.figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text.get_fontsize() * 80 / 72 < SMALLEST_LETTERS - 0.01
    ]


def texts(figure: Figure) -> list[str]:
    """The words that stand in a figure's axes."""
    return [text.get_text() for axes in figure.figure.axes for text in axes.texts]
