"""The lists of what is needed agree with each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import setup_environment

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((PROJECT / "environment.yml").read_text())


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
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
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
    targets = re.findall(r"^make (\w+) +\S", listing, re.MULTILINE)
    assert {"notebooks", "test", "lab", "refresh"} <= set(targets)
    phony = re.search(r"^\.PHONY: (.+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert targets == phony[1].split()


def test_ci_calls_what_the_readme_calls():
    called = re.findall(r"^make \w+$", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)
    assert called == ["make test", "make portable"]
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [command for command in called if command not in readme] == []


def test_citation_has_what_citing_needs(pyproject):
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == pyproject["version"]
    assert citation["license"] == pyproject["license"]
