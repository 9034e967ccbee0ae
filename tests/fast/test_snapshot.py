"""The watch says what `change_of` says, also of a decoder that was asked before."""

import copy
import pickle

import pytest
import torch
from decoders import make_decoder
from parity import assert_close, decoder_inputs
from test_changes import CHANGES, FOLLOWED, TO_IMAGE
from torch import nn

from sam_edu.fast import FastMaskDecoder, plan
from sam_edu.fast.changes import change_of
from sam_edu.fast.fused import stacked_parameters
from sam_edu.fast.snapshot import Snapshot, Watch
from sam_edu.modules import MLP


@pytest.mark.parametrize("name", CHANGES | FOLLOWED)
def test_a_change_ends_the_snapshot_where_it_has_to_be_asked_about(name):
    decoder, watch = make_decoder(), Watch()
    assert watch.change_of(decoder) == ""
    snapshot = Snapshot(decoder)
    assert snapshot.holds()
    (CHANGES | FOLLOWED)[name](decoder)
    assert watch.change_of(decoder) == change_of(decoder)
    assert not (name in CHANGES and snapshot.holds())
    assert [id(x) for x in watch.parameters(decoder)] == [id(x) for x in decoder.parameters()]


def test_another_forward_of_a_class_ends_the_snapshot(monkeypatch):
    """Classes and attributes of the modules stay as they are then."""
    snapshot = Snapshot(make_decoder())
    assert snapshot.holds()
    monkeypatch.setattr(MLP, "forward", lambda self, x: x)
    assert not snapshot.holds()


def test_nothing_is_asked_again_while_nothing_changes(monkeypatch):
    asked, decoder, watch = [], make_decoder(), Watch()
    monkeypatch.setattr("sam_edu.fast.snapshot.change_of", lambda d: asked.append(d) or change_of(d))
    for _ in range(3):
        assert watch.change_of(decoder) == ""
    assert asked == [decoder]
    decoder.train(not decoder.training)
    for _ in range(2):
        watch.change_of(decoder)
    assert len(asked) == 2
    other = make_decoder()
    watch.change_of(other)
    assert asked[2:] == [other]


def test_a_global_hook_is_seen_by_a_watch_that_was_asked_before():
    decoder, watch = make_decoder(), Watch()
    watch.change_of(decoder)
    with nn.modules.module.register_module_forward_hook(lambda *_: None):
        assert watch.change_of(decoder) == "a global module hook is registered"
    assert watch.change_of(decoder) == ""


def test_a_replaced_parameter_is_used_from_the_next_call_on(monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: "fused")
    decoder, inputs = make_decoder(), decoder_inputs(batch=1)
    fast, linear = FastMaskDecoder(decoder), decoder.get_submodule(f"{TO_IMAGE}.k_proj")
    with torch.no_grad():
        before = fast(**inputs)[0]
        linear.weight = nn.Parameter(2 * linear.weight)
        got, expected = fast(**inputs)[0], decoder(**inputs)[0]
    assert not torch.allclose(before, expected, atol=1e-4)
    assert_close("masks", got, expected)
    assert linear.weight in [x for x in fast._watch.stacked_parameters(decoder) if x is linear.weight]


@pytest.mark.parametrize("make", [copy.deepcopy, lambda fast: pickle.loads(pickle.dumps(fast))])
def test_a_copy_begins_anew(make):
    fast, inputs = FastMaskDecoder(make_decoder()), decoder_inputs(batch=1)
    with torch.no_grad():
        fast(**inputs)
        other = make(fast)
        assert other._watch._snapshot is None
        assert_close("masks", other(**inputs)[0], fast(**inputs)[0])
    assert other._watch._snapshot.decoder is other.decoder


def test_before_it_is_asked_the_parameters_are_read_from_the_decoder():
    decoder, watch = make_decoder(), Watch()
    assert [id(x) for x in watch.stacked_parameters(decoder)] == [id(x) for x in stacked_parameters(decoder)]
    assert [id(x) for x in watch.parameters(decoder)] == [id(x) for x in decoder.parameters()]
