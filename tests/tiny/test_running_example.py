"""The running example: masks that nest at the click, prompts at the right positions, and the command that draws it."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sam_edu
from sam_edu.scenes.boxes import tight_box
from tools import make_example


@pytest.fixture
def example() -> sam_edu.Example:
    return sam_edu.example()


def test_shapes_and_types(example: sam_edu.Example) -> None:
    n = len(example.masks)
    assert example.image.shape == (256, 256, 3)
    assert example.image.dtype == np.uint8
    assert example.masks.shape == (n, 256, 256)
    assert example.masks.dtype == bool
    assert example.level.shape == example.parent.shape == (n,)
    assert len(example.names) == n
    assert example.click.shape == example.negative_click.shape == (1, 2)
    assert example.box.shape == (4,)
    assert {example.click.dtype, example.negative_click.dtype, example.box.dtype} == {np.dtype(np.float32)}


def test_masks_nest_and_their_names_say_their_level(example: sam_edu.Example) -> None:
    assert set(example.level) == {0, 1, 2}
    for mask, level, parent, name in zip(example.masks, example.level, example.parent, example.names, strict=True):
        assert mask.any()
        assert name.endswith(("object", "part", "sub-part")[level])
        if level == 0:
            assert parent == -1
        else:
            assert example.level[parent] == level - 1
            assert (mask <= example.masks[parent]).all()
            assert name.split(",")[0] == example.names[parent].split(",")[0]


def test_object_part_and_sub_part_lie_over_each_other_at_the_click(example: sam_edu.Example) -> None:
    here = example.at(*example.click[0])
    assert example.level[here].tolist() == [0, 1, 2]
    thing, part, deepest = here
    assert example.parent[part] == thing
    assert example.parent[deepest] == part
    areas = example.masks[here].sum(axis=(1, 2))
    assert areas[0] > areas[1] > areas[2] >= 100


def test_negative_click_is_on_the_same_object_outside_the_part(example: sam_edu.Example) -> None:
    thing, part, _ = example.at(*example.click[0])
    at_negative = example.at(*example.negative_click[0])
    assert thing in at_negative
    assert part not in at_negative


def test_box_is_the_object_s(example: sam_edu.Example) -> None:
    np.testing.assert_array_equal(example.box, tight_box(example.masks[example.at(*example.click[0])[0]]))


def test_at_gives_the_largest_first_and_nothing_where_nothing_is(example: sam_edu.Example) -> None:
    y, x = np.argwhere(~example.masks.any(axis=0))[0]
    assert example.at(float(x), float(y)) == []
    y, x = np.argwhere(example.masks.sum(axis=0) == 3)[0]
    areas = example.masks[example.at(x + 0.9, y + 0.9)].sum(axis=(1, 2))
    assert len(areas) == 3
    assert (np.diff(areas) <= 0).all()


def test_arrays_are_fresh_at_each_call(example: sam_edu.Example) -> None:
    kept = {name: value.copy() for name, value in vars(example).items() if isinstance(value, np.ndarray)}
    for name in kept:
        getattr(example, name)[...] = 0
    again = sam_edu.example()
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_the_command_draws_it_again(example: sam_edu.Example, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: dict[str, Any] = {}
    monkeypatch.setattr(np, "savez_compressed", lambda path, **arrays: saved.update(arrays, path=path))
    make_example.main()
    assert saved["path"] == Path(sam_edu.__file__).parent / "tiny" / "example.npz"
    np.testing.assert_array_equal(saved["image"], example.image)
    np.testing.assert_array_equal(np.unpackbits(saved["masks"], axis=-1).astype(bool), example.masks)
    for name in ("level", "parent", "click", "negative_click", "box"):
        np.testing.assert_array_equal(saved[name], getattr(example, name))
    assert tuple(saved["names"]) == example.names


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(import_module("sam_edu.tiny.running_example"), "files", lambda package: tmp_path)
    return tmp_path


def test_missing_data_comes_with_advice(elsewhere: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"example\.npz is missing: install sam_edu again"):
        sam_edu.example()


class Runs:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["masks", "image", "names"])
def test_data_with_pickled_objects_is_refused_and_nothing_of_it_is_run(
    example: sam_edu.Example, elsewhere: Path, name: str
) -> None:
    arrays = vars(example) | {"masks": np.packbits(example.masks, axis=-1)}
    arrays[name] = np.array([Runs(elsewhere / "was run")], dtype=object)
    (elsewhere / "tiny").mkdir()
    np.savez(elsewhere / "tiny" / "example.npz", **arrays)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        sam_edu.example()
    assert not (elsewhere / "was run").exists()


@pytest.mark.parametrize(("x", "y"), [(-1.0, 3.0), (3.0, -0.5), (256.0, 3.0), (3.0, 256.0), (float("nan"), 3.0)])
def test_there_is_no_mask_outside_the_image(x: float, y: float) -> None:
    with pytest.raises(ValueError, match="x, y: expected a pixel of the image of 256 x 256, got"):
        sam_edu.example().at(x, y)
