"""All drawing functions: tensors and images in, a `Figure` with alt text out. They take arrays, never a model."""

from sam_edu.figures.attention import attention_maps, attention_to_tokens, token_matrix
from sam_edu.figures.block import (
    block_diagram,
    change_over_image,
    masks_by_way,
    tokens_before_and_after,
    vectors_before_and_after,
)
from sam_edu.figures.budget import compared_shares
from sam_edu.figures.calibration import calibration
from sam_edu.figures.cases import Case, cases
from sam_edu.figures.curves import training_curves
from sam_edu.figures.decoder_map import STEPS, decoder_map
from sam_edu.figures.differences import gained_and_lost, two_and_difference
from sam_edu.figures.effects import effect_dots, effects, head_distributions, head_grid
from sam_edu.figures.features import channels, embeddings
from sam_edu.figures.hypernetwork import (
    channel_scatter,
    hypernetwork_diagram,
    logit_waterfall,
    map_sequence,
    mask_grid,
)
from sam_edu.figures.kit.basis import embedding_basis
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.ladder import (
    attention_diagram,
    curves_over,
    distributions,
    head_split,
    matrix_product,
    one_query,
    target_and_yours,
)
from sam_edu.figures.mask_decoder import mask_decoder_diagram
from sam_edu.figures.masks import images, logits_and_mask, masks_by_prompt, masks_row, prompts_and_masks
from sam_edu.figures.mlp import firing_units, line_panels, mlp_diagram
from sam_edu.figures.positions import (
    curves_along,
    pixel_centres,
    position_maps,
    prompt_diagram,
    wave_and_circle,
)
from sam_edu.figures.poster import poster
from sam_edu.figures.postprocessing import (
    corrections,
    many_masks,
    means_with_intervals,
    postprocessing_diagram,
    resampled_line,
    sized_maps,
)
from sam_edu.figures.speed import folding_diagram, roofline, step_times
from sam_edu.figures.stream import attention_grid, similarity_by_depth, two_way_transformer_diagram
from sam_edu.figures.tables import signed_matrix
from sam_edu.figures.to_scale import decoder_to_scale
from sam_edu.figures.tokens import token_names, token_strip, vector_bars
from sam_edu.figures.two_decodes import two_decodes
from sam_edu.figures.upscaling import layer_matrices, upscaling_diagram

__all__ = [
    "STEPS",
    "Case",
    "Figure",
    "attention_diagram",
    "attention_grid",
    "attention_maps",
    "attention_to_tokens",
    "block_diagram",
    "calibration",
    "cases",
    "change_over_image",
    "channel_scatter",
    "channels",
    "compared_shares",
    "corrections",
    "curves_along",
    "curves_over",
    "decoder_map",
    "decoder_to_scale",
    "distributions",
    "effect_dots",
    "effects",
    "embedding_basis",
    "embeddings",
    "firing_units",
    "folding_diagram",
    "gained_and_lost",
    "head_distributions",
    "head_grid",
    "head_split",
    "hypernetwork_diagram",
    "images",
    "layer_matrices",
    "line_panels",
    "logit_waterfall",
    "logits_and_mask",
    "many_masks",
    "map_sequence",
    "mask_decoder_diagram",
    "mask_grid",
    "masks_by_prompt",
    "masks_by_way",
    "masks_row",
    "matrix_product",
    "means_with_intervals",
    "mlp_diagram",
    "one_query",
    "pixel_centres",
    "position_maps",
    "poster",
    "postprocessing_diagram",
    "prompt_diagram",
    "prompts_and_masks",
    "resampled_line",
    "roofline",
    "signed_matrix",
    "similarity_by_depth",
    "sized_maps",
    "step_times",
    "target_and_yours",
    "token_matrix",
    "token_names",
    "token_strip",
    "tokens_before_and_after",
    "training_curves",
    "two_and_difference",
    "two_decodes",
    "two_way_transformer_diagram",
    "upscaling_diagram",
    "vector_bars",
    "vectors_before_and_after",
    "wave_and_circle",
]
