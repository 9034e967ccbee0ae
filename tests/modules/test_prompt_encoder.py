"""PositionEmbeddingRandom and PromptEncoder against Meta's.

Meta's code casts positions to float32 and makes its grid in float32, so that in float64 it fails as soon as there is
a position to encode. The float64 reference here is Meta's own forward with that cast lifted (`parity.Lifted`).
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import (
    DTYPES,
    EXAMPLES,
    Lifted,
    activations,
    assert_close,
    assert_parity,
    assert_parity_forward,
    assert_parity_gradients,
    assert_parity_state_dict,
    assert_parity_trace_points,
    batches,
    grids,
    make_pair,
    randoms,
    seeds,
)

sizes = st.tuples(st.integers(1, 1200), st.integers(1, 1200))
FULL_SIZE = {
    "embed_dim": 256,
    "image_embedding_size": (64, 64),
    "input_image_size": (1024, 1024),
    "mask_in_chans": 16,
}
TINY = {"embed_dim": 8, "image_embedding_size": (2, 3), "input_image_size": (20, 30), "mask_in_chans": 4}


@st.composite
def configurations(draw):
    return {
        "embed_dim": 2 * draw(st.integers(1, 6)),
        "image_embedding_size": draw(grids),
        "input_image_size": draw(sizes),
        "mask_in_chans": draw(st.integers(4, 12)),
        "activation": draw(activations),
    }


@st.composite
def prompts(draw, configuration, coords_dtype):
    """Arguments of forward: clicks, boxes and masks, each of them or None, with labels of every kind."""
    batch = draw(st.integers(1, 3))
    random = randoms(draw(seeds))
    height, width = configuration["input_image_size"]
    scale = torch.tensor([width, height])

    points = boxes = masks = None
    if draw(st.booleans()):
        clicks = draw(st.integers(0, 9))
        # Inside the image, and sometimes outside.
        coords = ((0.5 + 0.4 * random(batch, clicks, 2)) * scale).to(coords_dtype)
        labels = torch.tensor(draw(st.lists(st.integers(-1, 3), min_size=batch * clicks, max_size=batch * clicks)))
        labels_dtype = draw(st.sampled_from([torch.int64, torch.int32, torch.float32]))
        points = (coords, labels.reshape(batch, clicks).to(labels_dtype))
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(4,), (2, 2), (1, 4)]))
        boxes = ((0.5 + 0.4 * random(batch, 2, 2)) * scale).to(coords_dtype).reshape(batch, *shape)
    if draw(st.booleans()):
        rows, columns = configuration["image_embedding_size"]
        alone = points is None and boxes is None
        count = batch if alone else draw(st.sampled_from([1, batch]))
        masks = 5 * random(count, 1, 4 * rows, 4 * columns)
    return {"points": points, "boxes": boxes, "masks": masks}


@settings(max_examples=2 * EXAMPLES)
@given(data=st.data(), configuration=configurations(), seed=seeds)
def test_prompt_encoder_float32(data, configuration, seed):
    coords_dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.int64, torch.int32]))
    inputs = data.draw(prompts(configuration, coords_dtype))
    ours, theirs = make_pair("PromptEncoder", seed, **configuration)
    assert_parity(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)
    with torch.no_grad():
        assert_close("dense positional encoding", ours.get_dense_pe(), theirs.get_dense_pe())


@settings(max_examples=EXAMPLES)
@given(data=st.data(), configuration=configurations(), seed=seeds)
def test_prompt_encoder_float64(data, configuration, seed):
    inputs = data.draw(prompts(configuration, torch.float64))
    if inputs["masks"] is not None:
        inputs["masks"] = inputs["masks"].double()
    ours, theirs = make_pair("PromptEncoder", seed, torch.float64, **configuration)
    assert_parity_state_dict(ours, theirs)
    assert_parity_forward(ours, Lifted(theirs), inputs)
    assert_parity_gradients(ours, Lifted(theirs), inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=EXAMPLES)
@given(
    features=st.integers(1, 8),
    scale=st.sampled_from([None, -1.0, 0.0, 0.5, 2.0]),
    size=grids,
    image_size=sizes,
    batch=batches,
    points=st.integers(0, 5),
    seed=seeds,
)
def test_position_embedding_random(dtype, features, scale, size, image_size, batch, points, seed):
    ours, theirs = make_pair("PositionEmbeddingRandom", seed, dtype, num_pos_feats=features, scale=scale)
    assert_parity_state_dict(ours, theirs)
    reference = theirs if dtype == torch.float32 else Lifted(theirs)
    assert_parity_forward(ours, reference, {"size": size})

    # The other method, through a module whose forward it is; it is also what differentiates positions.
    coords = randoms(seed, dtype)(batch, points, 2)
    inputs = {"coords_input": 20 * coords, "image_size": image_size}
    theirs.forward, ours.forward = theirs.forward_with_coords, ours.forward_with_coords
    assert_parity_forward(ours, reference, inputs)
    assert_parity_gradients(ours, reference, inputs)


@pytest.mark.parametrize("scale", [None, -1.0, 0.0, 0.5])
def test_initial_matrix_is_drawn_as_meta_draws_it(scale):
    from sam_edu import modules, official

    matrices = []
    for kind in (modules.PositionEmbeddingRandom, official.official_class("PositionEmbeddingRandom")):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            matrices.append(kind(5, scale).positional_encoding_gaussian_matrix)
    assert torch.equal(*matrices)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["click", "box", "click and box", "mask", "everything", "nothing"])
def test_at_full_size(kind, dtype):
    random = randoms(0, dtype)
    points = (random(2, 3, 2) * 200 + 512, torch.tensor([[1, 0, -1], [1, 1, 0]]))
    inputs = {
        "points": points if kind in ("click", "click and box", "everything") else None,
        "boxes": random(2, 4) * 100 + 512 if kind in ("box", "click and box", "everything") else None,
        "masks": 5 * random(2, 1, 256, 256) if kind in ("mask", "everything") else None,
    }
    ours, theirs = make_pair("PromptEncoder", 0, dtype, **FULL_SIZE)
    reference = theirs if dtype == torch.float32 else Lifted(theirs)
    assert_parity_state_dict(ours, theirs)
    assert_parity_forward(ours, reference, inputs)
    assert_parity_gradients(ours, reference, inputs)


def test_size_of_the_official_configuration():
    ours, theirs = make_pair("PromptEncoder", **FULL_SIZE)
    assert_parity_state_dict(ours, theirs)
    assert len(list(ours.parameters())) == 16
    assert sum(p.numel() for p in ours.parameters()) == 6_220
    assert ours.pe_layer.positional_encoding_gaussian_matrix.shape == (2, 128)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("with_box", [False, True])
def test_labels_of_any_dtype(dtype, with_box):
    ours, theirs = make_pair("PromptEncoder", **TINY)
    random = randoms(0)
    inputs = {
        "points": (10 * random(2, 2, 2), torch.tensor([[0, 1], [1, 1]]).to(dtype)),
        "boxes": 10 * random(2, 4) if with_box else None,
        "masks": None,
    }
    assert_parity(ours, theirs, inputs)


@pytest.mark.parametrize("with_box", [False, True])
def test_no_clicks(with_box):
    """An empty list of clicks is not the same as none: without a box it leaves one padding token."""
    ours, theirs = make_pair("PromptEncoder", **TINY)
    inputs = {
        "points": (torch.zeros(2, 0, 2), torch.zeros(2, 0)),
        "boxes": randoms(0)(2, 4) if with_box else None,
        "masks": None,
    }
    assert_parity_forward(ours, theirs, inputs)
    sparse, _ = ours(**inputs)
    assert sparse.shape == (2, 2 if with_box else 1, 8)
    if not with_box:
        assert torch.equal(sparse[0], ours.not_a_point_embed.weight)


def test_no_prompt():
    ours, theirs = make_pair("PromptEncoder", **TINY)
    inputs = {"points": None, "boxes": None, "masks": None}
    assert_parity(ours, theirs, inputs)
    sparse, dense = ours(**inputs)
    assert sparse.shape == (1, 0, 8)
    assert torch.equal(dense[0, :, 1, 2], ours.no_mask_embed.weight[0])


def test_no_prompt_sets():
    ours, theirs = make_pair("PromptEncoder", **TINY)
    inputs = {"points": (torch.zeros(0, 2, 2), torch.zeros(0, 2)), "boxes": torch.zeros(0, 4), "masks": None}
    assert_parity_forward(ours, theirs, inputs)


def test_several_clicks_beside_one_mask():
    ours, theirs = make_pair("PromptEncoder", **TINY)
    inputs = {"points": (torch.ones(3, 1, 2), torch.ones(3, 1)), "boxes": None, "masks": randoms(0)(1, 1, 8, 12)}
    assert_parity(ours, theirs, inputs)


def test_labels_2_and_3_get_no_corner_embedding():
    ours, theirs = make_pair("PromptEncoder", **TINY)
    points = torch.full((1, 2, 2), 7.0)
    inputs = {"points": (points, torch.tensor([[2, 3]])), "boxes": None, "masks": None}
    assert_parity(ours, theirs, inputs)
    sparse, _ = ours(**inputs)
    encoding = ours.pe_layer.forward_with_coords(points + 0.5, ours.input_image_size)
    assert torch.equal(sparse[:, :2], encoding)


def test_inputs_are_not_changed():
    ours, _ = make_pair("PromptEncoder", **TINY)
    points, boxes = torch.full((1, 2, 2), 7.0), torch.full((1, 4), 3.0)
    ours((points, torch.tensor([[1, -1]])), boxes, None)
    assert (points == 7).all()
    assert (boxes == 3).all()
