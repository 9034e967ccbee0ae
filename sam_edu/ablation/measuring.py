"""Measures what `sam_edu.ablation` stores: every held-out click with one thing after another switched off.

A switch changes nothing that is computed before it. So the plain decoder runs once per click, traced, and every switch
begins from what was recorded before the first tensor that it replaces. Behind it, what is made from image tokens that
have not changed is taken from the record as well, and the rest of the image side is computed as in `FastMaskDecoder`,
unless the switch asks for a tensor that this does not make.
"""

import json
import math
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from sam_edu import ablation
from sam_edu.ablation import ABLATIONS, ATTENTIONS, TOKEN_TO_IMAGE, Change, both_scores, prompts_of
from sam_edu.fast.fast_mask_decoder import begin, paint
from sam_edu.modules import Attention, MaskDecoder, TwoWayAttentionBlock, TwoWayTransformer, mask_product
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.tracing import intervene, trace

CLICK_TOKEN = 5
"""Place of the click's token, after the IoU token and four mask tokens."""

# The points of an attention that the quick way passes.
_TOKENS_ASK, _IMAGE_ASKS = {"q", "weights", "heads", "out"}, {"v", "heads", "out"}


class SwitchedDecoder:
    """The decode of one prompt set, recorded, and repeated with changes.

    Args:
        decoder: in eval mode.
        inputs: the arguments of its `forward`, but for `multimask_output`.
        codes: from `position_codes`, for this decoder and `image_pe`.

    Attributes:
        t: the trace of the decode as it is.
        masks: its masks 1 to 3, logits (1, 3, 4 * height, 4 * width).
        iou: what it predicts, (1, 3).
    """

    def __init__(self, decoder: MaskDecoder, inputs: dict[str, Tensor], codes: dict[str, Tensor]) -> None:
        self.decoder, self.codes = decoder, codes
        self.transformer: TwoWayTransformer = decoder.transformer  # type: ignore[assignment]
        with trace(decoder) as self.t:
            self.masks, self.iou = decoder(**inputs, multimask_output=True)
        self._keys = [_as_row(self.t["src"])]  # the image tokens before each block, and after the last
        self._keys += [self.t[f"transformer.layers.{i}.keys_4"] for i in range(self.transformer.depth)]

    def run(
        self, changes: Sequence[Change]
    ) -> tuple[Float[Tensor, "1 masks large_height large_width"], Float[Tensor, "1 masks"]]:
        """Masks 1 to 3 and their predicted IoU, under changes: those of the plain decoder up to rounding."""
        touched = {change.point for change in changes}
        with ExitStack() as stack:
            for change in changes:
                stack.enter_context(intervene(self.decoder, change.point, change.how, **change.select))
            return self._run(min(map(self._step, touched)), touched)

    def _step(self, point: str) -> int:
        """The number of a tensor's step: 0 for step (0), then four in each block, one for (6-1), one for the rest."""
        found = re.match(r"transformer\.layers\.(\d+)\.(\w+)", point)
        if found:
            for place, names in enumerate(
                (
                    ("self_attn", "queries_1"),
                    ("cross_attn_token_to_image", "queries_2"),
                    ("mlp", "queries_3"),
                    ("cross_attn_image_to_token", "keys_4"),
                )
            ):
                if found[2] in names:
                    return 1 + 4 * int(found[1]) + place
        last = 1 + 4 * self.transformer.depth
        return (
            0 if point in ("tokens", "src", "pos_src") else last if point.startswith("transformer.final") else last + 1
        )

    def _run(self, start: int, touched: set[str]) -> tuple[Tensor, Tensor]:
        decoder, t = self.decoder, self.t
        tokens, src, pos = t["tokens"], t["src"], t["pos_src"]
        if start == 0:
            tokens, src, pos = decoder.tokens(tokens), decoder.src(src), decoder.pos_src(pos)
        key_pe = _as_row(pos)
        quick = _same(pos, t["pos_src"])
        queries, keys = tokens, _as_row(src)
        for i, module in enumerate(self.transformer.layers):
            layer: TwoWayAttentionBlock = module  # type: ignore[assignment]
            name, first = f"transformer.layers.{i}", 1 + 4 * i
            if start <= first:
                q = queries if layer.skip_first_layer_pe else queries + tokens
                attended = layer.self_attn(q=q, k=q, v=queries)
                queries = layer.queries_1(layer.norm1(attended if layer.skip_first_layer_pe else queries + attended))
            else:
                queries = t[f"{name}.queries_1"]
            if start <= first + 1:
                attended = self._tokens_ask(
                    f"{name}.cross_attn_token_to_image", queries + tokens, keys, key_pe, self._keys[i], touched, quick
                )
                queries = layer.queries_2(layer.norm2(queries + attended))
            else:
                queries = t[f"{name}.queries_2"]
            if start <= first + 2:
                queries = layer.queries_3(layer.norm3(queries + layer.mlp(queries)))
            else:
                queries = t[f"{name}.queries_3"]
            if start <= first + 3:
                keys = layer.keys_4(self._image_asks(i, layer, keys, key_pe, queries, tokens, touched, quick))
            else:
                keys = t[f"{name}.keys_4"]
        if start <= 1 + 4 * self.transformer.depth:
            attended = self._tokens_ask(
                "transformer.final_attn_token_to_image", queries + tokens, keys, key_pe, self._keys[-1], touched, quick
            )
            queries = self.transformer.norm_final_attn(queries + attended)
        else:
            queries = t["hs"]
        return self._out(decoder.hs(queries), decoder.keys(keys), touched)

    def _tokens_ask(
        self, name: str, q: Tensor, keys: Tensor, key_pe: Tensor, before: Tensor, touched: set[str], quick: bool
    ) -> Tensor:
        """Steps (2) and (6-1); `before` are the image tokens that the recorded keys and values were made from."""
        attention: Attention = self.decoder.get_submodule(name)  # type: ignore[assignment]
        if not quick or _touched_in(name, touched) - _TOKENS_ASK:
            return attention(q=q, k=keys + key_pe, v=keys)
        few = attention.q(_split(attention.q_proj(q), attention.num_heads))
        scaled, w_v = few / math.sqrt(few.shape[-1]), _by_head(attention.v_proj.weight, attention)
        if _same(keys, before):
            weights = attention.weights(torch.softmax(scaled @ self.t[f"{name}.k"].mT, dim=-1))
            heads = weights @ self.t[f"{name}.v"]
        else:
            scores = _folded_scores(scaled, keys, attention.k_proj.weight, self.codes[name])
            weights = attention.weights(torch.softmax(scores, dim=-1))
            heads = (weights.flatten(1, 2) @ keys).unflatten(1, weights.shape[1:3]) @ w_v.mT
            # The weights need not sum to 1: they may have been changed.
            heads = heads + weights.sum(-1, keepdim=True) * attention.v_proj.bias.view(attention.num_heads, 1, -1)
        return attention.out(attention.out_proj(attention.heads(heads).transpose(1, 2).flatten(2)))

    def _image_asks(
        self,
        number: int,
        layer: TwoWayAttentionBlock,
        keys: Tensor,
        key_pe: Tensor,
        queries: Tensor,
        tokens: Tensor,
        touched: set[str],
        quick: bool,
    ) -> Tensor:
        """Step (4) with its residual and its norm."""
        name, attention = f"transformer.layers.{number}.cross_attn_image_to_token", layer.cross_attn_image_to_token
        asked = _touched_in(name, touched)
        if not quick or asked - _IMAGE_ASKS:
            attended = attention(q=keys + key_pe, k=queries + tokens, v=queries)
            return layer.norm4(keys + attended)
        k = _split(attention.k_proj(queries + tokens), attention.num_heads)
        v = _split(attention.v_proj(queries), attention.num_heads)
        scaled = k / math.sqrt(k.shape[-1])
        if _same(keys, self._keys[number]):
            scores = scaled @ self.t[f"{name}.q"].mT
        else:
            scores = _folded_scores(scaled, keys, attention.q_proj.weight, self.codes[name])
        # (1, heads, tokens, pixels): over a last axis of 7 a softmax would take twenty times longer.
        weights = torch.softmax(scores, dim=2)
        if not asked:
            # The weights of a head sum to 1, so each head brings its share of the bias along.
            share = attention.out_proj.bias / attention.num_heads
            values = v @ _by_head(attention.out_proj.weight.T, attention) + share
            return layer.norm4(keys + weights.flatten(1, 2).mT @ values.flatten(1, 2))
        heads = attention.heads(weights.mT @ attention.v(v))
        return layer.norm4(keys + attention.out(attention.out_proj(heads.transpose(1, 2).flatten(2))))

    def _out(self, hs: Tensor, keys: Tensor, touched: set[str]) -> tuple[Tensor, Tensor]:
        """Steps (5) to (7)."""
        decoder, grid = self.decoder, self.t["src"].shape[2:]
        hyper_in = decoder.hyper_in(decoder.output_hypernetworks_mlps(hs[:, 1 : 1 + decoder.num_mask_tokens]))
        upscaling = decoder.output_upscaling
        if any(point.startswith("output_upscaling.") for point in touched):
            masks = mask_product(hyper_in, upscaling(keys.transpose(1, 2).unflatten(2, grid)))
        elif _same(keys, self._keys[-1]):
            masks = mask_product(hyper_in, self.t["output_upscaling.activated_twice"])
        else:
            image = begin([(keys.new_zeros(1, keys.shape[1], 1), [], None)], keys.mT, len(keys))
            masks = paint(upscaling, image, hyper_in, grid)
        iou = decoder.iou_pred(decoder.iou_prediction_head(hs[:, 0]))
        return decoder.masks(masks)[:, 1:], iou[:, 1:]


def position_codes(decoder: MaskDecoder, image_pe: Tensor) -> dict[str, Tensor]:
    """The grid's positional codes in the space of each cross-attention's heads, (1, heads, head_dim, pixels).

    W (x + pe) + b = W x + (W pe + b), and the second part is the same for every prompt.
    """
    codes = {}
    for name in ATTENTIONS:
        if "self_attn" in name:
            continue
        attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
        linear = attention.q_proj if "image_to_token" in name else attention.k_proj
        codes[name] = _split(linear(_as_row(image_pe)), attention.num_heads).mT
    return codes


def _folded_scores(few: Tensor, keys: Tensor, weight: Tensor, code: Tensor) -> Tensor:
    """few_h . (W_h x + code) = (W_h^T few_h) . x + few_h . code: the few are folded, and no image token projected."""
    folded = few @ weight.unflatten(0, (few.shape[1], -1))
    return (folded.flatten(1, 2) @ keys.mT).unflatten(1, few.shape[1:3]) + few @ code


def _by_head(weight: Tensor, attention: Attention) -> Tensor:
    # (internal_dim, dim) -> (heads, head_dim, dim)
    return weight.unflatten(0, (attention.num_heads, -1))


def _as_row(picture: Tensor) -> Tensor:
    # (batch, dim, height, width) -> (batch, pixels, dim)
    return picture.flatten(2).transpose(1, 2)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or torch.equal(a, b)


def _touched_in(attention: str, touched: set[str]) -> set[str]:
    """Which tensors of an attention are replaced."""
    return {point.removeprefix(f"{attention}.") for point in touched if point.startswith(f"{attention}.")}


Row = dict[str, np.ndarray]


@torch.no_grad()
def measure_scene(model: Sam, number: int, names: Sequence[str] | None = None) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with pictures of 256 pixels.
        number: of the scene.
        names: which switches; all by default.

    Returns:
        per click "prompt" (6,), "scores" (1 + switches, 2), "entropy" (7, heads), "distance" and "share", both
        (3, heads + 1).
    """
    names = tuple(ABLATIONS) if names is None else names
    image, masks, prompts = prompts_of(number)
    predictor, encoder, rows = Predictor(model), model.prompt_encoder, []
    if prompts:
        predictor.set_image(image)
    image_pe = encoder.get_dense_pe()
    codes = position_codes(model.mask_decoder, image_pe)
    for prompt in prompts:
        click = torch.tensor([[[float(prompt.x), float(prompt.y)]]], device=model.device)
        sparse, dense = encoder((click, torch.ones(1, 1, device=model.device)), None, None)
        inputs = {
            "image_embeddings": predictor.get_image_embedding(),
            "image_pe": image_pe,
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense,
        }
        decode = SwitchedDecoder(model.mask_decoder, inputs, codes)
        answers: Iterator[tuple[Tensor, Tensor]] = (decode.run(ABLATIONS[n].of(model.mask_decoder)) for n in names)
        scores = [both_scores(decode.masks[0], decode.iou[0], masks[prompt.mask])]
        scores += [both_scores(logits[0], iou[0], masks[prompt.mask]) for logits, iou in answers]
        row = {"prompt": np.array(prompt), "scores": np.array(scores)}
        rows.append(row | _looks({name: decode.t[f"{name}.weights"][0] for name in ATTENTIONS}, prompt, masks))
    return rows


def _looks(weights: dict[str, Tensor], prompt: ablation.Prompt, masks: np.ndarray) -> Row:
    """How sharp each head looks; and how far, and how much on the mask, the click's token does."""
    size = masks.shape[-1]
    grid = math.isqrt(weights[TOKEN_TO_IMAGE[0]].shape[-1])
    cell = size // grid
    entropy = []
    for name in ATTENTIONS:
        one = weights[name].double()
        # 0 log 0 is 0
        even = -torch.special.xlogy(one, one).sum(-1).mean(-1) / math.log(one.shape[-1])
        entropy.append(even.cpu().numpy())
    y, x = (np.mgrid[:grid, :grid] + 0.5) * cell  # middles of the grid's cells; those of pixels are at 0.5, 1.5, ...
    distance = np.hypot(x - prompt.x - 0.5, y - prompt.y - 0.5).ravel()
    inside = masks[prompt.mask].reshape(grid, cell, grid, cell).mean(axis=(1, 3)).ravel()
    looks = np.stack([weights[name][:, CLICK_TOKEN].double().cpu().numpy() for name in TOKEN_TO_IMAGE])
    looks = np.concatenate([looks, np.full((len(looks), 1, grid * grid), 1 / grid**2)], axis=1)
    return {"entropy": np.stack(entropy), "distance": looks @ distance, "share": looks @ inside}


def collect(weights: Path, rows: list[Row], names: Sequence[str]) -> dict[str, Any]:
    """The file's arrays, from the rows of clicks with these switches."""
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return {
        "weights": np.array(ablation.sha256(weights)),
        "definitions": np.array(json.dumps({name: ABLATIONS[name].definition for name in names})),
        "prompts": stacked["prompt"].astype(np.int32),
        "scores": stacked["scores"].transpose(1, 0, 2).astype(np.float16),
        **{name: stacked[name].astype(np.float16) for name in ("entropy", "distance", "share")},
    }


def measure(
    weights: Path, scenes: int, processes: int = 1, progress: bool = True, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measure stored weights.

    Args:
        weights: a safetensors file of the tiny model.
        scenes: how many.
        processes: how many to share the scenes among.
        progress: show a progress bar.
        names: which switches; all by default.

    Returns:
        the arrays of the file but for those of `sam_edu.ablation.held_out`, the same however many processes there are.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    names = tuple(ABLATIONS) if names is None else tuple(names)
    rows = rows_of_scenes(partial(measure_scene, names=names), weights, scenes, processes, progress)
    return collect(weights, rows, names)


def rows_of_scenes(
    of_scene: Callable[[Sam, int], list[Row]], weights: Path, scenes: int, processes: int = 1, progress: bool = True
) -> list[Row]:
    """The rows of all clicks, scene by scene.

    Args:
        of_scene: gives a scene's rows, from the model and the scene's number.
        weights, scenes, processes, progress: see `measure`.

    Raises:
        ValueError: scenes that hold nothing to click on.
    """
    jobs = [(of_scene, weights, ablation.FIRST_SCENE + i) for i in range(scenes)]
    bar: Any = tqdm(total=scenes, disable=not progress, unit="scene")
    rows: list[Row] = []
    with ExitStack() as stack:
        stack.enter_context(bar)
        results: Iterator[list[Row]] = map(_job, jobs)
        if processes > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(processes, _one_thread))
            results = pool.imap(_job, jobs)
        for result in results:
            rows += result
            bar.update()
    if not rows:
        raise ValueError(f"scenes: expected some with at least one mask, got {scenes} without")
    return rows


def missing(before: dict[str, Any]) -> list[str]:
    """The switches that a file's arrays do not hold, or hold as something else than they are now."""
    definitions = json.loads(str(before["definitions"]))
    return [name for name, switch in ABLATIONS.items() if definitions.get(name) != switch.definition]


def merge(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The arrays with the switches that were measured before and are still listed, and new ones, in the list's order.

    Raises:
        ValueError: other weights, or other clicks.
    """
    if str(before["weights"]) != str(new["weights"]) or not np.array_equal(before["prompts"], new["prompts"]):
        raise ValueError("the file was measured on other weights or other clicks: measure everything again")
    found: dict[str, tuple[str, np.ndarray]] = {}
    for data in (before, new):
        names = json.loads(str(data["definitions"]))
        found |= {name: (text, row) for (name, text), row in zip(names.items(), data["scores"][1:], strict=True)}
    kept = {name: found[name] for name in ABLATIONS if name in found}
    definitions = json.dumps({name: text for name, (text, _) in kept.items()})
    scores = np.stack([new["scores"][0], *(row for _, row in kept.values())])
    return before | new | {"definitions": np.array(definitions), "scores": scores}


def store(data: dict[str, Any], path: Path) -> None:
    """Write the file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


_models: dict[Path, Sam] = {}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _job(job: tuple[Callable[[Sam, int], list[Row]], Path, int]) -> list[Row]:
    of_scene, weights, number = job
    if weights not in _models:
        _models[weights] = load("tiny", checkpoint=weights)
    return of_scene(_models[weights], number)
