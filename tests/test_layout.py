"""The rules of the house: who imports whom, how long the modules are, and that what is listed is there."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "sam_edu"
FILES = sorted(PACKAGE.rglob("*.py"))

MAX_MODULE_LINES, MAX_FAST_LINES = 450, 200
MADE_HERE = {"build", "dist", "runs"}  # ignored by git


def imports(path: Path) -> Iterator[str]:
    """The full names that a file imports, relative ones resolved."""
    package = list(path.relative_to(PROJECT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imports_any(path: Path, *names: str) -> list[str]:
    """Those of a file's imports that are one of the names, or below it."""
    return [found for found in imports(path) if any(f"{found}.".startswith(f"{name}.") for name in names)]


def below(*folders: str) -> list[Path]:
    """The package's files below some of its folders; there has to be one in each."""
    found = {folder: [path for path in FILES if path.is_relative_to(PACKAGE / folder)] for folder in folders}
    assert all(found.values()), f"nothing to check: {found}"
    return [path for paths in found.values() for path in paths]


def test_imports_are_read_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PROJECT", tmp_path)
    file = tmp_path / "sam_edu" / "figures" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import torch.nn\nfrom . import marks\nfrom .marks import dot\nfrom ..sam import Sam\n"
        "def later():\n    from sam_edu import predictor\n"
    )
    assert set(imports(file)) == {
        "torch.nn",
        "sam_edu.figures.marks",
        "sam_edu.figures.marks.dot",
        "sam_edu.sam.Sam",
        "sam_edu.predictor",
    }
    assert imports_any(file, "sam_edu.sam", "sam_edu.mark") == ["sam_edu.sam.Sam"]


@pytest.mark.parametrize("path", below("modules"), ids=lambda path: path.name)
def test_modules_import_torch_jaxtyping_and_each_other(path):
    allowed = {"torch", "jaxtyping", *sys.stdlib_module_names}
    for name in imports(path):
        assert name.split(".")[0] in allowed or f"{name}.".startswith("sam_edu.modules."), name


def test_one_file_knows_metas_package():
    knowing = {path.name for path in FILES if imports_any(path, "segment_anything")}
    assert knowing <= {"official.py"}
    text = {path.name for path in FILES if re.search(r"import_module\(.?segment_anything", path.read_text())}
    assert text <= {"official.py"}


@pytest.mark.parametrize("path", below("figures"), ids=lambda path: path.name)
def test_figures_take_traces_and_arrays_never_a_model(path):
    models = ("sam", "predictor", "modules", "training", "official", "fast_mask_decoder", "tiny")
    assert imports_any(path, *(f"sam_edu.{name}" for name in models)) == []
    from_package = {"Sam", "Predictor", "MaskDecoder", "PromptEncoder", "load"}
    assert imports_any(path, *(f"sam_edu.{name}" for name in from_package)) == []


def test_nobody_imports_the_tools_or_the_tests():
    assert FILES
    assert {path: imports_any(path, "tools", "tests") for path in FILES if imports_any(path, "tools", "tests")} == {}


def test_notebook_software_is_known_to_figures_and_exercises_alone():
    knowing = [path for path in FILES if imports_any(path, "IPython", "ipykernel", "jupyter", "nbformat", "ipywidgets")]
    assert {path.relative_to(PACKAGE).parts[0] for path in knowing} <= {"figures", "exercises"}


def test_modules_are_short():
    lines = {path.name: code_lines(path.read_text(encoding="utf-8")) for path in below("modules")}
    assert sum(lines.values()) <= MAX_MODULE_LINES, lines


def test_the_fast_decoder_is_short():
    assert code_lines((PACKAGE / "fast_mask_decoder.py").read_text(encoding="utf-8")) <= MAX_FAST_LINES


def code_lines(source: str) -> int:
    """Lines that hold code: not blank, no comment, no docstring."""
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_lines_of_code_are_counted_without_docstrings_comments_and_blanks():
    source = (
        '"""Module.\n\nLong."""\n\n# comment\nx = (\n    1,\n\n)\n\ndef f():\n    """Doc."""\n    return x  # why\n'
    )
    assert code_lines(source) == 5


def test_every_picture_is_listed_with_its_source():
    folder = PROJECT / "images"
    pictures = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    pictures = [name for name in pictures if name != "README.md" and not name.startswith(".")]
    assert pictures
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in pictures if f"`{name}`" not in listed] == []


def test_readme_shows_the_tree_as_it_is():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    [tree] = [
        block for block in re.findall(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL) if "sam_edu/  " in block
    ]
    listed = set()
    for line in tree.splitlines():
        if line and not line.startswith(" "):
            names, _, _ = line.partition("  ")
            listed.update(name.rstrip("/") for name in names.split())
    present = {path.name for path in PROJECT.iterdir() if not path.name.startswith(".")} - MADE_HERE
    present = {name for name in present if not name.endswith(".egg-info") and name != "__pycache__"}
    assert {name for name in listed if not name.startswith(".")} == present
    assert all((PROJECT / name).exists() for name in listed)
