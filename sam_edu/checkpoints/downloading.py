"""download: fetch one of Meta's files into a cache, where `load` finds it.

The connection is pooch's, a downloader that scientific packages use for their data sets. It does not go on where a
connection broke off, and two gigabytes over a slow line need that: so it writes into a part file that stays, and is
asked for the rest alone. Nothing bears the final name before its SHA-256 is Meta's.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from sam_edu.checkpoints.entries import printable
from sam_edu.checkpoints.official_files import OFFICIAL, PAGE, OfficialFile

CACHE_VARIABLE = "SAM_EDU_CACHE"
_FRUITLESS = 3  # attempts in a row that bring nothing
_SPARE = 1 << 20  # bytes that stay free on the disk
_CHUNK = 1 << 16  # what is lost at most where a connection breaks off
_TIMEOUT = 30  # seconds without a byte


def cache_folder() -> Path:
    """Where downloads are kept: the folder that SAM_EDU_CACHE names, else `sam_edu` in the user's folder for caches.

    That is XDG_CACHE_HOME, where it is an absolute path, or `~/.cache`.

    Source: XDG Base Directory Specification.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    common = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (common if common.is_absolute() else Path.home() / ".cache") / "sam_edu"


def find_downloaded(name: str) -> Path | None:
    """The file of one of Meta's models in the cache; None where it has not been downloaded.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
    """
    path = cache_folder() / OFFICIAL[name].file_name
    return path if path.is_file() else None


def download(name: str, *, progress: bool = True) -> Path:
    """Fetch Meta's file for one of the models into the cache, unless it is there; `load(name)` then finds it.

    A download that broke off goes on where it stopped, in the same call or in a later one. Of several processes that
    want the same file, one fetches it and the others wait.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
        progress: show a bar on stderr.

    Returns:
        the file's path.

    Raises:
        ValueError: another name; or what the server sent is not Meta's file.
        ImportError: a package that is needed for this is missing.
        OSError: the folder cannot be written, or the disk is full.
        ConnectionError: the server cannot be reached, refuses, or breaks off again and again.
    """
    if name not in OFFICIAL:
        known = ", ".join(map(repr, OFFICIAL))
        raise ValueError(f"name: expected one of {known}, got {name!r}" + _about_tiny(name))
    official, target = OFFICIAL[name], cache_folder() / OFFICIAL[name].file_name
    try:
        from filelock import FileLock
        from pooch import HTTPDownloader
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            f"a download needs the package {error.name}: pip install pooch tqdm. Or fetch {official.url} with a "
            f"browser and give its path: sam_edu.load({name!r}, checkpoint=path)",
            name=error.name,
        ) from error
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            if target.is_file() and _sha256(target) == official.sha256:
                return target
            bar = tqdm(
                total=official.size,
                desc=official.file_name,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                disable=not progress,
            )
            with bar:
                _fetch(official, part, HTTPDownloader, bar)
            os.replace(part, target)
    except ConnectionError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(
            error.errno,
            f"{target.parent} cannot take {official.file_name} ({reason}). Another folder: set {CACHE_VARIABLE}",
        ) from error
    return target


def _about_tiny(name: str) -> str:
    return "; the tiny model comes with the package: sam_edu.load()" if name == "tiny" else ""


def _fetch(official: OfficialFile, part: Path, downloader: Callable[..., Any], bar: Any) -> None:
    """Bring the part file to Meta's content.

    Raises:
        ValueError: the content is another one, also after a second start from nothing.
        ConnectionError: the server cannot be reached, refuses, or breaks off again and again.
        OSError: the part file cannot be written.
    """
    began_with = part.stat().st_size if part.is_file() else 0
    _complete(official, part, downloader, bar)
    found = _sha256(part)
    if found != official.sha256 and began_with:  # what was there before may have been of another file
        part.unlink()
        _complete(official, part, downloader, bar)
        found = _sha256(part)
    if found != official.sha256:
        size = part.stat().st_size
        part.unlink()
        raise ValueError(
            f"{official.url} sent {size:,} bytes with SHA-256 {found}, expected {official.size:,} bytes with SHA-256 "
            f"{official.sha256}; nothing was kept. A proxy or a login page may stand between; Meta's page is {PAGE}"
        )


def _complete(official: OfficialFile, part: Path, downloader: Callable[..., Any], bar: Any) -> None:
    """Append to the part file until it has the official size, or the server has no more."""
    import requests  # what pooch fetches with

    fruitless = 0
    while True:
        with part.open("ab") as stream:
            have = stream.tell()
            if have >= official.size:
                return
            free = shutil.disk_usage(part.parent).free
            if free < official.size - have + _SPARE:
                raise OSError(errno.ENOSPC, f"{official.size - have:,} bytes are needed and {free:,} are free")
            bar.n = have
            bar.refresh()
            fetch = downloader(
                headers={"Range": f"bytes={have}-"} if have else {},
                hooks={"response": _restarter(stream)},
                chunk_size=_CHUNK,
                timeout=_TIMEOUT,
            )
            try:
                fetch(official.url, _Counted(stream, bar, official), None)
                failure: Any = "it sends less than Meta's file"
            except requests.HTTPError as error:
                status = error.response.status_code if error.response is not None else 0
                if status == 416 and have:  # it has no more: compare what there is
                    return
                raise ConnectionError(f"{official.url} answered {status}: {printable(error, 300)}") from error
            except requests.RequestException as error:
                failure = error
            stream.flush()
            fruitless = 0 if stream.tell() > have else fruitless + 1
            if fruitless == _FRUITLESS:
                raise ConnectionError(
                    f"{official.url} cannot be reached, or breaks off ({printable(failure, 300)}). "
                    f"{stream.tell():,} of {official.size:,} bytes are there; the next call goes on from them"
                )


def _restarter(stream: BinaryIO) -> Callable[..., None]:
    """Looks at an answer: a server that sends the whole file, not the rest, makes us begin again."""

    def look(response: Any, *_: Any, **__: Any) -> None:
        if response.status_code == 200:
            stream.seek(0)
            stream.truncate()

    return look


class _Counted:
    """A file to write to, with a bar that counts the bytes, and an end to what a server may send."""

    def __init__(self, stream: BinaryIO, bar: Any, official: OfficialFile) -> None:
        self.stream, self.bar, self.official = stream, bar, official

    def write(self, data: bytes) -> int:
        if self.stream.tell() + len(data) > self.official.size:
            self.stream.seek(0)
            self.stream.truncate()
            raise ValueError(f"{self.official.url} sends more than the {self.official.size:,} bytes of Meta's file")
        written = self.stream.write(data)
        self.bar.update(written)
        return written

    def flush(self) -> None:
        self.stream.flush()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
