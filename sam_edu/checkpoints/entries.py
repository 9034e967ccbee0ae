"""Entries: what a file of weights holds; and text from a file made fit for a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entries:
    """What a checkpoint holds.

    Attributes:
        path: the file.
        argument: how the caller named it, for messages.
        values: per name a tensor, or whatever else the file holds there. Tensors can be views of the file itself, which
            is not read before they are used: copy what has to outlive it.
    """

    path: Path
    argument: str
    values: Mapping[str, Any]

    def refuse(self, reason: str) -> ValueError:
        """The error that says why this file cannot be used."""
        return ValueError(f"{self.argument}: {printable(str(self.path), 1000)} {reason}")


def printable(text: object, most: int = 120) -> str:
    """A text that comes from a file, with control characters escaped, and cut where it is long.

    A name can hold what a terminal obeys: colours, cursor movements, a new title, text that runs from right to left.

    Args:
        text: anything; its `str` is used.
        most: how many characters may stay; of a longer text, these and an ellipsis.
    """
    whole = str(text)
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in whole[:most])
    return shown if len(shown) <= most and len(whole) <= most else f"{shown[:most]}..."
