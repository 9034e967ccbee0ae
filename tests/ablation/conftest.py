"""The models that the tests of ablations share."""

from pathlib import Path

import pytest
import torch
from ablation_cases import make_decoder

from sam_edu.modules import MaskDecoder
from sam_edu.sam import Sam, build_tiny, load
from sam_edu.training.trainer import export


@pytest.fixture(scope="module")
def model() -> Sam:
    """The trained model of the package."""
    return load()


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    """An untrained decoder, see `ablation_cases`."""
    return make_decoder()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights of the tiny model, as the trainer stores them."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        export(build_tiny(), path)
    return path
