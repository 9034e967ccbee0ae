"""Bad input raises an error that names the argument, its shape and the expected shape.

Under the shape checker the checker's own error comes first, hence the mark.
"""

import pytest
import torch
from parity import TINY, decoder_inputs, make_pair
from torch import zeros

from sam_edu.modules import (
    MLP,
    Attention,
    HypernetworkMLPs,
    LayerNorm2d,
    MaskDecoder,
    MLPBlock,
    OutputUpscaling,
    PositionEmbeddingRandom,
    PromptEncoder,
    TwoWayAttentionBlock,
    TwoWayTransformer,
    mask_product,
)

pytestmark = pytest.mark.no_shape_check

ENCODER = {"embed_dim": 8, "image_embedding_size": (2, 3), "input_image_size": (20, 30), "mask_in_chans": 4}


def attend(q=(2, 3, 8), k=(2, 5, 8), v=(2, 5, 8)):
    return lambda: Attention(8, 2)(zeros(q), zeros(k), zeros(v))


def block(queries=(2, 3, 8), keys=(2, 5, 8), query_pe=(2, 3, 8), key_pe=(2, 5, 8)):
    return lambda: TwoWayAttentionBlock(8, 2, 4)(zeros(queries), zeros(keys), zeros(query_pe), zeros(key_pe))


def transform(image=(2, 8, 3, 4), pe=(1, 8, 3, 4), points=(2, 5, 8)):
    return lambda: TwoWayTransformer(1, 8, 2, 4)(zeros(image), zeros(pe), zeros(points))


def decode(image=(1, 8, 3, 4), pe=(1, 8, 3, 4), sparse=(2, 3, 8), dense=(2, 8, 3, 4)):
    def call():
        decoder = MaskDecoder(transformer_dim=8, transformer=TwoWayTransformer(1, 8, 2, 4))
        return decoder(zeros(image), zeros(pe), zeros(sparse), zeros(dense), True)

    return call


def encode(points=None, boxes=None, masks=None):
    return lambda: PromptEncoder(**ENCODER)(points, boxes, masks)


# A call, and what its message must contain: the argument, the expected shape, the given shape.
CASES = {
    "MLP width": (lambda: MLP(4, 8, 2, 2)(zeros(2, 5)), ["x:", "(..., 4)", "(2, 5)"]),
    "MLP scalar": (lambda: MLP(4, 8, 2, 2)(zeros(())), ["x:", "(..., 4)", "()"]),
    "MLP layers": (lambda: MLP(4, 8, 2, 0), ["num_layers:", "at least 1", "0"]),
    "MLPBlock width": (lambda: MLPBlock(4, 8)(zeros(2, 3, 5)), ["x:", "(..., 4)", "(2, 3, 5)"]),
    "LayerNorm2d channels": (
        lambda: LayerNorm2d(4)(zeros(2, 3, 5, 5)),
        ["x:", "(batch, 4, height, width)", "(2, 3, 5, 5)"],
    ),
    "LayerNorm2d rank": (lambda: LayerNorm2d(4)(zeros(4, 5, 5)), ["x:", "(batch, 4, height, width)", "(4, 5, 5)"]),
    "Attention heads": (lambda: Attention(8, 3), ["num_heads:", "8", "3"]),
    "Attention heads after downsampling": (lambda: Attention(8, 8, 2), ["num_heads:", "4", "8"]),
    "Attention q rank": (attend(q=(3, 8)), ["q:", "(batch, queries, 8)", "(3, 8)"]),
    "Attention q width": (attend(q=(2, 3, 7)), ["q:", "(batch, queries, 8)", "(2, 3, 7)"]),
    "Attention k width": (attend(k=(2, 5, 4)), ["k:", "(batch, keys, 8)", "(2, 5, 4)"]),
    "Attention v length": (attend(v=(2, 6, 8)), ["v:", "(batch, 5, 8)", "(2, 6, 8)"]),
    "Attention batches": (attend(q=(3, 3, 8)), ["batch sizes", "q has 3", "k has 2", "v has 2"]),
    "block queries": (block(queries=(2, 3, 9)), ["queries:", "(batch, tokens, 8)", "(2, 3, 9)"]),
    "block keys": (block(keys=(2, 8)), ["keys:", "(batch, image_tokens, 8)", "(2, 8)"]),
    "block query_pe": (block(query_pe=(2, 4, 8)), ["query_pe:", "(batch, 3, 8)", "(2, 4, 8)"]),
    "block key_pe": (block(key_pe=(2, 4, 8)), ["key_pe:", "(batch, 5, 8)", "(2, 4, 8)"]),
    "block batches": (block(keys=(3, 5, 8)), ["batch sizes", "queries has 2", "keys has 3"]),
    "transformer image": (
        transform(image=(2, 3, 4, 8)),
        ["image_embedding:", "(batch, 8, height, width)", "(2, 3, 4, 8)"],
    ),
    "transformer grid": (transform(pe=(1, 8, 4, 3)), ["image_pe:", "(batch, 8, 3, 4)", "(1, 8, 4, 3)"]),
    "transformer points": (transform(points=(5, 8)), ["point_embedding:", "(batch, tokens, 8)", "(5, 8)"]),
    "upscaling width": (lambda: OutputUpscaling(4), ["transformer_dim:", "at least 8", "4"]),
    "upscaling input": (
        lambda: OutputUpscaling(8)(zeros(2, 12, 8)),
        ["input:", "(batch, 8, height, width)", "(2, 12, 8)"],
    ),
    "hypernetwork tokens": (
        lambda: HypernetworkMLPs(4, 8)(zeros(2, 5, 8)),
        ["mask_tokens_out:", "(batch, 4, dim)", "(2, 5, 8)"],
    ),
    "hypernetwork width": (lambda: HypernetworkMLPs(4, 8)(zeros(2, 4, 7)), ["x:", "(..., 8)", "(2, 7)"]),
    "product rank": (
        lambda: mask_product(zeros(4, 8), zeros(1, 8, 2, 2)),
        ["hyper_in:", "(batch, masks, channels)", "(4, 8)"],
    ),
    "product channels": (
        lambda: mask_product(zeros(1, 4, 8), zeros(1, 7, 2, 2)),
        ["upscaled_embedding:", "(batch, 8, height, width)", "(1, 7, 2, 2)"],
    ),
    "product batches": (
        lambda: mask_product(zeros(2, 4, 8), zeros(3, 8, 2, 2)),
        ["batch sizes", "hyper_in has 2", "upscaled_embedding has 3"],
    ),
    "decoder image rank": (
        decode(image=(8, 3, 4)),
        ["image_embeddings:", "(1 or prompt sets, 8, height, width)", "(8, 3, 4)"],
    ),
    "decoder image width": (decode(image=(1, 9, 3, 4)), ["image_embeddings:", "8, height, width)", "(1, 9, 3, 4)"]),
    "decoder pe grid": (decode(pe=(1, 8, 4, 3)), ["image_pe:", "8, 3, 4)", "(1, 8, 4, 3)"]),
    "decoder sparse": (
        decode(sparse=(2, 3, 9)),
        ["sparse_prompt_embeddings:", "(prompt sets, tokens, 8)", "(2, 3, 9)"],
    ),
    "decoder dense": (
        decode(dense=(2, 8, 6, 8)),
        ["dense_prompt_embeddings:", "(prompt sets, 8, 3, 4)", "(2, 8, 6, 8)"],
    ),
    "decoder prompts": (
        decode(sparse=(3, 3, 8)),
        ["batch sizes", "sparse_prompt_embeddings has 3", "dense_prompt_embeddings has 2"],
    ),
    "decoder pe batch": (decode(pe=(3, 8, 3, 4)), ["image_pe:", "batch 1", "or 2", "got 3"]),
    "two images, three prompt sets": (
        decode(image=(2, 8, 3, 4), sparse=(3, 3, 8), dense=(3, 8, 3, 4)),
        ["image_embeddings:", "batch 1", "or 3", "got 2", "For several prompt sets on each of several images"],
    ),
    "positions": (
        lambda: PositionEmbeddingRandom(4).forward_with_coords(zeros(3, 2), (4, 4)),
        ["coords_input:", "(batch, points, 2)", "(3, 2)"],
    ),
    "encoder points not a pair": (encode(points=zeros(2, 3, 2)), ["points:", "(coords, labels)", "Tensor"]),
    "encoder coords": (
        encode(points=(zeros(3, 2), zeros(3))),
        ["points[0]:", "(prompt sets, clicks, 2)", "(3, 2)"],
    ),
    "encoder labels": (encode(points=(zeros(2, 3, 2), zeros(2, 4))), ["points[1]:", "(2, 3)", "(2, 4)"]),
    "encoder boxes": (encode(boxes=zeros(2, 5)), ["boxes:", "(prompt sets, 4)", "(2, 5)"]),
    "encoder one box": (encode(boxes=zeros(4)), ["boxes:", "(prompt sets, 4)", "(4,)"]),
    "encoder several boxes in a prompt set": (
        encode(points=(zeros(1, 3, 2), zeros(1, 3)), boxes=zeros(2, 4)),
        ["points and boxes:", "1", "2"],
    ),
    "encoder mask size": (encode(masks=zeros(1, 1, 8, 8)), ["masks:", "(prompt sets, 1, 8, 12)", "(1, 1, 8, 8)"]),
    "encoder mask rank": (encode(masks=zeros(8, 12)), ["masks:", "(prompt sets, 1, 8, 12)", "(8, 12)"]),
    "encoder mask batch": (
        encode(points=(zeros(3, 1, 2), zeros(3, 1)), masks=zeros(2, 1, 8, 12)),
        ["batch sizes", "masks has 2", "points has 3"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case):
    call, parts = CASES[case]
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message itself is tested
        call()
    for part in parts:
        assert part in str(error.value)


NOT_TENSORS = {
    "x": lambda: MLP(4, 8, 2, 2)([1.0, 2.0, 3.0, 4.0]),
    "q": lambda: Attention(8, 2)(None, zeros(1, 1, 8), zeros(1, 1, 8)),
    "image_embeddings": lambda: make_pair("MaskDecoder", **TINY)[0](**{**decoder_inputs(), "image_embeddings": None}),
    "points[0]": encode(points=([[1.0, 2.0]], [1])),
    "masks": encode(masks=[[0.0]]),
}


@pytest.mark.parametrize("name", NOT_TENSORS)
def test_not_a_tensor(name):
    with pytest.raises(TypeError) as error:
        NOT_TENSORS[name]()
    assert str(error.value).startswith(f"{name}: expected a torch.Tensor")


@pytest.mark.parametrize("call", [attend(), block(), transform(), decode(), encode()])
def test_the_defaults_of_the_table_are_right(call):
    """So that each case above fails for its own reason."""
    for tensor in torch.utils._pytree.tree_leaves(call()):
        assert tensor.isfinite().all()
