"""OutputUpscaling against the five layers in Meta's decoder."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import (
    DTYPES,
    EXAMPLES,
    FULL_SIZE,
    TINY,
    activations,
    assert_parity,
    assert_parity_trace_points,
    batches,
    grids,
    make_pair,
    randoms,
    seeds,
)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(factor=st.integers(1, 3), activation=activations, batch=batches, grid=grids, seed=seeds)
def test_output_upscaling(dtype, factor, activation, batch, grid, seed):
    # 20 = 2 * 8 + 4 is not a multiple of 8: channels are cut off, as in Meta's.
    dim = {1: 8, 2: 16, 3: 20}[factor]
    transformer = {**TINY["transformer"], "embedding_dim": dim}
    pair = make_pair("MaskDecoder", seed, dtype, transformer_dim=dim, transformer=transformer, activation=activation)
    ours, theirs = (decoder.output_upscaling for decoder in pair)
    inputs = {"input": randoms(seed, dtype)(batch, dim, *grid)}
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_full_size(dtype):
    ours, theirs = (decoder.output_upscaling for decoder in make_pair("MaskDecoder", 0, dtype, **FULL_SIZE))
    assert_parity(ours, theirs, {"input": randoms(1, dtype)(1, 256, 64, 64)})
    assert sum(p.numel() for p in ours.parameters()) == 73_952


def test_each_image_token_becomes_a_square_of_its_own():
    ours, _ = (decoder.output_upscaling for decoder in make_pair("MaskDecoder", **TINY))
    tokens = randoms(0)(1, 16, 2, 3)
    changed = tokens.clone()
    changed[0, :, 1, 2] += 1
    difference = (ours(changed) - ours(tokens)).abs().amax(dim=(0, 1)) > 0
    assert difference[4:8, 8:12].any()
    difference[4:8, 8:12] = False
    assert not difference.any()


@pytest.mark.parametrize("part", [slice(2), slice(3, 5), slice(5)], ids=str)
def test_a_slice_equals_a_slice_of_metas(part):
    """nn.Sequential slices by calling the constructor of the subclass, which expects a width."""
    ours, theirs = (decoder.output_upscaling[part] for decoder in make_pair("MaskDecoder", **TINY))
    assert type(ours) is type(theirs) is torch.nn.Sequential
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [type(layer).__name__ for layer in ours] == [type(layer).__name__ for layer in theirs]
    tokens = randoms(0)(1, next(theirs.parameters()).shape[0], 2, 3)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=0, atol=1e-6)


def test_slices_share_the_layers_and_an_index_returns_one():
    ours, _ = (decoder.output_upscaling for decoder in make_pair("MaskDecoder", **TINY))
    assert ours[:2][0] is ours[0]
    assert isinstance(ours[4], torch.nn.GELU)
    assert len(ours[:5]) == 5
    with pytest.raises(IndexError):
        ours[10]
