"""Change and Ablation: which tensors of the decoder an ablation replaces, and by what.

An ablation removes or replaces one part of a trained network. How much the score falls is the effect of that part.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import Tensor

from sam_edu.modules import MaskDecoder
from sam_edu.tracing import How, Reference, ReferenceRuns, Select, intervene, position_axes
from sam_edu.tracing.trace_points import find

DEPTH, HEADS, HIDDEN, CHANNELS = 2, 8, 2048, 32
"""Blocks, heads of each attention, hidden units of each block's MLP, and channels of the product, in SAM's decoder."""

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

MASK_TOKENS, PROMPT_TOKENS = slice(1, 5), slice(5, None)
"""Positions among the tokens: four mask tokens after the IoU token, then the prompt's."""

CLICK_TOKEN = 5
"""Position of a single click's token, the first of the prompt's."""

TERMS, BIASES = "terms", "terms over positions"
"""In references: the terms of the product (6-3), weight times value, (masks, channels, height, width); and their means
over all positions, (masks, channels, 1, 1)."""

Whose = Literal["held_out", "image", "other"]


@dataclass(frozen=True)
class References:
    """What stands in for a replaced tensor, where that comes from other prompts.

    Attributes:
        held_out: the runs of the held-out prompts, or their means alone.
        image: those of other clicks on the same image (`sam_edu.ablation.clicks_on_image`).
        other: the trace of one other prompt.
    """

    held_out: ReferenceRuns | None = None
    image: ReferenceRuns | None = None
    other: Reference | None = None

    def get(self, whose: Whose) -> Any:
        """One of the three.

        Raises:
            ValueError: it is not there.
        """
        found = getattr(self, whose)
        if found is None:
            raise ValueError(f"references: this ablation needs {_GIVEN[whose]}, got None")
        return found


_GIVEN: dict[str, str] = {
    "held_out": "References(held_out=ablation.load().means), or =ablation.reference(model, names, prompts)",
    "image": "References(image=ablation.clicks_on_image(model, names, image))",
    "other": "References(other=t), where t is the trace of another prompt",
}

AblationMode = Literal["mean_of_image"]
_FROM_REFERENCES: dict[str, tuple[Literal["mean", "mean_over_positions", "transplant"], Whose]] = {
    "mean": ("mean", "held_out"),
    "mean_over_positions": ("mean_over_positions", "held_out"),
    "mean_of_image": ("mean", "image"),
    "resample": ("transplant", "other"),
}
"""By the mode of an ablation: that of `sam_edu.intervene`, and whose tensors are its reference."""


class Change(NamedTuple):
    """The arguments of one `sam_edu.intervene`.

    Attributes:
        point: the name of a trace point.
        how: what replaces the tensor. Beside what `intervene` takes: "mean_of_image", the mean over other clicks on
            the same image; and "resample" is the transplant of one other prompt, which was drawn before.
        select: per axis the indices that are replaced.
    """

    point: str
    how: How | AblationMode
    select: Mapping[str, Select] = {}

    def carry_out(self, model: Any, references: References) -> AbstractContextManager[None]:
        """The intervention. Raises ValueError where it needs a reference that is not there."""
        if isinstance(self.how, str) and self.how in _FROM_REFERENCES:
            how, whose = _FROM_REFERENCES[self.how]
            return intervene(model, self.point, how, reference=references.get(whose), **self.select)  # type: ignore[arg-type]
        return intervene(model, self.point, self.how, **self.select)  # type: ignore[arg-type]


Changes = tuple[Change, ...] | Callable[[MaskDecoder, References], Sequence[Change]]


@dataclass(frozen=True)
class Ablation:
    """One ablation of the decoder: a description and the changes that carry it out.

    Attributes:
        what: a sentence for people. It is part of the ablation's identity: change it where the changes change.
        changes: what to replace. Or a function that gives the changes for a decoder and references, where they depend
            on the weights, or where a tensor of one trace point is needed at another.
        reads: what such a function takes from references beside its changes: whose, and the names.
    """

    what: str
    changes: Changes = field(repr=False)
    reads: tuple[tuple[Whose, str], ...] = ()

    def of(self, decoder: MaskDecoder, references: References = References()) -> Sequence[Change]:
        """The changes for one use on a decoder."""
        return self.changes(decoder, references) if callable(self.changes) else self.changes

    def needs(self, whose: Whose) -> set[str]:
        """The names of the tensors that it takes from one of the references."""
        found = {name for one, name in self.reads if one == whose}
        for change in () if callable(self.changes) else self.changes:
            if isinstance(change.how, str) and _FROM_REFERENCES.get(change.how, ("", ""))[1] == whose:
                found.add(change.point)
        return found

    def needs_by_position(self) -> set[str]:
        """The names of those whose mean it takes position by position."""
        if callable(self.changes):
            return set()
        return {change.point for change in self.changes if change.how == "mean" and _on_image(change.point)}

    @property
    def definition(self) -> str:
        """The text that is stored with the measured numbers. Another text means another ablation."""
        if callable(self.changes):
            return self.what
        parts = [f"{change.point} {_name(change.how)} {_short(change.select)}" for change in self.changes]
        return f"{self.what} [{'; '.join(parts)}]"


def _on_image(point: str) -> bool:
    row = find(point)
    return bool(row and position_axes(point, tuple(row.axes.split())))


def _name(how: How | AblationMode) -> str:
    if isinstance(how, str):
        return how
    function = how.func if isinstance(how, partial) else how
    return getattr(function, "__name__", "a tensor")


def _short(select: Mapping[str, Select]) -> str:
    text = repr(sorted(select.items()))
    return text if len(text) < 80 else hashlib.sha256(text.encode()).hexdigest()[:16]


def no_such_name(what: str, name: str, names: Iterable[str]) -> KeyError:
    """The error for a name that is none of them, with up to three that are like it."""
    close = [other for other in names if name in other or other in name]
    return KeyError(f"{name!r}: no {what} of that name{'; there is ' + ', '.join(close[:3]) if close else ''}")


class Memory(dict[str, Tensor]):
    """Tensors of earlier trace points, kept for use at later ones."""

    def keep(self, point: str) -> Change:
        """A change that stores the tensor of a trace point and leaves it as it is."""

        def store(x: Tensor) -> Tensor:
            self[point] = x
            return x

        return Change(point, store)
