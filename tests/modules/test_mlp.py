"""MLP and MLPBlock against Meta's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import DTYPES, EXAMPLES, activations, assert_parity, assert_parity_trace_points, make_pair, randoms, seeds

widths = st.integers(1, 9)
ranks = st.lists(st.integers(1, 4), min_size=0, max_size=3)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    configuration=st.fixed_dictionaries(
        {
            "input_dim": widths,
            "hidden_dim": widths,
            "output_dim": widths,
            "num_layers": st.integers(1, 4),
            "sigmoid_output": st.booleans(),
        }
    ),
    rest=ranks,
    seed=seeds,
)
def test_mlp(dtype, configuration, rest, seed):
    ours, theirs = make_pair("MLP", seed, dtype, **configuration)
    assert_parity(ours, theirs, {"x": randoms(seed, dtype)(*rest, configuration["input_dim"])})


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    configuration=st.fixed_dictionaries({"embedding_dim": widths, "mlp_dim": widths, "act": activations}),
    rest=ranks,
    seed=seeds,
)
def test_mlp_block(dtype, configuration, rest, seed):
    ours, theirs = make_pair("MLPBlock", seed, dtype, **configuration)
    inputs = {"x": randoms(seed, dtype)(*rest, configuration["embedding_dim"])}
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "configuration", "width"),
    [
        ("MLP", {"input_dim": 256, "hidden_dim": 256, "output_dim": 32, "num_layers": 3}, 256),
        ("MLP", {"input_dim": 256, "hidden_dim": 256, "output_dim": 4, "num_layers": 3}, 256),
        ("MLPBlock", {"embedding_dim": 256, "mlp_dim": 2048, "act": torch.nn.ReLU}, 256),
    ],
)
def test_at_full_size(name, configuration, width, dtype):
    ours, theirs = make_pair(name, 0, dtype, **configuration)
    assert_parity(ours, theirs, {"x": randoms(1, dtype)(2, 7, width)})


def test_default_activation_is_gelu_as_in_meta_class():
    ours, theirs = make_pair("MLPBlock", embedding_dim=4, mlp_dim=8)
    assert type(ours.act) is type(theirs.act) is torch.nn.GELU
