"""Measures `sam_edu.ablation.HiddenUnits`: the hidden units of step (3) at every held-out click."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from sam_edu.ablation.changes import DEPTH, HIDDEN, Ablation, Change, Memory
from sam_edu.ablation.controls.matched_draws import matched_draws
from sam_edu.ablation.controls.models import reshuffled, untrained
from sam_edu.ablation.hidden_units import (
    DEFINITION,
    DRAWN_MEASURES,
    DRAWS,
    NO_RELU,
    PARTS_OF_SCENES,
    SETS,
    SIZES,
    UNIT_MODELS,
)
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.mirrored_units import mirror_scene
from sam_edu.ablation.prompts import TEST_STREAM, Prompt, prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs, other_trace
from sam_edu.ablation.results import column
from sam_edu.ablation.scoring import Scorer
from sam_edu.modules import MaskDecoder, MLPBlock, TwoWayAttentionBlock
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.scenes.boxes import tight_box
from sam_edu.tracing import trace

POINTS = tuple(f"transformer.layers.{i}.mlp.hidden" for i in range(DEPTH))

MIRROR_SCENES = 12
"""On how many scenes, the first ones, units are compared with themselves on the mirror image."""


# --- First: which units fire, and by how much each varies ---


@torch.no_grad()
def firing_of_scene(model: Sam, number: int) -> list[Row]:
    """The activations at all clicks of a held-out scene.

    Returns:
        per click "prompt" (6,), "hidden" (blocks, tokens, units) of the model, "fires" (models, blocks, tokens, units),
        "at_box" (blocks, units), whether a unit fires for a token of the exact box, and "exits" (models, 5, 2).
    """
    image, masks, prompts = prompts_of(number)
    rows: list[Row] = [{"prompt": np.array(prompt)} for prompt in prompts]
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in prompts]
    for name, one in zip(UNIT_MODELS, (model, *_controls(model)), strict=True) if prompts else ():
        predictor = Predictor(one)
        predictor.set_image(image)
        for prompt, row, of_models in zip(prompts, rows, found, strict=True):
            hidden, hs = _decode(predictor, prompt)
            of_models.append((hidden > 0, exits(one.mask_decoder, hs)))
            if name == "trained":
                row["hidden"] = hidden
                row["at_box"] = np.any(_decode(predictor, prompt, tight_box(masks[prompt.mask]))[0] > 0, axis=1)
    for row, of_models in zip(rows, found, strict=True):
        row["fires"], row["exits"] = (np.stack(arrays) for arrays in zip(*of_models, strict=True))
    return rows


def _decode(
    predictor: Predictor, prompt: Prompt, box: np.ndarray | None = None
) -> tuple[Float[np.ndarray, "blocks tokens units"], Float[Tensor, "tokens dim"]]:
    """The activations, and the tokens after (6-1); the steps after it are not computed."""
    decoder, inputs = predictor.model.mask_decoder, decoder_inputs(predictor, prompt, box)
    output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output[None], inputs["sparse_prompt_embeddings"]], dim=1)
    src = inputs["image_embeddings"] + inputs["dense_prompt_embeddings"]
    with trace(decoder) as t:
        hs, _ = decoder.transformer(src, inputs["image_pe"], tokens)
    return torch.stack([t[point][0] for point in POINTS]).cpu().numpy(), hs[0]


@cache
def _controls(model: Sam) -> tuple[Sam, Sam]:
    """The untrained and the reshuffled model."""
    make = torch.Generator().manual_seed
    return untrained(model, generator=make(0)), reshuffled(model, generator=make(0))


def exits(decoder: MaskDecoder, hs: Float[Tensor, "tokens dim"]) -> Float[np.ndarray, "5 2"]:
    """The share of the units that fires in both hidden layers of the IoU head and of each mask token's MLP."""
    found = []
    for token, mlp in zip(hs, (decoder.iou_prediction_head, *decoder.output_hypernetworks_mlps), strict=False):
        x, shares = token, []
        for layer in mlp.layers[:-1]:
            x = F.relu(layer(x))
            shares.append(float((x > 0).float().mean()))
        found.append(shares)
    return np.array(found)


# --- What is chosen, and what is drawn ---


class Plan(NamedTuple):
    """What is replaced at the clicks of scenes of even and of odd number (the first axis of the first two).

    Attributes:
        chosen: units by their variation, (halves, blocks, units).
        drawn: by the size of the set, (halves, draws, blocks, units).
        means: of the activations over all clicks, (blocks, tokens, units).
    """

    chosen: Int[np.ndarray, "2 blocks chosen"]
    drawn: dict[int, Int[np.ndarray, "2 draws blocks chosen"]]
    means: Float[np.ndarray, "blocks tokens units"]


def plan_of(
    hidden: Float[np.ndarray, "clicks blocks tokens units"],
    odd: Bool[np.ndarray, "clicks"],
    columns: Float[np.ndarray, "blocks units"],
) -> Plan:
    """Choose the units, and draw sets as large.

    Args:
        hidden: the activations at each click.
        odd: whether the number of its scene is odd.
        columns: the length of each unit's column of `lin2`.

    Raises:
        ValueError: scenes of one kind alone, so that no half can choose.
    """
    if odd.all() or not odd.any():
        raise ValueError(
            "scenes: expected some of even and some of odd number, so that each half chooses for the other"
        )
    halves = [hidden[odd], hidden[~odd]]  # even scenes report what odd ones chose
    chosen = np.stack([_most_varied(half, columns, SIZES[-1]) for half in halves])
    fires = [(half > 0).any(2).mean(0) for half in halves]  # (blocks, units)
    drawn = {}
    for size in SIZES:
        rng = np.random.default_rng((TEST_STREAM, size, 7))
        drawn[size] = np.stack(
            [
                np.stack(
                    [
                        matched_draws(rates[block], units[block, :size], generator=rng, draws=DRAWS)
                        for block in range(DEPTH)
                    ],
                    axis=1,
                )
                for rates, units in zip(fires, chosen, strict=True)
            ]
        )
    return Plan(chosen, drawn, hidden.mean(0))


def _most_varied(
    hidden: Float[np.ndarray, "clicks blocks tokens units"], columns: Float[np.ndarray, "blocks units"], count: int
) -> Int[np.ndarray, "blocks count"]:
    variation = hidden.astype(np.float64).var(axis=0).sum(axis=1) * columns**2
    return np.argsort(-variation, axis=1, kind="stable")[:, :count]


# --- Then: what the masks lose ---


@torch.no_grad()
def units_of_scene(model: Sam, number: int, plan: Plan) -> list[Row]:
    """Replace units at all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.
        plan: from `plan_of`.

    Returns:
        per click "prompt" (6,), and "sets" (sets, measures), "drawn" (sets, draws, measures), "no_relu" (ways,
        measures): what each changes.
    """
    image, masks, prompts = prompts_of(number)
    if not prompts:
        return []
    predictor, rows, half = Predictor(model), [], number % 2
    predictor.set_image(image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    means = torch.from_numpy(plan.means).to(model.device)
    stored = [column(measure) for measure in DRAWN_MEASURES]
    for prompt in prompts:
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt), encodings)
        score = Scorer(decode.masks[0], decode.iou[0], masks[prompt.mask])
        other = other_trace(model, prompt, POINTS)
        values = {"mean": means, "others mean": means, "resample": torch.stack([other[point][0] for point in POINTS])}
        before = np.array(score(decode.masks[0], decode.iou[0]))

        change = partial(_changed, decode, score, before)
        sets, drawn = [], []
        for way, size in SETS:
            replace = partial(replacements, values=values[way], others=way == "others mean")
            sets.append(change(replace(plan.chosen[half, :, :size])))
            lots = plan.drawn[size][half][number % PARTS_OF_SCENES :: PARTS_OF_SCENES]
            drawn.append([change(replace(units))[stored] for units in lots])
        no_relu = [change(without_relu(model.mask_decoder, way)) for way in NO_RELU]
        row = {"sets": sets, "drawn": drawn, "no_relu": no_relu}
        rows.append({"prompt": np.array(prompt)} | {name: np.array(one) for name, one in row.items()})
    return rows


def _changed(decode: AblatedDecoder, score: Scorer, before: np.ndarray, changes: Sequence[Change]) -> np.ndarray:
    """What some changes change of the four measures."""
    logits, iou = decode.run(Ablation("hidden units", tuple(changes)))
    return np.array(score(logits[0], iou[0])) - before


def replacements(
    units: Int[np.ndarray, "blocks chosen"], values: Float[Tensor, "blocks tokens units"], others: bool = False
) -> list[Change]:
    """The changes that replace the activations of a set of units in both blocks; or of all units but the set."""
    chosen = [np.setdiff1d(np.arange(HIDDEN), some) if others else some for some in units]
    return [_replaced(block, some, values[block]) for block, some in enumerate(chosen)]


def _replaced(block: int, units: np.ndarray, values: Float[Tensor, "tokens units"]) -> Change:
    index = torch.from_numpy(units)

    def replace(hidden: Tensor) -> Tensor:
        hidden[..., index] = values[:, index]  # a copy: intervene's
        return hidden

    return Change(POINTS[block], replace)


def without_relu(decoder: MaskDecoder, way: str) -> list[Change]:
    """The changes that leave the ReLU out of step (3), in one of the ways of `NO_RELU`."""
    memory, changes = Memory(), []
    for i in range(DEPTH):
        block = f"transformer.layers.{i}"
        layer: TwoWayAttentionBlock = decoder.transformer.layers[i]  # type: ignore[assignment, index]

        after = partial(_after_step_3, memory, f"{block}.queries_2", layer, way)
        changes += [memory.keep(f"{block}.queries_2"), Change(f"{block}.queries_3", after)]
    return changes


def _after_step_3(memory: Memory, name: str, layer: TwoWayAttentionBlock, way: str, _: Tensor) -> Tensor:
    tokens: Tensor = layer.norm3(memory[name] + update_without_relu(layer.mlp, memory[name], way))
    return tokens


def update_without_relu(
    mlp: MLPBlock, tokens: Float[Tensor, "batch tokens dim"], way: str
) -> Float[Tensor, "batch tokens dim"]:
    """What the MLP without its ReLU adds to each token, in one of the ways of `NO_RELU`.

    Raises:
        ValueError: another way.
    """
    if way not in NO_RELU:
        raise ValueError(f"way: expected one of {', '.join(NO_RELU)}, got {way!r}")
    hidden = mlp.lin1(tokens)
    linear, usual = (x @ mlp.lin2.weight.T for x in (hidden, F.relu(hidden)))
    if way == NO_RELU[1]:
        linear = F.normalize(linear, dim=-1) * usual.norm(dim=-1, keepdim=True)
    if way == NO_RELU[2]:
        linear = F.normalize(usual, dim=-1) * linear.norm(dim=-1, keepdim=True)
    return linear + mlp.lin2.bias


# --- Sums over clicks ---


def shared_units(
    fires: Bool[np.ndarray, "clicks tokens units"], scenes: Int[np.ndarray, "clicks"]
) -> Float[np.ndarray, "clicks 3"]:
    """Of the units that fire for a token, the share that fires for another one; see `SHARED`. Means over the pairs.

    A token for which no unit fires has no share and is left out.
    """
    clicks, tokens, _ = fires.shape
    flat = fires.reshape(clicks * tokens, -1).astype(np.float32)
    count = flat.sum(1)
    with np.errstate(invalid="ignore"):
        share = (flat @ flat.T) / count[:, None]
    share = np.where(count[:, None] > 0, share, np.nan).reshape(clicks, tokens, clicks, tokens)
    click = np.eye(clicks, dtype=bool)[:, None, :, None]
    scene = np.equal.outer(scenes, scenes)[:, None, :, None]
    token = np.eye(tokens, dtype=bool)[None, :, None, :]
    kinds = (click & ~token, ~scene & token, ~scene & ~token)
    return np.stack([np.nanmean(np.where(kind, share, np.nan), axis=(1, 2, 3)) for kind in kinds], axis=1)


def update_lengths(
    hidden: Float[np.ndarray, "clicks blocks tokens units"], weights: Sequence[Float[np.ndarray, "dim units"]]
) -> Float[np.ndarray, "clicks blocks tokens 2"]:
    """The squared length of what all units add to each token, and of its difference from the mean over the clicks."""
    adds = np.stack([hidden[:, i].astype(np.float64) @ weight.T for i, weight in enumerate(weights)], axis=1)
    return np.stack([(adds**2).sum(-1), ((adds - adds.mean(0)) ** 2).sum(-1)], axis=-1)


# --- All of it ---


def mirror_of_scene(model: Sam, number: int) -> list[Row]:
    """The correlations of `mirrored_units` on a scene: one row, or none where too few units count."""
    found = np.stack([mirror_scene(one, number) for one in (model, _controls(model)[0])])
    return [{"scene": np.array(number), "mirror": found}] if np.isfinite(found).all() else []


def measure_hidden_units(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure` and `plan_of`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "units.".
    """
    first = stacked_rows(rows_of_scenes(firing_of_scene, weights, scenes, processes, progress))
    numbers = first["prompt"][:, 0]
    decoder = _decoder(weights)
    matrices = [layer.mlp.lin2.weight.detach().double().numpy() for layer in decoder.transformer.layers]  # type: ignore[union-attr]
    columns = np.stack([np.linalg.norm(matrix, axis=0) for matrix in matrices])
    plan = plan_of(first["hidden"], numbers % 2 == 1, columns)
    second = stacked_rows(rows_of_scenes(partial(units_of_scene, plan=plan), weights, scenes, processes, progress))
    mirror = stacked_rows(rows_of_scenes(mirror_of_scene, weights, min(scenes, MIRROR_SCENES), processes, progress))
    fires = first["fires"]  # (clicks, models, blocks, tokens, units)
    at_clicks = fires.any(3).mean(0)  # (models, blocks, units)
    shared = np.stack(
        [
            np.stack([shared_units(fires[:, model, block], numbers) for block in range(DEPTH)], axis=1)
            for model in range(len(UNIT_MODELS))
        ],
        axis=1,
    )
    floats = {
        "rates": np.stack([at_clicks[0], first["at_box"].mean(0), *at_clicks[1:]]),
        "shared": shared,
        "exits": first["exits"],
        "mirror": mirror["mirror"],
        **{name: second[name] for name in ("sets", "drawn", "no_relu")},
    }
    return {
        **stamp(weights, first),
        "units.definition": np.array(DEFINITION),
        "units.chosen": plan.chosen.astype(np.int16),
        "units.firing": fires.sum(4).astype(np.int16),
        "units.updates": update_lengths(first["hidden"], matrices).astype(np.float32),
        "units.mirror_scenes": mirror["scene"].astype(np.int32),
        **{f"units.{name}": values.astype(np.float16) for name, values in floats.items()},
    }


def _decoder(weights: Path) -> MaskDecoder:
    return load("tiny", checkpoint=weights).mask_decoder
