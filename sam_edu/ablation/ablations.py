"""ABLATIONS: every ablation of the decoder that is measured, by name.

    with ablation.ablated(model, "transformer.layers.1.mlp mean", References(held_out=stats.means)):
        predictor.predict(...)

The last words of a name are the mode: see `sam_edu.ablation.parts` and `sam_edu.ablation.channels`. Beside these:

- *ablated*, of step (1) of block 0: its tokens pass unchanged. The step has no residual: its output replaces them.
- *ablated*, of a block: tokens and image tokens leave it unchanged.
- *step removed*: the step's input takes the place of what leaves it in both blocks, its norm left out too.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation import channels, parts
from sam_edu.ablation.changes import (
    ATTENTIONS,
    DEPTH,
    HIDDEN,
    MASK_TOKENS,
    PROMPT_TOKENS,
    TOKEN_TO_IMAGE,
    Ablation,
    Change,
    Memory,
    References,
    Whose,
    no_such_name,
)
from sam_edu.ablation.projections import as_sequence, projected_encoding
from sam_edu.modules import Attention, MaskDecoder
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

_ZERO_AND_TOKEN_MEAN: tuple[Literal["zero", "token_mean"], ...] = ("zero", "token_mean")


# --- Steps and blocks whose output is not replaced by a mean, another value or zero ---


def _steps_and_blocks() -> dict[str, Ablation]:
    """The MLPs by zero, the blocks left out, and two other ways to treat step (1) of block 0."""
    first = ATTENTIONS[0]
    found = {f"{first} ablated": Ablation("the tokens pass step (1) of block 0 unchanged", _first_step_ablated)}
    for i in range(DEPTH):
        found[f"transformer.layers.{i}.mlp zero"] = Ablation(
            f"the MLP of block {i} adds nothing", partial(_mlp_zero, number=i)
        )
        found[f"transformer.layers.{i} ablated"] = Ablation(
            f"tokens and image tokens leave block {i} unchanged", partial(_block_ablated, number=i)
        )
    found["step (3) zero"] = Ablation("the MLPs of both blocks add nothing", _mlps_zero)
    found[f"{first} with residual"] = Ablation(
        "step (1) of block 0 gets the residual connection that it lacks", _first_step_with_residual
    )
    return found


def _first_step_ablated(decoder: MaskDecoder, references: References) -> list[Change]:
    memory = Memory()
    return [memory.keep("tokens"), Change(f"{ATTENTIONS[0]}.out", lambda x: memory["tokens"])]


def _first_step_with_residual(decoder: MaskDecoder, references: References) -> list[Change]:
    memory = Memory()
    return [memory.keep("tokens"), Change(f"{ATTENTIONS[0]}.out", lambda x: memory["tokens"] + x)]


def _mlp_zero(decoder: MaskDecoder, references: References, number: int) -> list[Change]:
    memory, block = Memory(), f"transformer.layers.{number}"
    norm = decoder.transformer.layers[number].norm3  # type: ignore[union-attr, index]
    return [
        memory.keep(f"{block}.queries_2"),
        Change(f"{block}.queries_3", lambda x: norm(memory[f"{block}.queries_2"])),
    ]


def _mlps_zero(decoder: MaskDecoder, references: References) -> list[Change]:
    return [change for i in range(DEPTH) for change in _mlp_zero(decoder, references, i)]


def _block_ablated(decoder: MaskDecoder, references: References, number: int) -> list[Change]:
    memory, block = Memory(), f"transformer.layers.{number}"
    before = f"transformer.layers.{number - 1}"
    tokens, image = ("tokens", "src") if number == 0 else (f"{before}.queries_3", f"{before}.keys_4")
    return [
        memory.keep(tokens),
        memory.keep(image),
        Change(f"{block}.queries_3", partial(_stored, memory, tokens)),
        Change(f"{block}.keys_4", partial(_stored, memory, image)),
    ]


def _stored(memory: Memory, name: str, x: Tensor) -> Tensor:
    """The tensor of an earlier trace point; a feature map as a sequence of image tokens."""
    return as_sequence(memory[name]) if name == "src" else memory[name]


def _steps_removed() -> dict[str, Ablation]:
    """Each of the four steps, removed from both blocks together with its LayerNorm."""
    return {
        f"step ({step}) removed": Ablation(
            f"step ({step}) is left out of both blocks, its norm too", partial(_step_removed, step=step)
        )
        for step in (1, 2, 3, 4)
    }


def _step_removed(decoder: MaskDecoder, references: References, step: int) -> list[Change]:
    memory, changes = Memory(), []
    tokens, image = "tokens", "src"
    for i in range(DEPTH):
        block = f"transformer.layers.{i}"
        before = {1: tokens, 2: f"{block}.queries_1", 3: f"{block}.queries_2", 4: image}[step]
        after = f"{block}.keys_4" if step == 4 else f"{block}.queries_{step}"
        changes += [memory.keep(before), Change(after, partial(_stored, memory, before))]
        tokens, image = f"{block}.queries_3", f"{block}.keys_4"
    return changes


# --- Hidden units of the MLPs ---


def _random_order() -> list[int]:
    """A fixed random order of the hidden units. The first tenth of it is part of the first half."""
    return [int(i) for i in np.random.default_rng(0).permutation(HIDDEN)]


def _units() -> dict[str, Ablation]:
    """Randomly chosen hidden units of each MLP."""
    order = _random_order()
    found = {}
    for i in range(DEPTH):
        for share, name in ((0.1, "a tenth"), (0.5, "half"), (1.0, "all")):
            chosen = order[: round(share * HIDDEN)]
            change = Change(f"transformer.layers.{i}.mlp.hidden", "zero", {"mlp_dim": chosen})
            what = "hidden units of the MLP, chosen at random, are zero; the second layer's bias stays"
            found[f"transformer.layers.{i}.mlp {name} of the units zero"] = Ablation(what, (change,))
    return found


def _units_of_both_mlps() -> dict[str, Ablation]:
    """Hidden units of both MLPs at once: chosen at random, the strongest of this very decode, or all."""
    order = _random_order()
    points = [f"transformer.layers.{i}.mlp.hidden" for i in range(DEPTH)]
    found = {}
    for share, name in ((0.1, "a tenth"), (0.5, "half")):
        count = round(share * HIDDEN)
        at_random = tuple(Change(point, "zero", {"mlp_dim": order[:count]}) for point in points)
        found[f"mlps random {name} zero"] = Ablation("hidden units of both MLPs, chosen at random, are zero", at_random)
        what = f"of both MLPs, the {count} hidden units that add most to this decode's tokens are zero"
        found[f"mlps strongest {name} zero"] = Ablation(what, partial(_strongest_zero, count=count))
    for how in _ZERO_AND_TOKEN_MEAN:
        what = f"all hidden units of both MLPs are replaced by their {parts.mode_name(how)}"
        found[f"mlps every unit {parts.mode_name(how)}"] = Ablation(what, tuple(Change(point, how) for point in points))
    return found


def _strongest_zero(decoder: MaskDecoder, references: References, count: int) -> list[Change]:
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


# --- Positional encodings ---


def _encodings() -> dict[str, Ablation]:
    """Positional encodings: all attentions but step (1) of block 0 add them anew to the inputs of queries and keys."""
    what = "the positional encodings are not added again in any cross-attention"
    into_values = "in both blocks, the positional encodings are added to the inputs of the values too"
    return {
        "positional encodings of the image ablated": Ablation(
            f"{what}: those of the image", partial(_no_encodings, kinds=("pos_src",))
        ),
        "positional encodings of the tokens ablated": Ablation(
            f"{what}: those of the tokens", partial(_no_encodings, kinds=("tokens",))
        ),
        "positional encodings ablated": Ablation(what, partial(_no_encodings, kinds=("tokens", "pos_src"))),
        "positional encodings in the values": Ablation(into_values, _encodings_in_values),
    }


def _no_encodings(decoder: MaskDecoder, references: References, kinds: tuple[str, ...]) -> list[Change]:
    memory = Memory()
    changes = [memory.keep(kind) for kind in kinds]
    for name in ATTENTIONS:
        if "self_attn" in name:
            continue
        attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
        for side in ("q", "k"):
            # In step (4) the queries come from the image, elsewhere from the tokens.
            kind = "pos_src" if (side == "q") == ("image_to_token" in name) else "tokens"
            if kind in kinds:
                subtract = partial(_minus_encoding, memory, kind, attention, side)
                changes.append(Change(f"{name}.{side}", subtract))
    return changes


def _minus_encoding(memory: Memory, kind: str, attention: Attention, side: str, x: Tensor) -> Tensor:
    """Projected queries or keys without the projected encoding: W (x + pe) + b - W pe = W x + b."""
    encoding = memory[kind] if kind == "tokens" else as_sequence(memory[kind])
    return x - projected_encoding(attention, side, encoding)


def _encodings_in_values(decoder: MaskDecoder, references: References) -> list[Change]:
    memory = Memory()
    changes = [memory.keep("tokens"), memory.keep("pos_src")]
    for name in ATTENTIONS[1:-1]:  # all of both blocks but the first, which has no positional encodings
        attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
        kind = "pos_src" if "token_to_image" in name else "tokens"
        changes.append(Change(f"{name}.v", partial(_plus_encoding, memory, kind, attention)))
    return changes


def _plus_encoding(memory: Memory, kind: str, attention: Attention, x: Tensor) -> Tensor:
    """Projected values with the projected encoding: W x + b + W pe = W (x + pe) + b."""
    return 2 * x - _minus_encoding(memory, kind, attention, "v", x)


# --- Attention weights and scores ---


def _weights_shared() -> dict[str, Ablation]:
    """The four mask tokens attend to the image with one and the same weights: their mean, head by head."""
    what = "all mask tokens get the mean of their weights"
    each = {name: Change(f"{name}.weights", _mean_of_masks) for name in TOKEN_TO_IMAGE}
    found = {f"{name} mask tokens look alike": Ablation(what, (change,)) for name, change in each.items()}
    found["mask tokens look alike"] = Ablation(f"{what}, in all three attentions", tuple(each.values()))
    return found


def _mean_of_masks(weights: Tensor) -> Tensor:
    weights[:, :, MASK_TOKENS] = weights[:, :, MASK_TOKENS].mean(dim=2, keepdim=True)  # a copy: intervene's
    return weights


def _prompt_unheard() -> dict[str, Ablation]:
    """The prompt's tokens get no attention: in step (1), from the tokens; in step (4), from the image; in both."""
    found = {}
    for name, ends in parts.TOKENS_ARE_KEYS.items():
        changes = tuple(Change(f"{one}.scores", _prompt_out) for one in ATTENTIONS if one.endswith(ends))
        found[f"prompt unheard in {name}" if name else "prompt unheard"] = Ablation(
            "the prompt's tokens get no attention", changes
        )
    return found


def _prompt_out(scores: Tensor) -> Tensor:
    scores[..., PROMPT_TOKENS] = -torch.inf  # a copy: intervene's
    return scores


def _padding() -> dict[str, Ablation]:
    """Another number of padding tokens. They stay equal, so n of them are one whose exp(score) counts n times."""
    found = {}
    for number, name in ((0, "no padding token"), (2, "one padding token more"), (5, "five padding tokens")):
        count = partial(_count_padding, number)
        ends = parts.TOKENS_ARE_KEYS[""]
        changes = tuple(Change(f"{one}.scores", count) for one in ATTENTIONS if one.endswith(ends))
        found[name] = Ablation(f"{number} padding tokens in place of one", changes)
    return found


def _count_padding(number: int, scores: Tensor) -> Tensor:
    scores[..., 6] += np.log(number) if number else -torch.inf  # after five output tokens and a click; a copy
    return scores


# --- The list ---

ABLATIONS: dict[str, Ablation] = {
    **parts.heads(),
    **parts.steps(),
    **parts.blocks(),
    **_steps_and_blocks(),
    **_units(),
    **_units_of_both_mlps(),
    **_encodings(),
    **_weights_shared(),
    **_prompt_unheard(),
    **parts.prompts_tokens(),
    **_padding(),
    **_steps_removed(),
    **parts.pairs(),
    **channels.channels(),
}
"""All ablations by name. After a change here: `python -m tools.make_statistics --new`."""

SHORT_NAMES: dict[str, str] = parts.short_names() | channels.short_names()
"""Other names of some ablations, which `ablated` and the statistics take too."""

BOX_ABLATIONS: tuple[str, ...] = tuple(
    name
    for name in (*parts.heads(), *parts.steps(), *parts.blocks())
    if re.search(r"(?<! token) mean( by position| over positions)?$", name)
)
"""The ablations that are measured for exact boxes too: heads, steps and blocks, by the mean over held-out boxes."""


def full_name(name: str) -> str:
    """The name in `ABLATIONS` of an ablation that is given by this or by a short name.

    Raises:
        KeyError: no such name.
    """
    name = SHORT_NAMES.get(name, name)
    if name not in ABLATIONS:
        raise no_such_name("ablation", name, ABLATIONS)
    return name


def find(name: str) -> Ablation:
    """The ablation of that name. Raises KeyError where there is none."""
    return ABLATIONS[full_name(name)]


def needed(names: Iterable[str], whose: Whose) -> set[str]:
    """The names of the tensors that some ablations take from one of the references."""
    return {point for name in names for point in find(name).needs(whose)}


@contextmanager
def ablated(
    model: Sam | MaskDecoder | Predictor,
    name: str,
    references: References = References(),  # noqa: B008
) -> Iterator[None]:
    """Carry out an ablation of the list while the block lasts, by `sam_edu.intervene`.

    Args:
        model: a whole model, its decoder or its predictor.
        name: one of `ABLATIONS`, or a short name.
        references: where the ablation puts in what comes from other prompts: means, or the trace of another prompt.

    Raises:
        KeyError: no such name.
        ValueError: a reference that it needs is not there.
    """
    whole = model.model if isinstance(model, Predictor) else model
    decoder = whole.mask_decoder if isinstance(whole, Sam) else whole
    with ExitStack() as stack:
        for change in find(name).of(decoder, references):
            stack.enter_context(change.carry_out(model, references))
        yield
