"""One word for one thing: the words that this project does not use stand in no tracked text."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).resolve().parent.parent
OWN_LIST = "tests/test_words.py"
CHANGELOG = "CHANGELOG.md"
"""Its tables hold the old names."""


class Rule(NamedTuple):
    """A word that is not used.

    Attributes:
        pattern: a regular expression; without a capital letter it finds words in capitals too.
        instead: the word that is used.
        wrong: a text that the rule has to find.
        right: a text that the rule must not find.
        literal_in: a folder where the word has its plain sense, or is refused.
    """

    pattern: str
    instead: str
    wrong: str
    right: str
    literal_in: str = ""


RULES = {
    "positional code": Rule(
        r"\bposition(al)? codes?\b",
        "positional encoding",
        "its positional codes",
        "positional encodings, in source code",
    ),
    "picture": Rule(
        r"(?<![-\w</])pictures?(?![-\w])",
        "image, feature map or figure",
        "a picture of 4 x 6 pixels",
        "the cell r2-picture",
    ),
    "ledger": Rule(r"(?<![a-z])ledger", "shape table", "t.ledger()", "t.shape_table()"),
    "switched off": Rule(
        r"\bswitch(es|ed|ing)?[ _](\w+ )?off\b", "ablate, ablation", "what is switched off", "a switch of the theme"
    ),
    "effect of off": Rule(
        r"\b(mlp|self_attn|to_image|to_token|layers\.\d|layers\.\{\w+\}|encodings?( of the (image|tokens))?) off\b",
        "ablated",
        '"transformer.layers.1.mlp off"',
        '"transformer.layers.1.mlp ablated"',
    ),
    "mean of one decode": Rule(
        r"intervene\([^()]*\"mean\"(?![^()]*reference)",
        "token_mean, or mean with the runs of a reference",
        'intervene(model, name, "mean")',
        'intervene(model, name, "mean", reference=runs)',
        "tests/tracing/",
    ),
    "bend": Rule(
        r"\bbends?\b", "activation, non-linearity", "take the bend away", "remove the activation", "sam_edu/scenes/"
    ),
    "mixture": Rule(
        r"\bmixtures? of (a few|few|some) rows\b", "low-rank update", "a mixture of a few rows", "a mixture"
    ),
    "what was meant": Rule(
        r"\b(what|that|which) was meant\b|\bmeant mask\b",
        "ground truth, target",
        "the mask that was meant",
        "the target mask",
    ),
    "right answers": Rule(
        r"\bright answers? (to|for) (a|the|one) click\b|\bshare the (right )?answers\b",
        "ground-truth masks",
        "the right answers to a click",
        "a right answer to the exercise",
    ),
    "by lot": Rule(r"\bby lot\b", "at random", "drawn by lot", "a lot of clicks"),
    "held against": Rule(
        r"\bheld against\b|\bhold(s|ing)? \w+ against\b", "compared with", "held against Meta's", "held by a lock"
    ),
    "hangs on": Rule(r"\bhangs? on\b", "depends on", "it hangs on the machine", "it depends on the machine"),
    "so many of": Rule(r"\bso many of\b", "the number", "so many of them", "so many clicks"),
    "weed out": Rule(r"\bweed(s|ed|ing)?\b", "remove", "to weed out", "a wedge"),
    "whoever": Rule(r"\bwhoever\b", "if you, a reader who", "whoever moves it", "a reader who moves it"),
    "mind the": Rule(r"\bmind the\b|\bnever mind\b", "note", "Mind the index", "remind the reader"),
    "places of the grid": Rule(
        r"\b4096 places\b|\bplaces=|\bimage's places\b|\beach place\b|\bplaces of the grid\b",
        "position, image token",
        "4096 places",
        "in place of the image",
    ),
    "axis pixels": Rule(
        r"TracePoint\(\"[^\"]*\bpixels\b|intervene\([^()]*\bpixels=",
        "image_tokens",
        'TracePoint("batch pixels dim")',
        'TracePoint("batch image_tokens dim")',
    ),
    "Point": Rule(r"(?<![\w.])Point\(", "TracePoint", 'self.q = Point("batch")', 'self.q = TracePoint("batch")'),
    "Switch": Rule(r"\bSWITCHES\b|\bswitched_off\b", "ABLATIONS, ablated", "one of SWITCHES", "one of ABLATIONS"),
    "old rooms": Rule(
        r"\bsam_edu[./](statistics\b(?!\.npz)|fast_mask_decoder|modules[./]point\b|training[./](scenes|shapes|slender|"
        r"textures|clicks|evaluate|photo_scores|baselines|photographs|attention_share|failures|held_out|switched)\b)"
        r"|\bexercises\.\w+_solutions\b|\bexercises\.(exercise|table|trials)\b",
        "the rooms of README.md",
        "from sam_edu.training.clicks import random_click",
        "from sam_edu.scenes.prompts import random_click",
    ),
}
LOCALS = {"told", "came", "made", "said", "asks"}
"""Verbs that are no names of variables."""


class Text(NamedTuple):
    """A piece of text: where it stands, and whether it is Python."""

    where: str
    text: str
    python: bool


def untracked() -> list[str]:
    """The files of the project's folders, found without git."""
    folders = ("docs", "sam_edu", "tests", "tools", "notebooks", "images")
    found = [*PROJECT.glob("*.md"), *(path for folder in folders for path in (PROJECT / folder).rglob("*"))]
    return [path.relative_to(PROJECT).as_posix() for path in found if path.is_file()]


def tracked() -> list[str]:
    """The tracked files that hold text for readers, but for this one; outside a git checkout, those of the folders."""
    result = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    names = result.stdout.split("\0") if result.returncode == 0 else untracked()
    names = [name for name in names if name.endswith((".py", ".md", ".ipynb", ".ts", ".html"))]
    return [name for name in names if name != OWN_LIST and (PROJECT / name).exists()]


@cache
def texts() -> tuple[Text, ...]:
    return tuple(text for name in tracked() for text in texts_of(name, (PROJECT / name).read_text(encoding="utf-8")))


def texts_of(name: str, content: str) -> Iterator[Text]:
    """A file's texts: the whole file, or a notebook's cells and alt texts; of the changelog no tables."""
    if name.endswith(".ipynb"):
        for cell in json.loads(content)["cells"]:
            where = f"{name}, cell {cell['id']}"
            yield Text(where, "".join(cell["source"]), cell["cell_type"] == "code")
            for output in cell.get("outputs", []):
                for metadata in output.get("metadata", {}).values():
                    if isinstance(metadata, dict) and "alt" in metadata:
                        yield Text(f"{where}, alt text", metadata["alt"], False)
    elif name == CHANGELOG:
        yield Text(name, "\n".join("" if line.startswith("|") else line for line in content.splitlines()), False)
    else:
        yield Text(name, content, name.endswith(".py"))


def uses(pattern: str, text: str) -> Iterator[tuple[int, str]]:
    """The lines on which a pattern is found, by number. Words may be divided by a line's end."""
    flags = 0 if re.search(r"(?<!\\)[A-Z]", pattern) else re.IGNORECASE
    for match in re.finditer(pattern.replace(" ", r"\s+"), text, flags):
        yield text.count("\n", 0, match.start()) + 1, match[0]


def assigned(text: str) -> Iterator[tuple[int, str]]:
    """The names that Python code assigns or takes as arguments, with their lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


@pytest.mark.parametrize("name", RULES)
def test_a_word_that_is_not_used_stands_nowhere(name: str) -> None:
    rule = RULES[name]
    read = [text for text in texts() if not (rule.literal_in and text.where.startswith(rule.literal_in))]
    lines = [f"{text.where}:{line}: {word!r}" for text in read for line, word in uses(rule.pattern, text.text)]
    assert lines == [], f"write {rule.instead}"


def test_variables_have_nouns_as_names() -> None:
    python = [text for text in texts() if text.python]
    assert len(python) > 200
    verbs = [f"{text.where}:{line}: {word}" for text in python for line, word in assigned(text.text) if word in LOCALS]
    assert verbs == []


@pytest.mark.parametrize("name", RULES)
def test_each_rule_finds_its_word_and_no_other(name: str) -> None:
    rule = RULES[name]
    assert list(uses(rule.pattern, rule.wrong))
    assert not list(uses(rule.pattern, rule.right))


def test_a_word_is_found_across_a_line_and_in_capitals() -> None:
    assert list(uses(RULES["by lot"].pattern, "drawn by\n    lot")) == [(1, "by\n    lot")]
    assert list(uses(RULES["hangs on"].pattern, "\nHangs on")) == [(2, "Hangs on")]


def test_sources_and_alt_texts_of_notebooks_are_read_and_no_image_data() -> None:
    output = {"data": {"image/png": "picture"}, "metadata": {"image/png": {"alt": "an alt text"}, "tags": []}}
    cell = {"id": "r1", "cell_type": "code", "source": ["x = 1\n", "x"], "outputs": [output]}
    assert list(texts_of("a.ipynb", json.dumps({"cells": [cell]}))) == [
        Text("a.ipynb, cell r1", "x = 1\nx", True),
        Text("a.ipynb, cell r1, alt text", "an alt text", False),
    ]


def test_tables_of_the_changelog_are_left_out() -> None:
    assert list(texts_of(CHANGELOG, "a\n| old | new |\nb")) == [Text(CHANGELOG, "a\n\nb", False)]


def test_assigned_names_are_read_in_every_form() -> None:
    code = "told = 1\nfor said, x in []:\n    pass\ndef f(came): return told\nwith a as made: pass\n"
    assert {name for _, name in assigned(code)} == {"told", "said", "x", "came", "made"}


def test_the_folders_hold_what_git_tracks():
    assert set(tracked()) <= set(untracked())
    assert len(tracked()) > 200
