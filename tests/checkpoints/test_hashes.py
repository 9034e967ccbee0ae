"""Hashes that are remembered: a file is hashed once, and again as soon as anything of it has changed."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from sam_edu.checkpoints import cache_folder, hashes
from sam_edu.checkpoints.hashes import REMEMBERED, sha256_of


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were hashed, in order. No file counts as too young."""
    names: list[str] = []
    digest = hashlib.file_digest

    def note(stream, algorithm):
        names.append(Path(stream.name).name)
        return digest(stream, algorithm)

    monkeypatch.setattr(hashes.hashlib, "file_digest", note)
    monkeypatch.setattr(hashes, "_YOUNG", -1)
    return names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"weights")
    return path


def true_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_hashed_once(file, hashed, monkeypatch):
    assert {sha256_of(file) for _ in range(3)} == {true_hash(file)}
    monkeypatch.chdir(file.parent)
    assert sha256_of(Path("weights.pth")) == true_hash(file)
    assert hashed == ["weights.pth"]
    assert [path.name for path in cache_folder().iterdir()] == [REMEMBERED]


def rewrite(path: Path) -> None:
    path.write_bytes(b"WEIGHTS")


def rewrite_and_set_back(path: Path) -> None:
    """Other bytes of the same size, with the old time of change, as a copying tool may leave it."""
    stat = path.stat()
    rewrite(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replace(path: Path) -> None:
    stat = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"WEIGHTS")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"!")


@pytest.mark.parametrize("change", [rewrite, rewrite_and_set_back, replace, append])
def test_a_file_that_has_changed_is_hashed_again(file, hashed, change):
    before = sha256_of(file)
    change(file)
    assert sha256_of(file) == true_hash(file) != before
    assert sha256_of(file) == true_hash(file)
    assert len(hashed) == 2


@pytest.mark.parametrize("part", range(4))
def test_every_part_of_the_stamp_counts(file, hashed, part):
    sha256_of(file)
    stored = cache_folder() / REMEMBERED
    known = json.loads(stored.read_text(encoding="utf-8"))
    known[str(file.resolve())][part] += 1
    stored.write_text(json.dumps(known), encoding="utf-8")
    assert sha256_of(file) == true_hash(file)
    assert len(hashed) == 2


def test_each_file_has_a_hash_of_its_own(file, hashed):
    other = file.with_name("other.pth")
    other.write_bytes(b"others")
    for path in (file, other, file, other):
        assert sha256_of(path) == true_hash(path)
    assert hashed == ["weights.pth", "other.pth"]


def test_a_file_that_is_still_being_written_is_not_remembered(file, hashed, monkeypatch):
    monkeypatch.setattr(hashes, "_YOUNG", 3600 * 10**9)
    sha256_of(file)
    sha256_of(file)
    assert len(hashed) == 2
    assert not (cache_folder() / REMEMBERED).exists()


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(file, hashed, monkeypatch):
    digest = hashes.hashlib.file_digest

    def change_too(stream, algorithm):
        found = digest(stream, algorithm)
        append(file)
        return found

    monkeypatch.setattr(hashes.hashlib, "file_digest", change_too)
    sha256_of(file)
    assert not (cache_folder() / REMEMBERED).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"weights.pth": 3}', "\x00\xff"])
def test_a_damaged_memory_is_no_memory(file, hashed, content):
    cache_folder().mkdir(parents=True, exist_ok=True)
    (cache_folder() / REMEMBERED).write_text(content, encoding="utf-8")
    assert sha256_of(file) == true_hash(file)
    assert sha256_of(file) == true_hash(file)
    assert hashed == ["weights.pth"]


def test_where_nothing_can_be_written_every_load_hashes(file, hashed, monkeypatch, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("SAM_EDU_CACHE", str(blocked / "below"))
    assert sha256_of(file) == sha256_of(file) == true_hash(file)
    assert len(hashed) == 2
