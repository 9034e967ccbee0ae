"""All drawing functions: tensors and images in, a `Figure` with alt text out. They take arrays, never a model."""

from sam_edu.figures.attention import attention_over_image, token_matrix, who_is_heard
from sam_edu.figures.block import (
    before_and_after,
    block_diagram,
    change_over_image,
    masks_by_way,
    moves_in_the_plane,
)
from sam_edu.figures.budget import two_budgets
from sam_edu.figures.calibration import calibration
from sam_edu.figures.cases import Case, cases
from sam_edu.figures.curves import training_curves
from sam_edu.figures.decoder_map import STEPS, decoder_map
from sam_edu.figures.effects import effects, head_grid, head_spread
from sam_edu.figures.features import channels, embeddings
from sam_edu.figures.hypernetwork import (
    channel_roles,
    film_strip,
    hypernetwork_diagram,
    logit_cascade,
    mask_grid,
)
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
    mean_bars,
    postprocessing_diagram,
    resampled_line,
    sized_maps,
)
from sam_edu.figures.speed import folding_diagram, roofline, step_times
from sam_edu.figures.stream import attention_grid, streams, two_way_transformer_diagram
from sam_edu.figures.tables import signed_matrix
from sam_edu.figures.tokens import token_names, token_strip, vector_bars
from sam_edu.figures.upscaling import jumps_by_place, patch_growing, upscaling_diagram

__all__ = [
    "STEPS",
    "Case",
    "Figure",
    "attention_diagram",
    "attention_grid",
    "attention_over_image",
    "before_and_after",
    "block_diagram",
    "calibration",
    "cases",
    "change_over_image",
    "channel_roles",
    "channels",
    "corrections",
    "curves_along",
    "curves_over",
    "decoder_map",
    "distributions",
    "effects",
    "embeddings",
    "film_strip",
    "firing_units",
    "folding_diagram",
    "head_grid",
    "head_split",
    "head_spread",
    "hypernetwork_diagram",
    "images",
    "jumps_by_place",
    "line_panels",
    "logit_cascade",
    "logits_and_mask",
    "many_masks",
    "mask_decoder_diagram",
    "mask_grid",
    "masks_by_prompt",
    "masks_by_way",
    "masks_row",
    "matrix_product",
    "mean_bars",
    "mlp_diagram",
    "moves_in_the_plane",
    "one_query",
    "patch_growing",
    "pixel_centres",
    "position_maps",
    "poster",
    "postprocessing_diagram",
    "prompt_diagram",
    "prompts_and_masks",
    "resampled_line",
    "roofline",
    "signed_matrix",
    "sized_maps",
    "step_times",
    "streams",
    "target_and_yours",
    "token_matrix",
    "token_names",
    "token_strip",
    "training_curves",
    "two_budgets",
    "two_way_transformer_diagram",
    "upscaling_diagram",
    "vector_bars",
    "wave_and_circle",
    "who_is_heard",
]
