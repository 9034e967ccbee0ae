"""Photographs as fills and backgrounds: the scene's masks stay, its fills change, and nothing does without them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_edu.scenes.photographs import Photographs, photograph_paint
from sam_edu.scenes.scene import Scene, draw_scene

IMAGES = Path(__file__).resolve().parents[2] / "images"
NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.png")
SEEDS = range(6)


def of_project(share: float) -> Photographs:
    return Photographs(tuple(IMAGES / name for name in NAMES), share, {})


def assert_same(got: Scene, expected: Scene) -> None:
    np.testing.assert_array_equal(got.image, expected.image)
    np.testing.assert_array_equal(got.masks, expected.masks)


@pytest.mark.parametrize("kind", ["ordinary", "slender", "unseen"])
def test_photographs_change_the_fills_and_never_the_masks(kind: str) -> None:
    changed = []
    for seed in SEEDS:
        plain = draw_scene((seed, 1), kind=kind)  # type: ignore[arg-type]
        filled = draw_scene((seed, 1), kind=kind, photographs=of_project(0.5))  # type: ignore[arg-type]
        np.testing.assert_array_equal(filled.masks, plain.masks)
        np.testing.assert_array_equal(filled.level, plain.level)
        np.testing.assert_array_equal(filled.parent, plain.parent)
        assert filled.family == plain.family
        changed.append((filled.image != plain.image).any(axis=2).mean())
    assert np.mean(changed) > 0.3


def test_the_share_decides_how_much_is_taken() -> None:
    for seed in SEEDS:
        plain = draw_scene(seed)
        assert_same(draw_scene(seed, photographs=of_project(0.0)), plain)
        everything = draw_scene(seed, photographs=of_project(1.0))
        assert (everything.image != plain.image).any(axis=2).mean() > 0.9


def test_a_seed_decides_what_is_taken() -> None:
    assert_same(draw_scene((3, 4), photographs=of_project(1.0)), draw_scene([3, 4], photographs=of_project(1.0)))
    assert not np.array_equal(
        draw_scene((3, 4), photographs=of_project(1.0)).image, draw_scene((3, 5), photographs=of_project(1.0)).image
    )


def test_a_background_is_a_piece_of_a_photograph(tmp_path: Path) -> None:
    """Of an image of two colours, none of which the painted backgrounds have."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[..., 1], pixels[:, 150:, 0] = 255, 255
    Image.fromarray(pixels).save(tmp_path / "green.png")
    photographs = Photographs.of_folder(tmp_path, 1.0)
    scene = draw_scene(5, photographs=photographs)
    background = ~scene.masks.any(axis=0)
    assert (scene.image[background].astype(int) @ [-1, 1, -1] > -60).mean() > 0.9  # no blue anywhere
    assert (scene.image[background][:, 2] < 100).mean() > 0.9


def test_pieces_differ_in_position_side_mirror_and_colour() -> None:
    photographs = of_project(1.0)
    pieces = [photographs.piece(np.random.default_rng(seed), 64) for seed in range(12)]
    assert all(piece.shape == (64, 64, 3) and piece.dtype == np.uint8 for piece in pieces)
    assert all(not np.array_equal(a, b) for i, a in enumerate(pieces) for b in pieces[:i])
    np.testing.assert_array_equal(photographs.piece(np.random.default_rng(3), 64), pieces[3])


def test_a_fill_has_its_pixels_at_its_corner_and_goes_on_mirrored() -> None:
    piece = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    paint = photograph_paint(piece, np.random.default_rng(1))
    across = np.arange(-16, 16, dtype=np.float32)
    patch = np.asarray(paint.patch(across[None], across[:, None], np.ones((32, 32), np.float32))).astype(int)
    x, y = (16 - corner for corner in paint.corner)
    x, y = x % 16, y % 16
    np.testing.assert_allclose(patch[y : y + 8, x : x + 8], piece, atol=1)
    np.testing.assert_allclose(patch[y : y + 8, x + 8 : x + 16], piece[:, ::-1], atol=1)
    np.testing.assert_allclose(patch.mean(), piece.mean(), atol=1)
    dark = np.asarray(paint.patch(across[None], across[:, None], np.full((32, 32), 0.5, np.float32))).astype(int)
    np.testing.assert_allclose(dark, patch / 2, atol=1)


def test_a_folder_is_checked_and_what_is_broken_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "b.png")
    Image.new("L", (50, 50)).save(tmp_path / "below" / "a.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    photographs = Photographs.of_folder(tmp_path, 0.3)
    assert photographs.paths == (tmp_path / "b.png", tmp_path / "below" / "a.jpg")
    assert list(photographs.left_out) == [tmp_path / "broken.jpg"]
    before = photographs.fingerprint()
    assert Photographs.of_folder(tmp_path, 0.3).fingerprint() == before
    Image.new("RGB", (60, 60)).save(tmp_path / "c.png")
    assert Photographs.of_folder(tmp_path, 0.3).fingerprint() != before


def test_folders_without_a_usable_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"photographs: expected a folder of images, got .*nowhere: no such"):
        Photographs.of_folder(tmp_path / "nowhere", 0.5)
    with pytest.raises(ValueError, match=r"photographs: expected a folder of images, got .*: none can be used$"):
        Photographs.of_folder(tmp_path, 0.5)
    (tmp_path / "broken.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none can be used; broken\.jpg: cannot identify"):
        Photographs.of_folder(tmp_path, 0.5)
