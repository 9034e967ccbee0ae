"""Times FastMaskDecoder against Meta's decoder: `make benchmark`, or `--quick` for three minutes.

All variants have the same weights and take turns in one process, so that a busy moment meets them all; what is reported
are medians of the ratios within a turn, with their quartiles (with the range, where there are fewer than nine turns).
Writes build/benchmark/benchmark.md and benchmark.png. `--count` times nothing: it counts what a decode asks of a GPU,
kernels, bytes and FLOPs, without one.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu import FastMaskDecoder, MaskDecoder, load, official
from sam_edu.fast import CapturedDecoder, plan
from sam_edu.flops import (
    GRID,
    PROMPT_TOKENS,
    SAM,
    Case,
    Sizes,
    counted_flops,
    counted_traffic,
    fast_flops,
    plain_flops,
    vit_b_flops,
)
from sam_edu.modules import TwoWayTransformer
from sam_edu.timing import Busy, Call, Ratio, interleave, machine, matrix_peak, seconds

OUT = Path(__file__).parents[1] / "build" / "benchmark"
BATCHES = (1, 16, 64)
# The bar, and what we aim for, by batch; and against Meta's decoder called one prompt set at a time.
BAR, AIM, KINDER_BAR, MEMORY_BAR, WORST_BAR = {1: 2.5, 16: 5.0, 64: 6.0}, {1: 4.0, 16: 9.0, 64: 10.0}, 2.5, 0.2, 0.95

META, ONE_BY_ONE, OURS, FAST, HUGGING_FACE = "Meta", "Meta, one prompt set at a time", "ours", "fast", "Hugging Face"
COMPILED, FAST_COMPILED = "Meta, torch.compile", "fast, torch.compile"
CAPTURED, CAPTURED_COMPILED = "fast, CUDA graph", "fast, torch.compile and CUDA graph"
PRECISIONS = ("float32", "TF32", "bfloat16")

UNFAVOURABLE = (
    Case("grid 16, batch 1", 1, grid=16),
    Case("grid 16, batch 16", 16, grid=16),
    Case("grid 16, batch 64", 64, grid=16),
    Case("no prompt token, batch 1", 1, tokens=0),
    Case("no prompt token, batch 16", 16, tokens=0),
    Case("12 prompt tokens, batch 1", 1, tokens=12),
    Case("12 prompt tokens, batch 16", 16, tokens=12),
    Case("mask prompt, batch 1", 1, dense=True, fresh=True),
    Case("mask prompts, batch 8", 8, dense=True),
    Case("an image per prompt set, batch 8", 8, images=8),
    Case("single mask, batch 1", 1, multimask=False),
    Case("another image every time, batch 1", 1, fresh=True),
)


# --- What is compared ---


def build_decoder(sizes: Sizes = SAM, seed: int = 0) -> MaskDecoder:
    """Our decoder with noise on every parameter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = TwoWayTransformer(
            sizes.depth, sizes.dim, sizes.heads, sizes.mlp, attention_downsample_rate=sizes.dim // sizes.inner
        )
        decoder = MaskDecoder(
            transformer_dim=sizes.dim,
            transformer=transformer,
            num_multimask_outputs=sizes.masks - 1,
            iou_head_hidden_dim=sizes.iou_hidden,
        )
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    return decoder.eval()


def make_inputs(
    case: Case, dim: int, device: torch.device, dtype: torch.dtype = torch.float32, seed: int = 0
) -> dict[str, Any]:
    """Random arguments of a decoder, by name."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    grid = (case.grid, case.grid)
    dense = random(case.batch, dim, *grid) if case.dense else random(1, dim, 1, 1).expand(case.batch, -1, *grid)
    return {
        "image_embeddings": random(case.images, dim, *grid),
        "image_pe": random(1, dim, *grid),
        "sparse_prompt_embeddings": random(case.batch, case.tokens, dim),
        "dense_prompt_embeddings": dense,
        "multimask_output": case.multimask,
    }


def one_by_one(decoder: nn.Module, inputs: dict[str, Any]) -> list[Any]:
    """Call `decoder` for each prompt set on its own."""

    def part(value: Any, i: int) -> Any:
        return value[i : i + 1] if isinstance(value, Tensor) and len(value) > 1 else value

    count = len(inputs["sparse_prompt_embeddings"])
    return [decoder(**{name: part(value, i) for name, value in inputs.items()}) for i in range(count)]


def hugging_face_call(inputs: dict[str, Any], device: torch.device) -> Call | None:
    """Hugging Face's decoder with weights of its own, or None where `transformers` is not installed."""
    try:
        sam = importlib.import_module("transformers.models.sam.modeling_sam")
        config = importlib.import_module("transformers").SamMaskDecoderConfig()
    except ImportError:
        return None
    config._attn_implementation = "eager"
    decoder = sam.SamMaskDecoder(config).eval().to(device)
    arguments = {
        "image_embeddings": inputs["image_embeddings"],
        "image_positional_embeddings": inputs["image_pe"],
        "sparse_prompt_embeddings": inputs["sparse_prompt_embeddings"].unsqueeze(0),
        "dense_prompt_embeddings": inputs["dense_prompt_embeddings"][:1],
        "multimask_output": inputs["multimask_output"],
    }
    return lambda: decoder(**arguments)


class Decoders:
    """Meta's, ours and the fast one, with the same weights."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        ours = build_decoder(sizes).to(device)
        self.sizes, self.device, self.ours = sizes, device, ours
        self.meta = official.to_official(ours).eval().to(device)
        self.fast = FastMaskDecoder(ours)
        self.dtype = torch.float32

    def cast(self, dtype: torch.dtype) -> None:
        """Weights and inputs in another dtype."""
        self.dtype = dtype
        self.ours.to(dtype)
        self.meta.to(dtype)

    def calls(self, case: Case, names: Sequence[str]) -> dict[str, Call]:
        """Per name a function that decodes the case."""
        inputs = make_inputs(case, self.sizes.dim, self.device, self.dtype)
        sources = [inputs]
        if case.fresh:
            other = make_inputs(case, self.sizes.dim, self.device, self.dtype, seed=1)
            sources.append(other | {"image_pe": inputs["image_pe"]})  # which is the same for every image
        turn = [0]

        def next_inputs() -> dict[str, Any]:
            turn[0] += 1
            return sources[turn[0] % len(sources)]

        # Meta's decoder cannot take several images with several prompt sets.
        alone = case.images > 1
        calls: dict[str, Call | None] = {
            META: (lambda: one_by_one(self.meta, inputs)) if alone else (lambda: self.meta(**inputs)),
            ONE_BY_ONE: lambda: one_by_one(self.meta, inputs),
            OURS: lambda: self.ours(**inputs),
            FAST: lambda: self.fast(**next_inputs()),
        }
        if HUGGING_FACE in names:
            calls[HUGGING_FACE] = hugging_face_call(inputs, self.device)
        for name, decoder in ((COMPILED, self.meta), (FAST_COMPILED, self.fast)):
            if name in names:
                calls[name] = partial(torch.compile(decoder), **inputs)
        for name, compiled in ((CAPTURED, False), (CAPTURED_COMPILED, True)):
            if name in names:
                calls[name] = partial(CapturedDecoder(self.fast, compiled=compiled, **inputs), **inputs)
        return {name: call for name in names if (call := calls[name]) is not None}


# --- Time ---


def take_turns(calls: dict[str, Call], rounds: int, device: torch.device) -> dict[str, np.ndarray]:
    """Times in seconds by name, one per round. The fast decoder is called first, until it keeps all that it will."""
    for _ in range(3 if FAST in calls else 0):
        calls[FAST]()
    return interleave(calls, rounds, device)


@contextmanager
def precision(decoders: Decoders, name: str) -> Iterator[None]:
    """Decode in one of `PRECISIONS`: TF32 for matrix products, or weights and inputs of half precision."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = name == "TF32"
    weights = {key: value.clone() for key, value in decoders.ours.state_dict().items()}
    decoders.cast(torch.bfloat16 if name == "bfloat16" else torch.float32)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
        decoders.cast(torch.float32)
        decoders.ours.load_state_dict(weights)
        decoders.meta.load_state_dict(weights)


def library_rates(device: torch.device, rounds: int = 9) -> dict[str, float]:
    """FLOP/s of the largest product of step (5), by the function that computes it."""
    x, weight = torch.randn(1, 4096, 256, device=device), torch.randn(256, 256, device=device)
    feature_map, kernel = x.transpose(1, 2).unflatten(2, (64, 64)), weight[:, :, None, None]
    calls: dict[str, Call] = {
        "F.linear": lambda: F.linear(x, weight),
        "F.conv2d, kernel 1, channels last": lambda: F.conv2d(feature_map, kernel),
    }
    times = interleave(calls, rounds, device, warm_up=2)
    return {name: 2 * 4096 * 256 * 256 / float(np.median(values)) for name, values in times.items()}


# --- Memory ---


def peak_extra_memory(name: str, case: Case, device_name: str) -> int:
    """Bytes that one decode needs beyond model and inputs, results included. On a CPU, run it in a fresh process."""
    device = torch.device(device_name)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with torch.no_grad():
        call = Decoders(Sizes(), device).calls(case, [name])[name]
        before = _peak(device)
        call()
        return _peak(device, before) - before


def _peak(device: torch.device, before: int | None = None) -> int:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.memory_allocated(device) if before is None else torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux: getrusage would begin with the peak of the process that started this one; VmHWM does not.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    resource = importlib.import_module("resource")  # not on Windows
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def memory_of(names: Sequence[str], case: Case, device: torch.device) -> dict[str, int]:
    """`peak_extra_memory` by name, each in a process of its own; empty where it cannot be measured."""
    if importlib.util.find_spec("resource") is None and device.type != "cuda":
        return {}
    found = {}
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[name] = pool.apply(peak_extra_memory, (name, case, str(device)))
    return found


# --- Training ---


def training_calls(decoders: Decoders, images: int, sets: int, grid: int) -> dict[str, Call]:
    """A forward and backward pass of the decoder on a training batch, without and with the fast one."""
    dim = decoders.sizes.dim
    case = Case("training", images * sets, grid=grid, images=images)
    inputs = make_inputs(case, dim, decoders.device)
    embedding, dense = inputs["image_embeddings"], inputs["dense_prompt_embeddings"]
    pe, sparse = inputs["image_pe"], inputs["sparse_prompt_embeddings"]

    def step(decode: Callable[[], tuple[Tensor, Tensor]]) -> Call:
        def run() -> None:
            with torch.enable_grad():
                masks, iou = decode()
                decoders.ours.zero_grad()
                (masks.square().mean() + iou.square().mean()).backward()

        return run

    everything = slice(0, None)
    return {
        OURS: step(lambda: decoders.ours.predict_masks(embedding.repeat_interleave(sets, 0), pe, sparse, dense)),
        FAST: step(lambda: decoders.fast.decode(embedding + dense[:1], pe, sparse, everything)),
    }


# --- The report ---


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    batches: dict[int, int]  # rounds by batch
    unfavourable: int  # rounds of each
    training: int
    growth: dict[str, tuple[int, ...]]
    growth_rounds: int
    memory: bool
    images: int  # new images, of each of which the first calls are timed


FULL = Plan(
    {1: 25, 16: 9, 64: 9},
    9,
    9,
    {"batch": (1, 2, 4, 8, 16, 32, 64), "prompt tokens": (0, 2, 4, 8, 12, 24), "grid": (16, 32, 48, 64)},
    3,
    True,
    9,
)
QUICK = Plan(
    {1: 5, 16: 2, 64: 1}, 1, 3, {"batch": (1, 4), "prompt tokens": (0, 2, 8), "grid": (16, 32, 64)}, 1, False, 3
)


def main_section(decoders: Decoders, planned: Plan, peak: float) -> Iterator[str]:
    """Times, ratios, and fractions of the peak, by batch."""
    rows = []
    for batch, rounds in planned.batches.items():
        case = Case(f"batch {batch}", batch)
        names = [META, OURS, FAST, HUGGING_FACE] + ([ONE_BY_ONE] if batch > 1 else [])
        if decoders.device.type == "cuda":
            names += [COMPILED, FAST_COMPILED, CAPTURED, CAPTURED_COMPILED]
        calls = decoders.calls(case, names)
        times = take_turns(calls, rounds, decoders.device)
        for name, values in times.items():
            flops = fast_flops(case) if name == FAST and decoders.device.type == "cpu" else plain_flops(case)
            median = float(np.median(values))
            bars = {META: f"{BAR.get(batch, 0):g}, {AIM.get(batch, 0):g}", ONE_BY_ONE: f"{KINDER_BAR:g}"}
            ratio = "1" if name == FAST else str(Ratio.of(values, times[FAST]))
            limit = f"{flops / median / peak:.0%}"
            cells = [
                str(batch),
                name,
                f"{median / batch * 1e3:.1f}",
                ratio,
                bars.get(name, ""),
                f"{flops / 1e9:.1f}",
                limit,
            ]
            rows.append(cells)
    yield "## Against Meta's decoder\n"
    yield f"Grid {GRID} x {GRID}, {PROMPT_TOKENS} prompt tokens, three masks; fast has met the image before.\n"
    head = ["batch", "decoder", "ms per prompt set", "times as long as fast", "bar, aim", "GFLOP", "of the peak"]
    yield from table(head, rows)


def precision_section(decoders: Decoders, planned: Plan) -> Iterator[str]:
    """On a GPU: every batch, and where the fast decoder gains least, in each precision."""
    cases = [Case(f"batch {batch}", batch) for batch in (*planned.batches, 256)]
    rows = []
    for name in PRECISIONS:
        with precision(decoders, name):
            for case in (*cases, *UNFAVOURABLE):
                calls = decoders.calls(case, [META, OURS, FAST])
                times = take_turns(calls, max(planned.unfavourable, 1), decoders.device)
                ratio = Ratio.of(times[META], times[FAST])
                ms = [f"{1e3 * float(np.median(times[key])):.2f}" for key in (META, OURS, FAST)]
                rows.append([name, case.name, *ms, str(ratio), "" if ratio.median >= 1 else "slower"])
    yield "\n## Precisions\n"
    yield from table(["precision", "case", META, OURS, FAST, "Meta / fast", ""], rows)


def first_calls(decoders: Decoders, images: int, calls: int = 5) -> dict[str, np.ndarray]:
    """Seconds of the first calls with each of several new images, (images, calls), and of Meta's beside each.

    One click a call. The positional encodings are known, as they are the same for every image.
    """
    case = Case("first calls", 1, fresh=True)
    inputs = make_inputs(case, decoders.sizes.dim, decoders.device, decoders.dtype)
    decoders.fast(**inputs)
    times: dict[str, list[float]] = {META: [], FAST: []}
    for _ in range(images):
        inputs["image_embeddings"] = inputs["image_embeddings"] + 1
        for _ in range(calls):
            times[FAST].append(seconds(lambda: decoders.fast(**inputs), decoders.device))
            times[META].append(seconds(lambda: decoders.meta(**inputs), decoders.device))
    return {name: np.array(values).reshape(images, calls) for name, values in times.items()}


def break_even(fast: Sequence[float], meta: float) -> int | None:
    """After how many calls with an image the fast decoder has taken less time in all; None if never.

    Args:
        fast: the times of its first calls; the last one stands for all later ones.
        meta: the time of one of Meta's.
    """
    total = 0.0
    for number, one in enumerate(fast, start=1):
        total += one
        if total < number * meta:
            return number
    gain = meta - fast[-1]
    return None if gain <= 0 else len(fast) + int((total - len(fast) * meta) // gain) + 1


def first_calls_section(times: dict[str, np.ndarray], device: torch.device) -> Iterator[str]:
    """What the first clicks on a new image cost, and from which one on the fast decoder has paid."""
    case, rows = Case("click", 1), []
    for i in range(times[FAST].shape[1]):
        ratio = Ratio.of(times[META][:, i], times[FAST][:, i])
        gflop = f"{fast_flops(case, call=i + 1) / 1e9:.2f}" if device.type == "cpu" else ""
        rows.append([str(i + 1), f"{1e3 * float(np.median(times[FAST][:, i])):.1f}", str(ratio), gflop])
    number = break_even(np.median(times[FAST], axis=0).tolist(), float(np.median(times[META])))
    yield "\n## The first clicks on a new image, one prompt set a call\n"
    yield from table(["call", "ms", "Meta / fast", f"GFLOP (Meta's: {plain_flops(case) / 1e9:.2f})"], rows)
    since = "never" if number is None else f"from prompt set {number} on"
    yield f"\nBreak-even: {since} fast has taken less time in all."


def whole_way_section(times: dict[str, np.ndarray], device: torch.device, peak: float, rounds: int) -> Iterator[str]:
    """From image to mask: what a faster decoder is worth beside the image encoder (Amdahl's law)."""
    model = load("tiny").to(device)
    image = torch.zeros(1, 3, model.image_size, model.image_size, device=device)
    tiny = float(np.median(interleave({"encoder": lambda: model.image_encoder(image)}, rounds, device)["encoder"]))
    vit_b = vit_b_flops() / peak
    meta, fast = float(np.median(times[META])), np.median(times[FAST], axis=0)
    rows = []
    for name, encoder in (("tiny, measured", tiny), (f"vit_b, {vit_b_flops() / 1e9:.0f} GFLOP at the peak", vit_b)):
        for clicks in (1, 2, 10, 100):
            later = float(fast[-1]) * max(0, clicks - len(fast))
            ours = encoder + float(fast[:clicks].sum()) + later
            plain = encoder + clicks * meta
            rows.append([name, str(clicks), f"{plain:.3f}", f"{ours:.3f}", f"{plain / ours:.2f}"])
    yield "\n## The whole way from image to masks\n"
    yield "Seconds, one click a call. The encoder's share limits the gain.\n"
    yield from table(["encoder", "clicks", "with Meta's decoder", "with fast", "ratio"], rows)


def count_section(sizes: Sizes = SAM, grid: int = GRID) -> Iterator[str]:
    """What a decode asks of a GPU, counted on the meta device: kernels, views, bytes and FLOPs."""
    rows, planned = [], plan.form
    with torch.no_grad():
        decoders = Decoders(sizes, torch.device("meta"))
        for batch in BATCHES:
            case = Case(f"batch {batch}", batch, grid=grid)
            calls = decoders.calls(case, [META, OURS, FAST])
            for name, call in calls.items():
                for _ in range(4 if name == FAST else 1):  # the last one counts: the image was met
                    found = counted_traffic(call)
                form = ""
                if name == FAST:
                    tokens = 1 + sizes.masks + case.tokens
                    inner = (tokens, grid**2, sizes.dim, sizes.heads, sizes.inner)
                    form = planned("cuda", plan.Sizes(1, batch, *inner), met=True)
                numbers = (found.kernels, found.views, f"{found.bytes / 2**20:.0f}", f"{counted_flops(call) / 1e9:.1f}")
                rows.append([str(batch), name, form, *map(str, numbers)])
    yield "## What a decode asks of a GPU\n"
    yield f"Grid {grid} x {grid}, {PROMPT_TOKENS} prompt tokens, three masks, float32; fast has met the image before.\n"
    yield from table(["batch", "decoder", "form", "kernels", "views", "MiB read and written", "GFLOP"], rows)


def unfavourable_section(decoders: Decoders, rounds: int) -> Iterator[str]:
    """The cases in which the fast decoder gains least."""
    rows = []
    for case in UNFAVOURABLE:
        # Short calls are cheap to repeat, and single ones say little.
        calls, times_more = decoders.calls(case, [META, FAST]), 5 if case.grid < GRID else 1
        times = take_turns(calls, rounds * times_more, decoders.device)
        ratio = Ratio.of(times[META], times[FAST])
        rows.append([case.name, str(ratio), "" if ratio.median >= WORST_BAR else "below the bar"])
    yield f"\n## Where it is least of use (bar: {WORST_BAR:g})\n"
    yield from table(["case", "Meta / fast", ""], rows)


def flops_section(decoders: Decoders, grid: int = GRID) -> Iterator[str]:
    """By hand and by torch."""
    rows = []
    for case in (Case("batch 1", 1, grid=grid), Case("batch 4", 4, grid=grid), Case("12 prompt tokens", 1, 12, grid)):
        calls = decoders.calls(case, [META, OURS, FAST])
        for _ in range(3):
            calls[FAST]()  # so that what is kept is there
        for name, call in calls.items():
            hand = fast_flops(case, decoders.sizes) if name == FAST else plain_flops(case, decoders.sizes)
            counted = counted_flops(call)
            rows.append(
                [case.name, name, f"{hand / 1e9:.3f}", f"{counted / 1e9:.3f}", "" if hand == counted else "differ"]
            )
    yield "\n## GFLOP\n"
    yield from table(["case", "decoder", "by hand", "torch.utils.flop_counter", ""], rows)


def training_section(decoders: Decoders, rounds: int) -> Iterator[str]:
    """Forward and backward: on a processor at the grid that the tiny model trains on for the most part, else at 64."""
    images, sets, grid = (6, 8, 16) if decoders.device.type == "cpu" else (8, 8, GRID)
    times = take_turns(training_calls(decoders, images, sets, grid), rounds, decoders.device)
    rows = [[name, f"{1 / float(np.median(values)):.2f}"] for name, values in times.items()]
    size = f"{images} images x {sets} prompt sets, grid {grid}"
    yield f"\n## Training steps per second (forward and backward of the decoder, {size})\n"
    yield from table(["decoder", "steps per second"], rows)
    yield f"\nRatio: {Ratio.of(times[OURS], times[FAST])}"


def memory_section(device: torch.device) -> Iterator[str]:
    """Peak extra memory at the largest batch."""
    batch = BATCHES[-1]
    found = memory_of([META, OURS, FAST], Case(f"batch {batch}", batch), device)
    yield f"\n## Peak extra memory at batch {batch} (bar: {MEMORY_BAR:g} of Meta's)\n"
    rows = [[name, f"{size / 2**20:.0f}", f"{size / found[META]:.2f}"] for name, size in found.items()]
    yield from table(["decoder", "MB", "of Meta's"], rows)


def growth(decoders: Decoders, planned: Plan) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Per axis and decoder: (size, median seconds)."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for axis, sizes in planned.growth.items():
        for size in sizes:
            batch, tokens, grid = (
                size if axis == wanted else default
                for wanted, default in (("batch", 1), ("prompt tokens", PROMPT_TOKENS), ("grid", GRID))
            )
            calls = decoders.calls(Case("", batch, tokens, grid), [META, OURS, FAST])
            for name, values in take_turns(calls, planned.growth_rounds, decoders.device).items():
                found.setdefault(axis, {}).setdefault(name, []).append((size, float(np.median(values))))
    return found


def draw_growth(found: dict[str, dict[str, list[tuple[int, float]]]], path: Path) -> None:
    """A panel per axis, time against size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(4 * len(found), 3.4), layout="constrained", squeeze=False)
    for panel, (axis, lines) in zip(panels[0], found.items(), strict=True):
        for name, points in lines.items():
            panel.plot(*zip(*points, strict=True), marker="o", label=name)
        panel.set(xlabel=axis, ylabel="seconds", ylim=(0, None))
    panels[0][0].legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def growth_section(found: dict[str, dict[str, list[tuple[int, float]]]]) -> Iterator[str]:
    """How time grows with batch, prompt tokens and grid."""
    yield "\n## How time grows (milliseconds)\n"
    rows = []
    for axis, lines in found.items():
        for i, (size, _) in enumerate(lines[META]):
            rows.append([axis, str(size), *(f"{lines[name][i][1] * 1e3:.1f}" for name in (META, OURS, FAST))])
    yield from table(["axis", "size", META, OURS, FAST], rows)
    yield "\n![Time against batch, prompt tokens and grid](benchmark.png)"


def report(planned: Plan, device: torch.device, out: Path) -> str:
    """Measure everything; return the table. Each section is written to `out` at once: an error loses none before it."""
    out.mkdir(parents=True, exist_ok=True)
    path, busy = out / "benchmark.md", Busy()
    lines: list[str] = []

    def add(section: Iterable[str]) -> None:
        lines.extend(section)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    with torch.no_grad():
        decoders = Decoders(Sizes(), device)
        peak = matrix_peak(device)
        rates = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in library_rates(device).items())
        add(
            (
                "# FastMaskDecoder: benchmark\n",
                *(f"- {line}" for line in machine(device)),
                f"- peak of a matrix product in this run: {peak / 1e9:.0f} GFLOP/s",
                f"- 4096 x 256 by 256 x 256, GFLOP/s: {rates}",
                "- ratios: medians of the rounds, with their quartiles; of fewer than nine rounds, with their range\n",
            )
        )
        add(main_section(decoders, planned, peak))
        if device.type == "cuda":
            add(precision_section(decoders, planned))
        add(unfavourable_section(decoders, planned.unfavourable))
        times = first_calls(decoders, planned.images)
        add(first_calls_section(times, device))
        add(whole_way_section(times, device, peak, planned.images))
        if device.type == "cpu":
            add(flops_section(decoders))
        add(training_section(decoders, planned.training))
        found = growth(decoders, planned)
        add(growth_section(found))
        draw_growth(found, out / "benchmark.png")
    warnings = busy.warnings(device)  # before the memory section, where other processes work for us
    if planned.memory:
        add(memory_section(device))
    lines[1:1] = [f"**{warning}**\n" for warning in warnings]
    add(())
    return path.read_text(encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="about three minutes, with few rounds and no memory section"
    )
    parser.add_argument("--count", action="store_true", help="count kernels, bytes and FLOPs; time nothing")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(argv)
    if options.count:
        print("\n".join(count_section()))
        return
    print(report(QUICK if options.quick else FULL, torch.device(options.device), options.out))


if __name__ == "__main__":
    main()
