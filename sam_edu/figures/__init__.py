"""Everything that draws: tensors and pictures in, a `Picture` with alt text out. Knows arrays, never a model."""

from sam_edu.figures.attention import attention_over_picture, token_matrix, who_is_heard
from sam_edu.figures.cases import Case, cases
from sam_edu.figures.curves import training_curves
from sam_edu.figures.diagram import STEPS, decoder_map
from sam_edu.figures.features import channels, embeddings
from sam_edu.figures.ladder import (
    attention_diagram,
    curves_over,
    distributions,
    head_split,
    matrix_product,
    one_query,
    target_and_yours,
)
from sam_edu.figures.masks import logits_and_mask, masks_row, prompts_and_masks
from sam_edu.figures.picture import Picture
from sam_edu.figures.tokens import token_names, token_strip, vector_bars

__all__ = [
    "STEPS",
    "Case",
    "Picture",
    "attention_diagram",
    "attention_over_picture",
    "cases",
    "channels",
    "curves_over",
    "decoder_map",
    "distributions",
    "embeddings",
    "head_split",
    "logits_and_mask",
    "masks_row",
    "matrix_product",
    "one_query",
    "prompts_and_masks",
    "target_and_yours",
    "token_matrix",
    "token_names",
    "token_strip",
    "training_curves",
    "vector_bars",
    "who_is_heard",
]
