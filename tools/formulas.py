"""Formulas without MathJax: LaTeX as MathML, which browsers show by themselves, without network or scripts."""

from __future__ import annotations

import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

from tools.notebook_format import label

DOLLARS = {"allow_labels": False, "allow_space": False, "allow_digits": False}
"""What counts as a formula between dollars: GitHub's rules, so that $5 and `$HOME` stay what they are."""

# The environments that latex2mathml knows by another name.
_ENVIRONMENTS = {"aligned": "align*", "gathered": "align*", "equation": "split", "equation*": "split"}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([a-z]+\*?)\}")
# What latex2mathml leaves as it was: a command that it does not know, an ampersand outside a table.
_NOT_CONVERTED = re.compile(r">(\\[^<]*|&)<")


class FormulaError(ValueError):
    """A formula that cannot be shown without MathJax."""


def to_mathml(formula: str, display: bool) -> str:
    """A LaTeX formula as MathML.

    Raises:
        FormulaError: it has a command or an environment that is not known.
    """

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


def formulas(markdown: str) -> list[tuple[str, bool]]:
    """The formulas of a Markdown text, and whether each stands on lines of its own."""
    parser = MarkdownIt("gfm-like", {"linkify": False}).use(dollarmath_plugin, **DOLLARS).use(amsmath_plugin)
    found = []
    for token in parser.parse(markdown):
        for one in (token, *(token.children or ())):
            if one.type in ("math_inline", "math_inline_double", "math_block", "amsmath"):
                found.append((one.content, one.type != "math_inline"))
    return found


def formula_problems(notebook: NotebookNode) -> list[str]:
    """The formulas in a notebook's prose that the site cannot show, a sentence each."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for formula, display in formulas(cell.source):
                try:
                    to_mathml(formula, display)
                except FormulaError as error:
                    found.append(f"{label(notebook, index)}: a formula has no offline form: {error}")
    return found
