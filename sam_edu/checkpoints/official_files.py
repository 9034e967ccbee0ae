"""OFFICIAL: the three checkpoints that Meta publishes, with their addresses, sizes and hashes."""

import re
from dataclasses import dataclass

ENVIRONMENT_VARIABLE = "SAM_EDU_CHECKPOINT"
PAGE = "https://github.com/facebookresearch/segment-anything#model-checkpoints"


@dataclass(frozen=True)
class OfficialFile:
    """One of the checkpoints that Meta publishes.

    Attributes:
        name: the model's name, for `sam_edu.load`.
        file_name: what Meta calls the file; the six digits at its end begin the file's MD5.
        size: in bytes.
        url: where Meta publishes it, as `PAGE` says.
        sha256: of the whole file. Meta gives none; these stand in several public repositories that keep a copy of the
            file in Git LFS (which computes them) and in micro-sam's list of models, and all agree.
        width: of the image encoder, by which a file's model is recognised.
        blocks: number of the image encoder's layers.
    """

    name: str
    file_name: str
    size: int
    url: str
    sha256: str
    width: int
    blocks: int


_URL = "https://dl.fbaipublicfiles.com/segment_anything/"
OFFICIAL: dict[str, OfficialFile] = {
    "vit_b": OfficialFile(
        "vit_b",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        f"{_URL}sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        width=768,
        blocks=12,
    ),
    "vit_l": OfficialFile(
        "vit_l",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        f"{_URL}sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        width=1024,
        blocks=24,
    ),
    "vit_h": OfficialFile(
        "vit_h",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        f"{_URL}sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        width=1280,
        blocks=32,
    ),
}


def advice(name: str) -> str:
    """Which file one of Meta's models needs, how large it is and where Meta publishes it.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
    """
    file = OFFICIAL[name]
    return f"{file.file_name} ({file.size:,} bytes), which Meta publishes at {file.url} (see {PAGE})"


def claimed(file_name: str) -> OfficialFile | None:
    """Which of Meta's files a file claims to be by its name, also as a browser's further copy (`name (1).pth`)."""
    plain = re.sub(r" ?\(\d+\)(?=\.\w+$)", "", file_name)
    return next((official for official in OFFICIAL.values() if official.file_name == plain), None)
