"""Archives of torch.save: what they declare is checked before anything is built or read into memory.

A small file can ask for gigabytes: through values that are compressed, through storages that it declares larger than
they are, or through the constructors that PyTorch's own loader allows (`torch.FloatTensor(10**10)`). And a file that
lost a piece in a copy still has its table of contents. `check_archive` refuses all of them.
"""

import pickle
import zipfile
import zlib
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

from sam_edu.checkpoints.entries import printable

DOWNLOAD_AGAIN = "download or copy it again"
MOST_CONTENTS = 1 << 26  # bytes of data.pkl, which names the tensors: Meta's has 50,000

# Bytes per value of each kind of storage; an untyped one is counted in bytes.
_ITEM_SIZES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "UntypedStorage": 1,
}
_NEW_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # torch.save writes those of Python 2
# Built as they are: they hold what the file holds, and no more.
_PLAIN = {
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "builtins.set": set,
    "builtins.complex": complex,
}
# Stand-ins take their place here; torch.load(..., weights_only=True) builds them later, and checks them by itself.
_REBUILT = frozenset(
    {
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._tensor._rebuild_from_type_v2",
        "torch.serialization._get_layout",
        "torch.Size",
        "torch.device",
        "_codecs.encode",
    }
)


class ArchiveError(ValueError):
    """An archive cannot be used; the text goes on after the file's name."""


def check_archive(file: Path) -> None:
    """Refuse an archive that torch.save did not write, that is damaged, holds code, or would grow in memory.

    Args:
        file: it begins as a zip archive does.

    Raises:
        ArchiveError: it cannot be used.
    """
    if not zipfile.is_zipfile(file):  # its table of contents stands at the end
        raise ArchiveError(f"is cut short: the end of the archive is missing; {DOWNLOAD_AGAIN}")
    try:
        with zipfile.ZipFile(file) as archive:
            contents = _check_members(archive, file.stat().st_size)
            _check_contents(archive, contents)
            if broken := archive.testzip():  # reads everything once, a piece at a time
                raise zipfile.BadZipFile(f"Bad CRC-32 for file {broken!r}")
    except zipfile.BadZipFile as error:
        reason = f"is a damaged archive ({printable(error)}); {DOWNLOAD_AGAIN}"
        if "CRC" in str(error):
            reason += (
                ". It has a hole: a checksum is wrong (or was never computed, under "
                "torch.serialization.set_crc32_options(False): then save it again without)"
            )
        raise ArchiveError(reason) from error
    except (zlib.error, NotImplementedError, RuntimeError, EOFError, UnicodeError) as error:
        raise ArchiveError(f"is a damaged archive ({printable(error)}); {DOWNLOAD_AGAIN}") from error


def _check_members(archive: zipfile.ZipFile, size: int) -> zipfile.ZipInfo:
    """Check names and sizes; return the member that lists the contents."""
    members = archive.infolist()
    folders = {member.filename.partition("/")[0] for member in members}
    names = {member.filename.partition("/")[2] for member in members}
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise ArchiveError("is a TorchScript archive: it holds code and was refused; expected a state dict")
    if "data.pkl" not in names or len(folders) > 1:
        raise ArchiveError("is a zip archive, but not one that torch.save wrote")
    # PyTorch's reader finds a member by its name without regard to case, and the first of several.
    if len({member.filename.casefold() for member in members}) < len(members):
        raise ArchiveError("holds two members of one name, which torch.save never writes; it was refused")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ArchiveError(
                f"is compressed: {printable(member.filename)} would grow from {member.compress_size:,} to "
                f"{member.file_size:,} bytes, and torch.save compresses nothing; unpack it, or save it again"
            )
    declared = sum(member.file_size for member in members)
    if declared > size:
        raise ArchiveError(f"declares {declared:,} bytes but has {size:,}; it was refused before it was read")
    [contents] = [member for member in members if member.filename.partition("/")[2] == "data.pkl"]
    if contents.file_size > MOST_CONTENTS:
        raise ArchiveError(
            f"has a list of contents of {contents.file_size:,} bytes, expected at most {MOST_CONTENTS:,}"
        )
    return contents


def _check_contents(archive: zipfile.ZipFile, contents: zipfile.ZipInfo) -> None:
    """Go through the list of contents with stand-ins: what it calls, and how large it says that the storages are."""
    folder = contents.filename.removesuffix("data.pkl")
    sizes = {member.filename.removeprefix(f"{folder}data/"): member.file_size for member in archive.infolist()}
    with archive.open(contents) as stream:
        try:
            _Outline(stream, sizes).load()
        except (ArchiveError, zipfile.BadZipFile, OSError, MemoryError):
            raise
        except Exception as error:  # a damaged pickle can raise almost anything
            reason = f"{type(error).__name__}: {printable(error)}"
            raise ArchiveError(
                f"is damaged: its list of contents cannot be read ({reason}); {DOWNLOAD_AGAIN}"
            ) from None


class _StandIn:
    """Takes the place of whatever the file would have built."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Storage:
    """The kind of a storage; it cannot be called."""

    def __init__(self, item_size: int) -> None:
        self.item_size = item_size


class _Outline(pickle.Unpickler):
    """Reads a list of contents without calling anything of the file's choice.

    Args:
        stream: the list of contents.
        sizes: per storage the bytes that the archive has for it.
    """

    def __init__(self, stream: BinaryIO | Any, sizes: dict[str, int]) -> None:
        super().__init__(stream)
        self.sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        full = f"{_NEW_NAMES.get(module, module)}.{name}"
        if full in _PLAIN:
            return _PLAIN[full]
        if module in ("torch", "torch.storage") and name in _ITEM_SIZES:
            return _Storage(_ITEM_SIZES[name])
        is_constant = (
            module == "torch" and name.islower()
        )  # a dtype or the like: torch.float32, torch.per_tensor_affine
        if full in _REBUILT or is_constant:
            return _StandIn
        raise ArchiveError(
            f"holds code, or objects that only code can build (it asks for {printable(full)}); it was refused, and "
            "nothing of it was run. Expected a state dict: torch.save(model.state_dict(), path)"
        )

    def persistent_load(self, pid: Any) -> _StandIn:
        kind, storage, key, _, length = pid
        if kind != "storage" or not isinstance(storage, _Storage):
            raise ArchiveError(f"holds a reference of an unknown kind; {DOWNLOAD_AGAIN}")
        declared = length * storage.item_size
        if declared != self.sizes.get(key):
            raise ArchiveError(
                f"is damaged: it declares {declared:,} bytes for data/{printable(key)}, where it has "
                f"{self.sizes.get(key, 0):,}; {DOWNLOAD_AGAIN}"
            )
        return _StandIn()
