"""The share of a click token's attention that lies on the clicked object, head by head, beside chance."""

from typing import get_args

import numpy as np
import torch
from tqdm import tqdm

from sam_edu.argument_checks import as_choice, as_count
from sam_edu.arrays import shorten
from sam_edu.model_checks import as_sam
from sam_edu.sam import Sam
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import Kind, draw_scene
from sam_edu.tracing import trace
from sam_edu.training.rounds import embed_image, set_grid

ATTENTIONS = {
    "layer 0": "transformer.layers.0.cross_attn_token_to_image.weights",
    "layer 1": "transformer.layers.1.cross_attn_token_to_image.weights",
    "last": "transformer.final_attn_token_to_image.weights",
}
CLICK_TOKEN = 5
"""Position of the first prompt token, after the IoU token and four mask tokens."""

RING = (12.0, 48.0)
"""Inner and outer radius in pixels of the ring around the click: attention at the click itself is outside."""


@torch.no_grad()
def attention_shares(
    model: Sam, scenes: int, stream: int, kind: Kind = "ordinary", progress: bool = True
) -> dict[str, np.ndarray]:
    """Measure the shares at a random click on a random object of each scene.

    Args:
        model: in eval mode.
        scenes: how many test scenes.
        stream: first number of their seeds.
        kind: of the scenes.
        progress: show a progress bar.

    Returns:
        per attention (prompts, 8 heads + 1, 2): for each head, and last for chance (the object's share of the area),
        the share on the object, of the whole image and of the ring. NaN where the ring holds no attention.

    Raises:
        TypeError: no model, or numbers that are not whole.
        ValueError: another kind, a number below zero, no scene, or scenes that hold no object.
    """
    model, scenes, stream = as_sam(model), as_count("scenes", scenes), as_count("stream", stream, 0)
    kind = as_choice("kind", kind, get_args(Kind))  # type: ignore[assignment]
    found: dict[str, list[np.ndarray]] = {name: [] for name in ATTENTIONS}
    set_grid(model, 64)
    ys, xs = np.mgrid[2:256:4, 2:256:4]  # centres of the grid's cells, in pixels
    for number in tqdm(range(scenes), disable=not progress, unit="scene"):
        scene = draw_scene((stream, number), kind=kind)
        rng = np.random.default_rng((stream, number, 2))
        objects = np.flatnonzero(scene.level == 0)
        if len(objects) == 0:
            continue
        mask = scene.masks[rng.choice(objects)]
        click = random_click(mask, rng)
        embedding = embed_image(model, torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(model.device), 64)
        points = torch.from_numpy(click)[None, None].to(model.device), torch.ones(1, 1, device=model.device)
        sparse, dense = model.prompt_encoder(points, None, None)
        with trace(model.mask_decoder) as t:
            model.mask_decoder(
                image_embeddings=embedding,
                image_pe=model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
        inside = mask[ys, xs].ravel()
        distance = np.hypot(xs + 0.5 - click[0], ys + 0.5 - click[1]).ravel()
        ring = (distance >= RING[0]) & (distance <= RING[1])
        for name, point in ATTENTIONS.items():
            weights = t[point][0, :, CLICK_TOKEN].double().cpu().numpy()
            weights = np.concatenate([weights, np.full((1, len(inside)), 1 / len(inside))])
            whole = weights[:, inside].sum(axis=1)
            with np.errstate(invalid="ignore"):
                around = weights[:, inside & ring].sum(axis=1) / weights[:, ring].sum(axis=1)
            found[name].append(np.stack([whole, around], axis=1))
    if not any(found.values()):
        raise ValueError(f"scenes: expected some with at least one object, got {scenes} without")
    return {name: np.stack(rows) for name, rows in found.items()}


def share_table(shares: dict[str, np.ndarray]) -> str:
    """The mean shares as Markdown: a row per attention, a column per head, chance last.

    Args:
        shares: as `attention_shares` gives them.

    Raises:
        ValueError: another form.
    """
    if not isinstance(shares, dict) or not shares:
        raise ValueError(f"shares: expected what attention_shares gives, got {shorten(shares)}")
    for name, values in shares.items():
        if np.ndim(values) != 3 or np.shape(values)[2] != 2 or not np.size(values):
            raise ValueError(f"shares: expected shape (prompts, heads + 1, 2) of {name}, got {np.shape(values)}")
    heads = next(iter(shares.values())).shape[1] - 1
    header = "| share on the clicked object | " + " | ".join(f"head {i}" for i in range(heads)) + " | area |"
    lines = [header, "|---" * (heads + 2) + "|"]
    for region, column in (("whole image", 0), ("ring around the click", 1)):
        for name, values in shares.items():
            means = np.nanmean(values[:, :, column], axis=0)
            lines.append(f"| {name}, {region} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return "\n".join(lines)
