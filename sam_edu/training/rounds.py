"""Interactive rounds: a first prompt, then clicks into the error, with the last logits as mask prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder, PromptEncoder
from sam_edu.sam import Sam
from sam_edu.training.batches import Batch, shrink
from sam_edu.training.corrections import Choose, by_draws, corrective_clicks
from sam_edu.training.losses import best_assignment, pairwise_iou, pairwise_mask_loss

SINGLE_MASK_SHARE = 0.25
"""Weight of mask 0 after one click, where it is a fallback; with more prompts its weight is 1."""
THREE_MASKS_SHARE = 0.5
"""Weight of the best of masks 1 to 3 after a box or several clicks, where mask 0 is the intended mask."""
STILL_ROUND_SHARE = 0.15
"""How often a later round brings the last logits without a new click (paper, appendix A: 2 rounds of 11)."""
BARE_ROUND_SHARE = 0.3
"""How often a later round has its clicks without the last logits, as when people click. The paper always gives them."""

DEEPEST_SHARE = 0.5
"""How often the clicks of a later round go to the deepest position of the error, as when people correct."""


@dataclass(frozen=True)
class LaterRound:
    """What a later round brings, the same for all prompt sets and processes.

    Attributes:
        still: no new click.
        bare: no mask prompt.
        deepest: the new click is at the deepest position of the error, not at a random one.
    """

    still: bool = False
    bare: bool = False
    deepest: bool = False


def plan_later_rounds(rng: np.random.Generator) -> list[LaterRound]:
    """How many later rounds a step has, and what each brings; the first always has a new click."""
    number = int(rng.choice([1, 2, 3, 5], p=[0.4, 0.3, 0.2, 0.1]))
    still = [i > 0 and bool(rng.random() < STILL_ROUND_SHARE) for i in range(number)]
    return [
        LaterRound(s, not s and bool(rng.random() < BARE_ROUND_SHARE), bool(rng.random() < DEEPEST_SHARE))
        for s in still
    ]


@dataclass
class Prompts:
    """Prompt sets as tensors. Every row has as many clicks; where `is_box`, the first is not used and the box is.

    Attributes:
        clicks: (x, y) in pixels of the padded image.
        labels: 1 positive, 0 negative.
        boxes: (x0, y0, x1, y1) in pixels.
        is_box: whether the row began with its box.
        mask: logits of the last round, or None in the first.
    """

    clicks: Float[Tensor, "sets clicks 2"]
    labels: Float[Tensor, "sets clicks"]
    boxes: Float[Tensor, "sets 4"]
    is_box: Bool[Tensor, "sets"]
    mask: Float[Tensor, "sets 1 low low"] | None = None


def set_grid(model: Sam, grid: int) -> None:
    """Set the prompt encoder's grid to another size; its parameters do not depend on it."""
    model.prompt_encoder.image_embedding_size = (grid, grid)
    model.prompt_encoder.mask_input_size = (4 * grid, 4 * grid)


def embed_image(model: Sam, image: Tensor, grid: int) -> Float[Tensor, "images dim grid grid"]:
    """Encode images, then average the embedding down to a coarser grid (training is cheaper there)."""
    embedding = model.image_encoder(model.preprocess(image))
    return F.avg_pool2d(embedding, embedding.shape[-1] // grid) if embedding.shape[-1] != grid else embedding


def sparse_tokens(encoder: PromptEncoder, prompts: Prompts) -> Float[Tensor, "sets prompt_tokens dim"]:
    """The prompt tokens of rows that began with a click and of rows that began with a box, in one tensor.

    n clicks and the padding token are n + 1 tokens; n - 1 clicks and a box's two corners as well. Both are computed
    for every row: to ask whether there is a box would read a value back from the device.
    """
    begun_with_click = encoder((prompts.clicks, prompts.labels), None, None)[0]
    begun_with_box = encoder((prompts.clicks[:, 1:], prompts.labels[:, 1:]), prompts.boxes, None)[0]
    return torch.where(prompts.is_box[:, None, None], begun_with_box, begun_with_click)


def decode(
    model: Sam,
    decoder: MaskDecoder | FastMaskDecoder,
    embedding: Float[Tensor, "images dim grid grid"],
    prompts: Prompts,
) -> tuple[Float[Tensor, "sets masks low low"], Float[Tensor, "sets masks"]]:
    """All four masks and IoU predictions of prompt sets, equally many of each image.

    The prompt encoder runs in float32, as angles of many turns need it; the decoder in whatever autocast says.
    """
    encoder, sets = model.prompt_encoder, len(prompts.clicks)
    with torch.autocast(embedding.device.type, enabled=False):
        sparse = sparse_tokens(encoder, prompts)
        image_pe = encoder.get_dense_pe().to(embedding.dtype)
        dense = encoder(None, None, prompts.mask)[1].to(embedding.dtype)
    if isinstance(decoder, FastMaskDecoder):
        groups = embedding if prompts.mask is None else embedding.repeat_interleave(sets // len(embedding), dim=0)
        masks, iou = decoder.decode(groups + dense, image_pe, sparse, slice(0, None))
    else:
        image = embedding.repeat_interleave(sets // len(embedding), dim=0)
        masks, iou = decoder.predict_masks(image, image_pe, sparse, dense.expand(sets, -1, -1, -1))
    return masks.float(), iou.float()


def first_round_loss(
    masks: Tensor, iou: Tensor, targets: Tensor, valid: Tensor, is_box: Tensor, balanced: float
) -> tuple[Tensor, Tensor]:
    """Mask loss and IoU loss of first prompts (mean over the prompt sets).

    A click: each valid mask gets one of masks 1 to 3, and mask 0 gets the target. A box: mask 0, and the best of
    the three. The IoU head is asked for the IoU with the best right answer.
    """
    loss = pairwise_mask_loss(masks, targets, balanced)
    after_click = best_assignment(loss[:, 1:], valid) + SINGLE_MASK_SHARE * loss[:, 0, 0]
    mask_loss = torch.where(is_box, _unambiguous(loss), after_click).mean()
    true_iou = (pairwise_iou(masks > 0, targets) * valid[:, None]).amax(-1)
    return mask_loss, F.mse_loss(iou, true_iou)


def later_round_loss(masks: Tensor, iou: Tensor, targets: Tensor, balanced: float) -> tuple[Tensor, Tensor]:
    """Mask loss and IoU loss of corrected prompts, which have one target."""
    targets = targets[:, :1]
    loss = pairwise_mask_loss(masks, targets, balanced)
    return _unambiguous(loss).mean(), F.mse_loss(iou, pairwise_iou(masks > 0, targets)[..., 0])


def _unambiguous(loss: Tensor) -> Tensor:
    return loss[:, 0, 0] + THREE_MASKS_SHARE * loss[:, 1:, 0].amin(-1)


def next_prompts(
    prompts: Prompts,
    masks: Float[Tensor, "sets masks low low"],
    iou: Float[Tensor, "sets masks"],
    targets: Bool[Tensor, "sets size size"],
    choose: Choose | None,
    still: bool = False,
) -> Prompts:
    """Add a click into the error of the mask that the model would return, and its logits as mask prompt.

    After a single click that is the one of masks 1 to 3 with the highest predicted IoU, else mask 0.

    Args:
        prompts: of the round that was decoded.
        masks: its logits.
        iou: its IoU predictions.
        targets: the ground truth.
        choose: which pixel of each error is clicked, see `corrective_clicks`; None for the deepest one.
        still: pass on the logits without a new click.
    """
    rows = torch.arange(len(masks), device=masks.device)
    single_click = (~prompts.is_box) & (prompts.clicks.shape[1] == 1)
    returned = torch.where(single_click, 1 + iou[:, 1:].argmax(-1), 0)
    logits = masks[rows, returned].detach()
    clicks, labels = prompts.clicks, prompts.labels
    if not still:
        added, label = corrective_clicks(logits > 0, targets, choose)
        clicks = torch.cat([clicks, added.to(clicks)[:, None]], dim=1)
        labels = torch.cat([labels, label.to(labels)[:, None]], dim=1)
    return Prompts(clicks, labels, prompts.boxes, prompts.is_box, logits[:, None].clamp(-32, 32))


def training_losses(
    model: Sam,
    decoder: MaskDecoder | FastMaskDecoder,
    batch: Batch,
    embedding: Float[Tensor, "images dim grid grid"],
    *,
    balanced: float,
    followed: int,
    plan: Sequence[LaterRound],
) -> dict[str, Tensor]:
    """The losses of one step: the first round of all prompt sets, then rounds of corrections for a few of them.

    Args:
        model: the model in training.
        decoder: its decoder, or the `FastMaskDecoder` of that.
        batch: scenes and first prompts.
        embedding: of the batch's images.
        balanced: see `pairwise_mask_loss`.
        followed: how many prompt sets of each image go on after the first round.
        plan: the later rounds; all but the first and the last of them run without gradients.

    Returns:
        "mask", "iou": first round; "later_mask", "later_iou": mean over the later rounds that were trained.
    """
    images, sets = len(batch.image), len(batch.clicks) // len(batch.image)
    low = 4 * embedding.shape[-1]
    targets = shrink(batch.targets, low)
    ones = torch.ones(len(batch.clicks), 1, device=embedding.device)
    prompts = Prompts(batch.clicks[:, None], ones, batch.boxes, batch.is_box)
    masks, iou = decode(model, decoder, embedding, prompts)
    mask_loss, iou_loss = first_round_loss(masks, iou, targets, batch.valid, batch.is_box, balanced)
    losses = {"mask": mask_loss, "iou": iou_loss}

    first_rows = torch.arange(images, device=embedding.device)[:, None] * sets
    rows = (first_rows + torch.arange(followed, device=embedding.device)).flatten()
    full_size = batch.targets[rows, 0].bool()
    prompts = Prompts(prompts.clicks[rows], ones[rows], batch.boxes[rows], batch.is_box[rows])
    masks, iou = masks[rows].detach(), iou[rows].detach()
    later: list[tuple[Tensor, Tensor]] = []
    for number, later_round in enumerate(plan, start=1):
        choose = None if later_round.deepest else by_draws(batch.draws[rows, number - 1])
        prompts = next_prompts(prompts, masks, iou, full_size, choose, later_round.still)
        if later_round.bare:
            prompts.mask = None
        trained = number in (1, len(plan))
        with torch.set_grad_enabled(trained):
            masks, iou = decode(model, decoder, embedding, prompts)
        if trained:
            later.append(later_round_loss(masks, iou, targets[rows], balanced))
        masks, iou = masks.detach(), iou.detach()
    if later:
        losses["later_mask"] = torch.stack([mask for mask, _ in later]).mean()
        losses["later_iou"] = torch.stack([iou for _, iou in later]).mean()
    return losses
