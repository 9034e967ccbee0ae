"""Measures `sam_edu.ablation.ProductStatistics`: steps (6-2) and (6-3) at every held-out click, and pairs of clicks."""

import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam_edu.ablation.changes import MASK_TOKENS
from sam_edu.ablation.channels import VALUES, WEIGHTS
from sam_edu.ablation.controls.models import reshuffled
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.outline_fits import outline_fits
from sam_edu.ablation.pairs import scene_and_pairs
from sam_edu.ablation.product_results import ORDERS
from sam_edu.ablation.product_ways import WAYS, ProductMeans, logits_by_way, overlaps
from sam_edu.ablation.prompts import TEST_STREAM, Prompt, prompts_of
from sam_edu.ablation.references import traces_of
from sam_edu.ablation.scoring import ious
from sam_edu.ablation.token_crossing import LOTS, STRIDE, crossed
from sam_edu.evaluation.boundary import boundary_iou
from sam_edu.modules import mask_product
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import Trace, trace

OTHERS = 20
"""From how many further scenes the means come. They are not measured, so no click has a part in its own means."""

FURTHER = 1000
"""How much higher the numbers of these scenes are."""

BAND = 4
"""Pixels on either side of a mask's edge that belong to its band."""


@torch.no_grad()
def sums_of_scene(model: Sam, number: int) -> list[Row]:
    """What `ProductMeans` is made of: a row per click of a scene."""
    rows = []
    for t in traces_of(model, prompts_of(number)[2]):
        weights, features = t[WEIGHTS][0], t[VALUES][0].flatten(1)
        silent = features < 0
        tensors = {
            "silent": (features * silent).sum(1),
            "loud": (features * ~silent).sum(1),
            "silent_count": silent.sum(1),
            "count": torch.full((len(features),), features.shape[1]),
            "weights": weights,
            "terms": weights * features.mean(1),
            "term_sizes": weights.abs() * features.abs().mean(1),
            "tokens": t["hs"][0, MASK_TOKENS],
        }
        rows.append({name: tensor.double().cpu().numpy() for name, tensor in tensors.items()})
    return rows


def sums_of_further_scene(model: Sam, number: int) -> list[Row]:
    """The same for the scene that lies so far behind it that it is none of those that are measured."""
    return sums_of_scene(model, number + FURTHER)


def means_of(rows: list[Row]) -> ProductMeans:
    """The means over clicks, from their rows."""
    stacked = {name: torch.from_numpy(values) for name, values in stacked_rows(rows).items()}
    total = {name: values.sum(0) for name, values in stacked.items()}
    mean = {name: values.mean(0).float() for name, values in stacked.items()}
    return ProductMeans(
        silent=(total["silent"] / total["silent_count"]).float(),
        loud=(total["loud"] / (total["count"] - total["silent_count"])).float(),
        every=((total["silent"] + total["loud"]) / total["count"]).float(),
        weights=mean["weights"],
        term_sizes=mean["term_sizes"],
        terms=mean["terms"],
        tokens=mean["tokens"],
        other_weights=stacked["weights"].float(),
    )


@torch.no_grad()
def product_of_scene(model: Sam, number: int, means: ProductMeans) -> list[Row]:
    """Measure the product at all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        means: over clicks of other scenes.

    Returns:
        per click "prompt" (6,), and the arrays of `ProductStatistics` without the axis of the clicks; "reshuffled"
        (lots, 11) holds the crossings and then the tokens with reshuffled MLPs.
    """
    (_, masks, prompts), rows = prompts_of(number), []
    for prompt, t in zip(prompts, traces_of(model, prompts), strict=True):
        weights, features, logits = t[WEIGHTS][0], t[VALUES][0], t["masks"][0]
        generator = torch.Generator().manual_seed(hash_of(prompt))
        flat, own = features.flatten(1), logits.flatten(1) > 0
        ways = logits_by_way(weights, flat, features.shape[1], means, generator)
        best = 1 + int(ious(logits[1:] > 0, masks[prompt.mask]).argmax())
        terms = weights[best][:, None, None] * features
        crossing = partial(crossed, tokens=t["hs"][0, MASK_TOKENS], mean_token=means.tokens.mean(0))
        few = features[:, ::STRIDE, ::STRIDE].flatten(1)
        real = crossing(model.mask_decoder.output_hypernetworks_mlps, features=few)
        lots = [crossing(mlps, features=few) for mlps in _reshuffled_mlps(model)]
        row = {
            "kept": torch.stack([overlaps(way > 0, own).diagonal() for way in ways.values()]),
            "parts": _parts(weights, flat, own),
            "best": torch.tensor(best),
            "growth": _growth(terms, means.term_sizes[best], generator),
            "terms": _term_sizes(terms, logits[best] > 0),
            "channels": _channels(logits[best], terms, means.terms[best]),
            "crossings": real.crossings,
            "tokens": real.tokens,
            "reshuffled": torch.stack([torch.cat([lot.crossings, lot.tokens.flatten()]) for lot in lots]),
        }
        rows.append({"prompt": np.array(prompt)} | {name: one.double().cpu().numpy() for name, one in row.items()})
    return rows


@torch.no_grad()
def outlines_of_scene(model: Sam, number: int) -> list[Row]:
    """Fit weights at one pair of clicks on two objects of a held-out scene, where it has such a pair.

    Returns:
        none or one, "clicks" (2, 6) and "fits", in the order of `sam_edu.ablation.outline_fits.FITS`.
    """
    scene, pairs = scene_and_pairs(number)
    pair = next((pair for pair in pairs if pair.kind == "other object" and pair.a.level == 0), None)
    if pair is None:
        return []
    predictor = Predictor(model)
    predictor.set_image(scene.image)
    a, b = (_decode(predictor, click) for click in (pair.a, pair.b))
    target_a, target_b = (scene.masks[click.mask] for click in (pair.a, pair.b))
    best = 1 + int(ious(b["masks"][0, 1:] > 0, target_b).argmax())
    written = mask_product(b[WEIGHTS], a[VALUES])[0, best] > 0
    rng = np.random.default_rng((TEST_STREAM, number, 4))
    iou = float(ious(written[None], target_b))
    fits = outline_fits(a[VALUES][0], b[VALUES][0], target_a, target_b, iou, rng)
    return [{"clicks": np.array([pair.a, pair.b]), "fits": np.array(fits)}]


def measure_product(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and its arrays whose names begin with "product.".
    """
    others = rows_of_scenes(sums_of_further_scene, weights, OTHERS, processes, progress)
    of_scene = partial(product_of_scene, means=means_of(others))
    rows = rows_of_scenes(of_scene, weights, scenes, processes, progress)
    pairs = rows_of_scenes(outlines_of_scene, weights, scenes, processes, progress, holding="two objects apart")
    stacked, outlines = stacked_rows(rows), stacked_rows(pairs)
    arrays = {name: values.astype(np.float16) for name, values in stacked.items() if name != "prompt"}
    arrays |= {"best": stacked["best"].astype(np.int8), "reshuffled": stacked["reshuffled"].mean(0).astype(np.float32)}
    arrays |= {"outlines": outlines["fits"].astype(np.float32)}
    return {
        **stamp(weights, stacked),
        "product.definitions": np.array(json.dumps(WAYS)),
        "product.outline_clicks": outlines["clicks"].astype(np.int32),
        **{f"product.{name}": values for name, values in arrays.items()},
    }


# --- Decodes ---


def _decode(predictor: Predictor, click: Prompt) -> Trace:
    with trace(predictor.model.mask_decoder) as t:
        predictor.predict([[click.x, click.y]], [1])
    return t


def hash_of(prompt: Prompt) -> int:
    """The seed of what is drawn at a click."""
    return int(np.random.SeedSequence((TEST_STREAM, prompt.scene, prompt.mask, 5)).generate_state(1)[0])


@cache
def _reshuffled_mlps(model: Sam) -> tuple[nn.ModuleList, ...]:
    """The MLPs with reshuffled weights, as often as `LOTS` says."""
    models = (
        reshuffled(model, generator=torch.Generator().manual_seed(lot), parts=["mask_decoder"]) for lot in range(LOTS)
    )
    return tuple(one.mask_decoder.output_hypernetworks_mlps for one in models)


# --- What is measured at a click ---


def _parts(
    weights: Float[Tensor, "masks channels"],
    features: Float[Tensor, "channels pixels"],
    own: Bool[Tensor, "masks pixels"],
) -> Float[Tensor, "parts regions masks"]:
    """What silent and loud features add to each mask's logits: see `PARTS` and `REGIONS`."""
    parts = []
    for part in (weights @ features.clamp(max=0), weights @ features.clamp(min=0)):
        inside, outside = ((part * region).sum(1) / region.sum(1).clamp(min=1) for region in (own, ~own))
        parts.append(torch.stack([inside, outside, part.std(1)]))
    return torch.stack(parts)


def _growth(
    terms: Float[Tensor, "channels height width"], usual: Float[Tensor, "channels"], generator: torch.Generator
) -> Float[Tensor, "orders channels"]:
    """IoU with the whole mask after one channel, two, three ..., in the orders of `ORDERS`."""
    sizes, terms = terms.abs().mean((1, 2)), terms[:, ::STRIDE, ::STRIDE].flatten(1)
    own = terms.sum(0)[None] > 0
    orders = {
        "largest first": sizes.argsort(descending=True),
        "largest first on other scenes": usual.argsort(descending=True),
        "random": torch.randperm(len(terms), generator=generator),
        "smallest first": sizes.argsort(),
    }
    return torch.stack([overlaps(terms[orders[name]].cumsum(0) > 0, own)[:, 0] for name in ORDERS])


def _term_sizes(
    terms: Float[Tensor, "channels height width"], mask: Bool[Tensor, "height width"]
) -> Float[Tensor, "zones channels"]:
    """The mean absolute value of each term, over the image and over the band along the mask's edge; see `ZONES`."""
    band = _grown(mask) & _grown(~mask)
    whole = terms.abs().mean((1, 2))
    return torch.stack([whole, terms[:, band].abs().mean(1) if band.any() else whole])


def _grown(mask: Bool[Tensor, "height width"]) -> Bool[Tensor, "height width"]:
    return F.max_pool2d(mask[None].float(), 2 * BAND + 1, 1, BAND)[0] > 0


def _channels(
    logits: Float[Tensor, "height width"],
    terms: Float[Tensor, "channels height width"],
    means: Float[Tensor, "channels"],
) -> Float[Tensor, "measures channels"]:
    """IoU and boundary IoU with the unchanged mask, where each channel's term becomes its mean over other clicks."""
    own = logits > 0
    changed = logits - terms + means[:, None, None] > 0
    area = overlaps(changed.flatten(1), own.flatten()[None])[:, 0]
    edge = boundary_iou(changed.cpu().numpy(), own.cpu().numpy()) if own.any() else np.ones(len(terms))
    return torch.stack([area, torch.from_numpy(edge).to(area)])
