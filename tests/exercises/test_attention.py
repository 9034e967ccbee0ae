"""The exercises of notebook 02: the usual mistakes by name, and others."""

import math
from functools import partial

import pytest
import torch
from exercise_cases import refusal, with_entry, with_method

from sam_edu import Attention
from sam_edu.exercises import WrongAnswer, attention
from sam_edu.exercises.attention import _MISTAKES, _variant
from sam_edu.exercises.solutions import attention as solutions

with_forward = partial(with_method, Attention)


# --- 1: predict the shape ---


@pytest.mark.parametrize(
    ("case", "name", "shape", "hint"),
    [
        ("a", "q", (8, 7, 32), "The first axis is missing: the prompt sets"),
        ("a", "q", (1, 8, 6, 32), "Count the tokens again"),
        ("a", "q", (1, 7, 8, 32), "Heads and length are exchanged"),
        ("a", "output", (1, 8, 7, 32), "The output has three axes"),
        ("b", "q", (1, 8, 8, 16), "one for padding where there are clicks and no box"),
        ("b", "q", (3, 8, 9, 16), "How many prompt sets"),
        ("b", "q", (1, 8, 9, 32), "How wide is one head"),
        ("b", "k", (1, 8, 9, 16), "Which vectors are the queries here, and which the keys"),
        ("b", "k", (1, 4096, 128), "four axes"),
        ("b", "scores", (1, 8, 4096, 9), "Rows are queries"),
        ("b", "scores", (1, 8, 9, 16), "summed over it"),
        ("b", "weights", (1, 8, 9, 9), "never a shape"),
        ("b", "output", (1, 4096, 256), "one vector per query"),
        ("b", "output", (1, 9, 128), "out_proj maps back"),
        ("c", "q", (3, 8, 7, 16), "Which vectors are the queries here"),
        ("d", "scores", (2, 1, 9, 4096), "Each head has a matrix"),
        ("d", "q", (2, 8, 8, 16), "A box is two tokens"),
        ("d", "q", (2, 8, 10, 16), "with a box there is no padding"),
        ("d", "k", (2, 8, 4096, 17), "How wide"),
        ("d", "k", (2, 8, 64, 16), "Name each axis"),  # two that are not listed
        ("a", "scores", (1, 8, 70, 70), "Name each axis"),
        ("a", "output", (1, 70, 256), "Name each axis"),
        ("a", "q", (2, 8, 70, 32), "Name each axis"),
        ("a", "q", "1, 8, 7, 32", "expected a tuple of whole numbers"),
        ("a", "q", (1.5, 8, 7, 32), "expected a tuple of whole numbers"),
        ("a", "q", ..., "still empty: q in a"),
    ],
)
def test_wrong_shape_fails_with_its_hint(case, name, shape, hint):
    with pytest.raises(WrongAnswer, match=hint):
        attention.shapes(with_entry(solutions.SHAPES, case, name, shape))


# --- 2: write Attention.forward ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    yours = with_forward(lambda self, q, k, v: _variant(self, q, k, v, mistake))
    expected = _MISTAKES[mistake]
    if mistake == "no out projection":  # the shape shows it first, where the internal width differs
        expected = "The output projection is missing"
    assert expected in str(refusal(attention.forward, yours))


def test_the_most_common_mistakes_each_have_a_hint():
    hints = " ".join(_MISTAKES.values())
    for text in (
        "with no scale",
        "The wrong scale",
        "q and k are swapped",
        "the wrong axis",
        "split in the wrong order",
        "output projection is missing",
    ):
        assert text in hints


def heads_of(self, x):
    return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def projected(self, q, k, v):
    return heads_of(self, self.q_proj(q)), heads_of(self, self.k_proj(k)), heads_of(self, self.v_proj(v))


def finish(self, weights, vh):
    return self.out_proj((weights @ vh).transpose(1, 2).flatten(2))


def even_weights(self, q, k, v):
    vh = projected(self, q, k, v)[2]
    return finish(self, torch.full((len(q), self.num_heads, q.shape[1], k.shape[1]), 1 / k.shape[1]), vh)


def negative_scores(self, q, k, v):
    qh, kh, vh = projected(self, q, k, v)
    return finish(self, (-qh @ kh.mT / math.sqrt(qh.shape[-1])).softmax(-1), vh)


def naive_exp(self, q, k, v):
    qh, kh, vh = projected(self, q, k, v)
    weights = (qh @ kh.mT / math.sqrt(qh.shape[-1])).exp()
    return finish(self, weights / weights.sum(-1, keepdim=True), vh)


def clamped(self, q, k, v):
    qh, kh, vh = projected(self, q, k, v)
    return finish(self, (qh @ kh.mT / math.sqrt(qh.shape[-1])).clamp(-20, 20).softmax(-1), vh)


def no_scale_in_cross(self, q, k, v):
    qh, kh, vh = projected(self, q, k, v)
    scores = qh @ kh.mT / (math.sqrt(qh.shape[-1]) if q.shape == k.shape else 1)
    return finish(self, scores.softmax(-1), vh)


def changes_its_inputs(self, q, k, v):
    result = solutions.Solution.forward(self, q, k, v)
    q *= 0
    return result


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (even_weights, "none of the usual mistakes"),
        (negative_scores, "none of the usual mistakes"),
        (naive_exp, "subtract each row's maximum"),
        (clamped, "with large scores"),
        (no_scale_in_cross, "no scale"),
        (changes_its_inputs, "changed in place"),
        (lambda self, q, k, v: q, "none of the usual mistakes"),
        (lambda self, q, k, v: self.out_proj(q), "it fails with RuntimeError"),
        (lambda self, q, k, v: 3, "expected a tensor"),
        (lambda self, q, k, v: projected(self, q, k, v)[0], "The heads are not merged yet"),
        (
            lambda self, q, k, v: projected(self, q, k, v)[0] @ projected(self, q, k, v)[1].mT,
            "weighted sum of the values",
        ),
        (lambda self, q, k, v: self.out_proj(self.v_proj(v)), "The output has a row per key"),
        (lambda self, q, k, v: solutions.Solution.forward(self, q, k, v) * math.nan, "not finite"),
        (lambda self, q, k, v: torch.zeros(9, 9), r"got \(9, 9\)\.$"),  # no hint fits
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        attention.forward(with_forward(function))


def test_swap_that_fails_on_other_lengths_is_named():
    def swapped(self, q, k, v):
        qh, kh, vh = projected(self, q, k, v)
        return finish(self, (kh @ qh.mT / math.sqrt(qh.shape[-1])).softmax(-1), vh)

    with pytest.raises(WrongAnswer, match=r"RuntimeError.*q and k are swapped"):
        attention.forward(with_forward(swapped))


def only_on(lengths, otherwise=solutions.Solution.forward):
    """A forward that fails on these lengths of queries and keys."""

    def forward(self, q, k, v):
        if (q.shape[1], k.shape[1]) == lengths:
            raise RuntimeError("stopped")
        return otherwise(self, q, k, v)

    return forward


def test_the_hint_for_a_failure_says_only_what_was_found():
    right_elsewhere = str(refusal(attention.forward, with_forward(only_on((4, 5)))))
    assert right_elsewhere.endswith("stopped. Queries and keys differ in number here: print the shape after each line.")
    wrong_elsewhere = str(refusal(attention.forward, with_forward(only_on((4, 5), even_weights))))
    assert "differ in number here" in wrong_elsewhere
    assert "With equal lengths: It is none of the usual mistakes" in wrong_elsewhere
    for otherwise in (solutions.Solution.forward, lambda self, q, k, v: 2 * solutions.Solution.forward(self, q, k, v)):
        message = str(refusal(attention.forward, with_forward(only_on((5, 5), otherwise))))
        assert message.endswith("stopped. Print the shape after each line.")


def test_other_parameters_and_an_instance_are_refused():
    with pytest.raises(WrongAnswer, match="keep q_proj"):
        attention.forward(lambda *sizes: torch.nn.Linear(2, 2))
    with pytest.raises(WrongAnswer, match="It is called like this"):
        attention.forward(Attention(8, 2))


# --- 3: remove the scale ---


def width(module):
    return module.internal_dim // module.num_heads


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda module, scores: scores, "still scaled"),
        (lambda module, scores: scores / math.sqrt(width(module)), "divided once more"),
        (lambda module, scores: scores / width(module), "divided again, by the width"),
        (lambda module, scores: scores * width(module), "not by the width"),
        (lambda module, scores: scores * math.sqrt(module.internal_dim), "not that of all heads"),
        (lambda module, scores: scores * math.sqrt(module.embedding_dim), "not embedding_dim"),
        (lambda module, scores: scores * 4, "the same factor in all attentions"),
        (lambda module, scores: scores * module.num_heads, "the same factor in all attentions"),
        (lambda module, scores: (scores * math.sqrt(width(module))).softmax(-1), "weights, not scores"),
        (lambda module, scores: scores * math.sqrt(width(module)) + 1, "nothing is added"),
        (lambda module, scores: (scores * math.sqrt(width(module))).clamp(-60, 60), "one factor for all scores"),
        (lambda module, scores: scores[0], "expected shape"),
        (lambda module, scores: 3, "expected a tensor"),
        (lambda module: module, "it fails with TypeError"),
        (lambda module, scores: scores * math.sqrt(width(module) + 1), "the wrong factor"),
    ],
)
def test_wrong_scale_fails_with_its_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        attention.no_scale(function)


def test_writing_into_the_scores_is_allowed(capsys):
    def in_place(module, scores):
        scores *= math.sqrt(width(module))
        return scores

    attention.no_scale(in_place)
    assert "passed" in capsys.readouterr().out
