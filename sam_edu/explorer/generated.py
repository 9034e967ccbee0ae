"""What the front-end takes over from the package: colours, names of tensors, parts and their held-out effects."""

from typing import Any

import matplotlib
import numpy as np

from sam_edu import ablation
from sam_edu.ablation.changes import ATTENTIONS, CHANNELS, HEADS
from sam_edu.explorer.gates import GATES, MLPS, SIZES
from sam_edu.explorer.parts import MODES, PARTS
from sam_edu.explorer.stops import STOPS
from sam_edu.figures.kit import colours
from sam_edu.tracing.trace_points import TRACE_POINTS, find

_MAP_STEPS = 64


def generated() -> dict[str, Any]:
    """All of it, as JSON can hold it."""
    statistics = ablation.load()
    return {
        "colours": {
            "masks": colours.MASK_COLOURS,
            "positive": colours.POSITIVE,
            "negative": colours.NEGATIVE,
            "box": colours.BOX_COLOUR,
            "kept": colours.KEPT,
            "gained": colours.GAINED,
            "lost": colours.LOST,
            "heat": _map(colours.HEAT),
            "signed": _map(colours.SIGNED),
        },
        "attentions": [_attention(path) for path in ATTENTIONS],
        "steps": {row.name: row.step for row in TRACE_POINTS},
        "axes": {gate.point: gate.axes for gate in GATES},
        "notebooks": {row.name: row.notebook for row in TRACE_POINTS},
        "gates": {gate.point: {"axes": gate.axes, "switched": gate.switched} for gate in GATES},
        "sizes": SIZES,
        "heads": HEADS,
        "channels": CHANNELS,
        "mlps": MLPS,
        "parts": [part._asdict() for part in PARTS],
        "stops": [stop._asdict() for stop in STOPS],
        "effects": {
            name: _effect(statistics, name)
            for name in (
                *(part.ablation(mode) for part in PARTS for mode in MODES),
                *(f"channel {number} zero" for number in range(CHANNELS)),
            )
        },
        "held_out_clicks": len(statistics.prompts),
        "held_out_scenes": len({prompt.scene for prompt in statistics.prompts}),
        "weights": statistics.weights,
    }


def _map(name: str) -> list[str]:
    """A colour map at equal steps."""
    return [matplotlib.colors.to_hex(matplotlib.colormaps[name](x)) for x in np.linspace(0, 1, _MAP_STEPS)]


def _attention(path: str) -> dict[str, Any]:
    row = find(f"{path}.weights")
    assert row is not None
    return {
        "path": path,
        "tensor": f"{path}.weights",
        "step": row.step,
        "block": int(path.split(".")[2]) if ".layers." in path else None,
        "queries": "image" if "image_to_token" in path else "tokens",
        "keys": "image" if "token_to_image" in path else "tokens",
    }


def _effect(statistics: ablation.Statistics, name: str) -> list[float]:
    """Mean change of the best mask's IoU and its interval, in four digits."""
    effect = statistics.effect(name)
    return [round(float(x), 4) for x in (effect.mean, effect.low, effect.high)]
