"""sha256_of: the hash of a file, remembered as long as the file does not change.

Hashing Meta's largest file reads 2.5 GB and takes as long as loading it. So a hash is remembered beside the downloads,
with what the file system says of the file: its size, its times of change and its inode, as git does for its index.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from sam_edu.checkpoints.downloading import cache_folder

REMEMBERED = "hashes.json"
"""The file in the cache folder. Without it every file is hashed again."""

_YOUNG = 2_000_000_000  # nanoseconds: a file so young may change once more within one tick of the file system's clock


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file; of one that has not changed since it was last hashed, from memory.

    Every write changes a file's size or its times. What is not noticed is a disk that decays: to compare a file's
    content once more, delete `hashes.json` in `cache_folder()`, or call `download`, which always compares.
    """
    before, key = _stamp(path), str(path.resolve())
    known = _recall()
    entry = known.get(key)
    if isinstance(entry, list) and entry[:-1] == before:
        return str(entry[-1])
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if _stamp(path) == before and time.time_ns() - max(before[1:3]) > _YOUNG:
        _remember(known | {key: [*before, sha256]})
    return sha256


def _stamp(path: Path) -> list[int]:
    """What changes with a file: its size, when its content and when its entry last changed, its inode."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _recall() -> dict[str, object]:
    try:
        known = json.loads((cache_folder() / REMEMBERED).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or damaged: hash again
        return {}
    return known if isinstance(known, dict) else {}


def _remember(known: dict[str, object]) -> None:
    """Write the file, whole or not at all. Where that cannot be, the next load hashes again."""
    path = cache_folder() / REMEMBERED
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(known), encoding="utf-8")
        unfinished.replace(path)
