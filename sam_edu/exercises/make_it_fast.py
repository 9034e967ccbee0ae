"""The exercises of notebook 10: predict the cost, write step (2) folded, keep the best positions."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import random, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    rounded_like,
    same,
)
from sam_edu.exercises.judging_tables import judge_row
from sam_edu.exercises.solutions import make_it_fast as solutions
from sam_edu.flops import counted_flops
from sam_edu.modules import Attention

# --- 1: predict the cost ---

_QUESTIONS = {
    "a": "the folded queries of one click, all heads below each other",
    "b": "multiplications to project the image tokens to keys",
    "c": "multiplications of the folded queries with the image tokens",
    "d": "tokens from which on folding is no longer cheaper",
    "e": "numbers to move to their positions, product first",
    "f": "scores of 64 clicks in layer 0, rows side by side",
    "g": "bytes of the weights of one step (4)",
    "h": "bytes of one image token in float32",
}
_GRID, _DIM, _INTERNAL, _HEADS, _TOKENS = 4096, 256, 128, 8, 7


def _costs() -> Mapping[str, int | tuple[int, ...]]:
    rows = _TOKENS * _HEADS
    return {
        "a": (rows, _DIM),
        "b": _GRID * _DIM * _INTERNAL,
        "c": rows * _GRID * _DIM,
        "d": _INTERNAL // _HEADS,
        "e": 3 * 16 * _GRID,
        "f": (_HEADS, 64 * _TOKENS, _GRID),
        "g": 4 * rows * _GRID,
        "h": 4 * _DIM,
    }


def _cost_hint(key: str, cost: Any) -> str:
    hints = {
        ("a", (7, 256)): "Each head has its own weights, so each has its own folded row per token.",
        ("a", (56, 128)): "Folded through the weights, a query is as wide as an image token.",
        ("a", (56, 16)): "That is before folding. After folding, a query is as wide as an image token.",
        ("a", (256, 56)): "There is a row per token and head; the columns are channels.",
        ("a", (8, 7, 256)): "With all heads below each other there are two axes.",
        (
            "b",
            268_435_456,
        ): "Twice too many. Keys are 128 wide, not 256; and only multiplications count, not additions.",
        ("b", 4096 * 256 * 16): "That is one head. All heads together are 128 wide.",
        ("c", 117_440_512): "That counts the additions too. Here a multiplication is one.",
        ("c", 7 * 4096 * 256): "There is a row per token and per head.",
        ("c", 7 * 4096 * 128): "Those are the queries and keys without folding. Folded rows are 256 wide.",
        ("d", 128): "That is the number of rows. Each token has a row in each head.",
        ("d", 11): "That is the number of prompt tokens. The five output tokens are queries too.",
        ("d", 17): "At 16 tokens both cost the same: it is no longer cheaper.",
        ("d", 32): "One head of these attentions is 16 wide; the rows of 8 heads have to stay below 128.",
        ("e", 262_144): "That is four masks. The question is about three.",
        ("e", 2_097_152): "Those are 32 channels, moved before the product.",
        ("e", 6_291_456): "After the product no channels are left: one number per mask and pixel.",
        ("e", 65_536): "That is one mask.",
        (
            "f",
            (64, 8, 7, 4096),
        ): "That is the usual layout. Side by side, the tokens of all sets are rows of one product.",
        ("f", (8, 7, 4096)): "That is one click.",
        ("f", (448, 4096)): "The heads stay separate: each has its own channels.",
        ("f", (3584, 4096)): "The heads stay separate: each has its own channels.",
        ("g", 229_376): "Those are numbers. A float32 takes four bytes.",
        ("g", 114_688): "Each head has its own weights.",
        ("h", 256): "Those are numbers. A float32 takes four bytes.",
        ("h", 512): "A float32 takes four bytes; a float16 takes two.",
    }
    otherwise = {
        "a": "A row per token and head, as wide as an image token.",
        "b": "Image tokens times the input width, times the output width.",
        "c": "Rows, as in a, times image tokens, times their width.",
        "d": "Compare the products of b and c: rows against 128.",
        "e": "Three masks of 256 x 256, one number per pixel.",
        "f": "The axes are (heads, all tokens of all clicks, image tokens).",
        "g": "A weight per head, token and image token; four bytes each.",
        "h": "256 channels, four bytes each.",
    }
    return hints.get((key, cost), otherwise[key])


def _judge_costs(answer: Any) -> None:
    judge_row(answer, _QUESTIONS, _costs, _cost_hint)


# --- 2: write step (2) folded ---

_READ_MISTAKES = {
    "no scale": "The scale is missing: scores are divided by the root of one head's width.",
    "wrong scale": "The scale is the root of one head's width, not of all heads together.",
    "scale of dim": "The scale is the root of one head's width; folding makes rows wider, but not the scale.",
    "encodings not scaled": "The second part of the scores, queries times encodings, is scaled as well.",
    "no encodings": "The positional encodings are missing: their part of the scores is queries times encodings.",
    "no value bias": "The values' bias is missing. Weights sum to 1, so it is added once, after the weighted sum.",
    "value bias per head": "The values' bias was added once per head. Each head has its own 1 / heads of the channels.",
    "value bias late": "The values' bias comes before the output projection.",
    "softmax over tokens": "The softmax runs over the image tokens: the weights of each token over them sum to 1.",
    "softmax over heads": "The softmax runs over the image tokens, in each head separately.",
    "heads interleaved": "The weights were cut into heads in the wrong order: a head is a group of neighbouring rows.",
    "keys' weights": "The values were computed with k_proj. Use v_proj.",
    "values' weights": "The scores were computed with v_proj. Use k_proj.",
}


def _read_variant(attention: Attention, q: Tensor, keys: Tensor, encodings: Tensor, mistake: str) -> Tensor:
    """Step (2), folded, with one of the usual mistakes."""
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads

    def cut(weight: Tensor) -> Tensor:
        if mistake == "heads interleaved":
            return weight.unflatten(0, (-1, heads)).transpose(0, 1)
        return weight.unflatten(0, (heads, -1))

    k_weight, v_weight = cut(attention.k_proj.weight), cut(attention.v_proj.weight)
    k_weight = v_weight if mistake == "values' weights" else k_weight
    v_weight = cut(attention.k_proj.weight) if mistake == "keys' weights" else v_weight
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
    scale_width = {"no scale": 1, "wrong scale": attention.internal_dim, "scale of dim": keys.shape[2]}.get(
        mistake, width
    )
    scores = queries @ k_weight @ keys[0].T / math.sqrt(scale_width)
    if mistake != "no encodings":
        scores = scores + queries @ encodings / (1.0 if mistake == "encodings not scaled" else math.sqrt(scale_width))
    axis = {"softmax over tokens": 2, "softmax over heads": 1}.get(mistake, 3)
    values = (torch.softmax(scores, axis) @ keys[0] @ v_weight.mT).transpose(1, 2).flatten(2)
    count = {"no value bias": 0, "value bias late": 0, "value bias per head": heads}.get(mistake, 1)
    values = values + count * attention.v_proj.bias
    late_bias = attention.v_proj.bias.sum() if mistake == "value bias late" else 0.0
    return attention.out_proj(values) + late_bias


class ReadInputs(NamedTuple):
    """The inputs of step (2): `keys` are the image tokens of one image, `encodings` their projected encodings."""

    attention: Attention
    q: Tensor
    keys: Tensor
    encodings: Tensor


def _read_inputs(sets: int, tokens: int, height: int, seed: int, heads: int = 2) -> ReadInputs:
    """An attention with random weights, queries of some prompt sets, and one image."""
    attention = with_random_weights(lambda: Attention(32, heads, downsample_rate=2), seed)
    pe = random(seed + 3, 1, height * 12, 32)
    encodings = (pe @ attention.k_proj.weight.T).unflatten(2, (heads, -1)).transpose(1, 2).mT
    return ReadInputs(attention, random(seed + 1, sets, tokens, 32), random(seed + 2, 1, height * 12, 32), encodings)


def _judge_read(answer: Any) -> None:
    if not callable(answer):
        raise WrongAnswer(f"expected a function, got {type(answer).__name__}.")
    hint = (
        "Its arguments are the attention, q (sets, tokens, dim), keys (1, image tokens, dim) and encodings (1, heads,"
        " head_dim, image tokens)."
    )
    cases = [
        _read_inputs(2, 3, 8, 0),
        _read_inputs(3, 2, 5, 10),
        _read_inputs(1, 1, 2, 20),
        _read_inputs(2, 3, 4, 30, heads=4),
    ]
    with torch.no_grad():
        for inputs in cases:  # shapes first
            copies = [x.clone() for x in inputs[1:]]
            result = result_of(answer, inputs.attention, *copies, hint=hint)
            check_tensor_shape("read", result, solutions.read(*inputs), "sets, tokens, dim", _read_shape_hint)
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs[1:], strict=True)):
                raise WrongAnswer("the inputs were changed in place: make new tensors; the next click needs the image.")
        for inputs in cases:
            value_hint = recogniser(
                _READ_MISTAKES,
                partial(_read_variant, *inputs),
                "It is none of the usual mistakes. Compare the scores, the weighted sums and the values with those of"
                " the attention without folding, head by head.",
            )
            check_values("read", result_of(answer, *inputs, hint=hint), solutions.read(*inputs), value_hint)
        large = cases[0]._replace(q=100 * cases[0].q)
        if not same(result_of(answer, *large), solutions.read(*large)):
            raise WrongAnswer("with large scores the values differ: use torch.softmax, and clamp nothing.")
        yours, enough = _per_image_token(answer), _per_image_token(solutions.read)
    if yours > 1.2 * enough:
        raise WrongAnswer(
            f"the numbers are right, but it takes {yours:,.0f} operations per image token; {enough:,.0f} are enough."
            " Perhaps image tokens are still projected: apply W_k to the queries before their product with the image"
            " tokens, and W_v to the weighted sum after it."
        )


def _per_image_token(read: Any) -> float:
    """The operations that one more image token costs. What is done once per call does not count."""
    few, many = _read_inputs(2, 3, 8, 0), _read_inputs(2, 3, 16, 0)
    counts = [counted_flops(lambda inputs=inputs: result_of(read, *inputs)) for inputs in (few, many)]  # type: ignore[misc]
    return (counts[1] - counts[0]) / (many.keys.shape[1] - few.keys.shape[1])


def _read_shape_hint(result: Any) -> str:
    if result.ndim == 4:
        return "The heads are still separate: merge them, then apply the output projection."
    if result.shape[-1] == 16:
        return "The output projection is missing: it maps 128 channels back to 256 in SAM, 16 to 32 here."
    return "Print the shape after each line."


# --- 3: keep the best positions ---

_BEST_MISTAKES = {
    "nothing": "The scores were returned unchanged.",
    "zeros": "The other scores were set to 0, and exp(0) is 1: they still get weight. Minus infinity gives none.",
    "smallest": "The smallest were kept.",
    "all together": "The best were chosen among all rows together. Each token has its own in each head.",
    "over tokens": "The best were chosen along the wrong axis. The image tokens are the last axis.",
    "over heads": "The best were chosen along the wrong axis. The image tokens are the last axis.",
    "one less": "One too few is kept in each row.",
    "one more": "One too many is kept in each row.",
    "size": "The largest absolute values were kept, negative scores too. Keep the largest scores.",
    "weights": "These are weights. The softmax is applied after your function: return scores.",
    "best equal": "The best all have the same score now. Keep the score of each.",
}


def _best_variant(scores: Tensor, keep: int, mistake: str) -> Tensor:
    """The scores of the best positions, with one of the usual mistakes."""

    def chosen(values: Tensor, axis: int, count: int, largest: bool = True) -> Tensor:
        positions = values.topk(min(count, values.shape[axis]), dim=axis, largest=largest).indices
        return torch.zeros_like(values, dtype=torch.bool).scatter(axis, positions, True)

    axis = {"over tokens": 2, "over heads": 1}.get(mistake, 3)
    count = keep + {"one less": -1, "one more": 1}.get(mistake, 0)
    if mistake == "all together":
        flat = scores.flatten()
        best = chosen(flat, 0, keep).view_as(scores)
    else:
        best = chosen(scores.abs() if mistake == "size" else scores, axis, count, largest=mistake != "smallest")
    if mistake == "nothing":
        return scores
    if mistake == "best equal":
        return torch.zeros_like(scores).masked_fill(~best, -math.inf)
    if mistake == "weights":
        return torch.softmax(scores, -1) * best
    return scores.masked_fill(~best, 0.0 if mistake == "zeros" else -1e4)


def _best_weights(scores: Tensor, keep: int, mistake: str) -> Tensor:
    return _best_variant(scores, keep, mistake).softmax(-1)


def _judge_best(answer: Any) -> None:
    if not callable(answer):
        raise WrongAnswer(f"expected a function, got {type(answer).__name__}.")
    hint = "Its arguments are scores (prompt sets, heads, tokens, image tokens), and the number to keep in each row."
    cases = (
        (1, 3, 2.0, (2, 4, 5, 12)),
        (2, 1, 2.0, (2, 4, 5, 12)),
        (3, 6, 2.0, (1, 2, 3, 6)),
        (4, 2, 0.01, (1, 8, 1, 9)),
        (5, 4, 100.0, (3, 1, 2, 50)),
    )
    for seed, keep, size, shape in cases:
        scores = size * (random(seed, *shape) - seed)
        copy = scores.clone()
        result = result_of(answer, copy, keep, hint=hint)
        axes = "sets, heads, tokens, image tokens"
        result = check_tensor_shape("scores", result, scores, axes, lambda _: "The scores of all positions stay.")
        if not torch.equal(copy, scores):
            raise WrongAnswer("scores was changed in place. Return a new tensor.")
        value_hint = recogniser(
            _BEST_MISTAKES,
            partial(_best_weights, scores, keep),
            "It is none of the usual mistakes. Take a row of six scores and print the result.",
        )
        best = solutions.only_best(scores, keep)
        best = torch.where(best == -math.inf, best, rounded_like(scores, result))
        weights = result.to(scores.dtype).softmax(-1)
        check_values("weights after the softmax", weights, best.softmax(-1), value_hint)
        if (weights[best == -math.inf] > 0).any():
            raise WrongAnswer(
                "the other positions still get a little weight. It has to be exactly 0, however small the best scores"
                " are: minus infinity is below all others."
            )


costs = Exercise("10.1 predict the cost", _judge_costs, solutions.COSTS)
read = Exercise("10.2 write step (2), folded", _judge_read, solutions.read)
only_best = Exercise("10.3 keep the best positions", _judge_best, solutions.only_best)
