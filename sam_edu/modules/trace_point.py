"""TracePoint: an identity module that marks a tensor of the forward pass."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn


class TracePoint(nn.Module):
    """An identity module that marks a tensor of the forward pass, so that hooks can record or replace it.

    It has no parameters and no buffers, so that state dicts do not contain it. The name is its path in the module tree
    (`transformer.layers.0.cross_attn_token_to_image.weights`). A hook on it gets the tensor of the real computation and
    can replace it; see `sam_edu.tracing`. A copy of the module, or a stored one, has none of the hooks that a `trace`
    or an `intervene` around it has set.

    Args:
        axes: the names of the tensor's axes, separated by spaces, for example "batch heads queries keys".
    """

    def __init__(self, axes: str) -> None:
        super().__init__()
        self.axes = tuple(axes.split())

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` itself."""
        return x

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for kind in ("_forward_hooks", "_forward_pre_hooks"):
            hooks = state[kind].items()
            state[kind] = OrderedDict((key, hook) for key, hook in hooks if not getattr(hook, "of_a_block", False))
        return state

    def extra_repr(self) -> str:
        return " ".join(self.axes)
