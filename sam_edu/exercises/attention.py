"""The exercises of notebook 02: predict the shape, write `Attention.forward`, remove the scale."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import random, twins, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
    to_tensor,
)
from sam_edu.exercises.judging_modules import check_module
from sam_edu.exercises.judging_tables import judge_table
from sam_edu.exercises.solutions import attention as solutions
from sam_edu.modules import Attention

# --- 1: predict the shape ---


class Situation(NamedTuple):
    """An attention of the decoder, and the prompt."""

    description: str
    prompt_sets: int
    tokens: int
    queries: int
    keys: int
    downsample_rate: int


_SITUATIONS = {
    "a": Situation("step (1), one click", 1, 7, 7, 7, 1),
    "b": Situation("step (2), three clicks that select one object", 1, 9, 9, 4096, 2),
    "c": Situation("step (4), three boxes, one object each", 3, 7, 4096, 7, 2),
    "d": Situation("step (6-1), two objects, for each two clicks and a box", 2, 9, 9, 4096, 2),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_NAMES = ("q", "k", "scores", "weights", "output")


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _DESCRIPTIONS, _NAMES, _true_shapes, _shape_hint)


@cache
def _true_shapes(case: str) -> dict[str, tuple[int, ...]]:
    """The shapes at the verified module's trace points. On the meta device: shapes without values."""
    situation = _SITUATIONS[case]
    with torch.random.fork_rng(devices=[]):
        module = Attention(256, 8, situation.downsample_rate).to("meta")
    shapes: dict[str, tuple[int, ...]] = {}
    with ExitStack() as hooks:
        for name in ("q", "k", "scores", "weights"):
            hook = partial(_record_shape, shapes, name)
            hooks.enter_context(module.get_submodule(name).register_forward_hook(hook))
        lengths = (situation.queries, situation.keys)
        q, k = (torch.empty(situation.prompt_sets, length, 256, device="meta") for length in lengths)
        shapes["output"] = tuple(module(q, k, k).shape)
    return shapes


def _record_shape(shapes: dict[str, tuple[int, ...]], name: str, _module: Any, _args: Any, output: Tensor) -> None:
    shapes[name] = tuple(output.shape)


def _shape_hint(case: str, name: str, shape: tuple[int, ...], targets: Mapping[str, tuple[int, ...]]) -> str:
    target = targets[name]
    if name == "weights":
        return "The softmax changes numbers, never a shape: the weights are shaped like the scores."
    batch, heads, queries, head_dim = targets["q"]
    keys = targets["k"][2]
    if len(shape) != len(target):
        if shape == target[1:]:
            return "The first axis is missing: the prompt sets."
        if name == "output":
            return "The output has three axes: prompt sets, queries, and the width of the inputs. The heads are merged."
        return "There are four axes: prompt sets, heads, and two more. A head is an axis of its own."
    if shape[0] != batch and shape[1:] == target[1:]:
        return "How many prompt sets are there? Each selects one object."
    if name != "output" and (shape[1], shape[2]) == (target[2], target[1]) and shape[1] != shape[2]:
        return "Heads and length are exchanged: the heads come before the length."
    situation = _SITUATIONS[case]
    differences = [(a, b) for a, b in zip(shape, target, strict=True) if a != b]
    if "box" not in situation.description and all(b == situation.tokens and a - b == -1 for a, b in differences):
        return "Count the tokens again: five, the clicks, and one for padding where there are clicks and no box."
    if all(b == situation.tokens and abs(a - b) <= 2 for a, b in differences):
        return (
            "Count the tokens again: five, then the prompt's. A box is two tokens, one per corner, and with a box"
            " there is no padding."
        )
    if name in ("q", "k"):
        if shape[2] != target[2] and shape[2] in (queries, keys):
            return f"Which vectors are the queries here, and which the keys? The length of {name} is the other one."
        if shape[3] != head_dim:
            return (
                "How wide is one head? The internal width, 256 // downsample_rate, divided by the number of heads;"
                " only step (1) has a downsample_rate of 1."
            )
    if name in ("scores", "weights"):
        if shape == (batch, heads, keys, queries):
            return "Rows are queries, columns are keys: one row per query."
        if shape[-1] == head_dim:
            return "The axis of the head's width is not there: the product with k has summed over it."
        if shape[1] != heads:
            return "Each head has a matrix of its own, and there are 8 heads."
    if name == "output":
        if shape[1] == keys != queries:
            return "The output has one vector per query, and none per key."
        if shape[2] != 256:
            return "out_proj maps back to the width of the inputs."
    return "Name each axis: is it prompt sets, heads, queries, keys or channels?"


# --- 2: write Attention.forward ---


class Case(NamedTuple):
    """The sizes of an attention and of its inputs."""

    embedding_dim: int
    num_heads: int
    downsample_rate: int
    batch: int
    queries: int
    keys: int

    @property
    def internal_dim(self) -> int:
        """The width of all heads together."""
        return self.embedding_dim // self.downsample_rate


class Inputs(NamedTuple):
    """The inputs of an attention."""

    q: Tensor
    k: Tensor
    v: Tensor


# First queries and keys differ in number, and heads from head width; then lengths are equal, so that a mistake may keep
# every shape.
_CASES = (Case(24, 2, 2, 2, 4, 5), Case(12, 3, 1, 2, 6, 6), Case(8, 4, 1, 1, 5, 5))

_ORDER = (
    "The heads are split in the wrong order. Channels of one head are neighbours: split the last axis into (heads, head"
    " width), and then exchange length and heads."
)
_AXIS = "The softmax runs over the wrong axis: for each query, the weights over the keys sum to 1."
_SCALE = "The wrong scale: divide the scores by the square root of one head's width"
_MISTAKES = {
    "no scale": "This is the result with no scale: divide the scores by the square root of one head's width.",
    "scale of the internal width": f"{_SCALE}, not of the width of all heads together.",
    "scale of the outer width": f"{_SCALE}, not of embedding_dim.",
    "scale without a root": f"{_SCALE}, not by the width itself.",
    "scale multiplied": f"{_SCALE}; do not multiply.",
    "scale after softmax": "The wrong scale: it comes before the softmax; after it the weights no longer sum to 1.",
    "q and k swapped": "q and k are swapped: rows are queries, columns are keys.",
    "projections swapped": "q and k are swapped: queries go through q_proj, keys through k_proj.",
    "v from k": "The values were computed from k: v is an input of its own.",
    "softmax over queries": _AXIS,
    "softmax over heads": _AXIS,
    "softmax over prompt sets": _AXIS,
    "no softmax": "The softmax is missing: scores are not weights yet.",
    "head width first": _ORDER,
    "head width first, merged as they should be": _ORDER,
    "no transpose": _ORDER,
    "no transpose, merged as they should be": _ORDER,
    "no transpose at the end": "The heads are merged in the wrong order: exchange heads and queries, then flatten.",
    "no out projection": "The output projection is missing: out_proj comes last.",
    "one head": "All channels were taken as one head: split them into num_heads first.",
    "residual": "The queries were added to the result: the residual belongs to the block around the attention.",
}


def _variant(module: Attention, q: Tensor, k: Tensor, v: Tensor, mistake: str) -> Tensor:
    """`Attention.forward` with one of the usual mistakes."""
    heads, internal = 1 if mistake == "one head" else module.num_heads, module.internal_dim
    head_dim = internal // heads

    def split(x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        if mistake.startswith("head width first"):
            return x.reshape(batch, length, head_dim, heads).permute(0, 3, 1, 2)
        if mistake in ("no transpose", "no transpose, merged as they should be"):
            return x.reshape(batch, heads, length, head_dim)
        return x.reshape(batch, length, heads, head_dim).transpose(1, 2)

    q_proj, k_proj = module.q_proj, module.k_proj
    if mistake == "projections swapped":
        q_proj, k_proj = k_proj, q_proj
    qh, kh, vh = split(q_proj(q)), split(k_proj(k)), split(module.v_proj(k if mistake == "v from k" else v))
    scores = (kh @ qh.mT if mistake == "q and k swapped" else qh @ kh.mT) / {
        "no scale": 1.0,
        "scale after softmax": 1.0,
        "scale of the internal width": math.sqrt(internal),
        "scale of the outer width": math.sqrt(module.embedding_dim),
        "scale without a root": float(head_dim),
        "scale multiplied": 1 / math.sqrt(head_dim),
    }.get(mistake, math.sqrt(head_dim))
    axis = {"softmax over queries": -2, "softmax over heads": 1, "softmax over prompt sets": 0}.get(mistake, -1)
    weights = scores if mistake == "no softmax" else scores.softmax(axis)
    outputs = weights @ vh / (math.sqrt(head_dim) if mistake == "scale after softmax" else 1.0)
    if mistake in ("no transpose", "no transpose at the end"):
        merged = outputs.reshape(q.shape[0], q.shape[1], internal)
    else:
        merged = outputs.permute((0, 2, 3, 1) if mistake == "head width first" else (0, 2, 1, 3)).flatten(2)
    if mistake == "no out projection":
        return merged
    return module.out_proj(merged) + (q if mistake == "residual" else 0)


def _hint(module: Attention, inputs: Inputs) -> Callable[[Any], str]:
    otherwise = "Print q, k, scores and weights in turn, and compare them with the diagram."
    return recogniser(_MISTAKES, partial(_variant, module, *inputs), f"It is none of the usual mistakes. {otherwise}")


def _pair(answer: Any, case: Case) -> tuple[Attention, Any, Inputs]:
    """The verified module with random weights, the learner's with the same weights, and three different inputs."""
    module, yours = twins(
        Attention,
        answer,
        lambda kind: kind(case.embedding_dim, case.num_heads, case.downsample_rate),
        sum(case),
        call="It is called like this: YourAttention(24, 2, 2).",
        keep="q_proj, k_proj, v_proj and out_proj as they are",
    )
    lengths = (case.queries, case.keys, case.keys)
    q, k, v = (random(seed, case.batch, length, case.embedding_dim) for seed, length in enumerate(lengths))
    return module, yours, Inputs(q, k, v)


def _judge_forward(answer: Any) -> None:
    for case in _CASES:  # shapes first, of all cases
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            copies = tuple(x.clone() for x in inputs)
            output = result_of(yours, *copies, hint=_failure_hint(answer, case))
            axes = "batch, queries, embedding_dim"
            check_tensor_shape("output", output, module(*inputs), axes, partial(_forward_shape_hint, case))
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs, strict=True)):
                raise WrongAnswer(
                    "the inputs were changed in place: make new tensors; the caller still needs the old ones."
                )
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            output = result_of(yours, *(x.clone() for x in inputs))
            check_values("output", output, module(*inputs), _hint(module, inputs))
    _judge_forward_invariants(answer)
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        check_module(module, yours, inputs._asdict(), ["output"])


def _failure_hint(answer: Any, case: Case) -> str:
    """A hint for a forward that fails. Where queries and keys are equally many, it may run and show its mistake."""
    text = "Print the shape after each line."
    if case != _CASES[0]:
        return text
    text = "Queries and keys differ in number here: print the shape after each line."
    module, yours, inputs = _pair(answer, _CASES[1])
    try:
        with torch.no_grad():
            output = yours(*inputs)
            if isinstance(output, Tensor) and output.shape == inputs.q.shape and not same(output, module(*inputs)):
                return f"{text} With equal lengths: {_hint(module, inputs)(output)}"
    except Exception:  # whatever the learner's code raises: the first error is the one to show
        return text
    return text


def _forward_shape_hint(case: Case, output: Tensor) -> str:
    if output.shape == (case.batch, case.queries, case.internal_dim):
        return "The output projection is missing: out_proj maps the internal width back to embedding_dim."
    if output.shape == (case.batch, case.num_heads, case.queries, case.internal_dim // case.num_heads):
        return "The heads are not merged yet: exchange heads and queries back, flatten, then out_proj."
    if output.shape == (case.batch, case.num_heads, case.queries, case.keys):
        return "These are the weights or the scores: the weighted sum of the values is missing."
    if output.shape == (case.batch, case.keys, case.embedding_dim):
        return "The output has a row per key: q and k are swapped. Each query gets a row."
    return ""


def _judge_forward_invariants(answer: Any) -> None:
    module, yours, (q, k, v) = _pair(answer, _CASES[0])
    with torch.no_grad():
        order = torch.tensor([3, 0, 4, 1, 2])
        if not same(result_of(yours, q, k[:, order], v[:, order]), module(q, k, v)):
            raise WrongAnswer("keys and values in another order, together, must give the same output.")
        equal_values = v[:, :1].expand_as(v)
        target = module.out_proj(module.v_proj(equal_values[:, :1])).expand(-1, q.shape[1], -1)
        if not same(result_of(yours, q, k, equal_values), target):
            raise WrongAnswer("where all values are equal, every query must get this value: weights sum to 1.")
        large = 300 * q
        output = to_tensor("output", result_of(yours, large, k, v))
        if not torch.isfinite(output).all():
            raise WrongAnswer("large scores overflow: use torch.softmax, or subtract each row's maximum before exp.")
        if not same(output, module(large, k, v)):
            raise WrongAnswer(
                "with large scores, each query must give nearly all weight to its best key; yours gives some to others."
            )
        alone = result_of(yours, q[:1], k[:1], v[:1])
        if not same(alone, module(q, k, v)[:1]):
            raise WrongAnswer("a prompt set alone must get the same output as in a batch.")


# --- 3: remove the scale ---

_SAME_SHAPE = "A replacement keeps the shape of the tensor that it replaces."


def _judge_no_scale(answer: Any) -> None:
    """Judge by SAM's own sizes: the answer may know that a head is 32 or 16 wide."""
    modules = {
        "step (1)": with_random_weights(partial(Attention, 256, 8), 1),
        "step (2)": with_random_weights(partial(Attention, 256, 8, downsample_rate=2), 2),
    }
    with torch.no_grad():
        for shape, size in (((2, 8, 7, 7), 1.0), ((1, 8, 9, 20), 1.0), ((3, 8, 20, 9), 50.0), ((1, 8, 1, 1), 0.0)):
            scores = {name: size * random(seed, *shape) for seed, name in enumerate(modules)}
            yours = {}
            for name, module in modules.items():
                result = result_of(answer, module, scores[name].clone())
                axes = "batch, heads, queries, keys"
                yours[name] = check_tensor_shape("scores", result, scores[name], axes, lambda _: _SAME_SHAPE)
            targets = {name: scores[name] * math.sqrt(m.internal_dim // m.num_heads) for name, m in modules.items()}
            for name in modules:
                hint = partial(_scale_hint, modules, yours, targets)
                check_values(f"scores of {name}", yours[name], targets[name], lambda _, hint=hint: hint())  # type: ignore[misc]


def _scale_hint(modules: Mapping[str, Attention], yours: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> str:
    """The hint for wrong scores, from the factor by which those of each attention were multiplied."""
    if not any(target.any() for target in targets.values()):
        return "Scores of 0 must stay 0: the scale is one factor, and nothing is added."
    yours = {name: scores.to(targets[name].dtype) for name, scores in yours.items()}
    head_dims = {name: module.internal_dim // module.num_heads for name, module in modules.items()}
    scaled = {name: targets[name] / math.sqrt(head_dims[name]) for name in modules}
    factors = {name: float((yours[name] * scaled[name]).sum() / scaled[name].pow(2).sum()) for name in modules}
    if not all(same(yours[name], factors[name] * scaled[name]) for name in modules):
        if all(same(yours[name].sum(-1), torch.ones_like(yours[name].sum(-1))) for name in modules):
            return "These are weights, not scores: the softmax is applied after your function."
        return "The scale is one factor for all scores of an attention, and nothing is added."
    mistakes: list[tuple[Callable[[Attention, float], float], str]] = [
        (lambda m, e: 1.0, "They are still scaled: they were returned unchanged."),
        (lambda m, e: 1 / math.sqrt(e), "They were divided once more: the scale divides, so to undo it you multiply."),
        (
            lambda m, e: 1 / e,
            "They were divided again, by the width: to undo a division by its root, multiply by the root.",
        ),
        (lambda m, e: e, "The wrong scale: multiply by the square root of a head's width, not by the width."),
        (lambda m, e: math.sqrt(m.internal_dim), "The wrong scale: one head's width counts, not that of all heads."),
        (lambda m, e: math.sqrt(m.embedding_dim), "The wrong scale: one head's width counts, not embedding_dim."),
    ]
    for factor, hint in mistakes:
        if all(math.isclose(factors[n], factor(m, float(head_dims[n])), rel_tol=1e-3) for n, m in modules.items()):
            return hint
    if len({round(factor, 3) for factor in factors.values()}) == 1:
        return (
            "It is the same factor in all attentions. But a head is wider in step (1) than in the cross-attentions:"
            " 32 against 16 in SAM. Take the widths from the attention."
        )
    return "This is the wrong factor; one head's width is attention.internal_dim // attention.num_heads."


shapes = Exercise("02.1 predict the shape", _judge_shapes, solutions.SHAPES)
forward = Exercise("02.2 write Attention.forward", _judge_forward, solutions.Solution)
no_scale = Exercise("02.3 remove the scale", _judge_no_scale, solutions.no_scale)
