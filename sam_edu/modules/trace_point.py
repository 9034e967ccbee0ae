"""TracePoint: the identity module that tracing listens to."""

from torch import Tensor, nn


class TracePoint(nn.Module):
    """A named place in the forward pass: returns its input unchanged.

    It has no parameters and no buffers, so a state dict does not know of it. Its name is its path in the
    module tree (`transformer.layers.0.cross_attn_token_to_image.weights`), so that a forward hook on it sees the
    tensor of the real computation, and may replace it. See `sam_edu.tracing`.

    Args:
        axes: the names of the tensor's axes, separated by spaces, for example "batch heads queries keys".
    """

    def __init__(self, axes: str) -> None:
        super().__init__()
        self.axes = tuple(axes.split())

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` itself."""
        return x

    def extra_repr(self) -> str:
        return " ".join(self.axes)
