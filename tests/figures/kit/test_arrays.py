"""Input checks that all figures share: what is drawn, the alt text, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from examples import CLICK, IMAGE
from PIL import Image

from sam_edu import figures
from sam_edu.figures.kit.arrays import (
    as_array,
    as_distribution,
    as_image,
    as_interval,
    as_limits,
    as_mapping,
    as_maps,
    as_masks,
    as_names,
    as_rising,
    as_tuple,
    as_whole,
)
from sam_edu.figures.kit.marks import as_clicks


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.ones((4, 4, 3)), np.full((4, 4, 3), 255, np.uint8)])
def test_all_that_an_image_may_hold_is_drawn(image: np.ndarray) -> None:
    assert figures.prompts_and_masks(image).png


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.prompts_and_masks(IMAGE[..., 0]), r"image: expected shape \(height, width, 3\), got \(32, 48\)"),
    (lambda: figures.prompts_and_masks(IMAGE * 2.0), "image: expected bytes, or floats from 0 to 1"),
    (lambda: figures.prompts_and_masks(IMAGE, points=[1, 2]), r"points: expected shape \(clicks, 2\)"),
    (lambda: figures.prompts_and_masks(IMAGE, points=CLICK, labels=[1, 0]), r"labels: expected shape \(1,\)"),
    (lambda: figures.prompts_and_masks(IMAGE, box=[[1, 2, 3, 4]]), r"box: expected shape \(4,\), got \(1, 4\)"),
    (lambda: figures.prompts_and_masks(IMAGE / 255 - 0.1), "image: expected bytes, or floats from 0 to 1"),
    (lambda: figures.prompts_and_masks(IMAGE / 255 * np.nan), "image: holds numbers that are not finite"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


VALUES = [[0.0, 1.0, 2.0, 4.0], [4.0, 8.0, 16.0, 0.5]]
FORMS = {
    "lists": VALUES,
    "tensors in a list": [torch.tensor(row, dtype=torch.bfloat16) for row in VALUES],
    "bfloat16": torch.tensor(VALUES, dtype=torch.bfloat16),
    "half": torch.tensor(VALUES).half(),
    "with a gradient": torch.tensor(VALUES, requires_grad=True),
    "sparse": torch.tensor(VALUES).to_sparse(),
    "mirrored": np.array(VALUES)[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": np.array(VALUES, ">f4"),
    "float16": np.array(VALUES, np.float16),
    "Fortran's order": np.asfortranarray(VALUES),
    "a matrix": np.matrix(VALUES),
}


@pytest.mark.parametrize("values", FORMS.values(), ids=FORMS)
def test_every_form_of_numbers_is_drawn(values: Any) -> None:
    array = as_array("x", values, (2, "columns"))
    assert array.tolist() == VALUES
    assert array.dtype in (np.float32, np.float64)
    assert as_maps("x", values).shape == (2, 2, 2)
    names = ["mask 1", "mask 2"]
    assert figures.token_strip(values, names).alt == figures.token_strip(np.array(VALUES), names).alt
    assert figures.target_and_yours(values, values).alt == figures.target_and_yours(VALUES, VALUES).alt


@pytest.mark.parametrize(
    "order", [[3, 1], (3, 1), np.array([3, 1]), torch.tensor([3, -3]), iter((3, 1)), range(3, 0, -2), slice(3, 0, -2)]
)
def test_channels_are_chosen_by_every_kind_of_index(order: Any) -> None:
    maps = torch.arange(16.0).view(4, 2, 2).bfloat16()
    assert "3, 1" in figures.channels(maps, order=order, names=["3", "1"]).alt.replace(" and", ",")
    mask = figures.channels(maps, order=torch.tensor([False, True, False, True]), names=["one", "three"])
    assert "one" in mask.alt


def test_a_photograph_is_drawn_upright_with_its_colours() -> None:
    image = Image.fromarray(IMAGE)
    image.getexif()[0x0112] = 6
    assert np.array_equal(as_image(image), np.rot90(IMAGE, -1))
    grey = Image.fromarray(IMAGE[..., 0])
    assert np.array_equal(as_image(grey), np.repeat(IMAGE[..., :1], 3, axis=2))
    assert as_image(IMAGE.astype(np.int64)).dtype == np.uint8
    assert as_image(torch.from_numpy(IMAGE) / 255).max() <= 1


BAD = {
    "text": (lambda: as_array("x", [["a"]], ("rows", 1)), TypeError, "x: expected numbers, got list"),
    "None": (lambda: as_array("x", None, ("rows",)), TypeError, "x: expected numbers, got NoneType"),
    "complex": (lambda: as_array("x", [1j], ("rows",)), TypeError, "x: expected numbers"),
    "masked": (lambda: as_array("x", np.ma.masked_equal([1, 2], 2), ("rows",)), ValueError, "x: .*masked array"),
    "other lengths": (lambda: as_array("x", [[1], [1, 2]], ("rows", 1)), ValueError, "x: .*different lengths"),
    "16 bits": (lambda: as_image(IMAGE.astype(np.uint16) * 257), ValueError, "image: .*uint16 .*divide 16 bits by 257"),
    "floats to 255": (lambda: as_image(IMAGE * 1.0), ValueError, "divide it by 255"),
    "a mask": (lambda: as_image(IMAGE > 9), ValueError, "image: .*got bool"),
    "floats for numbers": (lambda: as_whole("numbers", [1.0], 1), TypeError, "numbers: .*floats"),
    "bools for numbers": (lambda: as_whole("numbers", [True], 1), TypeError, r"numbers: expected whole.*\[True\]"),
    "too few numbers": (lambda: as_whole("numbers", np.array([1]), 2), ValueError, "numbers: expected 2, one each"),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_what_is_no_array_is_refused_by_name(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_what_belongs_together_and_what_is_chosen() -> None:
    assert as_names("names", ("a", 1)) == ["a", "1"]
    assert as_names("names", [], 0) == as_names("names", [], least=0) == []
    assert as_tuple("pair", np.array([[1, 2], [3, 4]]), ("x", "y"))[1].tolist() == [3, 4]
    assert as_interval("effect", (0.5, 0.4, 0.6, 247)) == (0.5, 0.4, 0.6)
    assert as_limits("limits", torch.tensor([0.0, 1.0])) == (0.0, 1.0)
    assert as_rising("x", range(3)).tolist() == [0.0, 1.0, 2.0]
    assert as_mapping("ways", {"a": 1}) == {"a": 1}
    assert as_masks("masks", torch.tensor([[0, 1]]), (1, 2)).tolist() == [[False, True]]
    for weights in ([[0.5, 0.5]], [[0.98, 0.0]]):
        assert as_distribution("weights", np.array(weights)).tolist() == weights


def test_clicks_have_labels_that_are_labels() -> None:
    assert as_clicks([[1, 2], [3, 4]], [1, 0]) == [(1.0, 2.0, 1), (3.0, 4.0, 0)]
    assert as_clicks([[1, 2]], [-1], all_labels=True) == [(1.0, 2.0, -1)]
    assert as_clicks(None, None) == []
    for labels, words in (([2], "got 2"), ([-1], "got -1"), ([0.5], "got 0.5")):
        with pytest.raises(ValueError, match=f"labels: .*1 .positive. or 0 .negative., {words}"):
            as_clicks([[1, 2]], labels)
    with pytest.raises(ValueError, match=r"labels: expected whole numbers, got 0.5"):
        as_clicks([[1, 2]], [0.5], all_labels=True)
    with pytest.raises(ValueError, match=r"points: expected a point \(x, y\) for each label, got None"):
        as_clicks(None, [1])
