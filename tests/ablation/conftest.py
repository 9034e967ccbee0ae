"""The models that the tests of ablations share."""

import pytest
from ablation_cases import make_decoder

from sam_edu.modules import MaskDecoder
from sam_edu.sam import Sam, load


@pytest.fixture(scope="module")
def model() -> Sam:
    """The trained model of the package."""
    return load()


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    """An untrained decoder, see `ablation_cases`."""
    return make_decoder()
