"""The photographs and their outlines: whole, inside, listed, and drawn as they are."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_edu.evaluation.photographs import Outline, outlines, photographs, rasterise, read_image
from sam_edu.scenes.boxes import tight_box
from tools.draw_photographs import TARGET, sheet

IMAGES = Path(__file__).resolve().parents[2] / "images"
NAMES = {"astronaut.png", "chelsea.png", "coffee.png", "coins.png", "rocket.png"}
MAX_BYTES = 450_000

SQUARE = [[2, 1], [6, 1], [6, 5], [2, 5]]


@pytest.fixture(scope="module")
def found():
    return photographs(IMAGES)


@pytest.fixture
def folder(tmp_path):
    """A folder with one black image of 10 × 8 pixels; the test writes the outlines."""
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    return tmp_path


def write(folder, content):
    (folder / "photograph_outlines.json").write_text(content if isinstance(content, str) else json.dumps(content))


def one(**changes):
    return {"a.png": [{"name": "square", "polygon": SQUARE, "holes": []} | changes]}


def shoelace(ring):
    """A polygon's area."""
    x, y = np.array(ring, float).T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def crossings(ring):
    """Pairs of a polygon's edges that cross each other, neighbours left out."""

    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    def boxes_meet(first, second):
        (a, b), (c, d) = (np.sort(edge, axis=0) for edge in (first, second))
        return bool((a <= d).all() and (c <= b).all())

    edges = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    apart = [(i, j) for i in range(len(edges)) for j in range(i + 2, len(edges)) if (i, j) != (0, len(edges) - 1)]
    return [
        (edges[i], edges[j])
        for i, j in apart
        if boxes_meet(edges[i], edges[j])
        and side(*edges[i], edges[j][0]) * side(*edges[i], edges[j][1]) <= 0
        and side(*edges[j], edges[i][0]) * side(*edges[j], edges[i][1]) <= 0
    ]


def test_crossings_are_found():
    assert crossings([(0, 0), (4, 4), (4, 0), (0, 4)])
    assert crossings([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)])
    assert not crossings([(0, 0), (1, 0), (3, 0), (4, 0), (4, 4), (0, 4)])


def test_ten_objects_two_on_each_of_five_photographs(found):
    assert len(found) == 10
    assert {photo.name for photo in found} == NAMES
    assert all(len(objects) == 2 for objects in outlines(IMAGES).values())
    assert len({photo.object for photo in found}) == 10


@pytest.mark.parametrize("name", sorted(NAMES))
def test_images_are_small_and_rgb(name):
    path = IMAGES / name
    assert path.stat().st_size < MAX_BYTES
    with Image.open(path) as image:
        assert max(image.size) <= 512
        assert image.mode == "RGB"


def test_readme_lists_every_file_and_says_what_is_outlined(found):
    readme = (IMAGES / "README.md").read_text(encoding="utf-8")
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` \|(?:[^|\n]+\|){4}$", readme, re.MULTILINE)}
    assert NAMES | {"photograph_outlines.json", "photographs.png"} <= rows.keys()
    described = set(re.findall(r"^\| `([^`]+)` \|(?:[^|\n]+\|){2}$", readme, re.MULTILINE))
    assert described == NAMES


@pytest.mark.parametrize(
    ("name", "outline"),
    [
        pytest.param(name, outline, id=f"{name}, {outline.name}")
        for name, objects in outlines(IMAGES).items()
        for outline in objects
    ],
)
def test_outlines_are_simple_polygons_inside_the_image(name, outline):
    with Image.open(IMAGES / name) as image:
        width, height = image.size
    for ring in [outline.polygon, *outline.holes]:
        assert all(0 <= x < width and 0 <= y < height for x, y in ring)
        assert len(set(ring)) == len(ring)
        assert crossings(ring) == []
    assert 20 <= len(outline.polygon) <= 60
    assert shoelace(outline.polygon) > 100


def test_masks_are_as_large_as_their_outlines(found):
    shapes = [outline for objects in outlines(IMAGES).values() for outline in objects]
    for photo, outline in zip(found, shapes, strict=True):
        assert photo.object == outline.name
        assert photo.image.dtype == np.uint8
        assert photo.image.shape == (*photo.mask.shape, 3)
        assert photo.mask.dtype == bool
        # the edge belongs to the mask: half a pixel more on every side than the polygon
        border = sum(np.hypot(*(np.subtract(outline.polygon, np.roll(outline.polygon, 1, axis=0)).T)))
        area = shoelace(outline.polygon)
        assert area <= photo.mask.sum() <= area + border
        assert 0.002 < photo.mask.mean() < 0.3


def test_clicks_and_boxes_fit_the_masks(found):
    for photo in found:
        x, y = photo.click.astype(int)
        assert photo.mask[y, x]
        np.testing.assert_array_equal(photo.box, tight_box(photo.mask))
        x0, y0, x1, y1 = photo.box.astype(int)
        assert photo.mask.sum() == photo.mask[y0 : y1 + 1, x0 : x1 + 1].sum()


def test_objects_of_an_image_are_apart_or_one_inside_the_other(found):
    for first, second in zip(found[::2], found[1::2], strict=True):
        shared = (first.mask & second.mask).sum()
        if first.name == "rocket.png":  # the nose cone is a part of the rocket
            assert shared == second.mask.sum() < first.mask.sum()
        else:
            assert shared == 0


def test_the_drawing_is_up_to_date():
    with Image.open(TARGET) as drawn:
        np.testing.assert_array_equal(np.asarray(drawn.convert("RGB")), np.asarray(sheet(IMAGES).convert("RGB")))


def test_square_with_a_hole():
    square = Outline("square", [(2, 1), (6, 1), (6, 5), (2, 5)], [[(3, 2), (4, 2), (4, 3), (3, 3)]])
    mask = rasterise(square, height=8, width=10)
    expected = np.zeros((8, 10), bool)
    expected[1:6, 2:7] = True
    expected[2:4, 3:5] = False
    np.testing.assert_array_equal(mask, expected)


def test_a_folder_of_ones_own(folder):
    write(folder, one())
    [photo] = photographs(folder)
    assert (photo.name, photo.object, photo.mask.sum()) == ("a.png", "square", 25)
    assert photo.click.tolist() == [4, 3]
    assert photo.box.tolist() == [2, 1, 6, 5]


def test_missing_files(folder):
    with pytest.raises(FileNotFoundError, match=r"photograph_outlines\.json: there is no such file"):
        photographs(folder)
    write(folder, {"b.png": []})
    with pytest.raises(FileNotFoundError, match=r"b\.png: there is no such image"):
        photographs(folder)


def test_an_image_that_is_none(folder):
    write(folder, one())
    (folder / "a.png").write_text("no image")
    with pytest.raises(ValueError, match=r"a\.png: expected an image that Pillow can read"):
        photographs(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ([], "expected a list of objects for each image"),
        ({"a.png": {}}, "expected a list of objects for each image"),
        ({"a.png": ["square"]}, 'expected objects with "name"'),
        (one(name=3), 'expected objects with "name"'),
        (one(polygon=[[1, 1], [2, 2]]), r"a\.png, square: expected a polygon of at least three corners"),
        (one(polygon=None), "expected a polygon of at least three corners"),
        (one(polygon=[*SQUARE, [1]]), "expected corners"),
        (one(polygon=[*SQUARE, ["1", 2]]), "expected corners"),
        (one(polygon=[*SQUARE, [True, 2]]), "expected corners"),
        (one(polygon=[*SQUARE, [10, 2]]), r"expected corners inside the image of 10 × 8 pixels, got \(10, 2\)"),
        ('{"a.png": [{"name": "square", "polygon": [[1, 1], [2, 2], [NaN, 3]]}]}', "expected corners inside"),
        (one(holes={}), "expected a list of polygons as holes"),
        (one(holes=[[1, 2]]), "expected a polygon of at least three corners"),
        (one(holes=[SQUARE]), "the holes cover the object"),
    ],
)
def test_outlines_that_cannot_be_understood(folder, content, message):
    write(folder, content)
    with pytest.raises(ValueError, match=message):
        photographs(folder)


def test_a_photograph_is_read_upright_and_its_transparency_is_laid_on_white(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    stored[..., 3] = 0
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.full((9, 6, 3), 255, np.uint8))


def test_a_photograph_of_an_unknown_range_is_refused_by_its_path(tmp_path: Path) -> None:
    Image.new("I;16", (4, 4)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png: image: expected a PIL image of mode .*divide 16 bits by 257"):
        read_image(tmp_path / "deep.png")
