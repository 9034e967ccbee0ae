"""The public names: all there, lazy, and the same for type checkers."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sam_edu

PROJECT = Path(sam_edu.__file__).resolve().parents[1]
SOURCE = ast.parse(Path(sam_edu.__file__).read_text(encoding="utf-8"))


def imported_for_type_checkers() -> dict[str, str]:
    """Name -> module of every import under `if TYPE_CHECKING`; each is exported under its own name (`as`)."""
    [block] = [node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def run(script: str) -> str:
    """The output of a script in a fresh interpreter."""
    result = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", sam_edu.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(sam_edu, name)
    home = sam_edu._HOME[name]
    if home == "sam_edu":
        assert value is sys.modules[f"sam_edu.{name}"]
    else:
        assert value is getattr(import_module(home), name)
        assert value.__module__.startswith(home)


def test_type_checkers_get_the_same_names() -> None:
    assert imported_for_type_checkers() == sam_edu._HOME
    assert sam_edu.__all__ == sorted(sam_edu._HOME)
    assert len(sam_edu._HOME) == sum(map(len, sam_edu._PUBLIC.values()))


def test_modules_are_public_in_full() -> None:
    modules = vars(import_module("sam_edu.modules"))
    classes = {name for name, value in modules.items() if callable(value) and not name.startswith("_")}
    assert set(sam_edu._PUBLIC["sam_edu.modules"]) == classes


def test_no_public_function_or_class_is_named_like_a_module_of_the_package() -> None:
    """Importing such a module would replace it."""
    modules = {path.stem for path in (PROJECT / "sam_edu").iterdir()}
    assert {name for name, home in sam_edu._HOME.items() if home != "sam_edu" and name in modules} == set()


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
print(json.dumps([imported, "torch" in sys.modules]))
"""
    assert json.loads(run(script)) == [["sam_edu"], False]


def test_importing_the_module_of_the_example_leaves_the_function() -> None:
    run("import sam_edu.tiny.running_example\nimport sam_edu\nassert sam_edu.example().image.shape == (256, 256, 3)")
