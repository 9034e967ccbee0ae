"""Building the site: which repository it links to, which browser looks at it, what is said of it elsewhere."""

import subprocess

import numpy as np
import pytest
import yaml
from PIL import Image

from tools import draw_animation
from tools.build_site import PROJECT, main, repository_of
from tools.find_browsers import find_chromium, find_firefox
from tools.find_browsers import main as look_for_browsers
from tools.site_extension import examples_are_code


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://github.com/someone/sam-edu.git", "someone/sam-edu"),
        ("git@github.com:someone/sam.edu", "someone/sam.edu"),
        ("https://example.org/someone/sam-edu.git", None),
    ],
)
def test_repository_is_that_of_gits_origin(project, address, name):
    assert repository_of(project) is None
    subprocess.run(["git", "-C", str(project), "remote", "add", "origin", address], check=True)
    assert repository_of(project) == name


def test_githubs_own_variable_comes_first(project, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    assert repository_of(project) == "a/b"


def test_executed_copies_that_are_missing_are_named(monkeypatch, capsys, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_a.ipynb").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("tools.build_site.PROJECT", tmp_path)
    with pytest.raises(SystemExit):
        main(["--executed"])
    assert "lacks 00_a.ipynb; run python -m tools.run_notebooks first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("find", "variable", "name"),
    [(find_chromium, "CHROMIUM", "chromium"), (find_firefox, "FIREFOX", "firefox-esr")],
)
def test_without_a_browser_it_is_said_how_to_get_one(monkeypatch, tmp_path, capsys, find, variable, name):
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"apt-get install {name}"):
        find()
    assert look_for_browsers() == 1
    assert f"apt-get install {name}" in capsys.readouterr().err
    program = tmp_path / name
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    assert find() == str(program)
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=rf"{variable}: .*none is no program"):
        find()


def test_examples_in_docstrings_are_code_and_a_lone_star_is_a_star():
    lines = ["It does.", "", "    a = 1", "", "    b = 2", "", "Then (runs, *shape) and *this*."]
    examples_are_code(None, "module", "name", None, None, lines)
    assert lines[2:5] == [".. code-block:: python", "", "    a = 1"]
    assert lines.count(".. code-block:: python") == 1
    assert lines[-1] == r"Then (runs, \*shape) and *this*."


def test_workflow_builds_the_site_without_secrets():
    text = (PROJECT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"]["publish"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make site"]
    assert "secrets." not in text


def test_the_animation_is_light_and_its_still_is_its_first_frame():
    moving, still = (PROJECT / "images" / f"one_click.{suffix}" for suffix in ("gif", "png"))
    assert moving.stat().st_size < 2_000_000
    with Image.open(moving) as one, Image.open(still) as first:
        assert one.n_frames == len(draw_animation.way())
        assert one.convert("RGB").tobytes() == first.convert("RGB").tobytes()


def test_the_animation_shows_what_the_model_decodes_now():
    numbers = (0, 8, 18)
    drawings = draw_animation.draw(numbers)
    with Image.open(PROJECT / "images" / "one_click.gif") as moving:
        now = [one.quantize(palette=moving, dither=Image.Dither.NONE).convert("RGB") for one in drawings]
        for i, number in enumerate(numbers):
            moving.seek(number)
            stored = np.asarray(moving.convert("RGB"), float)
            apart = [np.abs(stored - np.asarray(one, float)).mean() for one in now]
            assert apart.pop(i) < 0.5  # of 255; another processor moves single pixels of an edge
            assert min(apart) > 1
