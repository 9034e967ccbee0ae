"""read: what cannot be used is refused with a reason, and no code is run."""

import dataclasses
import hashlib
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import NAMES, VARIABLE, archive, header, hostile, safetensors_bytes, saved, shortened, tensors
from torch import nn

import sam_edu
from sam_edu.checkpoints import OFFICIAL
from sam_edu.sam import load_from_environment

# A length of 17 and then what a header begins with, as in a safetensors file cut after 12 bytes.
STUB = struct.pack("<Q", 17) + b'{"a"'

# Per clause: what the message says, and the files.
FILES: dict[str, tuple[str, list[Callable[[Path], bytes]]]] = {
    "empty": ("is empty", [lambda _: b""]),
    "web page": (
        "is a web page, probably a login or an error page",
        [
            lambda _: b"<!DOCTYPE html><html><body>Log in</body></html>",
            lambda _: b"<html><head><title>404</title></head></html>",
            lambda _: b"\xef\xbb\xbf\n  <!doctype HTML PUBLIC>\n",
            lambda _: b"<!-- page --><HTML>" + bytes(5000),
        ],
    ),
    "XML page": (
        "is an XML page",
        [lambda _: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', lambda _: b"\n<?XML ?>"],
    ),
    "LFS": (
        "is a Git LFS pointer",
        [
            lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:ec2d\nsize 375042383\n",
            lambda _: b"version https://git-lfs.github.com/spec/v1\r\noid sha256:a7bf\r\nsize 2564550879\r\n",
        ],
    ),
    "text": (
        "is a text file that begins with",
        [lambda _: b'{"error": "not found", "status": 404}', lambda _: b"404: Not Found, nothing here\n"],
    ),
    "too short": ("is too short to hold weights", [lambda _: b"\x00", lambda _: b"\x13\x00\x00\x00"]),
    "another kind": (
        "is neither a zip archive of torch.save nor safetensors",
        [lambda _: b"\x1f\x8b\x08" + bytes(range(200)), lambda _: b"GGUF" + bytes(100), lambda _: bytes(600)],
    ),
    "cut zip": (
        "is cut short: the end of the archive is missing",
        [
            lambda _: saved(tensors())[:-1000],
            lambda _: saved(tensors())[:8000],
            lambda _: saved(tensors())[:4],
            lambda _: saved(tensors())[:-23],
        ],
    ),
    "another zip": (
        "is a zip archive, but not one that torch.save wrote",
        [lambda _: archive(readme_txt=b"weights"), lambda _: b"PK\x05\x06" + bytes(18)],
    ),
    "cut safetensors": (
        "is cut short",
        [
            lambda folder: safetensors_bytes(folder)[:-1],
            lambda folder: safetensors_bytes(folder)[:300],
            lambda folder: safetensors_bytes(folder)[:40],
            lambda _: STUB,
        ],
    ),
    "damaged safetensors": (
        "damaged",
        [
            lambda _: header(b"{" + bytes(50)),
            lambda _: header({"a": {"dtype": "F32", "shape": [2]}}),
            lambda _: header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}) + bytes(4),
            lambda folder: safetensors_bytes(folder) + bytes(10),
        ],
    ),
    "damaged zip": (
        "damaged",
        [
            lambda _: archive(data_pkl=b"\x80\x02}q\x00(X\x05", version=b"3"),
            lambda _: archive(data_pkl=b"", version=b"3"),
            lambda _: archive(data_pkl=b"."),
            lambda _: saved(tensors()).replace(b"PK\x01\x02", b"PK\x09\x09"),
            lambda _: shortened(saved(tensors())),
        ],
    ),
    "HDF5": ("is an HDF5 file, as TensorFlow and Keras write them", [lambda _: b"\x89HDF\r\n\x1a\n" + bytes(600)]),
    "old": (
        "written by PyTorch before 1.6",
        [
            lambda _: saved(tensors(), _use_new_zipfile_serialization=False),
            lambda _: pickle.dumps({"a": 1}, protocol=2),
            lambda _: pickle.dumps({"a": list(range(1000))}),
        ],
    ),
    "TorchScript": (
        "is a TorchScript archive: it holds code",
        [
            lambda _: archive(data_pkl=b".", constants_pkl=b"."),
            lambda _: archive(**{"code/model_py": b"", "data_pkl": b"."}),
        ],
    ),
    "no dictionary": (
        "expected a dictionary of tensors",
        [lambda _: saved(torch.ones(3)), lambda _: saved([torch.ones(3)]), lambda _: saved(None)],
    ),
    "no names": (
        "keys are not all names",
        [lambda _: saved({0: torch.ones(3)}), lambda _: saved({("a", 1): torch.ones(3), "b": torch.ones(1)})],
    ),
}


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        pytest.param(reason, make, id=f"{clause}-{i}")
        for clause, (reason, makes) in FILES.items()
        for i, make in enumerate(makes)
    ],
)
def test_files_that_are_no_checkpoints(tmp_path, reason, make):
    path = tmp_path / "weights.pth"
    path.write_bytes(make(tmp_path))
    with pytest.raises(ValueError, match=rf"^checkpoint: .*weights\.pth .*{reason}"):
        sam_edu.load("tiny", checkpoint=path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>Forbidden</html>", saved(tensors())[:5000], STUB, b"PK\x03\x04"],
    ids=["empty", "page", "cut", "stub", "start"],
)
def test_sizes_are_given_where_the_name_is_official(tmp_path, name, content):
    file = OFFICIAL[name]
    path = tmp_path / file.file_name
    path.write_bytes(content)
    sizes = re.escape(f"(it has {len(content):,} bytes; Meta's {file.file_name} has {file.size:,})")
    for model in ("tiny", name):  # the file's name is enough
        with pytest.raises(ValueError, match=sizes):
            sam_edu.load(model, checkpoint=path)
    renamed = path.rename(tmp_path / "renamed.pth")
    with pytest.raises(ValueError, match=sizes):
        sam_edu.load(name, checkpoint=renamed)
    with pytest.raises(ValueError, match=re.escape(f"(it has {len(content):,} bytes)")):
        sam_edu.load("tiny", checkpoint=renamed)


# --- Code ---


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize(
    "kind", ["alone", "in a state dict", "eval", "new protocol", "text protocol", "inst", "old", "bare"]
)
def test_code_is_refused_and_never_run(monkeypatch, tmp_path, kind, forced):
    if forced:  # this wish of the environment's is not heard either
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, flag = tmp_path / "weights.pth", tmp_path / "was run"
    path.write_bytes(hostile(kind, flag))
    with pytest.raises(ValueError, match=r"code|else than plain tensors") as refusal:
        sam_edu.load("tiny", checkpoint=path)
    assert not flag.exists()
    assert "weights_only=False" not in str(refusal.value)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(ValueError, match=VARIABLE):
        load_from_environment()
    assert not flag.exists()


def test_the_trap_would_have_worked(tmp_path):
    path, flag = tmp_path / "weights.pth", tmp_path / "was run"
    path.write_bytes(hostile("in a state dict", flag))
    torch.load(path, weights_only=False)
    assert flag.exists()


@pytest.mark.parametrize("value", [nn.Linear(2, 2), {"a": nn.ReLU()}, {"path": Path("x")}], ids=str)
def test_whole_modules_and_other_objects_are_refused(tmp_path, value):
    torch.save(value, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"holds code, or objects that only code can build.* was refused"):
        sam_edu.load("tiny", checkpoint=tmp_path / "weights.pth")


def test_the_function_that_the_code_asks_for_is_named(tmp_path):
    (tmp_path / "weights.pth").write_bytes(hostile("alone", tmp_path / "flag"))
    with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.mkdir"):
        sam_edu.load("tiny", checkpoint=tmp_path / "weights.pth")


# --- Meta's files ---


def as_official(monkeypatch, name: str, content: bytes) -> None:
    """Let a content stand for one of Meta's files."""
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(OFFICIAL, name, dataclasses.replace(OFFICIAL[name], size=len(content), sha256=sha256))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copy", ["{}", "{} (2)"])
def test_a_file_that_is_named_as_metas_has_metas_hash(small, states, monkeypatch, tmp_path, name, copy):
    content = saved(states(name))
    as_official(monkeypatch, name, content)
    stem, _, suffix = OFFICIAL[name].file_name.rpartition(".")
    path = tmp_path / f"{copy.format(stem)}.{suffix}"
    path.write_bytes(content)
    assert sam_edu.load(name, checkpoint=path).image_size == 1024

    other = saved({key: value + 1 for key, value in states(name).items()})
    path.write_bytes(other)
    with pytest.raises(ValueError, match="is named as Meta's file and is not it") as refusal:
        sam_edu.load(name, checkpoint=path)
    for part in (
        hashlib.sha256(other).hexdigest(),
        OFFICIAL[name].sha256,
        f"sam_edu download {name}",
        "another name",
        f"{len(other):,} bytes",
    ):
        assert part in str(refusal.value)
    # One's own training under another name is welcome.
    own = path.rename(tmp_path / f"{stem}_finetuned.{suffix}")
    assert sam_edu.load(name, checkpoint=own).image_size == 1024


def test_a_verified_file_is_read_without_a_second_look(small, states, monkeypatch, tmp_path):
    content = saved(states("vit_b"))
    as_official(monkeypatch, "vit_b", content)
    (tmp_path / OFFICIAL["vit_b"].file_name).write_bytes(content)
    monkeypatch.setattr("sam_edu.checkpoints.reading.check_archive", lambda path: pytest.fail("looked again"))
    sam_edu.load("vit_b", checkpoint=tmp_path / OFFICIAL["vit_b"].file_name)


def test_a_file_of_metas_is_hashed_at_the_first_load_alone(small, states, monkeypatch, tmp_path):
    content = saved(states("vit_b"))
    as_official(monkeypatch, "vit_b", content)
    path = tmp_path / OFFICIAL["vit_b"].file_name
    path.write_bytes(content)
    monkeypatch.setattr("sam_edu.checkpoints.hashes._YOUNG", -1)
    sam_edu.load("vit_b", checkpoint=path)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
        sam_edu.load("vit_b", checkpoint=path)
    damaged = bytearray(content)
    damaged[-1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="is named as Meta's file and is not it"):
        sam_edu.load("vit_b", checkpoint=path)


# --- Folders ---


@pytest.mark.parametrize("inside", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_hugging_face_s_is_answered_with_its_file(tmp_path, inside):
    (tmp_path / inside).write_bytes(b"weights")
    with pytest.raises(ValueError, match=f"is a folder; expected a file of weights, such as its {inside}"):
        sam_edu.load("tiny", checkpoint=tmp_path)
