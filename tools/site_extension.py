"""What the site adds to Sphinx: formulas without scripts, links into the glossary, previews."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from tools.formulas import to_mathml
from tools.make_glossary import TERMS

GLOSSARY = "notebooks/GLOSSARY"
OURS = 2
"""The column of its table with the word that the series uses."""
PREVIEW = "_static/previews/{}.png"


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(to_mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{to_mathml(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def _address(term: str) -> str:
    return f"term-{nodes.make_id(term)}"


def mark_terms(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give each word of the glossary an address there, and link its first use in the notebook that introduces it."""
    if page == GLOSSARY:
        for row in doctree.findall(nodes.row):
            entries = [entry.astext() for entry in row.findall(nodes.entry)]
            if len(entries) > OURS and entries[OURS] in {term.ours for term in TERMS}:
                row["ids"].append(_address(entries[OURS]))
        return
    found = re.fullmatch(r"notebooks/(\d\d)_\w+", page)
    if not found:
        return
    terms = [term.ours for term in TERMS if term.notebook == found[1]]
    for term in sorted(terms, key=len, reverse=True):
        _link_first(app, doctree, page, term)


def _link_first(app: Sphinx, doctree: nodes.document, page: str, term: str) -> None:
    """Link the place that defines a word (it is printed bold there), or else its first use below the introduction."""
    word = re.compile(rf"\b{re.escape(term)}s?\b(?! decoder)", re.IGNORECASE)
    places = [text for paragraph in doctree.findall(nodes.paragraph) for text in paragraph.findall(nodes.Text)]
    places = [text for text in places if word.search(text) and _may_link(text)]
    defined = [text for text in places if isinstance(text.parent, nodes.strong) and word.fullmatch(text)]
    for text in (*defined, *places):
        hit = word.search(text)
        if hit:
            to = f"{app.builder.get_relative_uri(page, GLOSSARY)}#{_address(term)}"
            link = nodes.reference("", hit[0], refuri=to, internal=True, classes=["term"])
            before, after = nodes.Text(text[: hit.start()]), nodes.Text(text[hit.end() :])
            text.parent.replace(text, [before, link, after])
            return


def _may_link(text: nodes.Text) -> bool:
    """Whether a text is prose below the introduction, and no link already."""
    above: list[nodes.Node] = []
    node: nodes.Node = text
    while node.parent is not None:
        node = node.parent
        above.append(node)
    deep = sum(isinstance(one, nodes.section) for one in above) > 1
    plain = isinstance(text.parent, (nodes.paragraph, nodes.strong, nodes.emphasis))
    return deep and plain and not any(isinstance(one, (nodes.reference, nodes.table)) for one in above)


def add_preview(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """The description of a page, for search engines, and what is shown where it is linked to."""
    if doctree is None:
        return
    description = _description(app, page, doctree)
    title = re.sub(r"<.*?>", "", context.get("title", ""))
    notebook = re.match(r"notebooks/(\d\d)_", page)
    image = PREVIEW.format(notebook[1] if notebook else "poster" if page == "poster" else "00")
    base = app.config.html_baseurl.rstrip("/")
    address = f"{base}/{image}" if base else context["pathto"](image, resource=True)
    facts = {"og:type": "article", "og:title": html.unescape(title), "og:description": description, "og:image": address}
    if base:
        facts["og:url"] = f"{base}/{app.builder.get_target_uri(page)}"
    tags = [f'<meta property="{name}" content="{html.escape(value)}">' for name, value in facts.items()]
    tags.append(f'<meta name="description" content="{html.escape(description)}">')
    tags.append('<meta name="twitter:card" content="summary_large_image">')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def mend_labels(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """What the theme and the reader of notebooks leave out for screen readers.

    A heading of the navigation has no level, the label of a fold hides the words that are seen on it, and what scrolls
    by itself cannot be reached with the keyboard.
    """
    tree = "furo_navigation_tree"
    if tree in context:
        context[tree] = context[tree].replace('role="heading"', 'role="heading" aria-level="2"')
    if "body" in context:
        body = context["body"].replace(' aria-label="Toggle hidden content"', "")
        context["body"] = body.replace("<pre>", '<pre tabindex="0">')


def _description(app: Sphinx, page: str, doctree: nodes.document) -> str:
    """The page's first paragraph, cut at a sentence's end."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) > 60:
            cut = re.match(r".{40,300}?[.?!](?= |$)", text)
            return cut[0] if cut else text[:200]
    return app.config.html_title


def examples_are_code(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """In a docstring, an indented example in a module's text is code, and a lone star is a star."""
    for i in range(len(lines) - 1, -1, -1):
        lines[i] = re.sub(r"(?<![\w*`\\])\*(?=\w+\b(?!\*))", r"\*", lines[i])
        begins = lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip())
        if what == "module" and begins and not _inside_code(lines, i):
            lines[i:i] = [".. code-block:: python", ""]


def _inside_code(lines: list[str], i: int) -> bool:
    """Whether a line goes on with an example that began before a blank line."""
    before = [line for line in lines[:i] if line.strip()]
    return bool(before) and before[-1].startswith("    ")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("doctree-resolved", mark_terms)
    app.connect("autodoc-process-docstring", examples_are_code)
    app.connect("html-page-context", add_preview)
    app.connect("html-page-context", mend_labels, priority=900)  # after the theme's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
