"""The sentence in every set-up cell that says how to install elsewhere, in Colab for instance.

It needs the repository's address, which stands in one place: `Repository` under `[project.urls]` in pyproject.toml. As
long as it does not, the sentence says how to find it. After a change there: `python -m tools.elsewhere`.
"""

import json
import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

_BEGINNING = "In Colab, or wherever the project's environment is missing, first run"
_END = "in a cell of their own."
_SENTENCE = re.compile(rf"{re.escape(_BEGINNING)}.*?{re.escape(_END)}", re.DOTALL)


def address(project: Path = PROJECT) -> str | None:
    """The repository's address; None as long as it has none."""
    with (project / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"].get("urls", {}).get("Repository")


def sentence(project: Path = PROJECT) -> str:
    """What every set-up cell says."""
    known = address(project)
    clone = f"`!git clone {known} sam-edu`"
    if known is None:
        clone = (
            "`!git clone ADDRESS sam-edu` (for `ADDRESS` write the address that you have this repository from; in a"
            " copy of it, `git remote get-url origin` prints it)"
        )
    return f'{_BEGINNING} {clone} and `%pip install -q "./sam-edu[notebooks]"` {_END}'


def write(project: Path = PROJECT) -> list[str]:
    """Bring the set-up cells of all notebooks up to date.

    Returns:
        the names of the notebooks that have changed.

    Raises:
        ValueError: a notebook whose set-up cell does not have the sentence once.
    """
    changed = []
    for path in sorted((project / "notebooks").glob("[0-9]*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        [cell] = [cell for cell in notebook["cells"] if cell["id"] == "setup-prose"]
        source = "".join(cell["source"])
        new, count = _SENTENCE.subn(lambda _: sentence(project), source)
        if count != 1:
            raise ValueError(f"{path.name}: expected the cell setup-prose to have once {_BEGINNING!r} ..., got {count}")
        if new != source:
            cell["source"] = new.splitlines(keepends=True)
            path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            changed.append(path.name)
    return changed


if __name__ == "__main__":
    print("\n".join(write()) or "Nothing has changed.")
