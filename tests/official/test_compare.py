"""sam_edu.official.compare: our forward beside Meta's, tensor by tensor."""

import math

import pytest
import torch
from official_cases import CONFIGURATIONS
from parity import TINY, assert_parity_trace_points, decoder_inputs, make_pair, randoms
from torch import nn

from sam_edu import modules, official
from sam_edu.official.compare import compare_tensor

# One weight of Meta's side, and the first of the named tensors that it changes.
BREAKS = {
    "iou_token.weight": "tokens",
    "mask_tokens.weight": "tokens",
    "transformer.layers.0.self_attn.q_proj.weight": "transformer.layers.0.self_attn.q",
    "transformer.layers.0.self_attn.k_proj.bias": "transformer.layers.0.self_attn.k",
    "transformer.layers.0.self_attn.v_proj.weight": "transformer.layers.0.self_attn.v",
    "transformer.layers.0.self_attn.out_proj.bias": "transformer.layers.0.self_attn.out",
    "transformer.layers.0.norm1.weight": "transformer.layers.0.queries_1",
    "transformer.layers.0.cross_attn_token_to_image.k_proj.weight": (
        "transformer.layers.0.cross_attn_token_to_image.k"
    ),
    "transformer.layers.0.norm2.bias": "transformer.layers.0.queries_2",
    "transformer.layers.0.mlp.lin1.weight": "transformer.layers.0.mlp.hidden",
    "transformer.layers.0.mlp.lin2.weight": "transformer.layers.0.queries_3",
    "transformer.layers.0.norm3.weight": "transformer.layers.0.queries_3",
    "transformer.layers.0.cross_attn_image_to_token.out_proj.weight": (
        "transformer.layers.0.cross_attn_image_to_token.out"
    ),
    "transformer.layers.0.norm4.weight": "transformer.layers.0.keys_4",
    "transformer.layers.1.self_attn.q_proj.bias": "transformer.layers.1.self_attn.q",
    "transformer.final_attn_token_to_image.v_proj.weight": "transformer.final_attn_token_to_image.v",
    "transformer.norm_final_attn.bias": "hs",
    "output_upscaling.0.weight": "output_upscaling.doubled_once",
    "output_upscaling.1.bias": "output_upscaling.normed",
    "output_upscaling.3.bias": "output_upscaling.doubled_twice",
    "output_hypernetworks_mlps.2.layers.2.bias": "hyper_in",
    "iou_prediction_head.layers.0.weight": "iou_pred",
}


@pytest.mark.parametrize("key", BREAKS)
def test_first_divergence_is_where_a_weight_was_broken(key):
    ours, theirs = make_pair("MaskDecoder", **TINY)
    before = assert_parity_trace_points(ours, theirs, decoder_inputs())
    assert before.first_divergence is None
    with torch.no_grad():
        theirs.get_parameter(key).view(-1)[0] += 0.5
    after = official.compare(ours, theirs, decoder_inputs())
    assert after.first_divergence == BREAKS[key]
    assert after.max_difference > 1e-3
    names = [row.name for row in after]
    assert all(row.within for row in after.rows[: names.index(BREAKS[key])])
    assert f"First to differ: {BREAKS[key]}" in str(after)
    with pytest.raises(AssertionError, match=f"first to differ: {BREAKS[key]}"):
        assert_parity_trace_points(ours, theirs, decoder_inputs())


def test_first_divergence_where_only_the_code_differs():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    theirs.transformer.layers[0].skip_first_layer_pe = False
    assert official.compare(ours, theirs, decoder_inputs()).first_divergence == "transformer.layers.0.self_attn.q"


def test_rows_are_all_trace_points_in_the_order_of_computation():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    comparison = assert_parity_trace_points(ours, theirs, decoder_inputs())
    names = [row.name for row in comparison]
    points = {name for name, module in ours.named_modules() if isinstance(module, modules.TracePoint)}
    assert set(names) == points | {"output[0]", "output[1]"}
    assert len(names) == len(set(names)) == len(comparison) == 74
    order = [
        "tokens",
        "transformer.layers.0.self_attn.scores",
        "transformer.layers.0.self_attn.weights",
        "transformer.layers.1.keys_4",
        "hs",
        "output_upscaling.normed",
        "hyper_in",
        "masks",
        "iou_pred",
        "output[0]",
    ]
    assert [name for name in names if name in order] == order
    # Meta's code repeats the positional encodings of the grid for each prompt set; ours broadcasts them.
    assert comparison["pos_src"].shape == (1, 16, 3, 4)
    assert comparison["pos_src"].reference_shape == (2, 16, 3, 4)
    with pytest.raises(KeyError, match="no row 'weights'"):
        comparison["weights"]


def test_smaller_modules():
    random = randoms(0)
    cases = {
        "Attention": {"q": random(2, 3, 9), "k": random(2, 4, 9), "v": random(2, 4, 9)},
        "MLPBlock": {"x": random(2, 3, 4)},
        "MLP": {"x": random(2, 3)},
        "LayerNorm2d": {"x": random(2, 5, 3, 3)},
        "PositionEmbeddingRandom": {"size": (2, 3)},
        "PromptEncoder": {"points": (random(2, 3, 2), torch.ones(2, 3)), "boxes": None, "masks": None},
    }
    sizes = {"Attention": 8, "MLPBlock": 2, "MLP": 1, "LayerNorm2d": 1, "PositionEmbeddingRandom": 1}
    for name, inputs in cases.items():
        comparison = assert_parity_trace_points(*make_pair(name, **CONFIGURATIONS[name]), inputs)
        assert len(comparison) == sizes.get(name, 4)


def test_no_hook_stays_after_an_error_either():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    official.compare(ours, theirs, decoder_inputs())
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        official.compare(ours, theirs, {**decoder_inputs(), "sparse_prompt_embeddings": torch.zeros(2, 3, 5)})
    theirs_alone = {**decoder_inputs(images=2), "multimask_output": True}  # fails in Meta's, not in ours
    with pytest.raises(RuntimeError):
        official.compare(ours, theirs, theirs_alone)
    for module in (*ours.modules(), *theirs.modules()):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "predict_masks" not in vars(module)
    assert not torch.overrides._get_current_function_mode_stack()


def test_other_shapes_are_a_divergence():
    ours, _ = make_pair("MaskDecoder", **TINY)
    _, theirs = make_pair("MaskDecoder", **{**TINY, "num_multimask_outputs": 2})
    comparison = official.compare(ours, theirs, decoder_inputs())
    assert comparison.first_divergence == "tokens"
    assert comparison["tokens"].max_difference == math.inf


class Given(nn.Module):
    """Returns the tensor that its constructor got."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self):
        return self.output


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [((2, 3), (2, 3), True), ((1, 3), (2, 3), False), ((2, 3), (1, 3), False), ((2, 1), (2, 3), False)],
)
def test_an_output_of_batch_1_fits_batch_1_alone(ours, theirs, fits):
    comparison = official.compare(Given(torch.ones(ours)), Given(torch.ones(theirs)), {})
    assert [row.name for row in comparison] == ["output"]
    assert comparison["output"].within == fits
    assert comparison.max_difference == (0.0 if fits else math.inf)


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ((1, 3), (4, 3), True),
        ((4, 3), (1, 3), True),
        ((2, 3), (4, 3), False),
        ((1, 1), (4, 3), False),
        ((1, 3), (4, 1), False),
    ],
)
def test_a_named_tensor_of_batch_1_fits_any_batch(ours, theirs, fits):
    row = compare_tensor("x", torch.ones(ours), torch.ones(theirs), broadcast=True)
    assert (row.shape, row.reference_shape, row.within) == (ours, theirs, fits)


def test_tensors_that_require_grad_are_compared():
    ours, theirs = make_pair("MLP", **CONFIGURATIONS["MLP"])
    x = torch.ones(2, 3, requires_grad=True)
    assert official.compare(ours, theirs, {"x": x}).first_divergence is None
    assert official.tolerance(2 * x) == 4e-6
    assert compare_tensor("x", 2 * x, 2 * x, broadcast=False).max_difference == 0
    assert x.grad is None


def test_a_tensor_without_counterpart():
    class Extended(modules.MLPBlock):
        def __init__(self, *args):
            super().__init__(*args)
            self.own = modules.TracePoint("batch tokens dim")

        def forward(self, x):
            return self.own(super().forward(x))

    ours = Extended(4, 8)
    comparison = official.compare(ours, official.to_official(ours), {"x": torch.ones(2, 4)})
    assert comparison.missing == ("own",)
    assert comparison.first_divergence is None
    assert "no reference" in str(comparison)
    assert "2 tensors compared" in str(comparison)


@pytest.mark.parametrize("name", ["hyper_in", "tokens", "q", "heads", "weights", "masks", "normed"])
def test_a_known_name_in_another_module_has_no_counterpart_there(name):
    """A tensor with a name of the table, but Meta's module at that path has no such part."""

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module(name, modules.TracePoint("batch dim"))

        def forward(self, x):
            return self.get_submodule(name)(x)

    class Empty(nn.Module):
        def forward(self, x):
            return x

    comparison = official.compare(Other(), Empty(), {"x": torch.ones(2, 4)})
    assert comparison.missing == (name,)
    assert comparison["output"].within


def test_nan_is_never_within_the_tolerance():
    ours, theirs = make_pair("MLP", **CONFIGURATIONS["MLP"])
    comparison = official.compare(ours, theirs, {"x": torch.full((1, 3), math.nan)})
    assert comparison.first_divergence == "output"
    assert math.isnan(comparison.max_difference)


def test_tolerance():
    assert official.tolerance(torch.tensor([0.5])) == 2e-6
    assert official.tolerance(torch.tensor([-3.0])) == 6e-6
    assert official.tolerance(torch.tensor([10.0], dtype=torch.float64)) == 1e-11
    assert official.tolerance(torch.tensor([math.inf])) == 0
    assert official.tolerance(torch.tensor([True])) == 0
    assert official.tolerance(torch.zeros(0)) == 2e-6


def test_table_as_text_and_html():
    ours, theirs = make_pair("Attention", **CONFIGURATIONS["Attention"])
    inputs = {key: randoms(0)(1, 3, 9) for key in "qkv"}
    same = official.compare(ours, theirs, inputs)
    lines = str(same).splitlines()
    assert repr(same) == str(same)
    assert len(lines) == len(same) + 3
    assert lines[0].split()[:3] == ["tensor", "sam_edu", "Meta"]
    assert lines[2].split()[:3] == ["q", "1x2x3x2", "1x2x3x2"]
    assert lines[-1].endswith("all within tolerance.")
    with torch.no_grad():
        theirs.v_proj.bias += 1
    page = official.compare(ours, theirs, inputs)._repr_html_()
    assert page.count("<tr") == len(same) + 1
    assert page.count("font-weight: bold") == 1
    assert "First to differ: v" in page
    assert "http" not in page
