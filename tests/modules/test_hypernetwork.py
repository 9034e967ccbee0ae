"""The hypernetwork's MLPs and the product, against Meta's loop and against a plain sum."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import (
    DTYPES,
    EXAMPLES,
    FULL_SIZE,
    TINY,
    assert_close,
    assert_parity_state_dict,
    batches,
    grids,
    make_pair,
    randoms,
    seeds,
)

from sam_edu.modules import mask_product


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(multimasks=st.integers(1, 5), batch=batches, seed=seeds)
def test_each_token_has_its_own_mlp(dtype, multimasks, batch, seed):
    pair = make_pair("MaskDecoder", seed, dtype, **TINY, num_multimask_outputs=multimasks)
    ours, theirs = (decoder.output_hypernetworks_mlps for decoder in pair)
    tokens = randoms(seed, dtype)(batch, multimasks + 1, 16)
    with torch.no_grad():
        weights = ours(tokens)
        for i, mlp in enumerate(theirs):
            assert_close(f"mask {i}", weights[:, i], mlp(tokens[:, i]))
    assert weights.shape == (batch, multimasks + 1, 2)
    assert_parity_state_dict(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_full_size(dtype):
    pair = make_pair("MaskDecoder", 0, dtype, **FULL_SIZE)
    ours, theirs = (decoder.output_hypernetworks_mlps for decoder in pair)
    tokens = randoms(1, dtype)(3, 4, 256)
    with torch.no_grad():
        weights = ours(tokens)
        for i, mlp in enumerate(theirs):
            assert_close(f"mask {i}", weights[:, i], mlp(tokens[:, i]))
    assert sum(p.numel() for p in ours.parameters()) == 4 * 139_808


@settings(max_examples=EXAMPLES)
@given(masks=st.integers(1, 4), channels=st.integers(1, 5), batch=batches, grid=grids, seed=seeds)
def test_product_is_a_sum_over_channels_at_every_pixel(masks, channels, batch, grid, seed):
    random = randoms(seed, torch.float64)
    hyper_in, upscaled = random(batch, masks, channels), random(batch, channels, *grid)
    expected = torch.einsum("bmc,bchw->bmhw", hyper_in, upscaled)
    assert_close("masks", mask_product(hyper_in, upscaled), expected)
    assert_close("one hypernetwork", mask_product(hyper_in[:1], upscaled)[:1], expected[:1])
