"""What the tests of notebooks share: a stored notebook as cells by their names."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


class Notebook:
    """A stored notebook.

    Attributes:
        cells: by id, in order.
        sources: the text of each.
        code: the text of the code cells.
    """

    def __init__(self, name: str) -> None:
        path = FOLDER / f"{name}.ipynb"
        self.cells: dict[str, Any] = {c["id"]: c for c in json.loads(path.read_text(encoding="utf-8"))["cells"]}
        self.sources = {name: "".join(cell["source"]) for name, cell in self.cells.items()}
        self.code = {name: self.sources[name] for name, cell in self.cells.items() if cell["cell_type"] == "code"}

    def printed(self, name: str) -> str:
        """What a cell printed, and the value of its last line as text."""
        return "".join(
            "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))
            for output in self.cells[name]["outputs"]
        )

    def between(self, first: str, last: str) -> list[str]:
        """The names of the cells from one up to another."""
        order = list(self.cells)
        return order[order.index(first) : order.index(last)]

    def prose(self, names: list[str] | None = None) -> str:
        """The text of the Markdown cells, of all or of some cells."""
        return "\n".join(self.sources[name] for name in names or self.cells if name not in self.code)
