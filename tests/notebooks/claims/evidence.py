"""Evidence: the numbers that claims are tested on, and the same numbers changed so that every claim has to fail.

There are four sources:

- `stats`, the stored statistics over the held-out clicks;
- `click`, the running example, decoded by the tiny model (`click.py`);
- `printed`, the numbers that a code cell of the notebook has printed, for what takes too long here: the notebooks'
  tests prove that these outputs are those of today's code and weights;
- `card`, the model card.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from notebook_cells import FOLDER, Notebook

from claims.click import Click
from sam_edu import ablation
from sam_edu.ablation import Effect, PairStatistics, ProductStatistics, Statistics
from sam_edu.evaluation.intervals import SceneBootstrap

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
Numbers = Callable[[np.ndarray], np.ndarray]


def _as_it_is(numbers: np.ndarray) -> np.ndarray:
    return numbers


@dataclass(frozen=True)
class Evidence:
    """What a predicate looks at.

    Attributes:
        stats: the stored statistics.
        product: those of the product (6-3).
        pairs: those of the pairs of clicks.
        click: the running example.
        card: the text of the model card.
        arrays: those of the statistics' file, for what else is read from it (`ScoreTerms`, `HeadPaths`).
        change: what the flip does to numbers that a cell printed.
    """

    stats: Statistics
    product: ProductStatistics
    pairs: PairStatistics
    click: Click
    card: str
    arrays: Mapping[str, Any]
    change: Numbers = _as_it_is

    # --- The held-out clicks ---

    def effect(self, name: str, level: int | None = None) -> Effect:
        """The mean effect of an ablation on the best of masks 1 to 3; `level` keeps the targets of one level."""
        return self.mean_of(self.stats.scores(name) - self.stats.baseline(), level)

    def difference(self, one: str, other: str) -> Effect:
        """How much more IoU one ablation leaves than another, click by click."""
        return self.mean_of(self.stats.scores(one) - self.stats.scores(other))

    def mean_of(self, values: np.ndarray, level: int | None = None) -> Effect:
        """The mean of a value per click, with its interval by scene."""
        if level is None:
            return self.stats.interval(values)
        kept = self.stats.prompts.level == level
        scenes = np.array([prompt.scene for prompt in self.stats.prompts])[kept]
        return Effect(*SceneBootstrap(scenes.tolist()).interval(values[kept]), int(kept.sum()))

    @property
    def picked(self) -> np.ndarray:
        """The number, 1 to 3, of the mask whose predicted IoU is highest, per held-out click."""
        return 1 + self.stats.prompts.predicted[:, 1:].argmax(1)

    def of_mask(self, values: np.ndarray, number: np.ndarray | int) -> np.ndarray:
        """From (clicks, 4) the value of one mask per click."""
        return values[np.arange(len(values)), number]

    # --- What a cell printed ---

    def printed(self, notebook: str, cell: str, pattern: str) -> list[float]:
        """The numbers that the groups of a pattern find in a code cell's output, line by line; "#" stands for a number.

        Raises:
            ValueError: the output does not contain the pattern.
        """
        text = stored(notebook).printed(cell)
        found = re.findall(pattern.replace("#", f"({NUMBER})"), text)
        if not found:
            raise ValueError(f"{notebook} {cell}: the output does not contain {pattern!r}:\n{text}")
        flat = [float(number) for one in found for number in (one if isinstance(one, tuple) else (one,))]
        return [float(number) for number in self.change(np.array(flat))]


@cache
def stored(notebook: str) -> Notebook:
    """A notebook by its number."""
    [path] = FOLDER.glob(f"{notebook}_*.ipynb")
    return Notebook(path.stem)


# --- The evidence as it is ---


@cache
def current_evidence() -> Evidence:
    """The evidence as it is."""
    card = (files("sam_edu") / "tiny" / "MODEL_CARD.md").read_text(encoding="utf-8")
    return Evidence(ablation.load(), ablation.load_product(), ablation.load_pairs(), Click(), card, ablation.read())


# --- Flips ---


def flips() -> Iterator[tuple[str, Evidence]]:
    """The evidence changed, the cheapest change first. A claim that holds on all of it is no claim.

    - *negated*: every stored and printed number has the other sign, so every effect, difference and order is reversed;
    - *reversed*: the ablations exchange their scores, the one that costs most with the one that costs least, and so on;
      masks, heads, corrections and printed numbers stand in the reverse order;
    - *other weights*, of the mask decoder and the prompt encoder: *reshuffled*, the numbers of each tensor in random
      order, and *levelled*, each the mean of its tensor. Whatever training taught is lost, and the shapes are the same.

    The card is empty in all of them.
    """
    usual = replace(current_evidence(), card="")
    for name, change, of_printed in (("negated", _negated, np.negative), ("reversed", _reversed, np.flip)):
        yield name, replace(usual, **_statistics(change), change=of_printed)
    for name in ("reshuffled", "levelled"):
        yield f"{name} weights", replace(usual, click=_click(name))


@cache
def _click(weights: str) -> Click:
    return Click(weights)


@cache
def _statistics(change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    data = change(ablation.read())
    return {
        "stats": Statistics(data),
        "product": ProductStatistics(data),
        "pairs": PairStatistics(data),
        "arrays": data,
    }


NOT_MEASURED = (
    "prompts",
    "pairs.clicks",
    "pairs.kind",
    "product.outline_clicks",
    "paths.heads",
    "prompt_changes.inside",
)
"""Arrays of whole numbers that say which click, pair or head a row belongs to."""


def _measured(data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of measurements: not the names, the hash, the definitions, the clicks and what was put in."""
    return {
        name: np.asarray(array, np.float64)
        for name, array in data.items()
        if name not in NOT_MEASURED and not name.startswith("means.") and np.asarray(array).dtype.kind in "fi"
    }


def _negated(data: Mapping[str, Any]) -> dict[str, Any]:
    return dict(data) | {name: -array for name, array in _measured(data).items()}


def _reversed(data: Mapping[str, Any]) -> dict[str, Any]:
    changed = {}
    for name, array in _measured(data).items():
        if name.endswith(".changes") and name != "paths.changes":
            order = array[..., 0].mean(axis=1).argsort()
            changed[name] = array.copy()
            changed[name][order] = array[order[::-1]]
        elif array.ndim > 1 and not name.endswith(".unchanged"):
            changed[name] = array[..., ::-1]
    return dict(data) | changed
