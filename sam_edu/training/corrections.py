"""Clicks into the errors of many masks at once, on whatever device they are; no value is read back from it.

`sam_edu.scenes.clicks` has the same clicks for one mask at a time.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

DRAWS = 2**31
"""A draw is a whole number from 0 up to this, exclusive."""

Choose = Callable[[Int[Tensor, "sets"]], Int[Tensor, "sets"]]
"""Of each mask's number of pixels, in the order of rows, the number of one of them, from 0."""


def by_draws(draws: Int[Tensor, "sets"]) -> Choose:
    """The choice that draws make: each pixel of a mask is as likely as every other.

    Args:
        draws: at random from 0 up to `DRAWS`, exclusive.
    """
    return lambda pixels: draws * pixels // DRAWS  # below 2^31 * 2^16: exact


def by_generator(rng: np.random.Generator) -> Choose:
    """The choice of a generator, mask by mask. It reads the numbers of pixels back from the device."""
    return lambda pixels: torch.tensor([int(rng.integers(n)) for n in pixels.tolist()], device=pixels.device)


def corrective_clicks(
    predicted: Bool[Tensor, "sets low low"], targets: Bool[Tensor, "sets size size"], choose: Choose | None
) -> tuple[Int[Tensor, "sets 2"], Bool[Tensor, "sets"]]:
    """A click into each error: positive where the target was missed, negative where it was overrun.

    Args:
        predicted: what the model drew, perhaps on a coarser grid: `size` is a multiple of `low`.
        targets: each has at least one pixel.
        choose: which pixel of each error; None: the deepest one, as the paper evaluates.

    Returns:
        (x, y) in pixels of the targets, and whether it is positive. Without an error: a click inside the target.
    """
    times = targets.shape[-1] // predicted.shape[-1]
    drawn = predicted.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)
    error = drawn != targets
    wrong = torch.where(error.flatten(1).any(1)[:, None, None], error, targets)
    index = deepest_pixels(wrong) if choose is None else chosen_pixels(wrong, choose)
    label = targets.flatten(1).gather(1, index[:, None])[:, 0]
    width = targets.shape[-1]
    return torch.stack([index % width, index // width], dim=1), label


def chosen_pixels(masks: Bool[Tensor, "sets height width"], choose: Choose) -> Int[Tensor, "sets"]:
    """The flat index of the chosen pixel of each mask."""
    count = masks.flatten(1).cumsum(1)
    return torch.searchsorted(count, choose(count[:, -1])[:, None] + 1)[:, 0]


def deepest_pixels(masks: Bool[Tensor, "sets height width"]) -> Int[Tensor, "sets"]:
    """The flat index of the pixel of each mask that is deepest inside: the last to go under repeated erosion.

    Of several that go last, the one nearest to the mask's centre of mass.
    """
    depth = city_block_depth(masks).flatten(1)
    flat = masks.flatten(1)
    height, width = masks.shape[1:]
    ys = torch.arange(height, device=masks.device).repeat_interleave(width)
    xs = torch.arange(width, device=masks.device).repeat(height)
    # float64, in the order of `centre_click`, so that both find the same pixel of a near tie.
    area = flat.sum(1).double()
    my, mx = ((flat * axis).sum(1).double() / area for axis in (ys, xs))
    distance = (ys - my[:, None]) ** 2 + (xs - mx[:, None]) ** 2
    return torch.where(depth == depth.amax(1, keepdim=True), distance, torch.inf).argmin(1)


def city_block_depth(masks: Bool[Tensor, "sets height width"]) -> Int[Tensor, "sets height width"]:
    """The number of steps from each pixel to the nearest one outside of its mask, all beyond the border included.

    That is the number of erosions by the four neighbours after which a pixel is gone. City-block distances are exact
    along one axis after the other, and along one axis the nearest is a running minimum from each side.
    """
    height, width = masks.shape[1:]
    far = height + width
    depth = torch.nn.functional.pad(far * masks.int(), (1, 1, 1, 1))
    for axis in (1, 2):
        shape = [1, 1, 1]
        shape[axis] = -1
        position = torch.arange(depth.shape[axis], device=masks.device, dtype=torch.int32).view(shape)
        before = (depth - position).cummin(axis).values + position
        after = (depth + position).flip(axis).cummin(axis).values.flip(axis) - position
        depth = torch.minimum(before, after)
    return depth[:, 1:-1, 1:-1]
