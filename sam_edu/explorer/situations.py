"""What each notebook opens in the click lab, and how an address holds it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

SITUATIONS: dict[str, dict[str, Any]] = {
    "00": {"stop": 1},
    "01": {"panel": "switches", "off": ["transformer.layers.1.mlp"]},
    "02": {"panel": "attention"},
    "03": {"points": [[182, 133, 1], [127, 134, 0]], "mask": 0},
    "04": {"panel": "switches", "off": ["transformer.layers.1.cross_attn_image_to_token"]},
    "05": {"panel": "clicks", "points": [[100, 110, 1]], "other": {"points": [[182, 133, 1]], "box": None}},
    "06": {"panel": "channels"},
    "07": {"panel": "channels", "channels": 4},
    "08": {"panel": "masks", "mask": 0},
    "09": {"panel": "own"},
    "10": {"panel": "attention", "attention": {"of": "transformer.layers.0.cross_attn_image_to_token", "token": 5}},
}
"""The state that belongs to each notebook, by its number."""


def situation(notebook: str) -> dict[str, Any]:
    """The state that belongs to a notebook.

    Raises:
        ValueError: there is no notebook of this number.
    """
    if notebook not in SITUATIONS:
        raise ValueError(f"notebook: expected one of {', '.join(SITUATIONS)}, got {notebook!r}")
    return SITUATIONS[notebook]


def address(state: Mapping[str, Any]) -> str:
    """A state as the end of an address, from its # on."""
    return "#" + quote(json.dumps(state, separators=(",", ":")))
