"""The table of trace points."""

import re

import pytest
import torch
from traced_models import WholeModel, whole_inputs

from sam_edu.modules import Attention, OutputUpscaling
from sam_edu.tracing import trace


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
