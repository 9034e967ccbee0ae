"""The exercises of notebook 05: predict shapes and numbers, write `TwoWayTransformer.forward`, cut the prompt off."""

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import attentions, random, small_decoder, twins
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_all_values,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    rounded_like,
    same,
)
from sam_edu.exercises.judging_modules import check_module
from sam_edu.exercises.judging_tables import judge_table
from sam_edu.exercises.solutions import two_way_transformer as solutions
from sam_edu.modules import Attention, TwoWayTransformer
from sam_edu.tracing import trace

# --- 1: predict shapes and numbers ---


class Situation(NamedTuple):
    """A transformer and its inputs. `height` and `width` are those of the grid."""

    description: str
    prompt_sets: int
    tokens: int
    depth: int
    height: int
    width: int


_SITUATIONS = {
    "a": Situation("one click, SAM's transformer", 1, 7, 2, 64, 64),
    "b": Situation("three boxes, one object each, SAM's transformer", 3, 7, 2, 64, 64),
    "c": Situation("two objects, three clicks each, depth 3, a grid of 32 x 48", 2, 9, 3, 32, 48),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_SHAPES = ("hs", "keys", "weights")
_NAMES = (*_SHAPES, "attentions", "parameters")
_BLOCK, _CROSS, _NORM = 1_579_520, 131_712, 512


def _judge_numbers(answer: Any) -> None:
    judge_table(answer, _DESCRIPTIONS, _NAMES, _true_numbers, _entry_hint)


@cache
def _true_numbers(case: str) -> dict[str, Any]:
    """The numbers of the verified module. On the meta device: shapes without values."""
    _, batch, tokens, depth, height, width = _SITUATIONS[case]
    with torch.device("meta"):
        module = TwoWayTransformer(depth=depth, embedding_dim=256, num_heads=8, mlp_dim=2048)
        image, points = torch.empty(batch, 256, height, width), torch.empty(batch, tokens, 256)
        with trace(module) as t:
            hs, keys = module(image, image, points)
    return {
        "hs": tuple(hs.shape),
        "keys": tuple(keys.shape),
        "weights": tuple(t["final_attn_token_to_image.weights"].shape),
        "attentions": sum(isinstance(part, Attention) for part in module.modules()),
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def _entry_hint(case: str, name: str, entry: Any, targets: Mapping[str, Any]) -> str:
    return (_shape_hint if name in _SHAPES else _number_hint)(case, name, entry, targets[name])


def _shape_hint(case: str, name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> str:
    _, batch, tokens, _, height, width = _SITUATIONS[case]
    if name != "weights" and len(shape) == 4:
        return "The positions stay a sequence here. Only the mask decoder folds them back into a grid, for step (5)."
    if len(shape) != len(target):
        if shape == target[1:]:
            return "The first axis is missing: the prompt sets."
        return (
            "There are four axes: prompt sets, heads, queries, keys." if name == "weights" else "There are three axes."
        )
    if shape[0] != batch and shape[1:] == target[1:]:
        return "How many prompt sets are there? Each selects one object, and each has its own copy of the image tokens."
    if name == "weights" and (shape[2], shape[3]) == (target[3], target[2]):
        return "Rows are queries, columns are keys. In (6-1) the tokens are the queries."
    if name == "weights" and (shape[2], shape[3]) == (tokens, tokens):
        return "In (6-1) the tokens read the image tokens, not each other."
    if name == "hs" and shape[1] == target[1] - (tokens - 5):
        return "All tokens go through the transformer, also the prompt's; they are dropped after it."
    if (name == "hs" and shape[1] == height * width) or (name == "keys" and shape[1] == tokens):
        return "hs are the tokens, keys the image tokens: these are exchanged."
    if any(a != b and b == tokens and abs(a - b) <= 2 for a, b in zip(shape, target, strict=True)):
        return "Count the tokens again: five, one per click, two per box, and where there is no box one for padding."
    if any(a == 64 * 64 and b == height * width != a for a, b in zip(shape, target, strict=True)):
        return "The grid is another one here: it has height times width positions."
    return "Name each axis: is it prompt sets, heads, tokens, positions or channels?"


def _number_hint(case: str, name: str, number: int, target: int) -> str:
    _, batch, _, depth, _, _ = _SITUATIONS[case]
    if name == "attentions":
        if number == 3 * depth:
            return "The final attention (6-1) is one more."
        if number == 7:
            return "There is one more block: depth is 3."
        return "Three in each block, (1), (2) and (4); and the final attention."
    if batch > 1 and number == batch * target:
        return "The same parameters serve all prompt sets."
    if target - number == _NORM:
        return "The LayerNorm after the final attention has parameters too."
    if target - number in (_CROSS, _CROSS + _NORM):
        return "The final attention has its own parameters."
    if depth == 3 and target - number == _BLOCK:
        return "Depth is 3: there is one more block."
    return "Depth times a block, and then the final cross-attention and its LayerNorm."


# --- 2: write TwoWayTransformer.forward ---


class Case(NamedTuple):
    """The sizes of a transformer and of its inputs. `height` and `width` are those of the grid."""

    embedding_dim: int
    num_heads: int
    depth: int
    batch: int
    tokens: int
    height: int
    width: int


class Inputs(NamedTuple):
    """The inputs of a two-way transformer."""

    image: Tensor
    image_pe: Tensor
    points: Tensor


Outputs = tuple[Tensor, Tensor]

# The second has as many tokens as positions and channels, so that a mistake may keep every shape.
_CASES = (Case(16, 2, 2, 2, 5, 3, 4), Case(8, 2, 3, 1, 8, 2, 4))

_MISTAKES = {
    "reshaped": "The image was reshaped: channels and positions mix. Use flatten(2), then transpose(1, 2).",
    "positions column by column": "The positions are in another order: flatten(2) puts them row by row.",
    "current tokens as encodings": "In every block query_pe is the transformer's input tokens, not the current ones.",
    "no encodings of the tokens": "query_pe has no encodings: it is the transformer's input tokens, in every block.",
    "no encodings of the positions": "key_pe has no encodings: it is image_pe, flattened, in every block.",
    "encodings kept in the image": "The encodings were added to the image tokens themselves: pass them as key_pe.",
    "image not passed on": "The image tokens are not passed on: a block returns both streams, the next needs both.",
    "tokens not passed on": "The tokens are not passed on: a block returns both streams, the next needs both.",
    "first block alone": "Only the first block was run.",
    "first block again": "The first block was run several times: each block has its own weights.",
    "blocks backwards": "The blocks run in the wrong order: layers[0] first.",
    "no final attention": "The final attention (6-1) is missing: after the blocks comes final_attn_token_to_image.",
    "no last norm": "The LayerNorm after the final attention is missing: norm_final_attn.",
    "no last residual": "In (6-1) too, the attention's output is added to the tokens, before the norm.",
    "norm before the sum": "The norm comes after the sum: norm_final_attn(queries + the attention's output).",
    "final attention without the tokens' encodings": "In (6-1) too, the tokens' encodings are added to the queries.",
    "final attention without the positions' encodings": "In (6-1) too, the positions' encodings are added to the keys.",
    "encodings in the last values": "In (6-1) the values contain encodings; add them only to queries and keys.",
    "final attention to the first image": "The final attention reads the image tokens after the blocks, not the input.",
    "encodings in the returned image tokens": "The image tokens have their encodings: return them without.",
    "first image returned": "The transformer's input is returned: return the image tokens after the blocks.",
}
_OTHERWISE = "It is none of the usual mistakes. Print the shapes line by line, and compare your lines with the diagram."


def _variant(m: TwoWayTransformer, image: Tensor, image_pe: Tensor, points: Tensor, mistake: str = "") -> Outputs:
    """`TwoWayTransformer.forward` with one of the usual mistakes."""

    def flattened(x: Tensor) -> Tensor:
        if mistake == "reshaped":
            return x.reshape(x.shape[0], -1, x.shape[1])
        return (x.transpose(2, 3) if mistake == "positions column by column" else x).flatten(2).transpose(1, 2)

    first, key_pe, queries = flattened(image), flattened(image_pe), points
    keys = first + key_pe if mistake == "encodings kept in the image" else first
    layers = list(m.layers)
    if mistake in ("first block alone", "first block again"):
        layers = layers[:1] * (1 if mistake.endswith("alone") else len(layers))
    for layer in reversed(layers) if mistake == "blocks backwards" else layers:
        query_pe = queries if mistake == "current tokens as encodings" else points
        new_queries, new_keys = layer(
            queries,
            keys,
            0 * points if mistake == "no encodings of the tokens" else query_pe,
            0 * key_pe if mistake in ("no encodings of the positions", "encodings kept in the image") else key_pe,
        )
        queries = queries if mistake == "tokens not passed on" else new_queries
        keys = keys if mistake == "image not passed on" else new_keys
    if mistake in ("tokens not passed on", "image not passed on"):
        queries, keys = new_queries, new_keys
    q = queries if mistake == "final attention without the tokens' encodings" else queries + points
    source = first if mistake == "final attention to the first image" else keys
    k = source if mistake == "final attention without the positions' encodings" else source + key_pe
    attended = m.final_attn_token_to_image(q=q, k=k, v=k if mistake == "encodings in the last values" else source)
    hs = {
        "no final attention": m.norm_final_attn(queries),
        "no last norm": queries + attended,
        "no last residual": m.norm_final_attn(attended),
        "norm before the sum": queries + m.norm_final_attn(attended),
    }.get(mistake, m.norm_final_attn(queries + attended))
    returned = {"encodings in the returned image tokens": keys + key_pe, "first image returned": first}
    return hs, returned.get(mistake, keys)


def _pair(answer: Any, case: Case) -> tuple[TwoWayTransformer, Any, Inputs]:
    """The verified module with random weights, the learner's with the same weights, and different random inputs."""
    dim, heads, depth, batch, tokens, height, width = case
    sizes = {"depth": depth, "embedding_dim": dim, "num_heads": heads, "mlp_dim": 2 * dim}
    module, yours = twins(
        TwoWayTransformer,
        answer,
        lambda kind: kind(**sizes),
        sum(case),
        call="It is called like this: YourTransformer(depth=2, embedding_dim=16, num_heads=2, mlp_dim=32).",
        keep="layers, final_attn_token_to_image and norm_final_attn as they are",
    )
    image = random(1, batch, dim, height, width)
    image_pe = random(2, 1, dim, height, width)  # one for all prompt sets
    return module, yours, Inputs(image, image_pe, random(3, batch, tokens, dim))


def _judge_forward(answer: Any) -> None:
    for case in _CASES:  # shapes first, of all cases
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            copies = tuple(x.clone() for x in inputs)
            results = result_of(yours, *copies, hint="image_pe has batch 1, the others one entry per prompt set.")
            _check_outputs(results, module(*inputs))
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs, strict=True)):
                raise WrongAnswer("the inputs were changed in place: make new tensors; the encodings are needed again.")
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            hint = recogniser(_MISTAKES, partial(_variant, module, *inputs), _OTHERWISE)
            results = _two(result_of(yours, *(x.clone() for x in inputs)))
            check_all_values(("tokens", "image tokens"), results, module(*inputs), hint)
    _judge_forward_invariants(answer)
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        check_module(module, yours, inputs._asdict(), ["tokens", "image tokens"])


def _check_outputs(results: Any, targets: Outputs) -> None:
    """Check that a result is two tensors of the right shapes."""
    (hs, keys), (target_hs, target_keys) = _two(results), targets
    tensors = isinstance(hs, Tensor) and isinstance(keys, Tensor)
    if tensors and (hs.shape, keys.shape) == (target_keys.shape, target_hs.shape) and hs.shape != keys.shape:
        raise WrongAnswer("the two results are exchanged: return first the tokens, then the image tokens.")
    check_tensor_shape("tokens", hs, target_hs, "batch, tokens, dim", lambda x: "")

    def hint(x: Any) -> str:
        if x.ndim == 4:
            return "Leave the positions flattened: the mask decoder folds them back."
        return "The channels are the last axis: use transpose(1, 2)." if x.shape == target_keys.mT.shape else ""

    check_tensor_shape("image tokens", keys, target_keys, "batch, image tokens, dim", hint)


def _two(results: Any) -> tuple[Any, Any]:
    """A result, if it is two."""
    if not isinstance(results, tuple | list) or len(results) != 2:
        raise WrongAnswer("expected two tensors: the tokens, and the image tokens.")
    return results[0], results[1]


def _judge_forward_invariants(answer: Any) -> None:
    module, yours, (image, image_pe, points) = _pair(answer, _CASES[0])
    with torch.no_grad():
        hs, keys = module(image, image_pe, points)
        alone = _two(result_of(yours, image[:1], image_pe, points[:1]))
        if not (same(alone[0], hs[:1]) and same(alone[1], keys[:1])):
            raise WrongAnswer("a prompt set alone must get the same outputs as in a batch.")
        order = torch.randperm(image[0, 0].numel(), generator=torch.Generator().manual_seed(0))
        shuffled = (x.flatten(2)[:, :, order].unflatten(2, image.shape[2:]) for x in (image, image_pe))
        results = _two(result_of(yours, *shuffled, points))
        if not (same(results[0], hs) and same(results[1], keys[:, order])):
            raise WrongAnswer("positions and their encodings in another order must give the same tokens.")
        more_points = torch.cat([points, points], dim=1)
        results = _two(result_of(yours, image, image_pe, more_points))
        if not same(results[0], module(image, image_pe, more_points)[0]):
            raise WrongAnswer("with more tokens the values are wrong: nothing may depend on their number.")


# --- 3: cut the prompt off ---

_OUTPUT_TOKENS, _IMAGE_TOKENS = 5, 4096


def _with_columns(scores: Tensor, value: Callable[[Tensor], Tensor], chosen: slice) -> Tensor:
    """The scores, with the chosen columns replaced by a function of them."""
    new = scores.clone()
    new[..., chosen] = value(new[..., chosen])
    return new


def _minus_infinity(x: Tensor) -> Tensor:
    return torch.full_like(x, -math.inf)


_SAME_SHAPE = (
    "A replacement keeps the shape of the tensor that it replaces: set the scores of a column, do not remove it."
)
_PROMPT, _OUTPUT = slice(_OUTPUT_TOKENS, None), slice(0, _OUTPUT_TOKENS)
_ATTENTIONS = {
    "tokens": ("self_attn", "image_to_token"),
    "(1)": ("self_attn",),
    "(4)": ("image_to_token",),
    "all": ("",),
    "positions": ("token_to_image",),
}


class Cut(NamedTuple):
    """A usual mistake: in which attentions which columns get which value, and the hint for it."""

    where: str
    value: Callable[[Tensor], Tensor]
    columns: slice
    hint: str


_CUTS = (
    Cut("positions", lambda x: x, _PROMPT, "Nothing is cut: the scores were returned unchanged."),
    Cut(
        "tokens",
        torch.zeros_like,
        _PROMPT,
        "A score of 0 is not a weight of 0, since exp(0) = 1. A score of minus infinity gives a weight of 0.",
    ),
    Cut(
        "all",
        torch.zeros_like,
        _PROMPT,
        "A score of 0 is not a weight of 0, since exp(0) = 1. A score of minus infinity gives a weight of 0.",
    ),
    Cut(
        "(1)",
        _minus_infinity,
        _PROMPT,
        "The image tokens still read the prompt in step (4), and the output tokens read the image tokens.",
    ),
    Cut("(4)", _minus_infinity, _PROMPT, "The output tokens still read the prompt's tokens directly, in step (1)."),
    Cut(
        "all",
        _minus_infinity,
        _PROMPT,
        "In (2) and (6-1) the keys are image tokens: from column 5 on the image was cut off.",
    ),
    Cut(
        "positions",
        _minus_infinity,
        _PROMPT,
        "The keys of (2) and (6-1) are image tokens. Tokens are the keys in (1) and (4).",
    ),
    Cut("tokens", _minus_infinity, _OUTPUT, "These are the five output tokens: the prompt's come after them."),
    Cut(
        "tokens",
        _minus_infinity,
        slice(5, 6),
        "Only the first of the prompt's tokens is cut: cut column 5 and all columns after it.",
    ),
    Cut(
        "tokens",
        _minus_infinity,
        slice(6, None),
        "Count from 0: IoU token, four mask tokens; column 5 is the prompt's.",
    ),
    Cut("tokens", _minus_infinity, slice(4, None), "Column 4 is mask 3: the prompt's tokens begin at column 5."),
    Cut(
        "tokens",
        _minus_infinity,
        slice(-1, None),
        "Only the last column is cut: all from column 5 on are the prompt's.",
    ),
)


def _judge_cut(answer: Any) -> None:
    """Judge with SAM's number of image tokens, with one and several prompt sets, few and many prompt tokens."""
    names = list(attentions(small_decoder()[0]))
    for batch, tokens, size in ((1, 8, 1.0), (2, 12, 1.0), (1, 6, 100.0)):
        scores = {}
        for i, name in enumerate(names):
            queries = _IMAGE_TOKENS if name.endswith("image_to_token") else tokens
            keys = _IMAGE_TOKENS if name.endswith("token_to_image") else tokens
            scores[name] = size * (random(i, batch, 2, queries, keys) - 3)
        yours = {}
        for name in names:
            result = result_of(answer, name, scores[name].clone())
            axes = "batch, heads, queries, keys"
            yours[name] = check_tensor_shape("scores", result, scores[name], axes, lambda _: _SAME_SHAPE)
        weights = {name: result.to(scores[name].dtype).softmax(-1) for name, result in yours.items()}
        for name in names:
            target = solutions.cut(name, rounded_like(scores[name], yours[name]).clone()).softmax(-1)
            if not same(weights[name], target):
                hint = _cut_hint(scores, weights)
                check_values(f"{name}.weights", weights[name], target, lambda _, hint=hint: hint)  # type: ignore[misc]
            if (weights[name][target == 0] != 0).any():
                raise WrongAnswer(
                    "another prompt can still change the masks a little: the weights have to be exactly 0, however"
                    " small the other scores are. A score of minus infinity is below all others."
                )


def _cut_hint(scores: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """The hint for wrong weights, by the attentions' names, from the scores before the change."""
    for where, value, columns, hint in _CUTS:
        mistake = {
            name: (_with_columns(x, value, columns) if name.endswith(_ATTENTIONS[where]) else x).softmax(-1)
            for name, x in scores.items()
        }
        if all(_equal(weights[name], mistake[name]) for name in scores):
            return hint
    if any(not torch.isfinite(x).all() for x in weights.values()):
        return "Some rows have no key left. Rows are queries, columns are keys: cut columns, and only the prompt's."
    first = weights["transformer.layers.0.self_attn"]
    if (first.sum(-1) - 1).abs().max() > 1e-3 or float(first[..., _PROMPT].max()) > 0:
        return "In step (1) the columns of the prompt's tokens, from 5 on, must get the weight 0, in every row."
    return "Take the seven attentions one by one: are the keys tokens or image tokens?"


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal up to rounding, with NaN at the same positions."""
    return bool(torch.equal(a.isnan(), b.isnan())) and same(a.nan_to_num(), b.nan_to_num())


numbers = Exercise("05.1 predict shapes and numbers", _judge_numbers, solutions.NUMBERS)
forward = Exercise("05.2 write TwoWayTransformer.forward", _judge_forward, solutions.Solution)
cut = Exercise("05.3 cut the prompt off", _judge_cut, solutions.cut)
