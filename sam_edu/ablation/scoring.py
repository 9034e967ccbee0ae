"""IoU and stability of the masks at a held-out click."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam_edu.ablation.prompts import Prompt
from sam_edu.arrays import as_numbers
from sam_edu.modules.checks import check_shape
from sam_edu.scenes.prompts import masks_at
from sam_edu.scenes.scene import Scene

STABILITY_OFFSET = 1.0
"""How far from threshold 0 the stability score's two thresholds are, as in Meta's `SamAutomaticMaskGenerator`."""


def ious(predicted: Bool[Tensor, "masks height width"], mask: np.ndarray) -> Float[Tensor, "masks"]:
    """IoU of each predicted mask with a target mask that is not empty, (height, width) bool.

    Raises:
        TypeError: no tensor of bools, or no array of them.
        ValueError: a target mask that is empty or of another size.
    """
    check_shape("predicted", predicted, ("masks", "height", "width"))
    if predicted.dtype != torch.bool:
        raise TypeError(f"predicted: expected masks of bools, got {predicted.dtype}; of logits take logits > 0")
    target = torch.from_numpy(as_numbers("mask", mask)).to(predicted.device)
    if target.shape != predicted.shape[1:] or target.dtype != torch.bool or not target.any():
        size = " x ".join(map(str, predicted.shape[1:]))
        raise ValueError(
            f"mask: expected bools of {size} pixels, at least one of them True, got {target.dtype} of shape"
            f" {tuple(target.shape)} with {int(target.count_nonzero())} of them"
        )
    return (predicted & target).sum(dim=(1, 2)).double() / (predicted | target).sum(dim=(1, 2))


def both_scores(logits: Tensor, predicted: Tensor, mask: np.ndarray) -> tuple[float, float]:
    """IoU of the best of the masks, and of the one with the highest predicted IoU.

    Args:
        logits: (masks, height, width), as large as the target mask.
        predicted: the predicted IoU, (masks,).
        mask: the target mask, (height, width) bool.

    Raises:
        TypeError, ValueError: as for `ious`, or another number of predictions.
    """
    check_shape("logits", logits, ("masks", "height", "width"))
    check_shape("predicted", predicted, (len(logits),))
    iou = ious(logits > 0, mask)
    return float(iou.max()), float(iou[int(predicted.argmax())])


def margin(logits: Float[Tensor, "height width"], mask: np.ndarray) -> float:
    """The mean logit inside the target mask minus the mean logit outside it.

    Raises:
        ValueError: nothing is inside, or nothing outside.
    """
    target = torch.from_numpy(mask).to(logits.device)
    if mask.all() or not mask.any():
        raise ValueError(f"mask: expected pixels inside and outside, got {int(mask.sum())} of {mask.size} inside")
    return float((logits * target).sum(dtype=torch.float64) / target.sum()) - float(
        (logits * ~target).sum(dtype=torch.float64) / (~target).sum()
    )


class Scorer:
    """The four measures of a decode, for one target mask.

    After a click masks 1 to 3 count, after a box mask 0 alone, as it is what `multimask_output=False` returns.

    Args:
        logits, predicted: those of the unchanged decode, all four masks. Whichever mask is best there is the one whose
            margin and predicted IoU are measured, in every other decode too: so that the margin is linear in the
            logits.
        mask: the target mask.
        box: the prompt is a box.
    """

    def __init__(self, logits: Tensor, predicted: Tensor, mask: np.ndarray, box: bool = False) -> None:
        self.mask, self.counted = mask, slice(0, 1) if box else slice(1, None)
        self.best = int(ious(logits[self.counted] > 0, mask).argmax()) + (0 if box else 1)

    def __call__(self, logits: Float[Tensor, "4 height width"], predicted: Float[Tensor, "4"]) -> tuple[float, ...]:
        """The measures in the order of `MEASURES`."""
        best, picked = both_scores(logits[self.counted], predicted[self.counted], self.mask)
        return best, picked, margin(logits[self.best], self.mask), float(predicted[self.best])


def four_masks(
    logits: Float[Tensor, "4 height width"], predicted: Float[Tensor, "4"], scene: Scene, prompt: Prompt
) -> dict[str, np.ndarray]:
    """A row of `FourMasks`: each array's four numbers for a click.

    Args:
        logits: of masks 0 to 3, as large as the scene.
        predicted: their predicted IoU.
        scene: where the click is.
        prompt: the click.

    Raises:
        TypeError: no tensors.
        ValueError: not four masks of the scene's size, or not four predictions.
    """
    check_shape("logits", logits, (4, *scene.masks.shape[1:]))
    check_shape("predicted", predicted, (4,))
    valid = scene.masks[masks_at(scene, prompt.x, prompt.y, prompt.mask)]  # the first is the target mask
    each = torch.stack([ious(logits > 0, mask) for mask in valid])
    high = (logits > STABILITY_OFFSET).sum(dim=(1, 2))
    low = (logits > -STABILITY_OFFSET).sum(dim=(1, 2))
    row = {"predicted": predicted, "iou": each[0], "iou_any": each.amax(dim=0), "stability": high.double() / low}
    return {name: value.double().cpu().numpy() for name, value in row.items()}
