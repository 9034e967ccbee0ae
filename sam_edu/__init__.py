"""sam_edu: the mask decoder of Segment Anything, taught tensor by tensor.

The public names are loaded when they are first used, so that `import sam_edu` costs almost nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "sam_edu": ("ablation", "checkpoints", "exercises", "figures", "modules", "official"),
    "sam_edu.checkpoints.downloading": ("download",),
    "sam_edu.choices": ("name_largest", "name_smallest", "only_largest"),
    "sam_edu.explorer": ("explore",),
    "sam_edu.fast.fast_mask_decoder": ("FastMaskDecoder",),
    "sam_edu.images": ("image",),
    "sam_edu.modules": (
        "MLP",
        "Attention",
        "HypernetworkMLPs",
        "LayerNorm2d",
        "MLPBlock",
        "MaskDecoder",
        "OutputUpscaling",
        "PositionEmbeddingRandom",
        "PromptEncoder",
        "TracePoint",
        "TwoWayAttentionBlock",
        "TwoWayTransformer",
        "mask_product",
    ),
    "sam_edu.predictor": ("Predictor",),
    "sam_edu.sam": ("Sam", "load", "load_from_environment"),
    "sam_edu.tiny.running_example": ("Example", "example"),
    "sam_edu.tracing": ("ShapeTable", "Trace", "intervene", "trace"),
}
"""The public names, by the module that they come from. Those of "sam_edu" are modules themselves."""

_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_HOME)

if TYPE_CHECKING:  # the same names for editors and type checkers; a test compares
    from sam_edu import ablation as ablation
    from sam_edu import checkpoints as checkpoints
    from sam_edu import exercises as exercises
    from sam_edu import figures as figures
    from sam_edu import modules as modules
    from sam_edu import official as official
    from sam_edu.checkpoints.downloading import download as download
    from sam_edu.choices import name_largest as name_largest
    from sam_edu.choices import name_smallest as name_smallest
    from sam_edu.choices import only_largest as only_largest
    from sam_edu.explorer import explore as explore
    from sam_edu.fast.fast_mask_decoder import FastMaskDecoder as FastMaskDecoder
    from sam_edu.images import image as image
    from sam_edu.modules import MLP as MLP
    from sam_edu.modules import Attention as Attention
    from sam_edu.modules import HypernetworkMLPs as HypernetworkMLPs
    from sam_edu.modules import LayerNorm2d as LayerNorm2d
    from sam_edu.modules import MaskDecoder as MaskDecoder
    from sam_edu.modules import MLPBlock as MLPBlock
    from sam_edu.modules import OutputUpscaling as OutputUpscaling
    from sam_edu.modules import PositionEmbeddingRandom as PositionEmbeddingRandom
    from sam_edu.modules import PromptEncoder as PromptEncoder
    from sam_edu.modules import TracePoint as TracePoint
    from sam_edu.modules import TwoWayAttentionBlock as TwoWayAttentionBlock
    from sam_edu.modules import TwoWayTransformer as TwoWayTransformer
    from sam_edu.modules import mask_product as mask_product
    from sam_edu.predictor import Predictor as Predictor
    from sam_edu.sam import Sam as Sam
    from sam_edu.sam import load as load
    from sam_edu.sam import load_from_environment as load_from_environment
    from sam_edu.tiny.running_example import Example as Example
    from sam_edu.tiny.running_example import example as example
    from sam_edu.tracing import ShapeTable as ShapeTable
    from sam_edu.tracing import Trace as Trace
    from sam_edu.tracing import intervene as intervene
    from sam_edu.tracing import trace as trace


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sam_edu' has no attribute {name!r}")
    home = _HOME[name]
    value = import_module(f"sam_edu.{name}") if home == "sam_edu" else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
