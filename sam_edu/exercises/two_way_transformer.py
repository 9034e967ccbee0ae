"""The exercises of notebook 05: predict shapes and numbers, write `TwoWayTransformer.forward`, cut the prompt off."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sam_edu.exercises.exercise import (
    Exercise,
    WrongAnswer,
    check_all_values,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.table import judge_table
from sam_edu.exercises.trials import attentions, random, small_decoder, twins
from sam_edu.exercises.two_way_transformer_solutions import NUMBERS, Solution
from sam_edu.exercises.two_way_transformer_solutions import cut as _cut
from sam_edu.modules import Attention, MaskDecoder, TwoWayTransformer
from sam_edu.tracing import intervene, trace

# --- 1: predict shapes and numbers ---

# Per situation: its words, prompt sets, tokens, depth, height and width of the grid.
_SITUATIONS: dict[str, tuple[str, int, int, int, int, int]] = {
    "a": ("one click, SAM's transformer", 1, 7, 2, 64, 64),
    "b": ("three boxes, one object each, SAM's transformer", 3, 7, 2, 64, 64),
    "c": ("two objects, three clicks each, depth 3, a grid of 32 x 48", 2, 9, 3, 32, 48),
}
_SHAPES = ("hs", "keys", "weights")
_NAMES = (*_SHAPES, "attentions", "parameters")
_BLOCK, _CROSS, _NORM = 1_579_520, 131_712, 512


def _judge_numbers(answer: Any) -> None:
    judge_table(answer, _SITUATIONS, _NAMES, _true_numbers, _hint)


def _true_numbers(case: str) -> dict[str, Any]:
    """What the verified module gives. On the meta device: shapes alone, no numbers."""
    _, batch, tokens, depth, height, width = _SITUATIONS[case]
    with torch.device("meta"):
        module = TwoWayTransformer(depth=depth, embedding_dim=256, num_heads=8, mlp_dim=2048)
        image, row = torch.empty(batch, 256, height, width), torch.empty(batch, tokens, 256)
        with trace(module) as t:
            hs, keys = module(image, image, row)
    return {
        "hs": tuple(hs.shape),
        "keys": tuple(keys.shape),
        "weights": tuple(t["final_attn_token_to_image.weights"].shape),
        "attentions": sum(isinstance(one, Attention) for one in module.modules()),
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def _hint(case: str, name: str, got: Any, true: Mapping[str, Any]) -> str:
    return (_shape_hint if name in _SHAPES else _number_hint)(case, name, got, true[name])


def _shape_hint(case: str, name: str, got: tuple[int, ...], right: tuple[int, ...]) -> str:
    _, batch, tokens, _, height, width = _SITUATIONS[case]
    if name != "weights" and len(got) == 4:
        return "The places stay a row here. Only the mask decoder folds them back into a picture, for step (5)."
    if len(got) != len(right):
        if got == right[1:]:
            return "The first axis is missing: the prompt sets."
        return (
            "There are four axes: prompt sets, heads, queries, keys." if name == "weights" else "There are three axes."
        )
    if got[0] != batch and got[1:] == right[1:]:
        return "How many prompt sets are there? Each selects one object, and each rewrites the image for itself."
    if name == "weights" and (got[2], got[3]) == (right[3], right[2]):
        return "Rows are queries, columns are keys. In (6-1) the tokens ask."
    if name == "weights" and (got[2], got[3]) == (tokens, tokens):
        return "In (6-1) the tokens read the image, not each other."
    if name == "hs" and got[1] == right[1] - (tokens - 5):
        return "All tokens go through the transformer, the prompt's as well; they are dropped after it."
    if (name == "hs" and got[1] == height * width) or (name == "keys" and got[1] == tokens):
        return "hs are the tokens, keys the image tokens: these are exchanged."
    if any(a != b and b == tokens and abs(a - b) <= 2 for a, b in zip(got, right, strict=True)):
        return "Count the tokens again: five, one per click, two per box, and where there is no box one for padding."
    if any(a == 64 * 64 and b == height * width != a for a, b in zip(got, right, strict=True)):
        return "The grid is another one here: as many places as height times width."
    return "Ask for each axis: which prompt set, which head, which token, which place, or which channel?"


def _number_hint(case: str, name: str, got: int, right: int) -> str:
    _, batch, _, depth, _, _ = _SITUATIONS[case]
    if name == "attentions":
        if got == 3 * depth:
            return "The last look (6-1) is one more."
        if got == 7:
            return "There is one block more: depth is 3."
        return "Three in each block, (1), (2) and (4); and the last look."
    if batch > 1 and got == batch * right:
        return "The same parameters serve all prompt sets."
    if right - got == _NORM:
        return "The LayerNorm after the last look has parameters too."
    if right - got in (_CROSS, _CROSS + _NORM):
        return "The last look has an attention of its own."
    if depth == 3 and right - got == _BLOCK:
        return "Depth is 3: there is one block more."
    return "Depth times a block, and then the last look: a cross-attention and a LayerNorm."


# --- 2: write TwoWayTransformer.forward ---

Case = tuple[int, int, int, int, int, int, int]
Inputs = tuple[Tensor, Tensor, Tensor]
Outputs = tuple[Tensor, Tensor]

# (embedding_dim, num_heads, depth, batch, tokens, height, width). The second has as many tokens as places and channels,
# so that a mistake may keep every shape.
_CASES = ((16, 2, 2, 2, 5, 3, 4), (8, 2, 3, 1, 8, 2, 4))

_MISTAKES = {
    "reshaped": "The picture was reshaped, not turned: channels and places mix. flatten(2), then transpose(1, 2).",
    "places column by column": "The places come in another order: height before width, as flatten(2) gives them.",
    "tokens as their own codes each time": "The tokens' codes are the tokens as they first came in, in every block; you"
    " passed what had become of them.",
    "no codes of the tokens": "query_pe got no codes: it is the tokens as they first came in, in each block.",
    "no codes of the places": "key_pe got no codes: it is image_pe, flattened, in each block.",
    "codes kept in the image": "The places' codes were added to the image tokens for good: they are passed as key_pe.",
    "image not handed on": "The image tokens are not handed on: a block returns both streams, the next needs both.",
    "tokens not handed on": "The tokens are not handed on: a block returns both streams, the next needs both.",
    "first block alone": "Only the first block was run.",
    "first block again": "The first block was run again and again: each has weights of its own.",
    "blocks backwards": "The blocks run in the wrong order: layers[0] first.",
    "no last look": "The last look (6-1) is missing: after the blocks, final_attn_token_to_image.",
    "no last norm": "The LayerNorm after the last look is missing: norm_final_attn.",
    "no last residual": "In (6-1) too, what was read is added to what was there, before the norm.",
    "norm before the sum": "The norm comes after the sum: norm_final_attn(queries + what was read).",
    "last look without the tokens' codes": "In (6-1) the tokens' codes are added to the queries once more.",
    "last look without the places' codes": "In (6-1) the places' codes are added to the keys once more.",
    "codes in the last values": "In (6-1) the values carry the places' codes; they go to queries and keys only.",
    "last look at the first image": "The last look reads the image tokens as they came, not as the blocks left them.",
    "codes in the image that is returned": "The image tokens come back with their codes: step (5) wants them without.",
    "first image returned": "The image tokens are returned as they came in: step (5) reads what the blocks have made.",
}
_OTHER = "It is none of the usual mistakes. Print the shapes line by line, and hold your lines against the diagram."


def _variant(m: TwoWayTransformer, image: Tensor, image_pe: Tensor, points: Tensor, mistake: str = "") -> Outputs:
    """The forward with one of the usual mistakes."""

    def row(x: Tensor) -> Tensor:
        if mistake == "reshaped":
            return x.reshape(x.shape[0], -1, x.shape[1])
        return (x.transpose(2, 3) if mistake == "places column by column" else x).flatten(2).transpose(1, 2)

    first, key_pe, queries = row(image), row(image_pe), points
    keys = first + key_pe if mistake == "codes kept in the image" else first
    layers = list(m.layers)
    if mistake in ("first block alone", "first block again"):
        layers = layers[:1] * (1 if mistake.endswith("alone") else len(layers))
    for layer in reversed(layers) if mistake == "blocks backwards" else layers:
        codes = queries if mistake == "tokens as their own codes each time" else points
        new_queries, new_keys = layer(
            queries,
            keys,
            0 * points if mistake == "no codes of the tokens" else codes,
            0 * key_pe if mistake in ("no codes of the places", "codes kept in the image") else key_pe,
        )
        queries = queries if mistake == "tokens not handed on" else new_queries
        keys = keys if mistake == "image not handed on" else new_keys
    if mistake in ("tokens not handed on", "image not handed on"):
        queries, keys = new_queries, new_keys
    q = queries if mistake == "last look without the tokens' codes" else queries + points
    seen = first if mistake == "last look at the first image" else keys
    k = seen if mistake == "last look without the places' codes" else seen + key_pe
    attended = m.final_attn_token_to_image(q=q, k=k, v=k if mistake == "codes in the last values" else seen)
    hs = {
        "no last look": m.norm_final_attn(queries),
        "no last norm": queries + attended,
        "no last residual": m.norm_final_attn(attended),
        "norm before the sum": queries + m.norm_final_attn(attended),
    }.get(mistake, m.norm_final_attn(queries + attended))
    returned = {"codes in the image that is returned": keys + key_pe, "first image returned": first}
    return hs, returned.get(mistake, keys)


def _pair(answer: Any, case: Case) -> tuple[TwoWayTransformer, Any, Inputs]:
    """The verified module with random weights, the learner's with the same, and inputs that all differ."""
    dim, heads, depth, batch, tokens, height, width = case
    sizes = {"depth": depth, "embedding_dim": dim, "num_heads": heads, "mlp_dim": 2 * dim}
    module, yours = twins(
        TwoWayTransformer,
        answer,
        lambda kind: kind(**sizes),
        sum(case),
        made="It is made like this: YourTransformer(depth=2, embedding_dim=16, num_heads=2, mlp_dim=32).",
        keep="layers, final_attn_token_to_image and norm_final_attn as they are",
    )
    image = random(1, batch, dim, height, width)
    image_pe = random(2, 1, dim, height, width)  # the same places for all prompt sets
    return module, yours, (image, image_pe, random(3, batch, tokens, dim))


def _judge_forward(answer: Any) -> None:
    for case in _CASES:  # shapes first, of all cases
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            copies = tuple(x.clone() for x in inputs)
            came = result_of(yours, *copies, hint="image_pe has batch 1, the others one row per prompt set.")
            _check_outputs(came, module(*inputs))
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs, strict=True)):
                raise WrongAnswer("the inputs were written into: the codes are needed again, so make new tensors.")
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        with torch.no_grad():
            looks = recogniser(_MISTAKES, partial(_variant, module, *inputs), _OTHER)
            check_all_values(("tokens", "image tokens"), yours(*inputs), module(*inputs), looks)
    _judge_forward_invariants(answer)


def _check_outputs(came: Any, right: Outputs) -> None:
    if not isinstance(came, tuple | list) or len(came) != 2:
        raise WrongAnswer("two tensors come out: the tokens, and the image tokens.")
    (hs, keys), (true_hs, true_keys) = came, right
    tensors = isinstance(hs, Tensor) and isinstance(keys, Tensor)
    if tensors and (hs.shape, keys.shape) == (true_keys.shape, true_hs.shape) and hs.shape != keys.shape:
        raise WrongAnswer("the two are returned the other way round: first the tokens, then the image tokens.")
    check_tensor_shape("tokens", hs, true_hs, "batch, tokens, dim", lambda x: "")

    def hint(x: Any) -> str:
        if x.ndim == 4:
            return "Leave the places in a row: the mask decoder folds them back."
        return "Channels last: turn them with transpose(1, 2)." if x.shape == true_keys.mT.shape else ""

    check_tensor_shape("image tokens", keys, true_keys, "batch, pixels, dim", hint)


def _judge_forward_invariants(answer: Any) -> None:
    module, yours, (image, image_pe, points) = _pair(answer, _CASES[0])
    with torch.no_grad():
        hs, keys = module(image, image_pe, points)
        alone = result_of(yours, image[:1], image_pe, points[:1])
        if not (same(alone[0], hs[:1]) and same(alone[1], keys[:1])):
            raise WrongAnswer("a prompt set alone must get the same outputs as in a batch.")
        order = torch.randperm(image[0, 0].numel(), generator=torch.Generator().manual_seed(0))
        shuffled = (x.flatten(2)[:, :, order].unflatten(2, image.shape[2:]) for x in (image, image_pe))
        came = result_of(yours, *shuffled, points)
        if not (same(came[0], hs) and same(came[1], keys[:, order])):
            raise WrongAnswer("places in another order, codes with them, must give the same tokens.")
        long = result_of(yours, image, image_pe, torch.cat([points, points], dim=1))
        if not same(long[0], module(image, image_pe, torch.cat([points, points], dim=1))[0]):
            raise WrongAnswer("with more tokens the values are wrong: nothing may depend on their number.")


# --- 3: cut the prompt off ---

_OUTPUT_TOKENS = 5


def _columns(scores: Tensor, value: Callable[[Tensor], Tensor], chosen: slice) -> Tensor:
    new = scores.clone()
    new[..., chosen] = value(new[..., chosen])
    return new


def _gone(x: Tensor) -> Tensor:
    return torch.full_like(x, -math.inf)


_KEEPS = "A replacement keeps the shape of what it replaces: a column is cut by its score, not taken out."
_PROMPT, _OUTPUT = slice(_OUTPUT_TOKENS, None), slice(0, _OUTPUT_TOKENS)
_READ = {
    "tokens": ("self_attn", "image_to_token"),
    "(1)": ("self_attn",),
    "(4)": ("image_to_token",),
    "all": ("",),
    "places": ("token_to_image",),
}

# What is done, in which attentions, to which columns; and what to say.
_CUTS: tuple[tuple[str, Callable[[Tensor], Tensor], slice, str], ...] = (
    ("places", lambda x: x, _PROMPT, "Nothing is cut: the scores came back as they were."),
    (
        "tokens",
        torch.zeros_like,
        _PROMPT,
        "A score of 0 is not a weight of 0: the softmax makes exp(0) = 1 of it. Minus infinity makes 0.",
    ),
    (
        "all",
        torch.zeros_like,
        _PROMPT,
        "A score of 0 is not a weight of 0: the softmax makes exp(0) = 1 of it. Minus infinity makes 0.",
    ),
    ("(1)", _gone, _PROMPT, "The image still hears the prompt, in step (4), and the tokens read the image."),
    ("(4)", _gone, _PROMPT, "The output tokens still read the prompt's tokens directly, in step (1)."),
    (
        "all",
        _gone,
        _PROMPT,
        "In (2) and (6-1) the keys are places, not tokens: from column 5 on the picture was cut away.",
    ),
    ("places", _gone, _PROMPT, "The keys of (2) and (6-1) are places. The tokens are read in (1) and (4)."),
    ("tokens", _gone, _OUTPUT, "These are the five output tokens: the prompt's come after them."),
    (
        "tokens",
        _gone,
        slice(5, 6),
        "Only the first of the prompt's tokens is cut: column 5 and all after it.",
    ),
    (
        "tokens",
        _gone,
        slice(6, None),
        "Count from 0: IoU token, four mask tokens; column 5 is the prompt's.",
    ),
    ("tokens", _gone, slice(4, None), "Column 4 is mask 3: the prompt's tokens begin at column 5."),
    ("tokens", _gone, slice(-1, None), "Only the last column is cut: all from column 5 on are the prompt's."),
)


def _judge_cut(answer: Any) -> None:
    decoder, inputs = small_decoder()
    found = attentions(decoder)
    for name in found:  # the shape, before anything is replaced
        columns = 12 if "token_to_image" in name else 8
        scores = random(0, 2, 4, 8, columns)
        came = result_of(answer, name, scores.clone())
        check_tensor_shape("scores", came, scores, "batch, heads, queries, keys", lambda _: _KEEPS)
    seen = _run(decoder, inputs, {name: partial(answer, name) for name in found})
    right = _run(decoder, inputs, {name: partial(_cut, name) for name in found})
    for name in found:
        yours, target = seen[f"{name}.weights"], right[f"{name}.weights"]
        hint = "" if same(yours, target) else _cut_hint(decoder, inputs, seen, right)
        check_values(f"{name}.weights", yours, target, lambda _, hint=hint: hint)  # type: ignore[misc]
    other = {**inputs, "sparse_prompt_embeddings": inputs["sparse_prompt_embeddings"].flip(0) * 2}
    again = _run(decoder, other, {name: partial(answer, name) for name in found})
    if not torch.equal(seen["masks"], again["masks"]):
        raise WrongAnswer("another prompt still changes the masks a little: the weights have to be exactly 0.")


def _run(decoder: MaskDecoder, inputs: Mapping[str, Any], changes: Mapping[str, Callable[[Tensor], Tensor]]) -> Any:
    with ExitStack() as stack, torch.no_grad():
        for name, change in changes.items():
            stack.enter_context(intervene(decoder, f"{name}.scores", change))
        seen = stack.enter_context(trace(decoder))
        decoder(**inputs)
    return seen


def _cut_hint(decoder: MaskDecoder, inputs: Mapping[str, Any], seen: Any, right: Any) -> str:
    """What wrong weights look like."""
    found = attentions(decoder)
    for where, value, columns, hint in _CUTS:
        changes = {
            name: partial(_columns, value=value, chosen=columns)
            for name in found
            if any(name.endswith(end) for end in _READ[where])
        }
        tried = _run(decoder, inputs, changes)
        if all(_alike(seen[f"{name}.weights"], tried[f"{name}.weights"]) for name in found):
            return hint
    if any(not torch.isfinite(seen[f"{name}.weights"]).all() for name in found):
        return "Some rows have no key left: rows ask, columns are read, so cut columns, and only the prompt's."
    first = seen["transformer.layers.0.self_attn.weights"]
    if (first.sum(-1) - 1).abs().max() > 1e-3 or float(first[..., _PROMPT].max()) > 0:
        return "In step (1) the columns of the prompt's tokens, from 5 on, have to get the weight 0, in every row."
    return "Take the seven attentions one by one: who is read there, tokens or places?"


def _alike(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding, with the same holes."""
    return bool(torch.equal(a.isnan(), b.isnan())) and same(a.nan_to_num(), b.nan_to_num())


numbers = Exercise("05.1 predict shapes and numbers", _judge_numbers, NUMBERS)
forward = Exercise("05.2 write TwoWayTransformer.forward", _judge_forward, Solution)
cut = Exercise("05.3 cut the prompt off", _judge_cut, _cut)
