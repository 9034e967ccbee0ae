"""The site's pages from the project's files: notebooks as readers of pages want them, and what stands around them.

Nothing is computed here. A page has the outputs of its notebook; each figure becomes a file of its own with its alt
text and its width, set-up and plotting cells are folded, and links lead to pages.
"""

from __future__ import annotations

import ast
import base64
import copy
import html
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from sam_edu.explorer.situations import SITUATIONS, address
from tools import notebook_format

FOLDED = "hide-input"
"""The tag that makes the reader of notebooks fold a cell's code."""

KEY_FIGURES = {
    "00": "two",
    "01": "fire-0",
    "02": "maps-last",
    "03": "r5-picture",
    "04": "diagram",
    "05": "doors-grid",
    "06": "painting-picture",
    "07": "film-strip",
    "08": "four",
    "09": "refine-example",
    "10": "r14-all",
}
"""The cell whose figure stands for a notebook, on its card and in previews."""

FIRST_SCREEN = ("00", "first")
"""The notebook and the cell whose figure the front page begins with: an image, a click, three masks, their scores."""


class Drawn(NamedTuple):
    """A figure among a notebook's outputs.

    Attributes:
        cell: the cell's id.
        number: of the output among the cell's.
        suffix: of its file, "svg" or "png".
        data: the file.
        alt: what is to be seen.
        width: on the page, in pixels.
        height: the same.
    """

    cell: str
    number: int
    suffix: str
    data: bytes
    alt: str
    width: int
    height: int

    @property
    def file(self) -> str:
        return f"{self.cell}{f'-{self.number}' if self.number else ''}.{self.suffix}"


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG, in pixels."""
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def drawn(cell: NotebookNode) -> Iterator[tuple[NotebookNode, Drawn]]:
    """The figures among a cell's outputs, each with its output."""
    number = 0
    for output in cell.get("outputs", ()):
        png = output.get("data", {}).get("image/png")
        if png is None:
            continue
        data, about = base64.b64decode(png), output.metadata.get("image/png", {})
        columns, rows = png_size(data)
        width = int(about.get("width", columns))
        svg = output["data"].get("image/svg+xml")
        suffix, content = ("png", data) if svg is None else ("svg", svg.encode())
        yield (
            output,
            Drawn(cell.id, number, suffix, content, about.get("alt", ""), width, round(rows * width / columns)),
        )
        number += 1


def _calls_figures(value: ast.expr) -> bool:
    """Whether an expression is a call of one of the functions of `figures`."""
    name = value.func if isinstance(value, ast.Call) else None
    return isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id == "figures"


def is_folded(cell: NotebookNode) -> bool:
    """Whether a cell's code is folded: cells of which the drawing call is at least half."""
    last = ast.parse(cell.source).body[-1]
    if not isinstance(last, ast.Expr) or not _calls_figures(last.value) or last.end_lineno is None:
        return False
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return 2 * (last.end_lineno - last.lineno + 1) >= len(lines)


def needs(notebook: NotebookNode) -> str:
    """What a notebook asks of its reader: its own words below the title, as plain text.

    Raises:
        ValueError: it does not say it.
    """
    found = re.search(r"\*\*You need\*\* (.+?)(<br>|$)", notebook.cells[0].source, re.MULTILINE)
    if found is None:
        raise ValueError("a notebook says below its title what it needs: **You need** ...")
    return re.sub(r"[*`]", "", found[1]).strip()


def buttons(name: str, repository: str | None) -> str:
    """The line of links below a notebook's title."""
    links = [
        f'<a href="../explorer/index.html{address(SITUATIONS[name[:2]])}">Open in the click lab</a>',
        f'<a href="../_static/notebooks/{name}.ipynb" download>Download the notebook</a>',
    ]
    if repository:
        at = f"{repository}/blob/main/notebooks/{name}.ipynb"
        links += [
            f'<a href="https://colab.research.google.com/github/{at}">Open in Colab</a>',
            f'<a href="https://github.com/{at}">Source</a>',
        ]
    return f'<p class="buttons">{" ".join(links)}</p>'


def page(notebook: NotebookNode, name: str, repository: str | None) -> tuple[NotebookNode, list[Drawn]]:
    """A notebook as a page's source, and its figures' files.

    Args:
        notebook: with its outputs.
        name: its file's, without the suffix.
        repository: "owner/name" on GitHub, where it is known.
    """
    result, files = copy.deepcopy(notebook), []
    first_figure = next((i for i, cell in enumerate(result.cells) if any(drawn(cell))), 0)
    for i, cell in enumerate(result.cells):
        if cell.cell_type == "markdown":
            # A cell's id is an address on the page, as the table of answers uses it.
            text = _with_page_links(cell.source)
            if cell.id == "setup-prose":
                text = f"<details><summary>To run it yourself, also in Colab</summary>\n\n{text}\n\n</details>"
            cell.source = f'<a class="cell" id="{cell.id}"></a>\n\n{text}'
            continue
        if i < first_figure or is_folded(cell):  # what comes before the first figure is set-up
            cell.metadata["tags"] = [*cell.metadata.get("tags", ()), FOLDED]
            if cell.id == "setup":
                cell.metadata["mystnb"] = {"code_prompt_show": "Show the set-up: imports, image, model"}
        for output, figure in drawn(cell):
            files.append(figure)
            shown = figure_html(figure, f"../_static/figures/{name[:2]}")
            output.data, output.metadata = nbformat.from_dict({"text/html": shown}), nbformat.from_dict({})
    result.cells = list(_with_addresses(result.cells))
    first = result.cells[0]
    heading = re.search(r"^# .+$", first.source, re.MULTILINE)
    if heading is None:
        raise ValueError(f"{name}: a notebook begins with a heading")
    address = first.source[: heading.start()]
    first.source = f"{heading[0]}\n\n{address}{buttons(name, repository)}\n{first.source[heading.end() :]}"
    return result, files


def figure_html(figure: Drawn, folder: str) -> str:
    """A figure as HTML: it links to its file, in which a browser can zoom."""
    source = f"{folder}/{figure.file}"
    return (
        f'<a class="drawn" href="{source}"><img src="{source}" alt="{html.escape(figure.alt)}"'
        f' width="{figure.width}" height="{figure.height}" loading="lazy"></a>'
    )


def _with_addresses(cells: list[NotebookNode]) -> Iterator[NotebookNode]:
    """A code cell's address stands in a cell of its own before it."""
    for cell in cells:
        if cell.cell_type == "code":
            yield nbformat.v4.new_markdown_cell(f'<a class="cell" id="{cell.id}"></a>', id=f"at-{cell.id}"[:64])
        yield cell


def _with_page_links(source: str) -> str:
    """Links to the project's front page lead to the site's."""
    return source.replace("](../README.md)", "](../index.md)")


def answers(table: str) -> str:
    """The table of answers with links to the cells, not to their notebooks alone."""
    return re.sub(
        r"\[(\d\d)\]\((\d\d_\w+)\.ipynb\) ([\w-]+):", r'<a href="\2.html#\3">\1 \3</a>:', _with_page_links(table)
    )


class Row(NamedTuple):
    """A notebook's row in the project's README."""

    name: str
    title: str
    learn: str
    minutes: int
    seconds: int


def rows_of_readme(readme: str) -> list[Row]:
    """The table of notebooks in the project's README."""
    found = re.findall(
        r"^\|.*?\[([^\]]+)\]\(notebooks/(\d\d_\w+)\.ipynb\)\s*\|\s*(.+?)\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|$",
        readme,
        re.MULTILINE,
    )
    return [Row(name, heading, learn, int(minutes), int(seconds)) for heading, name, learn, minutes, seconds in found]


def card(row: Row, needed: str) -> str:
    """A notebook's card on the front page."""
    times = f"{row.minutes} minutes to read, {row.seconds} seconds to run."
    return (
        f"````{{grid-item-card}} {row.title}\n:link: notebooks/{row.name}\n:link-type: doc\n"
        f":img-top: images/thumbnails/{row.name[:2]}.png\n:img-alt: ''\n\n"
        f"{row.learn[0].upper()}{row.learn[1:]}.\n```{{card-footer}}\n{times} You need {needed}\n```\n````"
    )


def cards(rows: list[Row], needed: dict[str, str]) -> str:
    """The cards of all notebooks, with what each needs by its name."""
    each = [card(row, needed[row.name]) for row in rows]
    return "\n\n".join(["`````{grid} 1 2 2 3\n:gutter: 3", *each, "`````"])


def write_sources(project: Path, folder: Path, notebooks: Path, repository: str | None = None) -> None:
    """Put everything that Sphinx reads into a folder, which is emptied before.

    Args:
        project: the project's folder.
        folder: for the sources.
        notebooks: where the notebooks with their outputs are.
        repository: "owner/name" on GitHub, where it is known.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project / "docs", folder, ignore=shutil.ignore_patterns("benchmarks"))
    shutil.copytree(project / "images", folder / "images", ignore=shutil.ignore_patterns("*.md", "*.json"))
    static = folder / "_static"
    shutil.copy(project / "images" / "poster.svg", static)
    (folder / "notebooks").mkdir()
    (static / "notebooks").mkdir(parents=True)
    first, needed = "", {}
    paths = sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))
    for path in paths:
        notebook = notebook_format.read(path)
        needed[path.stem] = needs(notebook)
        source, files = page(notebook, path.stem, repository)
        notebook_format.write(source, folder / "notebooks" / path.name)
        shutil.copy(path, static / "notebooks")
        at = static / "figures" / path.name[:2]
        at.mkdir(parents=True)
        for one in files:
            (at / one.file).write_bytes(one.data)
            if (path.name[:2], one.cell) == FIRST_SCREEN:
                shown = figure_html(one, f"_static/figures/{path.name[:2]}")
                first = shown.replace(' loading="lazy"', "").replace('class="drawn"', 'class="drawn first"')
    readme = (project / "README.md").read_text(encoding="utf-8")
    front = folder / "index.md"
    text = front.read_text(encoding="utf-8").replace("{{ cards }}", cards(rows_of_readme(readme), needed))
    front.write_text(text.replace("{{ first }}", first), encoding="utf-8")
    shutil.copy(project / "CITATION.cff", folder)
    for name in ("README", "GLOSSARY", "COVERAGE"):
        text = (project / "notebooks" / f"{name}.md").read_text(encoding="utf-8")
        (folder / "notebooks" / f"{name}.md").write_text(
            answers(text) if name == "COVERAGE" else _with_page_links(text), encoding="utf-8"
        )
    card_of_model = project / "sam_edu" / "tiny" / "MODEL_CARD.md"
    (folder / "sam_edu" / "tiny").mkdir(parents=True)
    shutil.copy(card_of_model, folder / "sam_edu" / "tiny")
