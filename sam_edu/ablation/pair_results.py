"""PairStatistics: the stored results of all transplants between the clicks of a pair.

    pairs = ablation.load_pairs()
    name = "transformer.layers.0.cross_attn_image_to_token keys and values"
    pairs.mean(name, kind="other object", measure="iou_b")       # IoU with B's target mask, in A's decode
    pairs.denoising(name)                                         # the share of the way to B's own decode
    pairs.noising(name)                                           # the share of A's own result that is lost

They stand in the file of `sam_edu.ablation.load`, in arrays whose names begin with "pairs.".

**Measures.** "iou_a", "iou_b": IoU with the target mask of A, of B. "margin_a", "margin_b": the mean logit inside that
target mask minus the mean logit outside. Measured at mask 1, 2 or 3, always the same number: for A's target mask the
one that fits it best in A's unchanged decode, for B's the one that fits it best in B's.

**Noising and denoising.** A broken run gets a part of a good run (denoising: does the part suffice?), or a good run
gets a part of a broken run (noising: is the part needed?). The broken run has the click of another object, or no click.
Both are shares of the difference between the good and the broken run: 0 is no effect, 1 the whole difference. A share
is a ratio of means, its interval a bootstrap over the scenes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from sam_edu.ablation.pairs import PAIR_KINDS, Pair, PairKind
from sam_edu.ablation.prompts import Prompt
from sam_edu.ablation.results import COMMAND, LEVELS, Effect, Level, index_of, level_number, read
from sam_edu.ablation.transplants import TRANSPLANTS, Transplant, find_transplant
from sam_edu.argument_checks import as_choice
from sam_edu.evaluation.intervals import SceneBootstrap

PairMeasure = Literal["iou_a", "iou_b", "margin_a", "margin_b"]

PAIR_MEASURES: tuple[PairMeasure, ...] = get_args(PairMeasure)

UNCHANGED = ("A unchanged", "B unchanged")
"""The names of the two decodes of a pair without a transplant; the others are those of `TRANSPLANTS`."""

Broken = Literal["other object", "no click"]
"""How the click of the broken run is broken."""

GoodMeasure = Literal["iou", "margin"]
"""What is measured at the good run's target mask."""

_ARRAYS = ("definitions", "clicks", "kind", "unchanged", "changes")
PAIR_ARRAYS = tuple(f"pairs.{name}" for name in _ARRAYS)
"""The arrays of the file."""


class PairStatistics:
    """The measurements of transplants over pairs of held-out clicks.

    Args:
        data: the arrays of the file, as `sam_edu.ablation.pair_measuring` makes them.
        part: what stands before the arrays' names in the file.
        transplants: those that may have been measured; `TRANSPLANTS` by default.

    Attributes:
        pairs: the pairs, in the order of every array.
        names: of all transplants that were measured.
        definitions: by name the definition of each when it was measured.
        weights: SHA-256 of the weights that were measured.

    Raises:
        ValueError: no pairs were measured.
    """

    def __init__(
        self, data: Mapping[str, Any], part: str = "pairs", transplants: Mapping[str, Transplant] | None = None
    ) -> None:
        arrays = {name: f"{part}.{name}" for name in _ARRAYS}
        if any(name not in data for name in arrays.values()):
            raise ValueError(f"the file lacks the {part} of clicks: {COMMAND} --only {part} measures them")
        self._part, self._transplants = part, TRANSPLANTS if transplants is None else transplants
        self.weights = str(data["weights"])
        self.definitions: dict[str, str] = json.loads(str(data[arrays["definitions"]]))
        self.names = tuple(self.definitions)
        self.pairs = tuple(
            Pair(PAIR_KINDS[kind], *(Prompt(*map(int, click)) for click in clicks))
            for kind, clicks in zip(data[arrays["kind"]], data[arrays["clicks"]], strict=True)
        )
        # (2, pairs, measures), and (transplants, pairs, measures)
        self._unchanged = np.asarray(data[arrays["unchanged"]], np.float64)
        self._changes = np.asarray(data[arrays["changes"]], np.float64)
        self._bootstraps: dict[bytes, SceneBootstrap] = {}

    def __repr__(self) -> str:
        scenes = len({pair.a.scene for pair in self.pairs})
        return f"<PairStatistics: {len(self.names)} transplants, {len(self.pairs)} pairs on {scenes} held-out scenes>"

    def of_kind(self, kind: PairKind, level: Level | None = None) -> np.ndarray:
        """The numbers of the pairs of a kind.

        Args:
            kind: one of `PAIR_KINDS`.
            level: only where B's target mask has this level: 0, 1, 2, or "object", "part", "sub-part".

        Raises:
            ValueError: another kind or level, or no such pair.
        """
        as_choice("kind", kind, PAIR_KINDS)
        wanted = None if level is None else level_number(level)
        found = [i for i, pair in enumerate(self.pairs) if pair.kind == kind and wanted in (None, pair.b.level)]
        if not found:
            of_level = (
                ""
                if wanted is None
                else f" with a target mask of B that is {'an' if wanted == 0 else 'a'} {LEVELS[wanted]}"
            )
            raise ValueError(f"kind: no pair of the kind {kind!r}{of_level} was measured")
        return np.array(found)

    def scores(self, name: str, measure: PairMeasure) -> np.ndarray:
        """A measure of A's decode under a transplant, for every pair, (pairs,).

        Args:
            name: one of the transplants, or one of `UNCHANGED`.
            measure: one of `PAIR_MEASURES`.

        Raises:
            KeyError: no such name.
            ValueError: it was not measured, or its definition has changed since; or another measure.
        """
        column = index_of("measure", measure, PAIR_MEASURES)
        if name in UNCHANGED:
            return self._unchanged[UNCHANGED.index(name), :, column]
        if find_transplant(name, self._transplants).definition != self.definitions.get(name):
            state = "is new or has changed since" if name in self.definitions else "was not measured"
            raise ValueError(f"{name!r} {state}: measure it with {COMMAND} --only {self._part}")
        return self._unchanged[0, :, column] + self._changes[self.names.index(name), :, column]

    def mean(self, name: str, *, kind: PairKind, measure: PairMeasure, level: Level | None = None) -> Effect:
        """The mean of a measure, with its interval. Arguments and errors as for `scores` and `of_kind`."""
        rows = self.of_kind(kind, level)
        values = self.scores(name, measure)[rows]
        return Effect(*self._bootstrap(rows).interval(values), len(rows))

    def effect(self, name: str, *, kind: PairKind, measure: PairMeasure, level: Level | None = None) -> Effect:
        """The mean change of a measure against A's unchanged decode. Arguments and errors as for `mean`."""
        rows = self.of_kind(kind, level)
        change = (self.scores(name, measure) - self.scores(UNCHANGED[0], measure))[rows]
        return Effect(*self._bootstrap(rows).interval(change), len(rows))

    def share(self, name: str, *, kind: PairKind, measure: PairMeasure, level: Level | None = None) -> Effect:
        """How far the transplant goes from A's unchanged decode (0) to B's (1), with its interval.

        The ratio of the mean change to the mean difference between the two.

        Args:
            name, kind, measure, level: see `scores` and `of_kind`.

        Raises:
            KeyError, ValueError: as `scores` and `of_kind`; and where the two decodes do not differ clearly.
        """
        rows = self.of_kind(kind, level)
        a, b = (self.scores(one, measure)[rows] for one in UNCHANGED)
        bootstrap = self._bootstrap(rows)
        whole = Effect(*bootstrap.interval(b - a), len(rows))
        if not whole.clear:
            raise ValueError(
                f"measure: {measure} does not differ clearly between A and B for the kind {kind!r} "
                f"({whole.low:+.3f} to {whole.high:+.3f}), so that there is no share of it; use effect"
            )
        change = self.scores(name, measure)[rows] - a
        return Effect(*bootstrap.ratio(change, b - a), len(rows))

    def denoising(
        self,
        name: str,
        broken: Broken = "other object",
        measure: GoodMeasure = "margin",
        level: Level | None = None,
    ) -> Effect:
        """The share that a broken run recovers when one part is restored from the good run.

        (restored - broken) / (good - broken): 1 where the part suffices, 0 where it does nothing.

        Args:
            name: one of `TRANSPLANTS`.
            broken: the broken run has the click of another object, or no click.
            measure: of the good run's target mask.
            level: of the good run's target mask, as for `of_kind`.

        Raises:
            KeyError, ValueError: as for `share`.
        """
        return self._share_of_good_run(name, "B", broken, measure, level)

    def noising(
        self,
        name: str,
        broken: Broken = "other object",
        measure: GoodMeasure = "margin",
        level: Level | None = None,
    ) -> Effect:
        """The share that a good run loses when one part is taken from the broken run.

        (good - noised) / (good - broken): 1 where nothing is left without the part, 0 where it is not needed.
        Arguments and errors as for `denoising`.
        """
        return self._share_of_good_run(name, "A", broken, measure, level)

    def _share_of_good_run(
        self, name: str, good: Literal["A", "B"], broken: Broken, measure: GoodMeasure, level: Level | None
    ) -> Effect:
        """`share`, measured at the good run's target mask; the other decode of the pair is the broken run."""
        as_choice("broken", broken, get_args(Broken))
        index = index_of("measure", measure, get_args(GoodMeasure))
        kinds: dict[str, PairKind] = {"A": "no click in B", "B": "no click in A"}
        measures: dict[str, tuple[PairMeasure, ...]] = {"A": ("iou_a", "margin_a"), "B": ("iou_b", "margin_b")}
        kind = "other object" if broken == "other object" else kinds[good]
        return self.share(name, kind=kind, measure=measures[good][index], level=level)

    def _bootstrap(self, rows: np.ndarray) -> SceneBootstrap:
        key = rows.tobytes()
        if key not in self._bootstraps:
            self._bootstraps[key] = SceneBootstrap([self.pairs[i].a.scene for i in rows])
        return self._bootstraps[key]


def load_pairs(path: Path | None = None, *, weights: Path | None = None) -> PairStatistics:
    """Read the results of the transplants. Arguments and errors as for `sam_edu.ablation.load`."""
    return PairStatistics(read(path, weights=weights))
