"""The graphs as the page loads them: the same numbers, and files that are small."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import sam_edu
from sam_edu.explorer.gates import GATES, SIZES
from sam_edu.explorer.onnx_files import AS_EXPORTED, GIVEN, Weights, page_files
from sam_edu.explorer.onnx_gates import OUTSIDE
from sam_edu.explorer.onnx_graph import OF_POSITIONS, Graphs, export
from sam_edu.explorer.quick_decoder import STEP_4

# torch.export fails where shapes are checked.
pytestmark = pytest.mark.no_shape_check

Arrays = dict[str, np.ndarray]


class Both:
    """The graphs as exported and as the page loads them, with all that each computes for a click."""

    def __init__(self, folder: Path) -> None:
        self.exported = export(sam_edu.load("tiny"))
        before = [one.SerializeToString() for one in self.exported]
        self.ready, self.weights = page_files(self.exported, "encoder.weights", "decoder.weights")
        assert [one.SerializeToString() for one in self.exported] == before
        for name, weights in self.weights.items():
            (folder / name).write_bytes(expanded(weights))
        self.of_exported = decoded(self.exported, None)
        self.of_ready = decoded(self.ready, folder)


def expanded(weights: Weights) -> bytes:
    """As the worker makes floats of what stands first in the file."""
    halves = np.frombuffer(weights.content[: 2 * weights.halves], "<f2")
    return halves.astype("<f4").tobytes() + weights.content[2 * weights.halves :]


def decoded(graphs: Graphs, folder: Path | None) -> Arrays:
    """What all graphs compute for an image of noise and a click. With a folder, what is given to the graphs is put into
    files there; else they are inputs."""
    generator = np.random.default_rng(0)
    found: Arrays = {"image": generator.normal(size=(1, 3, 256, 256)).astype(np.float32)}
    found |= {"points": np.array([[[182, 133], [0, 0]]], np.float32), "labels": np.array([[1, -1]], np.float32)}
    for gate in GATES:
        shape = [SIZES.get(axis, 7) if axis in gate.switched else 1 for axis in gate.axes]
        found[gate.gate] = generator.uniform(0.5, 1, shape).astype(np.float32)
        found[gate.value] = generator.normal(size=[1] * len(shape)).astype(np.float32)
    for name, size in zip(OUTSIDE, (64 * 64, 256), strict=True):
        found |= {path + name: generator.normal(size=(3, size)).astype(np.float32) for path in STEP_4}
    for name, graph in zip(graphs._fields, graphs, strict=True):
        given: str | bytes = graph.SerializeToString()
        if folder:
            (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
            given = str(folder / f"{name}.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        outputs = [one.name for one in session.get_outputs()]
        got = dict(
            zip(outputs, session.run(None, {one.name: found[one.name] for one in session.get_inputs()}), strict=True)
        )
        if folder:
            for output in set(got) & set(GIVEN):
                (folder / output).write_bytes(got[output].tobytes())
        found |= {f"{name}: {output}": x for output, x in got.items()} | got
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("files"))


def test_every_number_is_that_of_the_exported_graphs(both: Both) -> None:
    assert set(both.of_ready) == set(both.of_exported)
    for name, wanted in both.of_exported.items():
        got, scale = both.of_ready[name], max(float(np.abs(wanted).max()), 1e-6)
        assert got.shape == wanted.shape, name
        assert float(np.abs(got - wanted).max()) <= 1e-4 * scale, name


def test_graphs_are_valid_and_optimised(both: Both) -> None:
    for name, before, after in zip(Graphs._fields, both.exported, both.ready, strict=True):
        operators = {node.domain for node in after.graph.node}
        assert ("com.microsoft" in operators) == (name not in AS_EXPORTED), name
        assert len(after.graph.node) < len(before.graph.node) or name in AS_EXPORTED, name
        assert str(sam_edu.__file__).rsplit("/", 2)[0].encode() not in after.SerializeToString(), name


def test_what_the_image_decides_is_no_input_of_a_click(both: Both) -> None:
    for graph in (both.ready.quick, both.ready.masks, both.ready.image_tokens):
        assert not {one.name for one in graph.graph.input} & set(GIVEN)
        outside = {one.name for one in graph.graph.initializer if one.name in GIVEN}
        assert outside == {name for node in graph.graph.node for name in node.input} & set(GIVEN)
    used = {one.name for one in both.ready.quick.graph.initializer}
    assert set(OF_POSITIONS) <= used


def test_files_are_small(both: Both) -> None:
    model = sam_edu.load("tiny")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    total = sum(len(one.content) for one in both.weights.values())
    # Two bytes for each parameter, and a few weights in two forms; what several graphs hold is there once.
    assert 2 * parameters < total < 1.15 * 2 * parameters
    assert all(len(one.SerializeToString()) < 2e5 for one in both.ready)
