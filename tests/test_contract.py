"""Meta's SamPredictor, Sam and ResizeLongestSide by name: every public attribute is ours, or is listed with a reason.

The methods' parameters, their order and their defaults are compared in test_defaults.py.
"""

from typing import Any

import pytest
import torch
from predictors import CLICK, make_predictor, make_sam, random_image

from sam_edu import official
from sam_edu.predictor import Predictor
from sam_edu.resize import ResizeLongestSide
from sam_edu.sam import Sam

LEFT_OUT = {
    "Predictor": {
        "orig_h": "set to None by reset_image and never again, in Meta's code too",
        "orig_w": "as orig_h",
        "input_h": "as orig_h",
        "input_w": "as orig_h",
    },
    "Sam": {},
    "ResizeLongestSide": {"apply_image_torch": "resizes to a wrong size, and is not what the model expects"},
}
"""Per class what Meta's has and ours has not, and why."""

OURS_ALONE = {
    "Predictor": {"fast_mask_decoder": "Predictor(model, fast=True)"},
    "Sam": {"image_size": "Meta's Sam reads it from its image encoder"},
    "ResizeLongestSide": {},
}
"""Per class what ours has and Meta's has not, and why."""


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[Any, Any]]:
    """An object of each of our classes with an image set, and Meta's."""
    sam = make_sam()
    theirs = official.sam_predictor(
        sam.image_encoder, official.to_official(sam.prompt_encoder), official.to_official(sam.mask_decoder)
    )
    theirs.set_image(random_image(48, 64))
    ours = make_predictor(sam)
    return {
        "Predictor": (ours, theirs),
        "Sam": (sam, theirs.model),
        "ResizeLongestSide": (ours.transform, theirs.transform),
    }


def public(one: Any) -> set[str]:
    """The public names of an object, without those of every module."""
    names = {name for name in dir(one) if not name.startswith("_")}
    return names - set(dir(torch.nn.Module())) | ({"forward"} if isinstance(one, torch.nn.Module) else set())


@pytest.mark.parametrize("name", LEFT_OUT)
def test_every_public_name_of_metas_is_ours_or_is_listed(pairs: dict[str, tuple[Any, Any]], name: str) -> None:
    ours, theirs = (public(one) for one in pairs[name])
    assert len(theirs) > 4
    assert theirs - ours == set(LEFT_OUT[name])
    assert ours - theirs == set(OURS_ALONE[name])
    assert all(reason for reasons in (LEFT_OUT[name], OURS_ALONE[name]) for reason in reasons.values())


@pytest.mark.parametrize("name", LEFT_OUT)
def test_values_of_the_same_name_are_of_the_same_kind(pairs: dict[str, tuple[Any, Any]], name: str) -> None:
    ours, theirs = pairs[name]
    for key in public(theirs) - set(LEFT_OUT[name]):
        got, wanted = getattr(ours, key), getattr(theirs, key)
        if isinstance(wanted, torch.nn.Module) or key == "transform":
            assert type(got).__name__ in (type(wanted).__name__, "Sam"), key
        elif isinstance(wanted, torch.Tensor):
            torch.testing.assert_close(got, wanted, rtol=0, atol=0)
        elif not callable(wanted):
            assert (type(got), got) == (type(wanted), wanted), key


@pytest.mark.parametrize("cls", [Predictor, Sam, ResizeLongestSide])
def test_reset_and_state_are_metas(pairs: dict[str, tuple[Any, Any]], cls: type) -> None:
    assert isinstance(pairs[cls.__name__][0], cls)
    ours, theirs = pairs["Predictor"]
    for predictor in (ours, theirs):
        predictor.reset_image()
        assert predictor.is_image_set is False
        assert predictor.features is None
        with pytest.raises(RuntimeError, match="set_image"):
            predictor.predict(**CLICK)
        predictor.set_image(random_image(48, 64))
        assert predictor.is_image_set is True


def test_users_assign_to_every_attribute_that_metas_lets_them(pairs: dict[str, tuple[Any, Any]]) -> None:
    for one in pairs["Predictor"]:
        for key in ("features", "original_size", "input_size", "is_image_set", "transform", "model"):
            setattr(one, key, getattr(one, key))
