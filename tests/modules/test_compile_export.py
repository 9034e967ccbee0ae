"""torch.compile and torch.export; both fail under the shape checker, hence the mark."""

import pytest
import torch
from parity import TINY, assert_close, decoder_inputs, make_pair, randoms

pytestmark = pytest.mark.no_shape_check

ENCODER = {"embed_dim": 16, "image_embedding_size": (3, 4), "input_image_size": (48, 64), "mask_in_chans": 4}


def encoder_inputs(batch=2, clicks=3):
    coords = 10 * randoms(0)(batch, clicks, 2) + 20
    labels = (torch.arange(batch * clicks) % 3 - 1).reshape(batch, clicks)
    return {"points": (coords, labels), "boxes": None, "masks": None}


CASES = {
    "MaskDecoder": lambda: (make_pair("MaskDecoder", **TINY)[0], decoder_inputs()),
    "PromptEncoder, clicks": lambda: (make_pair("PromptEncoder", **ENCODER)[0], encoder_inputs()),
    "PromptEncoder, box and mask": lambda: (
        make_pair("PromptEncoder", **ENCODER)[0],
        {"points": None, "boxes": 10 * randoms(0)(2, 4), "masks": randoms(1)(2, 1, 12, 16)},
    ),
}


def assert_same(got, expected):
    assert len(got) == len(expected) == 2
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert_close(f"output {i}", a, b)


def assert_no_node_for_a_trace_point(program):
    """Every node comes from some module, and none from a TracePoint."""
    stacks = [list(node.meta["nn_module_stack"].values()) for node in program.graph.nodes if node.op == "call_function"]
    assert len(stacks) > 10
    kinds = {str(kind) for stack in stacks for _, kind in stack}
    assert not [kind for kind in kinds if "TracePoint" in kind]


@pytest.mark.parametrize("name", CASES)
def test_compile(name):
    ours, inputs = CASES[name]()
    with torch.no_grad():
        expected = ours(**inputs)
        torch.compiler.reset()
        compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
        assert_same(compiled(**inputs), expected)


def test_compile_for_other_shapes():
    """The second shape makes the compiler treat sizes as symbols: checks must not turn those into text or sets."""
    ours, _ = CASES["MaskDecoder"]()
    torch.compiler.reset()
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        for batch, tokens in [(2, 3), (3, 4), (5, 2)]:
            inputs = decoder_inputs(batch=batch, tokens=tokens)
            assert_same(compiled(**inputs), ours(**inputs))


def test_compile_with_gradients():
    ours, inputs = CASES["MaskDecoder"]()
    expected = torch.autograd.grad(ours(**inputs)[0].sum(), ours.mask_tokens.weight)
    torch.compiler.reset()
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    got = torch.autograd.grad(compiled(**inputs)[0].sum(), ours.mask_tokens.weight)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_export(name, strict):
    ours, inputs = CASES[name]()
    program = torch.export.export(ours, (), inputs, strict=strict)
    assert_no_node_for_a_trace_point(program)
    with torch.no_grad():
        assert_same(program.module()(**inputs), ours(**inputs))
    assert program.state_dict.keys() == ours.state_dict().keys()


@pytest.mark.parametrize("strict", [False, True])
def test_export_decoder_for_any_number_of_prompt_sets_and_tokens(strict):
    ours, inputs = CASES["MaskDecoder"]()
    batch, tokens = torch.export.Dim("batch", min=2, max=64), torch.export.Dim("tokens", min=2, max=64)
    shapes = dict.fromkeys(inputs)
    shapes["sparse_prompt_embeddings"] = {0: batch, 1: tokens}
    shapes["dense_prompt_embeddings"] = {0: batch}
    program = torch.export.export(ours, (), inputs, dynamic_shapes=shapes, strict=strict)
    assert_no_node_for_a_trace_point(program)
    for sizes in [(2, 3), (5, 2), (3, 9)]:
        other = decoder_inputs(batch=sizes[0], tokens=sizes[1], seed=1)
        with torch.no_grad():
            assert_same(program.module()(**other), ours(**other))


@pytest.mark.parametrize("strict", [False, True])
def test_export_encoder_for_any_number_of_prompt_sets_and_clicks(strict):
    ours, inputs = CASES["PromptEncoder, clicks"]()
    batch, clicks = torch.export.Dim("batch", min=2, max=64), torch.export.Dim("clicks", min=2, max=64)
    shapes = {"points": ({0: batch, 1: clicks}, {0: batch, 1: clicks}), "boxes": None, "masks": None}
    program = torch.export.export(ours, (), inputs, dynamic_shapes=shapes, strict=strict)
    for sizes in [(2, 3), (5, 2), (3, 9)]:
        other = encoder_inputs(*sizes)
        with torch.no_grad():
            assert_same(program.module()(**other), ours(**other))
