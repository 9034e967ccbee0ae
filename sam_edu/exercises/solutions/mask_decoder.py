"""Solutions of the exercises of notebook 08. Try first."""

import torch
from torch import Tensor

from sam_edu.modules import MaskDecoder

SHAPES: dict[str, dict[str, tuple[int, ...] | int]] = {
    "a": {
        "tokens": (1, 7, 256),
        "src": (1, 256, 64, 64),
        "masks": (1, 4, 256, 256),
        "returned": (1, 3, 256, 256),
        "iou": (1, 3),
    },
    "b": {
        "tokens": (3, 7, 256),
        "src": (3, 256, 64, 64),
        "masks": (3, 4, 256, 256),
        "returned": (3, 1, 256, 256),
        "iou": (3, 1),
    },
    "c": {
        "tokens": (2, 12, 128),
        "src": (2, 128, 32, 48),
        "masks": (2, 6, 128, 192),
        "returned": (2, 5, 128, 192),
        "iou": (2, 5),
    },
}


def decode(
    decoder: MaskDecoder, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor, multimask_output: bool
) -> tuple[Tensor, Tensor]:
    """Steps (0) to (8), with the modules of `decoder`: mask logits, and the predicted IoU of each."""
    learned = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(len(sparse), -1, -1)
    tokens, src = torch.cat([learned, sparse], dim=1), image + dense
    hs, keys = decoder.transformer(src, image_pe, tokens)
    features = decoder.output_upscaling(keys.mT.unflatten(2, src.shape[2:]))
    count = decoder.num_mask_tokens
    weights = torch.stack([decoder.output_hypernetworks_mlps[i](hs[:, 1 + i]) for i in range(count)], dim=1)
    masks, iou = torch.einsum("bmc,bchw->bmhw", weights, features), decoder.iou_prediction_head(hs[:, 0])
    return (masks[:, 1:], iou[:, 1:]) if multimask_output else (masks[:, :1], iou[:, :1])


def one_too_far(hs: Tensor) -> Tensor:
    """The tokens after (6-1), where each of the five output slots holds what the next slot held."""
    new = hs.clone()
    new[:, :5] = hs[:, 1:6]
    return new
