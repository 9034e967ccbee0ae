"""validate: a few quick scores while training; the full table is `sam_edu.evaluation.scores`."""

import numpy as np
import torch

from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import draw_scene
from sam_edu.training.batches import shrink
from sam_edu.training.decoder_choice import fastest_decoder
from sam_edu.training.losses import pairwise_iou
from sam_edu.training.rounds import Prompts, decode, embed_image, set_grid

VALIDATION_STREAM = 2
"""First number of the seeds of validation scenes: never trained on, and not the test scenes either."""


@torch.no_grad()
def validate(model: Sam, grid: int, scenes: int, precision: str) -> dict[str, float]:
    """Mean IoU at random clicks and for exact boxes, one mask of each level per scene.

    Args:
        model: in eval mode.
        grid: grid of image tokens to decode on; IoU is measured on the logits' grid, four times as fine.
        scenes: how many.
        precision: "bfloat16" or "float32".

    Returns:
        "click": best of three; "whole": the same on objects; "part", "sub"; "picked": the one of three that the IoU
        head picks; "box": mask 0. NaN where no scene has such a mask.
    """
    before = model.prompt_encoder.image_embedding_size[0]
    set_grid(model, grid)
    decoder = fastest_decoder(model.mask_decoder, model.device)
    rows: list[tuple[int, float, float, float]] = []
    for number in range(scenes):
        scene = draw_scene((VALIDATION_STREAM, number))
        rng = np.random.default_rng((VALIDATION_STREAM, number, 1))
        chosen = [
            rng.choice(np.flatnonzero(scene.level == level)) for level in range(3) if (scene.level == level).any()
        ]
        if not chosen:
            continue
        masks = scene.masks[chosen]
        image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(model.device)
        clicks = torch.from_numpy(np.stack([random_click(mask, rng) for mask in masks]))[:, None].to(model.device)
        boxes = torch.from_numpy(np.stack([tight_box(mask) for mask in masks])).to(model.device)
        targets = shrink(torch.from_numpy(masks.view(np.uint8))[:, None], 4 * grid).to(model.device)
        ones = torch.ones(len(masks), 1, device=model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            embedding = embed_image(model, image, grid)
            by_click = decode(model, decoder, embedding, Prompts(clicks, ones, boxes, ones[:, 0] < 0))
            by_box = decode(model, decoder, embedding, Prompts(clicks, ones, boxes, ones[:, 0] > 0))
        click_iou = pairwise_iou(by_click[0] > 0, targets)[:, 1:, 0]
        picked = click_iou.gather(1, by_click[1][:, 1:].argmax(1, keepdim=True))[:, 0]
        box_iou = pairwise_iou(by_box[0][:, :1] > 0, targets)[:, 0, 0]
        levels = scene.level[chosen].tolist()
        rows += zip(levels, click_iou.amax(1).tolist(), picked.tolist(), box_iou.tolist(), strict=True)
    set_grid(model, before)
    table = np.array(rows).reshape(-1, 4)
    best = table[:, 1]
    return {
        "click": _mean(best),
        "whole": _mean(best[table[:, 0] == 0]),
        "part": _mean(best[table[:, 0] == 1]),
        "sub": _mean(best[table[:, 0] == 2]),
        "picked": _mean(table[:, 2]),
        "box": _mean(table[:, 3]),
    }


def _mean(scores: np.ndarray) -> float:
    return float(scores.mean()) if len(scores) else float("nan")
