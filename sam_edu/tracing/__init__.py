"""Tracing: record every named tensor of the real forward pass, and replace one during the pass.

    with sam_edu.trace(model) as t:
        model(...)
    t["transformer.layers.0.cross_attn_token_to_image.weights"]  # (batch, heads, queries, keys)

    with sam_edu.intervene(model, "transformer.layers.1.self_attn.heads", "mean", reference=runs, heads=3):
        model(...)

Both set hooks on the `TracePoint`s of `sam_edu.modules`. A tensor's name is its module's path, as in Meta's code, plus
the tensor. In a whole model the decoder's names are those of a decoder on its own (`tokens`; `mask_decoder.tokens` is
accepted too), the prompt encoder's begin with `prompt_encoder.`. The table of all trace points is in `trace_points`.
"""

from sam_edu.selections import Select
from sam_edu.tracing.intervention import intervene
from sam_edu.tracing.reference_runs import ReferenceRuns
from sam_edu.tracing.replacements import MODES, Generator, How, Mode, Reference, position_axes
from sam_edu.tracing.shape_table import Row, ShapeTable
from sam_edu.tracing.trace import Trace, trace

__all__ = [
    "MODES",
    "Generator",
    "How",
    "Mode",
    "Reference",
    "ReferenceRuns",
    "Row",
    "Select",
    "ShapeTable",
    "Trace",
    "intervene",
    "position_axes",
    "trace",
]
