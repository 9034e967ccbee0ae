"""MLP and MLPBlock: the two kinds of multi-layer perceptron in the decoder."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.modules.checks import check_shape
from sam_edu.modules.trace_point import TracePoint


class MLP(nn.Module):
    """A multi-layer perceptron: linear layers with a ReLU after each but the last.

    Steps (6-2) and (7). In SAM four MLPs of 256 -> 256 -> 256 -> 32, one per mask token, compute the weights for the
    mask product (6-2), and one of 256 -> 256 -> 256 -> 4 predicts the IoU of each mask (7).

    Args:
        input_dim: width of the input.
        hidden_dim: width of every layer but the last.
        output_dim: width of the output.
        num_layers: number of linear layers, at least 1.
        sigmoid_output: apply a sigmoid to the output. SAM does not, so a predicted IoU can exceed 1.

    Source: `segment_anything/modeling/mask_decoder.py`.
    """

    def __init__(
        self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int, sigmoid_output: bool = False
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers: expected at least 1, got {num_layers}")
        self.input_dim = input_dim
        self.num_layers, self.sigmoid_output = num_layers, sigmoid_output
        widths = [input_dim] + [hidden_dim] * (num_layers - 1) + [output_dim]
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(widths))

    def forward(self, x: Float[Tensor, "*rest input_dim"]) -> Float[Tensor, "*rest output_dim"]:
        """Apply the layers to the last axis.

        Raises:
            ValueError: the last axis of `x` is not `input_dim` wide.
        """
        check_shape("x", x, ("...", self.input_dim))
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        x = last(x)
        return F.sigmoid(x) if self.sigmoid_output else x


class MLPBlock(nn.Module):
    """The feed-forward network of a transformer block: linear, activation, linear, at each token on its own.

    Step (3). In SAM's decoder 256 -> 2048 -> 256 with ReLU. The default activation is GELU, as in Meta's class, which
    the image encoder uses too; the two-way transformer passes ReLU.

    Args:
        embedding_dim: width of the input and the output.
        mlp_dim: width between the two linear layers.
        act: class of the activation.

    Source: `segment_anything/modeling/common.py`; paper, appendix A ("MLP block").
    """

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()
        self.hidden = TracePoint("batch tokens mlp_dim")

    def forward(self, x: Float[Tensor, "*rest embedding_dim"]) -> Float[Tensor, "*rest embedding_dim"]:
        """Apply the block to the last axis.

        Raises:
            ValueError: the last axis of `x` is not `embedding_dim` wide.
        """
        check_shape("x", x, ("...", self.embedding_dim))
        return self.lin2(self.hidden(self.act(self.lin1(x))))
