"""Ablations of the trained decoder and their effects, measured over many held-out clicks.

    from sam_edu import ablation

    stats = ablation.load()
    stats.effect("transformer.final_attn_token_to_image head 3 mean")   # change in IoU, with a 95 % interval
    stats.prompts.predicted                                             # the predicted IoU of each mask, (clicks, 4)
    with ablation.ablated(model, "transformer.layers.1.mlp mean", ablation.References(stats.means)):
        predictor.predict(...)                                          # the same, on your own image
    pairs = ablation.load_pairs()
    pairs.denoising("transformer.layers.0 image tokens")                # what a transplant from another click restores

`ABLATIONS` lists every ablation, `TRANSPLANTS` every transplant; `sam_edu.ablation.parts` says what the last words of
an ablation's name mean. `HeldOutPrompts` lists the results of the unchanged decoder: all four masks, corrective clicks,
boxes. `recompute` and `recompute_prompts` measure some of the stored numbers again. `reference` and `clicks_on_image`
decode other prompts. `replicas` lists the same statistics of other trainings of this model.
`load_prompt_changes` gives the masks of prompts in other forms, `load_mask_numbers` what a mask prompt's numbers hold.
`load_score_terms` gives the four terms of attention scores, by content and position on either side,
`load_head_paths` what each later step loses of a head of step (4),
`load_block_ways` the masks of blocks that are built in other ways,
`load_doors` by which step a click enters, `load_streams` how tokens and image tokens change through the depth,
`load_exchanged_maps` whether the masks follow their tokens' attention maps,
`load_hidden_units` which units of the MLPs fire and which carry the click, `load_upscaling` step (5) with other layers,
`load_corrected` what each corrective click does, `load_thresholds` masks cut at other thresholds,
`load_grid_clicks` the masks of grids of clicks, `load_mask_likeness` how alike masks 1 to 3 are,
`load_resampled_tokens` whether the masks need what a token has gathered,
`load_coarse_channels` whether a channel of the image tokens is a mask.
`sam_edu.ablation.controls` has what stands beside an effect before it may be said.
"""

from sam_edu.ablation.ablations import ABLATIONS, BOX_ABLATIONS, SHORT_NAMES, ablated, full_name
from sam_edu.ablation.block_ways import BLOCK_WAYS, BlockWay, BlockWays, load_block_ways, way_to_b
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
from sam_edu.ablation.coarse_channels import COARSE, CoarseChannels, load_coarse_channels
from sam_edu.ablation.corrected import CORRECTED, GIVEN, SHOWN, USUAL, Corrected, corrected_in, load_corrected
from sam_edu.ablation.doors import DOORS, load_doors
from sam_edu.ablation.exchanged_maps import (
    ALL_THREE,
    MAP_MEASURES,
    MAP_PLACES,
    MAP_WAYS,
    ExchangedMaps,
    load_exchanged_maps,
    make_alike,
)
from sam_edu.ablation.grid_clicks import GRID_ARRAYS, GRID_SIDE, GridClicks, Passing, grid_clicks_in, load_grid_clicks
from sam_edu.ablation.half_precision import (
    HALF_MEASURES,
    HALF_WAYS,
    HalfPrecision,
    load_half_precision,
    measure_half_precision,
)
from sam_edu.ablation.head_paths import PATHS, HeadPaths, load_head_paths
from sam_edu.ablation.hidden_units import (
    NO_RELU,
    SETS,
    SHARED,
    UNIT_ARRAYS,
    UNIT_MODELS,
    HiddenUnits,
    load_hidden_units,
)
from sam_edu.ablation.mask_likeness import MaskLikeness, load_mask_likeness, mask_likeness_in
from sam_edu.ablation.mask_numbers import OF_CELL, READ_FROM, MaskNumbers, load_mask_numbers
from sam_edu.ablation.pair_results import (
    PAIR_ARRAYS,
    PAIR_MEASURES,
    UNCHANGED,
    Broken,
    PairMeasure,
    PairStatistics,
    load_pairs,
)
from sam_edu.ablation.pairs import MAX_OVERLAP, PAIR_KINDS, Pair, PairKind, scene_and_pairs
from sam_edu.ablation.parts import STEPS, pair_name
from sam_edu.ablation.product_results import PRODUCT_ARRAYS, ProductStatistics, load_product
from sam_edu.ablation.product_ways import WAYS
from sam_edu.ablation.prompt_changes import (
    BOX_FORMS,
    CLICK_FORMS,
    FORM_MEASURES,
    MOVED,
    PromptChanges,
    load_prompt_changes,
)
from sam_edu.ablation.prompts import CLICKS, FIRST_SCENE, SCENES, TEST_STREAM, Prompt, prompts_of, scene_and_prompts
from sam_edu.ablation.recomputing import recompute, recompute_prompts
from sam_edu.ablation.references import clicks_on_image, other_prompt, other_trace, reference
from sam_edu.ablation.replica_files import pair_replicas, replica_effects, replicas, replicas_at
from sam_edu.ablation.resampled_tokens import RESAMPLED_SLOTS, ResampledTokens, load_resampled_tokens
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
from sam_edu.ablation.score_terms import (
    SCORE_TERMS,
    ScoreTerms,
    Term,
    four_terms,
    load_score_terms,
    terms_of_decode,
    variance_shares,
)
from sam_edu.ablation.scoring import STABILITY_OFFSET, both_scores, four_masks, ious, margin
from sam_edu.ablation.streams import DISTANCES, STAGES, TURNS, Streams, load_streams
from sam_edu.ablation.thresholds import THRESHOLDS, Thresholds, load_thresholds, thresholds_in
from sam_edu.ablation.transplants import TRANSPLANTS, Part, Transplant, transplanted
from sam_edu.ablation.upscaling_results import (
    UPSCALING_ARRAYS,
    UPSCALING_MEASURES,
    UpscalingStatistics,
    load_upscaling,
)
from sam_edu.ablation.upscaling_ways import PAINTING, UPSCALING_WAYS
from sam_edu.tracing import ReferenceRuns

__all__ = [
    "ABLATIONS",
    "ALL_THREE",
    "ATTENTIONS",
    "BIASES",
    "BLOCK_WAYS",
    "BOX_ABLATIONS",
    "BOX_FORMS",
    "CHANNELS",
    "CLICKS",
    "CLICK_FORMS",
    "COARSE",
    "COMMAND",
    "CORRECTED",
    "DEPTH",
    "DISTANCES",
    "DOORS",
    "FIRST_SCENE",
    "FORM_MEASURES",
    "GIVEN",
    "GRID_ARRAYS",
    "GRID_SIDE",
    "HALF_MEASURES",
    "HALF_WAYS",
    "HEADS",
    "HIDDEN",
    "LEVELS",
    "MAP_MEASURES",
    "MAP_PLACES",
    "MAP_WAYS",
    "MAX_OVERLAP",
    "MEASURED",
    "MEASURES",
    "MOVED",
    "NO_RELU",
    "OF_CELL",
    "PAINTING",
    "PAIR_ARRAYS",
    "PAIR_KINDS",
    "PAIR_MEASURES",
    "PATHS",
    "PRODUCT_ARRAYS",
    "READ_FROM",
    "RESAMPLED_SLOTS",
    "SCENES",
    "SCORE_TERMS",
    "SETS",
    "SHARED",
    "SHORT_NAMES",
    "SHOWN",
    "STABILITY_OFFSET",
    "STAGES",
    "STEPS",
    "TERMS",
    "TEST_STREAM",
    "THRESHOLDS",
    "TOKEN_TO_IMAGE",
    "TOLERANCE",
    "TRANSPLANTS",
    "TURNS",
    "UNCHANGED",
    "UNIT_ARRAYS",
    "UNIT_MODELS",
    "UPSCALING_ARRAYS",
    "UPSCALING_MEASURES",
    "UPSCALING_WAYS",
    "USUAL",
    "WAYS",
    "Ablation",
    "BlockWay",
    "BlockWays",
    "Broken",
    "Change",
    "CoarseChannels",
    "Corrected",
    "Effect",
    "ExchangedMaps",
    "FourMasks",
    "GridClicks",
    "HalfPrecision",
    "HeadPaths",
    "HeldOutPrompts",
    "HiddenUnits",
    "MaskLikeness",
    "MaskNumbers",
    "Measure",
    "Pair",
    "PairKind",
    "PairMeasure",
    "PairStatistics",
    "Part",
    "Passing",
    "ProductStatistics",
    "Prompt",
    "PromptChanges",
    "ReferenceRuns",
    "References",
    "ResampledTokens",
    "ScoreTerms",
    "Statistics",
    "Streams",
    "Term",
    "Thresholds",
    "Transplant",
    "UpscalingStatistics",
    "ablated",
    "both_scores",
    "clicks_on_image",
    "corrected_in",
    "four_masks",
    "four_terms",
    "full_name",
    "grid_clicks_in",
    "ious",
    "load",
    "load_block_ways",
    "load_coarse_channels",
    "load_corrected",
    "load_doors",
    "load_exchanged_maps",
    "load_grid_clicks",
    "load_half_precision",
    "load_head_paths",
    "load_hidden_units",
    "load_mask_likeness",
    "load_mask_numbers",
    "load_pairs",
    "load_product",
    "load_prompt_changes",
    "load_resampled_tokens",
    "load_score_terms",
    "load_streams",
    "load_thresholds",
    "load_upscaling",
    "make_alike",
    "margin",
    "mask_likeness_in",
    "measure_half_precision",
    "other_prompt",
    "other_trace",
    "pair_name",
    "pair_replicas",
    "prompts_of",
    "read",
    "recompute",
    "recompute_prompts",
    "reference",
    "replica_effects",
    "replicas",
    "replicas_at",
    "scene_and_pairs",
    "scene_and_prompts",
    "sha256",
    "stored_at",
    "terms_of_decode",
    "thresholds_in",
    "transplanted",
    "variance_shares",
    "way_to_b",
]
