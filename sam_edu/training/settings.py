"""Settings of a training run: what may be set, checked when it is set, and the schedules that follow from it."""

import math
from dataclasses import dataclass

GRIDS = (8, 16, 32, 64)
"""The grids of image tokens that training can decode on: the encoder's 64 x 64, or averages of it."""
PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")
"""The parts of the model that can be left as they are."""
PRECISIONS = ("bfloat16", "float32")
LARGEST_SEED = 2**64 - 1
"""The largest that torch.manual_seed takes."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run. `steps` or `hours` bounds it: exactly one of the two.

    Attributes:
        steps: length of the run.
        hours: length of the run, in hours of training.
        seed: of the first weights and of every draw.
        images: images a step, over all processes.
        prompt_sets: per image.
        followed: of each image's prompt sets, how many go on to corrections.
        box_share: share of boxes among the first prompts.
        learning_rate: its highest value.
        weight_decay: of the matrices.
        iou_weight: of the IoU head's loss.
        warm_up: steps in which the learning rate rises.
        decay_share: share of the run, at its end, in which the learning rate falls.
        ema: decay of the average of the weights over steps.
        grids: from which share of the run on which grid of image tokens is used.
        balanced_until: share of the run after which the balanced loss has faded.
        start: a weights file to begin with; "tiny" is the package's own. Such a run leaves out what a fresh model
            needs at first: the coarsest grid and the balanced loss.
        precision: "bfloat16" (autocast) or "float32".
        validate_every: steps between validations, each of which saves.
        validation_scenes: how many scenes a validation has.
        restart_at: share of the run after which training begins again with the averaged weights: a fresh optimizer, a
            warm-up, and `decay_share` of what is left. Before it the learning rate stays level. None: no restart.
        freeze: parts of the model that stay as they are, of `PARTS`.
        photographs: a folder of images from which scenes take fills and backgrounds, or None.
        photograph_share: share of the fills and backgrounds that are taken from there.
        annotated: a file of images with outlined objects in COCO's JSON, or None.
        annotated_images: the folder of its images; None is the file's own.
        annotated_share: share of the images of a step that are taken from there.

    Raises:
        ValueError: a value that a run cannot have.
    """

    steps: int | None = None
    hours: float | None = None
    seed: int = 0
    images: int = 8
    prompt_sets: int = 8
    followed: int = 3
    box_share: float = 0.4
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    iou_weight: float = 3.0
    warm_up: int = 200
    decay_share: float = 0.5
    ema: float = 0.999
    grids: tuple[tuple[float, int], ...] = ((0.0, 16), (0.08, 32), (0.8, 64))
    balanced_until: float = 0.15
    start: str | None = None
    precision: str = "bfloat16"
    validate_every: int = 250
    validation_scenes: int = 48
    restart_at: float | None = None
    freeze: tuple[str, ...] = ()
    photographs: str | None = None
    photograph_share: float = 0.5
    annotated: str | None = None
    annotated_images: str | None = None
    annotated_share: float = 0.5

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.hours is None):
            raise ValueError(f"give steps or hours, one of the two; got steps={self.steps}, hours={self.hours}")
        least = {"steps": 1, "seed": 0, "images": 1, "prompt_sets": 1, "followed": 1, "warm_up": 0}
        for name, bound in (least | {"validate_every": 1, "validation_scenes": 1}).items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"{name}: expected a whole number from {bound} on, got {value}")
        if self.seed > LARGEST_SEED:
            raise ValueError(f"seed: expected a whole number up to {LARGEST_SEED}, got {self.seed}")
        for name in ("hours", "learning_rate", "balanced_until"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        for name in ("weight_decay", "iou_weight"):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                raise ValueError(f"{name}: expected a number from 0 on, got {value}")
        for name in ("box_share", "decay_share", "ema", "photograph_share", "annotated_share"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {value}")
        if self.followed > self.prompt_sets:
            raise ValueError(
                f"followed: expected at most the {self.prompt_sets} prompt sets of an image, got {self.followed}; "
                "lower it, or raise prompt_sets"
            )
        if self.restart_at is not None and not 0 < self.restart_at < 1:
            raise ValueError(f"restart_at: expected a share of the run between 0 and 1, got {self.restart_at}")
        self._check_choices()

    def _check_choices(self) -> None:
        if not self.grids or any(grid not in GRIDS for _, grid in self.grids):
            raise ValueError(
                f"grids: expected grids of {', '.join(map(str, GRIDS))}, got {[grid for _, grid in self.grids]}"
            )
        starts = [start for start, _ in self.grids]
        if starts[0] != 0 or starts != sorted(starts):
            raise ValueError(f"grids: expected shares of the run that begin with 0 and rise, got {starts}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected {' or '.join(PRECISIONS)}, got {self.precision!r}")
        unknown = [name for name in self.freeze if name not in PARTS]
        if unknown:
            raise ValueError(f"freeze: expected parts of the model, {', '.join(PARTS)}; got {', '.join(unknown)}")
        if set(self.freeze) == set(PARTS):
            raise ValueError("freeze: all three parts of the model are frozen, so nothing is left to train")
        if self.freeze and self.start is None:
            raise ValueError(
                f"freeze: {', '.join(self.freeze)} would stay at random values; give weights to begin with, "
                "'tiny' for those of the package"
            )
        if self.annotated is None and self.annotated_images is not None:
            raise ValueError(
                f"annotated_images: {self.annotated_images} is the folder of the images of an annotated file; "
                "give that file too"
            )

    def grid(self, fraction: float) -> int:
        """The grid of image tokens at a fraction of the run."""
        grids = [grid for start, grid in self.grids if fraction >= start]
        return grids[-1] if self.start is None else max(grids[-1], self.grids[min(1, len(self.grids) - 1)][1])

    def within(self, fraction: float) -> float:
        """The same fraction, counted from the restart on where it lies behind one."""
        if self.restart_at is None or fraction < self.restart_at:
            return fraction
        return (fraction - self.restart_at) / (1 - self.restart_at)

    def balanced(self, fraction: float) -> float:
        """The share of the balanced loss at a fraction of the run: from 1 down to 0."""
        if self.start is not None or (self.restart_at is not None and fraction >= self.restart_at):
            return 0.0
        return max(0.0, 1.0 - fraction / self.balanced_until)

    def is_level(self, fraction: float) -> bool:
        """Whether the learning rate has not begun to fall."""
        before_restart = self.restart_at is not None and fraction < self.restart_at
        return before_restart or self.within(fraction) < 1 - self.decay_share

    def rate(self, step: int, fraction: float) -> float:
        """Learning rate: up, level, then down to nearly nothing over the last `decay_share`.

        Args:
            step: counted from the start or from the restart.
            fraction: of the whole run.
        """
        decay = (
            1.0 if self.is_level(fraction) or self.decay_share == 0 else (1 - self.within(fraction)) / self.decay_share
        )
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warm_up)) * max(0.01, decay)
