"""Images of one's own in the batches: by their share, by seed and step alone, and nothing without them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam_edu.evaluation.photographs import outlines
from sam_edu.scenes.scene import draw_scene
from sam_edu.training import batches
from sam_edu.training.batches import ANNOTATED_STREAM, TRAINING_STREAM, Batch, draw_batch
from sam_edu.training.draw_ahead import DrawAhead, Steps
from sam_edu.training.settings import Settings
from sam_edu.training.sources import NAMED, Sources

IMAGES = Path(__file__).resolve().parents[2] / "images"


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outer polygons of the project's outlined photographs, in COCO's form."""
    table: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    for key, (name, objects) in enumerate(outlines(IMAGES).items()):
        width, height = Image.open(IMAGES / name).size
        table["images"].append({"id": key, "file_name": name, "width": width, "height": height})
        for outline in objects:
            polygon = [value for corner in outline.polygon for value in corner]
            table["annotations"].append({"id": len(table["annotations"]), "image_id": key, "segmentation": [polygon]})
    path = tmp_path_factory.mktemp("coco") / "outlines.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("chelsea.png", "coffee.png"):
        Image.open(IMAGES / name).save(folder / name)
    return folder


def of(coco: Path | None, share: float, photographs: Path | None = None) -> Sources:
    settings = Settings(
        steps=1,
        annotated=coco and str(coco),
        annotated_images=coco and str(IMAGES),
        annotated_share=share,
        photographs=photographs and str(photographs),
        photograph_share=1.0,
    )
    return Sources.of(settings)


def assert_same(got: Batch, expected: Batch) -> None:
    assert all(torch.equal(getattr(got, name), value) for name, value in vars(expected).items())


def test_a_share_of_0_changes_nothing(coco: Path) -> None:
    assert_same(draw_batch(1, 2, range(3), 2, 0.4, of(coco, 0.0)), draw_batch(1, 2, range(3), 2, 0.4, Sources()))
    assert of(None, 0.5) == Sources(None, None, 0.5)
    assert_same(draw_batch(1, 2, range(3), 2, 0.4, of(None, 0.5)), draw_batch(1, 2, range(3), 2, 0.4, Sources()))


def test_a_share_of_1_draws_no_scene(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "draw_scene", None)
    sources = of(coco, 1.0)
    batch = draw_batch(1, 2, range(3), 4, 0.4, sources)
    assert sources.annotated is not None
    for index in range(3):
        expected = sources.annotated.scene(_after_the_share((ANNOTATED_STREAM, 1, 2, index)))
        np.testing.assert_array_equal(batch.image[index].permute(1, 2, 0).numpy(), expected.image)
        masks = torch.from_numpy(expected.masks)
        for target in batch.targets[4 * index : 4 * index + 4, 0].bool():
            assert any(torch.equal(target, mask) for mask in masks)
    assert batch.valid[:, 0].all()
    assert batch.labels.any()


def _after_the_share(seed: tuple[int, ...]) -> np.random.Generator:
    rng = np.random.default_rng(seed)
    rng.random()
    return rng


def test_a_share_between_mixes_by_seed_and_step(coco: Path) -> None:
    sources = of(coco, 0.5)
    drawn = []
    for index in range(8):
        image = draw_batch(1, 2, range(index, index + 1), 1, 0.4, sources).image[0].permute(1, 2, 0).numpy()
        plain = draw_batch(1, 2, range(index, index + 1), 1, 0.4, Sources()).image[0].permute(1, 2, 0).numpy()
        drawn.append(np.array_equal(image, plain))
    assert 0 < sum(drawn) < 8
    assert_same(draw_batch(1, 2, range(4), 2, 0.4, sources), draw_batch(1, 2, range(4), 2, 0.4, sources))


def test_scenes_take_fills_from_photographs(photographs: Path) -> None:
    sources = of(None, 0.5, photographs)
    batch = draw_batch(1, 2, range(1), 2, 0.4, sources)
    plain = draw_batch(1, 2, range(1), 2, 0.4, Sources())
    assert torch.equal(batch.targets, plain.targets)
    assert torch.equal(batch.clicks, plain.clicks)
    assert not torch.equal(batch.image, plain.image)
    kind = "slender" if np.random.default_rng((TRAINING_STREAM, 1, 2, 0)).random() < 0.3 else "ordinary"
    scene = draw_scene((TRAINING_STREAM, 1, 2, 0, 0), kind=kind, photographs=sources.photographs)
    np.testing.assert_array_equal(batch.image[0].permute(1, 2, 0).numpy(), scene.image)


def test_workers_give_the_same_batches(coco: Path, photographs: Path) -> None:
    sources = of(coco, 0.5, photographs)
    batches = DrawAhead(Steps(1, range(2), 2, 0.4, sources), 3, 2)
    for step in (3, 4):
        assert_same(batches.next(), draw_batch(1, step, range(2), 2, 0.4, sources))
    batches.close()


def test_other_images_have_another_fingerprint(coco: Path, photographs: Path) -> None:
    prints = [
        s.fingerprint() for s in (of(coco, 1.0), of(None, 1.0, photographs), of(coco, 1.0, photographs), Sources())
    ]
    assert len(set(prints)) == 4
    assert prints[-1] is None
    assert of(coco, 0.3).fingerprint() == prints[0]  # shares are among the settings


def test_the_summary_names_at_most_so_many(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "good.png")
    for number in range(NAMED + 3):
        (tmp_path / f"{number:02}.png").write_bytes(b"")
    lines = of(None, 0.5, tmp_path).summary()
    assert lines[0] == "photographs: 1 images"
    assert len(lines) == NAMED + 2
    assert all(line.startswith("  left out: ") for line in lines[1:])
    assert lines[-1] == "  left out: 3 more"
