"""Small models instead of Meta's three, their state dicts, and no file or cache of the user's."""

import dataclasses
from collections.abc import Callable

import pytest
from checkpoint_files import SMALL, VARIABLE, metas_sam
from safetensors.torch import load_file
from torch import Tensor

from sam_edu import sam as sam_module
from sam_edu.checkpoints import CACHE_VARIABLE, OFFICIAL
from sam_edu.official.predictor import IMAGE_ENCODERS


@pytest.fixture(autouse=True)
def no_variables(monkeypatch, tmp_path_factory):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def small(monkeypatch):
    """The three models with small image encoders."""
    for name, (width, blocks) in SMALL.items():
        encoder = {"embed_dim": width, "depth": blocks, "num_heads": 2, "global_attn_indexes": ()}
        monkeypatch.setitem(IMAGE_ENCODERS, name, encoder)
        monkeypatch.setitem(OFFICIAL, name, dataclasses.replace(OFFICIAL[name], width=width, blocks=blocks))


@pytest.fixture(scope="module")
def states() -> Callable[[str], dict[str, Tensor]]:
    """Per model a random state dict of the small official layout; a new dictionary at every call."""
    states: dict[str, dict[str, Tensor]] = {}

    def state(name: str) -> dict[str, Tensor]:
        if name == "tiny":
            return load_file(sam_module.tiny_weights())
        if name not in states:
            states[name] = metas_sam(name).state_dict()
        return dict(states[name])

    return state
