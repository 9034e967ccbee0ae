"""Replicas: a file in the folder is all that one needs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import ATTENTIONS, MEASURED, ablations, measuring, pair_measuring, sha256
from sam_edu.ablation.results import arrays, stored_at
from sam_edu.sam import build_tiny
from sam_edu.training.trainer import export
from tools import make_statistics

NAME = f"{ATTENTIONS[-1]} head 0 zero"
TRANSPLANT = "hyper_in"


STAMP = ("weights", "prompts")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the statistics of an untrained model, measured by the command; its weights are gone."""
    place = tmp_path_factory.mktemp("replicas")
    weights = place / "untrained.safetensors"
    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        export(build_tiny(), weights)
        for module in (ablations, measuring):
            patch.setattr(module, "ABLATIONS", {NAME: ablations.ABLATIONS[NAME]})
            patch.setattr(module, "BOX_ABLATIONS", ())
        patch.setattr(pair_measuring, "TRANSPLANTS", {TRANSPLANT: ablation.TRANSPLANTS[TRANSPLANT]})
        # The paths begin with effects of heads, which are not measured here.
        patch.setattr(make_statistics, "measure_head_paths", lambda data, *rest: {k: data[k] for k in STAMP})
        patch.setattr(torch, "set_num_threads", lambda number: None)
        options = ["--weights", str(weights), "--out", str(place / "untrained.npz"), "--scenes", "2"]
        patch.setattr("sys.argv", ["make", *options, "--processes", "1"])
        make_statistics.main()
    (place / "stamp").write_text(sha256(weights))
    weights.unlink()
    return place


def test_a_replicas_file_is_all_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its own weights nor the package's are read."""
    monkeypatch.setattr("sam_edu.ablation.results.tiny_weights", lambda: folder / "none")
    monkeypatch.setattr("sam_edu.ablation.replica_files.replicas_at", lambda: folder)
    found = ablation.replicas()
    assert list(found) == ["untrained"]
    stats = found["untrained"]
    assert stats.weights == (folder / "stamp").read_text()
    assert np.isfinite(stats.effect(NAME).mean)
    assert {prompt.scene for prompt in stats.prompts} == {ablation.FIRST_SCENE, ablation.FIRST_SCENE + 1}
    pairs = ablation.pair_replicas()["untrained"]
    assert pairs.weights == stats.weights
    assert np.isfinite(pairs.effect(TRANSPLANT, kind="same mask", measure="iou_b").mean)


def test_effects_of_replicas_by_the_names_of_a_figure(folder: Path, tmp_path: Path) -> None:
    effect = ablation.replicas(folder)["untrained"].effect(NAME).mean
    assert ablation.replica_effects({"a head": NAME}, folder) == {"a head": [effect]}
    assert ablation.replica_effects({"a head": NAME}, tmp_path) is None


def test_the_package_has_an_earlier_stage_of_its_training() -> None:
    """Every array that the package's own statistics have: so every claim can be asked of it."""
    stats, earlier = ablation.load(), ablation.replicas()["weights_3"]
    assert set(arrays(stored_at())) == set(arrays(ablation.replicas_at() / "weights_3.npz"))
    assert list(earlier.prompts) == list(stats.prompts)
    assert stats.names == earlier.names
    assert earlier.baseline().mean() < stats.baseline().mean()


def test_the_same_parts_are_costly_at_both_stages() -> None:
    """What notebooks 02, 04 and 05 say of the costliest parts is no accident of the last steps of training."""
    stats, earlier = ablation.load(), ablation.replicas()["weights_3"]
    names = [name for name in stats.names if name.endswith(" mean") and " + " not in name]
    now, before = (np.array([one.effect(name).mean for name in names]) for one in (stats, earlier))
    assert np.corrcoef(now, before)[0, 1] > 0.95
    assert set(now.argsort()[:3]) == set(before.argsort()[:3])


def test_no_folder_and_no_file_are_no_replicas(tmp_path: Path) -> None:
    assert ablation.replicas(tmp_path) == ablation.replicas(tmp_path / "none") == {}
    assert ablation.replicas_at().name == "replicas"
    assert ablation.replicas_at().parent == ablation.stored_at().parent


def test_replicas_are_listed_by_their_files_names(folder: Path, tmp_path: Path) -> None:
    data = ablation.results.arrays(folder / "untrained.npz")
    for name in ("second", "first"):
        np.savez(tmp_path / f"{name}.npz", **data | {"weights": np.array(name)})
    assert list(ablation.replicas(tmp_path)) == ["first", "second"]
    assert ablation.replicas(tmp_path)["second"].weights == "second"


def test_the_same_training_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    data = ablation.results.arrays(folder / "untrained.npz")
    for name in ("first", "second"):
        np.savez(tmp_path / f"{name}.npz", **data)
    with pytest.raises(ValueError, match=r"second\.npz was measured on the same weights as first\.npz"):
        ablation.replicas(tmp_path)
    own = ablation.results.arrays(ablation.stored_at())["weights"]
    (tmp_path / "first.npz").unlink()
    np.savez(tmp_path / "second.npz", **data | {"weights": own})
    with pytest.raises(ValueError, match=r"second\.npz .* same weights as statistics\.npz .* is no replica"):
        ablation.replicas(tmp_path)


def test_a_file_that_lacks_something_is_named(folder: Path, tmp_path: Path) -> None:
    data = ablation.results.arrays(folder / "untrained.npz")
    np.savez(tmp_path / "old.npz", **{name: one for name, one in data.items() if name != f"prompts.{MEASURED[0]}"})
    with pytest.raises(ValueError, match=r"old\.npz: the file lacks .*; measure this replica again, or remove"):
        ablation.replicas(tmp_path)
    np.savez(tmp_path / "old.npz", **{name: one for name, one in data.items() if not name.startswith("pairs.")})
    assert list(ablation.replicas(tmp_path)) == ["old"]
    with pytest.raises(ValueError, match=r"old\.npz: the file lacks the pairs of clicks"):
        ablation.pair_replicas(tmp_path)
    np.savez(tmp_path / "old.npz", x=np.zeros(1))
    with pytest.raises(ValueError, match=r"old\.npz: expected a file of tools\.make_statistics"):
        ablation.replicas(tmp_path)
