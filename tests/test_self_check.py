"""python -m sam_edu: 0 where all is well; else a line that says what is wrong and how to mend it."""

import hashlib
import shutil
from importlib import metadata
from pathlib import Path

import pytest
import torch

import sam_edu
from sam_edu import __main__ as self_check
from sam_edu import official, sam


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What was printed per check, and the last line as "summary"."""
    *checks, summary = capsys.readouterr().out.splitlines()
    by_name = {line[8:].split()[0]: line for line in checks}
    assert list(by_name) == list(self_check.CHECKS)
    return by_name | {"summary": summary}


@pytest.fixture
def own_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the weights with its hash, for a test to spoil."""
    path = tmp_path / "tiny.safetensors"
    shutil.copyfile(sam.tiny_weights(), path)
    path.with_suffix(".sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    monkeypatch.setattr(sam, "tiny_weights", lambda: path)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the checks out that decode."""
    for name in ("decode", "parity"):
        monkeypatch.setitem(self_check.CHECKS, name, lambda: "left out")


def test_all_is_well(own_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert self_check.main() == 0
    output = lines(capsys)
    assert all(line.startswith("  ok    ") for name, line in output.items() if name != "summary")
    assert output["summary"].startswith("All is well, ")
    assert f"torch {metadata.version('torch')}" in output["versions"]
    assert "3 masks" in output["decode"]
    assert "equals Meta's" in output["parity"]


@pytest.mark.usefixtures("quick")
def test_wrong_weights_are_noticed(own_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt = bytearray(own_weights.read_bytes())
    spoilt[-1] ^= 1
    own_weights.write_bytes(spoilt)
    assert self_check.main() == 1
    output = lines(capsys)
    assert output["weights"].startswith("FAILED  weights")
    assert hashlib.sha256(spoilt).hexdigest() in output["weights"]
    assert "install sam_edu again" in output["weights"]
    assert output["summary"].startswith("1 of 5 failed")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("suffix", [".safetensors", ".sha256"])
def test_missing_files_are_noticed(own_weights: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    own_weights.with_suffix(suffix).unlink()
    assert self_check.main() == 1
    output = lines(capsys)
    assert output["weights"].startswith("FAILED  weights")
    assert f"tiny{suffix} is missing: install sam_edu again" in output["weights"]


@pytest.mark.usefixtures("quick", "own_weights")
def test_a_missing_package_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = metadata.version

    def without_safetensors(name: str) -> str:
        if name == "safetensors":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_safetensors)
    assert self_check.main() == 1
    output = lines(capsys)
    assert output["versions"].startswith("FAILED  versions")
    assert "the package safetensors is not installed: pip install safetensors" in output["versions"]
    assert output["weights"].startswith("  ok    ")  # the other checks still run


@pytest.mark.usefixtures("own_weights")
def test_optional_packages_may_be_missing_and_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(self_check.CHECKS, "decode", lambda: "left out")
    find = self_check.util.find_spec
    monkeypatch.setattr(
        self_check.util, "find_spec", lambda name: None if name in ("segment_anything", "jupyterlab") else find(name)
    )
    assert self_check.main() == 0
    output = lines(capsys)
    assert "segment-anything (for parity with Meta's package)" in output["optional"]
    assert "jupyterlab (for the notebooks)" in output["optional"]
    assert "matplotlib" not in output["optional"]
    assert "pip install segment-anything jupyterlab" in output["optional"]
    assert "not checked: segment-anything is not installed" in output["parity"]


def test_a_decoder_that_differs_from_meta_s_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    convert = official.to_official

    def break_one(ours: torch.nn.Module) -> torch.nn.Module:
        theirs = convert(ours)
        with torch.no_grad():
            theirs.get_parameter("transformer.layers.1.norm1.bias").add_(1.0)
        return theirs

    monkeypatch.setattr(official, "to_official", break_one)
    with pytest.raises(ValueError, match=r"our decoder differs from Meta's, first at transformer\.layers\.1"):
        self_check.parity()


def test_masks_that_have_nothing_to_do_with_the_click_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = sam_edu.load

    def untrained(name: str) -> sam.Sam:
        model = load(name)
        with torch.no_grad():
            for hypernetwork in model.mask_decoder.output_hypernetworks_mlps:
                hypernetwork.layers[-1].weight.zero_()
                hypernetwork.layers[-1].bias.zero_()
        return model

    monkeypatch.setattr(sam_edu, "load", untrained)
    with pytest.raises(ValueError, match=r"a click on the example gives no sensible mask: the best has IoU 0\.00"):
        self_check.decode()
