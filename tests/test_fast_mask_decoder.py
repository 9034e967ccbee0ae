"""FastMaskDecoder gives what MaskDecoder gives: masks, IoU predictions, gradients and errors."""

import copy
from itertools import product

import pytest
import torch
from parity import FULL_SIZE, TINY, assert_close, assert_parity_gradients, decoder_inputs, randoms
from torch import nn, zeros

from sam_edu.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder, TwoWayTransformer

# Two orders of the same products drift apart where weights are large: at the official width, Meta's own float32 is
# further than the tolerance from float64 under as much noise as narrow modules take.
NOISE = {16: 0.05, 24: 0.05, 256: 0.02}


def make_decoder(configuration=TINY, seed=0, dtype=torch.float32):
    """A decoder with noise on every parameter, as the initial ones and zeros of the norms would hide mistakes."""
    arguments = dict(configuration)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = MaskDecoder(**{**arguments, "transformer": TwoWayTransformer(**arguments["transformer"])})
    generator = torch.Generator().manual_seed(seed)
    noise = NOISE[decoder.transformer_dim]
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    return decoder.to(dtype)


@pytest.fixture(scope="module", params=[torch.float32, torch.float64], ids=["float32", "float64"])
def official_size(request):
    return make_decoder(FULL_SIZE, dtype=request.param)


def dtype_of(decoder):
    return decoder.iou_token.weight.dtype


def assert_same(decoder, inputs):
    with torch.no_grad():
        expected = decoder(**inputs)
        got = FastMaskDecoder(decoder)(**inputs)
    assert len(got) == len(expected) == 2
    for name, a, b in zip(("masks", "IoU"), got, expected, strict=True):
        assert_close(name, a, b)


@pytest.mark.parametrize("tokens", [0, 1, 2, 9])
@pytest.mark.parametrize("multimask", [True, False])
def test_equals_the_decoder_at_the_official_size(official_size, tokens, multimask):
    inputs = decoder_inputs(256, 3, tokens, (16, 16), 1, tokens, dtype_of(official_size), multimask)
    assert_same(official_size, inputs)


@pytest.mark.parametrize("grid", [(5, 12), (1, 7), (16, 3)])
def test_equals_the_decoder_on_grids_that_are_not_square(official_size, grid):
    assert_same(official_size, decoder_inputs(256, 2, 3, grid, dtype=dtype_of(official_size)))


@pytest.mark.parametrize(("batch", "tokens"), list(product([1, 2, 5], range(10))))
def test_equals_the_decoder_for_any_number_of_prompts(batch, tokens):
    assert_same(make_decoder(seed=tokens), decoder_inputs(16, batch, tokens, (4, 5)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shared_dense", [True, False])
@pytest.mark.parametrize("pe_per_set", [True, False])
@pytest.mark.parametrize("images", [1, 4])
def test_equals_the_decoder_whatever_is_shared(images, pe_per_set, shared_dense, dtype):
    """One image or several, one dense prompt for all or mask prompts, positional codes once or once per prompt set."""
    inputs = decoder_inputs(16, 4, 3, (3, 4), images=images, dtype=dtype)
    if shared_dense:
        inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(4, -1, -1, -1)
    if pe_per_set:
        inputs["image_pe"] = randoms(7, dtype)(4, 16, 3, 4)
    assert_same(make_decoder(dtype=dtype), inputs)


@pytest.mark.parametrize("several", ["sparse_prompt_embeddings", "dense_prompt_embeddings"])
def test_broadcasts_as_the_decoder_does(several):
    inputs = decoder_inputs(16, 1, 3, (3, 4))
    inputs[several] = torch.cat([inputs[several], randoms(8)(2, *inputs[several].shape[1:])])
    assert_same(make_decoder(), inputs)


def test_no_prompt_set_at_all_gives_no_mask():
    inputs = decoder_inputs(16, 0, 3, (3, 4))
    assert_same(make_decoder(), inputs)
    masks, iou = FastMaskDecoder(make_decoder())(**inputs)
    assert masks.shape == (0, 3, 12, 16)
    assert iou.shape == (0, 3)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_equals_the_decoder_in_other_configurations(depth):
    transformer = {
        "depth": depth,
        "embedding_dim": 24,
        "num_heads": 3,
        "mlp_dim": 10,
        "activation": nn.SiLU,
        "attention_downsample_rate": 4,
    }
    configuration = {"transformer_dim": 24, "transformer": transformer, "num_multimask_outputs": 5}
    decoder = make_decoder(configuration | {"activation": nn.ReLU, "iou_head_depth": 1})
    assert_same(decoder, decoder_inputs(24, 2, 2, (4, 3)))


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_equal_the_decoder_s(images, dtype):
    decoder = make_decoder(dtype=dtype)
    inputs = decoder_inputs(16, 3, 2, (4, 5), images=images, dtype=dtype)
    assert_parity_gradients(Renamed(FastMaskDecoder(decoder)), decoder, inputs)


def test_gradients_equal_the_decoder_s_at_the_official_size(official_size):
    inputs = decoder_inputs(256, 2, 3, (8, 8), dtype=dtype_of(official_size))
    assert_parity_gradients(Renamed(FastMaskDecoder(official_size)), official_size, inputs)


class Renamed(nn.Module):
    """A fast decoder whose parameters go by the decoder's own names."""

    def __init__(self, fast):
        super().__init__()
        self.fast = fast

    def named_parameters(self, *args, **kwargs):
        return self.fast.decoder.named_parameters(*args, **kwargs)

    def forward(self, **inputs):
        return self.fast(**inputs)


def test_stays_near_float64_on_extreme_weights_and_images():
    """Sharp attention, a loud image and an outlier channel: folding the projections must not cost precision."""
    decoder = make_decoder(FULL_SIZE)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                parameter *= 3
    inputs = decoder_inputs(256, 2, 3, (8, 8))
    inputs["image_embeddings"] *= 10
    inputs["image_embeddings"][:, 17] += 200
    doubled = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
    with torch.no_grad():
        got = FastMaskDecoder(decoder)(**inputs)
        expected = copy.deepcopy(decoder).double()(**doubled)
    for ours, reference in zip(got, expected, strict=True):
        assert torch.isfinite(ours).all()
        assert (ours - reference).abs().max() <= 1e-4 * max(1.0, reference.abs().max().item())


def test_decode_of_groups_equals_a_loop_over_the_images():
    decoder = make_decoder()
    fast = FastMaskDecoder(decoder)
    random = randoms(3)
    images, pe, sparse, dense = random(2, 16, 3, 4), random(1, 16, 3, 4), random(6, 2, 16), random(1, 16, 3, 4)
    masks, iou = fast.decode(images + dense, pe, sparse, slice(0, None))
    assert masks.shape == (6, 4, 12, 16)
    assert iou.shape == (6, 4)
    for i in range(6):
        expected = decoder.predict_masks(images[i // 3 : i // 3 + 1], pe, sparse[i : i + 1], dense)
        assert_close(f"masks of {i}", masks[i : i + 1], expected[0])
        assert_close(f"IoU of {i}", iou[i : i + 1], expected[1])


def test_shares_the_parameters_and_does_not_copy_them():
    decoder = make_decoder()
    fast = FastMaskDecoder.from_decoder(decoder)
    assert fast.decoder is decoder
    assert {id(p) for p in fast.parameters()} == {id(p) for p in decoder.parameters()}
    inputs = decoder_inputs()
    before = fast(**inputs)[0]
    with torch.no_grad():
        decoder.transformer.layers[1].cross_attn_token_to_image.v_proj.weight += 1
    assert not torch.allclose(fast(**inputs)[0], before)
    assert_same(decoder, inputs)


def test_changes_none_of_its_inputs():
    inputs = decoder_inputs()
    kept = copy.deepcopy(inputs)
    FastMaskDecoder(make_decoder())(**inputs)
    for name, value in kept.items():
        assert torch.equal(torch.as_tensor(inputs[name]), torch.as_tensor(value)), name


@pytest.mark.no_shape_check
def test_refuses_what_is_not_our_decoder():
    with pytest.raises(TypeError, match=r"decoder: expected a sam_edu\.MaskDecoder, got Linear"):
        FastMaskDecoder(nn.Linear(2, 2))
    other = MaskDecoder(transformer_dim=16, transformer=nn.Identity())
    with pytest.raises(TypeError, match=r"decoder\.transformer: expected a sam_edu\.TwoWayTransformer, got Identity"):
        FastMaskDecoder.from_decoder(other)


WRONG = {
    "image width": {"image_embeddings": zeros(1, 8, 3, 4)},
    "image rank": {"image_embeddings": zeros(16, 3, 4)},
    "several images": {"image_embeddings": zeros(3, 16, 3, 4)},
    "grid of the codes": {"image_pe": zeros(1, 16, 4, 3)},
    "batch of the codes": {"image_pe": zeros(3, 16, 3, 4)},
    "token width": {"sparse_prompt_embeddings": zeros(2, 3, 8)},
    "token rank": {"sparse_prompt_embeddings": zeros(2, 16)},
    "dense grid": {"dense_prompt_embeddings": zeros(2, 16, 2, 2)},
    "batches": {"dense_prompt_embeddings": zeros(3, 16, 3, 4)},
    "not a tensor": {"image_embeddings": None},
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize("name", WRONG)
def test_refuses_what_the_decoder_refuses_in_the_same_words(name):
    decoder = make_decoder()
    inputs = decoder_inputs() | WRONG[name]
    with pytest.raises((ValueError, TypeError)) as expected:
        decoder(**inputs)
    with pytest.raises(type(expected.value)) as got:
        FastMaskDecoder(decoder)(**inputs)
    assert str(got.value) == str(expected.value)
