"""A small model, images and prompts that the tests of the Predictor and of its checks share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

SIDE, GRID, DIM = 64, 8, 32


class SmallEncoder(nn.Conv2d):
    """One convolution from images to the grid, with the attribute that Meta's Sam reads."""

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__(3, DIM, SIDE // GRID, stride=SIDE // GRID)


def make_sam() -> Sam:
    """A model of random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=4, mlp_dim=64)
        decoder = MaskDecoder(transformer_dim=DIM, transformer=transformer, iou_head_hidden_dim=32)
        model = Sam(SmallEncoder(), PromptEncoder(DIM, (GRID, GRID), (SIDE, SIDE), 8), decoder, image_size=SIDE)
        for parameter in model.parameters():  # norms of 1 and 0 would hide mistakes
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def make_predictor(model: Sam, **options: Any) -> Predictor:
    """A predictor with an image of 64 x 48 pixels."""
    predictor = Predictor(model, **options)
    predictor.set_image(random_image(48, 64))
    return predictor


def random_image(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def logits(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 5, (1, 4 * GRID, 4 * GRID)).astype(np.float32)


CLICK = {"point_coords": np.array([[20.0, 30.0]]), "point_labels": np.array([1])}


def result(predictor: Predictor) -> list[np.ndarray]:
    return list(predictor.predict(**CLICK, return_logits=True))


def embed(sam: Sam, image: Any, image_format: str = "RGB") -> Tensor:
    predictor = Predictor(sam)
    predictor.set_image(image, image_format)
    return predictor.get_image_embedding()


# What is refused


@dataclass
class Refused:
    """A call that cannot be meant: what it is, and the error's type and words."""

    call: Callable[[Predictor], object]
    error: type[Exception]
    words: str


def on_image(image: Any, error: type[Exception], words: str, **options: str) -> Refused:
    return Refused(lambda predictor: predictor.set_image(image, **options), error, words)


def on_prompt(error: type[Exception], words: str, **prompt: Any) -> Refused:
    return Refused(lambda predictor: predictor.predict(**prompt), error, words)


def on_points(coords: Any, labels: Any, error: type[Exception], words: str) -> Refused:
    return on_prompt(error, words, point_coords=coords, point_labels=labels)


def on_batch(error: type[Exception], words: str, *args: Any, **prompt: Any) -> Refused:
    return Refused(lambda predictor: predictor.predict_torch(*args, **prompt), error, words)


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.astype(np.float32)
    changed.flat[5] = value
    return changed


def check_refused(predictor: Predictor, case: Refused) -> None:
    """The call is refused, and the next result is the same."""
    before = result(predictor)
    state = (predictor.features, predictor.original_size, predictor.input_size)
    with pytest.raises(case.error, match=case.words):
        case.call(predictor)
    assert state == (predictor.features, predictor.original_size, predictor.input_size)
    assert all(map(np.array_equal, before, result(predictor)))


def hints_of(predictor: Predictor, cases: dict[str, Refused], hints: Iterable[str]) -> dict[str, set[str]]:
    """Per hint the cases whose message has it."""
    messages = {}
    for name, case in cases.items():
        with pytest.raises(case.error) as refusal:
            case.call(predictor)
        messages[name] = str(refusal.value)
    return {hint: {name for name in messages if hint in messages[name]} for hint in hints}
