"""Streams: how tokens and image tokens change through the two-way transformer, over the held-out clicks.

    streams = ablation.load_streams()
    streams.turn("(1) block 0")                                  # by how many degrees the step turns the tokens
    streams.kept("image tokens", "block 1", shared=False)        # cosine with the start
    streams.apart("end", shared=False)                           # the angle between two mask tokens
    streams.distance(ablation.TOKEN_TO_IMAGE[2], "two heads")    # how much their attention maps differ

**Turn.** The angle between a token before and after a step, mean over the seven tokens.
**Kept.** The cosine of a token, or of an image token, with the same one at the start, mean over all of them.
**Apart.** The angle between two mask tokens, mean over the six pairs.
**Shared.** The tokens of one decode share a vector, their mean, and so do the image tokens. Large cosines may be due to
it alone. With `shared=False` it is subtracted first. Seven vectors without anything in common are about 100 degrees
apart after that, as they sum to zero.
**Distance.** The total variation distance of two attention maps: half the sum of |a - b|, the share of the weight that
has to be moved. Of two mask tokens in one head; of one mask token in two neighbouring heads; of one mask token in one
head under another click, on the same target mask or on another object.
**Untrained.** All of it once more with a mask decoder of fresh weights, others for each scene, on the embeddings of the
trained encoders: what shows there too is not the work of training.
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sam_edu.ablation.changes import DEPTH, TOKEN_TO_IMAGE
from sam_edu.ablation.controls.models import untrained
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.pairs import MAX_OVERLAP, objects_of, overlap
from sam_edu.ablation.prompts import TEST_STREAM, Prompt, scene_and_prompts
from sam_edu.ablation.results import COMMAND, Effect, read
from sam_edu.argument_checks import as_choice
from sam_edu.evaluation.intervals import SceneBootstrap
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.clicks import random_click
from sam_edu.scenes.scene import Scene
from sam_edu.tracing import trace

MASK_TOKENS = slice(1, 5)

PATH = ("tokens", *(f"transformer.layers.{i}.queries_{j}" for i in range(DEPTH) for j in (1, 2, 3)), "hs")
"""The tokens at the start and after each step that changes them."""

TURNS = (*(f"({j}) block {i}" for i in range(DEPTH) for j in (1, 2, 3)), "(6-1)")
"""These steps."""

STAGES = ("start", *(f"block {i}" for i in range(DEPTH)), "end")
"""The tokens at the start, after each block, and after (6-1)."""

_STATES = [0, *(3 * (i + 1) for i in range(DEPTH)), len(PATH) - 1]

KEPT = (*(("tokens", stage) for stage in STAGES[1:]), *(("image tokens", stage) for stage in STAGES[1:-1]))

Distance = Literal["two mask tokens", "two heads", "another click on the mask", "a click on another object"]

DISTANCES: tuple[Distance, ...] = get_args(Distance)

_SHAPES: dict[str, tuple[int, ...]] = {
    "turn": (len(TURNS),),
    "kept": (len(KEPT), 2),
    "apart": (len(STAGES), 2),
    "distance": (len(TOKEN_TO_IMAGE), len(DISTANCES)),
}
"""What is measured, and its shape at each click for each of two decoders; in the file "streams." stands before it."""


# --- One decode ---


def turns(path: Float[Tensor, "states tokens dim"]) -> Float[Tensor, "steps"]:
    """The mean angle in degrees by which each step turns the tokens."""
    return _degrees(F.cosine_similarity(path[1:], path[:-1], dim=-1)).mean(dim=1)


def kept(start: Float[Tensor, "vectors dim"], later: Float[Tensor, "vectors dim"]) -> Float[Tensor, "2"]:
    """The mean cosine of vectors with themselves at the start: as they are, and without what they share."""
    return torch.stack(
        [F.cosine_similarity(a, b, dim=-1).mean() for a, b in ((start, later), (_own(start), _own(later)))]
    )


def apart(tokens: Float[Tensor, "tokens dim"]) -> Float[Tensor, "2"]:
    """The mean angle in degrees between two mask tokens: as they are, and without what all tokens share."""
    return torch.stack([_angle_of_masks(tokens), _angle_of_masks(_own(tokens))])


def _own(vectors: Tensor) -> Tensor:
    return vectors - vectors.mean(dim=0)


def _degrees(cosine: Tensor) -> Tensor:
    return cosine.clamp(-1, 1).arccos().rad2deg()


def _angle_of_masks(tokens: Tensor) -> Tensor:
    unit = F.normalize(tokens[MASK_TOKENS], dim=-1)
    return torch.stack([_degrees(a @ b) for a, b in combinations(unit, 2)]).mean()


def distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean total variation distance of attention maps, over all axes but the last."""
    return (a - b).abs().sum(-1).mean() / 2


def distances(maps: Float[Tensor, "clicks heads masks positions"]) -> Float[Tensor, "4"]:
    """The distances of an attention's maps, in the order of `DISTANCES`.

    Args:
        maps: of the mask tokens, at a click, at another one on the same mask, and on another object, if there is one.
    """
    one = maps[0]
    two_masks = torch.stack([distance(one[:, i], one[:, j]) for i, j in combinations(range(one.shape[1]), 2)]).mean()
    others = [distance(one, other) for other in maps[1:]]
    others += [one.new_tensor(torch.nan)] * (2 - len(others))
    return torch.stack([two_masks, distance(one, one.roll(1, dims=0)), *others])


# --- A scene ---


def clicks_beside(scene: Scene, prompt: Prompt) -> list[tuple[int, int]]:
    """Another random click on a prompt's target mask; and one on another object, on a mask of the same level.

    The same at every call. Without the second where the scene has no such object.
    """
    rng = np.random.default_rng((TEST_STREAM, prompt.scene, prompt.mask, 6))
    pixels, objects = scene.masks[prompt.mask].copy(), objects_of(scene)
    pixels[prompt.y, prompt.x] = False
    others = [
        i
        for i in np.flatnonzero(scene.level == prompt.level).tolist()
        if objects[i] != objects[prompt.mask] and overlap(scene.masks[i], scene.masks[prompt.mask]) < MAX_OVERLAP
    ]
    masks = [pixels, *([scene.masks[int(rng.choice(others))]] if others else [])]
    return [(int(x), int(y)) for x, y in (random_click(mask, rng) for mask in masks)]


@torch.no_grad()
def streams_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), and the arrays of the module's list, the trained decoder first, then the untrained.
    """
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    fresh = untrained(model, generator=torch.Generator().manual_seed(number), parts=("mask_decoder",))
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    return [{"prompt": np.array(prompt)} | _of_click(predictor, (model, fresh), scene, prompt) for prompt in prompts]


def _of_click(predictor: Predictor, models: tuple[Sam, Sam], scene: Scene, prompt: Prompt) -> Row:
    encoder = predictor.model.prompt_encoder
    clicks = torch.tensor([(prompt.x, prompt.y), *clicks_beside(scene, prompt)], device=predictor.device).float()
    sparse, dense = encoder((clicks[:, None], torch.ones(len(clicks), 1, device=predictor.device)), None, None)
    found: dict[str, list[np.ndarray]] = {name: [] for name in _SHAPES}
    for model in models:
        with trace(model.mask_decoder) as t:
            model.mask_decoder.predict_masks(predictor.get_image_embedding(), encoder.get_dense_pe(), sparse, dense)
        for name, values in streams_of_decode(t).items():
            found[name].append(values)
    return {name: np.stack(both) for name, both in found.items()}


def streams_of_decode(t: Mapping[str, Tensor]) -> Row:
    """All measures of a recorded decode of one to three prompt sets: of the first one, the others to compare with."""
    path = torch.stack([t[name][0] for name in PATH]).double()
    image = [t["src"][0].flatten(1).T, *(t[f"transformer.layers.{i}.keys_4"][0] for i in range(DEPTH))]
    image = [one.double() for one in image]
    maps = [t[f"{name}.weights"][:, :, MASK_TOKENS].double() for name in TOKEN_TO_IMAGE]
    measures = {
        "turn": turns(path),
        "kept": torch.stack(
            [*(kept(path[0], path[i]) for i in _STATES[1:]), *(kept(image[0], one) for one in image[1:])]
        ),
        "apart": torch.stack([apart(path[i]) for i in _STATES]),
        "distance": torch.stack([distances(one) for one in maps]),
    }
    return {name: values.cpu().numpy() for name, values in measures.items()}


def measure_streams(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "streams.".
    """
    stacked = stacked_rows(rows_of_scenes(streams_of_scene, weights, scenes, processes, progress))
    return stamp(weights, stacked) | {f"streams.{name}": stacked[name].astype(np.float32) for name in _SHAPES}


# --- What is stored ---


class Streams:
    """The measurements of the streams over the held-out clicks.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: they were not measured, or something else was.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        clicks = len(data["prompts"])
        for name, shape in _SHAPES.items():
            if f"streams.{name}" not in data or np.shape(data[f"streams.{name}"]) != (clicks, 2, *shape):
                raise ValueError(
                    f"the file lacks the streams' {name} as it is now: {COMMAND} --only streams measures it"
                )
        self._data = {name: np.asarray(data[f"streams.{name}"], np.float64) for name in _SHAPES}
        self._scenes = np.array([Prompt(*map(int, row)).scene for row in data["prompts"]])

    def turn(self, step: str, *, trained: bool = True) -> Effect:
        """By how many degrees a step turns the tokens.

        Args:
            step: one of `TURNS`.
            trained: or the decoder of fresh weights.

        Raises:
            ValueError: another step.
        """
        return self._mean("turn", trained, _index("step", step, TURNS))

    def kept(self, stream: str, stage: str, *, shared: bool = True, trained: bool = True) -> Effect:
        """The cosine of a stream's vectors with themselves at the start.

        Args:
            stream: "tokens", or "image tokens".
            stage: one of `STAGES`, but "start"; the image tokens end with "block 1".
            shared: as they are; otherwise without the vector that all of them share.
            trained: or the decoder of fresh weights.

        Raises:
            ValueError: another stream or stage.
        """
        known = [f"{one}, {other}" for one, other in KEPT]
        return self._mean("kept", trained, _index("stream, stage", f"{stream}, {stage}", known), int(not shared))

    def apart(self, stage: str, *, shared: bool = True, trained: bool = True) -> Effect:
        """The angle in degrees between two mask tokens. Arguments and errors as for `kept`; any of `STAGES`."""
        return self._mean("apart", trained, _index("stage", stage, STAGES), int(not shared))

    def distance(self, attention: str, of: str, *, trained: bool = True) -> Effect:
        """How much two attention maps differ, 0 to 1. Clicks whose scene has no other object are left out.

        Args:
            attention: one of `TOKEN_TO_IMAGE`.
            of: one of `DISTANCES`.
            trained: or the decoder of fresh weights.

        Raises:
            ValueError: another attention, or other maps.
        """
        where = _index("attention", attention, TOKEN_TO_IMAGE), _index("of", of, DISTANCES)
        return self._mean("distance", trained, *where)

    def values(self, name: str, trained: bool = True) -> np.ndarray:
        """All numbers of a measure, a row per click: "turn", "kept", "apart" or "distance".

        Raises:
            ValueError: another name.
        """
        return self._data[as_choice("name", name, tuple(_SHAPES))][:, 0 if trained else 1]

    def _mean(self, name: str, trained: bool, *where: int) -> Effect:
        one: Any = (slice(None), *where)
        values = self.values(name, trained)[one]
        there = np.isfinite(values)
        bootstrap = SceneBootstrap(self._scenes[there].tolist())
        return Effect(*bootstrap.interval(values[there]), int(there.sum()))


def _index(argument: str, name: str, names: Any) -> int:
    return list(names).index(as_choice(argument, name, tuple(names)))


def load_streams(path: Path | None = None, *, weights: Path | None = None) -> Streams:
    """Read the measurements of the streams. Arguments and errors as for `sam_edu.ablation.load`."""
    return Streams(read(path, weights=weights))
