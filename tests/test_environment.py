"""The lists of what is needed agree with each other."""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import environment as setup_environment

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_environment_installs_the_project_and_lists_nothing_twice(conda):
    assert conda["name"] == "sam-edu"
    plain = [entry for entry in conda["dependencies"] if isinstance(entry, str)]
    [with_pip] = [entry for entry in conda["dependencies"] if isinstance(entry, dict)]
    assert [entry.split()[0] for entry in plain] == ["python", "pip"]
    assert with_pip == {"pip": ["-e .[notebooks]"]}


def test_python_bounds_agree(conda, pyproject):
    [python] = [entry for entry in conda["dependencies"] if str(entry).startswith("python ")]
    bounds = SpecifierSet(python.removeprefix("python "))
    required = SpecifierSet(pyproject["requires-python"])
    versions = [f"3.{minor}" for minor in range(6, 30)]
    supported = [f"3.{minor}" for _, minor in reversed(setup_environment.SUPPORTED)]
    assert list(bounds.filter(versions)) == supported
    assert set(supported) <= set(required.filter(versions))
    assert min(required.filter(versions), key=lambda version: int(version[2:])) == supported[0]


def test_constraints_pin_every_dependency_within_its_bounds(pyproject):
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins.values()), "exact, without local parts"
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    listed = [pyproject["dependencies"], *pyproject["optional-dependencies"].values()]
    requirements = [Requirement(text) for group in listed for text in group]
    wanted = [requirement for requirement in requirements if requirement.name != pyproject["name"]]
    assert len(wanted) > 10
    for requirement in wanted:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_core_dependencies_are_few(pyproject):
    names = {Requirement(text).name for text in pyproject["dependencies"]}
    assert names == {"torch", "numpy", "safetensors", "jaxtyping", "pillow"}


def test_make_alone_lists_the_targets():
    listing = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^make ([\w-]+) +\S", listing, re.MULTILINE)
    assert {"notebooks", "test", "lab", "refresh"} <= set(targets)
    phony = re.search(r"^\.PHONY: (.+)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert targets == phony[1].split()


def test_ci_calls_what_the_readme_calls():
    called = re.findall(r"^make [\w-]+$", (PROJECT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert called == ["make test", "make test-site", "make portable"]
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [command for command in called if command not in readme] == []


def test_citation_has_what_citing_needs(pyproject):
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == pyproject["version"]
    assert citation["license"] == pyproject["license"]


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_lab_says_and_allows_root_where_the_user_is_root(user, allowed, tmp_path):
    for name, script in {"id": f"echo {user}", "python": 'echo "ran $*"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    command = ["make", "lab", "PYTHON=true", f"BIN={tmp_path}", "LAB=--no-browser --port=8888"]
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    [ran] = [line for line in result.stdout.splitlines() if line.startswith("ran ")]
    assert ("--allow-root" in ran) is allowed
    assert ("You are root" in result.stdout) is allowed
    assert "--no-browser --port=8888" in ran
    assert ran.endswith("notebooks/00_the_whole_decoder.ipynb")


TEXT = {"read_text", "write_text", "open", "run", "Popen", "check_output", "NamedTemporaryFile"}


def calls_without_encoding(path):
    """The lines of a Python file that read or write text in whatever encoding the machine has."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        given = {keyword.arg for keyword in node.keywords}
        constants = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        binary = any(isinstance(value, str) and re.fullmatch(r"[rwax]\+?b\+?", value) for value in constants)
        if name not in TEXT or "encoding" in given or binary or owner in ("Image", "files", "archive"):
            continue
        if name in ("run", "Popen", "check_output", "NamedTemporaryFile") and not given & {
            "text",
            "universal_newlines",
        }:
            continue
        yield node.lineno


@pytest.mark.parametrize("folder", ["tools", "sam_edu"])
def test_text_is_read_and_written_as_utf_8(folder):
    files = sorted((PROJECT / folder).rglob("*.py"))
    assert len(files) > 15
    lines = {path.relative_to(PROJECT).as_posix(): list(calls_without_encoding(path)) for path in files}
    assert {path: found for path, found in lines.items() if found} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", [1]),
        ("path.write_text('a')", [1]),
        ("open('a')", [1]),
        ("open('a', 'w')", [1]),
        ("path.open('w', newline='')", [1]),
        ("subprocess.run(['a'], text=True)", [1]),
        ("open('a', 'rb')", []),
        ("path.read_text(encoding='utf-8')", []),
        ("subprocess.run(['a'], encoding='utf-8')", []),
        ("subprocess.run(['a'])", []),
        ("Image.open(path)", []),
    ],
)
def test_calls_without_an_encoding_are_found(source, found, tmp_path):
    (tmp_path / "a.py").write_text(source, encoding="utf-8")
    assert list(calls_without_encoding(tmp_path / "a.py")) == found
