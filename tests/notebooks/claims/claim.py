"""A claim: a sentence of a notebook, and the predicate that says whether it holds."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from claims.evidence import Evidence

Predicate = Callable[[Evidence], bool]
FOLDER = Path(__file__).parent


class Claim(NamedTuple):
    """A claim.

    Attributes:
        notebook: its number, "04".
        cell: the id of the Markdown cell that states it.
        sentence: what it states, in short.
        holds: the predicate.
    """

    notebook: str
    cell: str
    sentence: str
    holds: Predicate

    def __str__(self) -> str:
        return f"{self.notebook} {self.cell}: {self.sentence}"


def all_claims() -> list[Claim]:
    """The claims of all notebooks, from the files `claims_NN.py` in this folder."""
    found = []
    for path in sorted(FOLDER.glob("claims_[0-9][0-9].py")):
        cells: dict[str, dict[str, Predicate]] = import_module(f"claims.{path.stem}").CLAIMS
        number = path.stem.removeprefix("claims_")
        found += [
            Claim(number, cell, sentence, holds) for cell, one in cells.items() for sentence, holds in one.items()
        ]
    return found
