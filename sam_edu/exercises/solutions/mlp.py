"""Solutions of the exercises of notebook 01. Try first."""

from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.modules import MLPBlock

SELF_TEST: dict[str, Any] = {
    "a": (2, 256),
    "b": (2, 7, 256),
    "c": (8, 7, 5),
    "d": [4, 6],
    "e": 1,
    "f": 6,
    "g": 8,
    "h": 2 / 8,
}

SHAPES: dict[str, dict[str, Any]] = {
    "a": {"input": (1, 7, 256), "hidden": (1, 7, 2048), "output": (1, 7, 256), "parameters": 1_050_880},
    "b": {"input": (2, 8, 256), "hidden": (2, 8, 2048), "output": (2, 8, 256), "parameters": 1_050_880},
    "c": {"input": (3, 256), "hidden": (3, 256), "output": (3, 32), "parameters": 139_808},
    "d": {"input": (3, 256), "hidden": (3, 256), "output": (3, 4), "parameters": 132_612},
    "e": {"input": (10, 64), "hidden": (10, 32), "output": (10, 5), "parameters": 4_357},
}


class Solution(nn.Module):
    """`MLP`, written out."""

    def __init__(
        self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int, sigmoid_output: bool = False
    ) -> None:
        super().__init__()
        self.sigmoid_output = sigmoid_output
        widths = [input_dim] + [hidden_dim] * (num_layers - 1) + [output_dim]
        self.layers = nn.ModuleList(nn.Linear(widths[i], widths[i + 1]) for i in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers, with a ReLU after each but the last."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        x = self.layers[-1](x)
        return torch.sigmoid(x) if self.sigmoid_output else x


def without_activation(block: MLPBlock) -> nn.Linear:
    """The block without its activation, as one linear layer."""
    layer = nn.Linear(block.lin1.in_features, block.lin2.out_features)
    layer.weight.data = block.lin2.weight.data @ block.lin1.weight.data
    layer.bias.data = block.lin2.weight.data @ block.lin1.bias.data + block.lin2.bias.data
    return layer
