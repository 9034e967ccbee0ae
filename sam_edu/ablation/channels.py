"""The channels of the product (6-3), ablated: a mask's logits are a sum of one term per channel.

The term of channel c in mask m at position p is `hyper_in[m, c] * activated_twice[c, p]`. No tensor of the decoder
holds it, so the sum is corrected: at `masks`, the term is subtracted and what replaces it is added. Nothing else
changes; the predicted IoU does not.

- *zero*: the term is left out.
- *mean by position*: its mean over the held-out prompts, for each mask and position.
- *mean over positions*: its mean over the prompts and all positions: one number per mask, a bias.
- *resample*: the same channel's term at a random click of another scene.
"""

from functools import partial

from torch import Tensor

from sam_edu.ablation.changes import BIASES, CHANNELS, TERMS, Ablation, Change, Memory, References, Whose
from sam_edu.modules import MaskDecoder

WEIGHTS, VALUES, LOGITS = "hyper_in", "output_upscaling.activated_twice", "masks"

_MODES: dict[str, tuple[str, tuple[tuple[Whose, str], ...]]] = {
    "zero": ("is left out", ()),
    "mean by position": (
        "is replaced by its mean over the held-out prompts, position by position",
        (("held_out", TERMS),),
    ),
    "mean over positions": (
        "is replaced by its mean over the held-out prompts and over all positions",
        (("held_out", BIASES),),
    ),
    "resample": (
        "is replaced by its value at a random click of another scene",
        (("other", WEIGHTS), ("other", VALUES)),
    ),
}


def channels() -> dict[str, Ablation]:
    """Each channel's term of the product, in each mode."""
    return {
        f"channel {number} {mode}": Ablation(
            f"the term of channel {number} in the product, weight times value, {what}",
            partial(_term_replaced, number=number, mode=mode),
            reads,
        )
        for number in range(CHANNELS)
        for mode, (what, reads) in _MODES.items()
    }


def short_names() -> dict[str, str]:
    """ "mean" alone is by position."""
    return {f"channel {number} mean": f"channel {number} mean by position" for number in range(CHANNELS)}


def terms(weights: Tensor, values: Tensor) -> Tensor:
    """The terms of the product, (batch, masks, channels, height, width)."""
    return weights[..., None, None] * values[:, None]


def _term_replaced(decoder: MaskDecoder, references: References, number: int, mode: str) -> list[Change]:
    memory = Memory()
    one = slice(number, number + 1)

    def replace(logits: Tensor) -> Tensor:
        term = terms(memory[WEIGHTS][:, :, one], memory[VALUES][:, one])[:, :, 0]
        return logits - term + new if mode != "zero" else logits - term

    if mode == "resample":
        other = references.get("other")
        new = terms(other[WEIGHTS][:, :, one], other[VALUES][:, one])[:, :, 0]
    elif mode != "zero":
        [(whose, name)] = _MODES[mode][1]
        new = references.get(whose).mean(name)[:, number]
    return [memory.keep(WEIGHTS), memory.keep(VALUES), Change(LOGITS, replace)]
