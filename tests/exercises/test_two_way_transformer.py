"""The exercises of notebook 05: the usual mistakes by name, and others."""

import math
from functools import partial

import pytest
import torch
from exercise_cases import refusal, with_entry, with_method

from sam_edu import TwoWayTransformer
from sam_edu.exercises import WrongAnswer, two_way_transformer
from sam_edu.exercises.solutions import two_way_transformer as solutions
from sam_edu.exercises.two_way_transformer import _ATTENTIONS, _CUTS, _MISTAKES, _true_numbers, _variant, _with_columns

with_forward = partial(with_method, TwoWayTransformer)


# --- 1: predict shapes and numbers ---


@pytest.mark.parametrize("case", "abc")
def test_solution_is_what_the_module_gives(case):
    assert _true_numbers(case) == solutions.NUMBERS[case]


@pytest.mark.parametrize(
    ("case", "name", "value", "hint"),
    [
        ("a", "hs", (7, 256), "The first axis is missing"),
        ("a", "hs", (1, 5, 256), "they are dropped after it"),
        ("a", "hs", (1, 6, 256), "Count the tokens again"),
        ("a", "hs", (1, 4096, 256), "these are exchanged"),
        ("a", "keys", (1, 7, 256), "these are exchanged"),
        ("a", "keys", (1, 256, 64, 64), "The positions stay a sequence"),
        ("a", "weights", (1, 8, 4096, 7), "the tokens are the queries"),
        ("a", "weights", (1, 8, 7, 7), "not each other"),
        ("a", "weights", (1, 7, 4096), "four axes"),
        ("a", "attentions", 6, "The final attention"),
        ("a", "attentions", 3, "Three in each block"),
        ("a", "parameters", 2 * 1_579_520 + 131_712, "The LayerNorm after the final attention"),
        ("a", "parameters", 2 * 1_579_520, "has its own parameters"),
        ("b", "keys", (1, 4096, 256), "How many prompt sets"),
        ("b", "parameters", 3 * 3_291_264, "serve all prompt sets"),
        ("c", "hs", (2, 7, 256), "Count the tokens again"),
        ("c", "keys", (2, 4096, 256), "The grid is another one"),
        ("c", "attentions", 7, "one more block"),
        ("c", "parameters", 3_291_264, "one more block"),
        ("c", "keys", (2, 80, 256), "Name each axis"),  # three that are not listed
        ("c", "hs", (3, 80, 256), "Name each axis"),
        ("c", "parameters", 12345, "Depth times a block"),
        ("a", "hs", "1, 7, 256", "expected a tuple of whole numbers"),
        ("a", "hs", 7, "expected a tuple of whole numbers"),
        ("a", "parameters", 0.5, "expected a whole number"),
        ("a", "hs", ..., "still empty: hs in a"),
    ],
)
def test_wrong_number_fails_with_its_hint(case, name, value, hint):
    with pytest.raises(WrongAnswer, match=hint):
        two_way_transformer.numbers(with_entry(solutions.NUMBERS, case, name, value))


# --- 2: write TwoWayTransformer.forward ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    yours = with_forward(lambda self, image, pe, points: _variant(self, image, pe, points, mistake))
    assert _MISTAKES[mistake] in str(refusal(two_way_transformer.forward, yours))


def right(self, image, pe, points):
    return solutions.Solution.forward(self, image, pe, points)


def changes_its_inputs(self, image, pe, points):
    result = right(self, image, pe, points)
    points += 1
    return result


def up_to_nine_tokens(self, image, pe, points):
    return right(self, image, pe, points) if points.shape[1] < 10 else (0 * points, right(self, image, pe, points)[1])


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda self, image, pe, points: right(self, image, pe, points)[0], "expected two tensors"),
        (lambda self, image, pe, points: right(self, image, pe, points)[::-1], "the two results are exchanged"),
        (lambda self, image, pe, points: (points[:, :5], right(self, image, pe, points)[1]), "tokens: expected shape"),
        (lambda self, image, pe, points: (points, image), "Leave the positions flattened"),
        (lambda self, image, pe, points: (points, image.flatten(2)), "The channels are the last axis"),
        (lambda self, image, pe, points: (3, 4), "expected a tensor"),
        (lambda self, image, pe, points: (3, image.flatten(2).mT), "tokens: expected a tensor, got int"),
        (lambda self, image, pe, points: (points, image.flatten(2).mT[:, :7]), r"got \(2, 7, 16\)\.$"),
        (lambda self, image, pe, points: self.layers[0](points, image, points, pe), "it fails with"),
        (changes_its_inputs, "changed in place"),
        (up_to_nine_tokens, "more tokens"),
        (lambda self, image, pe, points: [0.5 * x for x in right(self, image, pe, points)], "none of the usual"),
        (lambda self, image, pe, points: right(self, image, 2 * pe, points), "none of the usual"),
        (lambda self, image, pe, points: [math.nan * x for x in right(self, image, pe, points)], "not finite"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        two_way_transformer.forward(with_forward(function))


def without_gradients(self, image, pe, points):
    with torch.no_grad():
        return right(self, image, pe, points)


def detached_tokens(self, image, pe, points):
    hs, keys = right(self, image, pe, points)
    return hs.detach(), keys


@pytest.mark.parametrize("function", [without_gradients, detached_tokens])
def test_an_answer_that_cannot_be_trained_fails(function):
    with pytest.raises(WrongAnswer, match="gradient"):
        two_way_transformer.forward(with_forward(function))


def position_by_position(self, image, pe, points):
    """Another right answer: the rows by loops and by `permute`, the blocks by their numbers."""
    height, width = image.shape[2:]
    keys = torch.stack([image[:, :, y, x] for y in range(height) for x in range(width)], dim=1)
    key_pe = pe.permute(0, 2, 3, 1).reshape(len(pe), height * width, -1)
    queries = points
    for number in range(len(self.layers)):
        queries, keys = self.layers[number](queries=queries, keys=keys, query_pe=points, key_pe=key_pe)
    last = self.final_attn_token_to_image(queries + points, keys + key_pe, keys)
    return [self.norm_final_attn(last + queries), keys]


def test_another_right_forward_passes(capsys):
    two_way_transformer.forward(with_forward(position_by_position))
    assert "passed" in capsys.readouterr().out


def test_outputs_exchanged_are_named_though_the_shapes_agree():
    # The second case has as many tokens as positions; in the first they differ.
    with pytest.raises(WrongAnswer, match="return first the tokens, then the image tokens"):
        two_way_transformer.forward(with_forward(lambda self, *inputs: right(self, *inputs)[::-1]))


def test_other_parameters_and_an_instance_are_refused():
    with pytest.raises(WrongAnswer, match="keep layers"):
        two_way_transformer.forward(lambda **sizes: torch.nn.Linear(2, 2))
    with pytest.raises(WrongAnswer, match="It is called like this"):
        two_way_transformer.forward(TwoWayTransformer(2, 8, 2, 8))
    with pytest.raises(WrongAnswer, match="expected your class"):
        two_way_transformer.forward(3)


# --- 3: cut the prompt off ---


def by_columns(where, value, columns):
    def answer(name, scores):
        chosen = any(name.endswith(end) for end in _ATTENTIONS[where])
        return _with_columns(scores, value, columns) if chosen else scores

    return answer


@pytest.mark.parametrize("number", range(len(_CUTS)))
def test_usual_cut_is_recognised(number):
    *cut, hint = _CUTS[number]
    assert hint in str(refusal(two_way_transformer.cut, by_columns(*cut)))


def rows_cut(name, scores):
    if name.endswith("self_attn"):
        scores[:, :, 5:] = -math.inf
    return scores


def after_softmax(name, scores):
    weights = scores.softmax(-1)
    if "token_to_image" not in name:
        weights[..., 5:] = 0
    return weights


def columns_to(value, columns=slice(5, None)):
    def answer(name, scores):
        if "token_to_image" not in name:
            scores[..., columns] = value
        return scores

    return answer


def nearly(name, scores):
    if "token_to_image" not in name:
        scores[..., 5:] -= 25
    return scores


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (rows_cut, "Rows are queries, columns are keys"),
        (after_softmax, "step \\(1\\) the columns"),
        (nearly, "exactly 0"),
        (columns_to(-30.0), "exactly 0"),
        (columns_to(-math.inf, slice(5, 8)), "step \\(1\\) the columns"),
        (lambda name, scores: scores[..., :5], "keeps the shape"),
        (lambda name, scores: 3, "expected a tensor"),
        (lambda scores: scores, "it fails with TypeError"),
        (lambda name, scores: -scores, "step \\(1\\)"),  # two that are not listed
        (lambda name, scores: solutions.cut(name, scores) * (2 if "final" in name else 1), "one by one"),
    ],
)
def test_wrong_cut_fails_with_its_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        two_way_transformer.cut(function)


def test_other_ways_to_cut_pass(capsys):
    def masked(name, scores):
        columns = torch.arange(scores.shape[-1]) >= 5
        return scores.masked_fill(columns, -1e9) if "token_to_image" not in name else scores

    def joined(name, scores):
        if ".cross_attn_token_to_image" in name or "final" in name:
            return scores
        outputs = scores[:, :, :, :5]
        return torch.cat([outputs, torch.full_like(scores[:, :, :, 5:], float("-inf"))], dim=-1)

    for answer in (masked, joined, columns_to(torch.finfo(torch.float32).min)):
        two_way_transformer.cut(answer)
        assert "passed" in capsys.readouterr().out
