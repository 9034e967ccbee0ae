"""The exercises of notebook 09: the usual mistakes by name, and others."""

import math

import numpy as np
import pytest
import torch
from exercise_cases import with_entry
from torch.nn import functional as F

from sam_edu.exercises import WrongAnswer, logits
from sam_edu.exercises.logits import _CASES, _FLAT, _inputs, _mistakes, _true_sizes
from sam_edu.exercises.solutions import logits as solutions

# --- 1: predict the sizes ---


def test_answers_are_those_of_the_verified_transform():
    assert {case: _true_sizes(case) for case in "abc"} == solutions.SIZES


@pytest.mark.parametrize(
    ("case", "name", "value", "hint"),
    [
        ("a", "input_size", (1024, 768), "height first"),
        ("a", "input_size", (1024, 1024), "The question is the size of the image before the padding"),
        ("c", "input_size", (204, 256), "nearest whole number"),
        ("a", "input_size", (480, 640), "longer side becomes"),
        ("a", "click", (80, 160), "A click is \\(x, y\\)"),
        ("a", "click", (100, 50), "image's own pixels"),
        ("a", "click", (160, 106), "keeps its aspect ratio"),
        ("a", "low_res", (3, 256, 256), "first axis is missing"),
        ("a", "low_res", (256, 256), "Two axes are missing"),
        ("b", "low_res", (1, 1, 256, 256), "How many prompt sets"),
        ("a", "low_res", (1, 4, 256, 256), "how many are returned"),
        ("c", "masks", (2, 1, 160, 200), "How many prompt sets"),
        ("a", "low_res", (1, 3, 192, 256), "same size for every image"),
        ("a", "cut", (1, 3, 1024, 1024), "before the cut"),
        ("a", "cut", (1, 3, 256, 256), "enlarged to the model's square"),
        ("a", "cut", (1, 3, 480, 640), "before the last resizing"),
        ("b", "cut", (4, 1, 256, 1024), "height first"),
        ("a", "masks", (1, 3, 768, 1024), "image's own size"),
        ("a", "on_image", 65_536, "over the padding"),
        ("a", "on_image", 786_432, "not pixels of the model's square"),
        ("a", "on_image", 307_200, "not the image's pixels"),
        ("a", "on_image", 147_456, "the logits of one mask"),
        ("a", "on_image", 12_345, "Which part of the square's height"),  # four that are not listed
        ("a", "click", (1, 2), "new width / old width"),
        ("a", "masks", (1, 3, 7, 7), "box by box"),
        ("a", "cut", (1, 3, 700, 1024), "box by box"),
        ("a", "click", "160, 80", "expected a tuple of whole numbers"),
        ("a", "click", (160.5, 80.0), "expected a tuple of whole numbers"),
        ("a", "on_image", 0.5, "expected a whole number"),
        ("a", "masks", ..., "still empty: masks in a"),
    ],
)
def test_wrong_size_fails_with_its_hint(case, name, value, hint):
    with pytest.raises(WrongAnswer, match=hint):
        logits.sizes(with_entry(solutions.SIZES, case, name, value))


# --- 2: write the way back to the image ---


@pytest.mark.parametrize("hint", list(_mistakes(*_inputs(_CASES[0]))))
def test_usual_mistake_is_recognised(hint):
    with pytest.raises(WrongAnswer) as caught:
        logits.back(lambda *inputs: _mistakes(*inputs)[hint])
    assert hint in str(caught.value)


right = solutions.to_image


def sees_padding(low_res, side, size):
    return right(low_res, side, size) + 1e-3 * F.relu(low_res[..., -1, :].amax() - 40)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x, side, size: right(x, side, size).mT, "Height and width are exchanged"),
        (lambda x, side, size: F.interpolate(x, (side, side)), "the model's square"),
        (lambda x, side, size: x, "Nothing was resized"),
        (lambda x, side, size: F.interpolate(x, (side, side // 2)), "One more resizing"),
        (lambda x, side, size: right(x, side, size)[0], "stay in front"),
        (lambda x, side, size: right(x, side, size) > 0, "threshold comes after"),
        (lambda x, side, size: 3, "expected a tensor"),
        (lambda x, side: x, "it fails with TypeError"),
        (lambda x, side, size: x @ torch.zeros(3), "it fails with RuntimeError"),
        (lambda x, side, size: math.nan * right(x, side, size), "not finite"),
        (lambda x, side, size: 0.5 * right(x, side, size), "none of the usual"),  # three that are not listed
        (lambda x, side, size: right(x, side, size) + 1, "none of the usual"),
        (lambda x, side, size: right(x.flip(-1), side, size), "none of the usual"),
        (sees_padding, "over the padding must not change"),
        (
            lambda x, side, size: right(x, side, size)[..., :3],
            r"got \(2, 3, 12, 3\)\.$",
        ),  # for these two no hint fits
        (lambda x, side, size: torch.zeros(9, 3, side, 7), r"got \(9, 3, 32, 7\)\.$"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        logits.back(function)


def test_something_else_than_a_function_fails():
    for exercise in (logits.back, logits.confidence):
        with pytest.raises(WrongAnswer, match="expected your function"):
            exercise(3)


def test_other_ways_to_write_it_pass(capsys):
    def by_matrices(low_res, side, size):
        def matrix(new, old):
            source = ((torch.arange(new) + 0.5) * old / new - 0.5).clamp(0, old - 1)
            return (1 - (source[:, None] - torch.arange(old)).abs()).clamp(min=0)

        height, width = (int(length * side / max(size) + 0.5) for length in size)
        rows, columns = (
            matrix(new, cut) @ matrix(side, low_res.shape[-1])[:cut]
            for new, cut in zip(size, (height, width), strict=True)
        )
        return rows @ low_res @ columns.T

    logits.back(by_matrices)
    assert "passed" in capsys.readouterr().out


# --- 3: remove the confidence ---


@pytest.mark.parametrize("number", range(len(_FLAT)))
def test_usual_mistake_with_confidence_is_recognised(number):
    mistake, hint = _FLAT[number]
    with pytest.raises(WrongAnswer) as caught:
        logits.confidence(mistake)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 20.0 * (x > 0) - 10,
        lambda x: torch.full_like(x, -10).masked_fill(x > 0, 10),
        lambda x: np.where(np.asarray(x) > 0, 10.0, -10.0),
    ],
)
def test_other_ways_to_remove_the_confidence_pass(function, capsys):
    logits.confidence(function)
    assert "passed" in capsys.readouterr().out


def flat_where_small(x):
    return solutions.without_confidence(x) if x.ndim == 3 else x


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x: x[0], "keeps the logits' shape"),
        (lambda x: 3, "expected a tensor"),
        (lambda x, y: x, "it fails with TypeError"),
        (lambda x: 2 * solutions.without_confidence(x), "Each number is 10"),  # two that are not listed
        (lambda x: solutions.without_confidence(x.flip(-1)), "Each number is 10"),
        (flat_where_small, "any number of axes"),
    ],
)
def test_wrong_mask_prompts_fail_with_their_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        logits.confidence(function)
