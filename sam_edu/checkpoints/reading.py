"""read: a file of torch.save or of safetensors, and nothing that is not plain tensors."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from sam_edu.checkpoints.archives import DOWNLOAD_AGAIN, ArchiveError, check_archive
from sam_edu.checkpoints.entries import Entries, printable
from sam_edu.checkpoints.hashes import sha256_of
from sam_edu.checkpoints.official_files import OFFICIAL, claimed
from sam_edu.official import layouts

_MOST_HEADER = 100_000_000  # bytes of a safetensors header; the format's own limit


def read(path: str | os.PathLike[str], *, argument: str = "checkpoint", name: str | None = None) -> Entries:
    """Read a file that torch.save or safetensors wrote, and nothing that is not plain tensors.

    The first bytes are looked at before anything else, what the file declares before anything is built, and no code
    that it may hold is ever run. A file that is named as one of Meta's has to be that file, by its SHA-256; the hash is
    remembered in the cache folder until the file changes. Entries get Meta's names: what stands beside a state dict
    (optimiser, epoch) is left out, the prefixes of torch's wrappers are removed, Hugging Face's names are converted.

    Args:
        path: the file; a leading `~` is the home folder.
        argument: how the caller names it, for messages.
        name: the model that it is wanted for, where known; messages then give the official file's size.

    Raises:
        TypeError: `path` is no path.
        FileNotFoundError: there is no such file.
        ValueError: the file is a folder, empty, a web page, text, a Git LFS pointer, cut short, damaged or of another
            kind, was written before PyTorch 1.6, holds code or anything else but a dictionary, would grow in memory, is
            named as one of Meta's and is not it, or holds several state dicts.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{argument}: expected the path of a file, got {type(path).__name__}")
    if not os.fspath(path):
        raise ValueError(f"{argument}: expected the path of a file, got an empty one")
    file = Path(path).expanduser()
    empty = Entries(file, argument, {})
    if file.is_dir():
        raise empty.refuse(_folder(file))
    if not file.is_file():
        raise FileNotFoundError(f"{argument}: there is no file {printable(file, 1000)}")
    kind, reason = _look(file)
    if kind is None:
        raise empty.refuse(reason + _sizes(file, name))
    verified = _compare_with_metas(empty)
    values = _read_safetensors(empty, name) if kind == "safetensors" else _read_archive(empty, name, verified)
    if not isinstance(values, Mapping):
        raise empty.refuse(f"holds a {type(values).__name__}; expected a dictionary of tensors (a state dict)")
    if not all(isinstance(key, str) for key in values):
        raise empty.refuse("holds a dictionary whose keys are not all names; expected a state dict")
    try:
        return Entries(file, argument, layouts.to_metas_names(values))
    except layouts.LayoutError as error:
        raise empty.refuse(printable(error, 600)) from None


def _sizes(file: Path, name: str | None) -> str:
    """How large the file is, and how large Meta's is where the file should be one."""
    official = claimed(file.name) or OFFICIAL.get(name or "")
    wanted = f"; Meta's {official.file_name} has {official.size:,}" if official else ""
    return f" (it has {file.stat().st_size:,} bytes{wanted})"


def _folder(folder: Path) -> str:
    inside = [name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file()]
    return f"is a folder; expected a file of weights{f', such as its {inside[0]}' if inside else ''}"


# --- What kind of file it is ---


def _look(file: Path) -> tuple[str | None, str]:
    """Tell by its first bytes what a file is: ("zip" or "safetensors", ""), or (None, why it cannot be used)."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(512)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return None, "is empty"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<!--")):
        return None, "is a web page, probably a login or an error page instead of the weights"
    if text.startswith(b"<?xml"):
        return None, "is an XML page, probably a server's error message instead of the weights"
    if text.startswith(b"version https://git-lfs"):
        return None, "is a Git LFS pointer that stands for the weights; get the file itself with `git lfs pull`"
    if head.startswith(b"PK"):
        return "zip", ""
    if head.startswith(b"\x89HDF\r\n"):
        return None, "is an HDF5 file, as TensorFlow and Keras write them; get the same weights as model.safetensors"
    if head[8:9] == b"{":
        return _look_at_safetensors(file, size)
    if head[:1] == b"\x80":
        return None, (
            "is a bare pickle, or was written by PyTorch before 1.6; both are refused, since such files can hold code. "
            "If you trust it, read it with torch.load(..., weights_only=True) of PyTorch 2.6 or later and save it again"
        )
    if size < 16:
        return None, "is too short to hold weights: cut short, or something else"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return None, f"is a text file that begins with {head[:40].decode()!r}"
    return None, f"is neither a zip archive of torch.save nor safetensors; it begins with the bytes {head[:8].hex(' ')}"


def _look_at_safetensors(file: Path, size: int) -> tuple[str | None, str]:
    """Compare the lengths that the header gives with the file's."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if 8 + length > size:
            return None, (
                f"is cut short, or no safetensors file: its header should have {length:,} bytes; {DOWNLOAD_AGAIN}"
            )
        if length > _MOST_HEADER:
            return None, f"has a safetensors header of {length:,} bytes, expected at most {_MOST_HEADER:,}"
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
            wanted = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return None, f"begins like a safetensors file, but its header is damaged; {DOWNLOAD_AGAIN}"
    if wanted > size:
        return None, f"is cut short: its header promises {wanted:,} bytes; {DOWNLOAD_AGAIN}"
    return "safetensors", ""


def _compare_with_metas(entries: Entries) -> bool:
    """Whether the file is one of Meta's: False where it does not claim to be one.

    Raises:
        ValueError: it claims to be one by its name, and is not.
    """
    official = claimed(entries.path.name)
    if official is None:
        return False
    sha256 = sha256_of(entries.path)
    if sha256 != official.sha256:
        raise entries.refuse(
            f"is named as Meta's file and is not it: its SHA-256 is {sha256}, that of Meta's is {official.sha256}"
            f"{_sizes(entries.path, None)}; {DOWNLOAD_AGAIN} (python -m sam_edu download {official.name}), or give "
            "weights of your own another name"
        )
    return True


# --- Reading ---


def _read_safetensors(entries: Entries, name: str | None) -> Any:
    try:
        return load_file(entries.path)
    except OSError:
        raise
    except Exception as error:
        reason = f"is a damaged safetensors file ({printable(error, 200)}); {DOWNLOAD_AGAIN}"
        raise entries.refuse(reason + _sizes(entries.path, name)) from error


def _read_archive(entries: Entries, name: str | None, verified: bool) -> Any:
    try:
        if not verified:  # whose hash is Meta's needs no other check
            check_archive(entries.path)
        # Mapped, not read: of a file with an optimiser's state, too, only what is used comes into memory.
        return torch.load(entries.path, map_location="cpu", weights_only=True, mmap=True)
    except ArchiveError as error:
        raise entries.refuse(f"{error}{_sizes(entries.path, name)}") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle or archive can raise almost anything
        text = printable(str(error).partition("\n")[0], 200)
        reason = f"is damaged, or holds something else than plain tensors by name ({type(error).__name__}: {text})"
        raise entries.refuse(f"{reason}; {DOWNLOAD_AGAIN}{_sizes(entries.path, name)}") from None
