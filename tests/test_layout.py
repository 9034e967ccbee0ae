"""The layout: which file imports which, and that images and folders are listed."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "sam_edu"
FILES = sorted(PACKAGE.rglob("*.py"))
IGNORED = {"build", "dist", "runs"}  # ignored by git

FORBIDDEN = {
    "figures": ("ablation", "evaluation", "exercises", "fast", "modules", "official", "predictor", "sam", "training"),
    "scenes": ("ablation", "evaluation", "exercises", "figures", "modules", "sam", "predictor", "tracing", "training"),
    "training": ("ablation", "evaluation", "exercises"),
    "evaluation": ("ablation", "exercises"),
    "tracing": ("sam", "predictor", "tiny", "scenes", "training", "evaluation", "ablation", "figures", "exercises"),
    "official": ("sam", "predictor", "tiny", "scenes", "training", "evaluation", "ablation", "figures", "exercises"),
    "fast": ("sam", "predictor", "tiny", "scenes", "training", "evaluation", "ablation", "figures", "exercises"),
}
"""Per folder of the package, what no file in it imports."""


# --- Reading imports ---


def imports(path: Path) -> Iterator[str]:
    """The full names that a file imports, also inside functions; relative ones are resolved.

    What only type checkers see (`if TYPE_CHECKING`) is left out.
    """
    package = list(path.relative_to(PROJECT).with_suffix("").parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
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


def file_of(name: str) -> Path | None:
    """The package's file that gives an imported name: the module of that name, or the one that contains it."""
    for module in (name, name.rpartition(".")[0]):
        path = PROJECT.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if module.split(".")[0] == "sam_edu" and file.is_file():
                return file
    return None


def import_graph() -> dict[Path, set[Path]]:
    """For each file of the package the files that it imports."""
    return {path: {file for name in imports(path) if (file := file_of(name)) is not None} for path in FILES}


def circle(graph: dict[Path, set[Path]]) -> list[Path]:
    """A circle of the graph, its first file once more at the end; empty where there is none."""
    finished: set[Path] = set()

    def search(path: Path, way: list[Path]) -> list[Path]:
        if path in way:
            return [*way[way.index(path) :], path]
        if path in finished:
            return []
        for other in sorted(graph.get(path, ())):
            found = search(other, [*way, path])
            if found:
                return found
        finished.add(path)
        return []

    return next((found for path in sorted(graph) if (found := search(path, []))), [])


# --- These functions themselves ---


def test_imports_are_read_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PROJECT", tmp_path)
    file = tmp_path / "sam_edu" / "figures" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import torch.nn\nfrom . import marks\nfrom .marks import dot\nfrom ..sam import Sam\n"
        "def later():\n    from sam_edu import predictor\n"
        "if TYPE_CHECKING:\n    from sam_edu import tracing\n"
    )
    assert set(imports(file)) == {
        "torch.nn",
        "sam_edu.figures.marks",
        "sam_edu.figures.marks.dot",
        "sam_edu.sam.Sam",
        "sam_edu.predictor",
    }
    assert imports_any(file, "sam_edu.sam", "sam_edu.mark") == ["sam_edu.sam.Sam"]


def test_names_are_traced_to_their_files():
    assert file_of("sam_edu.sam.Sam") == PACKAGE / "sam.py"
    assert file_of("sam_edu.sam") == PACKAGE / "sam.py"
    assert file_of("sam_edu.modules.MLP") == PACKAGE / "modules" / "__init__.py"
    assert file_of("sam_edu.modules") == PACKAGE / "modules" / "__init__.py"
    assert file_of("torch.nn") is None


def test_a_circle_is_found_behind_any_number_of_files():
    a, b, c, d = (Path(name) for name in "abcd")
    assert circle({a: {b}, b: {c, d}, c: {d}, d: set()}) == []
    assert circle({a: {b}, b: {c, d}, c: {d}, d: {b}}) == [b, c, d, b]
    assert circle({a: {a}}) == [a, a]


# --- The rules ---


def test_no_file_imports_itself_by_way_of_others():
    graph = import_graph()
    assert sum(map(len, graph.values())) > 200
    assert [path.relative_to(PROJECT).as_posix() for path in circle(graph)] == []


@pytest.mark.parametrize("path", below("modules"), ids=lambda path: path.name)
def test_modules_import_torch_jaxtyping_and_each_other(path):
    allowed = {"torch", "jaxtyping", *sys.stdlib_module_names}
    for name in imports(path):
        assert name.split(".")[0] in allowed or f"{name}.".startswith("sam_edu.modules."), name


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_data_flows_one_way(folder):
    wrong = {
        path.relative_to(PACKAGE).as_posix(): found
        for path in below(folder)
        if (found := imports_any(path, *(f"sam_edu.{name}" for name in FORBIDDEN[folder])))
    }
    assert wrong == {}


def test_figures_take_traces_and_arrays_never_a_model():
    models = ("Sam", "Predictor", "MaskDecoder", "PromptEncoder", "FastMaskDecoder", "load", "load_from_environment")
    for path in below("figures"):
        assert imports_any(path, *(f"sam_edu.{name}" for name in models), "sam_edu.tiny.image_encoder") == [], path


def test_metas_package_is_known_to_official_alone():
    pattern = re.compile(r"import_module\(.?segment_anything")
    knowing = {path for path in FILES if imports_any(path, "segment_anything") or pattern.search(path.read_text())}
    assert {path.relative_to(PACKAGE).parts[0] for path in knowing} <= {"official"}


def test_nothing_imports_the_tools_or_the_tests():
    assert {path: imports_any(path, "tools", "tests") for path in FILES if imports_any(path, "tools", "tests")} == {}


def test_notebook_software_is_known_to_figures_and_exercises_alone():
    knowing = [path for path in FILES if imports_any(path, "IPython", "ipykernel", "jupyter", "nbformat", "ipywidgets")]
    assert {path.relative_to(PACKAGE).parts[0] for path in knowing} <= {"figures", "exercises"}


def test_no_module_of_the_package_is_named_like_a_standard_module():
    names = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()}
    assert names & (set(sys.stdlib_module_names) - {"__init__", "__main__"}) == set()


def test_every_image_is_listed_with_its_source():
    folder = PROJECT / "images"
    images = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    images = [name for name in images if name != "README.md" and not name.startswith(".")]
    assert images
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in images if f"`{name}`" not in listed] == []


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
    present = {path.name for path in PROJECT.iterdir() if not path.name.startswith(".")} - IGNORED
    present = {name for name in present if not name.endswith(".egg-info") and name != "__pycache__"}
    assert {name for name in listed if not name.startswith(".")} == present
    assert all((PROJECT / name).exists() for name in listed)
