"""The exercises of notebook 06: the usual mistakes by name, and others."""

import math

import pytest
import torch
import torch.nn.functional as F
from exercise_cases import refusal

from sam_edu.exercises import WrongAnswer, upscaling
from sam_edu.exercises.solutions import upscaling as solutions
from sam_edu.exercises.upscaling import _MISTAKES, _PATTERN_MISTAKES, _pattern_variant, _true_sizes, _variant

# --- 1: predict the size ---


def test_solution_is_what_the_module_has():
    assert _true_sizes() == solutions.SIZES


@pytest.mark.parametrize(
    ("key", "size", "hint"),
    [
        ("a", (64, 128, 128), "There are four axes"),
        ("a", (1, 64, 128, 128), "counts prompt sets"),
        ("a", (3, 128, 128, 128), "a quarter of 256"),
        ("b", (64, 256, 2, 2), "input channels first"),
        ("b", (256, 64), "Four axes"),
        ("c", (32, 256, 256), "There are four axes"),
        ("c", (1, 32, 1024, 1024), "doubled twice"),
        ("d", (64, 128), r"as \(out, in\)"),
        ("d", (32, 64), "all in one vector"),
        ("e", 8192, "There is a bias too"),
        ("e", 8320, "share one bias"),
        ("e", 65_600, "64 channels in, 32 out"),
        ("f", 4, "after the first doubling"),
        ("f", 36, "The pixels of two image tokens do not overlap"),
        ("g", 1_048_576, "its own mean"),
        ("g", 32, "how many channels"),
        ("h", 64, "That is LayerNorm2d"),
        ("h", 16_384, "One group holds all"),
        ("h", 3, "there is one group"),  # two that are not listed
        ("c", (7, 7, 7, 7), "an eighth of 256"),
        ("e", 8224.5, "expected a whole number"),
        ("f", "16", "expected a whole number"),
        ("a", 3, "expected a tuple"),
        ("c", ..., "still empty: c"),
    ],
)
def test_wrong_size_fails_with_its_hint(key, size, hint):
    with pytest.raises(WrongAnswer, match=hint):
        upscaling.sizes({**solutions.SIZES, key: size})


def test_a_part_is_checked_and_a_list_or_size_is_a_shape():
    with pytest.raises(WrongAnswer, match="right so far; still empty: c, d, e, f, g, h"):
        upscaling.sizes({"a": [3, 64, 128, 128], "b": torch.Size((256, 64, 2, 2))})


# --- 2: write step (5) ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    error = refusal(upscaling.upscale, lambda x, w: _variant(x, w, mistake))
    assert _MISTAKES[mistake] in str(error)
    assert "target, yours, difference" in error.figure.alt


def test_variant_without_a_mistake_is_the_step(capsys):
    upscaling.upscale(lambda x, w: _variant(x, w, "none"))
    assert "passed" in capsys.readouterr().out


def with_convolutions(x, w):
    x = F.conv_transpose2d(x, w["0.weight"], w["0.bias"], stride=2)
    x = F.layer_norm(x.movedim(1, -1), (x.shape[1],), w["1.weight"], w["1.bias"], 1e-6).movedim(-1, 1)
    return F.gelu(F.conv_transpose2d(F.gelu(x), w["3.weight"], w["3.bias"], stride=2))


def changes_x(x, w):
    result = solutions.upscale(x, w)
    x += 1
    return result


def not_yet_shuffled(x, w):
    return F.pixel_unshuffle(solutions.upscale(x, w), 2).repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x, w: solutions.upscale(x, w).tanh(), "none of the usual mistakes"),
        (lambda x, w: F.avg_pool2d(solutions.upscale(x, w), 3, 1, 1), "none of the usual mistakes"),
        (lambda x, w: solutions.upscale(x, w) * math.nan, "not finite"),
        (with_convolutions, "without conv_transpose2d"),
        (changes_x, "changed in place"),
        (not_yet_shuffled, "move them to their four positions"),
        (lambda x, w: F.avg_pool2d(solutions.upscale(x, w), 2), "doubled once"),
        (lambda x, w: solutions.upscale(x, w)[0], "prompt sets is missing"),
        (lambda x, w: x, "Print the shape"),
        (lambda x, w: 3, "expected a tensor"),
        (lambda x, w: w["2.weight"], "it fails with KeyError"),
        (lambda x: x, "it fails with TypeError"),
        (3, "expected a function"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        upscaling.upscale(function)


def test_another_way_to_the_same_passes(capsys):
    def loops(x, w):
        def double(x, weight, bias):
            out = x.new_zeros(len(x), weight.shape[1], 2 * x.shape[2], 2 * x.shape[3])
            for row in (0, 1):
                for column in (0, 1):
                    linear = F.linear(x.movedim(1, -1), weight[:, :, row, column].T, bias)
                    out[:, :, row::2, column::2] = linear.movedim(-1, 1)
            return out

        x = double(x, w["0.weight"], w["0.bias"])
        x = F.layer_norm(x.movedim(1, -1), (x.shape[1],), w["1.weight"], w["1.bias"], 1e-6).movedim(-1, 1)
        return F.gelu(double(F.gelu(x), w["3.weight"], w["3.bias"]))

    upscaling.upscale(loops)
    assert "passed" in capsys.readouterr().out


# --- 3: remove the painting ---


@pytest.mark.parametrize("mistake", _PATTERN_MISTAKES)
def test_usual_mistake_with_the_patterns_is_recognised(mistake):
    error = refusal(upscaling.without_painting, lambda upscaled: _pattern_variant(upscaled, mistake))
    assert _PATTERN_MISTAKES[mistake] in str(error)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda upscaled: upscaled / 2, "none of the usual mistakes"),
        (lambda upscaled: F.max_pool2d(upscaled, 4).repeat_interleave(4, -1).repeat_interleave(4, -2), "none of"),
        (lambda upscaled: F.avg_pool2d(upscaled, 4), "at all 16 pixels"),
        (lambda upscaled: upscaled[0], "keeps the shape"),
        (lambda upscaled: 3, "expected a tensor"),
        (lambda: 3, "it fails with TypeError"),
        (lambda upscaled: upscaled * math.nan, "not finite"),
    ],
)
def test_unlisted_mistake_with_the_patterns_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        upscaling.without_painting(function)


@pytest.mark.parametrize("seed", [18, 38, 42, 50])
def test_the_right_sizes_pass_in_every_global_random_state(seed, capsys):
    """With one channel of random weights, a changed pixel could happen to round to its old value."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        upscaling.sizes(upscaling.sizes.solution)
    assert "passed" in capsys.readouterr().out
