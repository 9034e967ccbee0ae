"""Change and Ablation: which tensors of the decoder an ablation replaces, and by what.

An ablation removes or replaces one part of a trained network. How much the score falls is the effect of that part.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from torch import Tensor

from sam_edu.modules import MaskDecoder
from sam_edu.tracing import How, Select

DEPTH, HEADS, HIDDEN = 2, 8, 2048
"""Blocks, heads of each attention, and hidden units of each block's MLP, in SAM's decoder."""

TOKEN_TO_IMAGE = (
    "transformer.layers.0.cross_attn_token_to_image",
    "transformer.layers.1.cross_attn_token_to_image",
    "transformer.final_attn_token_to_image",
)
"""The attentions in which tokens attend to the image, steps (2), (2) and (6-1)."""

ATTENTIONS = (
    *(
        f"transformer.layers.{i}.{name}"
        for i in range(DEPTH)
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    ),
    "transformer.final_attn_token_to_image",
)
"""All seven, in the order of computation."""


class Change(NamedTuple):
    """The arguments of one `sam_edu.intervene`.

    Attributes:
        point: the name of a trace point.
        how: what replaces the tensor.
        select: per axis the indices that are replaced.
    """

    point: str
    how: How
    select: Mapping[str, Select] = {}


@dataclass(frozen=True)
class Ablation:
    """One ablation of the decoder: a description and the changes that carry it out.

    Attributes:
        what: a sentence for people. It is part of the ablation's identity: change it where the changes change.
        changes: what to replace. Or a function that gives the changes for a decoder, where they depend on its weights,
            or where a tensor of one trace point is needed at another.
    """

    what: str
    changes: tuple[Change, ...] | Callable[[MaskDecoder], Sequence[Change]] = field(repr=False)

    def of(self, decoder: MaskDecoder) -> Sequence[Change]:
        """The changes for one use on a decoder."""
        return self.changes(decoder) if callable(self.changes) else self.changes

    @property
    def definition(self) -> str:
        """The text that is stored with the measured numbers. Another text means another ablation."""
        if callable(self.changes):
            return self.what
        parts = [f"{change.point} {_name(change.how)} {_short(change.select)}" for change in self.changes]
        return f"{self.what} [{'; '.join(parts)}]"


def _name(how: How) -> str:
    if isinstance(how, str):
        return how
    function = how.func if isinstance(how, partial) else how
    return getattr(function, "__name__", "a tensor")


def _short(select: Mapping[str, Select]) -> str:
    text = repr(sorted(select.items()))
    return text if len(text) < 80 else hashlib.sha256(text.encode()).hexdigest()[:16]


class Memory(dict[str, Tensor]):
    """Tensors of earlier trace points, kept for use at later ones."""

    def keep(self, point: str) -> Change:
        """A change that stores the tensor of a trace point and leaves it as it is."""

        def store(x: Tensor) -> Tensor:
            self[point] = x
            return x

        return Change(point, store)
