"""Prompt changes: the masks where a prompt is given in another form, at every held-out click and for its exact box.

    forms = ablation.load_prompt_changes()
    forms.effect("no label")                                        # change in IoU, with a 95 % interval
    forms.effect("padding after the box", prompts="boxes")
    forms.values("half a pixel", "own")                             # IoU with the unchanged masks, click by click

**Measures.** "best": IoU with the target mask, of the best of masks 1 to 3. "single": IoU of mask 0 with it. "own":
mean IoU of masks 1 to 3 with those of the unchanged prompt, 1 where nothing changes. "predicted": the predicted IoU of
the mask that is best in the unchanged decode. For boxes all four are those of mask 0.
**Random vectors.** Where a form has one, it is a control: another one at each click, of the length of what it replaces.
**Mask prompts.** What is given back is the logits of the mask that is best in the unchanged decode, in several forms.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import TEST_STREAM, Prompt, scene_and_prompts
from sam_edu.ablation.results import (
    COMMAND,
    PROMPTS,
    Effect,
    Level,
    PromptKind,
    Statistics,
    level_number,
    read,
)
from sam_edu.ablation.scoring import ious
from sam_edu.argument_checks import as_choice
from sam_edu.evaluation.intervals import SceneBootstrap
from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import PromptEncoder
from sam_edu.modules.prompt_encoder import PositionEmbeddingRandom
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.scenes.clicks import random_click

CELL = 4
"""A position of the grid has the mean of so many logits a side of the mask prompt."""

CLICK_FORMS = {
    "label 0": "the click is negative",
    "no click": "the click has the label -1: the prompt is two padding tokens",
    "no label": "the click's encoding alone, as Meta's PromptEncoder makes it of the labels 2 and 3",
    "random label": "a random vector in the place of the positive label's",
    "no padding token": "the click's token alone",
    "two padding tokens": "two padding tokens in place of one",
    "five padding tokens": "five padding tokens in place of one",
    "random token": "a random vector as one more token, as long as the padding's",
    "half a pixel": "the 0.5 is left out",
    "two pixels": "the click lies two pixels further left and two further up",
    "four pixels": "the click lies four pixels further left and four further up",
    "another pixel": "the click lies at a random pixel of its target mask",
    "another matrix": "another random matrix encodes the click and the image tokens",
    "columns in another order": "the matrix's columns in random order encode the click and the image tokens",
    "zeros": "a mask prompt of zeros",
    "a vector as far": "the no-mask embedding plus a random vector, as long as its difference to what zeros give",
    "logits": "the logits given back",
    "cell means": "the logits given back, all 16 of a cell their mean",
    "-10 and 10": "the mask given back as -10 outside and 10 inside",
    "0 and 1": "the mask given back as zeros and ones",
    "logits elsewhere": "the logits given back, moved by half of the image to the right and down, around its edges",
    "logits alone": "the logits given back without the click: no prompt token",
}
"""What is given in place of one positive click, by name."""

BOX_FORMS = {
    "padding after the box": "the box's two tokens and one padding token",
    "random token after the box": "the box's two tokens and a random vector, as long as the padding's",
    "swapped corners": "(x1, y1, x0, y0)",
    "mirrored corners": "(x1, y0, x0, y1)",
    "no labels": "the corners' encodings alone and padding, as Meta's PromptEncoder makes them of the labels 2 and 3",
    "no prompt": "two padding tokens",
}
"""What is given in place of the exact box, by name."""

FormMeasure = Literal["best", "single", "own", "predicted"]

FORM_MEASURES: tuple[FormMeasure, ...] = get_args(FormMeasure)

MOVED = ("image", "image and click")
"""What has its encodings moved."""

MOVED_ARRAYS = ("own", "there")

NO_OTHER = -1
"""In the array "inside": the scene has no click on another object."""

AS_IT_IS = "as it is"

_FORMS = {"clicks": {AS_IT_IS: "one positive click", **CLICK_FORMS}, "boxes": {AS_IT_IS: "the exact box", **BOX_FORMS}}

_DEFINITIONS = json.dumps(_FORMS)

ARRAYS = ("definitions", "clicks", "boxes", "moved", "inside")
"""What is measured; in the file "prompt_changes." stands before their names."""


class Form(NamedTuple):
    """A prompt as the decoder gets it.

    Attributes:
        sparse: its tokens.
        dense: what is added to the image embedding; None for the no-mask embedding.
        image_pe: the encodings of the image tokens; None for the model's own.
    """

    sparse: Float[Tensor, "1 prompt_tokens dim"]
    dense: Float[Tensor, "1 dim height width"] | None = None
    image_pe: Float[Tensor, "1 dim height width"] | None = None


# --- The forms ---


def click_forms(
    encoder: PromptEncoder,
    prompt: Prompt,
    target: np.ndarray,
    given: Float[Tensor, "height width"],
) -> dict[str, Form]:
    """One positive click, as it is and in all forms of `CLICK_FORMS`.

    Args:
        encoder: the model's.
        prompt: the click.
        target: its target mask.
        given: the logits that are given back.
    """
    generator, rng = _generators(prompt)
    click = given.new_tensor([[[float(prompt.x), float(prompt.y)]]])
    size, pe = encoder.input_image_size, encoder.pe_layer
    positive = encoder._point_embedding(1)
    padding = encoder.not_a_point_embed.weight[None]
    where = pe.forward_with_coords(click + 0.5, size)

    def clicked(at: Tensor, label: int = 1) -> Form:
        return Form(encoder((at, at.new_full((1, 1), label)), None, None)[0])

    def with_padding(token: Tensor, number: int = 1) -> Form:
        return Form(torch.cat([token, padding.expand(1, number, -1)], dim=1))

    def with_matrix(matrix: Tensor) -> Form:
        other: PositionEmbeddingRandom = copy.deepcopy(pe)
        other.positional_encoding_gaussian_matrix = matrix
        token = other.forward_with_coords(click + 0.5, size) + positive
        return with_padding(token)._replace(image_pe=other(encoder.image_embedding_size)[None])

    def with_mask(logits: Tensor) -> Form:
        return usual._replace(dense=encoder(None, None, logits[None, None])[1])

    usual, matrix = clicked(click), pe.positional_encoding_gaussian_matrix
    other_pixel = torch.from_numpy(random_click(target, rng)).to(click)[None, None]
    zeros, none = with_mask(torch.zeros_like(given)), encoder.no_mask_embed.weight[0]
    far = none + _random(zeros.dense[0, :, 0, 0] - none, generator)  # type: ignore[index]
    fresh = torch.randn(matrix.shape, generator=generator).to(matrix)
    order = torch.randperm(matrix.shape[1], generator=generator).to(matrix.device)
    return {
        AS_IT_IS: usual,
        "label 0": clicked(click, 0),
        "no click": clicked(click, -1),
        "no label": with_padding(where),
        "random label": with_padding(where + _random(positive, generator)),
        "no padding token": with_padding(where + positive, 0),
        "two padding tokens": with_padding(where + positive, 2),
        "five padding tokens": with_padding(where + positive, 5),
        "random token": Form(torch.cat([usual.sparse, _random(padding, generator)], dim=1)),
        "half a pixel": clicked(click - 0.5),
        "two pixels": clicked(click - 2),
        "four pixels": clicked(click - 4),
        "another pixel": clicked(other_pixel),
        "another matrix": with_matrix(fresh),
        "columns in another order": with_matrix(matrix[:, order]),
        "zeros": zeros,
        "a vector as far": usual._replace(dense=far[None, :, None, None].expand_as(zeros.dense)),  # type: ignore[arg-type]
        "logits": with_mask(given),
        "cell means": with_mask(cell_means(given)),
        "-10 and 10": with_mask(20.0 * (given > 0) - 10),
        "0 and 1": with_mask((given > 0).to(given.dtype)),
        "logits elsewhere": with_mask(given.roll((given.shape[0] // 2, given.shape[1] // 2), dims=(0, 1))),
        "logits alone": with_mask(given)._replace(sparse=usual.sparse[:, :0]),
    }


def box_forms(encoder: PromptEncoder, prompt: Prompt, box: Float[Tensor, "4"]) -> dict[str, Form]:
    """The exact box, as it is and in all forms of `BOX_FORMS`.

    Args:
        encoder: the model's.
        prompt: the click in whose place the box is given.
        box: (x0, y0, x1, y1).
    """
    generator, _ = _generators(prompt)
    padding = encoder.not_a_point_embed.weight[None]
    corners = encoder.pe_layer.forward_with_coords(box.view(1, 2, 2) + 0.5, encoder.input_image_size)

    def boxed(order: list[int]) -> Tensor:
        sparse: Tensor = encoder(None, box[None, order], None)[0]
        return sparse

    def followed(tokens: Tensor, by: Tensor) -> Form:
        return Form(torch.cat([tokens, by], dim=1))

    usual = boxed([0, 1, 2, 3])
    return {
        AS_IT_IS: Form(usual),
        "padding after the box": followed(usual, padding),
        "random token after the box": followed(usual, _random(padding, generator)),
        "swapped corners": Form(boxed([2, 3, 0, 1])),
        "mirrored corners": Form(boxed([2, 1, 0, 3])),
        "no labels": followed(corners, padding),
        "no prompt": followed(padding, padding),
    }


def moved_forms(encoder: PromptEncoder, prompt: Prompt, other: Prompt) -> dict[str, Form]:
    """A click and the image with encodings moved so that the click's own fits the position of another click.

    "image": the image tokens have the encodings of positions that are further by the difference of the clicks.
    "image and click": the click's token has such an encoding too, so all differences of positions are as they were.

    Args:
        encoder: the model's.
        prompt: the click.
        other: the other one, of the same scene.
    """
    click = encoder.no_mask_embed.weight.new_tensor([[[float(prompt.x), float(prompt.y)]]])
    by = click.new_tensor([float(prompt.x - other.x), float(prompt.y - other.y)])
    height, width = encoder.image_embedding_size
    y, x = ((torch.arange(n, device=click.device) + 0.5) / n for n in (height, width))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    image_size = click.new_tensor(encoder.input_image_size[::-1])
    image_pe = encoder.pe_layer._pe_encoding(grid + by / image_size).permute(2, 0, 1)[None]
    sparse, with_click = (encoder((at, at.new_ones(1, 1)), None, None)[0] for at in (click, click + by))
    return {"image": Form(sparse, image_pe=image_pe), "image and click": Form(with_click, image_pe=image_pe)}


def cell_means(logits: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """All logits of a cell of 4 x 4 replaced by their mean."""
    return F.avg_pool2d(logits[None], CELL)[0].repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)


def _random(like: Tensor, generator: torch.Generator) -> Tensor:
    """A random vector of the shape and the length of another one."""
    drawn = torch.randn(like.shape, generator=generator).to(like)
    return drawn * (like.norm() / drawn.norm())


def _generators(prompt: Prompt) -> tuple[torch.Generator, np.random.Generator]:
    rng = np.random.default_rng((TEST_STREAM, prompt.scene, prompt.mask, 6))
    return torch.Generator().manual_seed(int(rng.integers(2**62))), rng


# --- Measuring ---


@torch.no_grad()
def prompt_changes_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), "clicks" (1 + forms, measures), "boxes" (1 + forms, measures), "moved" (2, 2), NaN
        where the scene has no click on another object, and "inside", see `inside`.
    """
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    predictor, encoder = Predictor(model), model.prompt_encoder
    predictor.set_image(scene.image)
    decode = _Decode(predictor)
    as_they_are = []
    for prompt in prompts:
        click = torch.tensor([[[float(prompt.x), float(prompt.y)]]], device=model.device)
        [unchanged] = decode({AS_IT_IS: Form(encoder((click, click.new_ones(1, 1)), None, None)[0])}).values()
        as_they_are.append(unchanged[0])
    rows = []
    for prompt, logits in zip(prompts, as_they_are, strict=True):
        target = scene.masks[prompt.mask]
        best = 1 + int(ious(logits[1:] > 0, target).argmax())
        by_click = decode(click_forms(encoder, prompt, target, logits[best]))
        box = torch.from_numpy(tight_box(target)).to(logits)
        by_box = decode(box_forms(encoder, prompt, box))
        there = other_click(scene.masks, prompt, prompts)
        moved = np.full((len(MOVED), len(MOVED_ARRAYS)), np.nan)
        if there is not None:
            found = decode(moved_forms(encoder, prompt, prompts[there]))
            both = (logits, as_they_are[there])
            moved = np.array([[_overlap(found[name][0], one) for one in both] for name in MOVED])
        rows.append(
            {
                "prompt": np.array(prompt),
                "clicks": _measured(by_click, target, range(1, 4), best),
                "boxes": _measured(by_box, target, range(1), 0),
                "moved": moved,
                "inside": np.array(NO_OTHER if there is None else inside(encoder, prompt, prompts[there])),
            }
        )
    return rows


class _Decode:
    """Decodes forms of prompts on the image that is set: by name all four masks, logits, and their predicted IoU."""

    def __init__(self, predictor: Predictor) -> None:
        encoder = predictor.model.prompt_encoder
        self.fast = FastMaskDecoder(predictor.model.mask_decoder)
        self.image, self.image_pe = predictor.get_image_embedding(), encoder.get_dense_pe()
        self.src = self.image + encoder.no_mask_embed.weight[0, :, None, None]

    def __call__(self, forms: Mapping[str, Form]) -> dict[str, tuple[Tensor, Tensor]]:
        found: dict[str, tuple[Tensor, Tensor]] = {}
        shared = [name for name, form in forms.items() if form.dense is None and form.image_pe is None]
        for length in {forms[name].sparse.shape[1] for name in shared}:
            alike = [name for name in shared if forms[name].sparse.shape[1] == length]
            sparse = torch.cat([forms[name].sparse for name in alike])
            logits, iou = self.fast.decode(self.src, self.image_pe, sparse, slice(0, None))
            found |= {name: (logits[i], iou[i]) for i, name in enumerate(alike)}
        for name in forms.keys() - found.keys():
            sparse, dense, image_pe = forms[name]
            src = self.src if dense is None else self.image + dense
            logits, iou = self.fast.decode(src, self.image_pe if image_pe is None else image_pe, sparse, slice(0, None))
            found[name] = logits[0], iou[0]
        return {name: found[name] for name in forms}


def _measured(
    found: Mapping[str, tuple[Tensor, Tensor]], target: np.ndarray, counted: range, best: int
) -> Float[np.ndarray, "forms measures"]:
    """Each form's `FORM_MEASURES`. Masks `counted` are compared with those of the first form, the unchanged one."""
    chosen = slice(counted.start, counted.stop)
    usual = next(iter(found.values()))[0][chosen]
    rows = []
    for logits, predicted in found.values():
        with_target = ious(logits > 0, target)
        values = with_target[chosen].max(), with_target[0], _overlap(logits[chosen], usual), predicted[best]
        rows.append([float(value) for value in values])
    return np.array(rows)


def _overlap(one: Tensor, other: Tensor) -> float:
    """The mean IoU of masks with others, mask by mask, of four of them masks 1 to 3; two that are empty agree."""
    one, other = ((logits[1:] if len(logits) == 4 else logits) > 0 for logits in (one, other))
    both, either = (one & other).sum((1, 2)), (one | other).sum((1, 2))
    return float(torch.where(either > 0, both / either.clamp(min=1), 1.0).mean())


def other_click(masks: np.ndarray, prompt: Prompt, prompts: list[Prompt]) -> int | None:
    """The first click whose target mask has no pixel in common with that of a click; None where there is none."""
    return next((i for i, one in enumerate(prompts) if not (masks[prompt.mask] & masks[one.mask]).any()), None)


def inside(encoder: PromptEncoder, prompt: Prompt, other: Prompt) -> bool:
    """Whether the click, moved on by its difference to another one, still lies in the image."""
    height, width = encoder.input_image_size
    return 0 <= 2 * prompt.x - other.x < width and 0 <= 2 * prompt.y - other.y < height


def measure_prompt_changes(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "prompt_changes.".
    """
    stacked = stacked_rows(rows_of_scenes(prompt_changes_of_scene, weights, scenes, processes, progress))
    return {
        **stamp(weights, stacked),
        "prompt_changes.definitions": np.array(_DEFINITIONS),
        "prompt_changes.inside": stacked["inside"].astype(np.int8),
        **{f"prompt_changes.{name}": stacked[name].astype(np.float16) for name in ("clicks", "boxes", "moved")},
    }


# --- Reading ---


class PromptChanges:
    """The measurements of prompts in other forms over the held-out clicks.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: they were not measured, or the forms have changed since.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        missing = [name for name in ARRAYS if f"prompt_changes.{name}" not in data]
        if missing or str(data["prompt_changes.definitions"]) != _DEFINITIONS:
            raise ValueError(f"the file lacks the forms of prompts as they are now: {COMMAND} --only forms")
        self._data = {name: np.asarray(data[f"prompt_changes.{name}"], np.float64) for name in ARRAYS[1:-1]}
        self._inside = np.asarray(data["prompt_changes.inside"], int)
        self._stats = Statistics(data)

    def values(
        self, form: str, measure: FormMeasure = "best", prompts: PromptKind = "clicks"
    ) -> Float[np.ndarray, "prompts"]:
        """A measure at every prompt.

        Args:
            form: one of `CLICK_FORMS`, or for boxes of `BOX_FORMS`; "as it is" for the unchanged prompt.
            measure: one of `FORM_MEASURES`.
            prompts: "clicks" or "boxes".

        Raises:
            ValueError: another form, measure or kind of prompts.
        """
        known = tuple(_FORMS[as_choice("prompts", prompts, PROMPTS)])
        chosen = known.index(as_choice("form", form, known))
        return self._data[prompts][:, chosen, FORM_MEASURES.index(as_choice("measure", measure, FORM_MEASURES))]

    def mean(self, form: str, measure: FormMeasure = "best", prompts: PromptKind = "clicks") -> Effect:
        """The mean of `values`, with its interval. Arguments and errors as there."""
        return self._stats.interval(self.values(form, measure, prompts))

    def effect(
        self,
        form: str,
        measure: FormMeasure = "best",
        prompts: PromptKind = "clicks",
        *,
        against: str = AS_IT_IS,
        level: Level | None = None,
    ) -> Effect:
        """The mean change from another form, by default the unchanged prompt, with its interval.

        Arguments and errors as for `values`; `against` is a form too, and `level` as for `Statistics.scores`.
        """
        change = self.values(form, measure, prompts) - self.values(against, measure, prompts)
        chosen = slice(None) if level is None else self._stats.prompts.level == level_number(level)
        return self._stats.interval(change[chosen], level)

    def moved(self, what: str, masks: str, inside: bool | None = None) -> Effect:
        """Masks 1 to 3 with moved encodings: their mean IoU with others, over clicks with another object in the scene.

        Args:
            what: has its encodings moved, one of `MOVED`.
            masks: "own", those of the click as it is, or "there", those of the click on the other object.
            inside: only clicks that, moved by the same shift, still lie in the image; or only those that do not.

        Raises:
            ValueError: another one of these, or no such click.
        """
        row = MOVED.index(as_choice("what", what, MOVED))
        values = self._data["moved"][:, row, MOVED_ARRAYS.index(as_choice("masks", masks, MOVED_ARRAYS))]
        kept = self._inside != NO_OTHER if inside is None else self._inside == int(inside)
        scenes = [prompt.scene for prompt, one in zip(self._stats.prompts, kept, strict=True) if one]
        if not scenes:
            raise ValueError("inside: expected some clicks, got none")
        return Effect(*SceneBootstrap(scenes).interval(values[kept]), len(scenes))


def load_prompt_changes(path: Path | None = None, *, weights: Path | None = None) -> PromptChanges:
    """Read the measurements of prompts in other forms. Arguments and errors as for `sam_edu.ablation.load`."""
    return PromptChanges(read(path, weights=weights))
