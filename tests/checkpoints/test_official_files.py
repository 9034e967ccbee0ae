"""The list of Meta's files: it is described in full, and it describes what is built."""

import re

import pytest
import torch
from checkpoint_files import NAMES, build_sam

from sam_edu import checkpoints
from sam_edu import sam as sam_module
from sam_edu.checkpoints import OFFICIAL
from sam_edu.checkpoints.official_files import claimed
from sam_edu.official.predictor import IMAGE_ENCODERS

# --- The official files ---


@pytest.mark.parametrize("name", NAMES)
def test_full_size_layout_is_metas(name):
    with torch.device("meta"):
        theirs = build_sam().sam_model_registry[name]()
    ours = sam_module.build_empty(name)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == shapes
    assert ours.image_size == theirs.image_encoder.img_size == 1024
    assert torch.equal(ours.pixel_mean, torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1))
    assert checkpoints.recognise(ours.state_dict()) == name
    # The published size is that of these values and of a table of contents.
    values = 4 * sum(value.numel() for value in ours.state_dict().values())
    assert 0 < OFFICIAL[name].size - values < 400 * len(shapes)


def test_official_files_are_described():
    assert tuple(OFFICIAL) == NAMES
    for name, file in OFFICIAL.items():
        assert file.name == name
        assert re.fullmatch(rf"sam_{name}_[0-9a-f]{{6}}\.pth", file.file_name)
        assert file.url == f"https://dl.fbaipublicfiles.com/segment_anything/{file.file_name}"
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert len({file.sha256 for file in OFFICIAL.values()}) == 3


def test_widths_and_blocks_are_those_that_are_built():
    assert {name: (file.width, file.blocks) for name, file in OFFICIAL.items()} == {
        name: (encoder["embed_dim"], encoder["depth"]) for name, encoder in IMAGE_ENCODERS.items()
    }


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("sam_vit_b_01ec64.pth", "vit_b"),
        ("sam_vit_l_0b3195 (1).pth", "vit_l"),
        ("sam_vit_h_4b8939(12).pth", "vit_h"),
        ("my_sam_vit_b_01ec64.pth", None),
        ("sam_vit_b_01ec64_finetuned.pth", None),
        ("sam_vit_b_01ec64.pth.part", None),
        ("medsam_vit_b.pth", None),
        ("", None),
    ],
)
def test_a_file_claims_to_be_metas_by_its_name(file_name, name):
    found = claimed(file_name)
    assert (found and found.name) == name
