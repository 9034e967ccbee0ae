"""The exercises of notebook 08: the usual mistakes by name, and others."""

import math

import pytest
import torch
from exercise_cases import refusal, with_entry

from sam_edu.exercises import WrongAnswer, mask_decoder
from sam_edu.exercises.mask_decoder import _CASES, _MISTAKES, _SHIFTS, _inputs, _true_shapes, _variant
from sam_edu.exercises.solutions import mask_decoder as solutions

# --- 1: predict the shape ---


@pytest.mark.parametrize("case", "abc")
def test_solution_is_what_the_decoder_gives(case):
    assert _true_shapes(case) == solutions.SHAPES[case]


@pytest.mark.parametrize(
    ("case", "name", "value", "hint"),
    [
        ("a", "tokens", (7, 256), "The first axis is missing"),
        ("b", "iou", (1,), "The first axis is missing"),
        ("a", "src", (1, 4096, 256), "There are 4 axes"),
        ("b", "tokens", (1, 7, 256), "How many prompt sets"),
        ("a", "tokens", (1, 6, 256), "One is missing"),
        ("c", "tokens", (2, 13, 128), "One too many"),
        ("c", "tokens", (2, 7, 128), "Count again"),
        ("a", "src", (1, 64, 64, 256), "The channels come before"),
        ("a", "masks", (1, 4, 64, 64), "doubles it twice"),
        ("c", "returned", (2, 5, 32, 48), "doubles it twice"),
        ("a", "returned", (1, 3, 1024, 1024), "never sees the image's own size"),
        ("a", "masks", (1, 3, 256, 256), "All masks are always computed"),
        ("a", "returned", (1, 4, 256, 256), "never all of them"),
        ("c", "iou", (2, 6), "never all of them"),
        ("b", "returned", (3, 3, 256, 256), "multimask_output is False here"),
        ("a", "iou", (1, 1), "multimask_output is True here"),
        ("c", "src", (2, 128, 48, 32), "Name each axis"),  # two that are not listed
        ("a", "masks", (1, 32, 256, 256), "Name each axis"),
        ("a", "iou", 3, "expected a tuple of whole numbers"),
        ("a", "masks", ..., "still empty: masks in a"),
    ],
)
def test_wrong_shape_fails_with_its_hint(case, name, value, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mask_decoder.shapes(with_entry(solutions.SHAPES, case, name, value))


# --- 2: write the decoder ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    def wrong(*inputs):
        try:
            return _variant(*inputs, mistake)
        except (RuntimeError, IndexError):  # a mistake that does not run where there is no prompt token
            return solutions.decode(*inputs)

    hint = _MISTAKES[mistake]
    if mistake == "multimask exchanged":  # the shape shows it first
        hint = "multimask_output=True returns masks 1"
    assert hint in str(refusal(mask_decoder.forward, wrong))


def test_variant_without_a_mistake_is_right():
    for case in _CASES:
        with torch.no_grad():
            torch.testing.assert_close(_variant(*_inputs(case)), solutions.decode(*_inputs(case)))


right = solutions.decode


def on_masks(change):
    def answer(*inputs):
        masks, iou = right(*inputs)
        return change(masks), iou

    return answer


def all_masks(decoder, *inputs):
    return decoder.predict_masks(*inputs[:-1])


def always_several(*inputs):
    return right(*inputs[:-1], True)


def alone_otherwise(decoder, image, pe, sparse, dense, multimask):
    masks, iou = right(decoder, image, pe, sparse, dense, multimask)
    return (masks, iou) if len(sparse) > 1 else (masks + 1, iou)


def changes_its_inputs(decoder, image, pe, sparse, dense, multimask):
    dense += image
    return right(decoder, 0 * image, pe, sparse, dense, multimask)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (all_masks, "All masks are returned"),
        (on_masks(lambda m: m[..., ::4, ::4]), "step \\(5\\) is missing"),
        (on_masks(lambda m: m.mT), "Height and width are exchanged"),
        (on_masks(lambda m: m.flatten(2)), "Fold the pixels back"),
        (on_masks(lambda m: m[:, 0]), "Fold the pixels back|the axis of the masks"),
        (on_masks(lambda m: m[:, :, 1:]), "expected shape"),
        (on_masks(lambda m: 3), "expected a tensor"),
        (lambda *inputs: right(*inputs)[0], "expected two results"),
        (lambda decoder, image: image, "it fails with TypeError"),
        (lambda d, i, p, s, e, m: (i @ s, s), "it fails with RuntimeError"),
        (on_masks(lambda m: math.nan * m), "not finite"),
        (on_masks(lambda m: 0.5 * m), "none of the usual"),  # two that are not listed
        (on_masks(lambda m: m + 1), "none of the usual"),
        (alone_otherwise, "a prompt set alone"),
        (changes_its_inputs, "changed in place"),
        (lambda *inputs: (right(*inputs)[0], all_masks(*inputs)[1]), "iou: .* All masks are returned"),
        (always_several, r"masks: .* got \(2, 4, 12, 20\)\. multimask_output=True returns"),
        (lambda *inputs: (torch.zeros(2, 4, 3, 9), 0), r"got \(2, 4, 3, 9\)\.$"),  # for these two no hint fits
        (lambda *inputs: (right(*inputs)[0], torch.zeros(9)), r"got \(9,\)\.$"),
        (lambda *inputs: (right(*inputs)[0], right(*inputs)[1][:, :1]), "iou: .* multimask_output=True returns"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mask_decoder.forward(function)


def test_something_else_than_a_function_fails():
    with pytest.raises(WrongAnswer, match="expected your function"):
        mask_decoder.forward(3)
    with pytest.raises(WrongAnswer, match="expected your function"):
        mask_decoder.shift([3])


def test_the_decoder_itself_passes(capsys):
    mask_decoder.forward(lambda decoder, *inputs: decoder(*inputs))
    assert "passed" in capsys.readouterr().out


# --- 3: read one slot too far ---


@pytest.mark.parametrize("number", range(len(_SHIFTS)))
def test_usual_mistake_with_slots_is_recognised(number):
    mistake, hint = _SHIFTS[number]
    assert hint in str(refusal(mask_decoder.shift, mistake))


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x: x[:, 1:], "keeps the shape"),
        (lambda x: 3, "expected a tensor"),
        (lambda x, y: x, "it fails with TypeError"),
        (lambda x: x.flip(1), "Slots 0 to 4 hold"),  # two that are not listed
        (lambda x: 2 * solutions.one_too_far(x), "Slots 0 to 4 hold"),
    ],
)
def test_wrong_slots_fail_with_their_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mask_decoder.shift(function)
