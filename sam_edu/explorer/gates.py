"""Gates: the tensors of the decoder that the click lab can replace, some with a switch per head, channel or token."""

from typing import NamedTuple

from sam_edu.ablation.changes import ATTENTIONS, CHANNELS, DEPTH, HEADS
from sam_edu.tracing.trace_points import find


class Gate(NamedTuple):
    """One tensor that can be replaced.

    Attributes:
        point: its name in a trace; `transformer.layers.{i}.mlp.out` is the output of an MLP, which has no trace point.
        axes: the names of its axes.
        switched: the axes that have a switch per index; along the others the tensor is replaced as a whole.
    """

    point: str
    axes: tuple[str, ...]
    switched: tuple[str, ...] = ()

    @property
    def gate(self) -> str:
        """The graph's input that the tensor is multiplied with: 1 keeps, 0 removes. It has a number per switch."""
        return f"{self.point}.gate"

    @property
    def value(self) -> str:
        """The graph's input that is added then: what replaces it, and 0 where the gate is 1. It broadcasts."""
        return f"{self.point}.value"


def _gate(point: str, *switched: str) -> Gate:
    row = find(point)
    assert row is not None, point
    return Gate(point, tuple(row.axes.split()), switched)


MLPS = tuple(f"transformer.layers.{i}.mlp" for i in range(DEPTH))

SIZES = {"heads": HEADS, "masks": 4, "channels": CHANNELS}
"""How many switches an axis has; tokens have as many as the prompt makes."""

GATES: tuple[Gate, ...] = (
    *(_gate(f"{attention}.{name}") for attention in ATTENTIONS for name in ("k", "v")),
    *(_gate(f"{attention}.heads", "heads") for attention in ATTENTIONS),
    *(_gate(f"{attention}.out") for attention in ATTENTIONS),
    *(_gate(f"{mlp}.hidden") for mlp in MLPS),
    *(Gate(f"{mlp}.out", ("batch", "tokens", "dim")) for mlp in MLPS),
    _gate("hs", "tokens"),
    _gate("hyper_in", "masks", "channels"),
)
"""All of them. Keys and values are there to be transplanted, heads and steps to be ablated; `hs` has a switch per
token, the mask tokens among them; without its weights in `hyper_in`, a channel adds nothing to the masks."""
