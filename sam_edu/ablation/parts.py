"""The parts of the transformer, ablated in every mode: heads, steps, pairs of steps, blocks, the prompt's tokens.

**What a name's last words mean.** All replace the part's output, and everything after it is computed again.

- *mean*: its mean over the held-out prompts, slot by slot. What the part says to every prompt stays; what it says to
  this one is removed. Where the output has a row per image token, *mean by position* gives each position its own mean,
  and *mean over positions* gives all the same. Both remove what the part says about this image, too.
- *mean of this image*: its mean over 16 other clicks on the same image, position by position. What stays is what the
  part says about this image under any click; what is removed is what this click changed. The clicks stand on a regular
  grid, so many lie on no object, which training never showed.
- *resample*: its value at another held-out click, drawn at random, on another scene.
- *zero*: zeros, the bias of the last layer left out too. Of a part that has a residual, nothing is added. Step (1) of
  block 0 has none, so all its tokens become zero.
- *token mean*: its mean over all queries of this one decode.
"""

from itertools import combinations
from typing import Literal

from sam_edu.ablation.changes import ATTENTIONS, DEPTH, HEADS, PROMPT_TOKENS, Ablation, AblationMode, Change
from sam_edu.tracing import Mode

ModeOfPart = Mode | AblationMode

STEPS = (
    *(
        f"transformer.layers.{i}.{name}"
        for i in range(DEPTH)
        for name in ("self_attn", "cross_attn_token_to_image", "mlp", "cross_attn_image_to_token")
    ),
    "transformer.final_attn_token_to_image",
)
"""The nine steps that change tokens or image tokens: (1) to (4) of both blocks, and (6-1)."""

TOKENS_ARE_KEYS: dict[str, tuple[str, ...]] = {
    "(1)": ("self_attn",),
    "(4)": ("image_to_token",),
    "": ("self_attn", "image_to_token"),
}
"""The steps whose keys are the tokens, and how the names of their attentions end; "" is both."""

_OF_TOKENS: tuple[ModeOfPart, ...] = ("mean", "resample")
_OF_IMAGE: tuple[ModeOfPart, ...] = ("mean", "mean_over_positions", "mean_of_image", "resample")
_SAID: dict[str, str] = {
    "mean": "its mean over the held-out prompts, slot by slot",
    "mean_over_positions": "its mean over the held-out prompts and over all positions",
    "mean_of_image": "its mean over a grid of 16 other clicks on the same image, position by position",
    "resample": "its value at a random click of another scene",
    "zero": "zero",
    "token_mean": "its token mean",
}


def mode_name(mode: str, on_image: bool = False) -> str:
    """A mode as it stands at the end of an ablation's name."""
    if mode == "mean" and on_image:
        return "mean by position"
    return "mean of this image" if mode == "mean_of_image" else mode.replace("_", " ")


def on_image(step: str) -> bool:
    """Whether a step's output has a row per image token."""
    return "image_to_token" in step


def output(step: str) -> str:
    """The trace point whose mean is the mean of what a step says.

    An MLP's second layer is linear, so the mean of its hidden units gives the mean of its output.
    """
    return f"{step}.hidden" if step.endswith("mlp") else f"{step}.out"


def heads() -> dict[str, Ablation]:
    """Each head of each attention, and all heads of an attention at once."""
    found = {}
    for attention in ATTENTIONS:
        modes: tuple[ModeOfPart, ...] = ("zero", "token_mean", *(_OF_IMAGE if on_image(attention) else _OF_TOKENS))
        for head in range(HEADS):
            for mode in modes:
                change = Change(f"{attention}.heads", mode, {"heads": head})
                name = f"{attention} head {head} {mode_name(mode, on_image(attention))}"
                found[name] = Ablation(f"a head's output, before out_proj, is replaced by {_SAID[mode]}", (change,))
    both: tuple[ModeOfPart, ...] = ("zero", "token_mean")
    for attention in ATTENTIONS:
        for mode in both:
            what = f"the outputs of all heads are replaced by {_SAID[mode]}; the bias of out_proj stays"
            found[f"{attention} all heads {mode_name(mode)}"] = Ablation(what, (Change(f"{attention}.heads", mode),))
    return found


def steps() -> dict[str, Ablation]:
    """Each of the nine steps; and the same step of both blocks at once."""
    found = {}
    for step in STEPS:
        for mode in _modes(step):
            name = f"{step} {mode_name(mode, on_image(step))}"
            found[name] = Ablation(f"the output of a step is replaced by {_SAID[mode]}", (Change(output(step), mode),))
    for number, one in enumerate(STEPS[:4]):
        for mode in _modes(one):
            if mode == "mean":  # these are among the pairs
                continue
            changes = tuple(Change(output(STEPS[number + 4 * i]), mode) for i in range(DEPTH))
            what = f"the output of step ({number + 1}) is replaced in both blocks by {_SAID[mode]}"
            found[f"step ({number + 1}) {mode_name(mode, on_image(one))}"] = Ablation(what, changes)
    return found


def _modes(step: str) -> tuple[ModeOfPart, ...]:
    """The modes of a step; that the MLP adds nothing is more than that its hidden units are zero, see `ablations`."""
    zero: tuple[ModeOfPart, ...] = () if step.endswith("mlp") else ("zero",)
    return (*(_OF_IMAGE if on_image(step) else _OF_TOKENS), *zero)


def pairs() -> dict[str, Ablation]:
    """All pairs of the nine steps under the mean, as one step may stand in for another."""
    return {
        pair_name(one, other): Ablation(
            f"the outputs of two steps are replaced, each by {_SAID['mean']}",
            (Change(output(one), "mean"), Change(output(other), "mean")),
        )
        for one, other in combinations(STEPS, 2)
    }


def pair_name(one: str, other: str) -> str:
    """The name of a pair of steps, in the order of computation."""
    first, second = sorted((one, other), key=STEPS.index)
    return f"{first} + {second} mean"


def blocks() -> dict[str, Ablation]:
    """Each block: the tokens and the image tokens that leave it."""
    found = {}
    modes: tuple[ModeOfPart, ...] = ("mean", "mean_of_image", "resample")
    for i in range(DEPTH):
        block = f"transformer.layers.{i}"
        for mode in modes:
            changes = (Change(f"{block}.queries_3", mode), Change(f"{block}.keys_4", mode))
            what = f"what leaves a block, tokens and image tokens, is replaced by {_SAID[mode]}"
            found[f"{block} {mode_name(mode, True)}"] = Ablation(what, changes)
    return found


def prompts_tokens() -> dict[str, Ablation]:
    """Keys and values of the prompt's tokens, in step (1), in step (4), or in both: what they say about this prompt."""
    found = {}
    modes: tuple[Literal["mean", "resample"], ...] = ("mean", "resample")
    for name, ends in TOKENS_ARE_KEYS.items():
        points = [f"{one}.{x}" for one in ATTENTIONS if one.endswith(ends) for x in ("k", "v")]
        for mode in modes:
            changes = tuple(Change(point, mode, {"keys": PROMPT_TOKENS}) for point in points)
            where = f" in {name}" if name else ""
            found[f"prompt's keys and values{where} {mode}"] = Ablation(
                f"keys and values of the prompt's tokens are replaced, each by {_SAID[mode]}", changes
            )
    return found


def short_names() -> dict[str, str]:
    """Other names of some ablations: "mean" alone is by position, and all heads at once are the whole step."""
    found = {}
    for i, attention in enumerate(ATTENTIONS):
        by_position = mode_name("mean", on_image(attention))
        if on_image(attention):
            found[f"{attention} mean"] = f"{attention} {by_position}"
            for head in range(HEADS):
                found[f"{attention} head {head} mean"] = f"{attention} head {head} {by_position}"
        found[f"{attention} all heads mean"] = f"{attention} {by_position}"
        found[f"{attention} all heads resample"] = f"{attention} resample"
        # Names of before: "ablated" was zero. In step (1) of block 0, which has no residual, it was something else.
        if i == 0:
            found[f"{attention} out zero"] = f"{attention} zero"
        else:
            found[f"{attention} ablated"] = f"{attention} zero"
    for i in range(DEPTH):
        found[f"transformer.layers.{i} mean"] = f"transformer.layers.{i} mean by position"
        found[f"transformer.layers.{i}.mlp ablated"] = f"transformer.layers.{i}.mlp zero"
    for number, one in enumerate(STEPS[:4]):
        pair = pair_name(one, STEPS[number + 4])
        found[f"step ({number + 1}) mean"] = pair
        if on_image(one):
            found[f"step ({number + 1}) mean by position"] = pair
    return found
