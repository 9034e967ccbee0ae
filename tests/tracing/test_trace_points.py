"""The table of trace points is complete, and one row is all that a new trace point needs beside its module."""

import re

import pytest
import torch
from torch import Tensor, nn
from traced_models import WholeModel, decoder_inputs, whole_inputs

from sam_edu import official
from sam_edu.modules import Attention, MLPBlock, OutputUpscaling, TracePoint
from sam_edu.tracing import trace, trace_points
from sam_edu.tracing.trace_points import Counterpart, TracedTensor
from tools.make_glossary import tensor_lines

STEPS = {"(0)", "(1)", "(2)", "(3)", "(4)", "(5)", "(6-1)", "(6-2)", "(6-3)", "(7)", "prompt"}


def find_gaps(model: WholeModel) -> list[str]:
    """What is missing for the trace points of a model; nothing where the table is complete.

    These are all checks that a trace point has to pass, over tracing, `official.compare` and the glossary.
    """
    with trace(model) as t:
        model(*whole_inputs())
    rows = {row.name: row for row in trace_points.TRACE_POINTS}
    names = {trace_points.pattern(name) for name in t}
    points = sum(isinstance(module, TracePoint) for module in model.modules())
    gaps = [f"{name}: no row" for name in sorted(names - rows.keys())]
    gaps += [f"{name}: no such tensor" for name in sorted(rows.keys() - names)]
    gaps += [] if len(t) == points else [f"{points} trace points, {len(t)} recorded"]
    for row in t.shape_table():
        if row.step not in STEPS:
            gaps.append(f"{row.name}: no step")
        if not re.fullmatch(r"0[1-9]|10", row.notebook):
            gaps.append(f"{row.name}: no notebook")
        if (found := trace_points.find(row.name)) is None or tuple(found.axes.split()) != row.axes:
            gaps.append(f"{row.name}: other axes")
    try:
        list(tensor_lines(t.shape_table()))
    except KeyError as error:
        gaps.append(f"glossary: {error}")
    prompts = dict(zip(("points", "boxes", "masks"), (whole_inputs()[1], None, None), strict=True))
    arguments = ("image_embeddings", "image_pe", "sparse_prompt_embeddings", "dense_prompt_embeddings")
    decoder_arguments = dict(zip((*arguments, "multimask_output"), decoder_inputs(), strict=True))
    for part, inputs in ((model.prompt_encoder, prompts), (model.mask_decoder, decoder_arguments)):
        comparison = official.compare(part, official.to_official(part), inputs)
        gaps += [f"{name}: no counterpart" for name in comparison.missing]
        gaps += [f"{row.name}: differs" for row in comparison if row.reference_shape and not row.within]
    return gaps


def test_the_table_is_complete(whole: WholeModel) -> None:
    assert find_gaps(whole) == []


def test_no_name_is_twice_in_the_table() -> None:
    names = [row.name for row in trace_points.TRACE_POINTS]
    assert len(names) == len(set(names)) > 40
    assert all(row.official for row in trace_points.TRACE_POINTS)


class MLPBlockWithOneMore(MLPBlock):
    """An `MLPBlock` with one more trace point: the output of its first layer, before the activation."""

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module]) -> None:
        super().__init__(embedding_dim, mlp_dim, act)
        self.widened = TracePoint("batch tokens mlp_dim")

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.hidden(self.act(self.widened(self.lin1(x)))))


def test_one_more_trace_point_is_the_module_and_one_row(whole: WholeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in whole.mask_decoder.transformer.layers:
        block.mlp = MLPBlockWithOneMore(16, 32, nn.ReLU)
    gaps = find_gaps(whole)
    for gap in (
        "transformer.layers.{i}.mlp.widened: no row",
        "transformer.layers.0.mlp.widened: no step",
        "transformer.layers.1.mlp.widened: no notebook",
        "transformer.layers.0.mlp.widened: no counterpart",
    ):
        assert gap in gaps
    assert any(gap.startswith("glossary: ") for gap in gaps)

    row = TracedTensor(
        "transformer.layers.{i}.mlp.widened",
        "(3)",
        "batch tokens mlp_dim",
        "01",
        "",
        "lin1(x)",
        Counterpart("output", "lin1"),
    )
    monkeypatch.setattr(trace_points, "TRACE_POINTS", (*trace_points.TRACE_POINTS, row))
    assert find_gaps(whole) == []


def test_a_row_without_its_tensor_or_with_other_axes_is_found(
    whole: WholeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = trace_points.TRACE_POINTS
    monkeypatch.setattr(trace_points, "TRACE_POINTS", (first._replace(axes="batch dim"), *others))
    assert find_gaps(whole) == ["prompt_encoder.sparse_embeddings: other axes"]
    rows = (*trace_points.TRACE_POINTS[1:], first, first._replace(name="gone"))
    monkeypatch.setattr(trace_points, "TRACE_POINTS", rows)
    assert find_gaps(whole) == ["gone: no such tensor"]


def test_pattern_puts_i_for_the_number_of_a_block() -> None:
    assert trace_points.pattern("transformer.layers.12.mlp.hidden") == "transformer.layers.{i}.mlp.hidden"
    assert trace_points.pattern("layers.0.queries_1") == "layers.{i}.queries_1"
    assert trace_points.pattern("other_layers.0.queries_1") == "other_layers.0.queries_1"


def test_find_takes_the_longest_common_end() -> None:
    row = trace_points.find("transformer.layers.1.self_attn.q")
    assert row is not None
    assert (row.name, row.step) == ("transformer.layers.1.self_attn.q", "(1)")
    assert trace_points.find("self_attn.q") == row._replace(name="self_attn.q")
    several = trace_points.find("my_attention.q")  # an attention serves four steps
    assert several == row._replace(name="my_attention.q", step="")
    assert trace_points.find("transformer.layers.1.brand_new") is None
    assert trace_points.find("queries_12") is None


def test_find_leaves_empty_what_rows_do_not_agree_on(monkeypatch: pytest.MonkeyPatch) -> None:
    one = TracedTensor("a.x", "(1)", "batch dim", "01", "p", "x", Counterpart("output"))
    other = TracedTensor("b.x", "(1)", "batch tokens", "02", "q", "y", Counterpart("softmax input"))
    monkeypatch.setattr(trace_points, "TRACE_POINTS", (one, other))
    assert trace_points.find("x") == TracedTensor("x", "(1)", "", "", "", "", None)
    assert trace_points.find("b.x") == other


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
