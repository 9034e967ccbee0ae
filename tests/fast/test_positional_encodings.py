"""Positional encodings are the same tensor as long as they are the same, so that a decoder recognises them."""

import copy
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from operations import READS, Operations
from predictors import CLICK, DIM, make_predictor, make_sam, result
from torch import nn

import sam_edu.predictor
from sam_edu.fast import FastMaskDecoder, plan
from sam_edu.modules import PositionEmbeddingRandom, PromptEncoder

FORMS, RECOGNITIONS = ["fused", "folded"], ["values", "identity"]


@pytest.fixture
def calls(monkeypatch):
    """The arguments and the operations of each call of a fast decoder."""
    found, forward = [], FastMaskDecoder.forward

    def recorded(fast, **named):
        with Operations() as operations:
            outputs = forward(fast, **named)
        found.append((named, operations.names))
        return outputs

    monkeypatch.setattr(FastMaskDecoder, "forward", recorded)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", [nullcontext, torch.inference_mode])
def test_a_predictor_off_the_cpu_keeps_what_the_decoder_keeps_for_the_same_tensors(form, mode, calls, monkeypatch):
    """The meta device has no values: what is recognised there is recognised without reading one back."""
    monkeypatch.setattr(plan, "form", lambda *args, **named: form)
    monkeypatch.setattr(sam_edu.predictor, "to_numpy", lambda x: np.zeros(x.shape))
    predictor = make_predictor(make_sam(), device="meta", fast=True)
    with mode():
        predictor.set_image(np.zeros((48, 64, 3), np.uint8))
        for _ in range(5):
            predictor.predict(**CLICK)
        arguments, later = calls[-1]
        with torch.no_grad():
            for _ in range(5):
                predictor.fast_mask_decoder(**arguments)
    assert later == calls[3][1] == calls[-1][1]
    assert not [name for _, names in calls for name in names if any(read in name for read in READS)]
    predictor.fast_mask_decoder.forget()
    predictor.predict(**CLICK)
    assert calls[-1][1] != later


class Louder(PromptEncoder):
    def get_dense_pe(self):
        return 2 * super().get_dense_pe()


def matrix(model):
    return model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix


def loaded(**options):
    def change(model):
        state = model.prompt_encoder.state_dict()
        model.prompt_encoder.load_state_dict({name: 1.5 * value for name, value in state.items()}, **options)

    return change


def another_matrix(model):
    model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix = 1.5 * matrix(model)


def another_layer(model):
    model.prompt_encoder.pe_layer = PositionEmbeddingRandom(DIM // 2)


def another_encoder(model):
    model.prompt_encoder = copy.deepcopy(model.prompt_encoder)
    matrix(model).mul_(1.5)


def replaced(owner, name):
    def change(model):
        module = owner(model)
        plain = getattr(module, name)
        setattr(module, name, lambda *args: 2 * plain(*args))

    return change


def hooked(model):
    model.prompt_encoder.pe_layer.register_forward_hook(lambda module, args, output: 2 * output)


def hooked_decoder(model):
    def write(module, args, named):
        (named["image_pe"] if named else args[1]).mul_(2)

    model.mask_decoder.register_forward_pre_hook(write, with_kwargs=True)


CHANGES = {
    "in place": lambda model: matrix(model).mul_(1.5),
    "in inference mode": torch.inference_mode()(lambda model: matrix(model).mul_(1.5)),
    "loaded": loaded(),
    "assigned": loaded(assign=True),
    "another matrix": another_matrix,
    "another layer": another_layer,
    "another prompt encoder": another_encoder,
    "a subclass": lambda model: setattr(model.prompt_encoder, "__class__", Louder),
    "another get_dense_pe": replaced(lambda model: model.prompt_encoder, "get_dense_pe"),
    "another forward": replaced(lambda model: model.prompt_encoder.pe_layer, "forward"),
    "another encoding": replaced(lambda model: model.prompt_encoder.pe_layer, "_pe_encoding"),
    "a hook": hooked,
    "a hook on the decoder writes into them": hooked_decoder,
    "half": lambda model: model.prompt_encoder.half(),
    "bfloat16": lambda model: model.prompt_encoder.bfloat16().float(),
    "double": lambda model: model.double(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("recognition", RECOGNITIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_predictions_follow_a_change_of_the_encodings(change, recognition, form, monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: form)
    model = make_sam()
    predictor = make_predictor(model, fast=True)
    predictor.fast_mask_decoder.recognition = recognition
    before = [result(predictor) for _ in range(4)][-1]
    CHANGES[change](model)
    plain = copy.copy(predictor)
    plain.fast_mask_decoder = None
    for _ in range(3):
        wanted = result(plain)
        for got, exact in zip(result(predictor), wanted, strict=True):
            assert np.abs(got - exact).max() <= 2e-6 * max(1, np.abs(exact).max())
    assert change == "double" or np.abs(before[0] - wanted[0]).max() > 1e-5


@pytest.mark.parametrize("target", [PromptEncoder, PositionEmbeddingRandom])
def test_a_method_replaced_on_the_class_is_seen(target, monkeypatch):
    predictor = make_predictor(make_sam(), fast=True)
    before = result(predictor)
    name = "get_dense_pe" if target is PromptEncoder else "_pe_encoding"
    plain = getattr(target, name)
    monkeypatch.setattr(target, name, lambda self, *args: 2 * plain(self, *args))
    assert not np.allclose(result(predictor)[0], before[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("recognition", RECOGNITIONS)
def test_they_are_made_anew_for_another_grid_or_dtype_and_only_then(recognition):
    model = make_sam()
    fast, encoder = FastMaskDecoder(model.mask_decoder), model.prompt_encoder
    fast.recognition = recognition
    with torch.no_grad():
        first = fast.dense_pe(encoder, torch.float32)
        assert fast.dense_pe(encoder, torch.float32) is first
        for grid, dtype in (((3, 5), torch.float32), ((5, 3), torch.float32), ((5, 3), torch.bfloat16)):
            encoder.image_embedding_size = grid
            got = fast.dense_pe(encoder, dtype)
            assert got.dtype == dtype
            assert torch.equal(got, encoder.get_dense_pe().to(dtype))
            assert fast.dense_pe(encoder, dtype) is got
        fast.forget()
        assert fast.dense_pe(encoder, dtype) is not got


def test_autograd_autocast_and_nothing_are_left_alone():
    model = make_sam()
    fast, encoder = FastMaskDecoder(model.mask_decoder), model.prompt_encoder
    matrix(model).requires_grad_()
    assert fast.dense_pe(encoder, torch.float32).requires_grad
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast.dense_pe(encoder, torch.float32), encoder.get_dense_pe())
    fast.recognition = "nothing"
    with torch.no_grad():
        assert fast.dense_pe(encoder, torch.float32) is not fast.dense_pe(encoder, torch.float32)
    assert len(fast._kept) == 0


def test_an_encoder_of_another_class_is_asked():
    class Constant(nn.Module):
        def get_dense_pe(self):
            return torch.ones(1, DIM, 2, 2)

    fast = FastMaskDecoder(make_sam().mask_decoder)
    with torch.no_grad():
        assert torch.equal(fast.dense_pe(Constant(), torch.float64), torch.ones(1, DIM, 2, 2, dtype=torch.float64))


def test_a_hook_on_all_modules_is_called():
    predictor, seen = make_predictor(make_sam(), fast=True), []
    result(predictor)
    with nn.modules.module.register_module_forward_hook(lambda module, args, out: seen.append(type(module))):
        result(predictor)
    assert PositionEmbeddingRandom in seen


@pytest.mark.parametrize("recognition", RECOGNITIONS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda predictor: pickle.loads(pickle.dumps(predictor))])
def test_a_copy_of_a_predictor_follows_its_own_model(duplicate, recognition):
    predictor = make_predictor(make_sam(), fast=True)
    predictor.fast_mask_decoder.recognition = recognition
    names = list(predictor.model.state_dict())
    before = [result(predictor) for _ in range(4)][-1]
    other = duplicate(predictor)
    for _ in range(2):
        for got, wanted in zip(result(other), before, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    matrix(other.model).mul_(1.5)
    assert not np.allclose(result(other)[0], before[0], rtol=1e-3, atol=1e-3)
    assert all(map(np.array_equal, result(predictor), before))
    assert list(predictor.model.state_dict()) == list(other.model.state_dict()) == names
