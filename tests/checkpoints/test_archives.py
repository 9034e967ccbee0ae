"""check_archive: holes, what would grow in memory, members that hide one another, and names for the terminal."""

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import Runs, archive, saved, tensors
from torch import nn

import sam_edu
from sam_edu import checkpoints
from sam_edu.checkpoints import archives
from sam_edu.checkpoints.archives import ArchiveError, check_archive
from sam_edu.checkpoints.entries import printable


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


def packed(files: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as file:
        warnings.simplefilter("ignore")  # two members of one name
        for name, content in files:
            file.writestr(name, content)
    return stream.getvalue()


def repacked(change: Callable[[dict[str, bytes]], Any], compression: int = zipfile.ZIP_STORED) -> bytes:
    files = members(saved(tensors()))
    change(files)
    return packed([(f"archive/{name}", content) for name, content in files.items()], compression)


def refusal(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ArchiveError) as error:
        check_archive(path)
    with pytest.raises(ValueError, match=r"^checkpoint: .*weights\.pth "):
        sam_edu.load("tiny", checkpoint=path)
    return str(error.value)


# --- Holes ---


def with_hole(start: Callable[[bytes], int], length: int) -> bytes:
    content = bytearray(saved({"a.weight": torch.randn(64, 64, generator=torch.Generator().manual_seed(0))}))
    at = start(bytes(content))
    content[at : at + length] = bytes(length)
    return bytes(content)


def values_at(content: bytes) -> int:
    """Where the values of the first tensor begin."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        info = next(info for info in file.infolist() if info.filename.endswith("data/0"))
    name, extra = struct.unpack("<HH", content[info.header_offset + 26 : info.header_offset + 30])
    return info.header_offset + 30 + name + extra


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 4), (0, 4096), (5000, 1), (8000, 512), (64 * 64 * 4 - 1, 1), (100, 64 * 64 * 4 - 100)]
)
def test_a_hole_is_found_although_every_length_is_right(tmp_path, offset, length):
    content = with_hole(lambda whole: values_at(whole) + offset, length)
    # PyTorch does not notice.
    assert torch.load(io.BytesIO(content), weights_only=True)["a.weight"].shape == (64, 64)
    assert "Bad CRC-32 for file 'archive/data/0'); download or copy it again. It has a hole" in refusal(
        tmp_path, content
    )


def test_a_file_without_checksums_says_so(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        content = saved(tensors())
    finally:
        torch.serialization.set_crc32_options(before)
    assert "set_crc32_options(False)" in refusal(tmp_path, content)


def test_whole_files_pass(tmp_path):
    optimiser = torch.optim.AdamW(nn.Linear(3, 2).parameters())
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    values: list[Any] = [
        tensors(),
        model.state_dict(),
        {"model": model.state_dict(), "optimizer": optimiser.state_dict(), "epoch": 3, "lr": 0.1, "done": None},
        {
            "halves": torch.ones(3).half(),
            "b": torch.ones(2, dtype=torch.bfloat16),
            "c": torch.ones(2, dtype=torch.cfloat),
        },
        {"sparse": torch.eye(3).to_sparse(), "parameter": nn.Parameter(torch.ones(2)), "bool": torch.ones(2) > 0},
        {"empty": torch.empty(0), "meta": torch.ones(2, device="meta"), "view": torch.ones(3, 4).t()[1:]},
        {"dtype": torch.float32, "device": torch.device("cpu"), "size": torch.Size([2]), "set": {1, 2}, "z": 1j},
        {
            "bytes": b"abc",
            "uint16": torch.ones(2, dtype=torch.uint16),
            "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        },
    ]
    for value in values:
        path = tmp_path / "weights.pth"
        torch.save(value, path)
        check_archive(path)
        assert set(torch.load(path, weights_only=True)) == set(value)


# --- What would grow ---


def grown(files: dict[str, bytes]) -> None:
    files["data/9"] = bytes(50_000_000)


def call(function: Any, *arguments: Any) -> bytes:
    """An archive whose contents call a constructor that PyTorch's own reader allows."""
    return archive(data_pkl=pickle.dumps({"a": Runs(function, *arguments)}, protocol=2), version=b"3")


def declaring(numbers: int) -> bytes:
    """An archive whose contents declare a storage of so many numbers; it has 64 x 64."""
    contents = members(saved({"a.weight": torch.ones(64, 64)}))
    contents["data.pkl"] = contents["data.pkl"].replace(
        struct.pack("<cH", b"M", 4096), struct.pack("<ci", b"J", numbers)
    )
    return packed([(f"archive/{name}", content) for name, content in contents.items()])


def overlapping() -> bytes:
    """Twenty members that are all the same bytes of the file."""
    content = packed([("archive/data.pkl", members(saved({}))["data.pkl"]), ("archive/data/00", bytes(10_000_000))])
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        start = file.start_dir
        first, second = (info.header_offset for info in file.infolist())
    entry = content[start + 46 + len("archive/data.pkl") : -22]
    entries = [entry.replace(b"data/00", f"data/{i:02}".encode()) for i in range(20)]
    directory = content[start : start + 46 + len("archive/data.pkl")] + b"".join(entries)
    assert first < second
    return content[:start] + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 21, 21, len(directory), start, 0)


def with_entry(offset: int, value: bytes) -> bytes:
    """A whole archive whose table says something else of the first member."""
    content = bytearray(saved(tensors()))
    at = content.index(b"PK\x01\x02") + offset
    content[at : at + len(value)] = value
    return bytes(content)


GROWING: dict[str, tuple[str, Callable[[], bytes]]] = {
    "deflated": (
        "is compressed: .* would grow from [0-9,]+ to [0-9,]+ bytes",
        lambda: repacked(grown, zipfile.ZIP_DEFLATED),
    ),
    "bzip2": ("is compressed: .* would grow", lambda: repacked(grown, zipfile.ZIP_BZIP2)),
    "lzma": ("is compressed: .* would grow", lambda: repacked(grown, zipfile.ZIP_LZMA)),
    "said to be deflated": ("is compressed: ", lambda: with_entry(10, struct.pack("<H", zipfile.ZIP_DEFLATED))),
    "said to be longer": (
        r"would grow from [0-9,]+ to 4,000,000,000",
        lambda: with_entry(24, struct.pack("<I", 4 * 10**9)),
    ),
    "overlapping members": ("declares 200,000,.* bytes but has 10,", overlapping),
    "a storage of 4 GB": (r"declares 4,000,000,000 bytes for data/0, where it has 16,384", lambda: declaring(10**9)),
    "a storage that is too small": ("declares 4,000 bytes for data/0, where it has 16,384", lambda: declaring(1000)),
    "a missing storage": (
        "declares 16,384 bytes for data/0, where it has 0",
        lambda: repacked(lambda f: f.pop("data/0")),
    ),
    "torch.Tensor": ("asks for torch.Tensor", lambda: call(torch.Tensor, 10**6, 10**6)),
    "torch.FloatTensor": ("asks for torch.FloatTensor", lambda: call(torch.FloatTensor, 10**12)),
    "bytearray": ("asks for builtins.bytearray", lambda: call(bytearray, 10**12)),
    "a storage that is called": ("list of contents cannot be read", lambda: call(torch.storage.UntypedStorage, 10**12)),
    "a typed storage": ("asks for torch.storage.TypedStorage", lambda: call(torch.storage.TypedStorage, 10**12)),
    "a long list of contents": (
        "has a list of contents of 1[0-9,]+ bytes, expected at most",
        lambda: archive(data_pkl=b"\x80\x02" + bytes(100) + b".", version=b"3"),
    ),
}


@pytest.mark.parametrize("case", GROWING)
def test_what_would_grow_in_memory_is_refused_before_it_is_built(monkeypatch, tmp_path, case):
    reason, make = GROWING[case]
    content = make()
    if "list" in case:
        monkeypatch.setattr(archives, "MOST_CONTENTS", 100)
    monkeypatch.setattr(torch, "load", lambda *args, **named: pytest.fail("it was built"))
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=reason):
        check_archive(path)
    with pytest.raises(ValueError, match=reason):
        sam_edu.load("tiny", checkpoint=path)


def test_values_stay_in_the_file_until_they_are_used(monkeypatch, tmp_path):
    """An optimiser's state, too large for the memory, does no harm: it is mapped and never touched."""
    asked = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **named: asked.append(named) or load(path, **named))
    torch.save({"model": tensors(), "optimizer": torch.zeros(10)}, tmp_path / "weights.pth")
    assert set(checkpoints.read(tmp_path / "weights.pth").values) == {"model", "optimizer"}
    assert asked == [{"map_location": "cpu", "weights_only": True, "mmap": True}]


def test_a_loaded_model_does_not_depend_on_its_file(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(sam_edu.load("tiny").state_dict(), path)
    model = sam_edu.load("tiny", checkpoint=path)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with path.open("r+b") as stream:  # in place, as a copy over it does
        stream.write(bytes(path.stat().st_size))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_long_safetensors_header_is_not_read(monkeypatch, tmp_path):
    monkeypatch.setattr("sam_edu.checkpoints.reading._MOST_HEADER", 20)
    (tmp_path / "weights.pth").write_bytes(struct.pack("<Q", 30) + b"{" + b" " * 40)
    with pytest.raises(ValueError, match="has a safetensors header of 30 bytes, expected at most 20"):
        sam_edu.load("tiny", checkpoint=tmp_path / "weights.pth")


# --- Members that hide one another ---


@pytest.mark.parametrize("name", ["archive/data.pkl", "archive/DATA.PKL", "archive/data/0", "archive/Data/0"])
def test_two_members_of_one_name_are_refused(tmp_path, name):
    """PyTorch reads the first, Python the last."""
    files = [(f"archive/{key}", content) for key, content in members(saved(tensors())).items()]
    assert "holds two members of one name" in refusal(tmp_path, packed([*files, (name, b"other")]))


def test_two_folders_are_refused(tmp_path):
    files = [(f"archive/{key}", content) for key, content in members(saved(tensors())).items()]
    content = packed([*files, *((name.replace("archive", "second"), content) for name, content in files)])
    assert "not one that torch.save wrote" in refusal(tmp_path, content)


# --- Names for the terminal ---

EVIL = "a\x1b[31m\x1b]0;title\x07\r\n\u202eb\x00\x9b2J\ud800"


@pytest.mark.parametrize("control", ["\x1b", "\x07", "\r", "\n", "\u202e", "\x00", "\x9b", "\ud800", "\u2028", "\x7f"])
def test_control_characters_are_escaped(control):
    shown = printable(f"name{control}[31m")
    assert shown.isprintable()
    assert control not in shown
    assert shown.startswith("name\\")


@pytest.mark.parametrize(
    ("text", "shown"), [("abc", "abc"), ("Gewichte für ß, 重み", "Gewichte für ß, 重み"), ("", ""), (3, "3")]
)
def test_other_texts_stay(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["a" * 121, "a" * 10**6, "\x1b" * 119, "重" * 500])
def test_long_texts_are_cut(text):
    assert len(printable(text)) == 123
    assert printable(text).endswith("...")
    assert printable("a" * 120) == "a" * 120


def safetensors_with(name: str, folder: Path) -> bytes:
    from safetensors.torch import save

    return save({name: torch.ones(2)})


class Named:
    """Unpickling it asks for a class of a name that a terminal would obey."""

    def __reduce__(self) -> Any:
        return print, ()


def asking_for(name: str) -> bytes:
    text = f"c{name}\n{name}\n)R.".encode("utf-8", "surrogatepass")
    return archive(data_pkl=b"\x80\x02" + text, version=b"3")


PRINTED = EVIL.replace("\ud800", "").replace("\x00", "")
ENTRANCES: dict[str, Callable[[Path], bytes]] = {
    "an entry's name": lambda _: saved({PRINTED: torch.ones(1)}),
    "many names": lambda _: saved({f"{PRINTED}{i}": torch.ones(1) for i in range(20)}),
    "an entry beside a model's": lambda _: saved({**sam_edu.load("tiny").state_dict(), PRINTED: torch.ones(1)}),
    "a dictionary's name": lambda _: saved({PRINTED: {"b": torch.ones(1)}}),
    "several state dicts": lambda _: saved({f"{PRINTED}{i}": sam_edu.load("tiny").state_dict() for i in range(2)}),
    "several prefixes": lambda _: saved({f"{PRINTED}{i}.image_encoder.x": torch.ones(1) for i in range(2)}),
    "a class that is asked for": lambda _: asking_for(PRINTED.replace("\n", "").replace("\r", "")),
    "a storage": lambda _: repacked(lambda f: f.pop("data/0")),
    "a member with a hole": lambda _: packed(
        [("archive/data.pkl", members(saved({}))["data.pkl"]), (f"archive/{PRINTED}", b"0123456789abcdef")]
    ).replace(b"0123456789abcdef", b"0123456789abcdeX"),
    "safetensors": lambda folder: safetensors_with(PRINTED, folder),
}


@pytest.mark.parametrize("case", ENTRANCES)
def test_names_from_a_file_never_reach_the_terminal_raw(tmp_path, case):
    path = tmp_path / "weights.pth"
    path.write_bytes(ENTRANCES[case](tmp_path))
    with pytest.raises(ValueError, match=r"weights\.pth") as refusal:
        sam_edu.load("tiny", checkpoint=path)
    text = str(refusal.value)
    assert text.isprintable(), repr(text)
    assert len(text) < 3000


def test_a_file_s_own_name_is_escaped_too(tmp_path):
    path = tmp_path / "we\x1b[31mights.pth"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is empty") as refusal:
        sam_edu.load("tiny", checkpoint=path)
    assert str(refusal.value).isprintable()
