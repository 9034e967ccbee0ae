"""What cannot be compared with Meta's package: arguments that are wrong in the ways of their kind, refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sam_edu import official
from sam_edu.modules import MLP, Attention, LayerNorm2d
from sam_edu.official import compare, from_official, official_class, to_official, tolerance
from sam_edu.sam import build_tiny

pytestmark = pytest.mark.no_shape_check

with torch.random.fork_rng(devices=[]):
    OURS: Any = Attention(8, 2).eval()
    THEIRS: Any = to_official(OURS)
    SAM: Any = build_tiny()
INPUTS = dict.fromkeys("qkv", torch.ones(1, 3, 8))


class TwoOutputs(nn.Module):
    """Meta's attention, with one output more."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return THEIRS(q, k, v), q


class OneOutput(nn.Module):
    """Ours, with its output in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = OURS

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.inner(q, k, v),)


class Holder:
    model = SAM


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a class": (lambda: to_official(Attention), TypeError, "cannot convert the class Attention itself; expected one"),
    "a name": (lambda: to_official("Attention"), TypeError, "cannot convert a str; expected one of MLP, "),
    "None": (lambda: from_official(None), TypeError, "cannot convert a NoneType; expected one of MLP, "),
    "a whole model": (lambda: to_official(SAM), TypeError, r"a Sam; .*its parts, \.prompt_encoder and \.mask_decoder"),
    "a predictor": (lambda: to_official(Holder()), TypeError, r"a Holder; .*convert its \.model's parts"),
    "wrapped": (lambda: to_official(nn.DataParallel(OURS)), TypeError, r"convert what it wraps, its \.module"),
    "compiled": (lambda: to_official(torch.compile(OURS)), TypeError, r"convert what was compiled, its \._orig_mod"),
    "a list of layers": (lambda: from_official(nn.ModuleList([OURS])), TypeError, "cannot convert a ModuleList"),
    "no such class": (lambda: official_class("Sam"), ValueError, "name: expected one of MLP, .* got 'Sam'"),
    "a class as a name": (lambda: official_class(Attention), TypeError, "name: expected one of 'MLP', .* got <class"),
    "a list as a name": (lambda: official_class(["MLP"]), TypeError, r"name: expected one of .*got \['MLP'\]"),
    "no such encoder": (
        lambda: official.build_image_encoder("vit"),
        ValueError,
        "name: .*vit_b, vit_l, vit_h, got 'vit'",
    ),
    "no encoder's name": (lambda: official.build_image_encoder(None), TypeError, "name: expected .* got None"),
    "no such argument": (lambda: official.build_image_encoder(size=3), TypeError, "unexpected keyword argument 'size'"),
    "no module of ours": (lambda: compare("ours", THEIRS, INPUTS), TypeError, "ours: expected a module, got str"),
    "our class": (lambda: compare(Attention, THEIRS, INPUTS), TypeError, "ours: .*the class Attention itself"),
    "no module of Meta's": (lambda: compare(OURS, None, INPUTS), TypeError, "theirs: expected a module, got NoneType"),
    "exchanged": (lambda: compare(THEIRS, OURS, INPUTS), ValueError, "expected our module first and Meta's second"),
    "inputs in a list": (lambda: compare(OURS, THEIRS, [1]), TypeError, "inputs: expected the arguments .*got list"),
    "an input missing": (lambda: compare(OURS, THEIRS, {"q": 1, "k": 1}), TypeError, "missing 1 .*argument: 'v'"),
    "an input of another shape": (
        lambda: compare(OURS, THEIRS, {**INPUTS, "q": torch.ones(1, 3, 7)}),
        ValueError,
        r"q: expected shape \(batch, queries, 8\), got \(1, 3, 7\)",
    ),
    "an output that ours does not have": (
        lambda: compare(OneOutput(), TwoOutputs(), INPUTS),
        ValueError,
        r"theirs: returns output\[1\], which ours does not; ours returns output\[0\]",
    ),
    "no such row": (lambda: compare(OURS, THEIRS, INPUTS)["x"], KeyError, "no row 'x'; there are q, "),
    "a number as a row": (lambda: compare(OURS, THEIRS, INPUTS)[0], KeyError, "no row 0; there are q, "),
    "the tolerance of a number": (lambda: tolerance(1.0), TypeError, "reference: expected a torch.Tensor, got float"),
}


@pytest.mark.parametrize(("call", "error", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_refused_by_name(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_modules_without_trace_points_are_still_compared() -> None:
    for ours, inputs in ((LayerNorm2d(3), torch.ones(1, 3, 2, 2)), (MLP(3, 4, 2, 2), torch.ones(2, 3))):
        assert compare(ours, to_official(ours), {"x": inputs}).first_divergence is None
    assert compare(OURS, THEIRS, INPUTS).first_divergence is None
