"""What all tests share: one profile for hypothesis, and the way to the helper modules beside the tests."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# Several tests import `ablation_cases`, `acting`, `checkpoint_files`, `click_lab`, `decoders`, `drawings`, `examples`,
# `exercise_cases`, `notebook_cells`, `operations`, `parity`, `predictors` and `toy_masks`.
FOLDERS = (
    "modules",
    "notebooks",
    "exercises",
    "figures",
    "scenes",
    "fast",
    "checkpoints",
    "tracing",
    "ablation",
    "site",
)
for folder in ("", *FOLDERS):
    sys.path.insert(0, str(Path(__file__).parent / folder))

if TYPE_CHECKING:
    from sam_edu.predictor import Predictor
    from sam_edu.sam import Sam

# The same examples on every run, however busy the machine is.
settings.register_profile(
    "sam_edu", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sam_edu")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights of the tiny model, as the trainer stores them."""
    import torch

    from sam_edu.sam import build_tiny
    from sam_edu.training.trainer import export

    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        export(build_tiny(), path)
    return path


@pytest.fixture(scope="module")
def sam() -> "Sam":
    """The small model of `predictors.py`, one for all tests of a file."""
    from predictors import make_sam

    return make_sam()


@pytest.fixture
def predictor(sam: "Sam") -> "Predictor":
    """A predictor of its own for each test, with an image of 64 x 48 pixels."""
    from predictors import make_predictor

    return make_predictor(sam)
