"""Whether two SVG drawings are the same: the same elements, with numbers within tolerances.

The last bits of a result depend on the processor, and a coordinate written with two decimals may differ in the last of
them. A drawing is another one where an element, a letter or a colour is another, or where something has moved by more
than a sixth of a pixel: see `tests/tools/test_output_drawings.py`, which shows both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from tools.output_texts import texts_differ

POINTS = 0.15  # how far a coordinate may lie from where it was; at 80 dots per inch a pixel has 0.9 points
SHAPE_POINTS = 0.02  # the same in definitions: marks and letters, which do not depend on data
RELATIVE = 1e-3  # widths of lines, opacities, scales
COLOUR = 2  # of 255, per channel: a colour that is computed from data

_PLACES = ("d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height", "viewBox", "points")
_WORDS = ("aria-label", "title", "desc")
_FUNCTION = re.compile(r"(\w+)\(([^)]*)\)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_HEX = re.compile(r"#[0-9a-fA-F]{6}\b")
# Of two drawings in one page each has its own names: the prefix is a hash of everything in the drawing.
_PREFIX = re.compile(r"(^|#)[a-z][a-z0-9]{3}-")


def drawings_differ(old: str, new: str, share: float = 1.0) -> str | None:
    """The first difference between two drawings beyond this share of the tolerances as a sentence, or None."""
    try:
        before, after = list(_walk(ET.fromstring(old))), list(_walk(ET.fromstring(new)))
    except ET.ParseError as error:
        return None if old == new else f"the drawing is no SVG: {error}."
    for (path, one, defined), (other_path, other, _) in zip(before, after, strict=False):
        if path != other_path:
            return f"`<{path}>` was expected, and `<{other_path}>` came out."
        difference = _elements_differ(one, other, SHAPE_POINTS if defined else POINTS, share)
        if difference:
            return f"<{path}> {difference}"
    if len(before) != len(after):
        return f"the drawing had {len(before)} elements and now has {len(after)}."
    return None


def _walk(element: ET.Element, above: str = "", defined: bool = False) -> Iterator[tuple[str, ET.Element, bool]]:
    """All elements in order, each with the names of those around it and whether it is part of a definition."""
    tag = element.tag.rpartition("}")[2]
    path = f"{above}/{tag}".strip("/")
    defined = defined or tag == "defs"
    yield path, element, defined
    for child in element:
        yield from _walk(child, path, defined)


def _elements_differ(old: ET.Element, new: ET.Element, points: float, share: float) -> str | None:
    if list(old.attrib) != list(new.attrib):
        return f"had {', '.join(old.attrib) or 'no attributes'} and now has {', '.join(new.attrib) or 'none'}."
    for key, one in old.attrib.items():
        if not _values_agree(key, one, new.attrib[key], points, share):
            return f"{key}: `{_shown(one)}` was expected, and `{_shown(new.attrib[key])}` came out."
    words = texts_differ(old.text or "", new.text or "", share)
    return f"says something else: {words}" if words else None


def _values_agree(key: str, old: str, new: str, points: float, share: float) -> bool:
    """Whether an attribute has the same value within a share of the tolerances."""
    if old == new:
        return True
    if key in _WORDS:
        return texts_differ(old, new, share) is None
    if key in _PLACES:
        return _numbers_agree(old, new, share * points, 0.0)
    if key == "transform":
        return _transforms_agree(old, new, share * points, share * RELATIVE)
    old, new = _PREFIX.sub(r"\1", old), _PREFIX.sub(r"\1", new)
    colours = _HEX.findall(old), _HEX.findall(new)
    if len(colours[0]) != len(colours[1]) or not all(
        _colours_agree(*pair, share * COLOUR) for pair in zip(*colours, strict=True)
    ):
        return False
    rest = _HEX.sub("#", old), _HEX.sub("#", new)
    if key in ("id", "href", "clip-path"):
        return rest[0] == rest[1]
    return _numbers_agree(*rest, 0.0, share * RELATIVE)


def _transforms_agree(old: str, new: str, points: float, relative: float) -> bool:
    """Moves within a distance, everything else, such as a scale, relative to its size."""
    before, after = _FUNCTION.findall(old), _FUNCTION.findall(new)
    if [name for name, _ in before] != [name for name, _ in after]:
        return False
    return all(
        _numbers_agree(one, other, *((points, 0.0) if name == "translate" else (0.0, relative)))
        for (name, one), (_, other) in zip(before, after, strict=True)
    )


def _numbers_agree(old: str, new: str, absolute: float, relative: float) -> bool:
    """The same text around the numbers, and each number within both tolerances together."""
    if _NUMBER.sub("0", old) != _NUMBER.sub("0", new):
        return False
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    return all(
        abs(a - b) <= absolute + relative * max(abs(a), abs(b)) + 1e-9
        for a, b in ((float(one), float(other)) for one, other in pairs)
    )


def _colours_agree(old: str, new: str, most: float) -> bool:
    return all(abs(int(old[i : i + 2], 16) - int(new[i : i + 2], 16)) <= most for i in (1, 3, 5))


def _shown(value: str) -> str:
    return value if len(value) <= 80 else value[:77] + "..."
