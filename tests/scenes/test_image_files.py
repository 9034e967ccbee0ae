"""Image files of every kind: read as RGB, or left out with a reason."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_edu.scenes.image_files import as_rgb, image_paths, other_colours, read_rgb, sizes, unreadable

_spec = importlib.util.spec_from_file_location("image_kinds", Path(__file__).with_name("image_kinds.py"))
assert _spec is not None
assert _spec.loader is not None
kinds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kinds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    kinds.fill(folder)
    return folder


@pytest.mark.parametrize("name", kinds.USABLE)
def test_every_kind_becomes_rgb_of_8_bits_and_stands_upright(name: str, folder: Path) -> None:
    image = read_rgb(folder / name)
    assert image.mode == "RGB"
    assert image.size == (kinds.WIDTH, kinds.HEIGHT)


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "cmyk.jpg", "oriented.jpg", "lossy.webp"])
def test_colours_stay(name: str, folder: Path) -> None:
    pixels = np.asarray(read_rgb(folder / name)).astype(int)
    difference = np.abs(pixels - kinds.coloured())
    assert np.median(difference) < 8
    assert difference.mean() < 12


def test_16_bits_become_8(folder: Path) -> None:
    np.testing.assert_array_equal(np.asarray(read_rgb(folder / "16 bits.png"))[..., 1], kinds.coloured()[..., 0])
    deep = Image.fromarray(kinds.coloured()[..., 0].astype(np.int32) * 257)
    np.testing.assert_array_equal(np.asarray(as_rgb(deep))[..., 2], kinds.coloured()[..., 0])
    shallow = Image.fromarray(kinds.coloured()[..., 0].astype(np.int32))
    np.testing.assert_array_equal(np.asarray(as_rgb(shallow))[..., 2], kinds.coloured()[..., 0])


def test_what_is_transparent_becomes_white(folder: Path) -> None:
    pixels = np.asarray(read_rgb(folder / "alpha.png"))
    np.testing.assert_array_equal(pixels[:, : kinds.WIDTH // 2], kinds.coloured()[:, : kinds.WIDTH // 2])
    assert (pixels[:, kinds.WIDTH // 2 :] == 255).all()


def test_an_image_as_it_is_stored(folder: Path) -> None:
    assert read_rgb(folder / "oriented.jpg", upright=False).size == (kinds.HEIGHT, kinds.WIDTH)
    assert sizes(folder / "oriented.jpg") == ((kinds.WIDTH, kinds.HEIGHT), (kinds.HEIGHT, kinds.WIDTH))
    assert sizes(folder / "rgb.png") == ((kinds.WIDTH, kinds.HEIGHT),) * 2


@pytest.mark.parametrize("name", kinds.USABLE)
def test_images_are_made_smaller_and_keep_their_shape(name: str, folder: Path) -> None:
    assert read_rgb(folder / name, most=45).size == (45, 30)


@pytest.mark.parametrize("name", kinds.UNUSABLE)
def test_what_cannot_be_used_is_refused_with_a_reason(name: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=kinds.UNUSABLE[name][1]):
        read_rgb(folder / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for read in (read_rgb, sizes):
        with pytest.raises(ValueError, match="no such file"):
            read(tmp_path / "nothing.png")


def test_all_files_of_a_folder_are_checked(folder: Path) -> None:
    paths = image_paths(folder)
    assert {path.name for path in paths} == set(kinds.USABLE) | set(kinds.UNUSABLE)
    assert paths == sorted(paths)
    assert {path.name for path in unreadable(paths)} == set(kinds.UNUSABLE)


def test_other_colours_are_decided_by_the_generator(folder: Path) -> None:
    image = read_rgb(folder / "rgb.png")
    first, again, other = (np.asarray(other_colours(image, np.random.default_rng(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, np.asarray(image))
