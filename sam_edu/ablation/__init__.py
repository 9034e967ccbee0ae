"""Ablations of the trained decoder and their effects, measured over many held-out clicks.

    from sam_edu import ablation

    stats = ablation.load()
    stats.effect("transformer.final_attn_token_to_image head 3 mean")   # change in IoU, with a 95 % interval
    stats.prompts.predicted                                             # the predicted IoU of each mask, (clicks, 4)
    with ablation.ablated(model, "transformer.layers.1.mlp mean", ablation.References(stats.means)):
        predictor.predict(...)                                          # the same, on your own image

`ABLATIONS` lists every ablation; `sam_edu.ablation.parts` says what the last words of a name mean. `HeldOutPrompts`
lists the results of the unchanged decoder: all four masks, corrective clicks, boxes. `recompute` and
`recompute_prompts` measure some of the stored numbers again. `reference` and `clicks_on_image` decode other prompts.
"""

from sam_edu.ablation.ablations import ABLATIONS, BOX_ABLATIONS, SHORT_NAMES, ablated, full_name
from sam_edu.ablation.changes import (
    ATTENTIONS,
    BIASES,
    CHANNELS,
    DEPTH,
    HEADS,
    HIDDEN,
    TERMS,
    TOKEN_TO_IMAGE,
    Ablation,
    Change,
    References,
)
from sam_edu.ablation.parts import STEPS, pair_name
from sam_edu.ablation.prompts import CLICKS, FIRST_SCENE, SCENES, TEST_STREAM, Prompt, prompts_of, scene_and_prompts
from sam_edu.ablation.recomputing import recompute, recompute_prompts
from sam_edu.ablation.references import clicks_on_image, other_prompt, other_trace, reference
from sam_edu.ablation.results import (
    COMMAND,
    LEVELS,
    MEASURED,
    MEASURES,
    TOLERANCE,
    Effect,
    FourMasks,
    HeldOutPrompts,
    Measure,
    Statistics,
    load,
    read,
    sha256,
    stored_at,
)
from sam_edu.ablation.scoring import STABILITY_OFFSET, both_scores, four_masks, ious, margin
from sam_edu.tracing import ReferenceRuns

__all__ = [
    "ABLATIONS",
    "ATTENTIONS",
    "BIASES",
    "BOX_ABLATIONS",
    "CHANNELS",
    "CLICKS",
    "COMMAND",
    "DEPTH",
    "FIRST_SCENE",
    "HEADS",
    "HIDDEN",
    "LEVELS",
    "MEASURED",
    "MEASURES",
    "SCENES",
    "SHORT_NAMES",
    "STABILITY_OFFSET",
    "STEPS",
    "TERMS",
    "TEST_STREAM",
    "TOKEN_TO_IMAGE",
    "TOLERANCE",
    "Ablation",
    "Change",
    "Effect",
    "FourMasks",
    "HeldOutPrompts",
    "Measure",
    "Prompt",
    "ReferenceRuns",
    "References",
    "Statistics",
    "ablated",
    "both_scores",
    "clicks_on_image",
    "four_masks",
    "full_name",
    "ious",
    "load",
    "margin",
    "other_prompt",
    "other_trace",
    "pair_name",
    "prompts_of",
    "read",
    "recompute",
    "recompute_prompts",
    "reference",
    "scene_and_prompts",
    "sha256",
    "stored_at",
]
