"""The table of trace points: one row per traced tensor of the prompt encoder and the mask decoder.

Tracing reads a tensor's step and notebook here, `sam_edu.official.compare` where it appears in Meta's forward, the
glossary its names, the poster its name, step and axes. To add a trace point, give the module a `TracePoint` and this
table one row.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["input", "output", "stacked outputs", "softmax input", "softmax output"]


@dataclass(frozen=True)
class Counterpart:
    """Where a tensor appears in Meta's forward, seen from the module of the same path that has our trace point.

    Attributes:
        kind: what is read: an argument of a part, what it returns, the outputs of its children stacked along axis 1,
            or what its own softmax takes or returns.
        part: a submodule's path, or a method's name (`predict_masks`); "" is the module itself.
        index: which argument, or which element of a returned tuple; None where the tensor itself is returned.
        split_heads: whether Meta's tensor is (batch, length, heads * head_dim) where ours is
            (batch, heads, length, head_dim).
    """

    kind: Kind
    part: str = ""
    index: int | None = None
    split_heads: bool = False


class TracedTensor(NamedTuple):
    """One row of the table.

    Attributes:
        name: the tensor's name in the trace of a whole model; `{i}` is the number of a block.
        step: its address in the decoder, "(0)" to "(7)", or "prompt".
        axes: the names of its axes, as its `TracePoint` has them.
        notebook: the notebook that teaches it.
        paper: the paper's term; "" where the paper has none.
        official: the name in Meta's code, in words where no variable holds the tensor.
        counterpart: where it appears in Meta's forward; None where it does not.
    """

    name: str
    step: str
    axes: str
    notebook: str
    paper: str
    official: str
    counterpart: Counterpart | None


_IMAGE = "batch dim height width"
_TOKENS = "batch tokens dim"
_IMAGE_TOKENS = "batch image_tokens dim"
_CHANNELS = "batch channels height width"
_QUERY_HEADS = "batch heads queries head_dim"
_KEY_HEADS = "batch heads keys head_dim"
_ATTENTION_MAP = "batch heads queries keys"


def _rows_of_attention(path: str, step: str) -> tuple[TracedTensor, ...]:
    """The rows of the `Attention` at `path`."""
    q, k, v = (Counterpart("output", f"{x}_proj", split_heads=True) for x in "qkv")
    attended = Counterpart("input", "out_proj", 0, split_heads=True)
    qkv = ("queries, keys, values", "q, k, v after _separate_heads")
    before, after = Counterpart("softmax input"), Counterpart("softmax output")
    return (
        TracedTensor(f"{path}.q", step, _QUERY_HEADS, "02", *qkv, q),
        TracedTensor(f"{path}.k", step, _KEY_HEADS, "02", *qkv, k),
        TracedTensor(f"{path}.v", step, _KEY_HEADS, "02", *qkv, v),
        TracedTensor(f"{path}.scores", step, _ATTENTION_MAP, "02", "", "attn before softmax", before),
        TracedTensor(f"{path}.weights", step, _ATTENTION_MAP, "02", "", "attn after softmax", after),
        TracedTensor(f"{path}.heads", step, _QUERY_HEADS, "02", "", "out before out_proj", attended),
        TracedTensor(f"{path}.out", step, "batch queries dim", "02", "", "attn_out", Counterpart("output")),
    )


TRACE_POINTS: tuple[TracedTensor, ...] = (
    TracedTensor(
        "prompt_encoder.sparse_embeddings",
        "prompt",
        "batch prompt_tokens dim",
        "03",
        "sparse prompts, embedded: prompt tokens",
        "sparse_prompt_embeddings",
        Counterpart("output", index=0),
    ),
    TracedTensor(
        "prompt_encoder.dense_embeddings",
        "prompt",
        _IMAGE,
        "03",
        "dense prompt (mask)",
        "dense_prompt_embeddings",
        Counterpart("output", index=1),
    ),
    TracedTensor(
        "tokens",
        "(0)",
        _TOKENS,
        "08",
        "tokens: output tokens and prompt tokens",
        "tokens, point_embedding, query_pe",
        Counterpart("input", "transformer", 2),
    ),
    TracedTensor(
        "src",
        "(0)",
        _IMAGE,
        "08",
        "image embedding, the mask prompt added element-wise",
        "src, image_embedding",
        Counterpart("input", "transformer", 0),
    ),
    TracedTensor(
        "pos_src",
        "(0)",
        _IMAGE,
        "08",
        "positional encodings of the image embedding",
        "pos_src, image_pe, key_pe",
        Counterpart("input", "transformer", 1),
    ),
    *_rows_of_attention("transformer.layers.{i}.self_attn", "(1)"),
    TracedTensor(
        "transformer.layers.{i}.queries_1",
        "(1)",
        _TOKENS,
        "04",
        "self-attention on the tokens",
        "queries after norm1",
        Counterpart("output", "norm1"),
    ),
    *_rows_of_attention("transformer.layers.{i}.cross_attn_token_to_image", "(2)"),
    TracedTensor(
        "transformer.layers.{i}.queries_2",
        "(2)",
        _TOKENS,
        "04",
        "cross-attention from tokens to the image embedding",
        "queries after norm2",
        Counterpart("output", "norm2"),
    ),
    TracedTensor(
        "transformer.layers.{i}.mlp.hidden",
        "(3)",
        "batch tokens mlp_dim",
        "01",
        "internal dimension of the MLP",
        "act(lin1(x))",
        Counterpart("input", "lin2", 0),
    ),
    TracedTensor(
        "transformer.layers.{i}.queries_3",
        "(3)",
        _TOKENS,
        "04",
        "updated tokens, after a decoder layer",
        "queries after norm3",
        Counterpart("output", "norm3"),
    ),
    *_rows_of_attention("transformer.layers.{i}.cross_attn_image_to_token", "(4)"),
    TracedTensor(
        "transformer.layers.{i}.keys_4",
        "(4)",
        _IMAGE_TOKENS,
        "04",
        "updated image embedding, after a decoder layer",
        "keys after norm4",
        Counterpart("output", "norm4"),
    ),
    *_rows_of_attention("transformer.final_attn_token_to_image", "(6-1)"),
    TracedTensor(
        "hs",
        "(6-1)",
        _TOKENS,
        "05",
        "updated tokens, having attended once more",
        "hs",
        Counterpart("output", "transformer", 0),
    ),
    TracedTensor(
        "keys",
        "(5)",
        _IMAGE_TOKENS,
        "05",
        "updated image embedding",
        "src after the transformer",
        Counterpart("output", "transformer", 1),
    ),
    TracedTensor(
        "output_upscaling.doubled_once",
        "(5)",
        _CHANNELS,
        "06",
        "first transposed convolutional layer",
        "output_upscaling[0]",
        Counterpart("output", "0"),
    ),
    TracedTensor(
        "output_upscaling.normed",
        "(5)",
        _CHANNELS,
        "06",
        "layer normalization",
        "output_upscaling[1]",
        Counterpart("output", "1"),
    ),
    TracedTensor(
        "output_upscaling.activated_once",
        "(5)",
        _CHANNELS,
        "06",
        "GELU activation",
        "output_upscaling[2]",
        Counterpart("output", "2"),
    ),
    TracedTensor(
        "output_upscaling.doubled_twice",
        "(5)",
        _CHANNELS,
        "06",
        "second transposed convolutional layer",
        "output_upscaling[3]",
        Counterpart("output", "3"),
    ),
    TracedTensor(
        "output_upscaling.activated_twice",
        "(5)",
        _CHANNELS,
        "06",
        "upscaled image embedding",
        "upscaled_embedding",
        Counterpart("output", "4"),
    ),
    TracedTensor(
        "hyper_in",
        "(6-2)",
        "batch masks channels",
        "07",
        "output of the 3-layer MLP: dynamic linear classifier",
        "hyper_in",
        Counterpart("stacked outputs", "output_hypernetworks_mlps"),
    ),
    TracedTensor(
        "masks",
        "(6-3)",
        "batch masks height width",
        "07",
        "unthresholded mask logits",
        "masks, low_res_masks",
        Counterpart("output", "predict_masks", 0),
    ),
    TracedTensor(
        "iou_pred",
        "(7)",
        "batch masks",
        "08",
        "predicted IoU",
        "iou_pred, iou_predictions",
        Counterpart("output", "predict_masks", 1),
    ),
)


def pattern(name: str) -> str:
    """A tensor's name with `{i}` for the number of its block."""
    return re.sub(r"(^|\.)layers\.\d+\.", r"\1layers.{i}.", name)


def find(name: str) -> TracedTensor | None:
    """The row of a traced tensor: the one whose name has the longest end in common with `name`.

    A module on its own has shorter names than in a whole model (`hidden` in an `MLPBlock`). Where several rows fit
    equally well, as for `q` in an `Attention` on its own, which serves several steps, what they do not agree on is
    empty.

    Args:
        name: the tensor's name in a trace.

    Returns:
        the row, with `name` as given and no other change; None where no row has the same last part of the name.
    """
    components = pattern(name).split(".")
    length, rows = 0, list[TracedTensor]()
    for row in TRACE_POINTS:
        common = _common_end(components, row.name.split("."))
        if common > length:
            length, rows = common, []
        if common == length > 0:
            rows.append(row)
    if not rows:
        return None

    def shared(field: str) -> str:
        first, *others = (getattr(row, field) for row in rows)
        return first if all(other == first for other in others) else ""

    counterparts = {row.counterpart for row in rows}
    return TracedTensor(
        name,
        step=shared("step"),
        axes=shared("axes"),
        notebook=shared("notebook"),
        paper=shared("paper"),
        official=shared("official"),
        counterpart=counterparts.pop() if len(counterparts) == 1 else None,
    )


def _common_end(a: list[str], b: list[str]) -> int:
    """How many of the last components are the same."""
    length = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        length += 1
    return length
