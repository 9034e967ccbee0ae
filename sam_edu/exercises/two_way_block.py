"""The exercises of notebook 04: predict the number, write the block, add the encodings to the values."""

from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import random, twins, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_all_values,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
    to_tensor,
)
from sam_edu.exercises.judging_modules import check_module
from sam_edu.exercises.judging_tables import judge_row
from sam_edu.exercises.solutions import two_way_block as solutions
from sam_edu.modules import Attention, TwoWayAttentionBlock
from sam_edu.tracing import intervene, trace


class Inputs(NamedTuple):
    """The inputs of a two-way block."""

    queries: Tensor
    keys: Tensor
    query_pe: Tensor
    key_pe: Tensor


# --- 1: predict the number ---

_QUESTIONS = {
    "a": "changed rows of the tokens before the block",
    "b": "changed rows of the tokens after step (1)",
    "c": "changed rows of the image tokens after step (2)",
    "d": "changed rows of the image tokens after step (4)",
    "e": "changed rows of the image tokens after a block without step (4)",
    "f": "changed rows of the tokens after step (2), if step (1) left each token unchanged",
    "g": "parameters of step (4) and its norm",
    "h": "versions of the image tokens after block 0, for three prompt sets",
}


def _judge_numbers(answer: Any) -> None:
    judge_row(answer, _QUESTIONS, _true_numbers, _number_hint)


@cache
def _true_numbers() -> dict[str, int]:
    """The numbers, counted in a small block: one click of two is moved, and the rows that change are counted."""
    block = with_random_weights(lambda: TwoWayAttentionBlock(16, 2, 8, skip_first_layer_pe=True), 1)
    with torch.device("meta"):
        full_block = TwoWayAttentionBlock(256, 8, 2048)
    tokens, keys, key_pe = random(2, 1, 8, 16), random(3, 1, 4096, 16), random(4, 1, 4096, 16)
    moved = tokens.clone()
    moved[:, 6] = random(5, 1, 16)  # the second click: after five output tokens and the first click

    def changed_rows(before: Tensor, after: Tensor) -> int:
        return int((before != after).any(-1).sum())

    with torch.no_grad():
        traces = []
        for x in (tokens, moved):
            with trace(block) as t:
                block(x, keys, x, key_pe)
            traces.append(dict(t.items()))
        without_step_1 = []
        for x in (tokens, moved):
            with intervene(block, "queries_1", x), trace(block) as t:
                block(x, keys, x, key_pe)
            without_step_1.append(t["queries_2"])
        three = random(6, 3, 7, 16)
        _, versions = block(three, keys, three, key_pe)
    parameters = [
        p for name, p in full_block.named_parameters() if name.startswith(("cross_attn_image_to_token.", "norm4."))
    ]
    return {
        "a": changed_rows(tokens, moved),
        "b": changed_rows(traces[0]["queries_1"], traces[1]["queries_1"]),
        "c": changed_rows(keys, keys),
        "d": changed_rows(traces[0]["keys_4"], traces[1]["keys_4"]),
        "e": changed_rows(keys, keys),
        "f": changed_rows(*without_step_1),
        "g": sum(p.numel() for p in parameters),
        "h": len({tuple(version.flatten().tolist()) for version in versions}),
    }


def _number_hint(key: str, number: int) -> str:
    cross, norm = 131_712, 512
    if key == "a":
        return "Five tokens are parameters, and so is the padding. Each click has one row, and one click was moved."
    if key == "b":
        if number == 1:
            return "In step (1) every token reads all tokens, so all read the click that was moved."
        if number in (7, 9):
            return "Count the tokens again: five, two clicks, and one for padding."
        return "Which tokens read the click that was moved?"
    if key == "c":
        return "In step (2) the tokens read the image tokens. Does this change the image tokens?"
    if key == "d":
        if number in (0, 1):
            return "In step (4) each image token reads all tokens, and softmax never gives a weight of exactly zero."
        return "How many image tokens are there, and which of them read no token at all?"
    if key == "e":
        return "Which other step changes the image tokens?"
    if key == "f":
        if number == 8:
            return "In step (2) the tokens do not read each other. Each reads only the image tokens."
        return "Each token reads the same image tokens, and only one token has another query than before."
    if key == "g":
        if number == cross:
            return "The attention is right. Its norm counts too: a scale and a shift for each of the 256 channels."
        if number == cross + 256:
            return "A LayerNorm has a scale and a shift: two numbers for each channel."
        if number in (263_168, 263_168 + norm):
            return "The cross-attentions work at half the width: downsample_rate is 2."
        if number == 131_072 or number == 131_072 + norm:
            return "Four linear layers have biases too."
        return "Three projections from 256 to 128, one back, each with a bias; then a scale and a shift per channel."
    if number == 1:
        return "One image is the input for all. But in step (4) each prompt set has its own copy of the image tokens."
    return "Each prompt set is processed independently of the others."


# --- 2: write the block ---


class Case(NamedTuple):
    """The sizes of a block and of its inputs."""

    embedding_dim: int
    num_heads: int
    downsample_rate: int
    skip_first_layer_pe: bool
    batch: int
    tokens: int
    image_tokens: int


_CASES = (Case(24, 2, 2, False, 2, 3, 5), Case(24, 2, 2, True, 2, 3, 5), Case(12, 3, 1, False, 1, 4, 4))

_VALUES = "A positional encoding is in the values. Add encodings only to q and k, not to v: step {}."
_RESIDUAL = "A residual is missing: in step {} the input is added to the output of the layer, before the norm."
_MISTAKES = {
    "encodings in all values": _VALUES.format("(1), (2) and (4)"),
    "encoding in the values of (1)": _VALUES.format("(1)"),
    "encoding in the values of (2)": _VALUES.format("(2)"),
    "encoding in the values of (4)": _VALUES.format("(4)"),
    "encodings in the stream": "The encodings were added to the stream itself. Add them only to q and k.",
    "no encodings": "The positional encodings are missing: add query_pe and key_pe to the inputs of q and k.",
    "no query_pe": "query_pe is missing: wherever tokens are q or k, it is added.",
    "no key_pe": "key_pe is missing: wherever image tokens are q or k, it is added.",
    "no query_pe in (2)": "query_pe is missing in step (2): the encodings are added again in each attention, not once.",
    "no query_pe in (4)": "query_pe is missing in step (4): there the tokens are the keys.",
    "encoding of (1) in q alone": "In step (1) the encoding is added to q and to k: both are the tokens.",
    "residual kept": "With skip_first_layer_pe, step (1) has no residual either: its output replaces the tokens.",
    "encoding kept": "With skip_first_layer_pe, step (1) adds no encoding. Only the residual was left out.",
    "skip ignored": "skip_first_layer_pe was ignored: where it is set, step (1) has neither encoding nor residual.",
    "always skipped": "Step (1) skips encoding and residual only where skip_first_layer_pe is set; here it is not.",
    "no residual in (1)": _RESIDUAL.format("(1)"),
    "no residual in (2)": _RESIDUAL.format("(2)"),
    "no residual in (3)": _RESIDUAL.format("(3)"),
    "no residual in (4)": _RESIDUAL.format("(4)"),
    "no residuals": _RESIDUAL.format("(1) to (4)"),
    "pre-norm": "This is pre-norm. Here the norm comes last: norm(x + f(x)).",
    "norm inside": "The norm was applied only to f(x). It comes after the sum: norm(x + f(x)).",
    "no norms": "The norms are missing: each step ends with one.",
    "norm3 and norm4 exchanged": "norm3 and norm4 are exchanged: norm3 ends the MLP, norm4 ends step (4).",
    "no norm4": "norm4 is missing: the image tokens are normalised too.",
    "cross-attentions exchanged": "The two cross-attentions are exchanged: their weights have the same shapes, so there"
    " is no error. In step (2) it is cross_attn_token_to_image.",
    "(4) before (2)": "Step (4) came before step (2): the tokens read the image tokens before step (4) changes them.",
    "(4) before (3)": "Step (4) came before step (3): the image tokens read the tokens after their MLP.",
    "(4) reads the input tokens": "Step (4) read the block's input tokens. It reads those after step (3).",
    "(1) left out": "Step (1) is missing: self_attn and norm1.",
    "(2) left out": "Step (2) is missing: cross_attn_token_to_image and norm2.",
    "(3) left out": "Step (3) is missing: mlp and norm3.",
    "(4) left out": "Step (4) is missing: this is a standard decoder layer. The image tokens read the tokens too.",
}
_OTHERWISE = (
    "It is none of the usual mistakes. Compare queries_1, queries_2, queries_3 and keys_4 with those of"
    " sam_edu's block, in this order: sam_edu.trace shows them."
)


def _variant(m: TwoWayAttentionBlock, inputs: Inputs, mistake: str) -> tuple[Tensor, Tensor]:
    """`TwoWayAttentionBlock.forward` with one of the usual mistakes."""
    queries, keys, query_pe, key_pe = inputs
    x = queries
    if mistake in ("no encodings", "no query_pe", "encodings in the stream"):
        x = x + query_pe if mistake == "encodings in the stream" else x
        query_pe = torch.zeros_like(query_pe)
    if mistake in ("no encodings", "no key_pe", "encodings in the stream"):
        keys = keys + key_pe if mistake == "encodings in the stream" else keys
        key_pe = torch.zeros_like(key_pe)
    to_image, to_token = m.cross_attn_token_to_image, m.cross_attn_image_to_token
    if mistake == "cross-attentions exchanged":
        to_image, to_token = to_token, to_image
    norm3, norm4 = (m.norm4, m.norm3) if mistake == "norm3 and norm4 exchanged" else (m.norm3, m.norm4)
    pre_norm = mistake == "pre-norm"

    def add_and_norm(step: int, norm: torch.nn.Module, old: Tensor, new: Tensor, residual: bool = True) -> Tensor:
        if mistake in ("no residuals", f"no residual in ({step})") or not residual:
            old = torch.zeros_like(old)
        if mistake == "no norms" or pre_norm or (mistake == "no norm4" and step == 4):
            return old + new
        return old + norm(new) if mistake == "norm inside" else norm(old + new)

    def value(step: int, tokens: Tensor, encoding: Tensor) -> Tensor:
        encoded = mistake in ("encodings in all values", f"encoding in the values of ({step})")
        return tokens + encoding if encoded else tokens

    def norm_first(norm: torch.nn.Module, tokens: Tensor) -> Tensor:
        return norm(tokens) if pre_norm else tokens

    skip = m.skip_first_layer_pe
    encoded = not skip or mistake in ("encoding kept", "skip ignored")
    residual = not skip or mistake in ("residual kept", "skip ignored")
    if mistake == "always skipped":
        encoded = residual = False
    if mistake != "(1) left out":
        y = norm_first(m.norm1, x)
        encoding = query_pe if encoded else torch.zeros_like(query_pe)
        k = y if mistake == "encoding of (1) in q alone" else y + encoding
        x = add_and_norm(1, m.norm1, x, m.self_attn(y + encoding, k, value(1, y, encoding)), residual)
    if mistake == "(4) before (2)":
        keys = add_and_norm(4, norm4, keys, to_token(keys + key_pe, x + query_pe, x))
    if mistake != "(2) left out":
        y = norm_first(m.norm2, x)
        q = y if mistake == "no query_pe in (2)" else y + query_pe
        x = add_and_norm(2, m.norm2, x, to_image(q, keys + key_pe, value(2, keys, key_pe)))
    before_step_3 = x
    if mistake != "(3) left out":
        x = add_and_norm(3, norm3, x, m.mlp(norm_first(norm3, x)))
    if mistake in ("(4) left out", "(4) before (2)"):
        return x, keys
    tokens = {"(4) before (3)": before_step_3, "(4) reads the input tokens": queries}.get(mistake, x)
    y = norm_first(norm4, keys)
    k = tokens if mistake == "no query_pe in (4)" else tokens + query_pe
    return x, add_and_norm(4, norm4, keys, to_token(y + key_pe, k, value(4, tokens, query_pe)))


def _pair(answer: Any, case: Case) -> tuple[TwoWayAttentionBlock, Any, Inputs]:
    """The verified block with random weights, the learner's with the same weights, and different random inputs."""
    dim, heads, rate, skip, batch, tokens, image_tokens = case
    sizes: dict[str, Any] = {
        "embedding_dim": dim,
        "num_heads": heads,
        "mlp_dim": 2 * dim,
        "attention_downsample_rate": rate,
        "skip_first_layer_pe": skip,
    }
    seed = dim + 10 * skip
    module, yours = twins(
        TwoWayAttentionBlock,
        answer,
        lambda kind: kind(**sizes),
        seed,
        call="It is called like this: YourBlock(embedding_dim=24, num_heads=2).",
        keep="its attentions, norms and MLP",
    )
    shapes = ((batch, tokens, dim), (batch, image_tokens, dim), (batch, tokens, dim), (1, image_tokens, dim))
    return module, yours, Inputs(*(random(seed + i, *shape) for i, shape in enumerate(shapes)))


def _outputs(yours: Any, inputs: Inputs) -> tuple[Any, Any]:
    hint = "There are fewer tokens than image tokens here: print the shape after each step."
    results = result_of(yours, **inputs._asdict(), hint=hint)
    if not isinstance(results, tuple | list) or len(results) != 2:
        count = f"{len(results)} results" if isinstance(results, tuple | list) else type(results).__name__
        raise WrongAnswer(f"expected two results, queries and keys, got {count}.")
    return results[0], results[1]


def _judge_forward(answer: Any) -> None:
    with torch.no_grad():
        for case in _CASES:  # shapes first, of all cases
            module, yours, inputs = _pair(answer, case)
            copies = Inputs(*(x.clone() for x in inputs))
            results = _outputs(yours, copies)
            for name, result, target in zip(("queries", "keys"), results, module(*inputs), strict=True):
                axes = f"batch, {'tokens' if name == 'queries' else 'image tokens'}, embedding_dim"
                check_tensor_shape(name, result, target, axes, partial(_shape_hint, name, case))
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs, strict=True)):
                raise WrongAnswer("the inputs were changed in place: query_pe is often the same tensor as queries.")
        for case in _CASES:
            module, yours, inputs = _pair(answer, case)
            hint = recogniser(_MISTAKES, partial(_variant, module, inputs), _OTHERWISE)
            outputs = _outputs(yours, Inputs(*(x.clone() for x in inputs)))
            check_all_values(("queries", "keys"), outputs, module(*inputs), hint)
        _judge_forward_invariants(answer)
        _judge_eps(answer)
    for case in _CASES:
        module, yours, inputs = _pair(answer, case)
        check_module(module, yours, inputs._asdict(), ["queries", "keys"])


def _shape_hint(name: str, case: Case, result: Tensor) -> str:
    other_length = case.image_tokens if name == "queries" else case.tokens
    if case.tokens != case.image_tokens and result.ndim == 3 and result.shape[1] == other_length:
        return "Queries and keys are exchanged: the tokens come first."
    return "Both outputs have the shapes of the inputs."


def _judge_forward_invariants(answer: Any) -> None:
    module, yours, inputs = _pair(answer, _CASES[0])
    target_queries, target_keys = module(*inputs)
    order = torch.tensor([3, 0, 4, 1, 2])
    reordered = inputs._replace(keys=inputs.keys[:, order], key_pe=inputs.key_pe[:, order])
    queries, keys = _outputs(yours, reordered)
    if not same(queries, target_queries) or not same(keys, target_keys[:, order]):
        raise WrongAnswer("with image tokens and their encodings in another order, the outputs must have that order.")
    first = Inputs(inputs.queries[:1], inputs.keys[:1], inputs.query_pe[:1], inputs.key_pe)
    queries, keys = _outputs(yours, first)
    if not same(queries, target_queries[:1]) or not same(keys, target_keys[:1]):
        raise WrongAnswer("a prompt set alone must get the same output as in a batch.")


def _judge_eps(answer: Any) -> None:
    """Check that small streams are normalised as in SAM: there the eps of a norm decides."""
    small = 3e-3
    module, yours, inputs = _pair(answer, _CASES[0])
    for parameters in (module.named_parameters(), yours.named_parameters()):
        for name, tensor in parameters:
            if any(part in name for part in ("norm", "out_proj", "lin2")):
                tensor.mul_(small)
    inputs = Inputs(*(small * x for x in inputs))
    for yours_now, target in zip(_outputs(yours, inputs), module(*inputs), strict=True):
        if not same(to_tensor("output", yours_now) / small, target / small):
            raise WrongAnswer(
                "with a small input the values differ: has a norm another eps than 1e-5, nn.LayerNorm's default?"
            )


# --- 3: add the encodings to the values ---

_SPLIT = "The heads are split in the wrong order. Split the last axis into (heads, head width), then exchange two axes."
_VALUES_MISTAKES = {
    "nothing added": "The values were returned unchanged: the encoding is missing.",
    "bias twice": "The bias is added twice. v contains it already, so use only the weight: encoding @ weight.T.",
    "k_proj": "The encoding went through k_proj. Values are computed by v_proj.",
    "q_proj": "The encoding went through q_proj. Values are computed by v_proj.",
    "weight not transposed": "The weight is not transposed: nn.Linear computes x @ weight.T.",
    "replaced": "The values were replaced by those of the encoding. Add them: v_proj(x + encoding) has two terms.",
    "subtracted": "The encoding was subtracted. Add it.",
    "heads not exchanged": _SPLIT,
    "head width first": _SPLIT,
    "out_proj": "The encoding went through out_proj too. out_proj is applied later, after the weighted sum.",
}


def _values_variant(attention: Attention, v: Tensor, encoding: Tensor, mistake: str) -> Tensor:
    """The values with the encoding, with one of the usual mistakes."""
    heads, width = attention.num_heads, v.shape[-1]

    def split(x: Tensor) -> Tensor:
        if mistake == "heads not exchanged":
            return x.reshape(*v.shape)
        if mistake == "head width first":
            return x.reshape(v.shape[0], -1, width, heads).permute(0, 3, 1, 2)
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    weight = {"k_proj": attention.k_proj, "q_proj": attention.q_proj}.get(mistake, attention.v_proj).weight
    added = encoding @ (weight if mistake == "weight not transposed" else weight.T)
    if mistake == "bias twice":
        added = added + attention.v_proj.bias
    if mistake == "out_proj":
        added = added @ attention.out_proj.weight.T
    if mistake == "nothing added":
        return v
    if mistake == "replaced":
        return split(added)
    return v - split(added) if mistake == "subtracted" else v + split(added)


def _values_inputs(seed: int, heads: int, rate: int, batch: int = 2) -> tuple[Attention, Tensor, Tensor, Tensor]:
    """An attention, values, an encoding, and the right values with the encoding."""
    attention = with_random_weights(lambda: Attention(24, heads, rate), seed)
    x, encoding = random(seed + 1, batch, 5, 24), random(seed + 2, batch, 5, 24)

    def values(inputs: Tensor) -> Tensor:
        return attention.v_proj(inputs).unflatten(-1, (heads, -1)).transpose(1, 2)

    return attention, values(x), encoding, values(x + encoding)


def _judge_values(answer: Any) -> None:
    with torch.no_grad():
        cases = [_values_inputs(1, 3, 2), _values_inputs(5, 3, 1), _values_inputs(12, 4, 2), _values_inputs(9, 2, 1, 1)]
        for attention, v, encoding, target in cases:
            hint = "Its arguments are the attention, v (batch, heads, keys, head_dim) and encoding (batch, keys, dim)."
            before, copy = {name: x.clone() for name, x in attention.state_dict().items()}, encoding.clone()
            result = result_of(answer, attention, v.clone(), copy, hint=hint)
            check_tensor_shape("values", result, target, "batch, heads, keys, head_dim", lambda _: _SAME_SHAPE)
            if not torch.equal(copy, encoding):
                raise WrongAnswer("the encoding was changed in place: the next attention still needs it.")
            if any(not torch.equal(before[name], x) for name, x in attention.state_dict().items()):
                raise WrongAnswer("the attention's weights were changed in place: make new tensors.")
        for attention, v, encoding, target in cases:
            result = result_of(answer, attention, v.clone(), encoding.clone())
            otherwise = (
                "It is none of the usual mistakes. Write v_proj(x + encoding) out: weight, bias, x and encoding."
            )
            value_hint = recogniser(_VALUES_MISTAKES, partial(_values_variant, attention, v, encoding), otherwise)
            check_values("values", result, target, value_hint)
        attention, v, encoding, _ = cases[0]
        if not same(result_of(answer, attention, v.clone(), torch.zeros_like(encoding)), v):
            raise WrongAnswer("an encoding of zeros must change nothing.")


_SAME_SHAPE = (
    "A replacement keeps the shape of the tensor that it replaces: project the encoding, then split it into heads as v"
    " is split."
)


numbers = Exercise("04.1 predict the number", _judge_numbers, solutions.NUMBERS)
forward = Exercise("04.2 write the two-way block", _judge_forward, solutions.Solution)
values_with_encoding = Exercise("04.3 add the encodings to the values", _judge_values, solutions.values_with_encoding)
