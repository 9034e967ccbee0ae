"""Notebook 03's exercises: stubs, solutions, the usual mistakes by name, and others."""

import math
from functools import partial

import pytest
import torch
from exercise_cases import refusal, with_entry, with_method

from sam_edu import PromptEncoder
from sam_edu.exercises import WrongAnswer, prompts
from sam_edu.exercises import prompts_solutions as solutions
from sam_edu.exercises.prompts import _MISTAKES, _TURNS, _turned, _variant

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
        ("a", "dense", (1, 4096, 256), "channels first"),
        ("b", "sparse", (3, 4, 256), "How many prompt sets"),
        ("b", "sparse", (1, 3, 256), "followed by one padding token"),
        ("b", "sparse", (1, 7, 256), "A click is one token"),
        ("b", "sparse", (1, 4, 128), "A token is 256 wide"),
        ("b", "sparse", (1, 9, 256), "the decoder's"),
        ("c", "sparse", (1, 4, 256), "Only where there is no box"),
        ("c", "sparse", (1, 2, 256), "one per corner"),
        ("d", "sparse", (1, 8, 256), "not one with four boxes"),
        ("d", "tokens", (1, 13, 256), "not one with four boxes"),
        ("d", "dense", (1, 256, 64, 64), "How many prompt sets"),
        ("d", "sparse", (4, 2), "There are 3 axes"),
        ("e", "sparse", (1, 1, 256), "no token at all"),
        ("e", "dense", (1, 1, 256, 256), "as it comes in"),
        ("b", "sparse", (1, 40, 256), "Count: one per click"),  # two that are on no list
        ("e", "dense", (1, 128, 32, 32), "those"),
        ("a", "sparse", "1, 2, 256", "expected a tuple of whole numbers"),
        ("a", "tokens", ..., "still empty: tokens in a"),
        ("a", "dense", (1, 256, 64, 64, 1), "There are 4 axes: prompt sets, channels, height, width"),
        ("a", "sparse", (1, 2, 256, 1), "There are 3 axes: prompt sets, tokens, channels"),
        ("a", "sparse", (1, 256, 256), "Count: one per click"),  # three that are on no list
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


def test_our_own_methods_pass(capsys):
    prompts.points(with_points(lambda self, *args: PromptEncoder._embed_points(self, *args)))
    assert "passed" in capsys.readouterr().out


def right(self, points, labels, pad):
    return solutions.Solution._embed_points(self, points, labels, pad)


def rounded(self, points, labels, pad):
    return right(self, points.round(), labels, pad)


def negative_as_minus(self, points, labels, pad):
    code = right(self, points, labels, pad)
    return torch.where((labels == 0).unsqueeze(-1), -code[:, : labels.shape[1]], code[:, : labels.shape[1]])


def writes_into_inputs(self, points, labels, pad):
    result = right(self, points, labels, pad)
    points += 0.5
    return result


def place_of_padding_leaks(self, points, labels, pad):
    # The right value only where a padding click is at the place that the first check gave it.
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
        (negative_as_minus, "The padding is missing"),
        (writes_into_inputs, "written into"),
        (place_of_padding_leaks, "leave no trace"),
        (floats_only, "whole numbers"),
        (lambda self, at, kind, pad: right(self, at, kind, True), "padding without pad"),
        (lambda self, at, kind, pad: right(self, at, kind, pad)[..., :4], "Half of the code is missing"),
        (lambda self, at, kind, pad: right(self, at, kind, pad)[0], "The prompt sets are missing"),
        (lambda self, at, kind, pad: 3, "expected a tensor"),
        (lambda self, at, kind: 3, "it fails with TypeError"),
        (lambda self, at, kind, pad: right(self, at, kind, pad) * math.nan, "not finite"),
        (lambda self, at, kind, pad: right(self, at, kind, pad)[..., :2], "These are places"),
        (lambda self, at, kind, pad: torch.zeros(9, 9), r"got \(9, 9\)\.$"),  # nothing is known of these
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


# --- 3: move the codes ---


@pytest.mark.parametrize("mistake", _TURNS)
def test_wrong_turn_is_recognised(mistake):
    assert _TURNS[mistake] in str(
        refusal(prompts.moved, lambda codes, matrix, shift: _turned(codes, matrix, shift, mistake))
    )


def knows_the_grid(codes, matrix, shift):
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(8) + 0.5) / 8, indexing="ij")
    angles = 2 * math.pi * (2 * (torch.stack([x, y], -1) + shift) - 1) @ matrix
    new = torch.cat([angles.sin(), angles.cos()], -1).permute(2, 0, 1)[None]
    return new if new.shape == codes.shape else codes


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda codes, matrix, shift: -codes, "turns by an angle of its own"),
        (lambda codes, matrix, shift: codes + shift.sum(), "turns by an angle of its own"),
        (knows_the_grid, "without knowing the places"),
        (lambda codes, matrix, shift: codes[0], "Moving keeps the shape"),
        (lambda codes, matrix, shift: 3, "expected a tensor"),
        (lambda codes, matrix: codes, "it fails with TypeError"),
        (lambda codes, matrix, shift: torch.roll(codes, 1, dims=3), "Rolling the grid"),
    ],
)
def test_unlisted_turn_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        prompts.moved(function)


def test_writing_into_the_codes_is_allowed(capsys):
    def in_place(codes, matrix, shift):
        codes[:] = solutions.moved(codes, matrix, shift)
        return codes

    prompts.moved(in_place)
    assert "passed" in capsys.readouterr().out
