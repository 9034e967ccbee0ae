"""LayerNorm2d against Meta's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import DTYPES, EXAMPLES, assert_parity, batches, grids, make_pair, randoms, seeds

from sam_edu.modules import LayerNorm2d


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    channels=st.integers(1, 12),
    eps=st.sampled_from([1e-6, 1e-5, 1e-2]),
    batch=batches,
    grid=grids,
    # Also where the variance is far below eps, and values far from zero.
    scale=st.sampled_from([1e-4, 1.0, 10.0]),
    shift=st.sampled_from([0.0, 3.0]),
    seed=seeds,
)
def test_layer_norm_2d(dtype, channels, eps, batch, grid, scale, shift, seed):
    ours, theirs = make_pair("LayerNorm2d", seed, dtype, num_channels=channels, eps=eps)
    assert_parity(ours, theirs, {"x": scale * randoms(seed, dtype)(batch, channels, *grid) + shift})


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_full_size(dtype):
    ours, theirs = make_pair("LayerNorm2d", 0, dtype, num_channels=64)
    assert ours.eps == theirs.eps == 1e-6
    assert_parity(ours, theirs, {"x": randoms(1, dtype)(2, 64, 128, 128)})


def test_equals_torch_layer_norm_with_channels_last():
    ours, _ = make_pair("LayerNorm2d", num_channels=6)
    x = randoms(0)(2, 6, 3, 4)
    last = torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), (6,), ours.weight, ours.bias, eps=1e-6)
    torch.testing.assert_close(ours(x), last.permute(0, 3, 1, 2))


def test_repr_shows_the_arguments():
    assert repr(LayerNorm2d(64)) == "LayerNorm2d(64, eps=1e-06)"
    assert repr(LayerNorm2d(3, eps=0.5)) == "LayerNorm2d(3, eps=0.5)"
