"""Operations counted by hand, against those that torch counts."""

import pytest
import torch

from sam_edu import flops
from sam_edu.flops import Case, Sizes
from tools.benchmark import FAST, META, OURS, Decoders

FEW_ROWS = Sizes(dim=32, inner=16, heads=1, mlp=24, iou_hidden=12)  # 7 rows are fewer than 16: folded
MANY_ROWS = Sizes(dim=16, inner=8, heads=2, mlp=24, iou_hidden=12)  # 14 rows are more than 12: handed over

CASES = [
    Case("one", 1, grid=4),
    Case("several", 4, grid=4),
    Case("no tokens", 2, tokens=0, grid=3),
    Case("many tokens", 1, tokens=12, grid=3),
    Case("single mask", 1, grid=4, multimask=False),
    Case("mask prompts", 3, grid=4, dense=True),
    Case("images", 3, grid=4, images=3),
]


@pytest.fixture(scope="module", params=[FEW_ROWS, MANY_ROWS], ids=["few rows", "many rows"])
def decoders(request):
    return Decoders(request.param, torch.device("cpu"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operations_counted_by_hand_are_those_that_torch_counts(decoders, case):
    with torch.no_grad():
        calls = decoders.calls(case, [META, OURS, FAST])
        for _ in range(3):
            calls[FAST]()
        assert flops.counted_flops(calls[META]) == flops.plain_flops(case, decoders.sizes)
        assert flops.counted_flops(calls[OURS]) == flops.plain_flops(case, decoders.sizes)
        assert flops.counted_flops(calls[FAST]) == flops.fast_flops(case, decoders.sizes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operations_of_the_first_calls_with_an_image_are_counted_too(decoders, case):
    with torch.no_grad():
        call = decoders.calls(case, [FAST])[FAST]
        call()  # the positional encodings are known from here on
        decoders.fast._kept.forget("image")
        counted = [flops.counted_flops(call) for _ in range(4)]
    assert counted == [flops.fast_flops(case, decoders.sizes, number) for number in (1, 2, 3, 4)]


def test_no_call_on_a_new_image_costs_more_than_the_one_before():
    for tokens in (0, 2, 6, 12):
        case = Case("click", 1, tokens=tokens)
        costs = [flops.fast_flops(case, call=number) for number in (1, 2, 3, 4)]
        assert costs == sorted(costs, reverse=True)
        assert costs[0] < flops.plain_flops(case)
        assert costs[-1] == flops.fast_flops(case)
    assert flops.fast_flops(Case("click", 1), call=2) == pytest.approx(2.25e9, rel=5e-3)


def test_a_click_at_full_size_costs_what_is_known():
    assert flops.plain_flops(Case("click", 1)) == pytest.approx(3.62e9, rel=1e-3)
