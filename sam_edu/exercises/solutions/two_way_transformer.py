"""Solutions of the exercises of notebook 05. Try first."""

import torch
from torch import Tensor

from sam_edu.modules import TwoWayTransformer

NUMBERS: dict[str, dict[str, tuple[int, ...] | int]] = {
    "a": {
        "hs": (1, 7, 256),
        "keys": (1, 4096, 256),
        "weights": (1, 8, 7, 4096),
        "attentions": 7,
        "parameters": 3_291_264,
    },
    "b": {
        "hs": (3, 7, 256),
        "keys": (3, 4096, 256),
        "weights": (3, 8, 7, 4096),
        "attentions": 7,
        "parameters": 3_291_264,
    },
    "c": {
        "hs": (2, 9, 256),
        "keys": (2, 1536, 256),
        "weights": (2, 8, 9, 1536),
        "attentions": 10,
        "parameters": 4_870_784,
    },
}


class Solution(TwoWayTransformer):
    """`TwoWayTransformer.forward`, written out."""

    def forward(self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the blocks to tokens and image tokens, then the final attention from tokens to image tokens."""
        keys = image_embedding.flatten(2).transpose(1, 2)
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries, keys, query_pe=point_embedding, key_pe=key_pe)
        update = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + update), keys


def cut(name: str, scores: Tensor) -> Tensor:
    """The scores of an attention in which the prompt's tokens get no weight."""
    if name.endswith(("self_attn", "image_to_token")):  # here the tokens are the keys
        scores[..., 5:] = -torch.inf
    return scores
