"""The exercises of notebook 10: predict the cost, write step (2) folded, look at fewer places."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sam_edu.exercises.exercise import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
)
from sam_edu.exercises.make_it_fast_solutions import COSTS
from sam_edu.exercises.make_it_fast_solutions import only_best as _only_best
from sam_edu.exercises.make_it_fast_solutions import read as _read
from sam_edu.exercises.table import judge_row
from sam_edu.exercises.trials import random, with_random_weights
from sam_edu.flops import counted_flops
from sam_edu.modules import Attention

# --- 1: predict the cost ---

_QUESTIONS = {
    "a": "the folded queries of one click, all heads below each other",
    "b": "multiplications to project the image tokens to keys",
    "c": "multiplications of the folded queries with the image tokens",
    "d": "tokens from which on folding is no longer cheaper",
    "e": "numbers that have to be put in their places, product first",
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
    told = {
        ("a", (7, 256)): "Each head has weights of its own, so each folds a row of its own per token.",
        ("a", (56, 128)): "Folded through the weights, a query is as wide as an image token.",
        ("a", (56, 16)): "That is before folding. After it a query is as wide as an image token.",
        ("a", (256, 56)): "A row per token and head; columns are channels.",
        ("a", (8, 7, 256)): "All heads below each other make two axes.",
        (
            "b",
            268_435_456,
        ): "Twice too many. Keys are 128 wide, not 256; and only multiplications count, not additions.",
        ("b", 4096 * 256 * 16): "That is one head. All heads together are 128 wide.",
        ("c", 117_440_512): "That counts the additions too. Here a multiplication is one.",
        ("c", 7 * 4096 * 256): "There is a row per token and per head.",
        ("c", 7 * 4096 * 128): "Those are the queries and keys of the plain way. Folded rows are 256 wide.",
        ("d", 128): "That is rows. A token makes a row in each head.",
        ("d", 11): "That is prompt tokens. The five output tokens ask too.",
        ("d", 17): "At 16 tokens both cost the same: it is no longer cheaper.",
        ("d", 32): "One head of these attentions is 16 wide; the rows of 8 heads have to stay below 128.",
        ("e", 262_144): "That is four masks. Here three are wanted.",
        ("e", 2_097_152): "Those are 32 channels, moved before the product.",
        ("e", 6_291_456): "After the product no channels are left: one number per mask and pixel.",
        ("e", 65_536): "That is one mask.",
        (
            "f",
            (64, 8, 7, 4096),
        ): "That is the usual layout. Side by side, the tokens of all sets are rows of one product.",
        ("f", (8, 7, 4096)): "That is one click.",
        ("f", (448, 4096)): "Heads stay apart: in each, other channels meet.",
        ("f", (3584, 4096)): "Heads stay apart: in each, other channels meet.",
        ("g", 229_376): "Those are numbers. A float32 takes four bytes.",
        ("g", 114_688): "Every head has weights of its own.",
        ("h", 256): "Those are numbers. A float32 takes four bytes.",
        ("h", 512): "A float32 takes four bytes; two are a half's.",
    }
    otherwise = {
        "a": "A row per token and head, as wide as an image token.",
        "b": "Image tokens times the width that goes in, times the width that comes out.",
        "c": "Rows, as in a, times image tokens, times their width.",
        "d": "Compare the products of b and c: rows against 128.",
        "e": "Three masks of 256 x 256, one number per pixel.",
        "f": "(heads, all tokens of all clicks, image tokens).",
        "g": "A weight per head, token and image token; four bytes each.",
        "h": "256 channels, four bytes each.",
    }
    return told.get((key, cost), otherwise[key])


def _judge_costs(answer: Any) -> None:
    judge_row(answer, _QUESTIONS, _costs, _cost_hint)


# --- 2: write step (2) folded ---

_READ_MISTAKES = {
    "no scale": "The scale is missing: scores are divided by the root of one head's width.",
    "wrong scale": "The scale is the root of one head's width, not of all heads together.",
    "scale of dim": "The scale is the root of one head's width; folding makes rows wider, but not the scale.",
    "code not scaled": "The second part of the scores, queries times code, is scaled as well.",
    "no code": "The positional codes are missing: their part of the scores is queries times code.",
    "no value bias": "The values' bias is missing. A query's weights sum to 1, so it is added once, after gathering.",
    "value bias per head": "The values' bias was added once per head. Each head has its own 1 / heads of the channels.",
    "value bias late": "The values' bias comes before the output projection.",
    "softmax over tokens": "The softmax runs over the image tokens: each token shares itself out over them.",
    "softmax over heads": "The softmax runs over the image tokens, in each head on its own.",
    "heads interleaved": "The weights were cut into heads in the wrong order: a head is a group of neighbouring rows.",
    "keys' weights": "The values were made with k_proj. They have v_proj.",
    "values' weights": "The scores were made with v_proj. They have k_proj.",
}


def _read_variant(attention: Attention, q: Tensor, keys: Tensor, code: Tensor, mistake: str) -> Tensor:
    """Step (2), folded, with one of the usual mistakes."""
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads

    def cut(weight: Tensor) -> Tensor:
        if mistake == "heads interleaved":
            return weight.unflatten(0, (-1, heads)).transpose(0, 1)
        return weight.unflatten(0, (heads, -1))

    k_weight, v_weight = cut(attention.k_proj.weight), cut(attention.v_proj.weight)
    k_weight = v_weight if mistake == "values' weights" else k_weight
    v_weight = cut(attention.k_proj.weight) if mistake == "keys' weights" else v_weight
    few = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
    size = {"no scale": 1, "wrong scale": attention.internal_dim, "scale of dim": keys.shape[2]}.get(mistake, width)
    scores = few @ k_weight @ keys[0].T / math.sqrt(size)
    if mistake != "no code":
        scores = scores + few @ code / (1.0 if mistake == "code not scaled" else math.sqrt(size))
    axis = {"softmax over tokens": 2, "softmax over heads": 1}.get(mistake, 3)
    values = (torch.softmax(scores, axis) @ keys[0] @ v_weight.mT).transpose(1, 2).flatten(2)
    times = {"no value bias": 0, "value bias late": 0, "value bias per head": heads}.get(mistake, 1)
    values = values + times * attention.v_proj.bias
    late = attention.v_proj.bias.sum() if mistake == "value bias late" else 0.0
    return attention.out_proj(values) + late


def _read_trial(sets: int, tokens: int, height: int, seed: int) -> tuple[Attention, Tensor, Tensor, Tensor]:
    """An attention with random weights; queries of some prompt sets; image tokens and codes of one image."""
    attention = with_random_weights(lambda: Attention(32, 2, downsample_rate=2), seed)
    pe = random(seed + 3, 1, height * 12, 32)
    code = (pe @ attention.k_proj.weight.T).unflatten(2, (2, -1)).transpose(1, 2).mT
    return attention, random(seed + 1, sets, tokens, 32), random(seed + 2, 1, height * 12, 32), code


def _judge_read(answer: Any) -> None:
    if not callable(answer):
        raise WrongAnswer(f"expected a function, got {type(answer).__name__}.")
    hint = "It gets the attention, q (sets, tokens, dim), keys (1, pixels, dim) and code (1, heads, head_dim, pixels)."
    trials = [_read_trial(2, 3, 8, 0), _read_trial(3, 2, 5, 10), _read_trial(1, 1, 2, 20)]
    with torch.no_grad():
        for trial in trials:  # shapes first
            came = result_of(answer, *trial, hint=hint)
            check_tensor_shape("read", came, _read(*trial), "sets, tokens, dim", _read_shape)
        for trial in trials:
            want = recogniser(
                _READ_MISTAKES,
                partial(_read_variant, *trial),
                "It is none of the usual mistakes. Compare scores, gathered and values with those of the plain way,"
                " head by head.",
            )
            check_values("read", result_of(answer, *trial, hint=hint), _read(*trial), want)
        attention, q, keys, code = trials[0]
        yours = counted_flops(lambda: result_of(answer, attention, q, keys, code))
        allowed = counted_flops(lambda: _read(attention, q, keys, code))
    if yours > 1.2 * allowed:
        raise WrongAnswer(
            f"the numbers are right, but it takes {yours:,} operations where {allowed:,} would do. Perhaps image tokens"
            " are still projected: fold W_k onto the queries before they meet the image, and W_v onto what was"
            " gathered, after it."
        )


def _read_shape(came: Any) -> str:
    if came.ndim == 4:
        return "The heads are still apart: put them side by side again, and then through the output projection."
    if came.shape[-1] == 16:
        return "The output projection is missing: it leads from 128 back to 256 in SAM, from 16 to 32 here."
    return "Print the shape after each line."


# --- 3: look at fewer places ---

_BEST_MISTAKES = {
    "nothing": "The scores came back as they were.",
    "zeros": "The others were set to 0. The exponential of 0 is 1: they still get weight. Minus infinity gets none.",
    "smallest": "The smallest were kept.",
    "all together": "The best were chosen among all rows together. Each token of each head has its own.",
    "over tokens": "The best were chosen along the wrong axis. The last axis is the image tokens.",
    "over heads": "The best were chosen along the wrong axis. The last axis is the image tokens.",
    "one less": "One too few is kept in each row.",
    "one more": "One too many is kept in each row.",
    "size": "The largest in size were kept, negative ones too. The largest scores are wanted.",
    "weights": "These are weights already. The softmax comes afterwards: return scores.",
    "best equal": "The best all have the same score now. They keep their own.",
}


def _best_variant(scores: Tensor, keep: int, mistake: str) -> Tensor:
    def chosen(values: Tensor, axis: int, count: int, largest: bool = True) -> Tensor:
        places = values.topk(min(count, values.shape[axis]), dim=axis, largest=largest).indices
        return torch.zeros_like(values, dtype=torch.bool).scatter(axis, places, True)

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
    hint = "It gets scores (prompt sets, heads, tokens, image tokens), and how many of a row to keep."
    for seed, keep, shape in ((1, 3, (2, 4, 5, 12)), (2, 1, (2, 4, 5, 12)), (3, 6, (1, 2, 3, 6))):
        scores = 2 * random(seed, *shape)
        copy = scores.clone()
        came = result_of(answer, copy, keep, hint=hint)
        check_tensor_shape("scores", came, scores, "sets, heads, tokens, places", lambda _: "All places stay.")
        if not torch.equal(copy, scores):
            raise WrongAnswer("scores was written into. Return new ones.")
        told = recogniser(
            _BEST_MISTAKES,
            partial(_best_weights, scores, keep),
            "It is none of the usual mistakes. Take a row of six scores and print what comes out.",
        )
        check_values("weights after the softmax", came.softmax(-1), _only_best(scores, keep).softmax(-1), told)


costs = Exercise("10.1 predict the cost", _judge_costs, COSTS)
read = Exercise("10.2 write step (2), folded", _judge_read, _read)
only_best = Exercise("10.3 look at fewer places", _judge_best, _only_best)
