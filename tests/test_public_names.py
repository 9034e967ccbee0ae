"""The public names: all there, lazy, and the same in the three places that list them."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sam_edu

SOURCE = ast.parse(Path(sam_edu.__file__).read_text(encoding="utf-8"))


def imported_for_type_checkers() -> dict[str, str]:
    """Name -> module of every import under `if TYPE_CHECKING`."""
    [block] = [node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


@pytest.mark.parametrize("name", sam_edu.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(sam_edu, name)
    if name in sam_edu._HOME:
        assert value is getattr(import_module(sam_edu._HOME[name]), name)
        assert value.__module__.startswith(sam_edu._HOME[name])
    else:
        assert value is sys.modules[f"sam_edu.{name}"]


def test_the_three_lists_agree() -> None:
    lazy = sam_edu._HOME | dict.fromkeys(sam_edu._SUBMODULES, "sam_edu")
    assert imported_for_type_checkers() == lazy
    assert sorted(sam_edu.__all__) == sorted(lazy)
    assert len(set(sam_edu.__all__)) == len(sam_edu.__all__)


def test_modules_are_public_in_full() -> None:
    modules = vars(import_module("sam_edu.modules"))
    classes = {name for name, value in modules.items() if callable(value) and not name.startswith("_")}
    assert set(sam_edu._MODULES["sam_edu.modules"]) == classes


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'sam_edu' has no attribute 'MaskDecoda'"):
        sam_edu.MaskDecoda  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from sam_edu import nothing  # noqa: F401


def test_dir_lists_every_name() -> None:
    assert set(sam_edu.__all__) <= set(dir(sam_edu))
    assert dir(sam_edu) == sorted(dir(sam_edu))


def test_names_are_loaded_when_they_are_first_used() -> None:
    script = """
import json, sys
before = set(sys.modules)
import sam_edu
imported = sorted(name for name in set(sys.modules) - before if name.split(".")[0] in ("sam_edu", "torch", "numpy"))
dir(sam_edu)
sam_edu.Example
only = "sam_edu.example" in sys.modules and "torch" not in sys.modules
print(json.dumps([imported, only, callable(vars(sam_edu)["example"])]))
"""
    project = Path(sam_edu.__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    imported, only_the_example, kept = json.loads(result.stdout)
    assert imported == ["sam_edu"]
    assert only_the_example
    assert kept
