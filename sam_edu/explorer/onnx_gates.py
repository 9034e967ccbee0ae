"""Gates in an exported decoder: inputs that replace its tensors."""

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from sam_edu.explorer.gates import GATES, SIZES, Gate
from sam_edu.explorer.quick_decoder import KEPT

if TYPE_CHECKING:
    from onnx import ModelProto

OUTSIDE = (".others.weights", ".others.rows")
"""Behind the path of an attention of step (4), the quick graph's inputs for a sum that is added to its output: weights
(others, image_tokens) and rows (others, dim); or none. Rows of what another decode adds (`ADDED`) fit."""

BIAS = ".bias"
"""Behind such a path, what stands where the bias of the projection out is. While the quick decoder is exported it is an
input; `insert_step_4` puts the nodes that compute it in its place."""


def quick_gates() -> tuple[Gate, ...]:
    """The gates of the quick graph: all but those of keys and values."""
    return tuple(gate for gate in GATES if not gate.point.endswith((".k", ".v")))


def insert(model: "ModelProto", gate: Gate) -> None:
    """Put gate * x + value behind the tensor x: all that reads it, the output of its name included, gets the result."""
    from onnx import helper

    graph, computed, kept = model.graph, f"{gate.point}.computed", f"{gate.point}.kept"
    number = _renamed(model, gate.point, computed)
    graph.node.insert(number, helper.make_node("Mul", [computed, gate.gate], [kept], name=kept))
    graph.node.insert(number + 1, helper.make_node("Add", [kept, gate.value], [gate.point], name=f"{gate.point}.gated"))
    _add_inputs(model, gate)


def insert_step_4(model: "ModelProto", path: str, projection: nn.Linear) -> None:
    """Both gates of an attention of step (4) in the quick graph, where its heads' outputs are never there.

    The gates of the heads and of the output scale the tokens' values, of which there are few. What replaces heads goes
    through the projection out, and all that replaces goes where the bias was: it is one vector, for all image tokens.
    Another one for each is put in as a sum (`OUTSIDE`).

    Args:
        model: is changed.
        path: of the attention.
        projection: its projection out.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    heads, out = (next(gate for gate in GATES if gate.point == f"{path}.{name}") for name in ("heads", "out"))
    for gate in (heads, out):
        _add_inputs(model, gate)
    weight, bias = projection.weight.detach().T.contiguous().numpy(), projection.bias.detach().numpy()
    constants = {
        "projection": weight,
        "own": bias[None],
        "ones": np.ones((1, SIZES["heads"], 1, len(weight) // SIZES["heads"]), np.float32),
        "inner": np.array([-1, len(weight)]),
        "dim": np.array([-1, len(bias)]),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, f"{path}{BIAS}.{name}"))

    values = f"{path}{KEPT}"
    number = _renamed(model, values, f"{values}.computed")
    graph.node.insert(number, helper.make_node("Mul", [f"{values}.computed", heads.gate], [f"{values}.of_heads"]))
    graph.node.insert(number + 1, helper.make_node("Mul", [f"{values}.of_heads", out.gate], [values]))

    given = f"{path}{BIAS}"
    graph.input.remove(next(one for one in graph.input if one.name == given))
    nodes = [
        helper.make_node("Mul", [heads.value, f"{given}.ones"], [f"{given}.broadcast"]),
        helper.make_node("Transpose", [f"{given}.broadcast"], [f"{given}.turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{given}.turned", f"{given}.inner"], [f"{given}.side_by_side"]),
        helper.make_node("MatMul", [f"{given}.side_by_side", f"{given}.projection"], [f"{given}.projected"]),
        helper.make_node("Add", [f"{given}.projected", f"{given}.own"], [f"{given}.of_heads"]),
        helper.make_node("Mul", [f"{given}.of_heads", out.gate], [f"{given}.of_heads.kept"]),
        helper.make_node("Add", [f"{given}.of_heads.kept", out.value], [f"{given}.of_both"]),
        helper.make_node("Reshape", [f"{given}.of_both", f"{given}.dim"], [given]),
    ]
    for i, node in enumerate(nodes):
        graph.node.insert(i, node)


def _renamed(model: "ModelProto", name: str, computed: str) -> int:
    """Give what a node computes another name, so that the tensor's name is free; returns the place behind the node."""
    [number] = [i for i, node in enumerate(model.graph.node) if name in node.output]
    outputs = model.graph.node[number].output
    outputs[list(outputs).index(name)] = computed
    return number + 1


def _add_inputs(model: "ModelProto", gate: Gate) -> None:
    from onnx import TensorProto, helper

    switches = [SIZES.get(axis, axis) if axis in gate.switched else 1 for axis in gate.axes]
    free = [f"{gate.value} {axis}" for axis in gate.axes]
    model.graph.input.append(helper.make_tensor_value_info(gate.gate, TensorProto.FLOAT, switches))
    model.graph.input.append(helper.make_tensor_value_info(gate.value, TensorProto.FLOAT, free))
