"""intervene: replaces a tensor during the forward pass, and everything computed from it changes with it."""

import numpy as np
import pytest
import torch
from torch import Tensor
from traced_models import HEADS, HasModel, WholeModel, count_hooks, decoder_inputs, make_decoder, traced, whole_inputs

from sam_edu.modules import MaskDecoder
from sam_edu.tracing import intervene, trace


@pytest.mark.parametrize("name", ["src", HEADS, "transformer.layers.1.queries_3", "hs", "keys", "hyper_in", "iou_pred"])
def test_only_what_comes_after_changes(decoder: MaskDecoder, name: str) -> None:
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, name, "zero"):
        after = traced(decoder, *decoder_inputs())
    names = list(before)
    position = names.index(name)
    assert all(torch.equal(before[n], after[n]) for n in names[:position])
    assert not after[name].any()
    changed = {n for n in names[position:] if not torch.equal(before[n], after[n])}
    independent = {
        "hs": {"keys", "output_upscaling.normed"},
        "keys": {"iou_pred", "hyper_in"},
        "hyper_in": {"iou_pred"},
    }
    assert not changed & independent.get(name, set())
    if name != "iou_pred":
        assert "masks" in changed


@pytest.mark.parametrize("trace_first", [True, False])
def test_the_trace_shows_the_tensor_after_the_replacement(decoder: MaskDecoder, trace_first: bool) -> None:
    if trace_first:
        with trace(decoder) as t, intervene(decoder, "masks", "zero"):
            masks, _ = decoder(*decoder_inputs())
    else:
        with intervene(decoder, "masks", "zero"), trace(decoder) as t:
            masks, _ = decoder(*decoder_inputs())
    assert not masks.any()
    assert not t["masks"].any()


def test_zero_for_one_head(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, HEADS, "zero", heads=3):
        after = traced(decoder, *decoder_inputs())
    assert not after[HEADS][:, 3].any()
    assert torch.equal(after[HEADS][:, :3], before[HEADS][:, :3])


def test_indices_count_from_either_end(decoder: MaskDecoder) -> None:
    for first, last in ((0, 3), (-4, -1)):
        with intervene(decoder, HEADS, "zero", heads=first), intervene(decoder, HEADS, "zero", heads=last):
            after = traced(decoder, *decoder_inputs())[HEADS]
        assert [bool(after[:, head].any()) for head in range(4)] == [False, True, True, False]


def test_selections_intersect(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())[HEADS]
    with intervene(decoder, HEADS, "zero", heads=[0, -1], queries=slice(1, 5), batch=1):
        after = traced(decoder, *decoder_inputs())[HEADS]
    wanted = before.clone()
    for head in (0, 3):
        wanted[1, head, 1:5] = 0
    assert torch.equal(after, wanted)


def test_token_mean_by_hand(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, HEADS, "token_mean", heads=2):
        after = traced(decoder, *decoder_inputs())
    batch, _, queries, head_dim = before[HEADS].shape
    mean = sum(before[HEADS][b, 2, q] for b in range(batch) for q in range(queries)) / (batch * queries)
    torch.testing.assert_close(after[HEADS][:, 2], mean.expand(batch, queries, head_dim))
    assert torch.equal(after[HEADS][:, 0], before[HEADS][:, 0])
    with intervene(decoder, "output_upscaling.normed", "token_mean"):
        after = traced(decoder, *decoder_inputs())
    channel = before["output_upscaling.normed"][:, 1].mean()
    torch.testing.assert_close(after["output_upscaling.normed"][:, 1], channel.expand(2, 8, 10))


def test_token_mean_of_attention_weights_is_uniform(decoder: MaskDecoder) -> None:
    name = "transformer.layers.0.cross_attn_token_to_image.weights"
    with intervene(decoder, name, "token_mean"):
        weights = traced(decoder, *decoder_inputs())[name]
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 20))


def test_a_tensor_replaces(decoder: MaskDecoder) -> None:
    mean = torch.arange(16.0)
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, "hs", mean, tokens=[1, 2]):
        after = traced(decoder, *decoder_inputs())
    assert torch.equal(after["hs"][:, 1:3], mean.expand(2, 2, 16))
    assert torch.equal(after["hs"][:, 3:], before["hs"][:, 3:])


@pytest.mark.parametrize("shape", [(), (1,), (16,), (8, 1), (8, 16), (1, 8, 1), (2, 1, 16), (2, 1, 1), (1, 1, 1)])
def test_a_tensor_of_any_shape_that_broadcasts_replaces(decoder: MaskDecoder, shape: tuple[int, ...]) -> None:
    new = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    with intervene(decoder, "hs", new):
        after = traced(decoder, *decoder_inputs())["hs"]
    assert torch.equal(after, new.broadcast_to(2, 8, 16))


def test_a_tensor_that_requires_grad_replaces_and_gets_its_gradient(decoder: MaskDecoder) -> None:
    new = torch.ones(16, requires_grad=True)
    with trace(decoder) as t, intervene(decoder, "hs", new, tokens=slice(0, 1)):
        _, iou = decoder(*decoder_inputs())
    iou.sum().backward()
    assert new.grad is not None
    assert new.grad.any()
    assert not t["hs"].requires_grad


def test_a_model_on_another_device_is_changed_there(decoder: MaskDecoder) -> None:
    """PyTorch's meta device stands for any other: it refuses a processor's tensors."""
    args = [value.to("meta") if isinstance(value, Tensor) else value for value in decoder_inputs()]
    decoder.to("meta")
    with trace(decoder) as t, intervene(decoder, "hs", torch.ones(16), tokens=[1, 2], dim=slice(4)):
        decoder(*args)
    assert len(t) > 70
    assert all(tensor.is_meta for tensor in t.values())


def test_a_function_replaces_and_cannot_change_what_was_computed_before(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())
    with torch.no_grad(), intervene(decoder, "keys", lambda x: x.mul_(2)):
        after = traced(decoder, *decoder_inputs())
    assert torch.equal(after["keys"], 2 * before["keys"])
    assert torch.equal(after["transformer.layers.1.keys_4"], before["transformer.layers.1.keys_4"])


def test_interventions_nest(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())["hs"]
    with intervene(decoder, "hs", lambda x: x + 1):
        with intervene(decoder, "hs", lambda x: 2 * x), intervene(decoder, "tokens", "zero", tokens=7):
            inner = traced(decoder, *decoder_inputs())
        outer = traced(decoder, *decoder_inputs())["hs"]
    assert not inner["tokens"][:, 7].any()
    assert torch.equal(outer, before + 1)
    with intervene(decoder, "tokens", "zero", tokens=7):
        other = traced(decoder, *decoder_inputs())["hs"]
    assert torch.equal(inner["hs"], 2 * (other + 1))
    assert torch.equal(traced(decoder, *decoder_inputs())["hs"], before)


@pytest.mark.parametrize("alone", [True, False])
def test_the_name_may_begin_with_mask_decoder(whole: WholeModel, alone: bool) -> None:
    model = whole.mask_decoder if alone else whole
    with trace(model) as t, intervene(model, "mask_decoder.hs", "zero", tokens=1):
        whole(*whole_inputs())
    assert not t["hs"][:, 1].any()
    assert t["hs"][:, 2].any()


def test_image_tokens_are_selected_by_their_axis(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())["keys"]
    with intervene(decoder, "keys", "zero", image_tokens=[0, 19]):
        after = traced(decoder, *decoder_inputs())["keys"]
    assert not after[:, [0, 19]].any()
    assert torch.equal(after[:, 1:19], before[:, 1:19])


def test_interventions_in_a_whole_model(whole: WholeModel) -> None:
    args = whole_inputs()
    with trace(whole) as t, intervene(HasModel(whole), "prompt_encoder.sparse_embeddings", "zero"):
        whole(*args)
    assert not t["tokens"][:, 5:].any()
    assert t["tokens"][:, :5].any()


def test_no_gradient_reaches_an_ablated_mask_and_the_others_keep_theirs(decoder: MaskDecoder) -> None:
    with intervene(decoder, "hyper_in", "zero", masks=1):
        masks, _ = decoder(*decoder_inputs())
    masks.sum().backward()
    ablated, kept = (decoder.output_hypernetworks_mlps[i].layers[0].weight.grad for i in (1, 2))
    assert not ablated.any()
    assert kept.any()


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"head": 0}, "head: .* no such axis, only batch, heads, queries, head_dim"),
        ({"heads": 4}, "heads: expected at least one index from 0 to 3, got 4"),
        ({"heads": -5}, "heads: .*got -5"),
        ({"heads": [0, 9]}, r"heads: .*got \[0, 9\]"),
        ({"heads": []}, "heads: expected at least one"),
        ({"queries": slice(50, 60)}, "queries: expected at least one index from 0 to 7"),
    ],
)
def test_a_wrong_selection_is_refused(decoder: MaskDecoder, select: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message), intervene(decoder, HEADS, "zero", **select):
        decoder(*decoder_inputs())
    assert count_hooks(decoder) == 0


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda x: x[:1], r"how: hs needs a tensor of shape \(2, 8, 16\).*got \(1, 8, 16\)"),
        (lambda x: x.double(), "torch.float32, got .*torch.float64"),
        (lambda x: None, "got NoneType"),
        (torch.zeros(3, 16), r"got \(3, 16\)"),
        (torch.zeros(3, 1, 1), r"got \(3, 1, 1\)"),
        (torch.zeros(2), r"got \(2,\)"),
        (torch.zeros(1, 1, 1, 16), "how: hs needs"),
        (torch.zeros(16, dtype=torch.float64), "torch.float64"),
    ],
)
def test_a_wrong_replacement_is_refused(decoder: MaskDecoder, how: object, message: str) -> None:
    with pytest.raises(ValueError, match=message), intervene(decoder, "hs", how):
        decoder(*decoder_inputs())


def test_wrong_types_are_refused(decoder: MaskDecoder) -> None:
    with pytest.raises(TypeError, match="how"):
        intervene(decoder, "hs", "median")
    with pytest.raises(TypeError, match="how"):
        intervene(decoder, "hs", 0.0)
    with pytest.raises(TypeError, match="tokens"), intervene(decoder, "hs", "zero", tokens=1.5):
        decoder(*decoder_inputs())


def test_an_unusual_rank_is_refused() -> None:
    mlp = make_decoder().transformer.get_submodule("layers.0.mlp")
    with pytest.raises(ValueError, match="hidden: expected the axes"), intervene(mlp, "hidden", "zero"):
        mlp(torch.zeros(2, 16))


MASK = torch.tensor([False, True, False, True])
SELECTIONS = {
    "a mask": MASK,
    "NumPy's mask": MASK.numpy(),
    "a mask in a list": MASK.tolist(),
    "a tensor": torch.tensor([1, 3]),
    "an array": np.array([1, -1]),
    "a tuple": (3, 1),
    "a range": range(1, 4, 2),
    "a generator": (i for i in (1, 3)),
    "twice": [1, 1, 3],
    "a slice": slice(1, None, 2),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize("heads", SELECTIONS.values(), ids=SELECTIONS)
def test_every_kind_of_selection_holds_for_every_pass(decoder: MaskDecoder, heads: object) -> None:
    with intervene(decoder, HEADS, "zero", heads=heads):
        for _ in range(2):
            after = traced(decoder, *decoder_inputs())[HEADS]
            assert [bool(after[:, head].any()) for head in range(4)] == [True, False, True, False]


@pytest.mark.no_shape_check
@pytest.mark.parametrize("axis", ["tokens", "dim", "batch"])
def test_masks_select_on_every_axis(decoder: MaskDecoder, axis: str) -> None:
    before = traced(decoder, *decoder_inputs())["hs"]
    place = ("batch", "tokens", "dim").index(axis)
    mask = torch.arange(before.shape[place]) % 2 == 1
    with intervene(decoder, "hs", "zero", **{axis: mask}):
        after = traced(decoder, *decoder_inputs())["hs"]
    assert not after.movedim(place, 0)[mask].any()
    assert torch.equal(after.movedim(place, 0)[~mask], before.movedim(place, 0)[~mask])


@pytest.mark.no_shape_check
@pytest.mark.parametrize("heads", [True, 1.0, [0.0, 1.0], "1", None, [True, 2], [0, None]])
def test_what_is_no_selection_is_refused_when_it_is_given(decoder: MaskDecoder, heads: object) -> None:
    with pytest.raises(TypeError, match="heads: expected"):
        intervene(decoder, HEADS, "zero", heads=heads)


@pytest.mark.no_shape_check
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (np.zeros(16), r"got array\(.*give torch\.as_tensor"),
        (0.0, "got 0.0; give torch.as_tensor"),
        ("median", '"token_mean"'),
        (None, "got None$"),
    ],
)
def test_what_is_no_replacement_is_told_the_way_out(decoder: MaskDecoder, how: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        intervene(decoder, "hs", how)


def test_a_replacement_of_another_dtype_is_told_how_to_convert(decoder: MaskDecoder) -> None:
    decoder.bfloat16()
    args = [x.bfloat16() if isinstance(x, Tensor) else x for x in decoder_inputs()]
    with (
        pytest.raises(ValueError, match=r"\.to\(torch\.bfloat16\) converts it"),
        intervene(decoder, "hs", torch.ones(16)),
    ):
        decoder(*args)
