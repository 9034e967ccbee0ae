"""The exercises of notebook 04: the usual mistakes by name, and others."""

import math
from functools import partial

import pytest
import torch
from exercise_cases import refusal, with_method

from sam_edu import TwoWayAttentionBlock
from sam_edu.exercises import WrongAnswer, two_way_block
from sam_edu.exercises.solutions import two_way_block as solutions
from sam_edu.exercises.two_way_block import _MISTAKES, _VALUES_MISTAKES, Inputs, _values_variant, _variant

with_forward = partial(with_method, TwoWayAttentionBlock)


# --- 1: predict the number ---


@pytest.mark.parametrize(
    ("key", "number", "hint"),
    [
        ("a", 2, "Each click has one row"),
        ("a", 0, "Five tokens are parameters"),
        ("b", 1, "every token reads all tokens"),
        ("b", 7, "Count the tokens again"),
        ("b", 3, "Which tokens read the click"),
        ("c", 4096, "Does this change the image tokens"),
        ("d", 0, "never gives a weight of exactly zero"),
        ("d", 64, "How many image tokens"),
        ("e", 4096, "Which other step changes the image tokens"),
        ("f", 8, "the tokens do not read each other"),
        ("f", 0, "only one token has another query"),
        ("g", 131_712, "Its norm counts too"),
        ("g", 131_968, "two numbers for each channel"),
        ("g", 263_680, "half the width"),
        ("g", 131_584, "have biases too"),
        ("g", 12, "Three projections"),
        ("h", 1, "One image is the input for all"),
        ("h", 21, "independently of the others"),
        ("d", 4095, "How many image tokens"),  # two that are not listed
        ("h", -5, "independently of the others"),
        ("a", 1.5, "expected a whole number"),
        ("b", True, "every token reads all tokens"),
        ("c", ..., "still empty: c"),
    ],
)
def test_wrong_number_fails_with_its_hint(key, number, hint):
    with pytest.raises(WrongAnswer, match=hint):
        two_way_block.numbers({**solutions.NUMBERS, key: number})


# --- 2: write the block ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    def forward(self, queries, keys, query_pe, key_pe):
        return _variant(self, Inputs(queries, keys, query_pe, key_pe), mistake)

    error = refusal(two_way_block.forward, with_forward(forward))
    assert _MISTAKES[mistake] in str(error)
    assert "target, yours, difference" in error.figure.alt


def test_variant_without_a_mistake_is_the_block(capsys):
    def forward(self, queries, keys, query_pe, key_pe):
        return _variant(self, Inputs(queries, keys, query_pe, key_pe), "none")

    two_way_block.forward(with_forward(forward))
    assert "passed" in capsys.readouterr().out


def right(self, queries, keys, query_pe, key_pe):
    return solutions.Solution.forward(self, queries, keys, query_pe, key_pe)


def tanh_at_the_end(self, *inputs, **named):
    queries, keys = right(self, *inputs, **named)
    return queries, keys.tanh()


def with_smaller_encodings(self, queries, keys, query_pe, key_pe):
    queries, keys = right(self, queries, keys, 0.9 * query_pe, key_pe)
    return queries, keys


def changes_its_inputs(self, queries, keys, query_pe, key_pe):
    result = right(self, queries, keys, query_pe, key_pe)
    queries += 1
    return result


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (tanh_at_the_end, "none of the usual mistakes"),
        (with_smaller_encodings, "none of the usual mistakes"),
        (changes_its_inputs, "changed in place"),
        (lambda self, queries, keys, query_pe, key_pe: (queries, keys), "none of the usual mistakes"),
        (lambda self, queries, keys, query_pe, key_pe: queries, "expected two results"),
        (lambda self, queries, keys, query_pe, key_pe: (queries, keys, keys), "got 3 results"),
        (lambda self, queries, keys, query_pe, key_pe: (keys, queries), "Queries and keys are exchanged"),
        (lambda self, queries, keys, query_pe, key_pe: (queries[0], keys), "the shapes of the inputs"),
        (lambda self, queries, keys, query_pe, key_pe: (1, keys), "expected a tensor"),
        (lambda self, queries, keys, query_pe, key_pe: (queries + keys, keys), "it fails with RuntimeError"),
        (lambda self, q, k: (q, k), "it fails with TypeError"),
        (
            lambda self, queries, keys, query_pe, key_pe: (queries * math.nan, keys),
            "not finite",
        ),
        (lambda self, **inputs: (inputs["queries"], inputs["queries"]), "keys: .* Queries and keys are exchanged"),
        (lambda self, **inputs: (inputs["queries"], inputs["keys"][:, :4]), "keys: .* Both outputs have the shapes"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        two_way_block.forward(with_forward(function))


def test_other_parameters_and_an_instance_are_refused():
    with pytest.raises(WrongAnswer, match="keep its attentions"):
        two_way_block.forward(lambda **sizes: torch.nn.Linear(2, 2))
    with pytest.raises(WrongAnswer, match="It is called like this"):
        two_way_block.forward(TwoWayAttentionBlock(8, 2))
    with pytest.raises(WrongAnswer, match="not yet called"):
        two_way_block.forward(3)


# --- 3: add the encodings to the values ---


@pytest.mark.parametrize("mistake", _VALUES_MISTAKES)
def test_usual_mistake_with_the_encoding_is_recognised(mistake):
    def answer(attention, v, encoding):
        return _values_variant(attention, v, encoding, mistake)

    if mistake in ("out_proj", "weight not transposed"):  # these run only where internal_dim is embedding_dim

        def answer(attention, v, encoding, at_full_width=answer):
            narrow = attention.internal_dim != attention.embedding_dim
            return (
                solutions.values_with_encoding(attention, v, encoding)
                if narrow
                else at_full_width(attention, v, encoding)
            )

    assert _VALUES_MISTAKES[mistake] in str(refusal(two_way_block.values_with_encoding, answer))


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda attention, v, encoding: v + encoding.mean(), "none of the usual mistakes"),
        (lambda attention, v, encoding: 2 * v, "none of the usual mistakes"),
        (lambda attention, v, encoding: v + encoding, "it fails with RuntimeError"),
        (lambda attention, v, encoding: attention.v_proj(encoding), "keeps the shape"),
        (lambda attention, v, encoding: 3, "expected a tensor"),
        (lambda attention, v: v, "it fails with TypeError"),
        (lambda attention, v, encoding: v * math.nan, "not finite"),
    ],
)
def test_unlisted_mistake_with_the_encoding_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        two_way_block.values_with_encoding(function)


def test_writing_into_the_encoding_is_refused_and_into_the_values_is_not(capsys):
    def into_the_values(attention, v, encoding):
        v += solutions.values_with_encoding(attention, 0 * v, encoding)
        return v

    def into_the_encoding(attention, v, encoding):
        result = solutions.values_with_encoding(attention, v, encoding)
        encoding *= 0
        return result

    two_way_block.values_with_encoding(into_the_values)
    assert "passed" in capsys.readouterr().out
    with pytest.raises(WrongAnswer, match="the encoding was changed in place"):
        two_way_block.values_with_encoding(into_the_encoding)
