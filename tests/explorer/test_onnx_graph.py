"""The model as ONNX: every tensor as in the trace, and every closed gate as `intervene` does it."""

from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import sam_edu
from sam_edu.ablation.changes import ATTENTIONS, CHANNELS, DEPTH, HEADS
from sam_edu.explorer.gates import GATES, MLPS, SIZES, Gate
from sam_edu.explorer.onnx_gates import OUTSIDE, quick_gates
from sam_edu.explorer.onnx_graph import OF_IMAGE, OF_IMAGE_ONLY, OF_POSITIONS, POSITIONS, export
from sam_edu.explorer.quick_decoder import ADDED, BY_POSITION, KEPT, STEP_4, STREAM, TURNED
from sam_edu.explorer.service import Service

# torch.export fails where shapes are checked.
pytestmark = pytest.mark.no_shape_check

CLICK = {"points": [[182, 133, 1]], "box": None}
OTHER = {"points": [[153, 112, 1]], "box": None}
ELSEWHERE = "scene-1000"
PROMPTS = {
    "click": CLICK,
    "two points": {"points": [[182, 133, 1], [127, 134, 0]], "box": None},
    "box": {"points": [], "box": [104, 65, 245, 203]},
    "point and box": {"points": [[182, 133, 1]], "box": [104, 65, 245, 203]},
    "five points": {"points": [[10 + 40 * i, 200 - 30 * i, i % 2] for i in range(5)], "box": None},
}
TOLERANCE = 5e-4
"""Of the tensor's largest number."""


class Graphs:
    """The graphs in onnxruntime."""

    def __init__(self) -> None:
        model = sam_edu.load("tiny")
        self.service = Service(sam_edu.Predictor(model), notes=False)
        self.models = export(model)
        loaded = (onnxruntime.InferenceSession(one.SerializeToString()) for one in self.models)
        positions, encoder, of_image, self.decoder, self.quick, self.masks, self.image_tokens = loaded
        self.positions = run(positions, {})
        self.encoded = {}
        for image in ("example", ELSEWHERE):
            pixels = torch.from_numpy(self.service.images[image]).permute(2, 0, 1)[None].float()
            found = run(encoder, {"image": model.preprocess(pixels).numpy()})
            self.encoded[image] = found | run(of_image, {**found, **self.positions})

    @cached_property
    def unchanged(self) -> dict[str, np.ndarray]:
        return self.run(CLICK)

    @cached_property
    def elsewhere(self) -> dict[str, np.ndarray]:
        return self.run(OTHER, image=ELSEWHERE)

    @cached_property
    def quick_elsewhere(self) -> dict[str, np.ndarray]:
        return self.run(OTHER, image=ELSEWHERE, quick=True)

    def run(
        self, prompts: dict[str, Any], image: str = "example", quick: bool = False, **changed: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Every output, with the inputs that are changed; those of the quick graph with what the two behind it add."""
        points = [point[:2] for point in prompts["points"]]
        labels = [point[2] for point in prompts["points"]]
        if prompts["box"]:
            points += [prompts["box"][:2], prompts["box"][2:]]
            labels += [2, 3]
        else:
            points.append([0, 0])
            labels.append(-1)
        feeds = {
            **self.encoded[image],
            **self.positions,
            "points": np.array([points], np.float32),
            "labels": np.array([labels], np.float32),
            **open_gates(5 + len(labels)),
            **nothing_from_outside(),
            **changed,
        }
        if not quick:
            return run(self.decoder, feeds)
        found = run(self.quick, feeds)
        for graph in (self.masks, self.image_tokens):
            found |= run(graph, {**feeds, **found})
        return {
            name.removesuffix(TURNED): x.swapaxes(2, 3) if name.endswith(TURNED) else x for name, x in found.items()
        }


def run(graph: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every output, from those of the feeds that the graph takes."""
    taken = {one.name: feeds[one.name] for one in graph.get_inputs()}
    return dict(zip([one.name for one in graph.get_outputs()], graph.run(None, taken), strict=True))


def nothing_from_outside() -> dict[str, np.ndarray]:
    sizes = zip(OUTSIDE, (64 * 64, 256), strict=True)
    return {path + name: np.zeros((0, size), np.float32) for name, size in sizes for path in STEP_4}


def open_gates(tokens: int) -> dict[str, np.ndarray]:
    feeds = {}
    for gate in GATES:
        feeds[gate.gate] = np.ones(gate_shape(gate, tokens), np.float32)
        feeds[gate.value] = np.zeros([1] * len(gate.axes), np.float32)
    return feeds


def gate_shape(gate: Gate, tokens: int) -> list[int]:
    return [SIZES.get(axis, tokens) if axis in gate.switched else 1 for axis in gate.axes]


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    return Graphs()


def assert_close(got: np.ndarray, wanted: torch.Tensor, name: str) -> None:
    wanted = wanted.detach().numpy()
    assert got.shape == wanted.shape, name
    scale = max(float(np.abs(wanted).max()), 1e-6)
    assert float(np.abs(got - wanted).max()) <= TOLERANCE * scale, name


def assert_masks_alike(got: np.ndarray, wanted: torch.Tensor) -> None:
    assert_close(got, wanted, "masks")
    assert np.mean((got > 0) != (wanted.numpy() > 0)) <= 1e-3


@pytest.mark.parametrize("kind", PROMPTS)
def test_every_tensor_is_that_of_the_trace(graphs: Graphs, kind: str) -> None:
    t = graphs.service.decode("example", PROMPTS[kind])
    got = graphs.run(PROMPTS[kind])
    traced = [name for name in got if name in t]
    assert {name for name in got if name not in t} == {f"{mlp}.out" for mlp in MLPS}
    left_out = {"prompt_encoder.sparse_embeddings", "prompt_encoder.dense_embeddings", "src", "pos_src"}
    assert set(t) - set(got) == left_out
    for name in traced:
        assert_close(got[name], t[name], name)
    assert_masks_alike(got["masks"], t["masks"])


@pytest.mark.parametrize("kind", PROMPTS)
def test_quick_decoder_gives_the_same_tensors(graphs: Graphs, kind: str) -> None:
    t = graphs.service.decode("example", PROMPTS[kind])
    got = graphs.run(PROMPTS[kind], quick=True)
    rows = got.pop(BY_POSITION)
    inner = {path + name for path in STEP_4 for name in (KEPT, *ADDED)} | {*STREAM, *(f"{mlp}.out" for mlp in MLPS)}
    for name in set(got) - inner:
        assert_close(got[name], t[name], name)
    assert_masks_alike(got["masks"], t["masks"])
    # (y, x, dy, dx, dy, dx, channel) -> (channel, y, dy, dy, x, dx, dx)
    channels = rows.reshape(64, 64, 2, 2, 2, 2, 32).transpose(6, 0, 2, 4, 1, 3, 5).reshape(1, 32, 256, 256)
    assert_close(channels, t["output_upscaling.activated_twice"], BY_POSITION)
    named = {f"{attention}.{x}" for attention in ATTENTIONS for x in ("weights", "out")}
    named |= {f"transformer.layers.{i}.{x}" for i in range(2) for x in ("queries_3", "keys_4")}
    assert named | {"masks", "iou_pred", "hyper_in", "hs"} <= set(got)


def test_embedding_is_that_of_the_predictor(graphs: Graphs) -> None:
    predictor = sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(sam_edu.example().image)
    assert_close(graphs.encoded["example"]["image_embedding"], predictor.get_image_embedding(), "image_embedding")
    assert set(graphs.encoded["example"]) == {"image_embedding", *OF_IMAGE, *OF_IMAGE_ONLY}


def test_positions_are_those_of_the_trace(graphs: Graphs) -> None:
    t = graphs.service.decode("example", CLICK)
    assert_close(graphs.positions[POSITIONS], t["pos_src"], POSITIONS)
    assert set(graphs.positions) == {POSITIONS, *OF_POSITIONS}


@pytest.mark.parametrize("number", range(7))
def test_graphs_are_valid_and_hold_nothing_of_this_machine(graphs: Graphs, number: int) -> None:
    model = graphs.models[number]
    onnx.checker.check_model(model)
    assert str(sam_edu.__file__).rsplit("/", 2)[0].encode() not in model.SerializeToString()


def single_switches() -> list[tuple[str, dict[str, list[int]]]]:
    """Every gate, and each of its switches; of the 128 of `hyper_in` a channel of all masks and a mask."""
    found: list[tuple[str, dict[str, list[int]]]] = [(gate.point, {}) for gate in GATES]
    found += [(f"{attention}.heads", {"heads": [head]}) for attention in ATTENTIONS for head in range(HEADS)]
    found += [("hs", {"tokens": [token]}) for token in range(7)]
    found += [("hyper_in", {"channels": [channel]}) for channel in range(CHANNELS)]
    found += [("hyper_in", {"masks": [mask]}) for mask in range(4)]
    return found


def closed(gate: Gate, select: dict[str, list[int]]) -> np.ndarray:
    keep = np.ones(gate_shape(gate, 7), np.float32)
    index = [np.array(select[axis]) if axis in select else np.arange(keep.shape[i]) for i, axis in enumerate(gate.axes)]
    keep[np.ix_(*index)] = 0
    return keep


@pytest.mark.parametrize(("point", "select"), single_switches(), ids=str)
def test_closed_gate_equals_intervene_and_changes_its_own_tensor(graphs: Graphs, point: str, select: dict) -> None:
    [gate] = [one for one in GATES if one.point == point]
    before = graphs.unchanged
    closing = {gate.gate: closed(gate, select)}
    got = graphs.run(CLICK, **closing)
    if gate in quick_gates():
        quick = graphs.run(CLICK, quick=True, **closing)
        for name in ("masks", "iou_pred", "hs", "transformer.layers.0.keys_4", *((point,) if point in quick else ())):
            assert_close(quick[name], torch.from_numpy(got[name]), name)
    t = graphs.service.decode("example", CLICK, [{"point": point, "how": "zero", "select": select}])
    assert_masks_alike(got["masks"], t["masks"])
    assert_close(got["iou_pred"], t["iou_pred"], "iou_pred")
    own = got[point]
    if point in t:
        assert_close(own, t[point], point)
    # What is selected is zero, all else of the tensor is as before.
    inside = np.broadcast_to(closed(gate, select) == 0, own.shape)
    assert not own[inside].any()
    np.testing.assert_array_equal(own[~inside], before[point][~inside])
    assert before[point][inside].any()


@pytest.mark.parametrize("gate", [gate for gate in GATES if not gate.point.endswith("mlp.out")], ids=lambda g: g.point)
def test_transplant_into_a_gate_equals_intervene(graphs: Graphs, gate: Gate) -> None:
    other = graphs.elsewhere
    assert not np.array_equal(other[gate.point], graphs.unchanged[gate.point])
    changed = {gate.gate: closed(gate, {}), gate.value: other[gate.point]}
    got = graphs.run(CLICK, **changed)
    path = gate.point.rsplit(".", 1)[0]
    if gate in quick_gates():
        if path in STEP_4:
            changed = {
                gate.gate: closed(gate, {}),
                **sum_from(graphs.quick_elsewhere, path, with_bias=gate.point.endswith("out")),
            }
        quick = graphs.run(CLICK, quick=True, **changed)
        for name in ("masks", "iou_pred", f"transformer.layers.{DEPTH - 1}.keys_4"):
            assert_close(quick[name], torch.from_numpy(got[name]), name)
    source = {"image": ELSEWHERE, "prompts": OTHER}
    t = graphs.service.decode("example", CLICK, [{"point": gate.point, "how": "transplant", "from": source}])
    np.testing.assert_array_equal(got[gate.point], other[gate.point])
    assert_masks_alike(got["masks"], t["masks"])


def sum_from(other: dict[str, np.ndarray], path: str, with_bias: bool) -> dict[str, np.ndarray]:
    """What a step (4) adds in another decode, for the quick graph."""
    parts = zip(OUTSIDE, ADDED, strict=True)
    return {path + name: other[path + part] if with_bias else other[path + part][:-1] for name, part in parts}


@pytest.mark.parametrize("heads", [[3], [0, 6]], ids=str)
@pytest.mark.parametrize("path", STEP_4)
def test_transplant_of_some_heads_that_are_never_there(graphs: Graphs, path: str, heads: list[int]) -> None:
    [gate] = [one for one in GATES if one.point == f"{path}.heads"]
    keep = closed(gate, {"heads": heads})
    rows = [7 * head + token for head in heads for token in range(7)]
    found = sum_from(graphs.quick_elsewhere, path, with_bias=False)
    quick = graphs.run(CLICK, quick=True, **{gate.gate: keep, **{name: x[rows] for name, x in found.items()}})
    got = graphs.run(CLICK, **{gate.gate: keep, gate.value: graphs.elsewhere[gate.point] * (1 - keep)})
    for name in ("masks", "iou_pred", f"{path}.out", f"transformer.layers.{DEPTH - 1}.keys_4"):
        assert_close(quick[name], torch.from_numpy(got[name]), name)
    assert np.abs(got["masks"] - graphs.unchanged["masks"]).max() > 10 * TOLERANCE * np.abs(got["masks"]).max()


@pytest.mark.parametrize("mlp", MLPS)
def test_mlp_that_adds_nothing_is_the_ablation_of_that_name(graphs: Graphs, mlp: str) -> None:
    [gate] = [one for one in GATES if one.point == f"{mlp}.out"]
    got = graphs.run(CLICK, **{gate.gate: closed(gate, {})})
    model = sam_edu.load("tiny")
    predictor = sam_edu.Predictor(model)
    predictor.set_image(sam_edu.example().image)
    with sam_edu.ablation.ablated(model, f"{mlp} zero"), sam_edu.trace(predictor) as t:
        predictor.predict([[182, 133]], [1])
    assert_masks_alike(got["masks"], t["masks"])


@pytest.mark.parametrize("head", [None, 3])
@pytest.mark.parametrize("block", [0, 1])
def test_mean_over_positions_of_heads_that_are_never_there(graphs: Graphs, block: int, head: int | None) -> None:
    point = f"transformer.layers.{block}.cross_attn_image_to_token.heads"
    [gate] = [one for one in GATES if one.point == point]
    select = {} if head is None else {"heads": [head]}
    keep = closed(gate, select)
    value = sam_edu.ablation.load().means.mean(point).numpy()[None] * (1 - keep)
    changed = {gate.gate: keep, gate.value: value.astype(np.float32)}
    t = graphs.service.decode("example", CLICK, [{"point": point, "how": "mean_over_positions", "select": select}])
    for quick in (False, True):
        assert_masks_alike(graphs.run(CLICK, quick=quick, **changed)["masks"], t["masks"])
