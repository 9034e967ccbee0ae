"""Operations counted by hand, against those that torch counts."""

import pytest
import torch

from sam_edu import flops
from sam_edu.flops import Case, Sizes
from sam_edu.official.package import modeling
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


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 6, 9, 12])
def test_no_call_with_an_image_costs_more_than_the_first_or_than_meta_s(tokens):
    case = Case("click", 1, tokens=tokens)
    costs = [flops.fast_flops(case, call=number) for number in (1, 2, 3, 4)]
    assert max(costs) < flops.plain_flops(case)
    assert costs[1] <= costs[0]
    assert costs[3] == flops.fast_flops(case) < min(costs[:3])
    if tokens <= 6:
        assert costs[2] <= costs[0]


def test_the_first_three_clicks_on_an_image_cost_what_is_known():
    costs = [flops.fast_flops(Case("click", 1), call=number) for number in (1, 2, 3, 4)]
    assert costs == pytest.approx([2.42e9, 2.25e9, 2.12e9, 1.05e9], rel=5e-3)


def test_a_click_at_full_size_costs_what_is_known():
    assert flops.plain_flops(Case("click", 1)) == pytest.approx(3.62e9, rel=1e-3)


def test_the_large_image_encoder_by_hand_is_what_torch_counts():
    encoder = modeling().ImageEncoderViT
    with torch.device("meta"), torch.no_grad():
        vit_b = encoder(
            depth=12, embed_dim=768, img_size=1024, num_heads=12, patch_size=16, use_rel_pos=True, window_size=14,
            global_attn_indexes=[2, 5, 8, 11], out_chans=256, qkv_bias=True, mlp_ratio=4,
        )  # fmt: skip
        image = torch.zeros(1, 3, 1024, 1024)
        assert flops.counted_flops(lambda: vit_b(image)) == flops.vit_b_flops()


def test_traffic_counts_kernels_views_and_bytes():
    x, one = torch.ones(10, 10), torch.ones(1, 1)
    assert flops.counted_traffic(lambda: x.T + x) == flops.Traffic(1, 1, 3 * 400)
    assert flops.counted_traffic(lambda: one.expand(10, 10) * x) == flops.Traffic(1, 1, 4 + 2 * 400)


def test_a_gpu_gets_fewer_kernels_and_fewer_bytes_than_by_metas_decoder():
    """Without a GPU, what can be held: launches and bytes."""
    decoders = Decoders(Sizes(), torch.device("meta"))
    counts = {}
    with torch.no_grad():
        for batch in (1, 64):
            calls = decoders.calls(Case("", batch), [META, FAST])
            for _ in range(2):
                calls[FAST]()
            counts[batch] = {name: flops.counted_traffic(call) for name, call in calls.items()}
    for batch in counts:
        assert counts[batch][FAST].kernels < 0.6 * counts[batch][META].kernels
        assert counts[batch][FAST].views < 0.75 * counts[batch][META].views
    assert counts[1][FAST].bytes < 0.6 * counts[1][META].bytes
    assert counts[64][FAST].bytes < 0.4 * counts[64][META].bytes
