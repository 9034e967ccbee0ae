"""Three parts of a map in which each image token has 4 x 4 pixels of its own, and the borders between its pixels.

- **Token means**: the mean of each square of 4 x 4 pixels.
- **Pattern**: what is common to all squares, one stamp of 4 x 4 numbers.
- **Drawing**: the rest, which differs from square to square.

Their sum is the map, and their variances sum to the map's variance. They are linear in the map, so the parts of a
weighted sum of channels are the same weighted sum of the channels' parts.

Borders between two pixels side by side are of four kinds, by where they lie in an image token's square: inside its
first half, between its halves, inside its second half, and from one token to the next. Without a grid all are alike.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

SIDE = 4
"""Pixels along one side of an image token's square."""

PARTS = ("token means", "pattern", "drawing")
KINDS = ("in the first half", "between the halves", "in the second half", "to the next token")


def in_squares(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "maps rows columns 4 4"]:
    """The squares of each image token.

    Raises:
        ValueError: a size that is no multiple of 4.
    """
    _, height, width = maps.shape
    if height % SIDE or width % SIDE:
        raise ValueError(f"maps: expected a height and a width that are multiples of {SIDE}, got {height} and {width}")
    return maps.unflatten(1, (height // SIDE, SIDE)).unflatten(3, (width // SIDE, SIDE)).movedim(3, 2)


def from_squares(squares: Float[Tensor, "maps rows columns 4 4"]) -> Float[Tensor, "maps height width"]:
    """The map again: the inverse of `in_squares`."""
    return squares.movedim(2, 3).flatten(3).flatten(1, 2)


def split(
    maps: Float[Tensor, "maps height width"],
) -> tuple[
    Float[Tensor, "maps height width"],
    Float[Tensor, "maps height width"],
    Float[Tensor, "maps height width"],
]:
    """The three parts of maps, in the order of `PARTS`, each as large as the map. Their sum is the map."""
    squares = in_squares(maps)
    means = squares.mean((3, 4), keepdim=True)
    stamp = (squares - means).mean((1, 2), keepdim=True)
    parts = (means.expand_as(squares), stamp.expand_as(squares), squares - means - stamp)
    one, two, three = (from_squares(part) for part in parts)
    return one, two, three


def stamps(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "maps 4 4"]:
    """The pattern of each map, once."""
    squares = in_squares(maps)
    return (squares - squares.mean((3, 4), keepdim=True)).mean((1, 2))


def covariances(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "3 maps maps"]:
    """The covariances of maps over the pixels, part by part; their sum is the covariance of the maps."""
    parts = split(maps - maps.mean((1, 2), keepdim=True))
    flat = torch.stack([part.flatten(1) for part in parts])
    return flat @ flat.mT / flat.shape[-1]


def flat_squares(maps: Float[Tensor, "maps height width"], side: int = SIDE) -> Float[Tensor, "maps height width"]:
    """Each square of some side its mean."""
    return F.interpolate(F.avg_pool2d(maps[None], side), scale_factor=side)[0]


def joined_squares(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "maps height width"]:
    """The squares' means, interpolated bilinearly."""
    return F.interpolate(F.avg_pool2d(maps[None], SIDE), scale_factor=SIDE, mode="bilinear")[0]


def moved_flat_squares(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "maps height width"]:
    """Each square its mean, for squares that lie half a square further down and right: of four tokens each."""
    half = SIDE // 2
    wider = F.pad(maps[None], (half, half, half, half), mode="replicate")[0]
    return flat_squares(wider)[:, half:-half, half:-half]


# --- Borders between pixels ---


def jumps_by_kind(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "maps 4"]:
    """The mean size of the differences from pixel to pixel, kind by kind in the order of `KINDS`, in both directions.

    They are divided by their own mean: 1 is what a map without a grid has.
    """
    kinds = torch.stack([_by_kind(one).mean((1, 2)) for one in (maps, maps.mT)]).mean(0)
    return kinds / kinds.mean(1, keepdim=True)


def edges_by_kind(masks: Bool[Tensor, "masks height width"]) -> Int[Tensor, "masks 4"]:
    """At how many borders between pixels a mask begins or ends, kind by kind in the order of `KINDS`.

    The last row and the last column of squares are left out: no token comes next to them.
    """
    return sum(_by_kind(one.float()).sum((1, 2)) for one in (masks, masks.mT)).long()  # type: ignore[union-attr]


def _by_kind(maps: Float[Tensor, "maps height width"]) -> Float[Tensor, "maps height squares 4"]:
    """The sizes of the steps from each pixel to its right neighbour, without those of the last square."""
    steps = F.pad(maps.diff(dim=2), (0, 1)).abs()
    return steps[..., :-SIDE].unflatten(2, (-1, SIDE))
