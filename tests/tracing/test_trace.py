"""trace: records what the model computes, and leaves nothing behind."""

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn
from traced_models import (
    BLOCKS,
    HEADS,
    HasModel,
    WholeModel,
    count_hooks,
    decoder_inputs,
    make_decoder,
    traced,
    whole_inputs,
)

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MLP, MaskDecoder, TracePoint
from sam_edu.tracing import intervene, trace

# What a trace holds


def test_every_trace_point_records_in_a_full_decode(decoder: MaskDecoder, whole: WholeModel) -> None:
    for model, args in ((decoder, decoder_inputs()), (whole, whole_inputs())):
        with trace(model) as t:
            model(*args)
        assert len(t) == sum(isinstance(module, TracePoint) for module in model.modules()) > 70


def test_traced_output_equals_untraced_bit_for_bit(decoder: MaskDecoder) -> None:
    masks, iou = decoder(*decoder_inputs())
    with trace(decoder) as t:
        traced_masks, traced_iou = decoder(*decoder_inputs())
    assert torch.equal(masks, traced_masks)
    assert torch.equal(iou, traced_iou)
    assert torch.equal(t["masks"][:, 1:], masks)
    assert torch.equal(t["iou_pred"][:, 1:], iou)


def test_axes_fit_the_shapes_and_tensors_are_detached(whole: WholeModel) -> None:
    with trace(whole) as t:
        masks, _ = whole(*whole_inputs())
    assert masks.requires_grad
    sizes = {
        "batch": {1, 2},
        "heads": {4},
        "dim": {16},
        "mlp_dim": {32},
        "tokens": {7},
        "image_tokens": {20},
        "masks": {4},
    }
    for name, tensor in t.items():
        assert not tensor.requires_grad
        assert len(t.axes(name)) == tensor.ndim, name
        for axis, size in zip(t.axes(name), tensor.shape, strict=True):
            assert size in sizes.get(axis, {size}), (name, axis)


def test_attention_rows_sum_to_one(decoder: MaskDecoder) -> None:
    attention = [tensor for name, tensor in traced(decoder, *decoder_inputs()).items() if name.endswith(".weights")]
    assert len(attention) == 7
    for weights in attention:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_names_come_in_the_order_of_computation(whole: WholeModel) -> None:
    names = list(traced(whole, *whole_inputs()))
    assert names[:5] == [
        "prompt_encoder.sparse_embeddings",
        "prompt_encoder.dense_embeddings",
        "tokens",
        "src",
        "pos_src",
    ]
    attention = [f"self_attn.{end}" for end in ("q", "k", "v", "scores", "weights", "heads", "out")]
    assert names[5:12] == [f"transformer.layers.0.{end}" for end in attention]
    steps = [names.index(f"{b}.{end}") for b in BLOCKS for end in ("queries_1", "queries_2", "queries_3", "keys_4")]
    assert steps == sorted(steps)
    assert names[-3:] == ["hyper_in", "masks", "iou_pred"]
    assert names.index("hs") < names.index("output_upscaling.doubled_once")


def test_the_same_names_for_a_decoder_alone_and_in_a_whole_model(whole: WholeModel) -> None:
    inside = [name for name in traced(whole, *whole_inputs()) if not name.startswith("prompt_encoder.")]
    assert inside == list(traced(whole.mask_decoder, *decoder_inputs()))
    with trace(HasModel(whole)) as t:
        whole(*whole_inputs())
    assert list(t)[2:] == inside


@pytest.mark.parametrize("alone", [True, False])
def test_names_may_begin_with_mask_decoder(whole: WholeModel, alone: bool) -> None:
    with trace(whole.mask_decoder if alone else whole) as t:
        whole(*whole_inputs())
    for name in ("hs", "transformer.layers.0.self_attn.q"):
        longer = f"mask_decoder.{name}"
        assert torch.equal(t[longer], t[name])
        assert longer in t
        assert t.get(longer) is not None
        assert t.axes(longer) == t.axes(name)
        assert t.step(longer) == t.step(name)
        assert longer not in list(t)
    assert "mask_decoder.none" not in t
    assert 3 not in t
    for name in ("mask_decoder.none", "mask_decoder.prompt_encoder", "mask_decoder.mask_decoder.hs"):
        with pytest.raises(KeyError, match="no tensor of that name"):
            t[name]


def test_a_second_pass_replaces_the_first(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs(seed=1, batch=3))
        decoder(*decoder_inputs(seed=2))
    wanted = traced(decoder, *decoder_inputs(seed=2))
    assert list(t) == list(wanted)
    assert all(torch.equal(t[name], wanted[name]) for name in t)


def test_a_failed_pass_leaves_nothing_of_the_one_before(decoder: MaskDecoder) -> None:
    image, pe, sparse, dense, _ = decoder_inputs()
    with trace(decoder) as t:
        decoder(*decoder_inputs())
        with pytest.raises((ValueError, TypeError), match="dense_prompt_embeddings"):
            decoder(image, pe, sparse, dense[:, :8], True)
    assert len(t) == 0


def test_a_new_decode_keeps_the_prompt_that_it_was_given(whole: WholeModel) -> None:
    with trace(whole) as t:
        whole(*whole_inputs())
        whole.mask_decoder(*decoder_inputs())
    assert t["prompt_encoder.sparse_embeddings"].shape == (2, 2, 16)
    assert t["tokens"].shape == (2, 8, 16)


def test_part_of_a_model_called_on_its_own_moves_to_the_end(decoder: MaskDecoder) -> None:
    mlp = decoder.transformer.get_submodule("layers.0.mlp")
    with trace(decoder) as t:
        decoder(*decoder_inputs())
        mlp(torch.zeros(1, 1, 16))
    assert list(t)[-1] == "transformer.layers.0.mlp.hidden"
    assert t["transformer.layers.0.mlp.hidden"].shape == (1, 1, 32)


def test_a_wrong_name_is_answered_by_the_closest_ones(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    with pytest.raises(KeyError, match=r"transformer\.layer\.0\.queries_1.*closest: transformer\.layers\.0\.queries_1"):
        t["transformer.layer.0.queries_1"]
    with pytest.raises(KeyError, match=r"closest: transformer\.layers\.0\.self_attn\.weights"):
        t["weights"]
    with pytest.raises(KeyError, match="none"):
        t.axes("zzzzzz")
    with pytest.raises(KeyError, match=r"transformer\.layers\.0\.queries_1"), intervene(decoder, "queries_1", "zero"):
        pass
    assert "queries_1" not in t
    assert t.get("queries_1") is None


def test_a_name_without_a_pass_says_so(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        pass
    assert list(t) == []
    assert t.axes("hs") == ("batch", "tokens", "dim")
    with pytest.raises(KeyError, match="nothing recorded"):
        t["hs"]


# No hook and no reference stays


def test_no_hook_and_no_reference_stays(whole: WholeModel) -> None:
    with trace(whole) as t, intervene(whole, "hs", "zero"):
        assert count_hooks(whole) > 70
        whole(*whole_inputs())
    assert count_hooks(whole) == 0
    gone = weakref.ref(t)
    del t
    gc.collect()
    assert gone() is None


def test_a_trace_does_not_keep_the_model(decoder: MaskDecoder) -> None:
    model = make_decoder()
    with trace(model) as t:
        model(*decoder_inputs())
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert len(t) > 70


def test_no_hook_stays_after_an_exception(decoder: MaskDecoder) -> None:
    before = decoder(*decoder_inputs())[0]
    with pytest.raises(ZeroDivisionError), trace(decoder), intervene(decoder, HEADS, "token_mean"):
        raise ZeroDivisionError
    with pytest.raises((ValueError, TypeError), match="image_pe"), trace(decoder), intervene(decoder, HEADS, "zero"):
        decoder(torch.zeros(1, 16, 4, 5), torch.zeros(1, 16, 5, 5), *decoder_inputs()[2:])
    assert count_hooks(decoder) == 0
    assert torch.equal(decoder(*decoder_inputs())[0], before)


def test_a_foreign_hook_stays(decoder: MaskDecoder) -> None:
    seen: list[Tensor] = []
    handle = decoder.hs.register_forward_hook(lambda module, args, output: seen.append(output))
    traced(decoder, *decoder_inputs())
    assert count_hooks(decoder) == 1
    assert len(seen) == 1
    handle.remove()


@pytest.mark.no_shape_check
def test_the_exported_graph_has_no_node_for_a_trace_point(decoder: MaskDecoder) -> None:
    args = decoder_inputs()
    exported = torch.export.export(decoder, args)
    owners = [node.meta.get("nn_module_stack") for node in exported.graph.nodes]
    types = [list(owner.values())[-1][1] for owner in owners if owner]
    assert any(str(owner).endswith("Attention") for owner in types)
    assert not any("TracePoint" in str(owner) for owner in types)
    torch.testing.assert_close(exported.module()(*args)[0], decoder(*args)[0])


# What is refused


@pytest.mark.no_shape_check
def test_a_compiled_model_is_refused(decoder: MaskDecoder, whole: WholeModel) -> None:
    with pytest.raises(ValueError, match=r"model: it is compiled.*trace points"):
        trace(torch.compile(decoder, backend="eager"))
    whole.mask_decoder = torch.compile(whole.mask_decoder, backend="eager")
    with pytest.raises(ValueError, match=r"compiled.*mask_decoder"):
        trace(whole)
    decoder.transformer.compile(backend="eager")
    with pytest.raises(ValueError, match=r"compiled.*transformer"):
        intervene(decoder, "hs", "zero")


def test_a_model_without_trace_points_is_refused() -> None:
    with pytest.raises(ValueError, match="MLP holds no TracePoint"):
        trace(MLP(2, 2, 2, 2))


def test_the_fast_decoder_is_refused(whole: WholeModel) -> None:
    whole.mask_decoder = FastMaskDecoder(whole.mask_decoder)
    with pytest.raises(ValueError, match="a FastMaskDecoder passes no trace point; trace the MaskDecoder"):
        trace(whole)


def test_any_module_can_declare_itself_untraceable(decoder: MaskDecoder) -> None:
    class Fused(nn.Sequential):
        untraceable = "a Fused computes it all at once; trace the decoder"

    with pytest.raises(ValueError, match="model: a Fused computes it all at once; trace the decoder"):
        trace(nn.Sequential(Fused(decoder)))
    with pytest.raises(ValueError, match="a Fused"):
        intervene(Fused(decoder), "0.hs", "zero")


def test_a_fast_predictor_is_refused(whole: WholeModel) -> None:
    predictor = HasModel(whole)
    predictor.fast_mask_decoder = FastMaskDecoder(whole.mask_decoder)
    with pytest.raises(ValueError, match="a fast Predictor passes no trace point of the decoder"):
        trace(predictor)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model: expected a module.*got int"):
        trace(3)
