"""The graphs of the model as the page in a browser loads them.

    graphs, weights = page_files(export(sam_edu.load("tiny")), "encoder.weights", "decoder.weights")

A browser would optimise the graphs at each start, which took it longer than all else of the start: onnxruntime does it
here, once. What an image and the grid alone decide becomes part of the graphs, which are made anew for each image: as
inputs these 36 megabytes would be copied for each decode. The large weights are in files beside the graphs.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sam_edu.explorer.onnx_graph import OF_IMAGE, OF_IMAGE_ONLY, OF_POSITIONS, Graphs, bare

if TYPE_CHECKING:
    from onnx import ModelProto

GIVEN = (*OF_IMAGE, *OF_IMAGE_ONLY, *OF_POSITIONS)
"""Inputs that become weights of the graphs for an image."""

AS_EXPORTED = ("positions", "decoder")
"""Graphs that are not optimised: what their weights alone decide would be computed then, and is larger than these."""

_LARGE = 1024
"""Bytes from which on a weight is worth a place in a file."""


class Weights(NamedTuple):
    """Weights of graphs in one file.

    Attributes:
        content: what the file holds: half floats, then floats. Graphs expect it with floats in their place.
        halves: how many half floats.
    """

    content: bytes
    halves: int


def page_files(graphs: Graphs, of_encoder: str, of_others: str) -> tuple[Graphs, dict[str, Weights]]:
    """The graphs as a browser loads them.

    Args:
        graphs: as exported.
        of_encoder, of_others: names of the files of weights, as the graphs name them.

    Returns:
        the graphs, and the files by their names.
    """
    ready = Graphs(
        *(
            _copy(graph) if name in AS_EXPORTED else optimised(graph)
            for name, graph in zip(Graphs._fields, graphs, strict=True)
        )
    )
    for one in (ready.quick, ready.masks, ready.image_tokens):
        leave_open(one, GIVEN)
    others = [graph for graph in ready if graph is not ready.encoder]
    weights = {of_encoder: share_weights([ready.encoder], of_encoder), of_others: share_weights(others, of_others)}
    return ready, weights


def optimised(model: "ModelProto") -> "ModelProto":
    """The graph after onnxruntime's optimisations that hold for all processors.

    Args:
        model: is not changed.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return bare(onnx.load(path))


def leave_open(model: "ModelProto", names: Sequence[str]) -> None:
    """Turn inputs into weights that are given when the graph is loaded, each in a file of its own that has its name.

    Args:
        model: is changed.
        names: of the inputs; what the graph does not use goes.
    """
    from onnx import TensorProto
    from onnx.external_data_helper import set_external_data

    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    for given in [one for one in graph.input if one.name in names]:
        graph.input.remove(given)
        if given.name in used:
            of_type = given.type.tensor_type
            dims = [one.dim_value for one in of_type.shape.dim]
            tensor = TensorProto(name=given.name, data_type=of_type.elem_type, dims=dims, raw_data=b"")
            set_external_data(tensor, given.name, 0, 4 * int(np.prod(dims)))
            tensor.ClearField("raw_data")
            graph.initializer.append(tensor)


def share_weights(models: "Sequence[ModelProto]", name: str) -> Weights:
    """Take the large weights out of graphs into one file; what several graphs hold is there once.

    Args:
        models: are changed.
        name: of the file, as the graphs name it.
    """
    from onnx import TensorProto
    from onnx.external_data_helper import set_external_data

    large = [
        tensor
        for model in models
        for tensor in model.graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL
        and tensor.data_type == TensorProto.FLOAT
        and len(tensor.raw_data) >= _LARGE
    ]
    as_half, as_float = dict[bytes, bytes](), list[bytes]()
    for data in dict.fromkeys(tensor.raw_data for tensor in large):
        floats = np.frombuffer(data, "<f4")
        half = floats.astype("<f2")
        if np.array_equal(half.astype("<f4"), floats):
            as_half[data] = half.tobytes()
        else:
            as_float.append(data)
    places, at = dict[bytes, int](), 0
    for data in (*as_half, *as_float):
        places[data] = at
        at += len(data)
    for tensor in large:
        data = tensor.raw_data
        set_external_data(tensor, name, places[data], len(data))
        tensor.ClearField("raw_data")
    halves = sum(len(half) // 2 for half in as_half.values())
    return Weights(b"".join((*as_half.values(), *as_float)), halves)


def _copy(model: "ModelProto") -> "ModelProto":
    from onnx import ModelProto

    return ModelProto.FromString(model.SerializeToString())
