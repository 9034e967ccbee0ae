"""The sentence about installing elsewhere: one address in one place, the same in every notebook."""

import json
import subprocess
from pathlib import Path

import pytest

from tools.elsewhere import PROJECT, address, sentence, write

OLD = "In Colab, or wherever the project's environment is missing, first run `this`\nor `that` in a cell of their own."


def make_project(folder: Path, urls: str = "", source: str = f"Run this first. {OLD} More.") -> Path:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}\n', encoding="utf-8")
    (folder / "notebooks").mkdir(exist_ok=True)
    cells = [
        {"cell_type": "markdown", "id": "setup-prose", "metadata": {}, "source": source.splitlines(keepends=True)},
        {"cell_type": "code", "id": "setup", "metadata": {}, "outputs": [], "source": ["é"]},
    ]
    for name in ("00_a", "01_b"):
        content = json.dumps({"cells": cells}, indent=1, ensure_ascii=False) + "\n"
        (folder / "notebooks" / f"{name}.ipynb").write_text(content, encoding="utf-8")
    return folder


def prose(project: Path, name: str) -> str:
    notebook = json.loads((project / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    return "".join(notebook["cells"][0]["source"])


def test_the_notebooks_are_up_to_date() -> None:
    paths = sorted((PROJECT / "notebooks").glob("[0-9]*.ipynb"))
    assert len(paths) == 11
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        [cell] = [cell for cell in notebook["cells"] if cell["id"] == "setup-prose"]
        assert "".join(cell["source"]).count(sentence()) == 1, path.name


def test_no_address_is_invented() -> None:
    known = address()
    assert known is None or known.startswith("https://")
    assert ("`ADDRESS`" in sentence()) == (known is None)
    assert known is not None or "http" not in sentence()


def test_an_address_in_pyproject_reaches_every_notebook(tmp_path: Path) -> None:
    url = "https://example.org/sam-edu.git"
    project = make_project(tmp_path, f'[project.urls]\nRepository = "{url}"')
    assert address(project) == url
    assert write(project) == ["00_a.ipynb", "01_b.ipynb"]
    for name in ("00_a", "01_b"):
        assert prose(project, name) == f"Run this first. {sentence(project)} More."
        assert f"`!git clone {url} sam-edu` and `%pip install" in prose(project, name)
    assert write(project) == []


def test_without_an_address_the_sentence_says_how_to_find_it(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert address(project) is None
    write(project)
    assert "`git remote get-url origin` prints it" in prose(project, "00_a")
    assert (project / "notebooks" / "00_a.ipynb").read_text(encoding="utf-8").endswith("}\n")
    assert "é" in (project / "notebooks" / "00_a.ipynb").read_text(encoding="utf-8")


def test_the_command_that_is_named_prints_the_address(tmp_path: Path) -> None:
    for command in (["init", "-q"], ["remote", "add", "origin", "https://example.org/x.git"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    found = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "https://example.org/x.git"


@pytest.mark.parametrize("source", ["Run this first.", f"{OLD} {OLD}"])
def test_a_cell_without_the_sentence_is_named(tmp_path: Path, source: str) -> None:
    project = make_project(tmp_path, source=source)
    with pytest.raises(ValueError, match=r"00_a\.ipynb: expected the cell setup-prose to have once"):
        write(project)
