"""The parts that the switchboard ablates, and the ablations of `sam_edu.ablation` that its switches stand for."""

from typing import Literal, NamedTuple, get_args

from sam_edu.ablation.changes import ATTENTIONS, HEADS
from sam_edu.ablation.parts import STEPS, on_image
from sam_edu.tracing.trace_points import find

Mode = Literal["zero", "mean", "resample"]
MODES: tuple[str, ...] = get_args(Mode)


class Part(NamedTuple):
    """A step, or one head of a step's attention.

    Attributes:
        name: as the names of ablations begin: "transformer.layers.0.self_attn head 3".
        step: the path of its step.
        number: the step's address in the decoder, "(1)" to "(6-1)".
        block: 0 or 1; None for the last cross-attention.
        head: which head; None for the whole step.
        of_image: whether its output has a row per image token.
    """

    name: str
    step: str
    number: str
    block: int | None
    head: int | None
    of_image: bool

    def ablation(self, mode: str) -> str:
        """The name of the ablation that this part's switch stands for. The mean of an image's rows is one for all."""
        return f"{self.name} {'mean over positions' if mode == 'mean' and self.of_image else mode}"


def _part(step: str, head: int | None = None) -> Part:
    row = find(f"{step}.hidden" if step.endswith("mlp") else f"{step}.out")
    assert row is not None, step
    block = int(step.split(".")[2]) if ".layers." in step else None
    return Part(step if head is None else f"{step} head {head}", step, row.step, block, head, on_image(step))


PARTS: tuple[Part, ...] = tuple(
    part
    for step in STEPS
    for part in (_part(step), *(_part(step, head) for head in range(HEADS) if step in ATTENTIONS))
)
"""The nine steps in the order of computation, each followed by its eight heads, if it is an attention."""

BY_NAME = {part.name: part for part in PARTS}
