"""The notebooks' photographs are found from any working directory, and images of one's own are read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sam_edu
from sam_edu import images
from sam_edu.evaluation.photographs import outlines, photographs

PROJECT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("folder", [PROJECT, PROJECT / "notebooks", PROJECT / "sam_edu" / "tiny", Path("/")])
def test_photographs_are_found_from_any_working_directory(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with Image.open(PROJECT / "images" / "chelsea.png") as opened:
        np.testing.assert_array_equal(sam_edu.image("chelsea.png"), np.asarray(opened.convert("RGB")))
    assert len(photographs()) == 10


def test_an_installed_package_looks_inside_itself_first(tmp_path, monkeypatch):
    (tmp_path / "package" / "images").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(images, "_PACKAGE", tmp_path / "package")
    with pytest.raises(FileNotFoundError, match="install sam_edu again"):
        images.image_folder()
    for folder in (tmp_path, tmp_path / "package"):
        Image.new("RGB", (3, 2)).save(folder / "images" / "chelsea.png")
        assert images.image_folder() == folder / "images"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_images_of_ones_own_are_read(suffix, tmp_path):
    path = tmp_path / f"größe.{suffix}"
    Image.new("RGB", (5, 4), (200, 200, 200)).save(path)
    found = sam_edu.image(path)
    assert (found.shape, found.dtype) == ((4, 5, 3), np.uint8)
    assert np.abs(found.astype(int) - 200).max() <= 3
    np.testing.assert_array_equal(sam_edu.image(str(path)), found)


def test_an_image_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, as a phone stores it
    Image.new("RGB", (5, 4)).save(tmp_path / "phone.jpg", exif=exif)
    assert sam_edu.image(tmp_path / "phone.jpg").shape == (5, 4, 3)


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dog\.png: there is no such image; .* chelsea\.png"):
        sam_edu.image("dog.png")
    (tmp_path / "a.png").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.png: expected an image that Pillow can read"):
        sam_edu.image(tmp_path / "a.png")


def test_the_wheel_takes_every_photograph_along():
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    for name in (*outlines(images.image_folder()), "photograph_outlines.json"):
        assert f'"images/{name}" = "sam_edu/images/{name}"' in text


def test_reading_needs_no_torch():
    script = "import sys, sam_edu; sam_edu.image('coins.png'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)
