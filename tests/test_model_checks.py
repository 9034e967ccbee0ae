"""What a Predictor and a trace take for a model: wrappers are taken off, what is no Sam is refused."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from predictors import make_predictor, result
from torch import nn

import sam_edu
from sam_edu import official
from sam_edu.model_checks import Weights, as_sam, dtype_of, image_size, unwrap
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

pytestmark = pytest.mark.no_shape_check


class Holder:
    """Has a Sam as `.model`, as Meta's SamAutomaticMaskGenerator's predictor does."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model


WRAPPED = {
    "DataParallel": nn.DataParallel,
    "twice": lambda sam: nn.DataParallel(nn.DataParallel(sam)),
    "compiled": lambda sam: torch.compile(sam, backend="eager"),
    "compiled inside": lambda sam: nn.DataParallel(torch.compile(sam, backend="eager")),
    "compiled outside": lambda sam: torch.compile(nn.DataParallel(sam), backend="eager"),
    "as it is": lambda sam: sam,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapper_around_the_whole_is_taken_off(sam: Sam, wrap: Any) -> None:
    assert as_sam(wrap(sam)) is sam
    assert Predictor(wrap(sam)).model is sam


def test_a_compiled_part_stays_compiled(sam: Sam) -> None:
    model = copy.deepcopy(sam)
    model.image_encoder = torch.compile(model.image_encoder, backend="eager")
    for got, wanted in zip(result(make_predictor(model)), result(make_predictor(sam)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_a_data_parallel_model_is_traced_under_the_usual_names(sam: Sam) -> None:
    predictor = make_predictor(sam)
    with sam_edu.trace(nn.DataParallel(sam)) as t, sam_edu.intervene(nn.DataParallel(sam), "hs", "zero"):
        result(predictor)
    assert not t["hs"].any()


def test_metas_sam_is_a_sam(sam: Sam) -> None:
    theirs = official.sam_predictor(
        sam.image_encoder, official.to_official(sam.prompt_encoder), official.to_official(sam.mask_decoder)
    ).model
    predictor = make_predictor(theirs)
    assert image_size(theirs) == image_size(sam) == 64
    for got, wanted in zip(result(predictor), result(make_predictor(sam)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


REFUSED = {
    "a name": ("tiny", r"got str: sam_edu\.Predictor\(sam_edu\.load\('tiny'\)\)"),
    "None": (None, "got NoneType"),
    "the class": (Sam, "got the class Sam itself"),
    "a predictor": (Holder(nn.Identity()), r"got Holder; its model is its attribute \.model"),
    "a state dict": ({"weight": torch.ones(1)}, "got dict"),
    "another module": (nn.Linear(2, 2), "got a Linear without image_encoder, prompt_encoder, mask_decoder"),
    "a decoder": (sam_edu.sam.build_mask_decoder(), "got a MaskDecoder without image_encoder"),
    "wrapped": (nn.DataParallel(nn.Linear(2, 2)), "got a Linear without image_encoder"),
}


@pytest.mark.parametrize(("model", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_sam_is_refused_with_a_sentence(model: Any, words: str) -> None:
    with pytest.raises(TypeError, match=rf"model: expected a Sam, such as sam_edu\.load\(\) gives, {words}"):
        Predictor(model)


def test_the_parts_that_are_asked_for(sam: Sam) -> None:
    assert unwrap(sam) is sam
    assert dtype_of(sam.mask_decoder, torch.float16) == torch.float32
    assert dtype_of(nn.Identity(), torch.float16) == torch.float16
    assert dtype_of(copy.deepcopy(sam).half(), torch.float32) == torch.float16
    quantized = nn.Linear(2, 2).half()
    quantized.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), requires_grad=False)
    assert dtype_of(quantized, torch.float32) == torch.float16  # that of its bias: whole numbers are not computed in


def test_the_size_of_images_is_the_models_own_or_its_encoders() -> None:
    encoder = SimpleNamespace(img_size=64)
    assert image_size(SimpleNamespace(image_encoder=encoder)) == 64
    assert image_size(SimpleNamespace(image_encoder=encoder, image_size=32)) == 32


def test_weights_are_noted(sam: Sam) -> None:
    encoder = copy.deepcopy(sam.image_encoder)
    noted = Weights(encoder)
    assert not noted.changed(encoder)
    assert not noted.changed(copy.deepcopy(encoder))
    assert not noted.changed(copy.deepcopy(encoder).half())
    assert noted.changed(nn.Identity())
    with torch.no_grad():
        encoder.bias[0] += 1e-3
    assert noted.changed(encoder)
    assert not Weights(encoder.to("meta")).changed(copy.deepcopy(encoder))


@pytest.mark.parametrize("where", [slice(0, 10), slice(30, 40)], ids=["first", "last"])
def test_weights_are_noted_from_all_over_a_module(where: slice) -> None:
    """Of many parameters some, and of many values some: what changes in a quarter of either is seen."""
    module = nn.ParameterList([torch.zeros(1000) for _ in range(40)])
    for change in (lambda p: p[250:500].fill_(1.0), lambda p: p[-250:].fill_(2.0)):
        noted = Weights(module)
        with torch.no_grad():
            for parameter in list(module)[where]:
                change(parameter)
        assert noted.changed(module)


def test_weights_of_other_shapes_are_others_whatever_their_dtype() -> None:
    noted = Weights(nn.Linear(2, 3))
    assert noted.changed(nn.Linear(3, 2))
    assert noted.changed(nn.Linear(3, 2).half())
