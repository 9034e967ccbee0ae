"""The exercises of notebook 03: the usual mistakes by name, and others."""

import math
from functools import partial

import pytest
import torch
from exercise_cases import refusal, with_entry, with_method

from sam_edu import PromptEncoder
from sam_edu.exercises import WrongAnswer, prompts
from sam_edu.exercises.prompts import _MISTAKES, _MOVED_MISTAKES, _moved_variant, _variant
from sam_edu.exercises.solutions import prompts as solutions

with_points = partial(with_method, PromptEncoder, name="_embed_points")


# --- 1: count the tokens ---


@pytest.mark.parametrize(
    ("case", "name", "shape", "hint"),
    [
        ("a", "sparse", (2, 256), "The first axis is missing"),
        ("a", "sparse", (1, 1, 256), "followed by one padding token"),
        ("a", "tokens", (1, 2, 256), "before the prompt's"),
        ("a", "tokens", (1, 6, 256), "followed by one padding token"),
        ("a", "dense", (1, 0, 256), "it is not empty"),
        ("a", "dense", (1, 4096, 256), "channels, height, width"),
        ("b", "sparse", (3, 4, 256), "How many prompt sets"),
        ("b", "sparse", (1, 3, 256), "followed by one padding token"),
        ("b", "sparse", (1, 7, 256), "A click is one token"),
        ("b", "sparse", (1, 4, 128), "Every token is 256 wide"),
        ("b", "sparse", (1, 9, 256), "belong to the decoder"),
        ("c", "sparse", (1, 4, 256), "only where there is no box"),
        ("c", "sparse", (1, 2, 256), "one per corner"),
        ("d", "sparse", (1, 8, 256), "not one with four boxes"),
        ("d", "tokens", (1, 13, 256), "not one with four boxes"),
        ("d", "dense", (1, 256, 64, 64), "How many prompt sets"),
        ("d", "sparse", (4, 2), "There are 3 axes"),
        ("e", "sparse", (1, 1, 256), "becomes no token"),
        ("e", "dense", (1, 1, 256, 256), "before the encoder"),
        ("b", "sparse", (1, 40, 256), "Count: one per click"),  # two that are not listed
        ("e", "dense", (1, 128, 32, 32), "the same channels, height and width"),
        ("a", "sparse", "1, 2, 256", "expected a tuple of whole numbers"),
        ("a", "tokens", ..., "still empty: tokens in a"),
        ("a", "dense", (1, 256, 64, 64, 1), "There are 4 axes: prompt sets, channels, height, width"),
        ("a", "sparse", (1, 2, 256, 1), "There are 3 axes: prompt sets, tokens, channels"),
        ("a", "sparse", (1, 256, 256), "Count: one per click"),  # three that are not listed
        ("a", "sparse", (1, 3, 256), "Count: one per click"),
        ("c", "sparse", (1, 9, 256), "Count: one per click"),
    ],
)
def test_wrong_count_fails_with_its_hint(case, name, shape, hint):
    with pytest.raises(WrongAnswer, match=hint):
        prompts.counts(with_entry(solutions.COUNTS, case, name, shape))


# --- 2: write _embed_points ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    yours = with_points(lambda self, *args: _variant(self, *args, mistake))
    assert _MISTAKES[mistake] in str(refusal(prompts.points, yours))


def test_the_verified_method_passes(capsys):
    prompts.points(with_points(lambda self, *args: PromptEncoder._embed_points(self, *args)))
    assert "passed" in capsys.readouterr().out


def right(self, points, labels, pad):
    return solutions.Solution._embed_points(self, points, labels, pad)


def rounded(self, points, labels, pad):
    return right(self, points.round(), labels, pad)


def negated_for_negative(self, points, labels, pad):
    encoding = right(self, points, labels, pad)
    return torch.where((labels == 0).unsqueeze(-1), -encoding[:, : labels.shape[1]], encoding[:, : labels.shape[1]])


def changes_its_inputs(self, points, labels, pad):
    result = right(self, points, labels, pad)
    points += 0.5
    return result


def padding_keeps_its_position(self, points, labels, pad):
    # The right value only where a padding click is at the position that the first check uses.
    result = right(self, points, labels, pad)
    inside = (points < 60).all(-1)
    return torch.cat([torch.where(inside.unsqueeze(-1), result[:, :-1], 0.0), result[:, -1:]], 1) if pad else result


def floats_only(self, points, labels, pad):
    return right(self, points, labels, pad) * (1.0 if labels.is_floating_point() else 0.0)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (rounded, "none of the usual mistakes"),
        (lambda self, at, kind, pad: 2 * right(self, at, kind, pad), "none of the usual mistakes"),
        (negated_for_negative, "The padding is missing"),
        (changes_its_inputs, "changed in place"),
        (padding_keeps_its_position, "leave no trace"),
        (floats_only, "may be integers"),
        (lambda self, at, kind, pad: right(self, at, kind, True), "padding without pad"),
        (lambda self, at, kind, pad: right(self, at, kind, pad)[..., :4], "Half of the encoding is missing"),
        (lambda self, at, kind, pad: right(self, at, kind, pad)[0], "The prompt sets are missing"),
        (lambda self, at, kind, pad: 3, "expected a tensor"),
        (lambda self, at, kind: 3, "it fails with TypeError"),
        (lambda self, at, kind, pad: right(self, at, kind, pad) * math.nan, "not finite"),
        (lambda self, at, kind, pad: right(self, at, kind, pad)[..., :2], "These are positions"),
        (lambda self, at, kind, pad: torch.zeros(9, 9), r"got \(9, 9\)\.$"),  # for these two no hint fits
        (lambda self, at, kind, pad: right(self, at, kind, pad)[:, : 4 + 2 * pad, : 8 if pad else 7], r"4, 7\)\.$"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        prompts.points(with_points(function))


def test_other_parameters_and_no_method_are_refused():
    with pytest.raises(WrongAnswer, match="keep its __init__"):
        prompts.points(lambda *sizes: torch.nn.Linear(2, 2))
    with pytest.raises(WrongAnswer, match="no _embed_points of its own"):
        prompts.points(PromptEncoder)
    with pytest.raises(WrongAnswer, match="expected your class"):
        prompts.points(3)


# --- 3: move the positional encodings ---


@pytest.mark.parametrize("mistake", _MOVED_MISTAKES)
def test_usual_mistake_in_moving_is_recognised(mistake):
    assert _MOVED_MISTAKES[mistake] in str(
        refusal(prompts.moved, lambda encodings, matrix, shift: _moved_variant(encodings, matrix, shift, mistake))
    )


def knows_the_grid(encodings, matrix, shift):
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(8) + 0.5) / 8, indexing="ij")
    angles = 2 * math.pi * (2 * (torch.stack([x, y], -1) + shift) - 1) @ matrix
    new = torch.cat([angles.sin(), angles.cos()], -1).permute(2, 0, 1)[None]
    return new if new.shape == encodings.shape else encodings


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda encodings, matrix, shift: -encodings, "rotates by its own angle"),
        (lambda encodings, matrix, shift: encodings + shift.sum(), "rotates by its own angle"),
        (knows_the_grid, "without knowing the positions"),
        (lambda encodings, matrix, shift: encodings[0], "Moving keeps the shape"),
        (lambda encodings, matrix, shift: 3, "expected a tensor"),
        (lambda encodings, matrix: encodings, "it fails with TypeError"),
        (lambda encodings, matrix, shift: torch.roll(encodings, 1, dims=3), "Rolling the grid"),
    ],
)
def test_unlisted_mistake_in_moving_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        prompts.moved(function)


def test_writing_into_the_codes_is_allowed(capsys):
    def in_place(encodings, matrix, shift):
        encodings[:] = solutions.moved(encodings, matrix, shift)
        return encodings

    prompts.moved(in_place)
    assert "passed" in capsys.readouterr().out
