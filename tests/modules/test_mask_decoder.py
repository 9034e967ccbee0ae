"""The whole decoder against Meta's, and what only ours can do: several images, no prompt set."""

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
    assert_parity,
    assert_parity_state_dict,
    assert_parity_trace_points,
    batches,
    decoder_configurations,
    decoder_inputs,
    grids,
    make_pair,
    randoms,
    seeds,
)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    configuration=decoder_configurations(),
    batch=batches,
    tokens=st.integers(0, 9),
    grid=grids,
    multimask_output=st.booleans(),
    seed=seeds,
)
def test_mask_decoder(dtype, configuration, batch, tokens, grid, multimask_output, seed):
    ours, theirs = make_pair("MaskDecoder", seed, dtype, **configuration)
    dim = configuration["transformer_dim"]
    inputs = decoder_inputs(dim, batch, tokens, grid, seed=seed, dtype=dtype, multimask_output=multimask_output)
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [0, 2])
def test_at_full_size(tokens, dtype):
    ours, theirs = make_pair("MaskDecoder", 0, dtype, **FULL_SIZE)
    inputs = decoder_inputs(256, 2, tokens, (64, 64), dtype=dtype)
    assert_parity(ours, theirs, inputs)
    comparison = assert_parity_trace_points(ours, theirs, inputs)
    assert comparison["transformer.final_attn_token_to_image.weights"].shape == (2, 8, 5 + tokens, 4096)
    assert comparison["output[0]"].shape == (2, 3, 256, 256)


def test_size_of_the_official_configuration():
    ours, theirs = make_pair("MaskDecoder", **FULL_SIZE)
    assert_parity_state_dict(ours, theirs)
    assert len(ours.state_dict()) == 120
    assert sum(p.numel() for p in ours.parameters()) == 4_058_340


@settings(max_examples=50)
@given(sparse=st.sampled_from([1, 3]), dense=st.sampled_from([1, 3]), tokens=st.integers(0, 3), seed=seeds)
def test_prompts_of_batch_1_broadcast_to_the_whole_batch(sparse, dense, tokens, seed):
    """A mask prompt beside several clicks, or clicks beside several mask prompts: Meta's adds them by broadcasting."""
    ours, theirs = make_pair("MaskDecoder", seed, **TINY)
    inputs = decoder_inputs(batch=sparse, tokens=tokens, seed=seed)
    inputs["dense_prompt_embeddings"] = randoms(seed)(dense, 16, 3, 4)
    assert_parity(ours, theirs, inputs)
    assert ours(**inputs)[0].shape[0] == max(sparse, dense)


def test_no_prompt_sets():
    """Meta's fails on an empty view, ours returns no masks: a loop over parts can reach an empty one."""
    ours, _ = make_pair("MaskDecoder", **TINY)
    masks, iou = ours(**decoder_inputs(batch=0))
    assert masks.shape == (0, 3, 12, 16)
    assert iou.shape == (0, 3)


def test_positional_arguments_and_predict_masks():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    *arguments, _ = decoder_inputs().values()
    with torch.no_grad():
        masks, iou = ours.predict_masks(*arguments)
        expected_masks, expected_iou = theirs.predict_masks(*arguments)
        assert_close("all masks", masks, expected_masks)
        assert_close("all IoU predictions", iou, expected_iou)
        # Step (8): masks 1 to 3 for an ambiguous prompt, else mask 0 alone.
        assert torch.equal(ours(*arguments, True)[0], masks[:, 1:])
        assert torch.equal(ours(*arguments, False)[0], masks[:, :1])
        assert torch.equal(ours(*arguments, False)[1], iou[:, :1])


def assert_parity_of_several_images(configuration, batch, tokens, grid, own_pe, seed, dtype):
    """One call with `batch` images equals a loop of Meta's decoder over them.

    A batch is rounded differently from its parts, so that the two results are not equal bit for bit.
    """
    ours, theirs = make_pair("MaskDecoder", seed, dtype, **configuration)
    dim = configuration["transformer_dim"]
    inputs = decoder_inputs(dim, batch, tokens, grid, images=batch, seed=seed, dtype=dtype)
    if own_pe:
        inputs["image_pe"] = randoms(seed + 1, dtype)(batch, dim, *grid)
    with torch.no_grad():
        masks, iou = ours(**inputs)
        for i in range(batch):
            one = {
                key: value[i : i + 1] if isinstance(value, torch.Tensor) and len(value) == batch else value
                for key, value in inputs.items()
            }
            expected_masks, expected_iou = theirs(**one)
            assert_close(f"masks of image {i}", masks[i : i + 1], expected_masks)
            assert_close(f"IoU predictions of image {i}", iou[i : i + 1], expected_iou)


several = {"batch": batches, "tokens": st.integers(0, 4), "grid": grids, "own_pe": st.booleans(), "seed": seeds}


@settings(max_examples=EXAMPLES)
@given(configuration=decoder_configurations(), **several)
def test_several_images_equal_a_loop_over_them(configuration, **shapes):
    assert_parity_of_several_images(configuration, **shapes, dtype=torch.float64)


@settings(max_examples=EXAMPLES)
@given(**several)
def test_several_images_equal_a_loop_over_them_in_float32(**shapes):
    # Wider: where LayerNorm2d has two channels, it can blow up a rounding by any factor.
    transformer = {**TINY["transformer"], "embedding_dim": 64}
    configuration = {"transformer_dim": 64, "transformer": transformer}
    assert_parity_of_several_images(configuration, **shapes, dtype=torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_images_at_full_size(dtype):
    assert_parity_of_several_images(FULL_SIZE, batch=2, tokens=2, grid=(64, 64), own_pe=False, seed=0, dtype=dtype)


def test_several_prompt_sets_on_each_of_several_images():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    image_index = torch.tensor([0, 0, 1])
    inputs = decoder_inputs(batch=3, images=2)
    images = inputs["image_embeddings"]
    with torch.no_grad():
        masks, _ = ours(**{**inputs, "image_embeddings": images[image_index]})
        for i, image in enumerate(image_index):
            one = {**inputs, "image_embeddings": images[image][None]}
            for key in ("sparse_prompt_embeddings", "dense_prompt_embeddings"):
                one[key] = inputs[key][i : i + 1]
            assert_close(f"prompt set {i}", masks[i : i + 1], theirs(**one)[0])
