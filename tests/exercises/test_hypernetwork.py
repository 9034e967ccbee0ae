"""The exercises of notebook 07: the usual mistakes by name, and others."""

import math

import pytest
import torch
from exercise_cases import refusal, with_entry

from sam_edu.exercises import WrongAnswer, hypernetwork
from sam_edu.exercises.hypernetwork import _CASES, _SIGNS, _inputs, _mistakes, _true_shapes
from sam_edu.exercises.solutions import hypernetwork as solutions

# --- 1: predict the shape ---


@pytest.mark.parametrize("case", "abc")
def test_solution_is_what_the_modules_give(case):
    assert _true_shapes(case) == solutions.SHAPES[case]


@pytest.mark.parametrize(
    ("case", "name", "value", "hint"),
    [
        ("a", "hyper_in", (4, 32), "The first axis is missing"),
        ("b", "hyper_in", (1, 4, 32), "How many prompt sets"),
        ("a", "hyper_in", (1, 3, 32), "selects the masks to return later"),
        ("a", "logits", (1, 3, 256, 256), "selects the masks to return later"),
        ("c", "mask_tokens", (2, 5, 128), "selects the masks to return later"),
        ("a", "mask_tokens", (1, 7, 256), "neither the IoU token"),
        ("a", "mask_tokens", (1, 5, 256), "neither the IoU token"),
        ("a", "features", (1, 32, 64, 64), "doubles it twice"),
        ("c", "logits", (2, 6, 32, 48), "doubles it twice"),
        ("a", "logits", (1, 4, 1024, 1024), "never sees the image's own size"),
        ("a", "hyper_in", (1, 4, 256), "an eighth as wide"),
        ("a", "features", (1, 256, 256, 256), "reduces the channels"),
        ("a", "logits", (1, 32, 256, 256), "summed over"),
        ("a", "logits", (1, 4, 32, 256, 256), "removes that axis"),
        ("a", "parameters", 139_808, "This is one MLP"),
        ("a", "parameters", 4 * (2 * 256 * 256 + 256 * 32), "biases"),
        ("b", "parameters", 3 * 559_232, "serve all prompt sets"),
        ("a", "parameters", 3 * 139_808, "for clear prompts"),
        ("a", "parameters", 4 * 3 * (256 * 256 + 256), "only an eighth as wide"),
        ("a", "parameters", 4 * (256 * 256 + 256 + 256 * 32 + 32), "three layers"),
        ("c", "features", (2, 16, 192, 128), "Name each axis"),  # three that are not listed
        ("c", "hyper_in", (2, 6, 32), "Name each axis"),
        ("c", "parameters", 12345, "Per MLP"),
        ("a", "hyper_in", "1, 4, 32", "expected a tuple of whole numbers"),
        ("a", "hyper_in", 7, "expected a tuple of whole numbers"),
        ("a", "parameters", 560_000.5, "expected a whole number"),
        ("a", "logits", ..., "still empty: logits in a"),
    ],
)
def test_wrong_shape_fails_with_its_hint(case, name, value, hint):
    with pytest.raises(WrongAnswer, match=hint):
        hypernetwork.shapes(with_entry(solutions.SHAPES, case, name, value))


# --- 2: write the hypernetwork and its product ---


@pytest.mark.parametrize("hint", list(_mistakes(*_inputs(_CASES[0]))))
def test_usual_mistake_is_recognised(hint):
    assert hint in str(refusal(hypernetwork.product, lambda *inputs: _mistakes(*inputs)[hint].detach()))


right = solutions.masks_from


def alone_otherwise(mlps, tokens, features):
    return right(mlps, tokens, features) if len(tokens) > 1 else right(mlps, tokens, features) + 1


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda m, t, f: right(m, t, f).flatten(2), "Fold the pixels back"),
        (lambda m, t, f: right(m, t, f).mT, "Height and width are exchanged"),
        (lambda m, t, f: right(m, t, f).transpose(0, 1), "The prompt sets come first"),
        (lambda m, t, f: f, "sum over the channels"),
        (lambda m, t, f: right(m, t, f).sum(1), "do not sum over them"),
        (lambda m, t, f: torch.stack([mlp(t[:, i]) for i, mlp in enumerate(m)], 1), "step \\(6-2\\)"),
        (lambda m, t, f: right(m, t, f) > 0, "the threshold belongs to a later step"),
        (lambda m, t, f: 3, "expected a tensor"),
        (lambda m, t: t, "it fails with TypeError"),
        (lambda m, t, f: f @ t, "it fails with RuntimeError"),
        (lambda m, t, f: math.nan * right(m, t, f), "not finite"),
        (lambda m, t, f: 0.5 * right(m, t, f), "none of the usual"),  # two that are not listed
        (lambda m, t, f: right(m, t, f) + 1, "none of the usual"),
        (alone_otherwise, "a prompt set alone"),
        (lambda m, t, f: right(m, t, f)[..., :3], "expected shape"),
        (lambda mlps, tokens, features: torch.zeros(9, 9), r"got \(9, 9\)\.$"),  # no hint fits
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        hypernetwork.product(function)


def test_something_else_than_a_function_fails():
    with pytest.raises(WrongAnswer, match="expected your function"):
        hypernetwork.product(3)
    with pytest.raises(WrongAnswer, match="expected your function"):
        hypernetwork.signs([3])


def test_other_ways_to_write_it_pass(capsys):
    def by_conv(mlps, tokens, features):
        rows = []
        for own_tokens, own_features in zip(tokens, features, strict=True):
            kernel = torch.stack([mlp(token) for mlp, token in zip(mlps, own_tokens, strict=True)])
            rows.append(torch.nn.functional.conv2d(own_features, kernel[:, :, None, None]))
        return torch.stack(rows)

    hypernetwork.product(by_conv)
    assert "passed" in capsys.readouterr().out


# --- 3: keep only the signs ---


@pytest.mark.parametrize("number", range(len(_SIGNS)))
def test_usual_mistake_with_signs_is_recognised(number):
    mistake, hint = _SIGNS[number]
    assert hint in str(refusal(hypernetwork.signs, mistake))


def six_channels(x):
    return solutions.signs_only(x) if x.shape[-1] == 6 else x


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x: x[:, :1], "keeps the shape"),
        (lambda x: 3, "expected a tensor"),
        (lambda x, y: x, "it fails with TypeError"),
        (six_channels, "for weights of another kind"),
        (lambda x: -solutions.signs_only(x), "Each number is a sign"),  # two that are not listed
        (lambda x: 2 * solutions.signs_only(x), "Each number is a sign"),
    ],
)
def test_wrong_signs_fail_with_their_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        hypernetwork.signs(function)
