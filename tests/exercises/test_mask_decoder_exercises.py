"""Notebook 08's exercises: stubs, solutions, the usual mistakes by name, and others."""

import math

import pytest
import torch

from sam_edu.exercises import WrongAnswer, mask_decoder
from sam_edu.exercises import mask_decoder_solutions as solutions
from sam_edu.exercises.mask_decoder import _CASES, _MISTAKES, _SHIFTS, _inputs, _true_shapes, _variant

EXERCISES = (mask_decoder.shapes, mask_decoder.forward, mask_decoder.shift)


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_solution_passes(exercise, capsys):
    exercise(exercise.solution)
    assert capsys.readouterr().out == f"{exercise.name}: passed\n"


def raises(*args):
    raise NotImplementedError


EMPTY = {case: dict.fromkeys(("tokens", "src", "masks", "returned", "iou"), ...) for case in "abc"}


@pytest.mark.parametrize(
    ("exercise", "stub"),
    [
        (mask_decoder.shapes, None),
        (mask_decoder.shapes, ...),
        (mask_decoder.shapes, {}),
        (mask_decoder.shapes, EMPTY),
        (mask_decoder.shapes, {"a": ..., "b": None}),
        (mask_decoder.forward, None),
        (mask_decoder.forward, lambda *inputs: None),
        (mask_decoder.forward, raises),
        (mask_decoder.shift, ...),
        (mask_decoder.shift, lambda hs: None),
        (mask_decoder.shift, raises),
    ],
)
def test_untouched_stub_is_not_attempted(exercise, stub, capsys):
    assert exercise(stub) is None
    assert capsys.readouterr().out == f"{exercise.name}: not attempted\n"


def test_nothing_is_drawn_from_the_readers_random_numbers():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    for exercise in EXERCISES:
        exercise(exercise.solution)
    assert torch.equal(torch.randn(3), expected)


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
        ("a", "returned", (1, 3, 1024, 1024), "never sees the picture's own size"),
        ("a", "masks", (1, 3, 256, 256), "All masks are made every time"),
        ("a", "returned", (1, 4, 256, 256), "never all of them"),
        ("c", "iou", (2, 6), "never all of them"),
        ("b", "returned", (3, 3, 256, 256), "multimask_output is False here"),
        ("a", "iou", (1, 1), "multimask_output is True here"),
        ("c", "src", (2, 128, 48, 32), "Ask for each axis"),  # two that are on no list
        ("a", "masks", (1, 32, 256, 256), "Ask for each axis"),
        ("a", "iou", 3, "expected a tuple of whole numbers"),
        ("a", "masks", ..., "still empty: masks in a"),
    ],
)
def test_wrong_shape_fails_with_its_hint(case, name, value, hint):
    answer = {key: dict(row) for key, row in solutions.SHAPES.items()}
    answer[case][name] = value
    with pytest.raises(WrongAnswer, match=hint):
        mask_decoder.shapes(answer)


@pytest.mark.parametrize("answer", [3, [1], {"e": {}}, {"a": 3}, {"a": {"x": (1,)}}])
def test_something_else_than_shapes_fails(answer):
    with pytest.raises(WrongAnswer, match="expected a dict"):
        mask_decoder.shapes(answer)


# --- 2: write it ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    def wrong(*inputs):
        try:
            return _variant(*inputs, mistake)
        except (RuntimeError, IndexError):  # a mistake that does not run where there is no prompt token
            return solutions.decode(*inputs)

    with pytest.raises(WrongAnswer) as caught:
        mask_decoder.forward(wrong)
    # That one shows in the shape already, which is looked at first.
    told = "multimask_output=True returns masks 1" if mistake == "multimask exchanged" else _MISTAKES[mistake]
    assert told in str(caught.value)


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


def all_of_them(decoder, *inputs):
    return decoder.predict_masks(*inputs[:-1])


def never_one(*inputs):
    return right(*inputs[:-1], True)


def alone_otherwise(decoder, image, pe, sparse, dense, multimask):
    masks, iou = right(decoder, image, pe, sparse, dense, multimask)
    return (masks, iou) if len(sparse) > 1 else (masks + 1, iou)


def writes_into_it(decoder, image, pe, sparse, dense, multimask):
    dense += image
    return right(decoder, 0 * image, pe, sparse, dense, multimask)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (all_of_them, "All masks came back"),
        (on_masks(lambda m: m[..., ::4, ::4]), "step \\(5\\) is missing"),
        (on_masks(lambda m: m.mT), "Height and width are exchanged"),
        (on_masks(lambda m: m.flatten(2)), "Fold the pixels back"),
        (on_masks(lambda m: m[:, 0]), "Fold the pixels back|the axis of the masks"),
        (on_masks(lambda m: m[:, :, 1:]), "expected shape"),
        (on_masks(lambda m: 3), "expected a tensor"),
        (lambda *inputs: right(*inputs)[0], "expected two things"),
        (lambda decoder, image: image, "it fails with TypeError"),
        (lambda d, i, p, s, e, m: (i @ s, s), "it fails with RuntimeError"),
        (on_masks(lambda m: math.nan * m), "not finite"),
        (on_masks(lambda m: 0.5 * m), "none of the usual"),  # two that are on no list
        (on_masks(lambda m: m + 1), "none of the usual"),
        (alone_otherwise, "a prompt set alone"),
        (writes_into_it, "written into"),
        (lambda *inputs: (right(*inputs)[0], all_of_them(*inputs)[1]), "iou: .* All masks came back"),
        (never_one, r"masks: .* got \(2, 4, 12, 20\)\. multimask_output=True returns"),
        (lambda *inputs: (torch.zeros(2, 4, 3, 9), 0), r"got \(2, 4, 3, 9\)\.$"),  # two of which nothing is known
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


# --- 3: break it ---


@pytest.mark.parametrize("number", range(len(_SHIFTS)))
def test_usual_mistake_with_slots_is_recognised(number):
    wrong, hint = _SHIFTS[number]
    with pytest.raises(WrongAnswer) as caught:
        mask_decoder.shift(wrong)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x: x[:, 1:], "keeps the shape"),
        (lambda x: 3, "expected a tensor"),
        (lambda x, y: x, "it fails with TypeError"),
        (lambda x: x.flip(1), "Slots 0 to 4 hold"),  # two that are on no list
        (lambda x: 2 * solutions.one_too_far(x), "Slots 0 to 4 hold"),
    ],
)
def test_wrong_slots_fail_with_their_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mask_decoder.shift(function)
