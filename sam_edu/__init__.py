"""sam_edu: the mask decoder of Segment Anything, taught tensor by tensor.

The names below are loaded when they are first used, so that `import sam_edu` costs little more than nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam_edu import ablation, checkpoints, exercises, figures, modules, official
    from sam_edu.choices import name_largest, name_smallest, only_largest
    from sam_edu.example import Example, example
    from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
    from sam_edu.modules import (
        MLP,
        Attention,
        HypernetworkMLPs,
        LayerNorm2d,
        MaskDecoder,
        MLPBlock,
        OutputUpscaling,
        PositionEmbeddingRandom,
        PromptEncoder,
        TracePoint,
        TwoWayAttentionBlock,
        TwoWayTransformer,
        mask_product,
    )
    from sam_edu.predictor import Predictor
    from sam_edu.sam import Sam, load
    from sam_edu.tracing import ShapeTable, Trace, intervene, trace

__version__ = "0.1.0"

_MODULES = {
    "sam_edu.modules": (
        "MLP",
        "Attention",
        "HypernetworkMLPs",
        "LayerNorm2d",
        "MLPBlock",
        "MaskDecoder",
        "OutputUpscaling",
        "TracePoint",
        "PositionEmbeddingRandom",
        "PromptEncoder",
        "TwoWayAttentionBlock",
        "TwoWayTransformer",
        "mask_product",
    ),
    "sam_edu.choices": ("name_largest", "name_smallest", "only_largest"),
    "sam_edu.example": ("Example", "example"),
    "sam_edu.fast.fast_mask_decoder": ("FastMaskDecoder",),
    "sam_edu.predictor": ("Predictor",),
    "sam_edu.sam": ("Sam", "load"),
    "sam_edu.tracing": ("ShapeTable", "Trace", "intervene", "trace"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = ("checkpoints", "exercises", "figures", "modules", "official", "ablation")

__all__ = [
    "MLP",
    "Attention",
    "Example",
    "FastMaskDecoder",
    "HypernetworkMLPs",
    "LayerNorm2d",
    "MLPBlock",
    "MaskDecoder",
    "OutputUpscaling",
    "PositionEmbeddingRandom",
    "Predictor",
    "PromptEncoder",
    "Sam",
    "ShapeTable",
    "Trace",
    "TracePoint",
    "TwoWayAttentionBlock",
    "TwoWayTransformer",
    "ablation",
    "checkpoints",
    "example",
    "exercises",
    "figures",
    "intervene",
    "load",
    "mask_product",
    "modules",
    "name_largest",
    "name_smallest",
    "official",
    "only_largest",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        module = import_module(_HOME[name])
        # All of the module's names at once: importing sam_edu.example puts the module where the function belongs.
        globals().update({other: getattr(module, other) for other in _MODULES[_HOME[name]]})
        value = globals()[name]
    elif name in _SUBMODULES:
        value = import_module(f"sam_edu.{name}")
    else:
        raise AttributeError(f"module 'sam_edu' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
