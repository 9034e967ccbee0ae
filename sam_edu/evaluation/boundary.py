"""Boundary IoU: the IoU of the bands along the edges of two masks."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from sam_edu.evaluation.baselines import as_masks
from sam_edu.scenes.mask_checks import check_not_empty

DIAGONAL_SHARE = 0.02
"""Width of the band as a share of the image's diagonal: the default of the authors' code, boundary-iou-api."""


def boundary_iou(
    masks: Bool[np.ndarray, "n height width"] | Any,
    target: Bool[np.ndarray, "height width"] | Any,
    *,
    share: float = DIAGONAL_SHARE,
) -> Float[np.ndarray, "n"]:
    """Boundary IoU of each mask with one target.

    Question: is the edge right? In a large mask the pixels along the edge are few, and the IoU of the area hardly sees
    whether they are right. Here only the band inside each edge counts, as wide in a large mask as in a small one.

    Args:
        masks: predicted; an empty one scores 0.
        target: ground truth.
        share: width of the band as a share of the image's diagonal; at least a pixel.

    Raises:
        TypeError: they hold no numbers.
        ValueError: other values than 0 and 1, such as logits; another size; an empty target; a share that is not
            positive.

    Source: Cheng, Girshick, Dollar, Berg, Kirillov 2021, "Boundary IoU: improving object-centric image segmentation
    evaluation".
    """
    masks, target = as_masks("masks", masks), as_masks("target", target)
    if masks.ndim != 3 or masks.shape[1:] != target.shape:
        raise ValueError(f"masks: expected (n, *{target.shape}), the size of the target, got shape {masks.shape}")
    check_not_empty(target, "target")
    if not share > 0:
        raise ValueError(f"share: expected a positive share of the diagonal, got {share}")
    width = max(1, round(share * float(np.hypot(*target.shape))))
    band = boundary(target, width)
    bands = np.array([boundary(mask, width) for mask in masks], bool).reshape(masks.shape)
    return (bands & band).sum(axis=(1, 2)) / (bands | band).sum(axis=(1, 2))


def boundary(mask: Bool[np.ndarray, "height width"], width: int) -> Bool[np.ndarray, "height width"]:
    """The pixels of a mask that are at most a width away from its edge, counted as a chess king moves.

    As in the authors' code: what an erosion by 3 x 3 pixels, carried out `width` times, removes. What lies outside the
    image is not in the mask, so the image's edge is an edge of the mask.

    Args:
        mask: it may be empty.
        width: in pixels, 1 or more.
    """
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    return mask & (depth <= width)
