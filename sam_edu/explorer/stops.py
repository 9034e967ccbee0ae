"""The nine stops of a decode, as `figures.two_decodes` has them: what the panel of two clicks shows side by side."""

from typing import NamedTuple

from sam_edu.figures.two_decodes import BLOCK, IMAGE_AT, LAST, READS, TOKENS_AT


class Stop(NamedTuple):
    """One stop.

    Attributes:
        name: its steps, "(0)" to "(6-3)".
        block: 0 or 1; None outside of the blocks.
        shows: the tensor that is shown: image tokens, weights of an attention, weights of the channels, or logits.
        tokens: the tensor whose rows, one per token, are compared; "" where the tokens are as before.
    """

    name: str
    block: int | None
    shows: str
    tokens: str


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

STOPS = tuple(Stop(*place, _SHOWS[i], TOKENS_AT.get(i, "")) for i, place in enumerate(_PLACES))
"""All nine, in the order of the figure."""

COLOURED = tuple(IMAGE_AT.values())
"""The tensors of image tokens, and of what is made of them, which are shown as colours."""


def tensors() -> tuple[str, ...]:
    """The names of all tensors that the stops show or compare, each once."""
    return tuple(dict.fromkeys(name for stop in STOPS for name in (stop.shows, stop.tokens) if name))
