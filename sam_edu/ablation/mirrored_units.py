"""Mirrored units: does a hidden unit follow the image, or the position of the click?

A unit's **map** is its activation, for the click's token in step (3) of block 0, at clicks on a grid of positions: how
the unit depends on where one clicks on an image. The map is correlated with

- *same position*: the map on the mirrored image. 1 for a unit that depends on the position alone;
- *same part of the image*: that map mirrored back. 1 for a unit that depends on the image alone;
- *other image, same position*: the map on another scene's image, the control of the first: what the position alone
  makes alike;
- *other unit, same position*: the map of another unit on the mirrored image, the control of both: what is alike in all
  maps.

Only units count that fire for some of the clicks and not for all, on all three images. Many clicks of the grid lie on
no object, which training never showed.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sam_edu.ablation.prompts import TEST_STREAM, prompts_of
from sam_edu.modules import TwoWayAttentionBlock
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

GRID = 6
"""Clicks in a row of the grid."""

CLICK = 5
"""The slot of the click's token: five output tokens come first."""


def grid_of_clicks(size: int) -> Float[Tensor, "clicks 2"]:
    """The middles of a grid of cells, row by row; a mirror image of the grid is the grid itself."""
    at = (torch.arange(GRID) + 0.5) * size / GRID - 0.5
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1).reshape(-1, 2)


@torch.no_grad()
def click_activations(model: Sam, image: np.ndarray) -> Float[Tensor, "units grid grid"]:
    """The activations of block 0's hidden units for the click's token, at the clicks of the grid.

    Args:
        model: in eval mode.
        image: square, as large as the model's.
    """
    decoder, predictor = model.mask_decoder, Predictor(model)
    predictor.set_image(image)
    clicks = grid_of_clicks(len(image)).to(model.device)[:, None]
    prompt, dense = model.prompt_encoder((clicks, torch.ones(len(clicks), 1, device=model.device)), None, None)
    output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output.expand(len(clicks), -1, -1), prompt], dim=1)
    keys = (predictor.get_image_embedding() + dense[:1]).flatten(2).mT
    encoding = model.prompt_encoder.get_dense_pe().flatten(2).mT
    layer: TwoWayAttentionBlock = decoder.transformer.layers[0]  # type: ignore[assignment, index]
    queries = layer.norm1(layer.self_attn(q=tokens, k=tokens, v=tokens))
    attended = layer.cross_attn_token_to_image(q=queries + tokens, k=keys + encoding, v=keys)
    hidden = F.relu(layer.mlp.lin1(layer.norm2(queries + attended)[:, CLICK]))
    return hidden.T.unflatten(1, (GRID, GRID))


def correlations(
    own: Float[Tensor, "units height width"],
    mirrored: Float[Tensor, "units height width"],
    other: Float[Tensor, "units height width"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "4"]:
    """The mean correlations over the units, in the order of `MIRROR`. NaN where fewer than two units count.

    Args:
        own, mirrored, other: the maps on an image, on its mirror image and on another image.
        rng: draws the other unit of each.
    """
    fire = torch.stack([(maps > 0).flatten(1).float().mean(1) for maps in (own, mirrored, other)])
    counts = ((fire > 0) & (fire < 1)).all(0)
    if int(counts.sum()) < 2:
        return np.full(4, np.nan)
    own, mirrored, other = own[counts], mirrored[counts], other[counts]
    order = torch.from_numpy(rng.permutation(len(own)))
    drawn = torch.empty_like(order)
    drawn[order] = order.roll(1)  # a cycle, so no unit is its own partner
    found = [_alike(own, one) for one in (mirrored, mirrored.flip(-1), other, mirrored[drawn])]
    return np.array([float(one.mean()) for one in found])


def _alike(one: Tensor, other: Tensor) -> Float[Tensor, "units"]:
    """The correlation of maps, unit by unit."""
    one, other = (maps.flatten(1).double() for maps in (one, other))
    return F.cosine_similarity(one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True))


def mirror_scene(model: Sam, number: int) -> Float[np.ndarray, "4"]:
    """The correlations on a held-out scene; the other image is the next scene's."""
    image, other = prompts_of(number)[0], prompts_of(number + 1)[0]
    images = (image, np.ascontiguousarray(image[:, ::-1]), other)
    rng = np.random.default_rng((TEST_STREAM, number, 6))
    own, mirrored, another = (click_activations(model, one) for one in images)
    return correlations(own, mirrored, another, rng)
