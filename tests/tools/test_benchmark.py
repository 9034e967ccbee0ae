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


def test_the_fast_decoder_has_met_the_image_four_times_before_its_time_counts():
    calls = []
    benchmark.take_turns({META: lambda: calls.append(META), FAST: lambda: calls.append(FAST)}, 1, CPU)
    assert calls == [FAST, FAST, FAST, META, FAST, META, FAST]


@pytest.mark.parametrize(
    ("fast", "meta", "expected"),
    [
        ([1.0, 1.0], 2.0, 1),  # at once
        ([3.0, 1.0], 2.5, 2),
        ([3.0, 3.0, 1.0], 2.5, 3),
        ([5.0, 1.0], 2.0, 5),  # behind by 2 after two calls, gains 1 in each: even after four
        ([5.0, 2.0], 2.0, None),
    ],
)
def test_break_even_is_the_first_call_that_is_ahead_in_all(fast, meta, expected):
    assert benchmark.break_even(fast, meta) == expected


def test_first_calls_are_timed_on_new_images(decoders, monkeypatch):
    monkeypatch.setattr(benchmark, "GRID", 4)
    monkeypatch.setattr(benchmark, "Case", lambda name, batch, **named: Case(name, batch, grid=4, **named))
    times = benchmark.first_calls(decoders, 3, calls=4)
    assert {name: values.shape for name, values in times.items()} == {META: (3, 4), FAST: (3, 4)}


@pytest.mark.parametrize("name", benchmark.PRECISIONS)
def test_a_precision_is_set_and_undone(decoders, name):
    before = decoders.ours.iou_token.weight.clone()
    with benchmark.precision(decoders, name):
        masks, _ = decoders.calls(Case("one", 1, grid=4), [FAST])[FAST]()
        assert masks.dtype == (torch.bfloat16 if name == "bfloat16" else torch.float32)
        assert torch.backends.cuda.matmul.allow_tf32 == (name == "TF32")
    assert torch.equal(decoders.ours.iou_token.weight, before)
    assert torch.equal(decoders.meta.iou_token.weight, before)
    assert not torch.backends.cuda.matmul.allow_tf32


def test_counting_needs_no_device_and_no_time(monkeypatch):
    monkeypatch.setattr(benchmark, "seconds", None)
    lines = list(benchmark.count_section(FEW_ROWS, grid=4))
    assert sum(line.startswith("| 1 |") for line in lines) == 3
    assert [line.split(" | ")[2] for line in lines if f"| {FAST} |" in line] == ["fused"] * 3


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
    plan = Plan({1: 1, 2: 1}, 1, 1, {"batch": (1, 2), "grid": (2, 3)}, 1, memory=False, images=1)
    text = benchmark.report(plan, CPU, tmp_path / "new")
    assert (tmp_path / "new" / "benchmark.md").read_text() == text
    assert (tmp_path / "new" / "benchmark.png").stat().st_size > 1000
    assert text.startswith("# FastMaskDecoder: benchmark\n")
    assert text.count("\n## ") == 7
    assert "Break-even: " in text
    for word in ("CPU:", "torch 2", "thread", "GFLOP", META, ONE_BY_ONE, FAST):
        assert word in text


def test_an_error_loses_no_section_before_it(tmp_path, monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(benchmark, "Sizes", lambda: FEW_ROWS)
    monkeypatch.setattr(benchmark, "matrix_peak", lambda device: 1e9)
    monkeypatch.setattr(benchmark, "main_section", lambda *args: iter(["\n## Main\n", "| 1 |"]))
    monkeypatch.setattr(benchmark, "unfavourable_section", fail)
    with pytest.raises(MemoryError):
        benchmark.report(Plan({1: 1}, 1, 1, {}, 1, memory=False, images=1), CPU, tmp_path)
    assert (tmp_path / "benchmark.md").read_text(encoding="utf-8").endswith("\n## Main\n\n| 1 |\n")


def test_the_memory_of_a_decode_is_measured_from_a_process_that_has_needed_more():
    pytest.importorskip("resource")
    held = torch.ones(2**27)  # half a gigabyte, more than a new process with torch needs
    case = Case("one", 4, grid=16)
    found = benchmark.memory_of([META], case, CPU)
    assert held.sum() > 0
    assert found[META] > 4 * 4 * 64 * 64 * 4  # at least the masks: prompt sets, masks, pixels, bytes


def test_memory_is_a_number_of_bytes():
    pytest.importorskip("resource")
    assert benchmark._peak(CPU) > 2**20
