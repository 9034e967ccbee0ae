"""TRANSPLANTS: every part of the decoder that is transplanted from one decode into another, by name.

    with sam_edu.trace(model) as b:
        predictor.predict(click_b, ...)
    with ablation.transplanted(model, "transformer.layers.0.cross_attn_image_to_token keys and values", b):
        predictor.predict(click_a, ...)     # the decode of click A, with this part of click B's

What follows the part is computed anew from it. If the mask becomes B's, the part suffices to carry the click; if A's
mask stays, it does not.

**What is so by construction.** In step (4) of block 0 the queries and the residual are the image itself, the same for
every click. So "keys and values", "output" and "image tokens" of block 0 are one and the same transplant, and
"step (4) keys and values", those of both blocks, puts all image tokens of B's into A's decode. To find the mask of B
there says that the image tokens suffice, and that the tokens' own way is not needed; it does not compare step (4) with
step (1), whose keys and values leave the tokens' residual as it is. "tokens and image tokens" of the last block is all
that the masks are made from: it gives B's masks.

**What the last words of a name mean.**

- *keys and values*: k and v of an attention. In steps (1) and (4) they come from the tokens, in steps (2) and (6-1)
  from the image tokens. Queries and the residual stay those of A. (Those of step (2) of block 0 are left out: no click
  has reached the image tokens yet, so that they are the same in all decodes of an image.)
- *output*: what an attention or an MLP adds to its input. (An MLP's output is its hidden units times fixed weights, so
  the hidden units are transplanted.)
- *tokens*, *image tokens*: those after a block.
- *mask tokens*, *prompt tokens*: only these of the tokens after a block: 1 to 4, and those from 5 on.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from sam_edu.ablation.changes import (
    ATTENTIONS,
    DEPTH,
    MASK_TOKENS,
    PROMPT_TOKENS,
    TOKEN_TO_IMAGE,
    Change,
    References,
    no_such_name,
)
from sam_edu.modules import MaskDecoder
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import Select

_WITH_CLICK = tuple(name for name in ATTENTIONS if name != TOKEN_TO_IMAGE[0])
"""The attentions whose keys and values depend on the click."""


class Part(NamedTuple):
    """A tensor that is transplanted.

    Attributes:
        point: the name of a trace point.
        select: per axis the indices that are transplanted.
    """

    point: str
    select: Mapping[str, Select] = {}


@dataclass(frozen=True)
class Transplant:
    """A part of the decoder that is transplanted.

    Attributes:
        what: a sentence for people.
        parts: its tensors.
    """

    what: str
    parts: tuple[Part, ...]

    def changes(self, source: Mapping[str, Tensor]) -> tuple[Change, ...]:
        """The changes that put this part of another decode into the next one.

        Args:
            source: the trace of the other decode, or its tensors by name.

        Raises:
            KeyError: the trace lacks one of them.
        """
        return tuple(Change(part.point, source[part.point], part.select) for part in self.parts)

    @property
    def definition(self) -> str:
        """The text that is stored with the measured numbers. Another text means another transplant."""
        return f"{self.what} [{'; '.join(f'{point} {dict(select)}' for point, select in self.parts)}]"


def _keys_and_values(*attentions: str) -> tuple[Part, ...]:
    return tuple(Part(f"{name}.{tensor}") for name in attentions for tensor in "kv")


def _outputs(*steps: str) -> tuple[Part, ...]:
    return tuple(Part(f"{step}.hidden" if step.endswith("mlp") else f"{step}.out") for step in steps)


def _single_steps() -> dict[str, Transplant]:
    """Keys and values of each attention, and the output of each attention and each MLP."""
    found = {}
    for name in _WITH_CLICK:
        found[f"{name} keys and values"] = Transplant("an attention's keys and values", _keys_and_values(name))
    for name in ATTENTIONS:
        if name.endswith("image_to_token"):
            for tensor, word in (("k", "keys"), ("v", "values")):
                what = f"an attention's {word} alone"
                found[f"{name} {word}"] = Transplant(what, (Part(f"{name}.{tensor}"),))
    for name in (*ATTENTIONS, *(f"transformer.layers.{i}.mlp" for i in range(DEPTH))):
        found[f"{name} output"] = Transplant("what a step adds to its input", _outputs(name))
    return found


def _steps_of_both_blocks() -> dict[str, Transplant]:
    """The same step in both blocks at once."""
    found = {}
    for step, name in enumerate(("self_attn", "cross_attn_token_to_image", "mlp", "cross_attn_image_to_token"), 1):
        both = [f"transformer.layers.{i}.{name}" for i in range(DEPTH)]
        if name.endswith(("self_attn", "image_to_token")):
            what = f"keys and values of step ({step}) in both blocks"
            found[f"step ({step}) keys and values"] = Transplant(what, _keys_and_values(*both))
        found[f"step ({step}) output"] = Transplant(f"what step ({step}) adds, in both blocks", _outputs(*both))
    what = "keys and values of both attentions from tokens to image to which the click has come"
    found["steps (2) and (6-1) keys and values"] = Transplant(what, _keys_and_values(*TOKEN_TO_IMAGE[1:]))
    return found


def _after_blocks() -> dict[str, Transplant]:
    """Tokens and image tokens after each block."""
    found = {}
    for i in range(DEPTH):
        block = f"transformer.layers.{i}"
        tokens, image = Part(f"{block}.queries_3"), Part(f"{block}.keys_4")
        found[f"{block} tokens"] = Transplant("the tokens after a block", (tokens,))
        for word, positions in (("mask tokens", MASK_TOKENS), ("prompt tokens", PROMPT_TOKENS)):
            some = Part(tokens.point, {"tokens": positions})
            found[f"{block} {word}"] = Transplant(f"the {word} after a block", (some,))
        found[f"{block} image tokens"] = Transplant("the image tokens after a block", (image,))
        what = "the tokens and the image tokens after a block"
        found[f"{block} tokens and image tokens"] = Transplant(what, (tokens, image))
    return found


TRANSPLANTS: dict[str, Transplant] = {
    **_single_steps(),
    **_steps_of_both_blocks(),
    **_after_blocks(),
    "hyper_in": Transplant("the weights of the product, which the mask tokens became", (Part("hyper_in"),)),
    "upscaled image": Transplant("the upscaled feature map", (Part("output_upscaling.activated_twice"),)),
}
"""All transplants by name. After a change here: `python -m tools.make_statistics --only pairs`."""


def find_transplant(name: str, transplants: Mapping[str, Transplant] | None = None) -> Transplant:
    """The transplant of that name.

    Args:
        name: of the transplant.
        transplants: where it is looked up; `TRANSPLANTS` by default.

    Raises:
        KeyError: no such name.
    """
    known = TRANSPLANTS if transplants is None else transplants
    if name not in known:
        raise no_such_name("transplant", name, known)
    return known[name]


@contextmanager
def transplanted(
    model: Sam | MaskDecoder | Predictor,
    name: str,
    source: Mapping[str, Tensor],
    transplants: Mapping[str, Transplant] | None = None,
) -> Iterator[None]:
    """Put a part of another decode into every decode while the block lasts, by `sam_edu.intervene`.

    Args:
        model: a whole model, its decoder or its predictor.
        name: one of `TRANSPLANTS`.
        source: the trace of the other decode: of one prompt set, with as many tokens.
        transplants: where the name is looked up; `TRANSPLANTS` by default, `sam_edu.ablation.DOORS` is another list.

    Raises:
        KeyError: no such name, or the trace lacks a tensor.
        ValueError: in the forward pass, tensors of other shapes: another number of tokens, another grid.
    """
    with ExitStack() as stack:
        for change in find_transplant(name, transplants).changes(source):
            stack.enter_context(change.carry_out(model, References()))
        yield
