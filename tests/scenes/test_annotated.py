"""Annotated images as scenes: the project's outlined photographs in COCO's form, and files that are wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from pycocotools import mask as coco

from sam_edu.evaluation.photographs import outlines, photographs, rasterise
from sam_edu.scenes.annotated import LEAST_PIXELS, nested, read_annotated
from sam_edu.scenes.scene import Scene

IMAGES = Path(__file__).resolve().parents[2] / "images"
Table = dict[str, list[dict[str, Any]]]


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run-lengths: column by column, beginning with the zeros."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    ends = np.flatnonzero(np.diff(flat.astype(np.int8)))
    return np.diff(np.concatenate([[0], ends, [mask.size]])).tolist()


def compressed(mask: np.ndarray) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def table_of_project() -> Table:
    """The project's outlined photographs, as polygons and as run-lengths of both forms."""
    table: Table = {"images": [], "annotations": []}
    for name, objects in outlines(IMAGES).items():
        width, height = Image.open(IMAGES / name).size
        key = len(table["images"]) + 1
        table["images"].append({"id": key, "file_name": name, "width": width, "height": height})
        for outline in objects:
            number = len(table["annotations"])
            segmentation: Any = [[value for corner in outline.polygon for value in corner]]
            if outline.holes or number % 3:
                mask = rasterise(outline, height, width)
                listed = {"size": [height, width], "counts": run_lengths(mask)}
                segmentation = compressed(mask) if number % 2 else listed
            table["annotations"].append({"id": number, "image_id": key, "segmentation": segmentation, "iscrowd": 0})
    return table


def write(folder: Path, table: object) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def of_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("coco"), table_of_project())


def test_the_project_s_outlines_come_back(of_project: Path) -> None:
    annotated = read_annotated(of_project, IMAGES)
    assert annotated.left_out == {}
    known = photographs(IMAGES)
    assert annotated.objects == len(known)
    assert [image.path.name for image in annotated.images] == list(dict.fromkeys(photo.name for photo in known))
    decoded = [coco.decode(mask) > 0 for image in annotated.images for mask in image.masks]
    for mask, photo in zip(decoded, known, strict=True):
        assert mask.shape == photo.mask.shape
        # All of the edge belongs to the object in the project, and a part of it in COCO's polygons.
        core, around = (
            np.asarray(Image.fromarray(photo.mask.astype(np.uint8)).filter(kind(3))) > 0
            for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
        )
        assert mask[core].all(), photo.object
        assert around[mask].all(), photo.object
    assert sum((mask != photo.mask).any() for mask, photo in zip(decoded, known, strict=True)) <= 4  # the polygons


def test_scenes_are_pieces_of_the_images_with_their_masks(of_project: Path) -> None:
    annotated = read_annotated(of_project, IMAGES)
    whole = 0
    for seed in range(24):
        scene = annotated.scene(np.random.default_rng(seed))
        assert scene.image.shape == (256, 256, 3)
        assert scene.image.dtype == np.uint8
        assert scene.masks.dtype == bool
        assert scene.masks.shape[1:] == (256, 256)
        assert 0 < len(scene.masks) == len(scene.level) == len(scene.parent) == len(scene.family)
        assert (scene.masks.sum(axis=(1, 2)) >= LEAST_PIXELS).all()
        padding = (scene.image[-1] == (124, 116, 104)).all() or (scene.image[:, -1] == (124, 116, 104)).all()
        whole += bool(padding)
    assert 6 <= whole <= 18
    first, again, other = (annotated.scene(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("size", [(120, 90), (90, 120), (100, 100)])
def test_masks_lie_on_what_they_outline(size: tuple[int, int], tmp_path: Path) -> None:
    """A white rectangle on black: in every piece, mirrored or not, the mask is where it is bright."""
    width, height = size
    mask = np.zeros((height, width), bool)
    mask[20:60, 15:50] = True
    Image.fromarray(np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=2)).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": width, "height": height}
    path = write(
        tmp_path, {"images": [image], "annotations": [{"id": 1, "image_id": 1, "segmentation": compressed(mask)}]}
    )
    annotated = read_annotated(path)
    boxes = set()
    for seed in range(32):
        scene = annotated.scene(np.random.default_rng(seed))
        [drawn] = scene.masks
        grey = scene.image.mean(axis=2)
        assert grey[drawn].mean() > 3 * grey[~drawn & (grey < 110)].mean() + 50
        bright = grey > (grey[drawn].mean() + grey[~drawn].min()) / 2
        bright &= ~(scene.image == (124, 116, 104)).all(axis=2)
        assert (bright & drawn).sum() / (bright | drawn).sum() > 0.93
        boxes.add((int(drawn.any(0).argmax()), int(drawn.any(1).argmax())))
    assert len(boxes) > 6


@pytest.mark.parametrize("outlined", ["upright", "stored", "half"])
def test_masks_lie_on_the_image_as_it_was_outlined(outlined: str, tmp_path: Path) -> None:
    """An image that is stored on its side, outlined upright or as it is stored, and one that was halved since."""
    mask = np.zeros((120, 200), bool)
    mask[10:50, 20:160] = True
    image = Image.fromarray(255 * mask.astype(np.uint8))
    exif = Image.Exif()
    if outlined == "half":
        image.reduce(2).save(tmp_path / "a.png")
    else:
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif, quality=95)
        if outlined == "stored":
            mask = np.rot90(mask)
    name = "a.png" if outlined == "half" else "a.jpg"
    entry = {"id": 1, "file_name": name, "width": mask.shape[1], "height": mask.shape[0]}
    annotation = {"id": 1, "image_id": 1, "segmentation": compressed(mask)}
    annotated = read_annotated(write(tmp_path, {"images": [entry], "annotations": [annotation]}))
    assert annotated.images[0].upright == (outlined != "stored")
    for seed in range(4):
        scene = annotated.scene(np.random.default_rng(seed))
        assert scene.image[scene.masks[0]].mean() > 1.8 * scene.image[~scene.masks[0]].mean()


def square(size: int, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_masks_within_masks_are_parts_and_sub_parts() -> None:
    masks = [square(64, 30, 30, 4), square(64, 2, 2, 60), square(64, 10, 10, 40), square(64, 24, 24, 14)]
    masks += [square(64, 3, 2, 60), square(64, 50, 50, 14)]
    scene: Scene = nested(np.zeros((64, 64, 3), np.uint8), masks)
    sizes = scene.masks.sum(axis=(1, 2)).tolist()
    assert sizes == [3600, 1600, 196, 196, 16]  # of two that are nearly the same, the first
    assert scene.level.tolist() == [0, 1, 2, 0, 2]
    assert scene.parent.tolist() == [-1, 0, 1, -1, 1]


def test_a_scene_without_masks_has_none() -> None:
    assert nested(np.zeros((64, 64, 3), np.uint8), []).masks.shape == (0, 64, 64)


# --- Files that are wrong ---

Change = Callable[[Table, Path], object]


def first_outline(value: object) -> Change:
    return lambda table, folder: table["annotations"][0].update(segmentation=value)


def other_image(draw: Callable[[Path], object]) -> Change:
    return lambda table, folder: draw(folder / "a.png")


LEFT_OUT: dict[str, tuple[Change, str]] = {
    "no outline": (lambda table, folder: table["annotations"][0].pop("segmentation"), "it has no outline"),
    "null": (first_outline(None), "it has no outline"),
    "no polygon": (first_outline([]), "it has no outline"),
    "two corners": (first_outline([[1, 1, 20, 20]]), "at least three corners"),
    "odd": (first_outline([[1, 1, 20, 20, 30, 5, 7]]), "at least three corners"),
    "words": (first_outline([["a"] * 6]), "expected corners in the image of 80 x 80 pixels, got 'a'"),
    "far": (first_outline([[0, 0, 1e12, 0, 5, 5]]), "expected corners in the image of 80 x 80 pixels"),
    "not a number": (first_outline([[0, 0, float("nan"), 0, 5, 5]]), "expected corners in the image"),
    "few pixels": (first_outline([[0, 0, 2, 0, 2, 2]]), "pixels that it needs at 256 x 256"),
    "other size": (first_outline({"size": [40, 80], "counts": [0, 3200]}), "run-lengths of 80 x 80 pixels"),
    "too short": (first_outline({"size": [80, 80], "counts": [0, 100]}), "run-lengths of 6400 pixels in all"),
    "negative": (first_outline({"size": [80, 80], "counts": [6500, -100]}), "run-lengths of 6400 pixels in all"),
    "unfinished": (first_outline({"size": [80, 80], "counts": "PPo"}), "as a list of numbers or as a compressed"),
    "other signs": (first_outline({"size": [80, 80], "counts": "\u00e4"}), "as a list of numbers or as a compressed"),
    "too long": (first_outline({"size": [80, 80], "counts": "1oooo1"}), "."),
    "a number": (first_outline(7), "it has no outline"),
    "missing": (other_image(Path.unlink), "no such file"),
    "empty": (other_image(lambda path: path.write_bytes(b"")), "cannot identify"),
    "other shape": (
        other_image(lambda path: Image.new("RGB", (80, 50)).save(path)),
        "it has 80 x 50 pixels, and the file says 80 x 80",
    ),
    "tiny": (other_image(lambda path: Image.new("RGB", (8, 8)).save(path)), "too small"),
}
"""What is done to a good file and its images, and what is said of it. The second image stays as it is."""


@pytest.fixture
def good(tmp_path: Path) -> tuple[Table, Path]:
    """Two images with an object each."""
    table: Table = {"images": [], "annotations": []}
    for key, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (80, 80), (200, 30 * key, 90)).save(tmp_path / name)
        table["images"].append({"id": key, "file_name": name, "width": 80, "height": 80})
        table["annotations"].append({"id": 7, "image_id": key, "segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]]})
    return table, tmp_path


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_cannot_be_used_is_named_and_left_out(name: str, good: tuple[Table, Path]) -> None:
    change, message = LEFT_OUT[name]
    table, folder = good
    change(table, folder)
    annotated = read_annotated(write(folder, table))
    assert [image.path.name for image in annotated.images] == ["b.png"]
    reasons = list(annotated.left_out.items())
    assert reasons[0][0].startswith("a.png")
    assert message in reasons[0][1] or message == "."
    scene = annotated.scene(np.random.default_rng(0))
    assert len(scene.masks) == 1


def test_every_kind_of_image_can_be_annotated(good: tuple[Table, Path]) -> None:
    table, folder = good
    for number, mode in enumerate(("L", "CMYK", "RGBA", "P", "LA", "1")):
        name = f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new("RGB", (80, 80), (9, 99, 200)).convert(mode).save(folder / name)
        table["images"].append({"id": name, "file_name": name, "width": 80, "height": 80})
        table["annotations"].append({"image_id": name, "segmentation": [[5, 5, 70, 9, 40, 70 + number / 3]]})
    annotated = read_annotated(write(folder, table))
    assert annotated.left_out == {}
    assert annotated.objects == 8


def test_crowds_and_images_without_objects_are_left_out(good: tuple[Table, Path]) -> None:
    table, folder = good
    table["annotations"].append(table["annotations"][1] | {"iscrowd": 1})
    del table["annotations"][0]
    annotated = read_annotated(write(folder, table))
    assert annotated.left_out == {"a.png": "it has no object"}
    assert annotated.objects == 1


REFUSED: dict[str, tuple[object, str]] = {
    "not JSON": (None, "expected JSON"),
    "a list": ([], 'with lists "images" and "annotations"'),
    "no annotations": ({"images": []}, 'with lists "images" and "annotations"'),
    "nothing": ({"images": [], "annotations": []}, "none of its 0 images can be used"),
    "no name": ({"images": [{"id": 1, "width": 5, "height": 5}], "annotations": []}, 'image 0: expected "id"'),
    "no size": ({"images": [{"id": 1, "file_name": "a"}], "annotations": []}, 'image 0: expected "id"'),
    "size in words": (
        {"images": [{"id": 1, "file_name": "a", "width": "5", "height": 5}], "annotations": []},
        'image 0: expected "id"',
    ),
    "twice": (
        {"images": [{"id": 1, "file_name": "a", "width": 5, "height": 5}] * 2, "annotations": []},
        "occurs twice",
    ),
    "unknown image": ({"images": [], "annotations": [{"image_id": 5}]}, 'annotation 0: expected the "image_id"'),
    "no annotation": ({"images": [], "annotations": [3]}, 'annotation 0: expected the "image_id"'),
    "all missing": (
        {
            "images": [{"id": 1, "file_name": "no.png", "width": 80, "height": 80}],
            "annotations": [{"id": 1, "image_id": 1, "segmentation": [[0, 0, 70, 0, 70, 70]]}],
        },
        "none of its 1 images can be used; no.png: no such file",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_of_another_form_are_refused(name: str, tmp_path: Path) -> None:
    table, message = REFUSED[name]
    path = write(tmp_path, table)
    if table is None:
        path.write_text("not JSON", encoding="utf-8")
    with pytest.raises(ValueError, match="annotated: ") as error:
        read_annotated(path)
    assert message in str(error.value)


def test_files_and_folders_have_to_be_there(of_project: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"annotated: expected a file in COCO's JSON, got .*nowhere: no such"):
        read_annotated(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"annotated_images: expected a folder, got .*nowhere: no such"):
        read_annotated(of_project, tmp_path / "nowhere")


def test_the_fingerprint_changes_with_the_file_and_the_images(good: tuple[Table, Path]) -> None:
    table, folder = good
    path = write(folder, table)
    before = read_annotated(path).fingerprint()
    assert read_annotated(path).fingerprint() == before
    shutil.copyfile(folder / "b.png", folder / "c.png")
    assert read_annotated(path).fingerprint() == before
    table["annotations"][0]["segmentation"][0][0] += 1
    assert read_annotated(write(folder, table)).fingerprint() != before
    before = read_annotated(path).fingerprint()
    Image.new("RGB", (160, 160)).save(folder / "b.png")
    assert read_annotated(path).fingerprint() != before
