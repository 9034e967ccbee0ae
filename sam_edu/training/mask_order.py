"""Order masks 1 to 3 by their mean area, smallest first, as users of Meta's models know them.

The mask tokens are exchangeable: attention does not know their order, and each has a hypernetwork MLP and an output of
the IoU head of its own. Which of them becomes the sub-part, the part or the whole is chance of training. Exchange all
three alike, and the same masks come out in another order.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sam_edu.modules import MaskDecoder
from sam_edu.sam import Sam
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import draw_scene
from sam_edu.training.decoder_choice import fastest_decoder
from sam_edu.training.rounds import Prompts, decode, embed_image, set_grid
from sam_edu.training.validation import VALIDATION_STREAM

TOKENS = "mask_tokens.weight"
MLP_NAME = re.compile(r"output_hypernetworks_mlps\.(\d+)\.(.+)")
IOU_NAME = re.compile(r"iou_prediction_head\.layers\.(\d+)\.(weight|bias)")


@torch.no_grad()
def mean_areas(model: Sam, grid: int, scenes: int) -> list[float]:
    """The mean area of masks 1 to 3 after a click, as shares of the image.

    Args:
        model: in eval mode.
        grid: grid of image tokens to decode on.
        scenes: number of validation scenes; at a random pixel of each of their masks is a click.
    """
    before = model.prompt_encoder.image_embedding_size[0]
    set_grid(model, grid)
    decoder = fastest_decoder(model.mask_decoder, model.device)
    total, clicks = np.zeros(3), 0
    for number in range(scenes):
        scene, rng = draw_scene((VALIDATION_STREAM, number)), np.random.default_rng((VALIDATION_STREAM, number, 2))
        if not len(scene.masks):
            continue
        click = torch.from_numpy(np.stack([random_click(mask, rng) for mask in scene.masks]))[:, None].to(model.device)
        n = len(click)
        image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(model.device)
        prompts = Prompts(click, click.new_ones(n, 1), click.new_zeros(n, 4), click.new_zeros(n) > 0)
        masks, _ = decode(model, decoder, embed_image(model, image, grid), prompts)
        total += (masks[:, 1:] > 0).double().mean((2, 3)).sum(0).cpu().numpy()
        clicks += n
    set_grid(model, before)
    return (total / max(1, clicks)).tolist()


def smallest_first(areas: Sequence[float]) -> list[int]:
    """The order of masks 0 to 3 that leaves mask 0 and sorts the others by area: new mask i is the old `order[i]`.

    Areas that are equal keep their order.
    """
    return [0, *(1 + int(i) for i in np.argsort(areas, kind="stable"))]


@torch.no_grad()
def reorder_masks(decoder: MaskDecoder, tensors: Mapping[str, Tensor], order: Sequence[int]) -> None:
    """Exchange, in place, what belongs to each mask: mask i becomes the old mask `order[i]`.

    Args:
        decoder: whose tensors they are.
        tensors: by the names of its state dict: its state itself, or what an optimizer keeps for each parameter. Those
            that are missing are left out.
        order: a permutation of the masks.

    Raises:
        ValueError: `order` is not a permutation of the decoder's masks.
    """
    if sorted(order) != list(range(decoder.num_mask_tokens)):
        raise ValueError(f"order: expected each of 0 to {decoder.num_mask_tokens - 1} once, got {list(order)}")
    last = len(decoder.iou_prediction_head.layers) - 1
    rows = torch.tensor(order)
    before = {name: value.clone() for name, value in tensors.items()}
    for name, value in tensors.items():
        mlp, head = MLP_NAME.fullmatch(name), IOU_NAME.fullmatch(name)
        if name == TOKENS or (head and int(head[1]) == last):
            value.copy_(before[name][rows.to(value.device)])
        elif mlp:
            value.copy_(before[f"output_hypernetworks_mlps.{order[int(mlp[1])]}.{mlp[2]}"])
