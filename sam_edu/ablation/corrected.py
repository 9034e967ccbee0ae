"""Corrected: what each corrective click does to a mask, and what the same round does without a new click.

    corrected = ablation.load_corrected()
    corrected.iou[:, 3] - corrected.still[:, 2]     # what the fourth click adds to a round without it
    corrected.contradicted[:, 3]                    # how many of the four clicks the mask contradicts

The clicks and masks are those of `HeldOutPrompts.corrections[0]`: up to eight clicks, each at the deepest position of
the error of the mask before, with its logits as mask prompt. After one click the mask is the one of masks 1 to 3 with
the highest predicted IoU, after more it is mask 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import CLICKS, scene_and_prompts
from sam_edu.ablation.results import COMMAND, read
from sam_edu.ablation.scoring import STABILITY_OFFSET, ious
from sam_edu.sam import Sam
from sam_edu.training.decoder_choice import fastest_decoder
from sam_edu.training.rounds import Prompts, decode, embed_image, next_prompts

SHOWN = 6
"""With how many clicks, at most, a prompt set was trained (`sam_edu.training.rounds.plan_later_rounds`)."""

USUAL = 4
"""No more clicks than these in nine of ten steps of the training."""


GIVEN = ("the logits", "10 and -10", "0 and 0.99", "mirrored logits", "zeros", "nothing")
"""What is given as mask prompt: the last logits, their mask in other numbers, a wrong mask, and no mask."""


@dataclass(frozen=True, eq=False)
class Corrected:
    """What was measured at each held-out click. Of rounds n = 1 to 8 the column is n - 1; of steps 2 to 8 it is n - 2.

    Attributes:
        iou: of the returned mask with the target mask, by round.
        predicted: its predicted IoU, by round.
        contradicted: how many of the n clicks so far the mask contradicts, by round.
        still: IoU of mask 0 where the round brings the last logits and no new click, by step.
        mended, broken: pixels that the step made right, and that it made wrong.
        distance: the median distance of the changed pixels from the new click, in pixels; NaN where none changed.
        of_edge: that of all pixels at the edge of the mask before, its null: edges change most easily; NaN without one.
        two_iou, two_predicted, two_stability: masks 0 to 3 after two clicks, as in `FourMasks`.
        given: IoU of mask 0 after two and after three clicks, with each of `GIVEN` as mask prompt. The clicks are the
            same for all of them.
    """

    iou: Float[np.ndarray, "clicks 8"]
    predicted: Float[np.ndarray, "clicks 8"]
    contradicted: Float[np.ndarray, "clicks 8"]
    still: Float[np.ndarray, "clicks 7"]
    mended: Float[np.ndarray, "clicks 7"]
    broken: Float[np.ndarray, "clicks 7"]
    distance: Float[np.ndarray, "clicks 7"]
    of_edge: Float[np.ndarray, "clicks 7"]
    two_iou: Float[np.ndarray, "clicks 4"]
    two_predicted: Float[np.ndarray, "clicks 4"]
    two_stability: Float[np.ndarray, "clicks 4"]
    given: Float[np.ndarray, "clicks 2 ways"]


CORRECTED = tuple(one.name for one in fields(Corrected))
"""What is measured; in the file "corrected." stands before their names."""


# --- Measuring ---


def contradictions(
    mask: Bool[np.ndarray, "height width"], clicks: Float[np.ndarray, "clicks 2"], labels: Float[np.ndarray, "clicks"]
) -> int:
    """How many clicks (x, y) a mask contradicts: positive ones outside of it, and negative ones inside."""
    x, y = clicks.astype(int).T
    return int((mask[y, x] != (labels > 0)).sum())


def step_between(
    before: Bool[np.ndarray, "height width"],
    after: Bool[np.ndarray, "height width"],
    target: Bool[np.ndarray, "height width"],
    click: Float[np.ndarray, "2"],
) -> dict[str, float]:
    """What changed from one mask to the next: "mended", "broken", "distance" and "of_edge", see `Corrected`."""
    ys, xs = np.indices(target.shape)
    away = np.hypot(xs - click[0], ys - click[1])
    changed, edge = before != after, np.zeros_like(before)
    for mask, at in ((before, edge), (before.T, edge.T)):  # both pixels of a pair of neighbours that differ
        differs = mask[1:] != mask[:-1]
        at[1:] |= differs
        at[:-1] |= differs
    return {
        "mended": float((changed & (after == target)).sum()),
        "broken": float((changed & (after != target)).sum()),
        "distance": float(np.median(away[changed])) if changed.any() else np.nan,
        "of_edge": float(np.median(away[edge])) if edge.any() else np.nan,
    }


def mask_prompts(logits: Float[Tensor, "sets 1 low low"]) -> dict[str, Tensor | None]:
    """The mask prompts of `GIVEN`, from the last logits."""
    inside = logits > 0
    ways = (logits, 20.0 * inside - 10, 0.99 * inside, logits.flip(-1), torch.zeros_like(logits), None)
    return dict(zip(GIVEN, ways, strict=True))


@torch.no_grad()
def corrections_of_scene(model: Sam, number: int) -> list[Row]:
    """Correct all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), and each array of `Corrected` without the axis of the clicks.
    """
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    n, device = len(prompts), model.device
    masks = np.stack([scene.masks[prompt.mask] for prompt in prompts])
    targets = torch.from_numpy(masks).to(device)
    decoder = fastest_decoder(model.mask_decoder, model.device)
    image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(device)
    embedding = embed_image(model, image, model.prompt_encoder.image_embedding_size[0])
    clicks = torch.tensor([[[prompt.x, prompt.y]] for prompt in prompts], dtype=torch.float32, device=device)
    no_box = torch.zeros(n, 4, device=device), torch.zeros(n, dtype=torch.bool, device=device)
    now = Prompts(clicks, torch.ones(n, 1, device=device), *no_box)

    def scores(logits: Tensor) -> list[float]:
        return [float(ious(one[None] > 0, mask)) for one, mask in zip(logits, masks, strict=True)]

    found: dict[str, list[Any]] = {name: [] for name in CORRECTED}
    rows, drawn = torch.arange(n), None
    for count in range(1, CLICKS + 1):
        logits, quality = decode(model, decoder, embedding, now)
        returned = 1 + quality[:, 1:].argmax(-1) if count == 1 else torch.zeros(n, dtype=torch.long)
        last, drawn = drawn, (logits[rows, returned] > 0).cpu().numpy()
        given, labels = now.clicks.cpu().numpy(), now.labels.cpu().numpy()
        found["iou"].append(scores(logits[rows, returned]))
        found["predicted"].append(quality[rows, returned].tolist())
        found["contradicted"].append([contradictions(drawn[i], given[i], labels[i]) for i in range(n)])
        if last is not None:
            steps = [step_between(last[i], drawn[i], masks[i], given[i, -1]) for i in range(n)]
            for name in steps[0]:
                found[name].append([step[name] for step in steps])
        if count == 2:
            high, low = ((logits > edge).sum((2, 3)) for edge in (STABILITY_OFFSET, -STABILITY_OFFSET))
            found["two_iou"] = [scores(logits[:, k]) for k in range(4)]
            found["two_predicted"], found["two_stability"] = quality.T.tolist(), (high / low).T.tolist()
        if count in (2, 3) and now.mask is not None:
            ways = [replace(now, mask=mask) for mask in mask_prompts(now.mask).values()]
            found["given"].append(
                np.transpose([scores(decode(model, decoder, embedding, one)[0][:, 0]) for one in ways])
            )
        if count < CLICKS:
            still = next_prompts(now, logits, quality, targets, None, still=True)
            found["still"].append(scores(decode(model, decoder, embedding, still)[0][:, 0]))
            now = next_prompts(now, logits, quality, targets, None)
    return [
        {"prompt": np.array(prompt)} | {name: np.array(values)[:, i] for name, values in found.items()}
        for i, prompt in enumerate(prompts)
    ]


def measure_corrected(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "corrected.".
    """
    stacked = stacked_rows(rows_of_scenes(corrections_of_scene, weights, scenes, processes, progress))
    return stamp(weights, stacked) | {f"corrected.{name}": stacked[name].astype(np.float32) for name in CORRECTED}


# --- Reading ---


def corrected_in(data: Mapping[str, Any]) -> Corrected:
    """The measurements of a file's arrays.

    Raises:
        ValueError: they were not measured.
    """
    missing = [name for name in CORRECTED if f"corrected.{name}" not in data]
    if missing:
        raise ValueError(f"the file lacks the corrections' {', '.join(missing)}: {COMMAND} --only corrected")
    return Corrected(**{name: np.asarray(data[f"corrected.{name}"], np.float64) for name in CORRECTED})


def load_corrected(path: Path | None = None, *, weights: Path | None = None) -> Corrected:
    """Read the measurements of the corrections. Arguments and errors as for `sam_edu.ablation.load`."""
    return corrected_in(read(path, weights=weights))
