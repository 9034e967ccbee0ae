"""References: what other prompts make of a tensor, to put into its place.

names = ["transformer.layers.0.self_attn.out", "hs"]
runs = ablation.reference(model, names, ablation.load().prompts)   # 247 decodes: about a minute
with sam_edu.intervene(model, "hs", "mean", reference=runs):
    predictor.predict(...)
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation.changes import BIASES, TERMS
from sam_edu.ablation.channels import VALUES, WEIGHTS, terms
from sam_edu.ablation.choosing import chosen_prompts, drawn_again
from sam_edu.ablation.prompts import FIRST_SCENE, SCENES, TEST_STREAM, Prompt, scene_and_prompts
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.selections import Select
from sam_edu.tracing import Reference, ReferenceRuns, Trace, trace

LARGE, KEPT = 2**16, 8
"""Of a tensor with more numbers than this for one prompt set, this many runs are kept; all count for the mean."""

GRID = 4
"""Clicks a side of the grid of `clicks_on_image`."""

# What is no tensor of the decoder, but is made of two.
_MADE_OF = {TERMS: (WEIGHTS, VALUES), BIASES: (WEIGHTS, VALUES)}


def reference(
    model: Sam, names: Iterable[str], prompts: Select | Iterable[Prompt | int | np.integer], *, boxes: bool = False
) -> ReferenceRuns:
    """The tensors of these names at many held-out prompts, with the decoder as it is.

    Args:
        model: in eval mode.
        names: of trace points of the decoder; also `TERMS` and `BIASES`, the terms of the product (6-3).
        prompts: held-out clicks, or their numbers in the package's statistics.
        boxes: give the exact box of the target mask in the click's place.

    Returns:
        the runs in the order of the prompts, and their means. Of large tensors a few runs are kept, evenly chosen.

    Raises:
        KeyError: no such tensor.
        ValueError: no prompts, or one that is none of the held-out ones.
    """
    chosen = chosen_prompts(prompts)
    if not chosen:
        raise ValueError("prompts: expected at least one, got none")
    collected = Collected(names, kept={int(i) for i in np.linspace(0, len(chosen) - 1, min(KEPT, len(chosen)))})
    for t in traces_of(model, chosen, boxes):
        collected.add(t)
    return collected.runs()


@torch.no_grad()
def clicks_on_image(
    model: Sam, names: Iterable[str], image: np.ndarray, clicks: Sequence[Sequence[float]] | None = None
) -> ReferenceRuns:
    """The tensors of these names at other clicks on one image.

    Args:
        model: in eval mode.
        names: as for `reference`.
        image: as for `Predictor.set_image`.
        clicks: (x, y) in the image's pixels; by default the middles of a grid of 4 x 4 cells. Training showed clicks on
            objects alone, and many of these lie on none.
    """
    height, width = image.shape[:2]
    if clicks is None:
        steps = [(i + 0.5) / GRID for i in range(GRID)]
        clicks = [(x * width, y * height) for y in steps for x in steps]
    predictor = Predictor(model)
    predictor.set_image(image)
    collected = Collected(names)
    for click in clicks:
        with trace(predictor) as t:
            predictor.predict([click], [1])
        collected.add(t)
    return collected.runs()


def other_prompt(prompt: Prompt) -> Prompt:
    """The held-out click whose tensors replace those of this one under *resample*: drawn from the other scenes."""
    rng = np.random.default_rng((TEST_STREAM, prompt.scene, prompt.mask, 3))
    while True:
        number = FIRST_SCENE + int(rng.integers(SCENES))
        drawn = scene_and_prompts(number)[1] if number != prompt.scene else []
        if drawn:
            return drawn[int(rng.integers(len(drawn)))]


def other_trace(model: Sam, prompt: Prompt, names: Iterable[str]) -> Reference:
    """The tensors of these names at `other_prompt`."""
    [t] = traces_of(model, [other_prompt(prompt)])
    return {name: t[name] for name in names}


class Collected:
    """Sums and runs of tensors over several decodes.

    Args:
        names: of the tensors.
        kept: numbers of the runs that are kept of a large tensor.
        runs: keep runs at all.
    """

    def __init__(self, names: Iterable[str], kept: Collection[int] = (), runs: bool = True) -> None:
        self.names, self.kept, self._keeps = tuple(names), kept, runs
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self._runs: dict[str, list[Tensor]] = {name: [] for name in self.names}

    def add(self, t: Trace) -> None:
        """Count one decode of one prompt set."""
        for name in self.names:
            x = _made(name, t) if name in _MADE_OF else t[name]
            total = x[0].double()
            self.sums[name] = self.sums[name] + total if name in self.sums else total
            if self._keeps and (x[0].numel() <= LARGE or self.count in self.kept):
                self._runs[name].append(x[0].clone())
        self.count += 1

    def merge(self, sums: Mapping[str, Tensor], count: int) -> None:
        """Count the decodes of another collection too."""
        for name, total in sums.items():
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.count += count

    def means(self) -> dict[str, Tensor]:
        """The mean of each tensor over all decodes."""
        return {name: (total / self.count).float() for name, total in self.sums.items()}

    def runs(self) -> ReferenceRuns:
        """The runs that were kept, and the means."""
        kept = {name: torch.stack(runs) for name, runs in self._runs.items() if runs}
        return ReferenceRuns(kept, self.means(), self.count)


@torch.no_grad()
def traces_of(model: Sam, prompts: Iterable[Prompt], boxes: bool = False) -> Iterator[Trace]:
    """The trace of the decoder at each prompt, before the next one is decoded."""
    predictor, number = Predictor(model), None
    for prompt, scene in drawn_again(prompts):
        if prompt.scene != number:
            predictor.set_image(scene.image)
            number = prompt.scene
        box = tight_box(scene.masks[prompt.mask]) if boxes else None
        with trace(model.mask_decoder) as t:
            model.mask_decoder.predict_masks(**decoder_inputs(predictor, prompt, box))
        yield t


def decoder_inputs(predictor: Predictor, prompt: Prompt | None, box: np.ndarray | None = None) -> dict[str, Tensor]:
    """What the decoder gets: the image that is set, and a prompt.

    Args:
        predictor: with an image.
        prompt: the click; None for a padding token in its place, as if nobody had clicked.
        box: (x0, y0, x1, y1), in the click's place.
    """
    encoder, device = predictor.model.prompt_encoder, predictor.device
    if box is None:
        x, y, label = (0, 0, -1) if prompt is None else (prompt.x, prompt.y, 1)
        click = torch.tensor([[[float(x), float(y)]]], device=device)
        sparse, dense = encoder((click, torch.full((1, 1), label, device=device)), None, None)
    else:
        sparse, dense = encoder(None, torch.from_numpy(box)[None].to(device), None)
    return {
        "image_embeddings": predictor.get_image_embedding(),
        "image_pe": encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
    }


def _made(name: str, t: Trace) -> Tensor:
    """The terms of the product, or their means over all positions."""
    weights, values = (t[part] for part in _MADE_OF[name])
    return terms(weights, values if name == TERMS else values.mean(dim=(2, 3), keepdim=True))
