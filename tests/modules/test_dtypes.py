"""float16, bfloat16 and float64: everything runs, and stays close to the same weights in float32."""

import pytest
import torch
from parity import FULL_SIZE, TINY, decoder_inputs, make_pair, randoms, tensors

# Roundings of the coarser dtype that are allowed, relative to the largest value of each output: five times what was
# seen at full size. Beside float64 it is float32 that is rounded.
ROUNDINGS = 12
ENCODER = {"embed_dim": 32, "image_embedding_size": (4, 6), "input_image_size": (1024, 1024), "mask_in_chans": 16}
DTYPES = [torch.float16, torch.bfloat16, torch.float64]


def assert_close_to_float32(name, configuration, dtype, inputs):
    """Both sides start from the same numbers, rounded to `dtype`; clicks and boxes stay in float32."""
    narrow, _ = make_pair(name, 0, dtype, **configuration)
    wide, _ = make_pair(name, 0, **configuration)
    wide.load_state_dict({key: value.float() for key, value in narrow.state_dict().items()})
    rounded = {
        key: value.to(dtype) if isinstance(value, torch.Tensor) and key != "boxes" else value
        for key, value in inputs.items()
    }
    widened = {
        key: value.float() if isinstance(value, torch.Tensor) and key != "boxes" else value
        for key, value in rounded.items()
    }
    with torch.no_grad():
        got, expected = list(tensors(narrow(**rounded))), list(tensors(wide(**widened)))
    assert len(got) == len(expected) == 2
    coarsest = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == dtype
        assert a.shape == b.shape
        assert a.isfinite().all()
        if a.numel():
            assert (a.double() - b.double()).abs().max() <= ROUNDINGS * coarsest * max(1.0, b.abs().max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("configuration", "dim", "grid"), [(TINY, 16, (3, 4)), (FULL_SIZE, 256, (64, 64))], ids=["tiny", "full size"]
)
def test_mask_decoder(configuration, dim, grid, dtype):
    assert_close_to_float32("MaskDecoder", configuration, dtype, decoder_inputs(dim, 1, 3, grid))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["clicks", "box", "clicks and box", "mask", "nothing"])
def test_prompt_encoder(kind, dtype):
    random = randoms(0)
    inputs = {
        "points": (random(2, 3, 2) * 100 + 512, torch.tensor([[1, 0, -1]] * 2)) if "clicks" in kind else None,
        "boxes": random(2, 4) * 100 + 512 if "box" in kind else None,
        "masks": random(2, 1, 16, 24) if kind == "mask" else None,
    }
    assert_close_to_float32("PromptEncoder", ENCODER, dtype, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_positional_encoding(dtype):
    narrow, _ = make_pair("PromptEncoder", 0, dtype, **ENCODER)
    encoding = narrow.get_dense_pe()
    assert encoding.dtype == dtype
    assert encoding.shape == (1, 32, 4, 6)
    matrix = narrow.pe_layer.positional_encoding_gaussian_matrix.double()
    # By hand: the cell in row 1, column 2 of a grid of 4 x 6, in double precision.
    angles = 2 * torch.pi * (2 * torch.tensor([2.5 / 6, 1.5 / 4], dtype=torch.float64) - 1) @ matrix
    expected = torch.cat([angles.sin(), angles.cos()])
    assert (encoding[0, :, 1, 2].double() - expected).abs().max() <= max(torch.finfo(dtype).eps, 1e-6)


def test_neighbouring_pixels_have_different_encodings_in_half_precision():
    """An angle of many turns has no digits left in half precision: the encoding is computed in float32."""
    ours, _ = make_pair("PositionEmbeddingRandom", num_pos_feats=8)
    points = torch.tensor([[[511.5, 300.5], [512.5, 300.5]]])
    reference = ours.forward_with_coords(points, (1024, 1024))
    matrix = ours.positional_encoding_gaussian_matrix
    ours.half()
    matrix.data = ours.positional_encoding_gaussian_matrix.float()
    encoding = ours.forward_with_coords(points, (1024, 1024))
    assert (encoding.float() - reference).abs().max() < 2e-2
    assert (encoding[0, 0] != encoding[0, 1]).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_are_finite(dtype):
    ours, _ = make_pair("MaskDecoder", 0, dtype, **TINY)
    masks, iou = ours(**decoder_inputs(dtype=dtype))
    (masks.float().mean() + iou.float().mean()).backward()
    reached = [p.grad for p in ours.parameters() if p.grad is not None]
    assert reached
    assert all(gradient.isfinite().all() for gradient in reached)
