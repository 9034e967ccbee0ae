"""Prompts that a Predictor refuses, each with a message that names the way out."""

import tempfile
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from predictors import (
    Refused,
    check_refused,
    hints_of,
    logits,
    on_batch,
    on_points,
    on_prompt,
    with_value,
)
from torch import nn

from sam_edu.predictor import Predictor
from sam_edu.prompt_checks import check_flag

ONE = torch.ones(1, 1)
REFUSED = {
    # points
    "no labels": on_prompt(ValueError, "point_labels: .*got None", point_coords=[[1, 2]]),
    "no points": on_prompt(ValueError, "point_coords: .*got None", point_labels=[1]),
    "too few labels": on_points([[1, 2], [3, 4]], [1], ValueError, r"point_labels: expected shape \(2,\).*got \(1,\)"),
    "too many labels": on_points([[1, 2]], [1, 0], ValueError, r"point_labels: expected shape \(1,\).*got \(2,\)"),
    "labels of rank 2": on_points([[1, 2]], [[1]], ValueError, r"point_labels: .*got \(1, 1\)"),
    "one bare point": on_points([1, 2], [1], ValueError, r"point_coords: expected shape .*got \(2,\)"),
    "points of rank 3": on_points([[[1, 2]]], [[1]], ValueError, r"point_coords: .*got \(1, 1, 2\)"),
    "three numbers": on_points([[1, 2, 3]], [1], ValueError, r"point_coords: .*got \(1, 3\)"),
    "ragged": on_points([[1, 2], [3]], [1, 1], ValueError, "point_coords: .*different lengths"),
    "no click": on_points(np.zeros((0, 2)), [], ValueError, "point_coords: .*at least one click"),
    "words": on_points([["1", "2"]], [1], TypeError, "point_coords: expected numbers"),
    "half a None": on_points([[1, None]], [1], TypeError, "point_coords: expected numbers"),
    "words for labels": on_points([[1, 2]], ["yes"], TypeError, "point_labels: expected numbers"),
    "label 2": on_points([[1, 2]], [2], ValueError, r"point_labels\[0\]: .*got 2"),
    "label -2": on_points([[1, 2], [3, 4]], [1, -2], ValueError, r"point_labels\[1\]: .*got -2"),
    "label 0.5": on_points([[1, 2]], [0.5], ValueError, r"point_labels\[0\]: .*got 0.5"),
    "label NaN": on_points([[1, 2]], [np.nan], ValueError, r"point_labels\[0\]: .*got nan"),
    "point NaN": on_points([[1, 2], [np.nan, 3]], [1, 1], ValueError, r"point_coords\[1\]: \(nan, 3\) is not finite"),
    "point infinite": on_points([[1, -np.inf]], [1], ValueError, r"point_coords\[0\]: \(1, -inf\) is not finite"),
    "right of it": on_points(
        [[64.5, 2]], [1], ValueError, r"point_coords\[0\]: \(64.5, 2\) lies outside .* image is 64 x 48"
    ),
    "below it": on_points([[1, 1], [2, 50]], [1, 0], ValueError, r"point_coords\[1\]: \(2, 50\) lies outside"),
    "left of it": on_points([[-1, 2]], [1], ValueError, r"\(-1, 2\) lies outside .* x goes from 0 to 64"),
    "row, column": on_points([[10, 60]], [1], ValueError, r"\(10, 60\) lies outside .* x comes first"),
    "labels None": on_points(
        [[1, 2]], [None], TypeError, r"point_labels: expected numbers, got list of object: \[None\]"
    ),
    "labels of two clicks": on_points([[1, 2]], [1, 1], ValueError, "2 labels for 1 clicks"),
    "complex": on_points([[1j, 2]], [1], TypeError, "point_coords: expected numbers, got list of complex128"),
    "without values": on_points(torch.ones(1, 2, device="meta"), [1], ValueError, "point_coords: .*device meta"),
    "masked": on_points(
        np.ma.masked_equal([[1.0, 2.0]], 2.0), [1], ValueError, r"point_coords: .*masked array; fill it first"
    ),
    "several is None": on_prompt(
        TypeError, "multimask_output: expected True or False, got None", multimask_output=None
    ),
    "several is a word": on_prompt(TypeError, "multimask_output: .*got 'False'", multimask_output="False"),
    "logits is 2": on_prompt(TypeError, "return_logits: expected True or False, got 2", return_logits=2),
    # boxes
    "box as x, y, w, h": on_prompt(ValueError, r"x \+ width, y \+ height", box=[40, 30, 10, 12]),
    "top, left, bottom, right": on_prompt(ValueError, "lies outside.*x comes first", box=[3, 4, 20, 60]),
    "box NaN": on_prompt(ValueError, "box: .*not finite", box=[1, 2, np.nan, 4]),
    "box infinite": on_prompt(ValueError, "box: .*not finite", box=[1, 2, np.inf, 4]),
    "box outside": on_prompt(ValueError, r"box: \(1, 2, 70, 4\) lies outside", box=[1, 2, 70, 4]),
    "box above": on_prompt(ValueError, "box: .*lies outside", box=[1, -2, 7, 4]),
    "box without width": on_prompt(ValueError, "box: .*it is empty", box=[5, 2, 5, 9]),
    "box without area": on_prompt(ValueError, "box: .*it is empty", box=np.zeros(4)),
    "box swapped": on_prompt(ValueError, "box: .*x0 < x1.*swapped", box=[9, 2, 5, 9]),
    "box swapped, unsigned": on_prompt(ValueError, "box: .*swapped", box=np.array([5, 9, 9, 2], np.uint8)),
    "box of 3": on_prompt(ValueError, r"box: expected four numbers.*got shape \(3,\)", box=[1, 2, 3]),
    "box of 5": on_prompt(ValueError, r"box: .*\(5,\)", box=[1, 2, 3, 4, 5]),
    "two boxes": on_prompt(ValueError, r"box: .*\(2, 4\)", box=[[1, 2, 3, 4]] * 2),
    "corners": on_prompt(ValueError, r"box: .*\(2, 2\)", box=[[1, 2], [3, 4]]),
    "a word": on_prompt(TypeError, "box: expected numbers", box="all"),
    # mask inputs
    "mask too large": on_prompt(
        ValueError, r"mask_input: .*\(1, 32, 32\), got \(1, 64, 64\)", mask_input=np.ones((1, 64, 64))
    ),
    "mask without axis": on_prompt(ValueError, r"mask_input: .*low_res\[i : i \+ 1\]", mask_input=logits()[0]),
    "three masks": on_prompt(ValueError, "mask_input: .*got", mask_input=np.repeat(logits(), 3, axis=0)),
    "mask NaN": on_prompt(ValueError, "mask_input: .*NaN", mask_input=with_value(logits(), np.nan)),
    "mask infinite": on_prompt(ValueError, "mask_input: .*infinity", mask_input=with_value(logits(), np.inf)),
    "bool mask": on_prompt(TypeError, "mask_input: .*got bool", mask_input=logits() > 0),
    "whole numbers": on_prompt(TypeError, "mask_input: .*got uint8", mask_input=np.uint8(logits() > 0)),
    "0/1 mask": on_prompt(ValueError, "mask_input: .*a mask of 0 and 1", mask_input=np.float32(logits() > 0)),
    "0/255 mask": on_prompt(ValueError, "mask_input: .*0 and 255", mask_input=255 * np.float32(logits() > 0)),
    "full mask": on_prompt(ValueError, "mask_input: .*0 and 1", mask_input=np.ones_like(logits())),
    "mask of the image's size": on_prompt(
        ValueError, r"mask_input: .*\(1, 48, 64\); .*grid", mask_input=np.ones((1, 48, 64))
    ),
    "mask with the batch's axis": on_prompt(ValueError, r"mask_input\[0\]", mask_input=logits()[None]),
    # batches in the model's frame
    "batch of a list": on_batch(TypeError, r"boxes: .*list; .*torch\.as_tensor\(boxes\)", None, None, [[1, 2, 3, 4]]),
    "batch without labels": on_batch(ValueError, "point_labels", torch.ones(1, 1, 2), None),
    "batch without points": on_batch(ValueError, "point_coords", None, ONE),
    "batch of an array": on_batch(TypeError, "point_coords: .*Tensor", np.ones((1, 1, 2)), ONE),
    "batch of rank 2": on_batch(ValueError, "point_coords: expected shape", torch.ones(1, 2), ONE),
    "batch of other labels": on_batch(ValueError, "point_labels: expected shape", torch.ones(2, 1, 2), ONE),
    "batch label 3": on_batch(ValueError, r"point_labels\[0, 0\]: .*got 3", torch.ones(1, 1, 2), 3 * ONE),
    "batch outside": on_batch(
        ValueError,
        r"point_coords\[1, 0\]: \(60, 60\) .*64 x 48",
        torch.tensor([[[1, 1]], [[60, 60]]]),
        torch.ones(2, 1),
    ),
    "batch box swapped": on_batch(
        ValueError, r"boxes\[1\]: .*swapped", None, None, torch.tensor([[1, 2, 3, 4], [3, 2, 1, 4]])
    ),
    "batch box of 3": on_batch(ValueError, "boxes: expected shape", None, None, torch.ones(1, 3)),
    "batch of unlike numbers": on_batch(
        ValueError, "as many boxes as prompt sets", torch.ones(2, 1, 2), torch.ones(2, 1), torch.tensor([[1, 2, 3, 4]])
    ),
    "batch mask": on_batch(ValueError, "mask_input: expected shape", None, None, mask_input=torch.ones(1, 32, 32)),
    "batch 0/1 mask": on_batch(ValueError, "0 and 1", None, None, mask_input=torch.ones(2, 1, 32, 32)),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused_and_the_next_result_is_the_same(predictor: Predictor, case: Refused) -> None:
    check_refused(predictor, case)


# Words that help, and the cases that they are for: in the others they would mislead.
HINTS = {
    "take low_res": {"mask without axis"},
    "choose one of the masks": {"three masks"},
    "without the batch's axis: mask_input[0]": {"mask with the batch's axis"},
    "not as large as the image": {"mask too large", "mask of the image's size"},
    "20 * mask - 10": {
        "mask too large",
        "mask of the image's size",
        "bool mask",
        "whole numbers",
        "0/1 mask",
        "full mask",
        "0/255 mask",
        "batch 0/1 mask",
    },
    "leave it out where there are no clicks": {"no click"},
    "for one click give [[x, y]]": {"one bare point"},
    "several use predict_torch": {"points of rank 3", "two boxes"},
    "for two corners give box.reshape(4)": {"corners"},
    "its corners are swapped": {"box swapped", "box swapped, unsigned", "batch box swapped", "box as x, y, w, h"},
    "it is empty": {"box without width", "box without area"},
    "is not finite": {"point NaN", "point infinite", "box NaN", "box infinite"},
    "lies outside": {
        "right of it",
        "below it",
        "left of it",
        "box outside",
        "box above",
        "batch outside",
        "row, column",
        "top, left, bottom, right",
    },
    "if it is (row, column)": {"below it", "row, column"},
    "if it is (top, left, bottom, right)": {"top, left, bottom, right"},
    "if it is (x, y, width, height)": {
        "box swapped",
        "box swapped, unsigned",
        "batch box swapped",
        "box without width",
        "box as x, y, w, h",
    },
    "NaN or infinity": {"mask NaN", "mask infinite"},
    "a mask of 0 and 1;": {"0/1 mask", "full mask", "batch 0/1 mask"},
    "a mask of 0 and 255;": {"0/255 mask"},
    "2 and 3 are a box's corners": {"label 2", "batch label 3"},
    "0 not on it, or -1 for padding": {"words for labels", "labels None"},
    "torch.as_tensor(": {"batch of an array", "batch of a list"},
}


@pytest.mark.no_shape_check
def test_hints_are_given_where_they_help_and_nowhere_else(predictor: Predictor) -> None:
    assert hints_of(predictor, REFUSED, HINTS) == HINTS


@pytest.mark.parametrize(
    ("box", "problem"), [((5, 9, 9, 2), "swapped"), ((9, 2, 5, 2), "swapped"), ((5, 2, 9, 2), "empty")]
)
def test_a_box_is_swapped_or_empty_on_either_axis(predictor: Predictor, box: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"box: .*\({', '.join(map(str, box))}\): .* {problem}(; if it is |$)"):
        predictor.predict(box=np.array(box))


FORMS = {
    "bfloat16": lambda x: torch.tensor(x, dtype=torch.bfloat16),
    "float16": lambda x: torch.tensor(x, dtype=torch.float16),
    "8-bit floats": lambda x: torch.tensor(x, dtype=torch.float32).to(torch.float8_e5m2),
    "with a gradient": lambda x: torch.tensor(x, dtype=torch.float32, requires_grad=True),
    "a parameter": lambda x: nn.Parameter(torch.tensor(x, dtype=torch.float32)),
    "int32": lambda x: torch.tensor(x, dtype=torch.int32),
    "sparse": lambda x: torch.tensor(x).to_sparse(),
    "negative view": lambda x: torch.tensor(x).mul(-1j).conj().imag,
    "made in inference mode": lambda x: torch.inference_mode()(torch.tensor)(x),
    "tensors in a list": lambda x: [torch.tensor(one, dtype=torch.bfloat16) for one in x],
    "tuples": lambda x: tuple(map(tuple, x)) if isinstance(x[0], list) else tuple(x),
    "big-endian": lambda x: np.array(x, ">f4"),
    "long double": lambda x: np.array(x, np.longdouble),
    "unsigned": lambda x: np.array(x, np.uint16),
    "Fortran's order": lambda x: np.asfortranarray(np.array(x, float)),
    "mirrored": lambda x: np.array(x[::-1], float)[::-1],
    "every other": lambda x: np.repeat(np.array(x, float), 2, axis=0)[::2],
    "a matrix": lambda x: np.matrix(x) if isinstance(x[0], list) else np.array(x),
    "unmasked": lambda x: np.ma.array(x),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_numbers_is_the_same_prompt(predictor: Predictor, form: Any) -> None:
    points, labels, box = [[20.0, 32.0], [8.0, 4.0]], [1.0, 0.0], [4.0, 8.0, 48.0, 40.0]
    wanted = predictor.predict(np.array(points), np.array(labels), np.array(box))
    got = predictor.predict(form(points), form(labels), form(box))
    assert all(map(np.array_equal, got, wanted))
    if isinstance(form(box), torch.Tensor):
        batch = predictor.predict_torch(form([points]), form([labels]), form([box]))
        torch.testing.assert_close(batch[2][0].numpy(), wanted[2], rtol=1e-4, atol=1e-5)


MASK_FORMS = {
    "mirrored": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "mapped from a file": lambda x: mapped(x),
    "big-endian": lambda x: x.astype(">f8"),
    "Fortran's order": np.asfortranarray,
    "float16": lambda x: x.astype(np.float16),
    "bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
    "with a gradient": lambda x: torch.from_numpy(x).requires_grad_(),
    "lists": lambda x: x.tolist(),
}


def mapped(x: np.ndarray) -> np.ndarray:
    """The same numbers in a file that is removed with the array."""
    with tempfile.TemporaryFile() as stream:
        file = np.memmap(stream, x.dtype, "w+", shape=x.shape)
    file[:] = x
    return file


@pytest.mark.no_shape_check
@pytest.mark.parametrize("form", MASK_FORMS.values(), ids=MASK_FORMS)
def test_every_form_of_numbers_is_the_same_mask_input(predictor: Predictor, form: Any) -> None:
    exact = torch.from_numpy(logits()).bfloat16().half().float().numpy()
    wanted = predictor.predict(mask_input=exact)
    assert all(map(np.array_equal, predictor.predict(mask_input=form(exact)), wanted))


@pytest.mark.parametrize("flag", [True, 1, np.True_, np.int64(1), torch.tensor(True)])
def test_yes_and_no_in_every_form(flag: Any) -> None:
    assert check_flag("multimask_output", flag) is True
    assert check_flag("multimask_output", flag == 0) is False


@pytest.mark.parametrize(
    "prompt",
    [
        {"point_coords": [[0.5, 0.25]], "point_labels": [1]},
        {"point_coords": [[0.5, 0.25], [0.9, 1.0]], "point_labels": [1, 0]},
        {"box": [0.1, 0.2, 0.5, 0.6]},
        {"box": torch.tensor([[0.0, 0.0, 0.5, 1.0]])},
    ],
)
def test_normalised_positions_bring_a_warning(predictor: Predictor, prompt: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="first pixel.*multiply normalised ones by the image's width and height"):
        predictor.predict(**prompt)


def test_pixels_bring_no_warning(predictor: Predictor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.predict([[0, 1], [1, 1]], [1, 0], [0, 0, 1, 1])
        predictor.predict([[0.5, 1.5]], [1])
        one_pixel = Predictor(predictor.model)
        one_pixel.set_image(np.zeros((1, 1, 3), np.uint8))
        one_pixel.predict([[0.5, 0.5]], [1])
