"""What each part of the trained decoder is worth, over many held-out clicks: read from a file, recomputed on request.

    from sam_edu import ablation

    stats = ablation.load()
    stats.effect("transformer.final_attn_token_to_image head 3 zero")   # change in IoU, with a 95 % interval
    stats.prompts.predicted                                             # what the IoU head said, (clicks, 4)
    with ablation.ablated(model, "transformer.layers.1.mlp off"):
        predictor.predict(...)                                          # the same, on your own picture

`ABLATIONS` lists everything that is switched off, one thing at a time. `HeldOutPrompts` lists what was measured with
everything on: all four masks, corrective clicks, boxes. The file `tiny/statistics.npz` holds what
`python -m tools.make_statistics` measured, stamped with the SHA-256 of the weights. `recompute` and `prompts_again`
measure some of it anew.

**Prompts.** One random click on a mask of each level (object, part, sub-part) of scenes of the test stream, numbers
`FIRST_SCENE` and up: neither training nor the published scores used them. **Measures.** "best": the IoU with the mask
that was meant, of the best of masks 1 to 3. "picked": the IoU of the mask whose predicted IoU is highest. Both at the
full 256 x 256 pixels, threshold 0. **Interval.** 95 %, by drawing the scenes again with replacement, as the clicks of
one scene belong together.

**What "off" means.** *zero*: zeros in place of the head's output, before `out_proj`. *mean*: in place of it its mean
over all queries of this one decode (so every token, or every place, gets the same vector); what the head tells all
alike stays, what it tells them apart is lost. This is "mean" of `sam_edu.intervene` for one prompt set. *off*, of a
step: what it would add is left out, bias included; what was there goes through the step's LayerNorm alone. Step (1) of
block 0 adds to nothing, its result replaces the tokens; there *off* lets the tokens pass as they are, and "out zero"
replaces them by zeros, so that all tokens become the same. *off*, of a block: tokens and image tokens leave it as they
came.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from sam_edu.modules import Attention, MaskDecoder
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, tiny_weights
from sam_edu.scenes.prompts import masks_at, random_click
from sam_edu.scenes.scene import Scene, draw_scene
from sam_edu.tracing import How, Select, intervene

DEPTH, HEADS, HIDDEN = 2, 8, 2048
"""Blocks, heads of each attention, and hidden units of each block's MLP, in SAM's decoder."""

TOKEN_TO_IMAGE = (
    "transformer.layers.0.cross_attn_token_to_image",
    "transformer.layers.1.cross_attn_token_to_image",
    "transformer.final_attn_token_to_image",
)
"""The attentions in which tokens read the image, steps (2), (2) and (6-1)."""

ATTENTIONS = (
    *(
        f"transformer.layers.{i}.{name}"
        for i in range(DEPTH)
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    ),
    "transformer.final_attn_token_to_image",
)
"""All seven, in the order of computation."""

TEST_STREAM, FIRST_SCENE = 3, 1000
"""First numbers of the seeds of the held-out scenes: the stream of the test scenes, behind those of the scores."""

MEASURES = ("best", "picked")
Measure = Literal["best", "picked"]

TOLERANCE = 2e-3
"""How far a recomputed IoU may be from the stored one: half floats keep 0.0003, and rounding may turn a pixel."""

STABILITY_OFFSET = 1.0
"""How far above and below threshold 0 the stability score looks, as Meta's `SamAutomaticMaskGenerator` does."""

CLICKS = 8
"""With how many clicks the corrections end."""

COMMAND = "python -m tools.make_statistics"


class Change(NamedTuple):
    """One argument list of `sam_edu.intervene`: a tensor's name in a trace, what stands in for it, and where."""

    point: str
    how: How
    select: Mapping[str, Select] = {}


@dataclass(frozen=True)
class Ablation:
    """Something to switch off.

    Attributes:
        what: a sentence, for people; and part of the switch's identity, so change it where the changes change.
        changes: what to replace; or a function that says so for a decoder, where that depends on its weights, or where
            what passes one point is needed at another.
    """

    what: str
    changes: tuple[Change, ...] | Callable[[MaskDecoder], Sequence[Change]] = field(repr=False)

    def of(self, decoder: MaskDecoder) -> Sequence[Change]:
        """The changes, made anew for one use."""
        return self.changes(decoder) if callable(self.changes) else self.changes

    @property
    def definition(self) -> str:
        """What the stored numbers belong to."""
        if callable(self.changes):
            return self.what
        how = [c.how if isinstance(c.how, str) else getattr(c.how, "__name__", "a tensor") for c in self.changes]
        parts = [f"{c.point} {word} {_short(c.select)}" for c, word in zip(self.changes, how, strict=True)]
        return f"{self.what} [{'; '.join(parts)}]"


def _short(select: Mapping[str, Select]) -> str:
    text = repr(sorted(select.items()))
    return text if len(text) < 80 else hashlib.sha256(text.encode()).hexdigest()[:16]


class _Memory(dict[str, Tensor]):
    """What passed some points, for use at later ones."""

    def keep(self, point: str) -> Change:
        """Remember what passes a point, and leave it as it is."""

        def remember(x: Tensor) -> Tensor:
            self[point] = x
            return x

        return Change(point, remember)


_ZERO_AND_MEAN: tuple[Literal["zero", "mean"], ...] = ("zero", "mean")


def _heads_off() -> dict[str, Ablation]:
    """Each head of each attention, by zero and by its mean; and all heads of an attention at once."""
    found = {}
    for attention in ATTENTIONS:
        for head in range(HEADS):
            for how in _ZERO_AND_MEAN:
                change = Change(f"{attention}.heads", how, {"heads": head})
                found[f"{attention} head {head} {how}"] = Ablation(f"a head's output replaced by its {how}", (change,))
    for attention in ATTENTIONS:
        for how in _ZERO_AND_MEAN:
            what = f"the outputs of all heads replaced by their {how}; the bias of out_proj stays"
            found[f"{attention} all heads {how}"] = Ablation(what, (Change(f"{attention}.heads", how),))
    return found


def _steps_off() -> dict[str, Ablation]:
    """Each step, each block; and two other ways to treat step (1) of block 0."""
    first = ATTENTIONS[0]
    found = {
        f"{first} off": Ablation("the tokens pass step (1) of block 0 as they are", partial(_first_step, off=True))
    }
    for attention in ATTENTIONS[1:]:
        found[f"{attention} off"] = Ablation("an attention adds nothing", (Change(f"{attention}.out", "zero"),))
    for i in range(DEPTH):
        found[f"transformer.layers.{i}.mlp off"] = Ablation("the MLP adds nothing", partial(_mlp_off, number=i))
        found[f"transformer.layers.{i} off"] = Ablation(
            "tokens and image leave as they came", partial(_block_off, number=i)
        )
    found[f"{first} out zero"] = Ablation("zeros replace the tokens in step (1)", (Change(f"{first}.out", "zero"),))
    found[f"{first} with residual"] = Ablation("the residual that step (1) of block 0 lacks is put in", _first_step)
    return found


def _first_step(decoder: MaskDecoder, off: bool = False) -> list[Change]:
    memory = _Memory()
    return [memory.keep("tokens"), Change(f"{ATTENTIONS[0]}.out", lambda x: memory["tokens"] + (0 if off else x))]


def _mlp_off(decoder: MaskDecoder, number: int) -> list[Change]:
    memory, block = _Memory(), f"transformer.layers.{number}"
    norm = decoder.transformer.layers[number].norm3  # type: ignore[union-attr, index]
    return [
        memory.keep(f"{block}.queries_2"),
        Change(f"{block}.queries_3", lambda x: norm(memory[f"{block}.queries_2"])),
    ]


def _block_off(decoder: MaskDecoder, number: int) -> list[Change]:
    memory, block = _Memory(), f"transformer.layers.{number}"
    before = f"transformer.layers.{number - 1}"
    tokens, image = ("tokens", "src") if number == 0 else (f"{before}.queries_3", f"{before}.keys_4")

    def as_it_came(x: Tensor) -> Tensor:
        return memory[image].flatten(2).transpose(1, 2) if number == 0 else memory[image]

    return [
        memory.keep(tokens),
        memory.keep(image),
        Change(f"{block}.queries_3", lambda x: memory[tokens]),
        Change(f"{block}.keys_4", as_it_came),
    ]


def _units_off() -> dict[str, Ablation]:
    """Hidden units of the MLPs: the first ones of a fixed random order, so that the tenth is part of the half."""
    order = [int(i) for i in np.random.default_rng(0).permutation(HIDDEN)]
    found = {}
    for i in range(DEPTH):
        for share, name in ((0.1, "a tenth"), (0.5, "half"), (1.0, "all")):
            chosen = order[: round(share * HIDDEN)]
            change = Change(f"transformer.layers.{i}.mlp.hidden", "zero", {"mlp_dim": chosen})
            what = "hidden units of the MLP, drawn at random, are zero; the second layer's bias stays"
            found[f"transformer.layers.{i}.mlp {name} of the units zero"] = Ablation(what, (change,))
    return found


def _both_mlps() -> dict[str, Ablation]:
    """Hidden units of both MLPs at once: by lot as above, the strongest of this very decode, or every one."""
    order = [int(i) for i in np.random.default_rng(0).permutation(HIDDEN)]
    points = [f"transformer.layers.{i}.mlp.hidden" for i in range(DEPTH)]
    found = {}
    for share, name in ((0.1, "a tenth"), (0.5, "half")):
        count = round(share * HIDDEN)
        by_lot = tuple(Change(point, "zero", {"mlp_dim": order[:count]}) for point in points)
        found[f"mlps random {name} zero"] = Ablation("hidden units of both MLPs, drawn at random, are zero", by_lot)
        what = f"of both MLPs, the {count} hidden units that add most to this decode's tokens are zero"
        found[f"mlps strongest {name} zero"] = Ablation(what, partial(_strongest_off, count=count))
    for how in ("zero", "mean"):
        every = tuple(Change(point, how) for point in points)
        found[f"mlps every unit {how}"] = Ablation(f"all hidden units of both MLPs are replaced by their {how}", every)
    return found


def _strongest_off(decoder: MaskDecoder, count: int) -> list[Change]:
    return [
        Change(
            f"transformer.layers.{i}.mlp.hidden",
            partial(_without_strongest, count, decoder.get_parameter(f"transformer.layers.{i}.mlp.lin2.weight")),
        )
        for i in range(DEPTH)
    ]


def _without_strongest(count: int, weight: Tensor, hidden: Tensor) -> Tensor:
    size = hidden.sum(dim=1) * weight.norm(dim=0)  # (batch, units): the lengths of what a unit adds, over all tokens
    hidden.scatter_(2, size.topk(count).indices[:, None].expand(-1, hidden.shape[1], -1), 0.0)  # a copy: intervene's
    return hidden


def _codes_off() -> dict[str, Ablation]:
    """Positional codes: all attentions but step (1) of block 0 add them anew to what queries and keys are made from."""
    what = "the positional codes are not added again in any cross-attention"
    return {
        "positional codes of the image off": Ablation(
            f"{what}: those of the image", partial(_no_codes, kinds=("pos_src",))
        ),
        "positional codes of the tokens off": Ablation(
            f"{what}: those of the tokens", partial(_no_codes, kinds=("tokens",))
        ),
        "positional codes off": Ablation(what, partial(_no_codes, kinds=("tokens", "pos_src"))),
    }


def _no_codes(decoder: MaskDecoder, kinds: tuple[str, ...]) -> list[Change]:
    memory = _Memory()
    changes = [memory.keep(kind) for kind in kinds]
    for name in ATTENTIONS:
        if "self_attn" in name:
            continue
        attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
        for side in ("q", "k"):
            # In step (4) the image asks, elsewhere the tokens do.
            kind = "pos_src" if (side == "q") == ("image_to_token" in name) else "tokens"
            if kind in kinds:
                subtract = partial(_minus_code, memory, kind, attention, side)
                changes.append(Change(f"{name}.{side}", subtract))
    return changes


def _minus_code(memory: _Memory, kind: str, attention: Attention, side: str, x: Tensor) -> Tensor:
    """Projected queries or keys without the projected code: W (x + code) + b - W code = W x + b."""
    code = memory[kind] if kind == "tokens" else memory[kind].flatten(2).transpose(1, 2)
    weight = attention.get_parameter(f"{side}_proj.weight")
    return x - F.linear(code, weight).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def _looks_shared() -> dict[str, Ablation]:
    """The four mask tokens look at the image with one and the same weights, their mean, head by head."""
    what = "all mask tokens get the mean of their weights"
    each = {name: Change(f"{name}.weights", _mean_of_masks) for name in TOKEN_TO_IMAGE}
    found = {f"{name} mask tokens look alike": Ablation(what, (change,)) for name, change in each.items()}
    found["mask tokens look alike"] = Ablation(f"{what}, in all three attentions", tuple(each.values()))
    return found


def _mean_of_masks(weights: Tensor) -> Tensor:
    weights[:, :, 1:5] = weights[:, :, 1:5].mean(dim=2, keepdim=True)  # a copy: intervene's
    return weights


def _prompt_unheard() -> dict[str, Ablation]:
    """Nobody reads the prompt's tokens: in step (1), by which the output tokens hear it; in (4), the image; in both."""
    found = {}
    for name, ends in {"(1)": ("self_attn",), "(4)": ("image_to_token",), "": ("self_attn", "image_to_token")}.items():
        changes = tuple(Change(f"{one}.scores", _prompt_out) for one in ATTENTIONS if one.endswith(ends))
        found[f"prompt unheard in {name}" if name else "prompt unheard"] = Ablation(
            "nobody reads the prompt's tokens", changes
        )
    return found


def _prompt_out(scores: Tensor) -> Tensor:
    scores[..., 5:] = -torch.inf  # five output tokens come first; a copy: intervene's
    return scores


def _padding() -> dict[str, Ablation]:
    """Another number of padding tokens: n equal ones are one whose exp(score) counts n times, as they stay equal."""
    found = {}
    for number, name in ((0, "no padding token"), (2, "one padding token more"), (5, "five padding tokens")):
        count = partial(_count_padding, number)
        ends = ("self_attn", "image_to_token")  # whoever reads the tokens
        changes = tuple(Change(f"{one}.scores", count) for one in ATTENTIONS if one.endswith(ends))
        found[name] = Ablation(f"{number} padding tokens in place of one", changes)
    return found


def _count_padding(number: int, scores: Tensor) -> Tensor:
    scores[..., 6] += np.log(number) if number else -torch.inf  # after five output tokens and a click; a copy
    return scores


def _block_otherwise() -> dict[str, Ablation]:
    """What notebook 04 does to the two-way block: a step left out with its norm, codes in the values."""
    found = {
        f"step ({step}) removed": Ablation(
            f"step ({step}) is left out of both blocks, its norm too", partial(_step_removed, step=step)
        )
        for step in (1, 2, 3, 4)
    }
    what = "the positional codes are added to what the values are made from too, in both blocks"
    return {**found, "positional codes in the values": Ablation(what, _codes_in_values)}


def _step_removed(decoder: MaskDecoder, step: int) -> list[Change]:
    memory, changes = _Memory(), []
    tokens, image = "tokens", "src"
    for i in range(DEPTH):
        block = f"transformer.layers.{i}"
        was = {1: tokens, 2: f"{block}.queries_1", 3: f"{block}.queries_2", 4: image}[step]
        here = f"{block}.keys_4" if step == 4 else f"{block}.queries_{step}"
        changes += [memory.keep(was), Change(here, partial(_as_before, memory, was))]
        tokens, image = f"{block}.queries_3", f"{block}.keys_4"
    return changes


def _as_before(memory: _Memory, name: str, x: Tensor) -> Tensor:
    """What passed an earlier point; a picture as a row of image tokens."""
    return memory[name].flatten(2).transpose(1, 2) if name == "src" else memory[name]


def _codes_in_values(decoder: MaskDecoder) -> list[Change]:
    memory = _Memory()
    changes = [memory.keep("tokens"), memory.keep("pos_src")]
    for name in ATTENTIONS[1:-1]:  # all of both blocks but the first, which has no codes
        attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
        kind = "pos_src" if "token_to_image" in name else "tokens"
        changes.append(Change(f"{name}.v", partial(_plus_code, memory, kind, attention)))
    return changes


def _plus_code(memory: _Memory, kind: str, attention: Attention, x: Tensor) -> Tensor:
    """Projected values with the projected code: W x + b + W code = W (x + code) + b."""
    return 2 * x - _minus_code(memory, kind, attention, "v", x)


ABLATIONS: dict[str, Ablation] = {
    **_heads_off(),
    **_steps_off(),
    **_units_off(),
    **_both_mlps(),
    **_codes_off(),
    **_looks_shared(),
    **_prompt_unheard(),
    **_padding(),
    **_block_otherwise(),
}
"""Everything that is switched off, by its name. After a change here: `python -m tools.make_statistics`."""


@contextmanager
def ablated(model: Sam | MaskDecoder | Predictor, name: str) -> Iterator[None]:
    """Ablation something of the list off while the block lasts, as `sam_edu.intervene` does.

    Args:
        model: a whole model, its decoder or its predictor.
        name: one of `ABLATIONS`.

    Raises:
        KeyError: no such name.
    """
    whole = model.model if isinstance(model, Predictor) else model
    decoder = whole.mask_decoder if isinstance(whole, Sam) else whole
    with ExitStack() as stack:
        for change in _switch(name).of(decoder):
            stack.enter_context(intervene(model, change.point, change.how, **change.select))
        yield


def _switch(name: str) -> Ablation:
    if name not in ABLATIONS:
        close = [other for other in ABLATIONS if name in other or other in name]
        raise KeyError(f"{name!r}: no switch of that name{'; there is ' + ', '.join(close[:3]) if close else ''}")
    return ABLATIONS[name]


class Prompt(NamedTuple):
    """A held-out click.

    Attributes:
        scene: number of its scene in the stream.
        mask: number of the mask that is meant, in the scene.
        level: 0 object, 1 part, 2 sub-part.
        x, y: where the click is, in pixels.
        area: of the mask, in pixels.
    """

    scene: int
    mask: int
    level: int
    x: int
    y: int
    area: int


def prompts_of(number: int) -> tuple[np.ndarray, np.ndarray, list[Prompt]]:
    """A held-out scene's picture (256, 256, 3), its masks, and a random click on a mask of each level that it has."""
    scene, prompts = scene_and_prompts(number)
    return scene.image, scene.masks, prompts


def scene_and_prompts(number: int) -> tuple[Scene, list[Prompt]]:
    """A held-out scene as it was drawn, and the same clicks."""
    scene = draw_scene((TEST_STREAM, number))
    rng = np.random.default_rng((TEST_STREAM, number, 1))
    prompts = []
    for level in np.unique(scene.level):
        mask = int(rng.choice(np.flatnonzero(scene.level == level)))
        x, y = random_click(scene.masks[mask], rng)
        prompts.append(Prompt(number, mask, int(level), int(x), int(y), int(scene.masks[mask].sum())))
    return scene, prompts


@dataclass(frozen=True, eq=False)
class FourMasks:
    """Masks 0 to 3 at one click each. Every IoU is at the picture's full size, threshold 0.

    Attributes:
        predicted: the IoU head's prediction.
        iou: with the mask that is meant.
        iou_any: with the best of the masks that are right for this click, those that hold its pixel: the head is
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
    """The held-out clicks, and what the decoder as it is makes of each: a row per click, in the order of `clicks`.

    As a sequence it is the clicks: `len(prompts)`, `prompts[12]`, `for prompt in prompts`. What has one number per
    click goes into `Statistics.interval`.

    Attributes:
        area: pixels of each mask, at the picture's full size. (That of the mask that is meant: `prompts[12].area`.)
        level: of the mask that is meant: 0 object, 1 part, 2 sub-part.
        corrections: IoU with the mask that is meant after 1 to 8 clicks, the logits before given back as mask prompt,
            as `sam_edu.evaluation.scores` corrects. After the first click, the held-out one, it is the mask of 1 to 3
            whose predicted IoU is highest; after more it is mask 0. The next click goes into the error of that same
            mask: in row 0 to the error's deepest place, in row 1 to a random one. Where there is no error it goes onto
            the mask that is meant.
        corrections_without: as row 0, but the logits are never given back: the model is told the clicks alone. (They
            lie elsewhere from the third on, as the errors differ.)
        boxes_iou: of mask 0 with the mask that is meant, for its exact tight box in place of the click.
        boxes_predicted: the IoU head's prediction for it.
        clicks: scene, place and mask that is meant.
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
    lacking = [name for name in MEASURED if f"prompts.{name}" not in data]
    if lacking:
        raise ValueError(f"the file lacks {', '.join(lacking)}: {COMMAND} --only prompts measures them")
    clicks = tuple(Prompt(*map(int, row)) for row in data["prompts"])
    types: dict[str, type] = {"area": np.int64}
    arrays: dict[str, Any] = {
        name: np.asarray(data[f"prompts.{name}"], types.get(name, np.float64)) for name in MEASURED
    }
    return HeldOutPrompts(**arrays, level=np.array([prompt.level for prompt in clicks]), clicks=clicks)


class Effect(NamedTuple):
    """A change in mean IoU against the model as it is, its 95 % interval, and over how many clicks."""

    mean: float
    low: float
    high: float
    prompts: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


class Statistics:
    """What was measured over the held-out clicks.

    Args:
        data: the arrays of the file, as `sam_edu.ablation.measuring` and `sam_edu.ablation.held_out` make them.

    Attributes:
        prompts: the clicks, in the order of every array's axis of that name, and what the decoder makes of each.
        names: of all switches that were measured.
        definitions: by name what each was when it was measured.
        weights: SHA-256 of the weights that were measured.

    Raises:
        ValueError: something was not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.weights = str(data["weights"])
        self.definitions: dict[str, str] = json.loads(str(data["definitions"]))
        self.names = tuple(self.definitions)
        self.prompts = _read_prompts(data)
        self._scores = np.asarray(data["scores"], np.float64)  # (1 + switches, prompts, measures): first as it is
        self._data = {name: np.asarray(data[name], np.float64) for name in ("entropy", "distance", "share")}

    def __repr__(self) -> str:
        scenes = len({prompt.scene for prompt in self.prompts})
        return f"<Statistics: {len(self.names)} switches, {len(self.prompts)} clicks on {scenes} held-out scenes>"

    def baseline(self, measure: Measure = "best") -> np.ndarray:
        """The IoU of every click with the model as it is, (prompts,)."""
        return self._scores[0, :, _column(measure)]

    def scores(self, name: str, measure: Measure = "best") -> np.ndarray:
        """The IoU of every click with something switched off, (prompts,).

        Args:
            name: one of `ABLATIONS`.
            measure: "best" or "picked".

        Raises:
            KeyError: no such name.
            ValueError: it was not measured, or was something else when it was; or another measure.
        """
        if _switch(name).definition != self.definitions.get(name):
            state = "is new or has changed since" if name in self.definitions else "was not measured"
            raise ValueError(f"{name!r} {state}: measure it with {COMMAND}")
        return self._scores[1 + self.names.index(name), :, _column(measure)]

    def effect(self, name: str, measure: Measure = "best") -> Effect:
        """The mean change in IoU, with its interval. Arguments and errors as for `scores`."""
        return self.interval(self.scores(name, measure) - self.baseline(measure))

    def interval(self, values: np.ndarray) -> Effect:
        """The mean of anything measured at each click, (prompts,), with its interval.

        Raises:
            ValueError: other than one value per click.
        """
        if np.shape(values) != (len(self.prompts),):
            raise ValueError(f"values: expected {len(self.prompts)}, one per click, got shape {np.shape(values)}")
        belongs, draws = self._draws
        means = (draws @ (belongs @ values)) / (draws @ belongs.sum(axis=1))
        low, high = np.percentile(means, [2.5, 97.5])
        return Effect(float(values.mean()), float(low), float(high), len(values))

    def entropy(self, attention: str) -> np.ndarray:
        """How even the weights of each head are, mean over the queries, (prompts, heads).

        0 where one key gets all; 1 where all keys get the same: entropy as a share of the largest possible.

        Args:
            attention: one of `ATTENTIONS`.

        Raises:
            ValueError: another name.
        """
        return self._data["entropy"][:, _place(attention, ATTENTIONS)]

    def distance(self, attention: str) -> np.ndarray:
        """How far from the click the click's token looks, (prompts, heads + 1), in pixels; last: a head that looks
        everywhere alike.

        The mean distance of its weight: each place's distance times its weight, summed.

        Args:
            attention: one of `TOKEN_TO_IMAGE`.

        Raises:
            ValueError: another name.
        """
        return self._data["distance"][:, _place(attention, TOKEN_TO_IMAGE)]

    def share(self, attention: str) -> np.ndarray:
        """How much of the click's token's weight lies on the mask that is meant, (prompts, heads + 1), and last the
        mask's share of the picture. Argument and errors as for `distance`."""
        return self._data["share"][:, _place(attention, TOKEN_TO_IMAGE)]

    @cached_property
    def _draws(self) -> tuple[np.ndarray, np.ndarray]:
        """(scenes, prompts) which click belongs to which scene, and (draws, scenes) how often each scene is drawn."""
        scenes = np.array([prompt.scene for prompt in self.prompts])
        belongs = (np.unique(scenes)[:, None] == scenes).astype(float)
        many = len(belongs)
        return belongs, np.random.default_rng(0).multinomial(many, np.full(many, 1 / many), size=2000).astype(float)


def _column(measure: str) -> int:
    return _place(measure, MEASURES)


def _place(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ValueError(f"expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)


def stored_at() -> Path:
    """Where the package keeps the statistics."""
    return Path(str(files("sam_edu") / "tiny" / "statistics.npz"))


def sha256(path: Path) -> str:
    """The hash of a file."""
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
    """The file's arrays. Arguments and errors as for `load`, but nothing has to be there but the stamp."""
    path, weights = path or stored_at(), weights or tiny_weights()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {COMMAND} makes it")
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    stamp, wanted = str(data["weights"]), sha256(weights)
    if stamp != wanted:
        raise ValueError(
            f"{path.name} was measured on other weights (SHA-256 {stamp[:12]}...) than {weights.name} "
            f"({wanted[:12]}...); {COMMAND} measures these"
        )
    return data


def recompute(
    model: Sam, name: str | None, prompts: Iterable[Prompt | int | np.integer], measure: Measure = "best"
) -> np.ndarray:
    """Measure some clicks now: the whole decoder with something switched off, a click at a time, nothing reused.

    Args:
        model: what to measure; in eval mode.
        name: one of `ABLATIONS`; None for the model as it is.
        prompts: held-out clicks, or their numbers in the package's statistics.
        measure: "best" or "picked".

    Returns:
        the IoU of each click, (prompts,): within `TOLERANCE` of the stored one, if the model is the one that was
        measured.

    Raises:
        KeyError: no such name.
        ValueError: another measure, or a prompt that is none of the held-out ones.
    """
    column, predictor, scores = _column(measure), Predictor(model), []
    for prompt, scene in _drawn_again(prompts):
        predictor.set_image(scene.image)
        with ExitStack() as stack:
            if name is not None:
                stack.enter_context(ablated(model, name))
            logits, predicted = _predict(predictor, prompt, three=True)
        scores.append(both_scores(logits, predicted, scene.masks[prompt.mask])[column])
    return np.array(scores)


def prompts_again(model: Sam, numbers: Iterable[Prompt | int | np.integer]) -> FourMasks:
    """Measure masks 0 to 3 of some clicks now, a click at a time, with the plain decoder and nothing reused.

    Args:
        model: what to measure; in eval mode.
        numbers: of the clicks in the package's statistics, or held-out clicks.

    Returns:
        a row per click: each array within `TOLERANCE` of the same rows of `load().prompts`, if the model is the one
        that was measured.

    Raises:
        ValueError: a prompt that is none of the held-out ones.
    """
    predictor, rows = Predictor(model), []
    for prompt, scene in _drawn_again(numbers):
        predictor.set_image(scene.image)
        single, three = _predict(predictor, prompt, three=False), _predict(predictor, prompt, three=True)
        rows.append(four_masks(torch.cat([single[0], three[0]]), torch.cat([single[1], three[1]]), scene, prompt))
    return FourMasks(**{one.name: np.stack([row[one.name] for row in rows]) for one in fields(FourMasks)})


def _drawn_again(prompts: Iterable[Prompt | int | np.integer]) -> Iterator[tuple[Prompt, Scene]]:
    """Clicks or their numbers, as clicks with their scenes."""
    asked = list(prompts)
    known = load().prompts if any(not isinstance(prompt, Prompt) for prompt in asked) else ()
    for prompt in asked:
        found = prompt if isinstance(prompt, Prompt) else known[int(prompt)]
        scene, drawn = scene_and_prompts(found.scene)
        if found not in drawn:
            raise ValueError(f"{found}: is none of the held-out clicks; {COMMAND} draws them anew")
        yield found, scene


def _predict(predictor: Predictor, prompt: Prompt, three: bool) -> tuple[Tensor, Tensor]:
    """Logits at full size and predicted IoU: of masks 1 to 3, or of mask 0."""
    logits, predicted, _ = predictor.predict([[prompt.x, prompt.y]], [1], multimask_output=three, return_logits=True)
    return torch.from_numpy(logits), torch.from_numpy(predicted)


def four_masks(
    logits: Float[Tensor, "4 height width"], predicted: Float[Tensor, "4"], scene: Scene, prompt: Prompt
) -> dict[str, np.ndarray]:
    """A row of `FourMasks`: each array's four numbers for a click.

    Args:
        logits: of masks 0 to 3, as large as the scene.
        predicted: their predicted IoU.
        scene: where the click is.
        prompt: the click.
    """
    right = scene.masks[masks_at(scene, prompt.x, prompt.y, prompt.mask)]  # the first is the one that is meant
    each = torch.stack([ious(logits > 0, mask) for mask in right])
    high = (logits > STABILITY_OFFSET).sum(dim=(1, 2))
    low = (logits > -STABILITY_OFFSET).sum(dim=(1, 2))
    found = {"predicted": predicted, "iou": each[0], "iou_any": each.amax(dim=0), "stability": high.double() / low}
    return {name: value.double().cpu().numpy() for name, value in found.items()}


def both_scores(logits: Tensor, predicted: Tensor, mask: np.ndarray) -> tuple[float, float]:
    """IoU of the best of the masks, and of the one with the highest prediction.

    Args:
        logits: (masks, height, width), as large as the mask.
        predicted: (masks,).
        mask: (height, width) bool, what was meant.
    """
    iou = ious(logits > 0, mask)
    return float(iou.max()), float(iou[int(predicted.argmax())])


def ious(drawn: Bool[Tensor, "masks height width"], mask: np.ndarray) -> Float[Tensor, "masks"]:
    """IoU of each mask with one that is not empty, (height, width) bool."""
    meant = torch.from_numpy(mask).to(drawn.device)
    return (drawn & meant).sum(dim=(1, 2)).double() / (drawn | meant).sum(dim=(1, 2))
