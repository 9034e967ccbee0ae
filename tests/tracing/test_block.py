"""Blocks: entered again and inside themselves, never entered; and copies of a model made inside one."""

import copy
import io
import pickle
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module
from traced_models import HEADS, WholeModel, count_hooks, decoder_inputs, make_decoder, traced, whole_inputs

from sam_edu.modules import MaskDecoder
from sam_edu.tracing import Trace, intervene, trace


def saved(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": saved,
    "inside a container": lambda model: copy.deepcopy(nn.ModuleDict({"a": nn.Sequential(model)}))["a"][0],
    "a copy of a copy": lambda model: copy.deepcopy(copy.deepcopy(model)),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("whole_model", [False, True])
def test_a_copy_made_inside_a_block_is_free_of_it(
    decoder: MaskDecoder, whole: WholeModel, make: Any, whole_model: bool
) -> None:
    model, args = (whole, whole_inputs()) if whole_model else (decoder, decoder_inputs())
    before = model(*args)[0]
    with trace(model) as t, intervene(model, HEADS, "zero"):
        model(*args)
        kept = dict(t)
        other = make(model)
        assert count_hooks(other) == 0
        assert torch.equal(other(*args)[0], before)
        assert all(t[name] is kept[name] for name in kept)
        assert not torch.equal(model(*args)[0], before)
    assert count_hooks(other) == count_hooks(model) == 0


def test_a_copy_of_a_part_made_inside_a_block_is_free_of_it(decoder: MaskDecoder) -> None:
    with trace(nn.Sequential(decoder.transformer.get_submodule("layers.0.mlp"))) as t:
        other = copy.deepcopy(decoder.transformer.get_submodule("layers.0.mlp"))
        other(torch.zeros(1, 1, 16))
    assert len(t) == 0


def test_a_foreign_hook_is_copied_as_pytorch_copies_it(decoder: MaskDecoder) -> None:
    decoder.hs.register_forward_hook(print)
    with trace(decoder):
        assert count_hooks(copy.deepcopy(decoder)) == 1
    assert count_hooks(decoder) == 1


def test_a_block_is_entered_again_and_inside_itself(decoder: MaskDecoder) -> None:
    block = trace(decoder)
    with block as first:
        decoder(*decoder_inputs(seed=1))
        with block as inner:
            decoder(*decoder_inputs(seed=2))
        assert torch.equal(first["hs"], inner["hs"])
        kept = inner["hs"]
        decoder(*decoder_inputs(seed=3))
        assert inner["hs"] is kept  # the inner block has ended, the outer one goes on
    assert torch.equal(first["hs"], traced(decoder, *decoder_inputs(seed=3))["hs"])
    assert not torch.equal(first["hs"], kept)
    with block as again:
        pass
    assert len(again) == 0
    assert count_hooks(decoder) == 0
    assert not torch_module._global_forward_pre_hooks


def test_a_block_decorates_a_function(decoder: MaskDecoder) -> None:
    @intervene(decoder, "hs", "zero")
    def run() -> torch.Tensor:
        return traced(decoder, *decoder_inputs())["hs"]

    assert not run().any()
    assert not run().any()
    assert traced(decoder, *decoder_inputs())["hs"].any()


def test_a_block_in_a_generator_lasts_as_long_as_the_generator(decoder: MaskDecoder) -> None:
    def passes() -> Iterator[Trace]:
        with trace(decoder) as t:
            while True:
                decoder(*decoder_inputs())
                yield t

    running = passes()
    assert len(next(running)) > 70
    assert count_hooks(decoder) > 70
    running.close()
    assert count_hooks(decoder) == 0


@pytest.mark.parametrize("make", [lambda d: trace(d), lambda d: intervene(d, "hs", "zero")], ids=["trace", "intervene"])
def test_a_block_that_is_never_entered_warns(decoder: MaskDecoder, make: Any) -> None:
    with pytest.warns(UserWarning, match=r"never entered has no effect; write `with sam_edu\."):
        make(decoder)
    with warnings.catch_warnings(record=True) as caught:  # not as errors: what __del__ raises is lost
        warnings.simplefilter("always")
        with make(decoder):
            pass
    assert caught == []


def test_a_block_is_no_trace(decoder: MaskDecoder) -> None:
    block = trace(decoder)
    with block, pytest.raises(TypeError, match=r"'hs': this is no trace .* write `with sam_edu\.trace\(model\) as t:`"):
        block["hs"]


def in_a_thread(call: Any) -> list[BaseException]:
    """The error of a call in another thread."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return errors


def test_passes_of_another_thread_are_recorded(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
        assert in_a_thread(lambda: decoder(*decoder_inputs(seed=1))) == []
    wanted = traced(decoder, *decoder_inputs(seed=1))
    assert all(torch.equal(t[name], wanted[name]) for name in wanted)


def test_two_threads_at_once_are_not_mixed(decoder: MaskDecoder) -> None:
    """The second pass begins in the middle of the first, and ends before it."""
    running: list[bool] = []

    def between(module: nn.Module, args: Any) -> None:
        if not running:
            running.append(True)
            assert in_a_thread(lambda: decoder(*decoder_inputs(seed=1))) == []

    handle = decoder.output_upscaling.register_forward_pre_hook(between)
    with trace(decoder), pytest.raises(RuntimeError, match=r"two threads run the model.*copy of the model in each"):
        decoder(*decoder_inputs())
    handle.remove()


def test_each_thread_traces_its_copy(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
        kept = dict(t)
        other = copy.deepcopy(decoder)
        assert in_a_thread(lambda: traced(other, *decoder_inputs(seed=1))) == []
    assert all(t[name] is kept[name] for name in kept)


def test_the_next_model_is_not_taken_for_one_that_is_gone() -> None:
    for _ in range(3):
        model = make_decoder()
        with trace(model) as t:
            model(*decoder_inputs())
        assert len(t) > 70
