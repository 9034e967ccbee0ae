"""Attention statistics: entropy of each head; of the click token, share on the target and distance from the click.

Beside them stand their nulls by permuted clicks: the same numbers for the attention maps of other clicks. A head that
always attends to the middle of the image has a large share on a target in the middle. It has the same share under any
other click, so its null is as large. Uniform attention, the share of the image that the target takes, is no such null:
clicks on objects are not uniform over the image.

There are two nulls. Maps of other scenes' clicks were made for other images: what exceeds this null follows the click
or the image, as a head that attends to all objects does. Maps of clicks on another object of the same scene were made
for the same image: what exceeds this null follows the click.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sam_edu.ablation.changes import ATTENTIONS, CLICK_TOKEN, TOKEN_TO_IMAGE
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import Prompt, prompts_of
from sam_edu.ablation.references import traces_of
from sam_edu.ablation.results import OF_CLICK
from sam_edu.sam import Sam


@torch.no_grad()
def attention_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure the attention at all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), "entropy" (7, heads), "maps" (3, heads, positions), and what the maps are summed with:
        "inside" and "away", both (positions,); "share" and "distance", both (3, heads + 1), last for uniform weights;
        "share_null_same_scene" and "distance_null_same_scene", both (3, heads).
    """
    _, masks, prompts = prompts_of(number)
    rows = []
    for prompt, t in zip(prompts, traces_of(model, prompts), strict=True):
        weights = {name: t[f"{name}.weights"][0] for name in ATTENTIONS}
        rows.append({"prompt": np.array(prompt)} | attention_statistics(weights, prompt, masks))
    same = np.array([[another_object(masks, one, other) for other in prompts] for one in prompts], bool)
    for i, row in enumerate(rows):
        maps = np.stack([rows[j]["maps"] for j in np.flatnonzero(same[i])] or [np.full_like(row["maps"], np.nan)])
        for name, what in OF_CLICK.items():
            row[f"{name}_null_same_scene"] = (maps @ row[what]).mean(axis=0)
    return rows


def another_object(masks: np.ndarray, one: Prompt, other: Prompt) -> bool:
    """Whether two clicks of a scene lie on different objects: no mask of the scene holds both.

    Args:
        masks: all of the scene's, (n, height, width) bool.
        one, other: the clicks.
    """
    return not (masks[:, one.y, one.x] & masks[:, other.y, other.x]).any()


def attention_statistics(weights: dict[str, Tensor], prompt: Prompt, masks: np.ndarray) -> Row:
    """A click's row of `attention_of_scene`, but for the nulls.

    Args:
        weights: of the seven attentions, (heads, queries, keys) each.
        prompt: the click.
        masks: all of its scene's, (n, height, width) bool.
    """
    size = masks.shape[-1]
    grid = math.isqrt(weights[TOKEN_TO_IMAGE[0]].shape[-1])
    cell = size // grid
    entropy = []
    for name in ATTENTIONS:
        one = weights[name].double()
        # 0 log 0 is 0
        entropy_share = -torch.special.xlogy(one, one).sum(-1).mean(-1) / math.log(one.shape[-1])
        entropy.append(entropy_share.cpu().numpy())
    y, x = (np.mgrid[:grid, :grid] + 0.5) * cell  # middles of the grid's cells; those of pixels are at 0.5, 1.5, ...
    away = np.hypot(x - prompt.x - 0.5, y - prompt.y - 0.5).ravel()
    inside = masks[prompt.mask].reshape(grid, cell, grid, cell).mean(axis=(1, 3)).ravel()
    maps = np.stack([weights[name][:, CLICK_TOKEN].double().cpu().numpy() for name in TOKEN_TO_IMAGE])
    with_uniform = np.concatenate([maps, np.full((len(maps), 1, grid * grid), 1 / grid**2)], axis=1)
    return {
        "entropy": np.stack(entropy),
        "maps": maps.astype(np.float32),  # of all clicks together still a hundred megabytes
        "inside": inside,
        "away": away,
        "share": with_uniform @ inside,
        "distance": with_uniform @ away,
    }


def permuted_clicks(
    maps: Float[np.ndarray, "clicks heads positions"],
    values: Float[np.ndarray, "clicks positions"],
    scenes: np.ndarray,
) -> tuple[Float[np.ndarray, "clicks heads"], Float[np.ndarray, "clicks heads"]]:
    """What attention gives when maps and clicks are paired at random, over all pairs from different scenes.

    Question: how much of a share or a distance would be there if the map did not depend on the click? A head whose map
    is the same at all clicks gives exactly its null.

    The null of the mean is a mean over pairs, and each scene takes part in it twice: by its targets and by its maps.
    Both are returned, so that an interval over scenes counts both (`Statistics.share_above_null`).

    Args:
        maps: each click's attention.
        values: per click what its map is summed with: how much of each position lies on the target, or its distance.
        scenes: the number of each click's scene.

    Returns:
        per click the mean over the maps of all clicks of other scenes, summed with this click's values; and the mean of
        this click's map, summed with the values of all clicks of other scenes. NaN where there is no other scene.
    """
    other = scenes[:, None] != scenes[None]
    pairs = other.sum(axis=1)
    of_click, of_map = [], []
    with np.errstate(invalid="ignore"):
        for head in range(maps.shape[1]):
            table = values @ maps[:, head].T * other  # (clicks whose values, clicks whose maps)
            of_click.append(table.sum(axis=1) / pairs)
            of_map.append(table.sum(axis=0) / pairs)
    return np.stack(of_click, axis=1), np.stack(of_map, axis=1)


def measure_attention(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays of the attention statistics.
    """
    rows = rows_of_scenes(attention_of_scene, weights, scenes, processes, progress)
    stacked = stacked_rows(rows)
    maps, scenes_of = stacked["maps"], stacked["prompt"][:, 0]
    together = maps.reshape(len(maps), -1, maps.shape[-1])  # the heads of all three attentions
    found = {name: stacked[name] for name in ("entropy", *OF_CLICK)}
    for name, what in OF_CLICK.items():
        of_click, of_map = permuted_clicks(together, stacked[what], scenes_of)
        found[f"{name}_null"] = of_click.reshape(maps.shape[:-1])
        found[f"{name}_null_of_map"] = of_map.reshape(maps.shape[:-1])
        found[f"{name}_null_same_scene"] = stacked[f"{name}_null_same_scene"]
    return stamp(weights, stacked) | {name: values.astype(np.float16) for name, values in found.items()}
