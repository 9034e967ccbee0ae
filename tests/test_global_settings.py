"""PyTorch's global settings, its default device and its default dtype, change nothing that the package computes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from predictors import CLICK, logits, make_predictor, make_sam, random_image, result
from torch import Tensor

import sam_edu
from sam_edu import checkpoints
from sam_edu.arrays import to_numpy
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load_from_environment, load_mask_decoder, tiny_weights

SETTINGS: dict[str, tuple[Callable[[Any], None], Any]] = {
    "device meta": (torch.set_default_device, "meta"),
    "device cpu": (torch.set_default_device, "cpu"),
    "float64": (torch.set_default_dtype, torch.float64),
    "float16": (torch.set_default_dtype, torch.float16),
}


@contextmanager
def setting(name: str) -> Iterator[None]:
    """One of the settings while the block lasts."""
    function, value = SETTINGS[name]
    before = torch.get_default_dtype()
    function(value)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)


MODEL = make_sam()
RECORD = {
    "image": torch.from_numpy(random_image(48, 64)).permute(2, 0, 1),
    "original_size": (96, 128),
    "point_coords": torch.tensor([[[20.0, 30.0]]]),
    "point_labels": torch.tensor([[1]]),
    "mask_inputs": torch.from_numpy(logits())[None],
}


def state(model: torch.nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def of_environment() -> list[Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(checkpoints.ENVIRONMENT_VARIABLE, str(tiny_weights()))
        model = load_from_environment()
    assert model is not None
    return state(model)


def several(predictor: Predictor) -> list[Tensor]:
    coords, labels = torch.from_numpy(CLICK["point_coords"])[None], torch.from_numpy(CLICK["point_labels"])[None]
    return list(predictor.predict_torch(coords, labels, return_logits=True))


def traced() -> list[Tensor]:
    with sam_edu.trace(MODEL) as t:
        result(make_predictor(MODEL))
    return list(t.values())


def intervened(how: Any) -> list[np.ndarray]:
    with sam_edu.intervene(MODEL, "hs", how, tokens=[0, 2]):
        return result(make_predictor(MODEL))


def of_example() -> list[np.ndarray]:
    example = sam_edu.example()
    return [example.image, example.masks, example.click, example.box]


def with_box_and_mask() -> list[np.ndarray]:
    predictor = make_predictor(MODEL)
    return list(predictor.predict(**CLICK, box=[3, 4, 40, 30], mask_input=logits(), return_logits=True))


CALLS: dict[str, Callable[[], list[Any]]] = {
    "load": lambda: state(sam_edu.load()),
    "load_from_environment": of_environment,
    "load_mask_decoder": lambda: state(load_mask_decoder()),
    "predict": lambda: result(make_predictor(MODEL)),
    "predict with a box and a mask": with_box_and_mask,
    "predict_torch": lambda: several(make_predictor(MODEL)),
    "fast": lambda: result(make_predictor(MODEL, fast=True)),
    "forward": lambda: list(MODEL([RECORD], True)[0].values()),
    "trace": traced,
    "intervene with zero": lambda: intervened("zero"),
    "intervene with the token mean": lambda: intervened("token_mean"),
    "intervene with a function": lambda: intervened(lambda x: 2 * x),
    "example": of_example,
    "image": lambda: [sam_edu.image("chelsea.png")],
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("call", CALLS)
def test_a_global_setting_changes_nothing(call: str, name: str) -> None:
    wanted = CALLS[call]()
    with setting(name):
        got = CALLS[call]()
    assert len(got) == len(wanted) > 0
    for ours, before in zip(got, wanted, strict=True):
        assert type(ours) is type(before)
        assert ours.dtype == before.dtype
        if isinstance(ours, Tensor):
            assert ours.device == before.device
            assert torch.equal(ours, before)
        else:
            assert np.array_equal(ours, before)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_loaded_model_computes_under_the_setting(name: str) -> None:
    wanted = make_tiny_result(sam_edu.load())
    with setting(name):
        got = make_tiny_result(sam_edu.load())
    assert all(map(np.array_equal, got, wanted))


def make_tiny_result(model: Sam) -> list[np.ndarray]:
    predictor = Predictor(model)
    predictor.set_image(random_image(48, 64))
    return result(predictor)


def test_a_model_without_values_is_refused_where_values_are_needed() -> None:
    predictor = Predictor(sam_edu.load(device="meta"))
    predictor.set_image(random_image(48, 64))
    with pytest.raises(ValueError, match=r"expected a tensor with values, got one on the device meta; load the model"):
        predictor.predict(**CLICK)


def test_a_tensor_without_values_is_refused_as_a_prompt_and_as_a_result() -> None:
    predictor = make_predictor(MODEL)
    with setting("device meta"):
        click = torch.ones(1, 2)
    with pytest.raises(ValueError, match="point_coords: expected numbers, got a tensor without values"):
        predictor.predict(click, [1])
    with pytest.raises(ValueError, match="expected a tensor with values"):
        to_numpy(click)
