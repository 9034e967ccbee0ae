"""What the tests of checkpoints share: small models of Meta's, and files to be read or refused."""

import importlib
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sam_edu import official

VARIABLE = "SAM_EDU_CHECKPOINT"
NAMES = ("vit_b", "vit_l", "vit_h")
# Small image encoders instead of the three, told apart in the same way; everything behind them is full size.
SMALL = {"vit_b": (16, 1), "vit_l": (24, 2), "vit_h": (32, 3)}


def build_sam() -> Any:
    """Meta's own file build_sam.py, reached without the package's other imports."""
    return importlib.import_module(official.modeling().__package__.rpartition(".")[0] + ".build_sam")


def metas_sam(name: str) -> Any:
    """Meta's Sam as Meta's code builds it, with a small image encoder and random values everywhere."""
    width, blocks = SMALL[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(width)
        sam = build_sam()._build_sam(width, blocks, 2, [])
        for parameter in sam.parameters():  # zeros and ones would hide mistakes
            parameter.data += 0.02 * torch.randn_like(parameter)
    return sam.requires_grad_(False)


# --- Files ---


def saved(value: Any, **settings: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **settings)
    return stream.getvalue()


def tensors() -> dict[str, Tensor]:
    return {"a.weight": torch.ones(64, 64), "b.weight": torch.ones(64)}


def safetensors_bytes(tmp_path: Path) -> bytes:
    save_file(tensors(), tmp_path / "whole.safetensors")
    return (tmp_path / "whole.safetensors").read_bytes()


def header(content: Any) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(f"archive/{name.replace('_', '.')}", content)
    return stream.getvalue()


def shortened(content: bytes) -> bytes:
    """A whole archive, but each tensor's values end too early."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(f"archive/{name}", data[:-16] if name.startswith("data/") else data)
    return stream.getvalue()


# --- Files that run code ---


class Runs:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile(kind: str, flag: Path) -> bytes:
    """A file that makes a folder when it is unpickled carelessly."""
    trap = Runs(os.mkdir, str(flag))
    if kind == "alone":
        return saved(trap)
    if kind == "in a state dict":
        return saved({**tensors(), "c": trap})
    if kind == "eval":
        return saved({"a": Runs(eval, f"__import__('os').mkdir({str(flag)!r})")})
    if kind == "new protocol":
        return archive(data_pkl=pickle.dumps(trap, protocol=4), version=b"3")
    if kind == "text protocol":
        return archive(data_pkl=pickle.dumps(trap, protocol=0), version=b"3")
    if kind == "inst":
        return archive(data_pkl=b"(S" + repr(str(flag)).encode() + b"\nios\nmkdir\n.", version=b"3")
    if kind == "old":
        return saved(trap, _use_new_zipfile_serialization=False)
    assert kind == "bare"
    return pickle.dumps(trap)
