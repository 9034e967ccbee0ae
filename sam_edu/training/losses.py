"""Losses: masks (focal and dice, or balanced cross-entropy), masks assigned to several valid targets, and IoU."""

import itertools

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

FOCAL_WEIGHT, DICE_WEIGHT = 20.0, 1.0
FOCAL_GAMMA, FOCAL_ALPHA = 2.0, 0.25


def pairwise_mask_loss(
    logits: Float[Tensor, "batch masks height width"],
    targets: Float[Tensor, "batch targets height width"],
    balanced: float,
) -> Float[Tensor, "batch masks targets"]:
    """The loss of every mask against every target.

    Every part is linear in the (binary) target, so all pairs come out of two matrix products.

    Args:
        logits: predicted masks.
        targets: 0 or 1 at each pixel.
        balanced: between 0 (20 focal + 1 dice, as in the paper) and 1 (cross-entropy in which inside and outside weigh
            the same, + 1 dice). Focal loss from scratch falls into empty masks for hundreds of steps; the balanced
            loss at the start avoids that.

    Returns:
        the loss of each pair.
    """
    x, t = logits.flatten(2), targets.flatten(2)
    pixels = x.shape[-1]
    p = torch.sigmoid(x)
    inside, outside = F.softplus(-x), F.softplus(x)  # cross-entropy where the target is 1, and where it is 0
    area = t.sum(-1)[:, None]
    # Dice
    both = p @ t.transpose(1, 2)
    loss = DICE_WEIGHT * (1 - (2 * both + 1) / (p.sum(-1)[..., None] + area + 1))
    if balanced > 0:
        missed = inside @ t.transpose(1, 2) / area.clamp(min=1)
        overrun = (outside.sum(-1)[..., None] - outside @ t.transpose(1, 2)) / (pixels - area).clamp(min=1)
        loss = loss + balanced * (missed + overrun) / 2
    if balanced < 1:
        focal_in = FOCAL_ALPHA * (1 - p).pow(FOCAL_GAMMA) * inside
        focal_out = (1 - FOCAL_ALPHA) * p.pow(FOCAL_GAMMA) * outside
        focal = (focal_out.sum(-1)[..., None] + (focal_in - focal_out) @ t.transpose(1, 2)) / pixels
        loss = loss + (1 - balanced) * FOCAL_WEIGHT * focal
    return loss


def best_assignment(
    loss: Float[Tensor, "batch masks targets"], valid: Bool[Tensor, "batch targets"]
) -> Float[Tensor, "batch"]:
    """The cheapest assignment of a mask of its own to each valid target.

    An ambiguous click has one to three right answers. The masks that get none are not trained by it, so that each can
    become good at one kind of answer.

    Args:
        loss: of each mask against each target; as many masks as targets.
        valid: which targets there are.

    Returns:
        per prompt set the mean loss over its targets under the best assignment.
    """
    masked = loss * valid[:, None]
    columns = torch.arange(loss.shape[2])
    totals = [masked[:, list(order), columns].sum(-1) for order in itertools.permutations(range(loss.shape[1]))]
    return torch.stack(totals).amin(0) / valid.sum(-1).clamp(min=1)


@torch.no_grad()
def pairwise_iou(
    masks: Bool[Tensor, "batch masks height width"], targets: Float[Tensor, "batch targets height width"]
) -> Float[Tensor, "batch masks targets"]:
    """IoU of every mask with every target; 0 for a target that is empty."""
    m, t = masks.flatten(2).float(), targets.flatten(2)
    both = m @ t.transpose(1, 2)
    return both / (m.sum(-1)[..., None] + t.sum(-1)[:, None] - both).clamp(min=1)


def grouping_loss(
    embedding: Float[Tensor, "*groups pixels width"], label: Int[Tensor, "*groups pixels"]
) -> Float[Tensor, ""]:
    """Grouping loss: similar embeddings for pixels of one mask, different ones for pixels of two masks.

    Args:
        embedding: of pixels sampled from images, a group for each image and level.
        label: which mask of that level each belongs to; 0 is none. Two pixels of none are not compared.

    Returns:
        balanced cross-entropy of "the same?" from the cosine, mean over the groups; a group where there is nothing to
        compare counts as 0.
    """
    unit = F.normalize(embedding.float(), dim=-1)
    logit = 10.0 * (unit @ unit.mT - 0.5)
    same = label.unsqueeze(-1) == label.unsqueeze(-2)
    known = (label.unsqueeze(-1) > 0) | (label.unsqueeze(-2) > 0)
    itself = torch.eye(label.shape[-1], dtype=torch.bool, device=label.device)
    loss = logit.new_zeros(label.shape[:-1])
    for chosen, sign in ((same & known & ~itself, -1.0), (~same, 1.0)):
        loss = loss + (F.softplus(sign * logit) * chosen).sum((-2, -1)) / chosen.sum((-2, -1)).clamp(min=1)
    return loss.mean()
