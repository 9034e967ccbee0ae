"""The models that the tests of tracing share."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # `traced_models` is imported by several tests

from traced_models import WholeModel, make_decoder

from sam_edu.modules import MaskDecoder


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    return make_decoder()


@pytest.fixture
def whole() -> WholeModel:
    torch.manual_seed(1)
    return WholeModel()
