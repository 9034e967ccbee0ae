"""Notebook 03, prompts and positions: what it states about the trained model."""

import torch
from torch.nn import functional as F

from claims.claim import Predicate
from claims.click import Click, overlap


def largest_cosine(click: Click) -> float:
    """The largest absolute cosine among the prompt encoder's six learned vectors."""
    encoder = click.model.prompt_encoder
    learned = (*encoder.point_embeddings, encoder.not_a_point_embed, encoder.no_mask_embed)
    unit = F.normalize(torch.cat([one.weight for one in learned]), dim=1)
    return float((unit @ unit.T - torch.eye(6)).abs().max())


def change_by_half_a_pixel(click: Click) -> float:
    """The change of the logits if the click moves within its cell, by half a pixel, as a share of their size."""
    moved = click.trace_at(click.example.click - 0.5)["masks"][0]
    return float((moved - click.logits).norm() / click.logits.norm())


def change_by_one_more_padding(click: Click) -> float:
    """The change of the logits with a second padding token, as a share of their size."""
    sparse, dense = click.prompt
    pe = click.model.prompt_encoder.get_dense_pe()
    more = torch.cat([sparse, sparse[:, -1:]], dim=1)
    logits, _ = click.decoder(click.predictor.features, pe, more, dense, True)
    return float((logits[0] - click.logits[1:]).norm() / click.logits[1:].norm())


def explained_by_the_mean(click: Click) -> float:
    """The share of the variance of the mask prompt's 16 logits at a position that their mean gives back."""
    squares = F.pixel_unshuffle(click.t["masks"][:, [click.drawn]], 4)[0].flatten(1).T.double()
    inputs = torch.stack([squares.mean(1), torch.ones(len(squares))], dim=1).double()
    fit = inputs @ torch.linalg.lstsq(inputs, squares).solution
    return float(1 - (fit - squares).square().sum() / (squares - squares.mean(0)).square().sum())


def image_in_the_mask_prompts_directions(click: Click) -> float:
    """The share of the image embedding's variance in the 16 directions that a mask prompt can reach."""
    weight = click.model.prompt_encoder.mask_downscaling[6].weight[:, :, 0, 0]
    basis, sizes, _ = torch.linalg.svd(weight.double(), full_matrices=False)
    image = click.predictor.features[0].flatten(1).T.double()
    image = image - image.mean(0)
    return float((image @ basis[:, sizes > 1e-6 * sizes[0]]).square().sum() / image.square().sum())


def with_a_prompt_of_zeros(click: Click) -> tuple[float, float]:
    """The lowest IoU of masks 1 to 3 with those without a mask prompt, and the fall of the drawn mask's prediction."""
    sparse, _ = click.prompt
    _, dense = click.model.prompt_encoder(None, None, torch.zeros(1, 1, 256, 256))
    masks, predicted = click.decode(sparse, dense)
    fall = click.predicted[click.drawn] - predicted[0, click.drawn - 1]
    return float(overlap(masks[0], click.masks[1:]).min()), float(fall)


def left_with_another_matrix(click: Click) -> float:
    """The mean IoU of masks 1 to 3 with the unchanged ones, with another random matrix of the positional encoding."""
    matrix = click.model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    usual, masks = matrix.clone(), click.masks[1:]
    try:
        matrix.copy_(torch.randn(2, 128, generator=torch.Generator().manual_seed(1)))
        other, _, _ = click.predictor.predict(click.example.click, [1])
    finally:
        matrix.copy_(usual)
    return float(overlap(other, masks).mean())


CLAIMS: dict[str, dict[str, Predicate]] = {
    "kinds-after": {
        "the six learned vectors are about as different as random ones": lambda e: largest_cosine(e.click) < 0.3,
    },
    "worth-live-prose": {
        "with one more padding token a mask moves": lambda e: change_by_one_more_padding(e.click) > 0.01,
        "and it does not get worse": lambda e: abs(e.effect("one padding token more").mean) < 0.003,
    },
    "half-after": {
        "a shift of the click within a cell has an effect": lambda e: change_by_half_a_pixel(e.click) > 1e-3,
    },
    "mask-16": {
        "the mean of the 16 logits gives back almost all of their variance": lambda e: (
            explained_by_the_mean(e.click) > 0.97
        ),
    },
    "mask-why-16": {
        "the image embedding is not kept out of the 16 directions": lambda e: (
            image_in_the_mask_prompts_directions(e.click) > 0.03
        ),
    },
    "none-after": {
        "with a mask prompt of zeros the masks hardly differ": lambda e: with_a_prompt_of_zeros(e.click)[0] > 0.95,
        "the predicted IoU does": lambda e: with_a_prompt_of_zeros(e.click)[1] > 0.1,
    },
    "read": {
        "another random matrix gives other masks": lambda e: left_with_another_matrix(e.click) < 0.6,
    },
}
