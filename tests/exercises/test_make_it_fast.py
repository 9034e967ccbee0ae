"""The exercises of notebook 10: the usual mistakes by name, and others."""

import math

import pytest
import torch
from exercise_cases import refusal

from sam_edu.exercises import make_it_fast
from sam_edu.exercises.make_it_fast import (
    _BEST_MISTAKES,
    _READ_MISTAKES,
    _best_variant,
    _costs,
    _read_inputs,
    _read_variant,
)
from sam_edu.exercises.solutions import make_it_fast as solutions

# --- 1: predict the cost ---


def test_costs_are_worked_out():
    assert _costs() == solutions.COSTS


@pytest.mark.parametrize(
    ("key", "cost", "hint"),
    [
        ("a", (7, 256), "its own folded row"),
        ("a", (56, 128), "as wide as an image token"),
        ("a", (56, 16), "before folding"),
        ("a", (256, 56), "columns are channels"),
        ("a", (8, 7, 256), "there are two axes"),
        ("b", 268_435_456, "Twice too many"),
        ("b", 268_435_456 // 16, "That is one head"),
        ("c", 117_440_512, "counts the additions too"),
        ("c", 7_340_032, "per token and per head"),
        ("c", 3_670_016, "Folded rows are 256 wide"),
        ("d", 128, "the number of rows"),
        ("d", 11, "the number of prompt tokens"),
        ("d", 17, "both cost the same"),
        ("d", 32, "stay below 128"),
        ("e", 262_144, "four masks"),
        ("e", 2_097_152, "moved before the product"),
        ("e", 6_291_456, "no channels are left"),
        ("e", 65_536, "That is one mask"),
        ("f", (64, 8, 7, 4096), "the usual layout"),
        ("f", (8, 7, 4096), "That is one click"),
        ("f", (448, 4096), "The heads stay separate"),
        ("f", (3584, 4096), "The heads stay separate"),
        ("g", 229_376, "four bytes"),
        ("g", 114_688, "Each head has its own"),
        ("h", 256, "four bytes"),
        ("h", 512, "a float16 takes two"),
        ("b", 1, "Image tokens times the input width"),  # two that are not listed
        ("f", (1, 1, 1), "all tokens of all clicks"),
        ("g", 917_504.5, "expected a whole number"),
    ],
)
def test_wrong_cost_fails_with_its_hint(key, cost, hint):
    assert hint in str(refusal(make_it_fast.costs, {**solutions.COSTS, key: cost}))


# --- 2: write step (2) folded ---


@pytest.mark.parametrize("mistake", _READ_MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    error = refusal(make_it_fast.read, lambda *inputs: _read_variant(*inputs, mistake))
    assert _READ_MISTAKES[mistake] in str(error)
    assert "target, yours, difference" in error.figure.alt


def test_solution_is_the_attention_itself():
    attention, q, keys, _ = _read_inputs(2, 3, 4, 0)
    pe = torch.randn(1, 48, 32, generator=torch.Generator().manual_seed(3))
    encodings = (pe @ attention.k_proj.weight.T).unflatten(2, (2, -1)).transpose(1, 2).mT
    with torch.no_grad():
        target = attention(q=q, k=(keys + pe).expand(2, -1, -1), v=keys.expand(2, -1, -1))
        torch.testing.assert_close(solutions.read(attention, q, keys, encodings), target)


def not_folded(attention, q, keys, encodings):
    """The right result, without folding."""
    heads = attention.num_heads
    k = attention.k_proj(keys).unflatten(2, (heads, -1)).transpose(1, 2) + encodings.mT
    v = attention.v_proj(keys).unflatten(2, (heads, -1)).transpose(1, 2)
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
    weights = (queries @ k.mT / math.sqrt(queries.shape[-1])).softmax(-1)
    return attention.out_proj((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (not_folded, "image tokens are still projected"),
        (lambda *inputs: solutions.read(*inputs).tanh(), "none of the usual mistakes"),
        (lambda *inputs: solutions.read(*inputs).flip(1), "none of the usual mistakes"),
        (lambda *inputs: solutions.read(*inputs) * math.nan, "not finite"),
        (lambda attention, q, keys, encodings: q[..., :16], "output projection is missing"),
        (lambda attention, q, keys, encodings: q[None], "heads are still separate"),
        (lambda attention, q, keys, encodings: q[:, :1, :3], "Print the shape"),
        (lambda *inputs: 3, "expected a tensor"),
        (lambda attention, q: q, "it fails with TypeError"),
        (3, "expected a function"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    assert hint in str(refusal(make_it_fast.read, function))


def test_the_keys_bias_may_stay(capsys):
    """It cancels in the softmax: an answer with it is right too."""

    def with_key_bias(attention, q, keys, encodings):
        bias = attention.k_proj.bias.view(1, attention.num_heads, -1, 1)
        return solutions.read(attention, q, keys, encodings + bias)

    make_it_fast.read(with_key_bias)
    assert "passed" in capsys.readouterr().out


def two_heads(attention, q, keys, encodings):
    """The solution with a number of heads of its own."""
    k_weight, v_weight = (linear.weight.unflatten(0, (2, -1)) for linear in (attention.k_proj, attention.v_proj))
    few = attention.q_proj(q).unflatten(2, (2, -1)).transpose(1, 2) / math.sqrt(8)
    gathered = (few @ k_weight @ keys[0].T + few @ encodings).softmax(-1) @ keys[0]
    return attention.out_proj((gathered @ v_weight.mT).transpose(1, 2).flatten(2) + attention.v_proj.bias)


def test_another_number_of_heads_is_asked_for():
    assert "it fails with RuntimeError" in str(refusal(make_it_fast.read, two_heads))


def test_values_and_output_projection_in_one_matrix_pass(capsys):
    """`out_proj` folded into `v_proj`: more work per token, none per image token."""

    def joined(attention, q, keys, encodings):
        heads = attention.num_heads
        k_weight, v_weight = (
            linear.weight.unflatten(0, (heads, -1)) for linear in (attention.k_proj, attention.v_proj)
        )
        both = torch.einsum("dhe,hec->hdc", attention.out_proj.weight.unflatten(1, (heads, -1)), v_weight)
        few = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
        scores = (few @ k_weight @ keys[0].T + few @ encodings) / math.sqrt(few.shape[-1])
        gathered = scores.softmax(-1) @ keys[0]
        return torch.einsum("bhtc,hdc->btd", gathered, both) + attention.out_proj(attention.v_proj.bias)

    make_it_fast.read(joined)
    assert "passed" in capsys.readouterr().out


# --- 3: keep the best positions ---


@pytest.mark.parametrize("mistake", _BEST_MISTAKES)
def test_usual_mistake_with_the_best_is_recognised(mistake):
    error = refusal(make_it_fast.only_best, lambda scores, keep: _best_variant(scores, keep, mistake))
    assert _BEST_MISTAKES[mistake] in str(error)


def changes_its_input(scores, keep):
    return scores.masked_fill_(scores < scores.topk(keep).values[..., -1:], -math.inf)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda scores, keep: solutions.only_best(scores, keep) / 2, "none of the usual mistakes"),
        (lambda scores, keep: solutions.only_best(scores.roll(1, -1), keep), "none of the usual mistakes"),
        (lambda scores, keep: torch.full_like(scores, -math.inf), "not finite"),
        (lambda scores, keep: scores.topk(keep).values, "The scores of all positions stay"),
        (
            lambda s, keep: torch.full_like(s, -12.0).scatter(-1, s.topk(keep).indices, s.topk(keep).values),
            "a little weight",
        ),
        (lambda scores, keep: 3, "expected a tensor"),
        (changes_its_input, "changed in place"),
        (lambda scores: scores, "it fails with TypeError"),
        ("x", "expected a function"),
    ],
)
def test_unlisted_mistake_with_the_best_fails(function, hint):
    assert hint in str(refusal(make_it_fast.only_best, function))


def test_another_way_to_the_best_passes(capsys):
    make_it_fast.only_best(lambda s, keep: s.where(s >= s.sort(-1, descending=True).values[..., keep - 1, None], -1e4))
    assert "passed" in capsys.readouterr().out
