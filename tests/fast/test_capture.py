"""What records a decode: CUDA graphs, by a stand-in for the recorder, and torch.compile."""

import pytest
import torch
from decoders import make_decoder
from parity import assert_close, decoder_inputs

from sam_edu.fast import CapturedDecoder, FastMaskDecoder, capture, plan
from sam_edu.fast import fast_mask_decoder as module


@pytest.fixture(params=["folded", "fused"], autouse=True)
def form(request, monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: request.param)
    return request.param


@pytest.mark.no_shape_check
@pytest.mark.parametrize("batch", [1, 3])
def test_compiles_as_one_graph(batch):
    decoder, inputs = make_decoder(), decoder_inputs(batch=batch)
    inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(batch, -1, -1, -1)
    fast = FastMaskDecoder(decoder)
    compiled = torch.compile(fast, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        expected = decoder(**inputs)
        for _ in range(2):
            for name, a, b in zip(("masks", "IoU"), compiled(**inputs), expected, strict=True):
                assert_close(name, a, b)
        assert len(fast._kept) == 0
        inputs["image_embeddings"] = inputs["image_embeddings"] + 1  # nothing of the first image is in the graph
        assert_close("masks", compiled(**inputs)[0], decoder(**inputs)[0])
    torch._dynamo.reset()


def test_a_graph_needs_a_cuda_device():
    fast = FastMaskDecoder(make_decoder())
    with pytest.raises(ValueError, match="inputs: a CUDA graph records what a CUDA device does, got tensors on cpu"):
        CapturedDecoder(fast, **decoder_inputs())


class Cuda:
    """Stands in for a CUDA device: tensors stay where they are, and a replay is another run of the call."""

    type = "cuda"


@pytest.fixture
def captured(monkeypatch):
    """A captured decoder whose recorder runs the call on the processor, and its example."""
    calls = []

    def record(call, device):
        outputs = [t.clone() for t in call()]

        def replay():
            calls.append(1)
            for own, new in zip(outputs, call(), strict=True):
                own.copy_(new)

        return replay, outputs

    monkeypatch.setattr(capture, "_record", record)
    monkeypatch.setattr(capture, "_is_cuda", lambda x: True)
    fast, inputs = FastMaskDecoder(make_decoder()), decoder_inputs()
    inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(2, -1, -1, -1)
    with torch.no_grad():
        return CapturedDecoder(fast, **inputs), inputs, calls


def test_a_replay_decodes_the_inputs_that_it_is_given(captured):
    decode, inputs, calls = captured
    with torch.no_grad():
        for shift in (0.0, 1.0, 2.0):
            now = {k: v + shift if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
            now["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].add(shift).expand(2, -1, -1, -1)
            for name, a, b in zip(("masks", "IoU"), decode(**now), decode.fast.decoder(**now), strict=True):
                assert_close(name, a, b)
    assert len(calls) == 3


def test_results_belong_to_the_caller_and_inputs_stay(captured):
    decode, inputs, _ = captured
    before = inputs["image_embeddings"].clone()
    first = decode(**inputs)[0]
    kept = first.clone()
    decode(**inputs | {"image_embeddings": before + 1})
    assert torch.equal(first, kept)
    assert torch.equal(inputs["image_embeddings"], before)


WRONG = {
    "shape": (
        {"sparse_prompt_embeddings": torch.zeros(3, 3, 16)},
        r"sparse_prompt_embeddings: captured as \(2, 3, 16\)",
    ),
    "dtype": ({"image_pe": torch.zeros(1, 16, 3, 4).double()}, "image_pe: captured as .*float32.*, got .*float64"),
    "dense prompts": ({"dense_prompt_embeddings": torch.zeros(2, 16, 3, 4)}, "dense_prompt_embeddings: captured as"),
    "masks": ({"multimask_output": False}, "multimask_output: captured with True, got False"),
    "no tensor": ({"image_pe": None}, "image_pe: captured as .*, got NoneType"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_inputs_are_refused(captured, name):
    decode, inputs, _ = captured
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        decode(**inputs | change)
    with pytest.raises(ValueError, match="inputs: expected image_embeddings"):
        decode(image_embeddings=inputs["image_embeddings"])


def test_weights_in_place_are_followed_and_others_refused(captured):
    decode, inputs, _ = captured
    linear = decode.fast.decoder.transformer.layers[0].cross_attn_token_to_image.k_proj
    with torch.no_grad():
        linear.weight.mul_(2)
        assert_close("masks", decode(**inputs)[0], decode.fast.decoder(**inputs)[0])
    handle = linear.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"fast: since the capture .*k_proj has a hook"):
        decode(**inputs)
    handle.remove()
    linear.weight.data = linear.weight.data.clone()
    with pytest.raises(ValueError, match="fast: since the capture the weights lie elsewhere in memory"):
        decode(**inputs)


def test_products_of_weights_written_uncounted_are_refreshed_on_demand(captured, form):
    decode, inputs, _ = captured
    linear = decode.fast.decoder.transformer.layers[0].cross_attn_token_to_image.k_proj
    before = decode(**inputs)[0]
    linear.weight.data.mul_(2)  # which PyTorch does not count
    expected = decode.fast.decoder(**inputs)[0]
    assert not torch.allclose(before, expected, atol=1e-4)
    if form == "fused":
        assert torch.equal(decode(**inputs)[0], before)
    decode.refresh()
    assert_close("masks", decode(**inputs)[0], expected)


def test_what_is_captured_can_be_compiled_before(monkeypatch):
    compiled = []

    def compile_(function, fullgraph):
        assert fullgraph
        return lambda *args, **named: compiled.append(1) or function(*args, **named)

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(capture, "_record", lambda call, device: (lambda: None, call()))
    monkeypatch.setattr(capture, "_is_cuda", lambda x: True)
    fast, inputs = FastMaskDecoder(make_decoder()), decoder_inputs()
    with torch.no_grad():
        assert_close("masks", CapturedDecoder(fast, compiled=True, **inputs)(**inputs)[0], fast.decoder(**inputs)[0])
        assert compiled
        CapturedDecoder(fast, **inputs)
    assert len(compiled) == 1


def test_a_changed_decoder_is_not_captured(monkeypatch):
    monkeypatch.setattr(capture, "_is_cuda", lambda x: True)
    fast = FastMaskDecoder(make_decoder())
    fast.decoder.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="fast: the decoder has a hook, which a graph cannot follow"):
        CapturedDecoder(fast, **decoder_inputs())


def test_nothing_is_kept_or_used_while_a_graph_is_recorded(monkeypatch):
    monkeypatch.setattr(module, "_repeatable", lambda x: False)
    fast, inputs = FastMaskDecoder(make_decoder()), decoder_inputs(batch=1)
    with torch.no_grad():
        fast(**inputs)
    assert len(fast._kept) == 0


@pytest.mark.no_shape_check  # its tensors only say that they are on CUDA
def test_recording_is_asked_of_cuda_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: asked.append(1) or True)
    on_cuda = type("OnCuda", (), {"device": Cuda()})()
    with torch.no_grad():
        assert module._repeatable(torch.ones(1))
        assert not asked
        assert not module._repeatable(on_cuda)
    assert asked
