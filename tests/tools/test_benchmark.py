"""The benchmark's variants, tables and report; nothing here depends on a time."""

import pytest
import torch

from tools import benchmark
from tools.benchmark import FAST, META, ONE_BY_ONE, OURS, Case, Decoders, Plan, Sizes

CPU = torch.device("cpu")
FEW_ROWS = Sizes(dim=32, inner=16, heads=1, mlp=24, iou_hidden=12)  # 7 rows are fewer than 16: folded
MANY_ROWS = Sizes(dim=16, inner=8, heads=2, mlp=24, iou_hidden=12)  # 14 rows are more than 12: handed over


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=[FEW_ROWS, MANY_ROWS], ids=["few rows", "many rows"])
def decoders(request):
    return Decoders(request.param, CPU)


CASES = [
    Case("one", 1, grid=4),
    Case("several", 4, grid=4),
    Case("no tokens", 2, tokens=0, grid=3),
    Case("many tokens", 1, tokens=12, grid=3),
    Case("single mask", 1, grid=4, multimask=False),
    Case("mask prompts", 3, grid=4, dense=True),
    Case("images", 3, grid=4, images=3),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_variants_decode_the_same(decoders, case):
    calls = decoders.calls(case, [META, ONE_BY_ONE, OURS, FAST])
    results = {name: call() for name, call in calls.items()}
    for name, result in results.items():
        if isinstance(result, list):  # one result per prompt set
            result = [torch.cat(parts) for parts in zip(*result, strict=True)]
        for a, b in zip(result, results[OURS], strict=True):
            torch.testing.assert_close(a, b, msg=name)


def test_a_fresh_case_has_another_image_every_time(decoders):
    call = decoders.calls(Case("", 1, grid=4, fresh=True), [FAST])[FAST]
    first, second, third = (call()[0] for _ in range(3))
    assert not torch.allclose(first, second)
    torch.testing.assert_close(first, third)


def test_there_are_twelve_unfavourable_cases():
    assert len({case.name for case in benchmark.UNFAVOURABLE}) == 12


def test_hugging_face_is_optional(decoders, monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(benchmark.importlib, "import_module", refuse)
    assert benchmark.hugging_face_call({}, CPU) is None


def test_the_fast_decoder_has_met_the_image_twice_before_its_time_counts():
    calls = []
    benchmark.take_turns({META: lambda: calls.append(META), FAST: lambda: calls.append(FAST)}, 1, CPU)
    assert calls == [FAST, META, FAST, META, FAST]


def test_training_with_and_without_gives_the_same_gradients(decoders):
    found = {}
    for name, call in benchmark.training_calls(decoders, 2, 3, 4).items():
        call()
        found[name] = decoders.ours.iou_token.weight.grad.clone()
    torch.testing.assert_close(found[OURS], found[FAST], rtol=1e-4, atol=1e-6)


def test_the_report_has_every_section_and_a_plot(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "Sizes", lambda: FEW_ROWS)
    monkeypatch.setattr(benchmark, "GRID", 4)
    monkeypatch.setattr(benchmark, "UNFAVOURABLE", CASES[:2])
    monkeypatch.setattr(benchmark, "hugging_face_call", lambda inputs, device: None)
    monkeypatch.setattr(benchmark, "matrix_peak", lambda device: 1e9)
    plan = Plan({1: 1, 2: 1}, 1, 1, {"batch": (1, 2), "grid": (2, 3)}, 1, memory=False)
    text = benchmark.report(plan, CPU, tmp_path / "new")
    assert (tmp_path / "new" / "benchmark.md").read_text() == text
    assert (tmp_path / "new" / "benchmark.png").stat().st_size > 1000
    assert text.startswith("# FastMaskDecoder: benchmark\n")
    assert text.count("\n## ") == 5
    for word in ("CPU:", "torch 2", "thread", "GFLOP", META, ONE_BY_ONE, FAST):
        assert word in text


def test_memory_is_a_number_of_bytes():
    pytest.importorskip("resource")
    assert benchmark._peak(CPU) > 2**20
