"""The tiny model as ONNX: an encoder of images, and a decoder whose tensors can be read and replaced by name.

The decoder's graph is that of `sam_edu.MaskDecoder` with the sparse half of the prompt encoder in front. Every traced
tensor is an output under its name in a trace, and every tensor of `GATES` has two inputs that replace it. What depends
on the image alone, or on the grid, has graphs of its own, so that a click does not pay for it. Two more graphs give the
masks sooner; they leave out the image tokens, which the last one adds where they are asked for. `onnx_files` makes of
them what a browser loads.

graphs = export(sam_edu.load("tiny"))      # needs onnx and onnxscript
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.explorer.gates import GATES, SIZES
from sam_edu.explorer.image_stream import ImageTokens
from sam_edu.explorer.of_image import IN_BOTH, ImageOnly, OfImage, OfPositions, PositionsOnly
from sam_edu.explorer.onnx_gates import BIAS, OUTSIDE, insert, insert_step_4, quick_gates
from sam_edu.explorer.quick_decoder import ADDED, BY_POSITION, STEP_4, STREAM, FromOutside, QuickDecoder, QuickMasks
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
"""What the image alone decides and the decoder's graph takes: the image tokens, and their projections in block 0, whose
input they are."""

OF_IMAGE_ONLY = tuple(f"of_image.{name}" for name in OfImage._fields[IN_BOTH:])
"""What the image alone decides and the quick graph, or what is behind it, takes besides."""

POSITIONS = "pos_src"
"""The positional encodings of the grid."""

OF_POSITIONS = tuple(f"of_positions.{name}" for name in OfPositions._fields)
"""What the grid alone decides, for the quick graph."""

MIN_TOKENS, MAX_TOKENS = 2, 64
"""Prompt tokens that a decode can have: a click and its padding token are two already."""

MAX_TERMS = 2 * (SIZES["heads"] * (MAX_TOKENS + 5) + 1)
"""Vectors that a step (4) can add, its own and those of another decode."""


class Graphs(NamedTuple):
    """The graphs of a model.

    Attributes:
        positions: from nothing to `POSITIONS` and `OF_POSITIONS`.
        encoder: from "image" (1, 3, size, size), normalised and padded, to "image_embedding".
        of_image: from "image_embedding" and `POSITIONS` to `OF_IMAGE` and `OF_IMAGE_ONLY`, seven times as much.
        decoder: from `OF_IMAGE`, `POSITIONS`, "points" (1, prompt_tokens, 2) in pixels of the padded image, "labels"
            (1, prompt_tokens), with 1 for a positive click, 0 for a negative one, -1 for padding, 2 and 3 for a box's
            corners, and two inputs per gate, to the traced tensors.
        quick: the same sooner (`QuickDecoder`), from `OF_IMAGE_ONLY` and `OF_POSITIONS` too, with fewer tensors, with
            the gates of `quick_gates` and with `OUTSIDE` for each of `STEP_4`.
        masks: from what the quick graph has to channels and masks (`QuickMasks`); the memory of one is free while the
            other runs.
        image_tokens: from the first image tokens and `ADDED` of each of `STEP_4` to what these add, and to the image
            tokens behind, which the quick graph leaves out.
    """

    positions: "ModelProto"
    encoder: "ModelProto"
    of_image: "ModelProto"
    decoder: "ModelProto"
    quick: "ModelProto"
    masks: "ModelProto"
    image_tokens: "ModelProto"


def export(model: Sam) -> Graphs:
    """The graphs of a model.

    Args:
        model: in eval mode, in float32.

    Raises:
        ModuleNotFoundError: onnx or onnxscript is not installed.
    """
    from onnx.utils import Extractor

    grid, size = model.prompt_encoder.image_embedding_size, model.image_size
    embedding, of_positions = torch.zeros(1, model.prompt_encoder.embed_dim, *grid), _PositionsOnly(model)
    positions = _exported(of_positions, (), [], [POSITIONS, *OF_POSITIONS])
    with torch.no_grad():
        pos_src, *projected = of_positions()
    encoder = _exported(model.image_encoder, (torch.zeros(1, 3, size, size),), ["image"], ["image_embedding"])
    image_only = _ImageOnly(model)
    names = [*OF_IMAGE, *OF_IMAGE_ONLY]
    of_image = _exported(image_only, (embedding, pos_src), ["image_embedding", POSITIONS], names)

    whole = _Decoder(model)
    points = torch.tensor([[[0.25 * size, 0.5 * size], [0.75 * size, 0.5 * size], [0.0, 0.0]]])
    prompt = (points, torch.tensor([[1.0, 0.0, -1.0]]))
    with torch.no_grad():
        traced = list(whole.seen(embedding, pos_src, *prompt))
        first: OfImage = image_only(embedding, pos_src)
    tokens = torch.export.Dim("prompt_tokens", min=MIN_TOKENS, max=MAX_TOKENS)
    shapes: Any = ({}, {}, {1: tokens}, {1: tokens})
    inputs = ["image_embedding", POSITIONS, "points", "labels"]
    outputs = [f"{name}.seen" if name == POSITIONS else name for name in traced]
    decoder = _exported(whole, (embedding, pos_src, *prompt), inputs, outputs, shapes)
    of_click = [name for name in traced if name not in (*OF_IMAGE, "src", POSITIONS)]
    decoder = Extractor(decoder).extract_model([*OF_IMAGE, POSITIONS, "points", "labels"], of_click)
    for gate in GATES:
        insert(decoder, gate)

    quick = _quick_graph(whole, first, OfPositions(*projected), prompt)
    behind = (_masks_graph(whole, first), _image_tokens_graph(whole, first))
    return Graphs(*(bare(graph) for graph in (positions, encoder, of_image, decoder, quick, *behind)))


def _quick_graph(
    whole: "_Decoder", of_image: OfImage, of_positions: OfPositions, prompt: tuple[Tensor, Tensor]
) -> "ModelProto":
    quick, decoder = _Quick(whole), whole.mask_decoder
    _, positions, dim = of_image.image_tokens.shape
    sizes = ((MIN_TOKENS, positions), (MIN_TOKENS, dim), (1, dim))
    # A tensor of its own for each: the exporter takes a tensor that is given twice for one input.
    given = (*of_image, *of_positions)
    inputs = (*given, *prompt, *(torch.zeros(size) for _ in STEP_4 for size in sizes))
    with torch.no_grad():
        names = list(quick.seen(*inputs))
    tokens = torch.export.Dim("prompt_tokens", min=MIN_TOKENS, max=MAX_TOKENS)
    # There may be no others too; the exporter knows of no such sizes, the graph works with them.
    others = [torch.export.Dim(f"others_{i}", min=MIN_TOKENS, max=MAX_TERMS // 2) for i in range(2)]
    free = [shape for one in others for shape in ({0: one}, {0: one}, {})]
    shapes = ((*({} for _ in given), {1: tokens}, {1: tokens}, *free),)  # one argument: *inputs
    of_outside = [path + name for path in STEP_4 for name in (*OUTSIDE, BIAS)]
    of_both = [*OF_IMAGE, *OF_IMAGE_ONLY, *OF_POSITIONS]
    graph = _exported(quick, inputs, [*of_both, "points", "labels", *of_outside], names, shapes)
    for gate in quick_gates():
        if gate.point in names:
            insert(graph, gate)
    for path in STEP_4:
        projection: Any = decoder.get_submodule(f"{path}.out_proj")
        insert_step_4(graph, path, projection)
    return graph


def _masks_graph(whole: "_Decoder", of_image: OfImage) -> "ModelProto":
    _, positions, dim = of_image.image_tokens.shape
    hyper_in = torch.zeros(1, SIZES["masks"], SIZES["channels"])
    sizes = ((1, positions), (MIN_TOKENS, positions), (MIN_TOKENS, dim))
    inputs = (of_image.upscaled, *(torch.zeros(size) for size in sizes), hyper_in)
    terms = torch.export.Dim("terms", min=MIN_TOKENS, max=2 * MAX_TERMS)
    shapes: Any = ({}, {}, {0: terms}, {0: terms}, {})
    names = ["of_image.upscaled", *STREAM, "hyper_in"]
    return _exported(QuickMasks(whole.mask_decoder), inputs, names, [BY_POSITION, "masks"], shapes)


def _image_tokens_graph(whole: "_Decoder", of_image: OfImage) -> "ModelProto":
    _, positions, dim = of_image.image_tokens.shape
    inputs = (of_image.image_tokens, *(torch.zeros(MIN_TOKENS, size) for _ in STEP_4 for size in (positions, dim)))
    terms = [torch.export.Dim(f"terms_{i}", min=MIN_TOKENS, max=MAX_TERMS) for i in range(2)]
    shapes: Any = ({}, tuple({0: one} for one in terms for _ in ADDED))
    names = [path + name for path in STEP_4 for name in ADDED]
    of_blocks = [(f"{path}.out", f"transformer.layers.{i}.keys_4") for i, path in enumerate(STEP_4)]
    found = [name for pair in of_blocks for name in pair]
    return _exported(ImageTokens(whole.mask_decoder), inputs, ["image_tokens", *names], found, shapes)


class _Decoder(nn.Module):
    """Prompt tokens and decoder; returns every traced tensor."""

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder

    def forward(self, embedding: Tensor, pos_src: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.seen(embedding, pos_src, points, labels).values())

    def seen(self, embedding: Tensor, pos_src: Tensor, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The tensors by name, in the order of computation."""
        encoder, decoder = self.prompt_encoder, self.mask_decoder
        dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *encoder.image_embedding_size)
        with _hooks(decoder) as seen:
            decoder.predict_masks(embedding, pos_src, self.prompt_tokens(points, labels), dense)
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


class _PositionsOnly(nn.Module):
    """The positional encodings of the grid, and what these alone decide."""

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.prompt_encoder, self.of_positions = model.prompt_encoder, PositionsOnly(model.mask_decoder)

    def forward(self) -> tuple[Tensor, ...]:
        pos_src = self.prompt_encoder.get_dense_pe()
        return pos_src, *self.of_positions(pos_src)


class _ImageOnly(nn.Module):
    """From the image embedding and the positional encodings to what the image alone decides."""

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.prompt_encoder, self.of_image = model.prompt_encoder, ImageOnly(model.mask_decoder)

    def forward(self, embedding: Tensor, pos_src: Tensor) -> OfImage:
        maps = (embedding + self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1), pos_src)
        return self.of_image(*(x.flatten(2).transpose(1, 2) for x in maps))


class _Quick(nn.Module):
    """Prompt tokens and quick decoder; returns its named tensors."""

    def __init__(self, whole: _Decoder) -> None:
        super().__init__()
        self.whole, self.quick = whole, QuickDecoder(whole.mask_decoder)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.seen(*inputs).values())

    def seen(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The tensors by name, in the order of computation."""
        first, second = len(OfImage._fields), len(OfImage._fields + OfPositions._fields)
        of_image, of_positions = OfImage(*inputs[:first]), OfPositions(*inputs[first:second])
        points, labels, *rest = inputs[second:]
        outside = [FromOutside(*rest[:3]), FromOutside(*rest[3:])]
        return self.quick(of_image, of_positions, self.whole.prompt_tokens(points, labels), outside)


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


def bare(model: "ModelProto") -> "ModelProto":
    """Without what the exporter notes of the code: lines, names, and the paths of this machine."""
    graph = model.graph
    for one in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del one.metadata_props[:]
        one.doc_string = ""
    return model
