"""Attention against Meta's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import (
    DTYPES,
    EXAMPLES,
    assert_parity,
    assert_parity_forward,
    assert_parity_trace_points,
    attention_configurations,
    batches,
    lengths,
    make_pair,
    randoms,
    seeds,
)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(configuration=attention_configurations(), batch=batches, queries=lengths, keys=lengths, seed=seeds)
def test_attention(dtype, configuration, batch, queries, keys, seed):
    ours, theirs = make_pair("Attention", seed, dtype, **configuration)
    random, dim = randoms(seed, dtype), configuration["embedding_dim"]
    inputs = {"q": random(batch, queries, dim), "k": random(batch, keys, dim), "v": random(batch, keys, dim)}
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)


@settings(max_examples=EXAMPLES)
@given(configuration=attention_configurations(), which=st.sets(st.sampled_from("qkv")), batch=batches, seed=seeds)
def test_input_of_batch_1_broadcasts_to_the_whole_batch(configuration, which, batch, seed):
    ours, theirs = make_pair("Attention", seed, **configuration)
    random = randoms(seed)
    inputs = {x: random(1 if x in which else batch, 4, configuration["embedding_dim"]) for x in "qkv"}
    assert_parity(ours, theirs, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rate", "queries", "keys"), [(1, 7, 7), (2, 7, 4096), (2, 4096, 7)], ids=["self", "to image", "to tokens"]
)
def test_at_full_size(rate, queries, keys, dtype):
    ours, theirs = make_pair("Attention", 0, dtype, embedding_dim=256, num_heads=8, downsample_rate=rate)
    random = randoms(1, dtype)
    assert_parity(ours, theirs, {"q": random(2, queries, 256), "k": random(2, keys, 256), "v": random(2, keys, 256)})


def test_no_queries():
    ours, theirs = make_pair("Attention", embedding_dim=4, num_heads=2)
    assert_parity_forward(ours, theirs, {"q": randoms(0)(2, 0, 4), "k": randoms(1)(2, 3, 4), "v": randoms(2)(2, 3, 4)})


def test_weights_sum_to_one():
    ours, _ = make_pair("Attention", embedding_dim=8, num_heads=2)
    seen = []
    ours.weights.register_forward_hook(lambda module, args, output: seen.append(output))
    ours(randoms(0)(2, 3, 8), randoms(1)(2, 5, 8), randoms(2)(2, 5, 8))
    assert seen[0].shape == (2, 2, 3, 5)
    assert (seen[0].sum(-1) - 1).abs().max() < 1e-6
