"""The nine stops of a decode, as `figures.two_decodes` has them: what the panel of two clicks shows side by side."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from sam_edu.figures.two_decodes import BLOCK, IMAGE_AT, LAST, READS, TOKENS_AT, UPSCALED
from sam_edu.tracing import Trace

PER_IMAGE_TOKEN = f"{UPSCALED}.per_image_token"
"""The channels as the means over each image token's 4 x 4 pixels, (1, channels, grid height, grid width)."""


class Stop(NamedTuple):
    """One stop.

    Attributes:
        name: its steps, "(0)" to "(6-3)".
        block: 0 or 1; None outside of the blocks.
        shows: the tensor that is shown: image tokens, weights of an attention, weights of the channels, or logits.
        tokens: the tensor whose rows, one per token, are compared; "" where the tokens are as before.
        asked: what a back-end is asked for in order to show it: the tensor, or means of it.
    """

    name: str
    block: int | None
    shows: str
    tokens: str
    asked: str


_ATTENTION = {stop: BLOCK.format(block) + READS + "weights" for stop, block in ((1, 0), (3, 1))}
_SHOWS = {**IMAGE_AT, **_ATTENTION, 5: LAST, 7: "hyper_in", 8: "masks"}
_PLACES: tuple[tuple[str, int | None], ...] = (
    ("(0)", None),
    ("(1)–(3)", 0),
    ("(4)", 0),
    ("(1)–(3)", 1),
    ("(4)", 1),
    ("(6-1)", None),
    ("(5)", None),
    ("(6-2)", None),
    ("(6-3)", None),
)

_ASKED = {UPSCALED: PER_IMAGE_TOKEN}
STOPS = tuple(
    Stop(*place, _SHOWS[i], TOKENS_AT.get(i, ""), _ASKED.get(_SHOWS[i], _SHOWS[i])) for i, place in enumerate(_PLACES)
)
"""All nine, in the order of the figure."""

COLOURED = tuple(IMAGE_AT.values())
"""The tensors of image tokens, and of what is made of them, which are shown as colours."""


def tensors() -> tuple[str, ...]:
    """The names of all that the stops ask for, each once."""
    return tuple(dict.fromkeys(name for stop in STOPS for name in (stop.asked, stop.tokens) if name))


def read(t: Trace, name: str) -> Tensor:
    """What a back-end is asked for: a tensor of a trace, or `PER_IMAGE_TOKEN`."""
    if name != PER_IMAGE_TOKEN:
        return t[name]
    return F.avg_pool2d(t[UPSCALED], t[UPSCALED].shape[-1] // t["src"].shape[-1])
