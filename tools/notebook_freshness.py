"""Whether a notebook's committed outputs are what its cells give when they run again.

The last bits of a result depend on the processor, so numbers and figures are compared within tolerances. They are
small enough that a changed result is found: see `tests/tools/test_notebook_compare.py`, which shows both sides.
`tools.check_portability` finds what comes near to them.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from nbformat import NotebookNode
from PIL import Image

from tools.notebook_format import is_machine_dependent, label, normalise, source_hash, to_text
from tools.output_drawings import drawings_differ
from tools.output_texts import texts_differ

# A pixel differs if a channel is off by more than this, of 255: by more than one of the levels that our PNGs know, as
# another processor tips a smooth colour over to the next level. It tips over a pixel here and there on an edge, too; a
# changed digit in a title makes some thirty pixels differ.
PIXEL_TOLERANCE = 17
PIXELS_ALLOWED = 20  # how many pixels may differ
MEAN_TOLERANCE = 0.5  # the mean difference over all pixels and channels, of 255: finds a shift of all colours

IMAGES = ("image/png", "image/jpeg")

REFRESH = "run `make refresh`, look at the difference and commit it"


def staleness(committed: NotebookNode, executed: NotebookNode) -> list[str]:
    """Where committed outputs are not those of a fresh run, a sentence each; empty if they are.

    Both are compared cell by cell; `executed` is normalised. Cells tagged `machine-dependent` are left out.
    """
    found = _staleness_of_the_file(committed)
    return found or [f"{text} If that is meant, {REFRESH}." for text in changed_outputs(committed, executed)]


def changed_outputs(committed: NotebookNode, executed: NotebookNode, share: float = 1.0) -> list[str]:
    """The cells whose outputs differ by more than this share of the tolerances, a sentence each.

    With a share below 1 it finds what another processor could move over the limit before one does.
    """
    found = []
    for index, (old, new) in enumerate(zip(committed.cells, executed.cells, strict=True)):
        if old.cell_type == "code" and not is_machine_dependent(old):
            difference = outputs_differ(old.outputs, new.outputs, share)
            if difference:
                found.append(f"{label(committed, index)}: {difference}")
    return found


def _staleness_of_the_file(committed: NotebookNode) -> list[str]:
    """Why a stored notebook's outputs cannot be those of its cells, whatever a run gives."""
    stamped = committed.metadata.get("sam_edu", {}).get("source_hash")
    if stamped is None:
        return [f"It was never executed by the runner: {REFRESH}."]
    if stamped != source_hash(committed):
        return [f"Its cells have changed since its outputs were made: {REFRESH}."]
    if to_text(normalise(committed)) != to_text(committed):
        return [f"Something else than the runner wrote its outputs: {REFRESH}."]
    return []


def keep_fresh_outputs(committed: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The executed notebook, with the committed outputs wherever those still hold, so that little changes."""
    known = {cell.get("id"): cell for cell in committed.cells if cell.cell_type == "code"}
    for cell in executed.cells:
        old = known.get(cell.get("id"))
        if cell.cell_type != "code" or old is None or old.source != cell.source or is_machine_dependent(cell):
            continue
        if not outputs_differ(old.outputs, cell.outputs):
            cell.outputs = old.outputs
    return normalise(executed)


def outputs_differ(old: list[NotebookNode], new: list[NotebookNode], share: float = 1.0) -> str | None:
    """The first difference of two cells' outputs beyond this share of the tolerances as a sentence, or None."""
    if [_kind(output) for output in old] != [_kind(output) for output in new]:
        kinds = [", ".join(_kind(output) for output in outputs) or "nothing" for outputs in (old, new)]
        return f"its outputs were {kinds[0]} and are now {kinds[1]}."
    for before, after in zip(old, new, strict=True):
        for mime, one in _contents(before).items():
            other = _contents(after)[mime]
            if mime in IMAGES:
                widths = [_width(output, mime) for output in (before, after)]
                difference = _images_differ(one, other, share, widths)
            else:
                difference = (drawings_differ if mime == "image/svg+xml" else texts_differ)(one, other, share)
            if difference:
                return f"{mime}: {difference}"
    return None


def _kind(output: NotebookNode) -> str:
    """What an output is made of: the type, and the stream's name or the MIME types."""
    return f"{output.output_type} ({', '.join(sorted(_contents(output)))})"


def _contents(output: NotebookNode) -> dict[str, str]:
    """The parts of an output, as text by name; an image's alt text is a part."""
    if output.output_type == "stream":
        return {output.name: output.text}
    if output.output_type == "error":
        return {"error": f"{output.ename}: {output.evalue}"}
    parts = {mime: _as_text(data) for mime, data in output.data.items()}
    for mime, metadata in output.metadata.items():
        if isinstance(metadata, dict) and "alt" in metadata:
            parts[f"alt text of {mime}"] = str(metadata["alt"])
    return parts


def _width(output: NotebookNode, mime: str) -> int | None:
    """An image's width on the page, where the output says it."""
    return output.metadata.get(mime, {}).get("width")


def _as_text(data: Any) -> str:
    return data if isinstance(data, str) else json.dumps(data, sort_keys=True)


def _images_differ(old: str, new: str, share: float, widths: list[int | None]) -> str | None:
    """What differs between two images at the size in which they are shown."""
    before, after = (_opened(data) for data in (old, new))
    if before.size != after.size:
        sizes = [f"{image.width} x {image.height}" for image in (before, after)]
        return f"the figure had {sizes[0]} pixels and now has {sizes[1]}."
    if widths[0] != widths[1]:
        return f"the figure was shown {widths[0]} pixels wide and now is {widths[1]}."
    difference = np.abs(_pixels(before, widths[0]) - _pixels(after, widths[0]))
    changed = int((difference.max(axis=-1) > PIXEL_TOLERANCE).sum())
    mean = float(difference.mean())
    if changed > share * PIXELS_ALLOWED or mean > share * MEAN_TOLERANCE:
        return f"the figure has changed: {changed} pixels clearly, all by {mean:.2f} of 255 on average."
    return None


def _opened(data: str) -> Image.Image:
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return image.convert("RGBA")


def _pixels(image: Image.Image, width: int | None) -> np.ndarray:
    """An image's pixels as on the page: where the file has twice as many, each square of four by its mean."""
    times = max(1, round(image.width / width)) if width else 1
    return np.asarray(image.reduce(times), dtype=np.int16)
