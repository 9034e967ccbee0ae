"""Files of weights: Meta's official ones and those of one's own training, read without ever running code from them.

`sam_edu.load(name, checkpoint=path)` is the way in; this file knows what a checkpoint may look like and says what is
wrong with one that cannot be used. `OFFICIAL` lists Meta's three files.
"""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sam_edu.tiny.image_encoder import TinyImageEncoder

__all__ = ["ENVIRONMENT_VARIABLE", "OFFICIAL", "PAGE", "Entries", "OfficialFile", "read"]

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
    sha256: str | None
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


@dataclass(frozen=True)
class Entries:
    """What a checkpoint holds.

    Attributes:
        path: the file.
        argument: how the caller named it, for messages.
        values: per name a tensor, or whatever else the file holds there.
    """

    path: Path
    argument: str
    values: Mapping[str, Any]

    def refuse(self, reason: str) -> ValueError:
        """The error that says why this file cannot be used."""
        return ValueError(f"{self.argument}: {self.path} {reason}")


def advice(name: str) -> str:
    """Which file one of Meta's models needs, how large it is and where Meta publishes it.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
    """
    file = OFFICIAL[name]
    return f"{file.file_name} ({file.size:,} bytes), which Meta publishes at {file.url} (see {PAGE})"


# --- Reading ---


def read(path: str | os.PathLike[str], *, argument: str = "checkpoint", name: str | None = None) -> Entries:
    """Read a file that torch.save or safetensors wrote, and nothing that is not plain tensors.

    The first bytes are looked at before anything else, and no code that a file may hold is ever run.

    Args:
        path: the file; a leading `~` is the home folder.
        argument: how the caller names it, for messages.
        name: the model that it is wanted for, where known; messages then give the official file's size.

    Raises:
        TypeError: `path` is no path.
        FileNotFoundError: there is no such file.
        ValueError: the file is a folder, empty, a web page, text, a Git LFS pointer, cut short, damaged or of another
            kind, was written before PyTorch 1.6, or holds code or anything else but a dictionary.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{argument}: expected the path of a file, got {type(path).__name__}")
    if not os.fspath(path):
        raise ValueError(f"{argument}: expected the path of a file, got an empty one")
    file = Path(path).expanduser()
    empty = Entries(file, argument, {})
    if file.is_dir():
        raise empty.refuse("is a folder; expected a file of weights")
    if not file.is_file():
        raise FileNotFoundError(f"{argument}: there is no file {file}")
    kind, reason = _look(file)
    if kind is None:
        raise empty.refuse(reason + _sizes(file, name))
    values = _read_safetensors(empty, name) if kind == "safetensors" else _read_zip(empty, name)
    if not isinstance(values, Mapping):
        raise empty.refuse(f"holds a {type(values).__name__}; expected a dictionary of tensors (a state dict)")
    if not all(isinstance(key, str) for key in values):
        raise empty.refuse("holds a dictionary whose keys are not all names; expected a state dict")
    return Entries(file, argument, values)


def _sizes(file: Path, name: str | None) -> str:
    """How large the file is, and how large Meta's is where the file should be one."""
    named = [official for official in OFFICIAL.values() if official.file_name == file.name]
    named = named or [official for official in OFFICIAL.values() if official.name == name]
    wanted = f"; Meta's {named[0].file_name} has {named[0].size:,}" if named else ""
    return f" (it has {file.stat().st_size:,} bytes{wanted})"


_DOWNLOAD_AGAIN = "download or copy it again"


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
        return _look_at_zip(file)
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


def _look_at_zip(file: Path) -> tuple[str | None, str]:
    if not zipfile.is_zipfile(file):  # its table of contents stands at the end
        return None, f"is cut short: the end of the archive is missing; {_DOWNLOAD_AGAIN}"
    try:
        with zipfile.ZipFile(file) as archive:
            members = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        return None, f"is a damaged archive ({error}); {_DOWNLOAD_AGAIN}"
    if "constants.pkl" in members or any(name.startswith("code/") for name in members):
        return None, "is a TorchScript archive: it holds code and was refused; expected a state dict"
    if "data.pkl" not in members:
        return None, "is a zip archive, but not one that torch.save wrote"
    return "zip", ""


def _look_at_safetensors(file: Path, size: int) -> tuple[str | None, str]:
    """Compare the lengths that the header gives with the file's."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if 8 + length > size:
            return None, (
                f"is cut short, or no safetensors file: its header should have {length:,} bytes; {_DOWNLOAD_AGAIN}"
            )
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
            wanted = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return None, f"begins like a safetensors file, but its header is damaged; {_DOWNLOAD_AGAIN}"
    if wanted > size:
        return None, f"is cut short: its header promises {wanted:,} bytes; {_DOWNLOAD_AGAIN}"
    return "safetensors", ""


def _read_safetensors(entries: Entries, name: str | None) -> Any:
    try:
        return load_file(entries.path)
    except OSError:
        raise
    except Exception as error:
        reason = f"is a damaged safetensors file ({error}); {_DOWNLOAD_AGAIN}"
        raise entries.refuse(reason + _sizes(entries.path, name)) from error


def _read_zip(entries: Entries, name: str | None) -> Any:
    try:
        return torch.load(entries.path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except pickle.UnpicklingError as error:
        # PyTorch's own text tells how to run the code all the same.
        text = str(error)
        if re.search(r"global|class|instantiate|callable|function|reduce", text, re.IGNORECASE):
            found = re.search(r"GLOBAL ([\w.]+)", text)
            wants = f" (it asks for {found[1]})" if found else ""
            what = f"holds code, or objects that only code can build{wants}"
        else:
            what = "holds something else than plain tensors by name, or is damaged"
        raise entries.refuse(f"{what}; it was refused, and nothing of it was run. Expected a state dict") from None
    except Exception as error:  # a damaged pickle or archive can raise almost anything
        reason = f"is damaged ({type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''})"
        raise entries.refuse(f"{reason}; {_DOWNLOAD_AGAIN}{_sizes(entries.path, name)}") from error


# --- Comparing with a model ---


def recognise(values: Mapping[str, Any]) -> str | None:
    """Which of the four models a state dict looks like: "tiny", "vit_b", "vit_l" or "vit_h"; None for none of them."""
    patch = values.get("image_encoder.patch_embed.proj.weight")
    blocks = {key.split(".")[2] for key in values if key.startswith("image_encoder.blocks.")}
    if isinstance(patch, Tensor) and patch.ndim == 4:
        for official in OFFICIAL.values():
            if (patch.shape[0], len(blocks)) == (official.width, official.blocks):
                return official.name
    encoder = {key: tuple(v.shape) for key, v in values.items() if key in _tiny_encoder() and isinstance(v, Tensor)}
    return "tiny" if encoder == _tiny_encoder() else None


@cache
def _tiny_encoder() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tiny model's image encoder."""
    with torch.device("meta"):
        state = TinyImageEncoder().state_dict()
    return {f"image_encoder.{key}": tuple(value.shape) for key, value in state.items()}


def fill(model: nn.Module, entries: Entries, name: str) -> None:
    """Give a model the values of a checkpoint, as float32, and make it ready for inference.

    Args:
        model: whatever its values were, they are replaced; untouched where the checkpoint does not fit.
        entries: the checkpoint.
        name: what the model is called, for messages.

    Raises:
        ValueError: entries are missing, superfluous, of another shape, or no tensors of floating-point numbers.
    """
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    missing = [key for key in wanted if key not in entries.values]
    extra = [key for key in entries.values if key not in wanted]
    misshaped = [
        f"{key} is {found}, expected {_shape(shape)}"
        for key, shape in wanted.items()
        if key in entries.values and (found := _describe(entries.values[key])) != _shape(shape)
    ]
    if missing or extra or misshaped:
        lists = [_list("missing", missing), _list("not expected", extra), _list("misshaped", misshaped)]
        looks_like = recognise(entries.values)
        guess = ""
        if looks_like not in (None, name):
            guess = f"This looks like {looks_like}: sam_edu.load({looks_like!r}, checkpoint=...). "
        elif len(missing) == len(wanted):
            guess = f"It {contents(entries.values)}. "
        reason = f"does not fit the model {name}. {guess}" + "; ".join(text for text in lists if text)
        raise entries.refuse(reason)
    state = {key: entries.values[key].detach().float().contiguous() for key in wanted}
    model.load_state_dict(state, strict=True, assign=True)
    left = [key for key, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if left:
        raise entries.refuse(f"gives no values for {', '.join(left[:10])}, which the model {name} needs")
    model.eval().requires_grad_(False)


def _describe(value: Any) -> str:
    """The shape of a usable tensor; of anything else, what it is."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.layout != torch.strided or value.device.type != "cpu":
        return f"a tensor without ordinary values ({value.layout}, {value.device})"
    shape = _shape(tuple(value.shape))
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) if shape else "a single number"


def _list(title: str, items: list[str]) -> str:
    """The first ten of a list, and how many there are."""
    if not items:
        return ""
    more = f", ... and {len(items) - 10} more" if len(items) > 10 else ""
    return f"{title} ({len(items)}): {', '.join(items[:10])}{more}"


def contents(values: Mapping[str, Any]) -> str:
    """A sentence about a checkpoint that holds something else than a model's entries."""
    inner = [key for key, value in values.items() if isinstance(value, Mapping)]
    if inner:
        return f"holds a dictionary under {inner[0]!r}: if that is the state dict, save it alone"
    names = ", ".join(list(values)[:5])
    return f"holds {len(values)} entries" + (f", such as {names}" if names else "")
