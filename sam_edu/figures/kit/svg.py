"""Drawings as SVG that is small, the same each time, and can stand in a page beside others."""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

import matplotlib.figure

SVG = "http://www.w3.org/2000/svg"
DECIMALS = 2
"""Of coordinates, in points: a hundredth is a seventieth of a pixel."""
SCALE_DECIMALS = 6

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FUNCTION = re.compile(r"(\w+)\(([^)]*)\)")
_ONLY_MOVED = re.compile(r"translate\((\S+) (\S+)\)")
_REFERENCE = re.compile(r"#([^)\"]+)")
_COORDINATES = ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height", "viewBox")
_FONTS = {"DejaVuSans": "s", "DejaVuSans-Bold": "b", "DejaVuSansMono": "m", "DejaVuSans-Oblique": "i"}
_KINDS = {"clipPath": "clip", "pattern": "hatch"}


def to_svg(figure: matplotlib.figure.Figure, alt: str, width: float | int, height: float | int) -> str:
    """A figure as SVG of a size in pixels, with its description inside; texts are paths, numbers have few decimals.

    Names of what is used several times begin with a part of the drawing's hash, so that two drawings in one page do
    not take each other's.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    root = ET.fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = element.tag.partition("}")[2] or element.tag
        element.attrib = {key.partition("}")[2] or key: value for key, value in element.attrib.items()}
        element.text = element.tail = None
    drawn = list(_without_wrapping(root))
    defined = [one for one in drawn if "id" in one.attrib]
    names = {one.attrib["id"]: name for one, name in zip(defined, _short_names(defined), strict=True)}
    drawn = [one for one in drawn if "id" not in one.attrib]
    for element in [*defined, *drawn]:
        for one in element.iter():
            _shorten(one, names)
    box = root.attrib["viewBox"]
    text = "\n".join(_markup(element) for element in (_definitions(defined), *drawn))
    prefix = _prefix(text)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    words = ET.Element("svg", {"aria-label": alt})
    title, description = ET.SubElement(words, "title"), ET.SubElement(words, "desc")
    title.text, description.text = alt.partition(":")[0].rstrip("."), alt
    label = ET.tostring(ET.Element("svg", words.attrib), encoding="unicode")[5:-3]
    return (
        f'<svg xmlns="{SVG}" width="{width:g}" height="{height:g}" viewBox="{_rounded(box, DECIMALS)}" role="img"'
        f' {label} style="max-width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt">\n'
        f"{_markup(title)}\n{_markup(description)}\n{text}\n</svg>\n"
    )


def _without_wrapping(parent: ET.Element) -> Iterator[ET.Element]:
    """What a drawing consists of, in order, without groups and definitions that only hold others."""
    for child in parent:
        if child.tag in ("metadata", "style"):
            continue
        held = {key: value for key, value in child.attrib.items() if key != "id"}
        if child.tag == "defs" or (child.tag == "g" and not held):
            yield from _without_wrapping(child)
            continue
        if child.tag == "g":
            child.attrib = held
            parts = list(_without_wrapping(child))
            yield from (one for one in parts if "id" in one.attrib)  # definitions, which belong to the whole drawing
            child[:] = [one for one in parts if "id" not in one.attrib]
            _style_once(child)
        yield child


def _style_once(group: ET.Element) -> None:
    """A style that all parts of a group share stands at the group."""
    styles = {one.attrib.get("style") for one in group}
    if len(styles) == 1 and "style" not in group.attrib and (style := styles.pop()):
        group.attrib["style"] = style
        for one in group:
            del one.attrib["style"]


def _short_names(defined: Iterable[ET.Element]) -> Iterator[str]:
    """Names of definitions: a glyph's own, else the kind with a number."""
    counts: dict[str, int] = {}
    for one in defined:
        font, _, glyph = one.attrib["id"].rpartition("-")
        if font:
            yield _FONTS.get(font, f"{font}-") + glyph
            continue
        kind = _KINDS.get(one.tag, "mark")
        counts[kind] = counts.get(kind, -1) + 1
        yield f"{kind}{counts[kind]}"


def _shorten(element: ET.Element, names: dict[str, str]) -> None:
    """Rounded numbers, short names, no spaces that say nothing."""
    kept = {}
    for key, value in element.attrib.items():
        if key == "id":
            kept[key] = names.get(value, value)
        elif key == "d":
            kept[key] = re.sub(r"\s*([A-Za-z])\s*", r"\1", _rounded(value, DECIMALS)).strip()
        elif key in _COORDINATES:
            kept[key] = _rounded(value, DECIMALS)
        elif key == "transform":
            kept[key] = _FUNCTION.sub(_rounded_function, value)
        elif key == "style":
            kept[key] = re.sub(r"\s*([:;])\s*", r"\1", _named(value, names)).strip(";")
        else:
            kept[key] = _named(value, names)
    if element.tag == "use" and (found := _ONLY_MOVED.fullmatch(kept.get("transform", ""))):
        del kept["transform"]
        moved = {key: value for key, value in zip("xy", found.groups(), strict=True) if value != "0"}
        kept = moved | kept
    element.attrib = kept


def _prefix(text: str) -> str:
    """Four letters and digits, a letter first, that depend on the whole drawing."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    first, rest = letters[number % 26], number // 26
    return first + "".join(letters[rest // 36**i % 36] for i in range(3))


def _named(value: str, names: dict[str, str]) -> str:
    return _REFERENCE.sub(lambda found: "#" + names.get(found[1], found[1]), value)


def _rounded(value: str, decimals: int) -> str:
    """Text with its numbers rounded, single spaces between them."""
    return " ".join(_NUMBER.sub(lambda found: _short(float(found[0]), decimals), value).split())


def _rounded_function(found: re.Match[str]) -> str:
    decimals = SCALE_DECIMALS if found[1] in ("scale", "matrix") else DECIMALS
    return f"{found[1]}({_rounded(found[2], decimals)})"


def _short(number: float | int, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _definitions(defined: Iterable[ET.Element]) -> ET.Element:
    holder = ET.Element("defs")
    holder.extend(defined)
    return holder


def _markup(element: ET.Element) -> str:
    """An element as text; the parts of a group of more than one each on a line, but glyphs and marks."""
    for one in element:
        if one.tag != "use":
            one.tail = "\n"
    return ET.tostring(element, encoding="unicode").replace(" />", "/>")
