"""The plan: which form runs on which device, and how much at a time. A measurement moves a constant, not a rule."""

import pytest
import torch
from decoders import make_decoder
from operations import READS, Operations
from parity import FULL_SIZE, TINY, decoder_inputs

from sam_edu.fast import FastMaskDecoder, plan
from sam_edu.fast.plan import Sizes

FULL, MIB = Sizes(1, 1, 7, 4096, 256, 8, 128), 2**20

FORMS = [
    # A processor: folded, as long as it saves operations.
    ("cpu", FULL, False, False, "folded"),
    ("cpu", FULL, True, True, "folded"),
    ("cpu", FULL._replace(sets=64), False, False, "folded"),
    ("cpu", FULL._replace(groups=8), False, False, "folded"),
    ("cpu", FULL._replace(tokens=20), False, False, "folded"),
    ("cpu", FULL._replace(tokens=21), False, False, "plain"),
    ("cpu", FULL._replace(tokens=24), True, False, "folded"),
    ("cpu", FULL._replace(tokens=24, sets=2), False, False, "folded"),
    ("cpu", FULL._replace(tokens=25, sets=2), True, False, "plain"),
    # A GPU: fused, up to 32 tokens; with autograd from 32 prompt sets on.
    ("cuda", FULL, False, False, "fused"),
    ("cuda", FULL, True, False, "fused"),
    ("cuda", FULL._replace(sets=256), True, False, "fused"),
    ("cuda", FULL._replace(groups=64), False, False, "fused"),
    ("cuda", FULL._replace(tokens=32), False, False, "fused"),
    ("cuda", FULL._replace(tokens=33), True, False, "plain"),
    ("cuda", FULL._replace(groups=8, sets=4), False, True, "fused"),
    ("cuda", FULL._replace(sets=31), True, True, "plain"),
    ("cuda", FULL._replace(sets=64, image_tokens=256), False, True, "plain"),
    ("mps", FULL, False, False, "fused"),
]


@pytest.mark.parametrize(("device", "sizes", "met", "grad", "expected"), FORMS)
def test_the_form_is_a_function_of_device_and_sizes(device, sizes, met, grad, expected):
    assert plan.form(device, sizes, met=met, grad=grad) == expected


def test_the_norm_of_many_positions_is_computed_by_length():
    assert [plan.norm_by_length(n) for n in (4096, 2**14 - 1, 2**14, 2**20)] == [False, False, True, True]


CHUNKS = [
    ("cpu", FULL._replace(sets=64), 4, None, 4),  # as many as fit into a processor's cache
    ("cpu", FULL._replace(sets=64), 8, None, 2),
    ("cpu", FULL, 4, None, 1),
    ("cpu", FULL._replace(sets=64), 4, 1, 1),  # never none
    ("cpu", FULL._replace(sets=64), 4, 32 * MIB, 8),
    ("cuda", FULL._replace(sets=64), 4, None, 64),  # all of them: no loop
    ("cuda", FULL._replace(groups=8, sets=8), 2, None, 64),
    ("cuda", FULL._replace(sets=256), 4, None, 128),  # 170 would fit
    ("cuda", FULL._replace(sets=64), 4, 480 * MIB, 10),  # in seven
]


@pytest.mark.parametrize(("device", "sizes", "itemsize", "budget", "expected"), CHUNKS)
def test_a_chunk_is_a_function_of_device_sizes_and_budget(device, sizes, itemsize, budget, expected):
    assert plan.chunk(device, sizes, itemsize, budget=budget) == expected


def test_tiles_are_for_processors():
    assert plan.tile("cpu", 1, 4096, 256, 4) == 1024
    assert plan.tile("cpu", 4, 4096, 256, 4) == 256
    assert plan.tile("cpu", 10**6, 4096, 256, 4) == 1
    assert plan.tile("cpu", 1, 64, 256, 4) == 64
    assert plan.tile("cuda", 64, 4096, 256, 4) == 4096


def test_values_are_compared_on_a_processor_only():
    assert [plan.recognition(kind) for kind in ("cpu", "cuda", "mps")] == ["values", "identity", "identity"]


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_is_above_zero(budget):
    with pytest.raises(ValueError, match=rf"budget: expected a number of bytes above zero, or None, got {budget}"):
        FastMaskDecoder(make_decoder(), budget=budget)


# --- What a device without a processor's rules runs: the meta device has no values to read ---


def on_meta(configuration, **sizes):
    decoder = make_decoder(configuration).to("meta")
    dim = decoder.transformer_dim
    inputs = decoder_inputs(dim, **sizes)
    inputs["dense_prompt_embeddings"] = inputs["dense_prompt_embeddings"][:1].expand(sizes["batch"], -1, -1, -1)
    moved = {name: x.to("meta") if isinstance(x, torch.Tensor) else x for name, x in inputs.items()}
    dense = moved["dense_prompt_embeddings"][:1].clone().expand(sizes["batch"], -1, -1, -1)
    return FastMaskDecoder(decoder), moved | {"dense_prompt_embeddings": dense}


@pytest.mark.parametrize("form", ["fused", "folded"])
@pytest.mark.parametrize("batch", [1, 5])
def test_nothing_is_read_back_from_the_device(form, batch, monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: form)
    fast, inputs = on_meta(TINY, batch=batch)
    recorded = []
    with torch.no_grad():
        for _ in range(5):
            with Operations() as operations:
                masks, iou = fast(**inputs)
            recorded.append(operations.names)
    assert masks.shape == (batch, 3, 12, 16)
    assert iou.shape == (batch, 3)
    assert not [name for names in recorded for name in names if any(read in name for read in READS)]
    assert recorded[3] == recorded[4]  # the same kernels for the same shapes
    if form == "fused" or batch > 1:
        assert len(recorded[4]) < len(recorded[0])  # and fewer than when the image was new


@pytest.mark.parametrize("form", ["fused", "folded"])
def test_more_prompt_sets_take_no_more_kernels_below_the_budget(form, monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: form)
    counts = {}
    for batch in (2, 3, 40):
        fast, inputs = on_meta(TINY, batch=batch)
        with torch.no_grad(), Operations() as operations:
            fast(**inputs)
        counts[batch] = len(operations.names)
    assert len(set(counts.values())) == 1
    fast.budget = 1
    with torch.no_grad(), Operations() as operations:
        fast(**inputs)
    assert len(operations.names) > 10 * counts[40]


@pytest.mark.parametrize("form", ["fused", "folded"])
def test_the_temporaries_of_a_prompt_set_are_what_the_chunk_takes_them_for(form, monkeypatch):
    monkeypatch.setattr(plan, "form", lambda *args, **named: form)
    most = {}
    for batch in (4, 8):
        fast, inputs = on_meta(FULL_SIZE, batch=batch, tokens=2, grid=(64, 64))
        with torch.no_grad(), Operations() as operations:
            fast(**inputs)
        most[batch] = operations.most
    each = (most[8] - most[4]) / 4 / (4096 * 256 * 4)
    assert 0.4 * plan.TEMPORARIES < each <= plan.TEMPORARIES
