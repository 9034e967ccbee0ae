"""The tiny model as ONNX: an encoder of images, and a decoder whose tensors can be read and replaced by name.

The decoder's graph is that of `sam_edu.MaskDecoder` with the sparse half of the prompt encoder in front. Every traced
tensor is an output under its name in a trace, and every tensor of `GATES` has two inputs that replace it. What depends
on the image alone, the first projections of the image tokens, is in the encoder's graph, so that a click does not pay
for it.

graphs = export(sam_edu.load("tiny"))      # needs onnx and onnxscript
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.explorer.gates import GATES, SIZES, Gate
from sam_edu.explorer.quick_decoder import FOLDED, ROWS, QuickDecoder
from sam_edu.modules.trace_point import TracePoint
from sam_edu.sam import Sam

if TYPE_CHECKING:
    from onnx import ModelProto

OF_IMAGE = (
    "image_tokens",
    "transformer.layers.0.cross_attn_token_to_image.k_of_image",
    "transformer.layers.0.cross_attn_token_to_image.v_of_image",
    "transformer.layers.0.cross_attn_image_to_token.q_of_image",
)
"""What the encoder's graph computes besides the embedding and the decoder's graph takes: the image tokens, and their
projections in block 0, whose input they are."""

_SHARED = 1024
"""Bytes from which on a weight is worth a place in the shared file."""

MIN_TOKENS, MAX_TOKENS = 2, 64
"""Prompt tokens that a decode can have: a click and its padding token are two already."""


class Graphs(NamedTuple):
    """The graphs of a model.

    Attributes:
        encoder: from "image" (1, 3, size, size), normalised and padded, to "image_embedding" and `OF_IMAGE`.
        decoder: from `OF_IMAGE`, "points" (1, prompt_tokens, 2) in pixels of the padded image, "labels"
            (1, prompt_tokens), with 1 for a positive click, 0 for a negative one, -1 for padding, 2 and 3 for a box's
            corners, and two inputs per gate, to the traced tensors.
        quick: the same sooner (`QuickDecoder`), with fewer tensors, and with the gates of `quick_gates`.
    """

    encoder: "ModelProto"
    decoder: "ModelProto"
    quick: "ModelProto"


def export(model: Sam) -> Graphs:
    """The graphs of a model.

    Args:
        model: in eval mode, in float32.

    Raises:
        ModuleNotFoundError: onnx or onnxscript is not installed.
    """
    from onnx.utils import Extractor

    grid, size = model.prompt_encoder.image_embedding_size, model.image_size
    dim = model.prompt_encoder.embed_dim
    encoder = _exported(model.image_encoder, (torch.zeros(1, 3, size, size),), ["image"], ["image_embedding"])
    whole = _Decoder(model)
    points = torch.tensor([[[0.25 * size, 0.5 * size], [0.75 * size, 0.5 * size], [0.0, 0.0]]])
    inputs = (torch.zeros(1, dim, *grid), points, torch.tensor([[1.0, 0.0, -1.0]]))
    with torch.no_grad():
        seen = whole.seen(*inputs)
    names = list(seen)
    tokens = torch.export.Dim("prompt_tokens", min=MIN_TOKENS, max=MAX_TOKENS)
    shapes: Any = ({}, {1: tokens}, {1: tokens})
    both = _exported(whole, inputs, ["image_embedding", "points", "labels"], names, shapes)
    before, after = Extractor(both), Extractor(both)
    of_image = before.extract_model(["image_embedding"], list(OF_IMAGE))
    of_click = [name for name in names if name not in (*OF_IMAGE, "src", "pos_src")]
    decoder = after.extract_model([*OF_IMAGE, "points", "labels"], of_click)
    for gate in GATES:
        _insert(decoder, gate)
    of_image_and_prompt = (*(seen[name] for name in OF_IMAGE), *inputs[1:])
    quick = _Quick(whole)
    with torch.no_grad():
        names = list(quick.seen(*of_image_and_prompt))
    shapes = ((*({} for _ in OF_IMAGE), {1: tokens}, {1: tokens}),)  # one argument: *inputs
    quick_graph = _exported(quick, of_image_and_prompt, [*OF_IMAGE, "points", "labels"], names, shapes)
    for gate in quick_gates():
        if gate.point in names:
            _insert(quick_graph, gate)
    for path in (name.removesuffix(FOLDED) for name in names if name.endswith(FOLDED)):
        _insert_folded(quick_graph, path, model.mask_decoder.get_parameter(f"{path}.out_proj.weight").T)
    return Graphs(*(_bare(_half(graph)) for graph in (_joined(encoder, of_image), decoder, quick_graph)))


def quick_gates() -> tuple[Gate, ...]:
    """The gates of the quick graph: all but those of keys and values."""
    return tuple(gate for gate in GATES if not gate.point.endswith((".k", ".v")))


def share_weights(models: "Sequence[ModelProto]", name: str) -> bytes:
    """Take the large weights out of graphs into one file; what several graphs hold is there once.

    Args:
        models: are changed.
        name: of the file, as the graphs name it.

    Returns:
        the file.
    """
    from onnx import TensorProto
    from onnx.external_data_helper import set_external_data

    content, places = bytearray(), dict[bytes, int]()
    for model in models:
        for tensor in model.graph.initializer:
            data = tensor.raw_data
            if len(data) < _SHARED or tensor.data_location == TensorProto.EXTERNAL:
                continue
            if data not in places:
                content += b"\0" * (-len(content) % 4096)  # as readers that map the file expect
                places[data] = len(content)
                content += data
            set_external_data(tensor, name, places[data], len(data))
            tensor.ClearField("raw_data")
    return bytes(content)


class _Decoder(nn.Module):
    """Prompt tokens and decoder; returns every traced tensor."""

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder

    def forward(self, embedding: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.seen(embedding, points, labels).values())

    def seen(self, embedding: Tensor, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The tensors by name, in the order of computation."""
        encoder, decoder = self.prompt_encoder, self.mask_decoder
        dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *encoder.image_embedding_size)
        with _hooks(decoder) as seen:
            decoder.predict_masks(embedding, encoder.get_dense_pe(), self.prompt_tokens(points, labels), dense)
        return seen

    def prompt_tokens(
        self, points: Float[Tensor, "1 prompt_tokens 2"], labels: Float[Tensor, "1 prompt_tokens"]
    ) -> Float[Tensor, "1 prompt_tokens dim"]:
        """As `PromptEncoder` embeds clicks, padding and corners, with the label as a number in the graph."""
        encoder = self.prompt_encoder
        encoding = encoder.pe_layer.forward_with_coords(points + 0.5, encoder.input_image_size)
        label = labels.unsqueeze(-1)
        encoding = torch.where(label == -1, encoder.not_a_point_embed.weight, encoding)
        for kind in range(encoder.num_point_embeddings):
            embedding: Any = encoder.point_embeddings[kind]
            encoding = torch.where(label == kind, encoding + embedding.weight, encoding)
        return encoding


class _Quick(nn.Module):
    """Prompt tokens and quick decoder; returns its named tensors."""

    def __init__(self, whole: _Decoder) -> None:
        super().__init__()
        self.whole, self.quick = whole, QuickDecoder(whole.mask_decoder)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.seen(*inputs).values())

    def seen(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The tensors by name, in the order of computation."""
        *of_image, points, labels = inputs
        image_pe = self.whole.prompt_encoder.get_dense_pe()
        return self.quick(*of_image, image_pe, self.whole.prompt_tokens(points, labels))


@contextlib.contextmanager
def _hooks(decoder: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect what every trace point and every MLP returns, and what `OF_IMAGE` names."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, args, output: seen.__setitem__(name, output)

    def keep_image_tokens(module: nn.Module, args: object, kwargs: dict[str, Tensor]) -> None:
        seen["image_tokens"] = kwargs["keys"]

    block = decoder.get_submodule("transformer.layers.0")
    handles = [block.register_forward_pre_hook(keep_image_tokens, with_kwargs=True)]
    for path, module in decoder.named_modules():
        if isinstance(module, TracePoint):
            handles.append(module.register_forward_hook(keep(path)))
        elif path.endswith(".mlp"):
            handles.append(module.register_forward_hook(keep(f"{path}.out")))
    for name in OF_IMAGE[1:]:
        path = name.removesuffix("_of_image") + "_proj"
        handles.append(decoder.get_submodule(path).register_forward_hook(keep(name)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _exported(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str], shapes: Any = None
) -> "ModelProto":
    """A module as ONNX, in eval mode. The exporter's progress is not shown."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        level = logging.getLogger("torch.onnx").level
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                input_names=list(names),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                verbose=False,
            )
        finally:
            logging.getLogger("torch.onnx").setLevel(level)
    assert program is not None
    return program.model_proto


def _insert(model: "ModelProto", gate: Gate) -> None:
    """Put gate * x + value behind the tensor x: all that reads it, the output of its name included, gets the result."""
    from onnx import TensorProto, helper

    graph, computed, kept = model.graph, f"{gate.point}.computed", f"{gate.point}.kept"
    [number] = [i for i, node in enumerate(graph.node) if gate.point in node.output]
    outputs = graph.node[number].output
    outputs[list(outputs).index(gate.point)] = computed
    graph.node.insert(number + 1, helper.make_node("Mul", [computed, gate.gate], [kept], name=kept))
    graph.node.insert(number + 2, helper.make_node("Add", [kept, gate.value], [gate.point], name=f"{gate.point}.gated"))
    switches = [SIZES.get(axis, axis) if axis in gate.switched else 1 for axis in gate.axes]
    free = [f"{gate.value} {axis}" for axis in gate.axes]
    graph.input.append(helper.make_tensor_value_info(gate.gate, TensorProto.FLOAT, switches))
    graph.input.append(helper.make_tensor_value_info(gate.value, TensorProto.FLOAT, free))


def _insert_folded(model: "ModelProto", path: str, projection: Tensor) -> None:
    """Both gates of an attention of step (4) in the quick graph, where its heads' outputs are never there.

    Its output is weights @ folded + bias. The gates of the heads and of the output scale the folded values, of which
    there are few; what replaces heads goes through the projection out, and all that replaces goes where the bias was.
    It has one position, or all.

    Args:
        model: is changed.
        path: of the attention.
        projection: its projection out, (inner, dim).
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    heads, out = (next(gate for gate in GATES if gate.point == f"{path}.{name}") for name in ("heads", "out"))
    for gate in (heads, out):
        switches = [SIZES.get(axis, axis) if axis in gate.switched else 1 for axis in gate.axes]
        free = [f"{gate.value} {axis}" for axis in gate.axes]
        graph.input.append(helper.make_tensor_value_info(gate.gate, TensorProto.FLOAT, switches))
        graph.input.append(helper.make_tensor_value_info(gate.value, TensorProto.FLOAT, free))
    inner, dim = projection.shape
    constants = {
        "projection": projection.detach().contiguous().numpy(),
        "ones": np.ones((1, SIZES["heads"], 1, inner // SIZES["heads"]), np.float32),
        "inner": np.array([-1, inner]),
        "dim": np.array([-1, dim]),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, f"{path}.{name}"))

    folded = f"{path}{FOLDED}"
    [number] = [i for i, node in enumerate(graph.node) if folded in node.output]
    outputs = graph.node[number].output
    outputs[list(outputs).index(folded)] = f"{folded}.computed"
    graph.node.insert(number + 1, helper.make_node("Mul", [f"{folded}.computed", heads.gate], [f"{folded}.kept"]))
    graph.node.insert(number + 2, helper.make_node("Mul", [f"{folded}.kept", out.gate], [folded]))

    [number] = [i for i, node in enumerate(graph.node) if f"{out.point}{ROWS}" in node.output]
    product = graph.node[number]
    assert product.op_type == "Gemm", product.op_type
    bias, product.input[2] = product.input[2], f"{path}.replaced"
    nodes = [
        helper.make_node("Mul", [heads.value, f"{path}.ones"], [f"{path}.broadcast"]),
        helper.make_node("Transpose", [f"{path}.broadcast"], [f"{path}.turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{path}.turned", f"{path}.inner"], [f"{path}.side_by_side"]),
        helper.make_node("MatMul", [f"{path}.side_by_side", f"{path}.projection"], [f"{path}.projected"]),
        helper.make_node("Add", [f"{path}.projected", bias], [f"{path}.of_heads"]),
        helper.make_node("Mul", [f"{path}.of_heads", out.gate], [f"{path}.of_heads.kept"]),
        helper.make_node("Add", [f"{path}.of_heads.kept", out.value], [f"{path}.of_both"]),
        helper.make_node("Reshape", [f"{path}.of_both", f"{path}.dim"], [f"{path}.replaced"]),
    ]
    for i, node in enumerate(nodes):
        graph.node.insert(number + i, node)


def _joined(first: "ModelProto", second: "ModelProto") -> "ModelProto":
    """The second graph after the first; the image embedding stays an output."""
    from onnx import compose

    return compose.merge_models(
        compose.add_prefix(first, "encoder.", rename_inputs=False, rename_outputs=False),
        second,
        io_map=[("image_embedding", "image_embedding")],
        outputs=["image_embedding", *OF_IMAGE],
    )


def _half(model: "ModelProto") -> "ModelProto":
    """Store as half floats what they hold exactly, and convert it when the graph is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if half.size < 16 or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    return model


def _bare(model: "ModelProto") -> "ModelProto":
    """Without what the exporter notes of the code: lines, names, and the paths of this machine."""
    graph = model.graph
    for one in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del one.metadata_props[:]
        one.doc_string = ""
    return model
