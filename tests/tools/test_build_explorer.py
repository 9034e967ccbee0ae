"""The click lab's build: what happens without a network, which prompts are stored, where the means lie."""

import json
import struct

import numpy as np
import pytest

import sam_edu
from sam_edu.explorer.gates import GATES
from tools import build_explorer
from tools.build_explorer import PackagesMissingError, build, install_packages, stored_prompts


def without_network(monkeypatch, tmp_path):
    """npm fails, and nothing is installed."""
    monkeypatch.setattr(build_explorer, "WEB", tmp_path / "web")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package-lock.json").write_text("{}", encoding="utf-8")

    def fail(*arguments, **options):
        raise RuntimeError("npm ci failed: no network")

    monkeypatch.setattr(build_explorer, "node", fail)


def test_without_a_network_the_page_says_that_it_was_not_built(monkeypatch, tmp_path):
    without_network(monkeypatch, tmp_path)
    with pytest.raises(PackagesMissingError, match="needs a network"):
        build(tmp_path / "lab")
    assert "was not built" in (tmp_path / "lab" / "index.html").read_text(encoding="utf-8")


def test_packages_that_are_there_are_not_fetched_again(monkeypatch, tmp_path):
    without_network(monkeypatch, tmp_path)
    with pytest.raises(PackagesMissingError):
        install_packages()
    installed = tmp_path / "web" / "node_modules" / ".package-lock.json"
    installed.parent.mkdir()
    installed.write_text("{}", encoding="utf-8")
    install_packages()


def test_stored_prompts_are_three_on_two_objects():
    example = sam_edu.example()
    catalogue = {"images": [{"click": [182, 133, 1]}], "second": [127, 134, 0]}
    first, second, third = stored_prompts(catalogue)
    assert first == {"points": [[182, 133, 1]], "box": None}
    assert second["points"] == [[182, 133, 1], [127, 134, 0]]
    x, y, label = third["points"][0]
    assert label == 1
    assert not set(example.at(x, y)) & set(example.at(182, 133))


def test_means_are_those_of_the_statistics():
    content = build_explorer._means()
    end = 4 + struct.unpack("<I", content[:4])[0]
    header = json.loads(content[4:end])
    means = sam_edu.ablation.load().means
    assert set(header) == {gate.point for gate in GATES} & set(means.names)
    at = end
    for name, shape in header.items():
        size = int(np.prod(shape))
        values = np.frombuffer(content, "<f4", size, at).reshape(shape)
        np.testing.assert_array_equal(values, means.mean(name).numpy())
        at += 4 * size
    assert at == len(content)
