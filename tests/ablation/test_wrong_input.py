"""What is no held-out click and no mask: arguments that are wrong in the ways of their kind are refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sam_edu.ablation import FIRST_SCENE, both_scores, four_masks, ious, prompts_of, scene_and_prompts
from sam_edu.ablation.held_out import prompts_of_scene
from sam_edu.sam import build_tiny
from sam_edu.scenes.scene import Scene

pytestmark = pytest.mark.no_shape_check

MASKS: Any = torch.zeros(3, 4, 6, dtype=torch.bool)
TARGET: Any = np.ones((4, 6), bool)
LOGITS: Any = torch.zeros(4, 4, 6)
IOU: Any = torch.zeros(4)
SCENE: Any = Scene(np.zeros((4, 6, 3), np.uint8), TARGET[None], np.array([0]), np.array([-1]), ("a",))
PROMPT: Any = (0, 0, 0, 1, 1, 24)

WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a negative scene": (lambda: prompts_of(-1), ValueError, "number: expected a whole number of 0 or more, got -1"),
    "half a scene": (lambda: scene_and_prompts(1.5), TypeError, "number: expected a whole number, got 1.5"),
    "a scene by name": (lambda: scene_and_prompts("1000"), TypeError, "number: expected numbers, got str"),
    "no scene": (lambda: prompts_of(None), TypeError, "number: expected numbers, got NoneType"),
    "logits as masks": (lambda: ious(LOGITS, TARGET), TypeError, "predicted: .*bools, got torch.float32; .*logits > 0"),
    "one mask": (lambda: ious(MASKS[0], TARGET), ValueError, r"predicted: expected shape \(masks, height, width\)"),
    "an array of masks": (lambda: ious(TARGET, TARGET), TypeError, "predicted: expected a torch.Tensor"),
    "a target of another size": (lambda: ious(MASKS, TARGET[:3]), ValueError, r"mask: expected bools of 4 x 6 pixels"),
    "an empty target": (
        lambda: ious(MASKS, ~TARGET),
        ValueError,
        r"mask: .*at least one of them True, .*with 0 of them",
    ),
    "a target of bytes": (lambda: ious(MASKS, TARGET.astype(np.uint8)), ValueError, "mask: .*got torch.uint8"),
    "text as a target": (lambda: ious(MASKS, "mask"), TypeError, "mask: expected numbers, got str"),
    "too few predictions": (
        lambda: both_scores(LOGITS, IOU[:3], TARGET),
        ValueError,
        r"predicted: expected shape \(4,\)",
    ),
    "one map of logits": (lambda: both_scores(LOGITS[0], IOU, TARGET), ValueError, "logits: expected shape"),
    "three masks for four": (lambda: four_masks(LOGITS[:3], IOU, SCENE, PROMPT), ValueError, r"logits: .*\(4, 4, 6\)"),
    "logits of the grid": (lambda: four_masks(LOGITS[:, :2], IOU, SCENE, PROMPT), ValueError, r"logits: .*got \(4, 2"),
    "three predictions": (lambda: four_masks(LOGITS, IOU[:3], SCENE, PROMPT), ValueError, r"predicted: .*got \(3,\)"),
    "no model": (lambda: prompts_of_scene(None, FIRST_SCENE), TypeError, "model: expected a Sam"),
    "a decoder": (
        lambda: prompts_of_scene(build_tiny().mask_decoder, FIRST_SCENE),
        TypeError,
        "model: expected a Sam.*MaskDecoder without image_encoder",
    ),
}


@pytest.mark.parametrize(("call", "error", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_refused_by_name(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
