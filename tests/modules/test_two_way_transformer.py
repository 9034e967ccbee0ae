"""TwoWayAttentionBlock and TwoWayTransformer against Meta's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import (
    DTYPES,
    EXAMPLES,
    FULL_SIZE,
    assert_parity,
    assert_parity_trace_points,
    batches,
    grids,
    lengths,
    make_pair,
    randoms,
    seeds,
    transformer_configurations,
)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    configuration=transformer_configurations(),
    skip_first_layer_pe=st.booleans(),
    batch=batches,
    tokens=lengths,
    image_tokens=lengths,
    seed=seeds,
)
def test_block(dtype, configuration, skip_first_layer_pe, batch, tokens, image_tokens, seed):
    configuration = {key: value for key, value in configuration.items() if key != "depth"}
    ours, theirs = make_pair(
        "TwoWayAttentionBlock", seed, dtype, **configuration, skip_first_layer_pe=skip_first_layer_pe
    )
    random, dim = randoms(seed, dtype), configuration["embedding_dim"]
    inputs = {
        "queries": random(batch, tokens, dim),
        "keys": random(batch, image_tokens, dim),
        "query_pe": random(batch, tokens, dim),
        "key_pe": random(1, image_tokens, dim),
    }
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    configuration=transformer_configurations(),
    batch=batches,
    pe_batch=st.booleans(),
    tokens=lengths,
    grid=grids,
    seed=seeds,
)
def test_transformer(dtype, configuration, batch, pe_batch, tokens, grid, seed):
    ours, theirs = make_pair("TwoWayTransformer", seed, dtype, **configuration)
    random, dim = randoms(seed, dtype), configuration["embedding_dim"]
    inputs = {
        "image_embedding": random(batch, dim, *grid),
        "image_pe": random(batch if pe_batch else 1, dim, *grid),
        "point_embedding": random(batch, tokens, dim),
    }
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)


@settings(max_examples=50)
@given(configuration=transformer_configurations(), image=st.sampled_from([1, 3]), tokens=st.sampled_from([1, 3]))
def test_batch_1_broadcasts_to_the_whole_batch(configuration, image, tokens):
    ours, theirs = make_pair("TwoWayTransformer", **configuration)
    random, dim = randoms(0), configuration["embedding_dim"]
    inputs = {
        "image_embedding": random(image, dim, 2, 3),
        "image_pe": random(1, dim, 2, 3),
        "point_embedding": random(tokens, 4, dim),
    }
    assert_parity(ours, theirs, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transformer_at_full_size(dtype):
    ours, theirs = make_pair("TwoWayTransformer", 0, dtype, **FULL_SIZE["transformer"])
    random = randoms(1, dtype)
    inputs = {
        "image_embedding": random(1, 256, 64, 64),
        "image_pe": random(1, 256, 64, 64),
        "point_embedding": random(1, 7, 256),
    }
    assert_parity(ours, theirs, inputs)
    assert sum(p.numel() for p in ours.parameters()) == 3_291_264
