"""Executed notebooks as HTML pages that need nothing but a browser: no network, no scripts.

nbconvert's own template loads MathJax, require.js and mermaid from other sites, and drops the figures' alt text. Here
the scripts are left out, formulas become MathML, which every current browser shows by itself, images are put into the
page, and their alt text is kept.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from jinja2 import DictLoader, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from tools.notebook_format import label

TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{% macro image(output, mime) %}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:{{ mime }};base64,{{ output.data[mime] }}" alt="{{ (output | get_metadata('alt', mime) or '') | e }}"
{%- for side in ('width', 'height') if output | get_metadata(side, mime) %}
 {{ side }}="{{ output | get_metadata(side, mime) }}"
{%- endfor %}>
</div>
{% endmacro %}
{% block html_head_js %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}
<style>
main { max-width: 62rem; margin: 0 auto; padding: 0 1rem 4rem; }
img[src^="data:image/svg"] { background: white; }
.contents { font: 14px sans-serif; margin: 1rem 0; }
img { max-width: 100%; height: auto; }
math[display="block"] { margin: 0.8em 0; }
.formula { font-family: serif; font-style: italic; }
</style>
{% endblock %}
{% block body_header %}{{ super() }}
<nav class="contents"><a href="index.html">All notebooks</a></nav>
{% endblock %}
{% block data_svg %}
<div class="jp-RenderedSVG jp-OutputArea-output">
<img src="data:image/svg+xml;base64,{{ output.data['image/svg+xml'] | text_base64 }}"
 alt="{{ (output | get_metadata('alt', 'image/svg+xml') or '') | e }}">
</div>
{% endblock %}
{% block data_png %}{{ image(output, 'image/png') }}{% endblock %}
{% block data_jpg %}{{ image(output, 'image/jpeg') }}{% endblock %}
{% block data_latex %}
<div class="jp-RenderedLatex jp-OutputArea-output">{{ output.data['text/latex'] | markdown2html }}</div>
{% endblock %}
"""

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The mask decoder of Segment Anything</title>
<style>
body {{ font: 17px/1.6 sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color: #222; }}
a {{ color: #0b5394; }}
li {{ margin: 0.4rem 0; }}
</style>
</head>
<body>
<h1>The mask decoder of Segment Anything</h1>
<p>The notebooks, as they ran on this machine.</p>
<ul>
{entries}
</ul>
</body>
</html>
"""

# The environments that latex2mathml knows by another name.
_ENVIRONMENTS = {"aligned": "align*", "gathered": "align*", "equation": "split", "equation*": "split"}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([a-z]+\*?)\}")
# What latex2mathml leaves as it was: a command that it does not know, an ampersand outside a table.
_NOT_CONVERTED = re.compile(r">(\\[^<]*|&)<")


class FormulaError(ValueError):
    """A formula that cannot be shown without MathJax."""


def to_mathml(formula: str, display: bool) -> str:
    """A LaTeX formula as MathML."""

    def known_name(found: re.Match[str]) -> str:
        return f"\\{found[1]}{{{_ENVIRONMENTS.get(found[2], found[2])}}}"

    try:
        mathml = convert(_ENVIRONMENT.sub(known_name, formula.strip()), display="block" if display else "inline")
    except Exception as error:  # latex2mathml's exceptions have no common ancestor of their own
        raise FormulaError(f"{formula.strip()} ({type(error).__name__})") from error
    left = _NOT_CONVERTED.search(mathml)
    if left:
        raise FormulaError(f"{formula.strip()} ({left[1]} is not known)")
    return mathml


class _Renderer(IPythonRenderer):
    """Markdown with its formulas as MathML; one that cannot be converted is shown as it was written."""

    def block_math(self, body: str) -> str:
        return self._formula(body, display=True)

    def inline_math(self, body: str) -> str:
        return self._formula(body, display=False)

    def latex_environment(self, name: str, body: str) -> str:
        return self._formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)

    def _formula(self, body: str, display: bool) -> str:
        try:
            return to_mathml(body, display)
        except FormulaError:
            return f'<span class="formula">{html.escape(body)}</span>'


class _Exporter(HTMLExporter):
    """nbconvert's exporter with our renderer of Markdown."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, anchor_link_text=self.anchor_link_text)
        return MarkdownWithMath(renderer=renderer).render(source)


def to_html(notebook: NotebookNode, name: str, folder: Path) -> str:
    """A page that holds the notebook; `folder` is where its relative paths to images start."""
    exporter = _Exporter(extra_loaders=[DictLoader({"offline.html.j2": TEMPLATE})], template_file="offline.html.j2")
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title(notebook, name)}})
    soup = BeautifulSoup(page, features="html.parser")
    for image in soup.find_all("img", src=True):
        image["src"] = _embedded(str(image["src"]), folder)
    for link in soup.find_all("a", href=True):
        # Between notebooks; a notebook on another site keeps its address.
        link["href"] = re.sub(r"^([\w.-]+)\.ipynb(?=#|$)", r"\1.html", str(link["href"]))
    return str(soup)


def _embedded(source: str, folder: Path) -> str:
    """An image's file as a data URL; anything else stays and is reported by `remote_references` if it is remote."""
    path = folder / source
    if ":" in source or not path.is_file():
        return source
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def title(notebook: NotebookNode, default: str) -> str:
    """The notebook's first heading."""
    for cell in notebook.cells:
        found = re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return re.sub(r"[*`$]", "", found[1]).strip()
    return default


def index_html(pages: Sequence[tuple[str, str]]) -> str:
    """The list of all pages, given as (file name, title)."""
    entries = "\n".join(f'<li><a href="{html.escape(name)}">{html.escape(text)}</a></li>' for name, text in pages)
    return INDEX.format(entries=entries)


def formula_problems(notebook: NotebookNode) -> list[str]:
    """The formulas in a notebook's prose that the pages cannot show, a sentence each."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            collector = _Collector(escape=False, attachments=cell.get("attachments", {}))
            MarkdownWithMath(renderer=collector).render(cell.source)
            found += [f"{label(notebook, index)}: a formula has no offline form: {text}" for text in collector.failed]
    return found


class _Collector(_Renderer):
    """Renders as usual and remembers the formulas that failed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.failed: list[str] = []

    def _formula(self, body: str, display: bool) -> str:
        try:
            return to_mathml(body, display)
        except FormulaError as error:
            self.failed.append(str(error))
            return ""


def remote_references(page: str) -> list[str]:
    """What a browser would fetch from elsewhere to show the page, or could; links to follow are not among them."""
    finder = _RemoteFinder()
    finder.feed(page)
    return finder.found


class _RemoteFinder(HTMLParser):
    _LOADING = frozenset({"src", "srcset", "data", "poster", "background", "xlink:href"})
    _REMOTE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
    _IN_CSS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])\s*((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
    _IN_SCRIPT = re.compile(r"https?://[^'\"\s]+", re.IGNORECASE)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._inside = tag
        for name, value in attributes:
            loads = name in self._LOADING or (tag in ("link", "image", "use") and name == "href")
            if value and loads and self._REMOTE.match(value):
                self.found.append(f"<{tag} {name}={value}>")
            if value and name == "style":
                self.found += self._IN_CSS.findall(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.found += self._IN_CSS.findall(data)
        elif self._inside == "script":
            self.found += self._IN_SCRIPT.findall(data)
