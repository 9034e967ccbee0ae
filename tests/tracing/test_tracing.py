"""Tracing sees what the model computes, interventions change it, and neither leaves anything behind."""

import gc
import re
import weakref

import pytest
import torch
from torch import Tensor, nn

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MLP, Attention, MaskDecoder, OutputUpscaling, PromptEncoder, TracePoint, TwoWayTransformer
from sam_edu.tracing import intervene, trace

BLOCKS = ("transformer.layers.0", "transformer.layers.1")
HEADS = "transformer.layers.1.cross_attn_token_to_image.heads"


class WholeModel(nn.Module):
    """Of a Sam what tracing sees: its parts by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = nn.Conv2d(3, 16, 4, stride=4)
        self.prompt_encoder = PromptEncoder(16, (4, 5), (16, 20), 8)
        self.mask_decoder = make_decoder()

    def forward(self, image: Tensor, points: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        sparse, dense = self.prompt_encoder(points, None, None)
        pe = self.prompt_encoder.get_dense_pe()
        return self.mask_decoder(self.image_encoder(image), pe, sparse, dense, multimask_output=True)


class HasModel:
    """Of a Predictor what tracing sees."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model


def make_decoder() -> MaskDecoder:
    transformer = TwoWayTransformer(depth=2, embedding_dim=16, num_heads=4, mlp_dim=32)
    return MaskDecoder(transformer_dim=16, transformer=transformer, iou_head_hidden_dim=16)


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    return make_decoder()


@pytest.fixture
def whole() -> WholeModel:
    torch.manual_seed(1)
    return WholeModel()


def decoder_inputs(seed: int = 0, batch: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor, bool]:
    generator = torch.Generator().manual_seed(seed)
    image, pe = (torch.randn(1, 16, 4, 5, generator=generator) for _ in range(2))
    sparse = torch.randn(batch, 3, 16, generator=generator)
    dense = torch.randn(batch, 16, 4, 5, generator=generator)
    return image, pe, sparse, dense, True


def whole_inputs() -> tuple[Tensor, tuple[Tensor, Tensor]]:
    return torch.randn(1, 3, 16, 20), (torch.tensor([[[3.0, 4.0]], [[9.0, 8.0]]]), torch.tensor([[1], [0]]))


def traced(model: nn.Module, *args: object) -> dict[str, Tensor]:
    with trace(model) as t:
        model(*args)
    return dict(t)


def count_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# What a trace holds


def test_every_point_fires_in_a_full_decode(decoder: MaskDecoder, whole: WholeModel) -> None:
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
    sizes = {"batch": {1, 2}, "heads": {4}, "dim": {16}, "mlp_dim": {32}, "tokens": {7}, "pixels": {20}, "masks": {4}}
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


def test_the_same_names_for_a_decoder_alone_and_inside(whole: WholeModel) -> None:
    inside = [name for name in traced(whole, *whole_inputs()) if not name.startswith("prompt_encoder.")]
    assert inside == list(traced(whole.mask_decoder, *decoder_inputs()))
    with trace(HasModel(whole)) as t:
        whole(*whole_inputs())
    assert list(t)[2:] == inside


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


def test_a_wrong_name_gets_the_closest_ones(decoder: MaskDecoder) -> None:
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


# Steps and shape_table


def test_every_name_has_a_step_and_a_notebook(whole: WholeModel) -> None:
    with trace(whole) as t:
        whole(*whole_inputs())
    for row in t.shape_table():
        assert row.step == t.step(row.name)
        assert row.step in {"(0)", "(1)", "(2)", "(3)", "(4)", "(5)", "(6-1)", "(6-2)", "(6-3)", "(7)", "prompt"}
        assert re.fullmatch(r"0[1-8]", row.notebook), row.name


@pytest.mark.parametrize(
    ("name", "step", "notebook"),
    [
        ("prompt_encoder.dense_embeddings", "prompt", "03"),
        ("pos_src", "(0)", "08"),
        ("transformer.layers.1.self_attn.k", "(1)", "02"),
        ("transformer.layers.0.queries_1", "(1)", "04"),
        ("transformer.layers.1.cross_attn_token_to_image.weights", "(2)", "02"),
        ("transformer.layers.1.queries_2", "(2)", "04"),
        ("transformer.layers.0.mlp.hidden", "(3)", "01"),
        ("transformer.layers.0.queries_3", "(3)", "04"),
        ("transformer.layers.1.cross_attn_image_to_token.out", "(4)", "02"),
        ("transformer.layers.1.keys_4", "(4)", "04"),
        ("transformer.final_attn_token_to_image.heads", "(6-1)", "02"),
        ("hs", "(6-1)", "05"),
        ("keys", "(5)", "05"),
        ("output_upscaling.normed", "(5)", "06"),
        ("hyper_in", "(6-2)", "07"),
        ("masks", "(6-3)", "07"),
        ("iou_pred", "(7)", "08"),
    ],
)
def test_steps_by_name(whole: WholeModel, name: str, step: str, notebook: str) -> None:
    with trace(whole) as t:
        whole(*whole_inputs())
    (row,) = (row for row in t.shape_table() if row.name == name)
    assert (row.step, row.notebook) == (step, notebook)


def test_a_small_module_alone() -> None:
    upscaling = OutputUpscaling(16)
    with trace(upscaling) as t:
        upscaling(torch.zeros(1, 16, 2, 3))
    assert [t.step(name) for name in t] == ["(5)"] * 5
    attention = Attention(16, 4)
    with trace(attention) as t:
        attention(*torch.zeros(3, 1, 2, 16))
    assert list(t) == ["q", "k", "v", "scores", "weights", "heads", "out"]
    assert t.step("q") == ""  # an attention alone does not know which step it serves


def test_a_point_of_a_readers_own_has_no_address() -> None:
    model = nn.Sequential(nn.Linear(2, 2), TracePoint("batch mine"))
    with trace(model) as t:
        model(torch.zeros(1, 2))
    assert t.shape_table()[0] == ("1", "", ("batch", "mine"), (1, 2), "")


def test_ledger_reads_as_text(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    shape_table = t.shape_table()
    header, rule, *lines = str(shape_table).splitlines()
    assert len(lines) == len(shape_table) == len(t)
    assert set(rule) == {"-"}
    column = header.index("shape")
    assert all(line[column - 2 : column] == "  " and line[column].isdigit() for line in lines)
    assert lines[0].split("  ")[0] == "tokens"
    assert "2 x 8 x 16" in lines[0]
    assert repr(shape_table) == str(shape_table)


def test_ledger_reads_as_html(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    page = t.shape_table()._repr_html_()
    assert page.count("<tr>") == 1 + len(t)
    assert '<td style="text-align: left"><code>hyper_in</code></td>' in page
    assert "<script" not in page


def test_ledger_of_one_notebook_and_slices(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    assert [row.name for row in t.shape_table("07")] == ["hyper_in", "masks"]
    assert [row.name for row in t.shape_table()[-2:]] == ["masks", "iou_pred"]
    assert len(str(t.shape_table("none such")).splitlines()) == 2


# Nothing stays behind


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
    with pytest.raises(ZeroDivisionError), trace(decoder), intervene(decoder, HEADS, "mean"):
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
def test_the_exported_graph_has_no_node_for_a_point(decoder: MaskDecoder) -> None:
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
    with pytest.raises(ValueError, match="model: it is compiled"):
        trace(torch.compile(decoder, backend="eager"))
    whole.mask_decoder = torch.compile(whole.mask_decoder, backend="eager")
    with pytest.raises(ValueError, match=r"compiled.*mask_decoder"):
        trace(whole)
    decoder.transformer.compile(backend="eager")
    with pytest.raises(ValueError, match=r"compiled.*transformer"):
        intervene(decoder, "hs", "zero")


def test_a_model_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="MLP holds no TracePoint"):
        trace(MLP(2, 2, 2, 2))


def test_the_fast_decoder_is_refused(whole: WholeModel) -> None:
    whole.mask_decoder = FastMaskDecoder(whole.mask_decoder)
    with pytest.raises(ValueError, match="a FastMaskDecoder passes no point"):
        trace(whole)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model: expected a module.*got int"):
        trace(3)


# Interventions


@pytest.mark.parametrize("name", ["src", HEADS, "transformer.layers.1.queries_3", "hs", "keys", "hyper_in", "iou_pred"])
def test_only_what_comes_after_changes(decoder: MaskDecoder, name: str) -> None:
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, name, "zero"):
        after = traced(decoder, *decoder_inputs())
    names = list(before)
    place = names.index(name)
    assert all(torch.equal(before[n], after[n]) for n in names[:place])
    assert not after[name].any()
    changed = {n for n in names[place:] if not torch.equal(before[n], after[n])}
    independent = {
        "hs": {"keys", "output_upscaling.normed"},
        "keys": {"iou_pred", "hyper_in"},
        "hyper_in": {"iou_pred"},
    }
    assert not changed & independent.get(name, set())
    if name != "iou_pred":
        assert "masks" in changed


@pytest.mark.parametrize("trace_first", [True, False])
def test_the_trace_shows_what_flows_on(decoder: MaskDecoder, trace_first: bool) -> None:
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


def test_selections_meet(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())[HEADS]
    with intervene(decoder, HEADS, "zero", heads=[0, -1], queries=slice(1, 5), batch=1):
        after = traced(decoder, *decoder_inputs())[HEADS]
    wanted = before.clone()
    for head in (0, 3):
        wanted[1, head, 1:5] = 0
    assert torch.equal(after, wanted)


def test_mean_by_hand(decoder: MaskDecoder) -> None:
    before = traced(decoder, *decoder_inputs())
    with intervene(decoder, HEADS, "mean", heads=2):
        after = traced(decoder, *decoder_inputs())
    batch, _, queries, head_dim = before[HEADS].shape
    mean = sum(before[HEADS][b, 2, q] for b in range(batch) for q in range(queries)) / (batch * queries)
    torch.testing.assert_close(after[HEADS][:, 2], mean.expand(batch, queries, head_dim))
    assert torch.equal(after[HEADS][:, 0], before[HEADS][:, 0])
    with intervene(decoder, "output_upscaling.normed", "mean"):
        after = traced(decoder, *decoder_inputs())
    channel = before["output_upscaling.normed"][:, 1].mean()
    torch.testing.assert_close(after["output_upscaling.normed"][:, 1], channel.expand(2, 8, 10))


def test_mean_of_attention_weights_is_even(decoder: MaskDecoder) -> None:
    name = "transformer.layers.0.cross_attn_token_to_image.weights"
    with intervene(decoder, name, "mean"):
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


def test_a_function_replaces_and_cannot_write_upstream(decoder: MaskDecoder) -> None:
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


def test_interventions_in_a_whole_model(whole: WholeModel) -> None:
    args = whole_inputs()
    with trace(whole) as t, intervene(HasModel(whole), "prompt_encoder.sparse_embeddings", "zero"):
        whole(*args)
    assert not t["tokens"][:, 5:].any()
    assert t["tokens"][:, :5].any()


def test_gradients_flow_round_what_is_switched_off(decoder: MaskDecoder) -> None:
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
        (lambda x: x[:1], r"how: hs wants a tensor of shape \(2, 8, 16\).*got \(1, 8, 16\)"),
        (lambda x: x.double(), "torch.float32, got .*torch.float64"),
        (lambda x: None, "got NoneType"),
        (torch.zeros(3, 16), r"got \(3, 16\)"),
        (torch.zeros(3, 1, 1), r"got \(3, 1, 1\)"),
        (torch.zeros(2), r"got \(2,\)"),
        (torch.zeros(1, 1, 1, 16), "how: hs wants"),
        (torch.zeros(16, dtype=torch.float64), "torch.float64"),
    ],
)
def test_a_wrong_replacement_is_refused(decoder: MaskDecoder, how: object, message: str) -> None:
    with pytest.raises(ValueError, match=message), intervene(decoder, "hs", how):
        decoder(*decoder_inputs())


def test_wrong_types_are_refused(decoder: MaskDecoder) -> None:
    with pytest.raises(TypeError, match="how"):
        intervene(decoder, "hs", "nought")
    with pytest.raises(TypeError, match="how"):
        intervene(decoder, "hs", 0.0)
    with pytest.raises(TypeError, match="tokens"), intervene(decoder, "hs", "zero", tokens=1.5):
        decoder(*decoder_inputs())


def test_an_unusual_rank_is_refused() -> None:
    mlp = make_decoder().transformer.get_submodule("layers.0.mlp")
    with pytest.raises(ValueError, match="hidden: expected the axes"), intervene(mlp, "hidden", "zero"):
        mlp(torch.zeros(2, 16))
