"""Statistics: the stored effects of all ablations, and the decoder's results at the held-out clicks.

    stats = ablation.load()
    stats.effect("transformer.final_attn_token_to_image head 3 mean")   # change in IoU, with a 95 % interval
    stats.effect("step (4) mean", "margin", level="part")               # of the margin, over parts alone
    stats.prompts.predicted                                             # the predicted IoU of each mask, (clicks, 4)

The file `tiny/statistics.npz` holds what `python -m tools.make_statistics` measured. It carries the SHA-256 of the
weights and is refused for others.

**Measures.** "best": IoU with the target mask, of the best of masks 1 to 3. "picked": IoU of the mask whose predicted
IoU is highest. Both at the full 256 x 256 pixels, threshold 0. "margin": the mean logit inside the target mask minus
the mean logit outside it, of the mask that is best in the unchanged decode; it is linear in the logits, where IoU
thresholds and saturates. "predicted": the predicted IoU of that same mask. For exact boxes all are those of mask 0.
**Interval.** 95 %, by bootstrap over the scenes (they are drawn again with replacement), as the clicks of one scene are
not independent.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from sam_edu.ablation.ablations import find, full_name
from sam_edu.ablation.changes import ATTENTIONS, TOKEN_TO_IMAGE
from sam_edu.ablation.prompts import Prompt
from sam_edu.argument_checks import as_choice, as_path
from sam_edu.arrays import as_numbers
from sam_edu.evaluation.intervals import SceneBootstrap
from sam_edu.sam import tiny_weights
from sam_edu.tracing import ReferenceRuns

MEASURES = ("best", "picked", "margin", "predicted")
Measure = Literal["best", "picked", "margin", "predicted"]

LEVELS = ("object", "part", "sub-part")
Level = Literal[0, 1, 2, "object", "part", "sub-part"]

PROMPTS = ("clicks", "boxes")
PromptKind = Literal["clicks", "boxes"]

TOLERANCE = 2e-3
"""How far a recomputed IoU may be from the stored one: half floats keep three digits, and rounding may turn a pixel."""

COMMAND = "python -m tools.make_statistics"


class Effect(NamedTuple):
    """A mean change against the unchanged model, its 95 % interval, and the number of clicks."""

    mean: float
    low: float
    high: float
    prompts: int

    @property
    def clear(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0

    @property
    def at_most(self) -> float:
        """The size of the largest effect that the interval does not exclude: larger ones, either way, are excluded.

        An effect that is not clear is not shown to be zero. What is shown is that it is at most this large. "No effect"
        may be said only where an effect of this size would not matter.
        """
        return max(abs(self.low), abs(self.high))


OF_CLICK = {"share": "inside", "distance": "away"}
"""What is measured of the click token's attention, and what its map is summed with at each position."""

NULLS = tuple(f"{name}_null{pool}" for name in OF_CLICK for pool in ("", "_of_map", "_same_scene"))
"""The arrays of the nulls by permuted clicks, see `sam_edu.ablation.attention_statistics`."""

Pool = Literal["other scenes", "same scene"]
"""Whose maps a null takes: those of all clicks of other scenes, or of clicks on another object of the same scene."""

# --- The held-out clicks with the decoder as it is ---


@dataclass(frozen=True, eq=False)
class FourMasks:
    """Masks 0 to 3 at one click each. Every IoU is at the image's full size, threshold 0.

    Attributes:
        predicted: the predicted IoU.
        iou: with the target mask.
        iou_any: with the best of the masks that are valid for this click, those that hold its pixel. The IoU head is
            trained to predict this.
        stability: pixels with a logit above 1 as a share of those above -1, as
            `segment_anything.utils.amg.calculate_stability_score` computes it with threshold 0 and offset 1; NaN where
            no logit is above -1.
    """

    predicted: Float[np.ndarray, "clicks 4"]
    iou: Float[np.ndarray, "clicks 4"]
    iou_any: Float[np.ndarray, "clicks 4"]
    stability: Float[np.ndarray, "clicks 4"]


@dataclass(frozen=True, eq=False, repr=False)
class HeldOutPrompts(FourMasks):
    """The held-out clicks and the results of the unchanged decoder: a row per click, in the order of `clicks`.

    As a sequence it is the clicks: `len(prompts)`, `prompts[12]`, `for prompt in prompts`. What has one number per
    click goes into `Statistics.interval`.

    Attributes:
        area: pixels of each mask, at the image's full size. (That of the target mask: `prompts[12].area`.)
        level: of the target mask: 0 object, 1 part, 2 sub-part.
        corrections: IoU with the target mask after 1 to 8 clicks; the logits before are given back as mask prompt, as
            `sam_edu.evaluation.scores` corrects. After the first click, the held-out one, it is the mask of 1 to 3
            whose predicted IoU is highest; after more it is mask 0. The next click goes into the error of that same
            mask: in row 0 to the error's deepest position, in row 1 to a random one. Where there is no error it goes
            onto the target mask.
        corrections_without: as row 0, but the logits are never given back: the prompt is the clicks alone. (They lie
            elsewhere from the third on, as the errors differ.)
        boxes_iou: of mask 0 with the target mask, for its exact tight box in place of the click.
        boxes_predicted: its predicted IoU.
        clicks: scene, position and target mask.
    """

    area: Int[np.ndarray, "clicks 4"]
    level: Int[np.ndarray, "clicks"]
    corrections: Float[np.ndarray, "2 clicks 8"]
    corrections_without: Float[np.ndarray, "clicks 8"]
    boxes_iou: Float[np.ndarray, "clicks"]
    boxes_predicted: Float[np.ndarray, "clicks"]
    clicks: tuple[Prompt, ...]

    def __len__(self) -> int:
        return len(self.clicks)

    def __getitem__(self, number: int) -> Prompt:
        return self.clicks[number]

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.clicks)

    def __repr__(self) -> str:
        scenes = len({prompt.scene for prompt in self.clicks})
        return f"<HeldOutPrompts: {len(self)} clicks on {scenes} held-out scenes>"


MEASURED = tuple(one.name for one in fields(HeldOutPrompts) if one.name not in ("level", "clicks"))
"""The arrays of `HeldOutPrompts` that are measured; in the file "prompts." stands before their names."""


def _read_prompts(data: Mapping[str, Any]) -> HeldOutPrompts:
    missing = [name for name in MEASURED if f"prompts.{name}" not in data]
    if missing:
        raise ValueError(f"the file lacks {', '.join(missing)}: {COMMAND} --only prompts measures them")
    clicks = tuple(Prompt(*map(int, row)) for row in data["prompts"])
    types: dict[str, type] = {"area": np.int64}
    arrays: dict[str, Any] = {
        name: np.asarray(data[f"prompts.{name}"], types.get(name, np.float64)) for name in MEASURED
    }
    return HeldOutPrompts(**arrays, level=np.array([prompt.level for prompt in clicks]), clicks=clicks)


# --- The effects of the ablations ---


class Statistics:
    """The measurements over the held-out clicks.

    Args:
        data: the arrays of the file, as `measuring`, `attention_statistics` and `held_out` of this package make them.

    Attributes:
        prompts: the clicks, in the order of every array's axis of that name, and the unchanged decoder's results.
        names: of all ablations that were measured.
        box_names: of those that were measured for exact boxes.
        means: the means over the held-out clicks that replaced what was ablated, by the names of tensors. Those with a
            row per image token are means over all positions.
        weights: SHA-256 of the weights that were measured.

    Raises:
        ValueError: something was not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        _check_is_new(data)
        self.weights = str(data["weights"])
        self._definitions: dict[str, dict[str, str]] = {
            kind: json.loads(str(data[f"{kind}.definitions"])) for kind in PROMPTS
        }
        self.names, self.box_names = (tuple(self._definitions[kind]) for kind in PROMPTS)
        self.prompts = _read_prompts(data)
        self._bootstraps: dict[int | None, SceneBootstrap] = {}
        # (prompts, measures), and (ablations, prompts, measures)
        self._unchanged = {kind: np.asarray(data[f"{kind}.unchanged"], np.float64) for kind in PROMPTS}
        self._changes = {kind: np.asarray(data[f"{kind}.changes"], np.float64) for kind in PROMPTS}
        attention = ("entropy", *OF_CLICK, *(name for name in NULLS if name in data))
        self._data = {name: np.asarray(data[name], np.float64) for name in attention}
        means = {name.removeprefix("means."): data[name] for name in data if name.startswith("means.")}
        self.means = ReferenceRuns(
            {}, {name: torch.from_numpy(mean.astype(np.float32)) for name, mean in means.items()}, len(self.prompts)
        )

    def __repr__(self) -> str:
        scenes = len({prompt.scene for prompt in self.prompts})
        return f"<Statistics: {len(self.names)} ablations, {len(self.prompts)} clicks on {scenes} held-out scenes>"

    def baseline(
        self, measure: Measure = "best", level: Level | None = None, prompts: PromptKind = "clicks"
    ) -> np.ndarray:
        """A measure at every prompt with the unchanged model, (prompts,). Arguments and errors as for `scores`."""
        index_of("prompts", prompts, PROMPTS)
        return self._unchanged[prompts][self._of(level), column(measure)]

    def scores(
        self, name: str, measure: Measure = "best", level: Level | None = None, prompts: PromptKind = "clicks"
    ) -> np.ndarray:
        """A measure at every prompt under an ablation, (prompts,).

        Args:
            name: one of `ABLATIONS`, or a short name.
            measure: one of `MEASURES`.
            level: only where the target mask is of this level: "object", "part" or "sub-part", or 0, 1, 2.
            prompts: "clicks", or "boxes", the exact box in each click's place (`box_names` are measured).

        Raises:
            KeyError: no such name.
            ValueError: it was not measured, or its definition has changed since; or another measure, level or prompt.
        """
        return self.baseline(measure, level, prompts) + self.changes(name, measure, level, prompts)

    def changes(
        self, name: str, measure: Measure = "best", level: Level | None = None, prompts: PromptKind = "clicks"
    ) -> np.ndarray:
        """What an ablation changes at every prompt, (prompts,). Arguments and errors as for `scores`."""
        index_of("prompts", prompts, PROMPTS)
        name, known = full_name(name), self._definitions[prompts]
        if find(name).definition != known.get(name):
            state = "is new or has changed since" if name in known else f"was not measured for {prompts}"
            raise ValueError(f"{name!r} {state}: measure it with {COMMAND}")
        return self._changes[prompts][list(known).index(name), self._of(level), column(measure)]

    def effect(
        self, name: str, measure: Measure = "best", level: Level | None = None, prompts: PromptKind = "clicks"
    ) -> Effect:
        """The mean change under an ablation, with its interval. Arguments and errors as for `scores`."""
        return self.interval(self.changes(name, measure, level, prompts), level)

    def interval(self, values: np.ndarray, level: Level | None = None) -> Effect:
        """The mean of anything measured at each click, (prompts,), with its interval.

        Args:
            values: one per click, or one per click of a level.
            level: as for `scores`.

        Raises:
            TypeError: other than numbers.
            ValueError: other than one value per click, or another level.
        """
        values = as_numbers("values", values).astype(np.float64)
        chosen = self._of(level)
        wanted = len(self.prompts) if level is None else int(chosen.sum())
        if np.shape(values) != (wanted,):
            raise ValueError(f"values: expected {wanted}, one per click, got shape {np.shape(values)}")
        return Effect(*self._bootstrap(None if level is None else level_number(level)).interval(values), len(values))

    def entropy(self, attention: str) -> np.ndarray:
        """The entropy of each head's weights as a share of the largest possible, mean over queries, (prompts, heads).

        0 where one key gets all the weight; 1 where all keys get the same.

        Args:
            attention: one of `ATTENTIONS`.

        Raises:
            ValueError: another name.
        """
        return self._data["entropy"][:, index_of("attention", attention, ATTENTIONS)]

    def distance(self, attention: str) -> np.ndarray:
        """The mean distance from the click of the click token's attention, (prompts, heads + 1), in pixels.

        The distance of each position from the click, times its weight, summed. The last column is a head with uniform
        weights.

        Args:
            attention: one of `TOKEN_TO_IMAGE`.

        Raises:
            ValueError: another name.
        """
        return self._data["distance"][:, index_of("attention", attention, TOKEN_TO_IMAGE)]

    def share(self, attention: str) -> np.ndarray:
        """The share of the click token's attention that lies on the target mask, (prompts, heads + 1).

        The last column is the mask's share of the image. Argument and errors as for `distance`.
        """
        return self._data["share"][:, index_of("attention", attention, TOKEN_TO_IMAGE)]

    def share_null(self, attention: str, pool: Pool = "other scenes") -> np.ndarray:
        """The share on each click's target of the attention maps of other clicks, their mean, (prompts, heads).

        Question: would the share be as large if the head did not depend on the click? It prevents that a head which
        attends to the middle of every image, where objects are, is said to attend to the clicked object; and, with the
        same scene, that a head is said so which attends to all objects of the image.

        Args:
            attention: one of `TOKEN_TO_IMAGE`.
            pool: whose maps. "other scenes": of all clicks of other scenes. "same scene": of the clicks on another
                object of the same scene, so that the image is the same too; NaN at clicks without such another one.

        Raises:
            ValueError: another name, or the file does not hold the nulls.
        """
        return self._null("share", attention, pool)

    def distance_null(self, attention: str, pool: Pool = "other scenes") -> np.ndarray:
        """The mean distance from each click of the attention maps of other clicks, (prompts, heads), in pixels.

        Arguments and errors as for `share_null`.
        """
        return self._null("distance", attention, pool)

    def share_above_null(self, attention: str, pool: Pool = "other scenes") -> tuple[Effect, ...]:
        """By head the mean share on the target less its null, with its interval.

        The interval draws the scenes. With the pool "other scenes" a scene that is drawn brings its targets and its
        maps, and both move the null; an interval of `share - share_null` alone would be too narrow, as it takes the
        null's maps as given. To first order the null's mean changes by the sum of both parts (Hajek's projection of a
        mean over pairs), so the interval is that of share - null of the click - (null of the map - its mean). With
        "same scene" all of it lies within a scene, and clicks without another object are left out.

        Arguments and errors as for `share_null`.
        """
        return self._above_null("share", attention, pool)

    def distance_above_null(self, attention: str, pool: Pool = "other scenes") -> tuple[Effect, ...]:
        """By head the mean distance from the click less its null, in pixels: below zero is nearer than by chance.

        Interval, arguments and errors as for `share_above_null`.
        """
        return self._above_null("distance", attention, pool)

    def _null(self, name: str, attention: str, pool: str) -> np.ndarray:
        chosen = index_of("attention", attention, TOKEN_TO_IMAGE)
        return self._nulls(name, ("", "_same_scene")[index_of("pool", pool, get_args(Pool))])[:, chosen]

    def _nulls(self, name: str, part: str) -> np.ndarray:
        """(prompts, attentions, heads)."""
        if f"{name}_null{part}" not in self._data:
            raise ValueError(f"the file lacks {name}_null{part}: {COMMAND} --only attention measures it")
        return self._data[f"{name}_null{part}"]

    def _above_null(self, name: str, attention: str, pool: Pool) -> tuple[Effect, ...]:
        null, number = self._null(name, attention, pool), index_of("attention", attention, TOKEN_TO_IMAGE)
        above = self._data[name][:, number, :-1] - null
        if pool == "other scenes":
            of_map = self._nulls(name, "_of_map")[:, number]
            above = above - (of_map - of_map.mean(axis=0))
        paired = np.isfinite(above).all(axis=1)
        scenes = [prompt.scene for prompt, one in zip(self.prompts, paired, strict=True) if one]
        if not scenes:
            raise ValueError(f"pool: expected clicks with another one in {pool}, got none")
        bootstrap = SceneBootstrap(scenes)
        return tuple(Effect(*bootstrap.interval(head), len(scenes)) for head in above[paired].T)

    def _of(self, level: Level | None) -> Any:
        """The clicks of a level, as a mask; all of them where there is none."""
        return slice(None) if level is None else self.prompts.level == level_number(level)

    def _bootstrap(self, level: int | None) -> SceneBootstrap:
        if level not in self._bootstraps:
            scenes = [prompt.scene for prompt in self.prompts if level in (None, prompt.level)]
            self._bootstraps[level] = SceneBootstrap(scenes)
        return self._bootstraps[level]


def level_number(level: Level) -> int:
    """The number of a level.

    Raises:
        ValueError: no such level.
    """
    known = (*range(len(LEVELS)), *LEVELS)
    if isinstance(level, bool) or level not in known:
        raise ValueError(f"level: expected one of {', '.join(map(str, known))}, got {level!r}")
    return known.index(level) % len(LEVELS)


def column(measure: str) -> int:
    """The number of a measure's column in the scores.

    Raises:
        ValueError: another name.
    """
    return index_of("measure", measure, MEASURES)


def index_of(argument: str, name: str, names: Sequence[str]) -> int:
    """Which of the names it is, counted from 0.

    Args:
        argument: the argument's name, for the message.
        name: the chosen one.
        names: all of them.

    Raises:
        TypeError: no text.
        ValueError: another name.
    """
    return names.index(as_choice(argument, name, names))


# --- The file ---


def _check_is_new(data: Mapping[str, Any]) -> None:
    """Refuse a file that an earlier version made."""
    missing = [f"{kind}.{part}" for kind in PROMPTS for part in ("definitions", "unchanged", "changes")]
    missing = [name for name in missing if name not in data]
    if missing:
        raise ValueError(
            f"the statistics lack {', '.join(missing)}: an earlier version of the package made them, without the mean"
            f" over held-out clicks, the margin or boxes; {COMMAND} makes them anew"
        )


def stored_at() -> Path:
    """Where the package keeps the statistics."""
    return Path(str(files("sam_edu") / "tiny" / "statistics.npz"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(path: Path | None = None, *, weights: Path | None = None) -> Statistics:
    """Read the statistics.

    Args:
        path: the file; that of the package by default.
        weights: the weights that it has to belong to; those of the package by default.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it belongs to other weights, or lacks something.
    """
    return Statistics(read(path, weights=weights))


def read(path: Path | None = None, *, weights: Path | None = None) -> dict[str, np.ndarray]:
    """The file's arrays. Arguments and errors as for `load`; the arrays of `HeldOutPrompts` may be missing."""
    path = stored_at() if path is None else as_path("path", path)
    weights = tiny_weights() if weights is None else as_path("weights", weights)
    data = arrays(path)
    stamp, wanted = str(data["weights"]), sha256(weights)
    if stamp != wanted:
        raise ValueError(
            f"{path.name} was measured on other weights (SHA-256 {stamp[:12]}...) than {weights.name} "
            f"({wanted[:12]}...); {COMMAND} measures these"
        )
    _check_is_new(data)
    return data


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The file's arrays, of whatever weights.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {COMMAND} makes it")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
