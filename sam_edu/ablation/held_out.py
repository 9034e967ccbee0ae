"""Measures `sam_edu.ablation.HeldOutPrompts`: every held-out click with the unchanged decoder.

One click, the exact box in its place, and the corrective clicks of `sam_edu.evaluation.scores`, by its own functions.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.prompts import CLICKS, TEST_STREAM, scene_and_prompts
from sam_edu.ablation.results import MEASURED
from sam_edu.ablation.scoring import four_masks, ious
from sam_edu.model_checks import as_sam
from sam_edu.sam import Sam
from sam_edu.scenes.boxes import tight_box
from sam_edu.training.corrections import by_generator
from sam_edu.training.decoder_choice import fastest_decoder
from sam_edu.training.rounds import Prompts, decode, embed_image, next_prompts


@torch.no_grad()
def prompts_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,), and each array of `MEASURED` without the axis of the clicks.

    Raises:
        TypeError: no model, or a number that is not whole.
        ValueError: a number below 0.
    """
    model = as_sam(model)
    scene, prompts = scene_and_prompts(number)
    if not prompts:
        return []
    n, device = len(prompts), model.device
    targets = np.stack([scene.masks[prompt.mask] for prompt in prompts])
    decoder = fastest_decoder(model.mask_decoder, model.device)
    image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(device)
    embedding = embed_image(model, image, model.prompt_encoder.image_embedding_size[0])
    clicks = torch.tensor([[[prompt.x, prompt.y]] for prompt in prompts], dtype=torch.float32, device=device)
    boxes = torch.from_numpy(np.stack([tight_box(mask) for mask in targets])).to(device)
    labels, is_box = torch.ones(n, 1, device=device), torch.ones(n, dtype=torch.bool, device=device)
    by_click = Prompts(clicks, labels, boxes, ~is_box)
    logits, quality = decode(model, decoder, embedding, by_click)
    box_logits, box_quality = decode(model, decoder, embedding, Prompts(clicks, labels, boxes, is_box))

    def scores(predicted: torch.Tensor) -> list[float]:
        """IoU of one mask per click with its target mask."""
        return [float(ious(one[None] > 0, target)) for one, target in zip(predicted, targets, strict=True)]

    def correct(rng: np.random.Generator | None, give_logits: bool = True) -> np.ndarray:
        """IoU after 1 to 8 clicks, (clicks, 8)."""
        now, now_quality, prompts_now = logits, quality, by_click
        found = [scores(logits[torch.arange(n), 1 + quality[:, 1:].argmax(-1)])]
        for _ in range(CLICKS - 1):
            choose = None if rng is None else by_generator(rng)
            prompts_now = next_prompts(prompts_now, now, now_quality, torch.from_numpy(targets).to(device), choose)
            if not give_logits:
                prompts_now.mask = None
            now, now_quality = decode(model, decoder, embedding, prompts_now)
            found.append(scores(now[:, 0]))
        return np.array(found).T

    rng = np.random.default_rng((TEST_STREAM, number, 2))
    measured = {
        "area": (logits > 0).sum(dim=(2, 3)).cpu().numpy(),
        "corrections": np.stack([correct(None), correct(rng)], axis=1),
        "corrections_without": correct(None, give_logits=False),
        "boxes_iou": np.array(scores(box_logits[:, 0])),
        "boxes_predicted": box_quality[:, 0].cpu().numpy(),
    }
    return [
        {"prompt": np.array(prompt)}
        | four_masks(logits[i], quality[i], scene, prompt)
        | {name: values[i] for name, values in measured.items()}
        for i, prompt in enumerate(prompts)
    ]


def measure_prompts(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays of `MEASURED` under their names in the file.
    """
    rows = rows_of_scenes(prompts_of_scene, weights, scenes, processes, progress)
    stacked = stacked_rows(rows)
    stacked["corrections"] = stacked["corrections"].swapaxes(0, 1)
    types: dict[str, type] = {"area": np.int32}
    return {
        **stamp(weights, stacked),
        **{f"prompts.{name}": stacked[name].astype(types.get(name, np.float32)) for name in MEASURED},
    }


def join(first: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """The file's arrays, from what `measure`, `measure_attention` and `measure_prompts` measured.

    Raises:
        ValueError: they were measured on different weights or clicks.
    """
    for other in others:
        if str(first["weights"]) != str(other["weights"]) or not np.array_equal(first["prompts"], other["prompts"]):
            raise ValueError("the parts were measured on other weights or other clicks: measure everything again")
        first = first | other
    return first
