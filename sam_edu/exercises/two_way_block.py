"""The exercises of notebook 04: predict the number, write the block, let the codes into the values."""

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
from sam_edu.exercises.table import judge_row
from sam_edu.exercises.trials import random, twins, with_random_weights
from sam_edu.exercises.two_way_block_solutions import NUMBERS, Solution
from sam_edu.exercises.two_way_block_solutions import values_with_code as _values_with_code
from sam_edu.modules import Attention, TwoWayAttentionBlock
from sam_edu.tracing import intervene, trace

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


# --- 1: predict the number ---

_QUESTIONS = {
    "a": "rows of the tokens that come in",
    "b": "rows of the tokens after step (1)",
    "c": "rows of the image tokens after step (2)",
    "d": "rows of the image tokens after step (4)",
    "e": "rows of the image tokens that leave a block without step (4)",
    "f": "rows of the tokens after step (2), if step (1) gave each token nothing but itself",
    "g": "parameters that go with step (4) and its norm",
    "h": "versions of the picture that leave block 0, for three prompt sets",
}


def _judge_numbers(answer: Any) -> None:
    judge_row(answer, _QUESTIONS, _true_numbers, _number_hint)


def _true_numbers() -> dict[str, int]:
    """Counted, not remembered: one click of two is moved, and the rows that differ are counted, in a small block."""
    block = with_random_weights(lambda: TwoWayAttentionBlock(16, 2, 8, skip_first_layer_pe=True), 1)
    with torch.device("meta"):
        full = TwoWayAttentionBlock(256, 8, 2048)
    tokens, keys, codes = random(2, 1, 8, 16), random(3, 1, 4096, 16), random(4, 1, 4096, 16)
    moved = tokens.clone()
    moved[:, 6] = random(5, 1, 16)  # the second click: after five output tokens and the first click

    def rows(one: Tensor, other: Tensor) -> int:
        return int((one != other).any(-1).sum())

    with torch.no_grad():
        seen = []
        for x in (tokens, moved):
            with trace(block) as t:
                block(x, keys, x, codes)
            seen.append(dict(t.items()))
        alone = []
        for x in (tokens, moved):
            with intervene(block, "queries_1", x), trace(block) as t:
                block(x, keys, x, codes)
            alone.append(t["queries_2"])
        three = random(6, 3, 7, 16)
        _, versions = block(three, keys, three, codes)
    gone = [p for name, p in full.named_parameters() if name.startswith(("cross_attn_image_to_token.", "norm4."))]
    return {
        "a": rows(tokens, moved),
        "b": rows(seen[0]["queries_1"], seen[1]["queries_1"]),
        "c": rows(keys, keys),
        "d": rows(seen[0]["keys_4"], seen[1]["keys_4"]),
        "e": rows(keys, keys),
        "f": rows(*alone),
        "g": sum(p.numel() for p in gone),
        "h": len({tuple(one.flatten().tolist()) for one in versions}),
    }


def _number_hint(key: str, number: int) -> str:
    cross, norm = 131_712, 512
    if key == "a":
        return "Five tokens are parameters, and so is the padding. Each click has one row, and one click was moved."
    if key == "b":
        if number == 1:
            return "In step (1) everybody reads everybody, and the click that was moved is read by all."
        if number in (7, 9):
            return "Count the tokens again: five, two clicks, and one for padding."
        return "Who reads the click that was moved?"
    if key == "c":
        return "In step (2) the tokens read the image. Does anything change for those who are read?"
    if key == "d":
        if number in (0, 1):
            return "In step (4) each place reads all tokens, and softmax never gives a weight of exactly zero."
        return "How many image tokens are there, and which of them read no token at all?"
    if key == "e":
        return "Which other step changes the image tokens?"
    if key == "f":
        if number == 8:
            return "In step (2) the tokens do not read each other. Each reads the image on its own."
        return "Each token reads the same image, and only one token asks another question than before."
    if key == "g":
        if number == cross:
            return "The attention is right. Its norm goes too: a scale and a shift for each of the 256 channels."
        if number == cross + 256:
            return "A LayerNorm has a scale and a shift: two numbers for each channel."
        if number in (263_168, 263_168 + norm):
            return "The cross-attentions work at half the width: downsample_rate is 2."
        if number == 131_072 or number == 131_072 + norm:
            return "Four linear layers have biases too."
        return "Three projections from 256 to 128, one back, each with a bias; then a scale and a shift per channel."
    if number == 1:
        return "One comes in and serves all. But in step (4) each prompt set's tokens are read by their own copy."
    return "Each prompt set is answered as if the others were not there."


# --- 2: write the block ---

# (embedding_dim, num_heads, downsample_rate, skip_first_layer_pe, batch, tokens, pixels)
Case = tuple[int, int, int, bool, int, int, int]
_CASES: tuple[Case, ...] = ((24, 2, 2, False, 2, 3, 5), (24, 2, 2, True, 2, 3, 5), (12, 3, 1, False, 1, 4, 4))

_VALUES = "A positional code got into the values. Codes are added to q and k; v is made from the bare tokens: step {}."
_RESIDUAL = "A residual is missing: in step {} what was there is added to what came out, before the norm."
_MISTAKES = {
    "codes in all values": _VALUES.format("(1), (2) and (4)"),
    "code in the values of (1)": _VALUES.format("(1)"),
    "code in the values of (2)": _VALUES.format("(2)"),
    "code in the values of (4)": _VALUES.format("(4)"),
    "codes in the stream": "The codes were added to the stream itself. Add them to q and k alone; tokens go on bare.",
    "no codes": "The positional codes are missing: add query_pe and key_pe to what q and k are made from.",
    "no query_pe": "query_pe is missing: wherever tokens are q or k, it is added.",
    "no key_pe": "key_pe is missing: wherever image tokens are q or k, it is added.",
    "no query_pe in (2)": "query_pe is missing in step (2): a code is added anew in each step that reads, not once.",
    "no query_pe in (4)": "query_pe is missing in step (4): there the tokens are the keys.",
    "code of (1) in q alone": "In step (1) the code goes to q and to k: both are the tokens.",
    "residual kept": "With skip_first_layer_pe, step (1) has no residual either: what came out replaces the tokens.",
    "code kept": "With skip_first_layer_pe, step (1) adds no code. You left out the residual alone.",
    "skip ignored": "skip_first_layer_pe was not looked at: where it is set, step (1) has neither code nor residual.",
    "always skipped": "Step (1) skips code and residual only where skip_first_layer_pe is set; here it is not.",
    "no residual in (1)": _RESIDUAL.format("(1)"),
    "no residual in (2)": _RESIDUAL.format("(2)"),
    "no residual in (3)": _RESIDUAL.format("(3)"),
    "no residual in (4)": _RESIDUAL.format("(4)"),
    "no residuals": _RESIDUAL.format("(1) to (4)"),
    "pre-norm": "This is pre-norm. Here the norm comes last: norm(what was there + what came out).",
    "norm inside": "The norm was put on what came out alone. It comes after the sum: norm(x + f(x)).",
    "no norms": "The norms are missing: each step ends in one.",
    "norm3 and norm4 exchanged": "norm3 and norm4 are exchanged: norm3 ends the MLP, norm4 ends step (4).",
    "no norm4": "norm4 is missing: the image tokens are normalised too.",
    "cross-attentions exchanged": "The two cross-attentions are exchanged: their weights have the same shapes, so that"
    " nothing complains. In step (2) it is cross_attn_token_to_image.",
    "(4) before (2)": "Step (4) came before step (2): the tokens have to read the image as it came in.",
    "(4) before (3)": "Step (4) came before step (3): the image reads the tokens after their MLP.",
    "(4) reads the tokens that came in": "Step (4) read the tokens as they came in. It reads those that step (3) left.",
    "(1) left out": "Step (1) is missing: self_attn and norm1.",
    "(2) left out": "Step (2) is missing: cross_attn_token_to_image and norm2.",
    "(3) left out": "Step (3) is missing: mlp and norm3.",
    "(4) left out": "Step (4) is missing: this is a standard decoder layer. The image reads the tokens too.",
}
_OTHER = (
    "It is none of the usual mistakes. Compare queries_1, queries_2, queries_3 and keys_4 with those of"
    " sam_edu's block, in this order: sam_edu.trace shows them."
)


def _variant(m: TwoWayAttentionBlock, inputs: Inputs, mistake: str) -> tuple[Tensor, Tensor]:
    """The forward with one of the usual mistakes."""
    q0, keys, qc, kc = inputs
    x = q0
    if mistake in ("no codes", "no query_pe", "codes in the stream"):
        x, qc = (x + qc if mistake == "codes in the stream" else x), torch.zeros_like(qc)
    if mistake in ("no codes", "no key_pe", "codes in the stream"):
        keys, kc = (keys + kc if mistake == "codes in the stream" else keys), torch.zeros_like(kc)
    to_image, to_token = m.cross_attn_token_to_image, m.cross_attn_image_to_token
    if mistake == "cross-attentions exchanged":
        to_image, to_token = to_token, to_image
    norm3, norm4 = (m.norm4, m.norm3) if mistake == "norm3 and norm4 exchanged" else (m.norm3, m.norm4)
    pre = mistake == "pre-norm"

    def end(step: int, norm: torch.nn.Module, was: Tensor, came: Tensor, residual: bool = True) -> Tensor:
        if mistake in ("no residuals", f"no residual in ({step})") or not residual:
            was = torch.zeros_like(was)
        if mistake == "no norms" or pre or (mistake == "no norm4" and step == 4):
            return was + came
        return was + norm(came) if mistake == "norm inside" else norm(was + came)

    def value(step: int, bare: Tensor, code: Tensor) -> Tensor:
        return bare + code if mistake in ("codes in all values", f"code in the values of ({step})") else bare

    def first(norm: torch.nn.Module, given: Tensor) -> Tensor:
        return norm(given) if pre else given

    skip = m.skip_first_layer_pe
    coded = not skip or mistake in ("code kept", "skip ignored")
    residual = not skip or mistake in ("residual kept", "skip ignored")
    if mistake == "always skipped":
        coded = residual = False
    if mistake != "(1) left out":
        y = first(m.norm1, x)
        code = qc if coded else torch.zeros_like(qc)
        k1 = y if mistake == "code of (1) in q alone" else y + code
        x = end(1, m.norm1, x, m.self_attn(y + code, k1, value(1, y, code)), residual)
    if mistake == "(4) before (2)":
        keys = end(4, norm4, keys, to_token(keys + kc, x + qc, x))
    if mistake != "(2) left out":
        y = first(m.norm2, x)
        asked = y if mistake == "no query_pe in (2)" else y + qc
        x = end(2, m.norm2, x, to_image(asked, keys + kc, value(2, keys, kc)))
    before_3 = x
    if mistake != "(3) left out":
        x = end(3, norm3, x, m.mlp(first(norm3, x)))
    if mistake in ("(4) left out", "(4) before (2)"):
        return x, keys
    read = {"(4) before (3)": before_3, "(4) reads the tokens that came in": q0}.get(mistake, x)
    y = first(norm4, keys)
    offered = read if mistake == "no query_pe in (4)" else read + qc
    return x, end(4, norm4, keys, to_token(y + kc, offered, value(4, read, qc)))


def _pair(answer: Any, case: Case) -> tuple[TwoWayAttentionBlock, Any, Inputs]:
    """The verified block with random weights, the learner's with the same, and inputs that all differ."""
    dim, heads, rate, skip, batch, tokens, pixels = case
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
        made="It is made like this: YourBlock(embedding_dim=24, num_heads=2).",
        keep="its attentions, norms and MLP",
    )
    shapes = ((batch, tokens, dim), (batch, pixels, dim), (batch, tokens, dim), (1, pixels, dim))
    queries, keys, query_pe, key_pe = (random(seed + i, *shape) for i, shape in enumerate(shapes))
    return module, yours, (queries, keys, query_pe, key_pe)


def _outputs(yours: Any, inputs: Inputs) -> tuple[Any, Any]:
    names = ("queries", "keys", "query_pe", "key_pe")
    hint = "There are fewer tokens than image tokens here: print the shape after each step."
    came = result_of(yours, **dict(zip(names, inputs, strict=True)), hint=hint)
    if not isinstance(came, tuple | list) or len(came) != 2:
        got = f"{len(came)} things" if isinstance(came, tuple | list) else type(came).__name__
        raise WrongAnswer(f"expected two results, queries and keys, got {got}.")
    return came[0], came[1]


def _judge_forward(answer: Any) -> None:
    with torch.no_grad():
        for case in _CASES:  # shapes first, of all cases
            module, yours, inputs = _pair(answer, case)
            copies = tuple(x.clone() for x in inputs)
            came = _outputs(yours, copies)  # type: ignore[arg-type]
            for name, one, target in zip(("queries", "keys"), came, module(*inputs), strict=True):
                axes = f"batch, {'tokens' if name == 'queries' else 'pixels'}, embedding_dim"
                check_tensor_shape(name, one, target, axes, partial(_shape_hint, name, case))
            if any(not torch.equal(a, b) for a, b in zip(copies, inputs, strict=True)):
                raise WrongAnswer("the inputs were written into: query_pe is often the very same tensor as queries.")
        for case in _CASES:
            module, yours, inputs = _pair(answer, case)
            looks = recogniser(_MISTAKES, partial(_variant, module, inputs), _OTHER)
            check_all_values(("queries", "keys"), _outputs(yours, inputs), module(*inputs), looks)
        _judge_forward_invariants(answer)


def _shape_hint(name: str, case: Case, came: Tensor) -> str:
    _, _, _, _, _, tokens, pixels = case
    if tokens != pixels and came.ndim == 3 and came.shape[1] == (pixels if name == "queries" else tokens):
        return "Queries and keys are exchanged: the tokens come first."
    return "Both leave in the shape in which they came."


def _judge_forward_invariants(answer: Any) -> None:
    module, yours, (queries, keys, query_pe, key_pe) = _pair(answer, _CASES[0])
    wanted_queries, wanted_keys = module(queries, keys, query_pe, key_pe)
    order = torch.tensor([3, 0, 4, 1, 2])
    came_queries, came_keys = _outputs(yours, (queries, keys[:, order], query_pe, key_pe[:, order]))
    if not same(came_queries, wanted_queries) or not same(came_keys, wanted_keys[:, order]):
        raise WrongAnswer("image tokens in another order, with their codes, must come out in that order, and no other.")
    one_queries, one_keys = _outputs(yours, (queries[:1], keys[:1], query_pe[:1], key_pe))
    if not same(one_queries, wanted_queries[:1]) or not same(one_keys, wanted_keys[:1]):
        raise WrongAnswer("a prompt set alone must get the same output as in a batch.")


# --- 3: let the codes into the values ---

_SPLIT = "The heads are cut in the wrong order. Split the last axis into (heads, head width), then exchange two axes."
_CODE_MISTAKES = {
    "nothing added": "The values came back as they were: the code is missing.",
    "bias twice": "The bias is in there twice. v has it already, so take the weight alone: code @ weight.T.",
    "k_proj": "The code went through k_proj. Values are made by v_proj.",
    "q_proj": "The code went through q_proj. Values are made by v_proj.",
    "weight not transposed": "The weight is the wrong way round: nn.Linear computes x @ weight.T.",
    "replaced": "The values were replaced by the code's. Add: v_proj(x + code) is v_proj(x) and something more.",
    "subtracted": "The code was taken off. Add it.",
    "heads not exchanged": _SPLIT,
    "head width first": _SPLIT,
    "out_proj": "The code went through out_proj too. That comes later, by itself, after the weighted sum.",
}


def _code_variant(attention: Attention, v: Tensor, code: Tensor, mistake: str) -> Tensor:
    heads, width = attention.num_heads, v.shape[-1]

    def split(x: Tensor) -> Tensor:
        if mistake == "heads not exchanged":
            return x.reshape(*v.shape)
        if mistake == "head width first":
            return x.reshape(v.shape[0], -1, width, heads).permute(0, 3, 1, 2)
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    weight = {"k_proj": attention.k_proj, "q_proj": attention.q_proj}.get(mistake, attention.v_proj).weight
    added = code @ (weight if mistake == "weight not transposed" else weight.T)
    if mistake == "bias twice":
        added = added + attention.v_proj.bias
    if mistake == "out_proj":
        added = added @ attention.out_proj.weight.T
    if mistake == "nothing added":
        return v
    if mistake == "replaced":
        return split(added)
    return v - split(added) if mistake == "subtracted" else v + split(added)


def _code_case(seed: int, rate: int, batch: int = 2) -> tuple[Attention, Tensor, Tensor, Tensor]:
    """An attention, values on their way, a code, and what the values should be with it."""
    attention = with_random_weights(lambda: Attention(24, 3, rate), seed)
    x, code = random(seed + 1, batch, 5, 24), random(seed + 2, batch, 5, 24)

    def made_from(given: Tensor) -> Tensor:
        return attention.v_proj(given).unflatten(-1, (3, -1)).transpose(1, 2)

    return attention, made_from(x), code, made_from(x + code)


def _judge_values(answer: Any) -> None:
    with torch.no_grad():
        cases = [_code_case(1, 2), _code_case(5, 1)]
        for attention, v, code, wanted in cases:
            hint = "It gets the attention, v as (batch, heads, keys, head_dim), and the code as (batch, keys, dim)."
            came = result_of(answer, attention, v.clone(), code.clone(), hint=hint)
            check_tensor_shape("values", came, wanted, "batch, heads, keys, head_dim", lambda _: _V_SHAPE)
        for attention, v, code, wanted in cases:
            came = result_of(answer, attention, v.clone(), code.clone())
            otherwise = "It is none of the usual mistakes. Write v_proj(x + code) out: weight, bias, x and code."
            looks = recogniser(_CODE_MISTAKES, partial(_code_variant, attention, v, code), otherwise)
            check_values("values", came, wanted, looks)
        attention, v, code, _ = _code_case(9, 2, batch=1)
        same_code = code.clone()
        result_of(answer, attention, v.clone(), same_code)
        if not torch.equal(same_code, code):
            raise WrongAnswer("the code was written into: the next attention still needs it.")
        if not same(result_of(answer, attention, v.clone(), torch.zeros_like(code)), v):
            raise WrongAnswer("a code of zeros must change nothing.")


_V_SHAPE = "A replacement keeps the shape of what it replaces: project the code, then split it into heads as v is."


numbers = Exercise("04.1 predict the number", _judge_numbers, NUMBERS)
forward = Exercise("04.2 write the two-way block", _judge_forward, Solution)
values_with_code = Exercise("04.3 let the codes into the values", _judge_values, _values_with_code)
