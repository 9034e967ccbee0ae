"""FastMaskDecoder gives what MaskDecoder gives: masks, IoU predictions, gradients and errors."""

import copy
from itertools import product

import pytest
import torch
from decoders import make_decoder
from parity import FULL_SIZE, assert_close, assert_parity_gradients, decoder_inputs, randoms
from torch import nn, zeros
from torch.utils._python_dispatch import TorchDispatchMode

from sam_edu.fast import fast_mask_decoder, plan
from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder


@pytest.fixture(scope="module", params=[torch.float32, torch.float64], ids=["float32", "float64"])
def official_size(request):
    return make_decoder(FULL_SIZE, dtype=request.param)


def share(inputs):
    """One dense prompt for all prompt sets: then they have the image in common, and no token of it is stored."""
    dense = inputs["dense_prompt_embeddings"]
    return inputs | {"dense_prompt_embeddings": dense[:1].expand(len(dense), -1, -1, -1)}


def dtype_of(decoder):
    return decoder.iou_token.weight.dtype


@pytest.fixture(autouse=True)
def form(monkeypatch):
    """The form that is run, whatever the plan says: these tests are about what is computed. (The plan has its own.)"""
    chosen = ["folded"]
    monkeypatch.setattr(plan, "form", lambda *args, **named: chosen[0])
    return chosen


def assert_same(decoder, inputs):
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        expected = decoder(**inputs)
        for form in ("fused", "folded"):
            patch.setattr(plan, "form", lambda *args, form=form, **named: form)
            fast = FastMaskDecoder(decoder)
            for call in range(2):  # each of the first calls with an image prepares more of what it has in common
                got = fast(**inputs)
                assert len(got) == len(expected) == 2
                for name, a, b in zip(("masks", "IoU"), got, expected, strict=True):
                    assert_close(f"{name}, {form}, call {call}", a, b)


@pytest.mark.parametrize("tokens", [0, 1, 2, 9])
@pytest.mark.parametrize("multimask", [True, False])
def test_equals_the_decoder_at_the_official_size(official_size, tokens, multimask):
    inputs = decoder_inputs(256, 3, tokens, (16, 16), 1, tokens, dtype_of(official_size), multimask)
    assert_same(official_size, inputs)
    assert_same(official_size, share(inputs))


@pytest.mark.parametrize("grid", [(5, 12), (1, 7), (16, 3)])
def test_equals_the_decoder_on_grids_that_are_not_square(official_size, grid):
    inputs = decoder_inputs(256, 2, 3, grid, dtype=dtype_of(official_size))
    assert_same(official_size, inputs)
    assert_same(official_size, share(inputs))


@pytest.mark.parametrize(("batch", "tokens"), list(product([1, 2, 5], range(10))))
def test_equals_the_decoder_for_any_number_of_prompts(batch, tokens):
    inputs = decoder_inputs(16, batch, tokens, (4, 5))
    assert_same(make_decoder(seed=tokens), inputs)
    assert_same(make_decoder(seed=tokens), share(inputs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shared_dense", [True, False])
@pytest.mark.parametrize("pe_per_set", [True, False])
@pytest.mark.parametrize("images", [1, 4])
def test_equals_the_decoder_whatever_is_shared(images, pe_per_set, shared_dense, dtype):
    """One image or several, one dense prompt or mask prompts, positional encodings once or once per prompt set."""
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
    inputs = decoder_inputs(24, 2, 2, (4, 3))
    assert_same(decoder, inputs)
    assert_same(decoder, share(inputs))


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("shared_dense", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["folded", "fused"])
def test_gradients_equal_the_decoder_s(images, shared_dense, dtype, way, form):
    form[0] = way
    decoder = make_decoder(dtype=dtype)
    inputs = decoder_inputs(16, 3, 2, (4, 5), images=images, dtype=dtype)
    inputs = share(inputs) if shared_dense else inputs
    assert_parity_gradients(Renamed(FastMaskDecoder(decoder)), decoder, inputs)


@pytest.mark.parametrize("shared_dense", [True, False])
@pytest.mark.parametrize("way", ["folded", "fused"])
def test_gradients_equal_the_decoder_s_at_the_official_size(official_size, shared_dense, way, form):
    form[0] = way
    inputs = decoder_inputs(256, 2, 3, (8, 8), dtype=dtype_of(official_size))
    inputs = share(inputs) if shared_dense else inputs
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


@pytest.mark.parametrize("shared_dense", [True, False])
def test_stays_near_float64_on_extreme_weights_and_images(shared_dense):
    """Sharp attention, a loud image and an outlier channel: folding the projections must not cost precision."""
    decoder = make_decoder(FULL_SIZE)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                parameter *= 3
    inputs = decoder_inputs(256, 2, 3, (8, 8))
    inputs = share(inputs) if shared_dense else inputs
    inputs["image_embeddings"] *= 10
    inputs["image_embeddings"][:, 17] += 200
    doubled = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
    with torch.no_grad():
        got = FastMaskDecoder(decoder)(**inputs)
        expected = copy.deepcopy(decoder).double()(**doubled)
    for ours, reference in zip(got, expected, strict=True):
        assert torch.isfinite(ours).all()
        assert (ours - reference).abs().max() <= 1e-4 * max(1.0, reference.abs().max().item())


@pytest.mark.parametrize("way", ["folded", "fused", "plain"])
def test_decode_of_groups_equals_a_loop_over_the_images(way, form):
    form[0] = way
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


def call(fast, inputs):
    with torch.no_grad():
        return fast(**inputs)


IMAGE_TOKEN = 16 * 4  # bytes: 16 channels of float32


@pytest.mark.parametrize(("chunk", "tile"), [(1, 1), (12, 5), (24, 100), (60, 7)])
@pytest.mark.parametrize("images", [1, 5])
@pytest.mark.parametrize("pe_per_set", [True, False])
def test_pieces_of_any_size_give_the_same(chunk, tile, images, pe_per_set, monkeypatch):
    monkeypatch.setattr(plan, "CACHE_BYTES", chunk * IMAGE_TOKEN)
    monkeypatch.setattr(plan, "TILE_BYTES", tile * IMAGE_TOKEN)
    inputs = decoder_inputs(16, 5, 3, (3, 4), images=images)
    assert_same(make_decoder(), inputs)
    inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(5, -1, -1, -1)
    if pe_per_set:
        inputs["image_pe"] = randoms(7)(5, 16, 3, 4)
    assert_same(make_decoder(), inputs)


@pytest.mark.parametrize("chunk", [12, 24, 48])
def test_groups_are_decoded_in_pieces_too(chunk):
    fast, random = FastMaskDecoder(make_decoder()), randoms(3)
    src, pe, sparse = random(3, 16, 3, 4), random(1, 16, 3, 4), random(6, 2, 16)
    expected = fast.decode(src, pe, sparse, slice(0, None))
    fast.budget = chunk * IMAGE_TOKEN
    with torch.no_grad():
        got = fast.decode(src, pe, sparse, slice(0, None))
    for name, a, b in zip(("masks", "IoU"), got, expected, strict=True):
        assert_close(name, a, b.detach())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("tokens", [12, 60])
def test_equals_the_decoder_with_more_tokens_than_folding_is_worth(tokens, batch):
    inputs = decoder_inputs(256, batch, tokens, (6, 6))
    assert_same(make_decoder(FULL_SIZE), inputs)
    assert_same(make_decoder(FULL_SIZE), share(inputs))


def test_shared_image_tokens_are_those_that_would_be_stored():
    """Block by block: scale * (base + coefficients^T rows) + shift against the decoder's own tokens."""
    decoder, found = make_decoder(dtype=torch.float64), []
    inputs = share(decoder_inputs(16, 3, 2, (4, 5), dtype=torch.float64))
    norms = [layer.norm4 for layer in decoder.transformer.layers]
    handles = [norm.register_forward_hook(lambda _, __, out: found.append(out)) for norm in norms]
    with torch.no_grad():
        decoder(**inputs)
    for handle in handles:
        handle.remove()
    expected, whole = iter(found), fast_mask_decoder.ImageTokens.add_and_norm

    def watch(image, norm, weights, values):
        after = whole(image, norm, weights, values)
        base = image.steps[0][0] * norm.weight
        updated = base + after.coefficients.mT @ after.rows
        torch.testing.assert_close(after.scale.mT * updated + after.shift, next(expected))
        return after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_mask_decoder.ImageTokens, "add_and_norm", watch)
        call(FastMaskDecoder(decoder), inputs)
    assert next(expected, None) is None


@pytest.mark.parametrize("by_length", [True, False])
def test_eps_of_the_upscaling_s_norm_counts(by_length, form, monkeypatch):
    form[0] = "fused"
    monkeypatch.setattr(plan, "NORM_BY_LENGTH_FROM", 1 if by_length else 2**30)
    decoder, inputs = make_decoder(), decoder_inputs(16, 2, 2, (4, 5))
    decoder.output_upscaling[1].eps = 0.3
    with torch.no_grad():
        expected = decoder(**inputs)
    for name, a, b in zip(("masks", "IoU"), call(FastMaskDecoder(decoder), inputs), expected, strict=True):
        assert_close(name, a, b)


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest tensor that any operation makes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return result


def test_no_tensor_but_the_masks_grows_with_the_number_of_prompt_sets():
    fast, sizes = FastMaskDecoder(make_decoder(), budget=200 * IMAGE_TOKEN), {}
    for batch in (2, 40):
        inputs = decoder_inputs(16, batch, 2, (10, 10), multimask_output=False)
        inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(batch, -1, -1, -1)
        with LargestTensor() as record:
            masks, _ = call(fast, inputs)
        sizes[batch] = record.largest
    assert sizes[40] <= max(sizes[2], masks.nbytes)


@pytest.mark.parametrize("batch", [1, 6])
def test_later_calls_with_the_same_image_find_it_again_and_equal_the_first(batch, monkeypatch):
    decoder = make_decoder(FULL_SIZE)
    fast = FastMaskDecoder(decoder)
    inputs = decoder_inputs(256, batch, 2, (8, 8))
    inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(batch, -1, -1, -1)
    with torch.no_grad():
        expected = decoder(**inputs)
    for _ in range(3):  # each of the first three prepares a step
        for name, a, b in zip(("masks", "IoU"), call(fast, inputs), expected, strict=True):
            assert_close(name, a, b)

    def refuse(*args):
        raise AssertionError("projected again")

    monkeypatch.setattr(fast_mask_decoder, "project", refuse)
    for name, a, b in zip(("masks", "IoU"), call(fast, inputs), expected, strict=True):
        assert_close(name, a, b)


def parameter(name):
    def change(decoder, inputs):
        decoder.get_parameter(name).data.mul_(1.5)  # no version counter sees this

    return change


def argument(name):
    def change(decoder, inputs):
        inputs[name].numpy()[:] += 0.5  # nor this

    return change


BLOCK = "transformer.layers.{}.cross_attn_{}.{}"
CHANGES = {
    **{
        name: parameter(name)
        for name in (
            BLOCK.format(0, "token_to_image", "k_proj.weight"),
            BLOCK.format(0, "token_to_image", "v_proj.weight"),
            BLOCK.format(1, "token_to_image", "k_proj.weight"),
            BLOCK.format(0, "image_to_token", "q_proj.weight"),
            BLOCK.format(0, "image_to_token", "q_proj.bias"),
            BLOCK.format(1, "image_to_token", "q_proj.bias"),
            "transformer.final_attn_token_to_image.k_proj.weight",
        )
    },
    "image": argument("image_embeddings"),
    "positional encodings": argument("image_pe"),
    "dense prompt": argument("dense_prompt_embeddings"),
    "dtype": lambda decoder, inputs: (
        decoder.double(),
        inputs.update({k: v.double() for k, v in inputs.items() if isinstance(v, torch.Tensor)}),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["folded", "fused"])
def test_what_was_kept_is_made_again_after_a_change(change, way, form):
    form[0] = way
    decoder = make_decoder()
    fast, inputs = FastMaskDecoder(decoder), decoder_inputs(batch=1)
    for _ in range(4):
        before = call(fast, inputs)[0].clone()
    CHANGES[change](decoder, inputs)
    for _ in range(4):
        got = call(fast, inputs)
        with torch.no_grad():
            expected = decoder(**inputs)
        for name, a, b in zip(("masks", "IoU"), got, expected, strict=True):
            assert_close(name, a, b)
    if change != "dtype":
        assert not torch.allclose(before, got[0])


def test_nothing_is_kept_for_autograd_or_autocast():
    fast, inputs = FastMaskDecoder(make_decoder()), decoder_inputs()
    fast(**inputs)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast(**inputs)
    assert len(fast._kept) == 0
    call(fast, inputs)
    assert "encodings" in fast._kept
    masks, _ = fast(**inputs)  # and what was kept is not used, it would have no gradient
    masks.sum().backward()
    k_proj = fast.decoder.transformer.layers[0].cross_attn_token_to_image.k_proj
    assert k_proj.weight.grad.abs().sum() > 0


def test_inference_mode_and_no_grad_take_turns():
    decoder = make_decoder()
    fast, inputs = FastMaskDecoder(decoder), decoder_inputs(batch=1)
    with torch.inference_mode():
        first = [fast(**inputs)[0].clone() for _ in range(3)][-1]
    assert_close("masks", call(fast, inputs)[0], first.clone())
    assert_close("masks with autograd", fast(**inputs)[0].detach(), call(fast, inputs)[0])


def test_what_is_returned_belongs_to_the_caller():
    fast, inputs = FastMaskDecoder(make_decoder()), decoder_inputs(batch=1)
    for _ in range(3):
        masks, _ = call(fast, inputs)
    kept = masks.clone()
    masks.zero_()
    assert torch.equal(call(fast, inputs)[0], kept)


def test_bfloat16_autocast_trains():
    decoder = make_decoder()
    fast, random = FastMaskDecoder(decoder), randoms(3)
    src, pe, sparse = random(2, 16, 3, 4), random(1, 16, 3, 4), random(6, 2, 16)
    exact = fast.decode(src, pe, sparse, slice(0, None))[0].detach()
    with torch.autocast("cpu", torch.bfloat16):
        masks, iou = fast.decode(src, pe, sparse, slice(0, None))
    assert (masks.float() - exact).norm() < 0.05 * exact.norm()
    (masks.float().square().mean() + iou.float().square().mean()).backward()
    assert all(torch.isfinite(p.grad).all() for p in decoder.parameters() if p.grad is not None)
    assert sum(p.grad is not None for p in decoder.parameters()) > 100


def test_shares_the_parameters_and_does_not_copy_them():
    decoder = make_decoder()
    fast = FastMaskDecoder(decoder)
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
        FastMaskDecoder(other)


WRONG = {
    "image width": {"image_embeddings": zeros(1, 8, 3, 4)},
    "image rank": {"image_embeddings": zeros(16, 3, 4)},
    "several images": {"image_embeddings": zeros(3, 16, 3, 4)},
    "grid of the encodings": {"image_pe": zeros(1, 16, 4, 3)},
    "batch of the encodings": {"image_pe": zeros(3, 16, 3, 4)},
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
