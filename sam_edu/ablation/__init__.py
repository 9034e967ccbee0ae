"""Ablations of the trained decoder and their effects, measured over many held-out clicks.

    from sam_edu import ablation

    stats = ablation.load()
    stats.effect("transformer.final_attn_token_to_image head 3 zero")   # change in IoU, with a 95 % interval
    stats.prompts.predicted                                             # the predicted IoU of each mask, (clicks, 4)
    with ablation.ablated(model, "transformer.layers.1.mlp ablated"):
        predictor.predict(...)                                          # the same, on your own image

`sam_edu.ablation.controls` has what has to stand beside an effect before it may be said.

`ABLATIONS` lists every ablation. `HeldOutPrompts` lists the results of the unchanged decoder: all four masks,
corrective clicks, boxes. `recompute` and `recompute_prompts` measure some of the stored numbers again.
"""

from sam_edu.ablation.ablations import ABLATIONS, ablated
from sam_edu.ablation.changes import (
    ATTENTIONS,
    DEPTH,
    HEADS,
    HIDDEN,
    TOKEN_TO_IMAGE,
    Ablation,
    Change,
)
from sam_edu.ablation.prompts import CLICKS, FIRST_SCENE, TEST_STREAM, Prompt, prompts_of, scene_and_prompts
from sam_edu.ablation.recomputing import recompute, recompute_prompts
from sam_edu.ablation.results import (
    COMMAND,
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
from sam_edu.ablation.scoring import STABILITY_OFFSET, both_scores, four_masks, ious

__all__ = [
    "ABLATIONS",
    "ATTENTIONS",
    "CLICKS",
    "COMMAND",
    "DEPTH",
    "FIRST_SCENE",
    "HEADS",
    "HIDDEN",
    "MEASURED",
    "MEASURES",
    "STABILITY_OFFSET",
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
    "Statistics",
    "ablated",
    "both_scores",
    "four_masks",
    "ious",
    "load",
    "prompts_of",
    "read",
    "recompute",
    "recompute_prompts",
    "scene_and_prompts",
    "sha256",
    "stored_at",
]
