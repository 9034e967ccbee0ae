"""Coarse channels: whether a channel of the image tokens is a mask of the clicked object.

    coarse = ablation.load_coarse_channels()
    coarse.of("one channel, own")     # IoU at every held-out click that has another object beside it

Every channel, and its negative, is cut at 0 and compared with masks 1 to 3 on the grid of image tokens; the highest IoU
counts. "own" are the masks of the same decode, "other" those of a click on another object of the scene. "before" is
the decoder's input, "after" the image tokens that leave the transformer. "one channel" is one and the same after the
transformer, chosen on the even scenes and judged on the odd ones, and the other way round.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import scene_and_prompts
from sam_edu.ablation.results import COMMAND, Effect, read
from sam_edu.argument_checks import as_choice
from sam_edu.evaluation.intervals import SceneBootstrap
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.clicks import centre_click
from sam_edu.tracing import trace

COARSE = ("before, own", "before, other", "after, own", "after, other", "one channel, own", "one channel, other")
"""What is measured at each click, in the order of the array."""

ARRAY = "coarse_channels.iou"


def agreement(
    channels: Float[Tensor, "channels height width"], masks: Bool[Tensor, "masks height width"]
) -> Float[Tensor, "signed_channels"]:
    """For every channel, and then for every channel's negative, the IoU with the best-matching mask."""
    inside = (torch.cat([channels, -channels]) > 0).flatten(1).double()
    flat = masks.flatten(1).double()
    both = inside @ flat.T
    either = inside.sum(1)[:, None] + flat.sum(1) - both
    return (both / either.clamp(min=1)).amax(1)


def on_grid(logits: Float[Tensor, "masks height width"], side: int) -> Bool[Tensor, "masks side side"]:
    """Masks on the grid of image tokens: a cell is inside where one of its pixels is."""
    return F.max_pool2d((logits > 0).float(), logits.shape[-1] // side) > 0


def one_channel(own: Float[np.ndarray, "clicks channels"], even: Bool[np.ndarray, "clicks"]) -> np.ndarray:
    """For every click the signed channel that agrees best on the clicks of the other half of the scenes."""
    best = {half: int(np.nanmean(own[even == half], axis=0).argmax()) for half in (True, False)}
    return np.array([best[not half] for half in even.tolist()])


@torch.no_grad()
def coarse_channels_of_scene(model: Sam, number: int) -> list[Row]:
    """Compare the channels of all clicks of a held-out scene with masks.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), "before" (2,) and "after" (2, signed channels): own masks, and those of the other
        click, which are not a number where the scene has no object beside the clicked one.
    """
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    predictor, rows = Predictor(model), []
    predictor.set_image(scene.image)
    for prompt in prompts:
        beside = [mask for mask in scene.masks[scene.parent < 0] if not mask[prompt.y, prompt.x]]
        with trace(model) as own:
            predictor.predict([[prompt.x, prompt.y]], [1])
        side = own["src"].shape[-1]
        stages = own["src"][0], own["keys"][0].T.unflatten(1, (side, side))
        found = [[agreement(stage, on_grid(own["masks"][0, 1:], side))] for stage in stages]
        if beside:
            with trace(model) as other:
                predictor.predict(centre_click(max(beside, key=np.sum))[None], [1])
            for stage, one in zip(stages, found, strict=True):
                one.append(agreement(stage, on_grid(other["masks"][0, 1:], side)))
        else:
            for one in found:
                one.append(torch.full_like(one[0], torch.nan))
        before, after = (torch.stack(one).numpy() for one in found)
        rows.append({"prompt": np.array(prompt), "before": before.max(1), "after": after})
    return rows


def measure_coarse_channels(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the array "coarse_channels.iou" (clicks, 6), see `COARSE`.
    """
    stacked = stacked_rows(rows_of_scenes(coarse_channels_of_scene, weights, scenes, processes, progress))
    before, after = stacked["before"], stacked["after"]
    chosen = one_channel(after[:, 0], stacked["prompt"][:, 0] % 2 == 0)
    fixed = after[np.arange(len(after)), :, chosen]
    found = np.concatenate([before, after.max(2), fixed], axis=1)
    return stamp(weights, stacked) | {ARRAY: found.astype(np.float32)}


class CoarseChannels:
    """How well channels of the image tokens agree with masks, at the clicks that have another object beside them.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: it was not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        if ARRAY not in data:
            raise ValueError(f"the file lacks coarse channels: {COMMAND} --only coarse measures them")
        self._found, self._scenes = np.asarray(data[ARRAY], np.float64), np.asarray(data["prompts"])[:, 0]

    def of(self, what: str) -> np.ndarray:
        """The IoU at every click, not a number where no other object is beside it.

        Raises:
            ValueError: another name than those of `COARSE`.
        """
        return self._found[:, COARSE.index(as_choice("what", what, COARSE))]

    def mean(self, what: str) -> Effect:
        """The mean over the clicks with another object beside them, with its interval. Errors as for `of`."""
        kept = ~np.isnan(self._found).any(1)
        values, scenes = self.of(what)[kept], [int(scene) for scene in self._scenes[kept]]
        return Effect(*SceneBootstrap(scenes).interval(values), len(values))


def load_coarse_channels(path: Path | None = None, *, weights: Path | None = None) -> CoarseChannels:
    """Read how well channels agree with masks. Arguments and errors as for `sam_edu.ablation.load`."""
    return CoarseChannels(read(path, weights=weights))
