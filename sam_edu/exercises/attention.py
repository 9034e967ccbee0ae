"""The exercises of notebook 02: predict the shape, write `Attention.forward`, take the scale away."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sam_edu.exercises.attention_solutions import SHAPES, Solution
from sam_edu.exercises.attention_solutions import no_scale as _no_scale
from sam_edu.exercises.exercise import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.table import judge_table
from sam_edu.exercises.trials import attentions, random, small_decoder, twins
from sam_edu.modules import Attention
from sam_edu.tracing import intervene, trace

# --- 1: predict the shape ---

# Per situation: its words, prompt sets, queries, keys, the attention's downsample_rate.
_SITUATIONS: dict[str, tuple[str, int, int, int, int]] = {
    "a": ("step (1), one click", 1, 7, 7, 1),
    "b": ("step (2), three clicks that select one object", 1, 9, 4096, 2),
    "c": ("step (4), three boxes, one object each", 3, 7, 4096, 2),
    "d": ("step (6-1), two objects, for each two clicks and a box", 2, 9, 4096, 2),
}
_NAMES = ("q", "k", "scores", "weights", "output")


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _SITUATIONS, _NAMES, _true_shapes, _shape_hint)


def _true_shapes(case: str) -> dict[str, tuple[int, ...]]:
    """What passes the verified module's points. On the meta device: shapes alone, no numbers."""
    _, batch, tokens, other, rate = _SITUATIONS[case]
    queries, keys = (other, tokens) if case == "c" else (tokens, other)
    with torch.random.fork_rng(devices=[]):
        module = Attention(256, 8, rate).to("meta")
    seen: dict[str, tuple[int, ...]] = {}
    with ExitStack() as hooks:
        for name in ("q", "k", "scores", "weights"):
            listen = partial(_note_shape, seen, name)
            hooks.enter_context(module.get_submodule(name).register_forward_hook(listen))
        q, k = (torch.empty(batch, length, 256, device="meta") for length in (queries, keys))
        seen["output"] = tuple(module(q, k, k).shape)
    return seen


def _note_shape(seen: dict[str, tuple[int, ...]], name: str, _module: Any, _args: Any, output: Tensor) -> None:
    seen[name] = tuple(output.shape)


def _shape_hint(case: str, name: str, got: tuple[int, ...], true: Mapping[str, tuple[int, ...]]) -> str:
    right = true[name]
    if name == "weights":
        return "The softmax changes numbers, never a shape: the weights are shaped like the scores."
    batch, heads, queries, each = true["q"]
    keys = true["k"][2]
    if len(got) != len(right):
        if got == right[1:]:
            return "The first axis is missing: the prompt sets."
        if name == "output":
            return "The output has three axes: prompt sets, queries, and the width that came in. The heads are merged."
        return "There are four axes: prompt sets, heads, and two more. A head is an axis of its own."
    if got[0] != batch and got[1:] == right[1:]:
        return "How many prompt sets are there? Each selects one object."
    if name != "output" and (got[1], got[2]) == (right[2], right[1]) and got[1] != got[2]:
        return "Heads and length are exchanged: the heads come before the length."
    tokens = _SITUATIONS[case][2]
    differ = [(a, b) for a, b in zip(got, right, strict=True) if a != b]
    if "box" not in _SITUATIONS[case][0] and all(b == tokens and a - b == -1 for a, b in differ):
        return "Count the tokens again: five, the clicks, and one for padding where there are clicks and no box."
    if all(b == tokens and abs(a - b) <= 2 for a, b in differ):
        return (
            "Count the tokens again: five, then the prompt's. A box is two tokens, one per corner, and with a box"
            " there is no padding."
        )
    if name in ("q", "k"):
        if got[2] != right[2] and got[2] in (queries, keys):
            return f"Who asks here, and who is read? The length of {name} is the other one."
        if got[3] != each:
            return (
                "How wide is one head? The internal width, 256 // downsample_rate, divided by the number of heads;"
                " only step (1) has a downsample_rate of 1."
            )
    if name in ("scores", "weights"):
        if got == (batch, heads, keys, queries):
            return "Rows are queries, columns are keys: one row for everyone who asks."
        if got[-1] == each:
            return "The head's width is gone: the product with k has summed over it."
        if got[1] != heads:
            return "Each head makes a matrix of its own, and there are 8 heads."
    if name == "output":
        if got[1] == keys != queries:
            return "One vector comes out for everyone who asked, none for those who were read."
        if got[2] != 256:
            return "out_proj leads back to the width that came in."
    return "Ask for each axis: which prompt set, which head, who asks, who is read, or which channel?"


# --- 2: write Attention.forward ---

Case = tuple[int, int, int, int, int, int]
Inputs = tuple[Tensor, Tensor, Tensor]

# (embedding_dim, num_heads, downsample_rate, batch, queries, keys): queries and keys differ in number, heads and head
# width too; then equal lengths, where a mistake may keep every shape.
_CASES = ((24, 2, 2, 2, 4, 5), (12, 3, 1, 2, 6, 6), (8, 4, 1, 1, 5, 5))

_ORDER = (
    "The heads are split in the wrong order. Channels of one head are neighbours: split the last axis into (heads, head"
    " width), and then exchange length and heads."
)
_AXIS = "The softmax runs over the wrong axis: for each query, the weights over the keys sum to 1."
_SCALE = "The wrong scale: divide the scores by the square root of one head's width"
_MISTAKES = {
    "no scale": "This is what comes out with no scale: divide the scores by the square root of one head's width.",
    "scale of the internal width": f"{_SCALE}, not of the width of all heads together.",
    "scale of the outer width": f"{_SCALE}, not of embedding_dim.",
    "scale without a root": f"{_SCALE}, not by the width itself.",
    "scale multiplied": f"{_SCALE}; do not multiply.",
    "scale after softmax": "The wrong scale: it comes before the softmax; after it the weights no longer sum to 1.",
    "q and k swapped": "q and k are swapped: rows are queries, columns are keys.",
    "projections swapped": "q and k are swapped: queries go through q_proj, keys through k_proj.",
    "v from k": "The values are made from k: v is an input of its own.",
    "softmax over queries": _AXIS,
    "softmax over heads": _AXIS,
    "softmax over prompt sets": _AXIS,
    "no softmax": "The softmax is missing: scores are not weights yet.",
    "head width first": _ORDER,
    "head width first, merged as they should be": _ORDER,
    "no transpose": _ORDER,
    "no transpose, merged as they should be": _ORDER,
    "no transpose at the end": "The heads are merged in the wrong order: exchange heads and queries, then flatten.",
    "no out projection": "The out projection is forgotten: out_proj comes last.",
    "one head": "All channels were taken as one head: split them into num_heads first.",
    "residual": "The queries were added to the result: that belongs to the block around the attention.",
}


def _variant(module: Attention, q: Tensor, k: Tensor, v: Tensor, mistake: str) -> Tensor:
    """The forward with one of the usual mistakes."""
    heads, inner = 1 if mistake == "one head" else module.num_heads, module.internal_dim
    each = inner // heads

    def split(x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        if mistake.startswith("head width first"):
            return x.reshape(batch, length, each, heads).permute(0, 3, 1, 2)
        if mistake in ("no transpose", "no transpose, merged as they should be"):
            return x.reshape(batch, heads, length, each)
        return x.reshape(batch, length, heads, each).transpose(1, 2)

    to_q, to_k = module.q_proj, module.k_proj
    if mistake == "projections swapped":
        to_q, to_k = to_k, to_q
    qh, kh, vh = split(to_q(q)), split(to_k(k)), split(module.v_proj(k if mistake == "v from k" else v))
    scores = (kh @ qh.mT if mistake == "q and k swapped" else qh @ kh.mT) / {
        "no scale": 1.0,
        "scale after softmax": 1.0,
        "scale of the internal width": math.sqrt(inner),
        "scale of the outer width": math.sqrt(module.embedding_dim),
        "scale without a root": float(each),
        "scale multiplied": 1 / math.sqrt(each),
    }.get(mistake, math.sqrt(each))
    axis = {"softmax over queries": -2, "softmax over heads": 1, "softmax over prompt sets": 0}.get(mistake, -1)
    weights = scores if mistake == "no softmax" else scores.softmax(axis)
    found = weights @ vh / (math.sqrt(each) if mistake == "scale after softmax" else 1.0)
    if mistake in ("no transpose", "no transpose at the end"):
        merged = found.reshape(q.shape[0], q.shape[1], inner)
    else:
        merged = found.permute((0, 2, 3, 1) if mistake == "head width first" else (0, 2, 1, 3)).flatten(2)
    if mistake == "no out projection":
        return merged
    return module.out_proj(merged) + (q if mistake == "residual" else 0)


def _looks(module: Attention, inputs: Inputs) -> Callable[[Any], str]:
    otherwise = "Print q, k, scores and weights in turn, and hold them against the diagram."
    return recogniser(_MISTAKES, partial(_variant, module, *inputs), f"It is none of the usual mistakes. {otherwise}")


def _pair(answer: Any, case: Case) -> tuple[Attention, Any, Inputs]:
    """The verified module with random weights, the learner's with the same, and inputs that all differ."""
    dim, heads, rate, batch, queries, keys = case
    module, yours = twins(
        Attention,
        answer,
        lambda kind: kind(dim, heads, rate),
        sum(case),
        made="It is made like this: YourAttention(24, 2, 2).",
        keep="q_proj, k_proj, v_proj and out_proj as they are",
    )
    q, k, v = (random(seed, batch, length, dim) for seed, length in enumerate((queries, keys, keys)))
    return module, yours, (q, k, v)


def _judge_forward(answer: Any) -> None:
    for case in _CASES:  # shapes first, of all cases
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            copies = tuple(x.clone() for x in inputs)
            came = result_of(yours, *copies, hint=_failure_hint(answer, case))
            check_tensor_shape(
                "output", came, module(*inputs), "batch, queries, embedding_dim", partial(_forward_shape_hint, case)
            )
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs, strict=True)):
                raise WrongAnswer(
                    "the inputs were written into: make new tensors; the caller still needs the old ones."
                )
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            check_values("output", yours(*inputs), module(*inputs), _looks(module, inputs))
    _judge_forward_invariants(answer)


def _failure_hint(answer: Any, case: Case) -> str:
    """A forward that fails where queries and keys differ in number may tell more where they do not."""
    text = "Print the shape after each line."
    if case != _CASES[0]:
        return text
    text = "Queries and keys differ in number here: print the shape after each line."
    module, yours, inputs = _pair(answer, _CASES[1])
    try:
        with torch.no_grad():
            came = yours(*inputs)
            if isinstance(came, Tensor) and came.shape == inputs[0].shape and not same(came, module(*inputs)):
                return f"{text} With equal lengths: {_looks(module, inputs)(came)}"
    except Exception:  # whatever the learner's code does: the first error is the one to show
        return text
    return text


def _forward_shape_hint(case: Case, came: Tensor) -> str:
    dim, heads, rate, batch, queries, keys = case
    inner = dim // rate
    if came.shape == (batch, queries, inner):
        return "The out projection is forgotten: out_proj leads from the internal width back to embedding_dim."
    if came.shape == (batch, heads, queries, inner // heads):
        return "The heads are not merged yet: exchange heads and queries back, flatten, then out_proj."
    if came.shape == (batch, heads, queries, keys):
        return "These are the weights or the scores: the weighted sum of the values is missing."
    if came.shape == (batch, keys, dim):
        return "A row per key came out: q and k are swapped. Each query gets a row."
    return ""


def _judge_forward_invariants(answer: Any) -> None:
    module, yours, (q, k, v) = _pair(answer, _CASES[0])
    with torch.no_grad():
        order = torch.tensor([3, 0, 4, 1, 2])
        if not same(result_of(yours, q, k[:, order], v[:, order]), module(q, k, v)):
            raise WrongAnswer("keys and values in another order, together, must give the same output.")
        alike = v[:, :1].expand_as(v)
        wanted = module.out_proj(module.v_proj(alike[:, :1])).expand(-1, q.shape[1], -1)
        if not same(result_of(yours, q, k, alike), wanted):
            raise WrongAnswer("where all values are alike, every query must get just that value: weights sum to 1.")
        strong = 300 * q
        came = result_of(yours, strong, k, v)
        if not torch.isfinite(came).all():
            raise WrongAnswer("large scores overflow: use torch.softmax, or subtract each row's maximum before exp.")
        if not same(came, module(strong, k, v)):
            raise WrongAnswer(
                "with large scores, each query must read almost only its best key; yours reads others too."
            )
        one = result_of(yours, q[:1], k[:1], v[:1])
        if not same(one, module(q, k, v)[:1]):
            raise WrongAnswer("a prompt set alone must get the same output as in a batch.")


# --- 3: take the scale away ---


def _judge_no_scale(answer: Any) -> None:
    decoder, inputs = small_decoder()
    found = attentions(decoder)
    with torch.no_grad():
        for module in found.values():  # the shape, before anything is replaced
            scores = random(0, 2, 4, 7, 7)
            came = result_of(answer, module, scores.clone())
            axes = "batch, heads, queries, keys"
            check_tensor_shape(
                "scores", came, scores, axes, lambda _: "A replacement keeps the shape of what it replaces."
            )
        with ExitStack() as stack, torch.no_grad():
            for name, module in found.items():
                stack.enter_context(intervene(decoder, f"{name}.scores", partial(answer, module)))
            seen = stack.enter_context(trace(decoder))
            decoder(**inputs)
    right = {name: seen[f"{name}.q"] @ seen[f"{name}.k"].transpose(-2, -1) for name in found}
    hint = _scale_hint(found, {name: seen[f"{name}.scores"] for name in found}, right)
    for name in found:
        check_values(f"{name}.scores", seen[f"{name}.scores"], right[name], lambda _: hint)
    for module in found.values():  # what must always hold: twice the scores in, twice the scores out, 0 stays 0
        scores = 50 * random(1, 1, 4, 3, 3)
        zero = result_of(answer, module, torch.zeros(1, 4, 3, 3))
        twice, once = result_of(answer, module, 2 * scores), result_of(answer, module, scores.clone())
        if not same(twice, 2 * once) or zero.abs().max() > 0:
            raise WrongAnswer("a scale is one factor for all scores: twice the scores must give twice the result.")


def _scale_hint(found: Mapping[str, Attention], came: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> str:
    """What wrong scores look like: the factor, for each attention, that they were multiplied by."""
    each = {name: module.internal_dim // module.num_heads for name, module in found.items()}
    given = {name: right[name] / math.sqrt(each[name]) for name in found}
    factor = {name: float((came[name] * given[name]).sum() / given[name].pow(2).sum()) for name in found}
    if not all(same(came[name], factor[name] * given[name]) for name in found):
        if all(same(came[name].sum(-1), torch.ones_like(came[name].sum(-1))) for name in found):
            return "These are weights, not scores: the softmax comes afterwards by itself."
        return "The scale is one factor for all scores of an attention, and nothing is added."
    looks: list[tuple[Callable[[Attention, float], float], str]] = [
        (lambda m, e: 1.0, "They are still scaled: they came back as they were."),
        (lambda m, e: 1 / math.sqrt(e), "They were divided once more: the scale divides, so to undo it you multiply."),
        (
            lambda m, e: 1 / e,
            "They were divided again, by the width: to undo a division by its root, multiply by the root.",
        ),
        (lambda m, e: e, "The wrong scale: multiply by the square root of a head's width, not by the width."),
        (lambda m, e: math.sqrt(m.internal_dim), "The wrong scale: one head's width counts, not that of all heads."),
        (lambda m, e: math.sqrt(m.embedding_dim), "The wrong scale: one head's width counts, not embedding_dim."),
    ]
    for expected, hint in looks:
        if all(math.isclose(factor[n], expected(m, float(each[n])), rel_tol=1e-3) for n, m in found.items()):
            return hint
    if len({round(one, 3) for one in factor.values()}) == 1:
        return (
            "It is the same factor in all attentions. But a head is wider in step (1) than in the cross-attentions:"
            " 32 against 16 in SAM. Ask the attention for its widths."
        )
    return "It is the wrong factor; one head's width is attention.internal_dim // attention.num_heads."


shapes = Exercise("02.1 predict the shape", _judge_shapes, SHAPES)
forward = Exercise("02.2 write Attention.forward", _judge_forward, Solution)
no_scale = Exercise("02.3 take the scale away", _judge_no_scale, _no_scale)
