"""AblatedDecoder: one decode, recorded once and repeated under ablations with as little work as possible.

An ablation changes nothing that is computed before it. So the plain decoder runs once per click, traced, and every
ablation begins from what was recorded before the first tensor that it replaces. After it, what is made from unchanged
image tokens is taken from the record as well. The rest of the image side is computed as in `FastMaskDecoder`, unless
the ablation needs a tensor that this does not make.
"""

import math
import re
from contextlib import ExitStack

import torch
from jaxtyping import Float
from torch import Tensor

from sam_edu.ablation.changes import ATTENTIONS, Ablation, References
from sam_edu.ablation.projections import as_sequence, by_head
from sam_edu.fast.fast_mask_decoder import Step, begin, paint
from sam_edu.modules import Attention, MaskDecoder, TwoWayAttentionBlock, TwoWayTransformer, mask_product
from sam_edu.tracing import trace

# The trace points of an attention that the quick way passes.
_FROM_TOKENS, _FROM_IMAGE = {"q", "weights", "heads", "out"}, {"v", "heads", "out"}


class AblatedDecoder:
    """The decode of one prompt set, recorded once and repeated with changes.

    Args:
        decoder: in eval mode.
        inputs: the arguments of its `forward`, but for `multimask_output`.
        encodings: from `position_encodings`, for this decoder and `image_pe`.

    Attributes:
        t: the trace of the unchanged decode.
        masks: its masks 0 to 3, logits (1, 4, 4 * height, 4 * width).
        iou: their predicted IoU, (1, 4).
    """

    def __init__(self, decoder: MaskDecoder, inputs: dict[str, Tensor], encodings: dict[str, Tensor]) -> None:
        self.decoder, self.encodings = decoder, encodings
        self.transformer: TwoWayTransformer = decoder.transformer  # type: ignore[assignment]
        with trace(decoder) as self.t:
            self.masks, self.iou = decoder.predict_masks(**inputs)
        self._keys = [as_sequence(self.t["src"])]  # the image tokens before each block, and after the last
        self._keys += [self.t[f"transformer.layers.{i}.keys_4"] for i in range(self.transformer.depth)]

    def run(
        self,
        ablation: Ablation,
        references: References = References(),  # noqa: B008
    ) -> tuple[Float[Tensor, "1 masks large_height large_width"], Float[Tensor, "1 masks"]]:
        """All masks and their predicted IoU, under an ablation: those of the plain decoder up to rounding."""
        changes = ablation.of(self.decoder, references)
        touched = {change.point for change in changes}
        with ExitStack() as stack:
            for change in changes:
                stack.enter_context(change.carry_out(self.decoder, references))
            return self._run(min(map(self._step, touched)), touched)

    def _step(self, point: str) -> int:
        """The number of a tensor's step: 0 for step (0), then four in each block, one for (6-1), one for the rest."""
        found = re.match(r"transformer\.layers\.(\d+)\.(\w+)", point)
        if found:
            for number, names in enumerate(
                (
                    ("self_attn", "queries_1"),
                    ("cross_attn_token_to_image", "queries_2"),
                    ("mlp", "queries_3"),
                    ("cross_attn_image_to_token", "keys_4"),
                )
            ):
                if found[2] in names:
                    return 1 + 4 * int(found[1]) + number
        last = 1 + 4 * self.transformer.depth
        return (
            0 if point in ("tokens", "src", "pos_src") else last if point.startswith("transformer.final") else last + 1
        )

    def _run(self, start: int, touched: set[str]) -> tuple[Tensor, Tensor]:
        decoder, t = self.decoder, self.t
        tokens, src, pos = t["tokens"], t["src"], t["pos_src"]
        if start == 0:
            tokens, src, pos = decoder.tokens(tokens), decoder.src(src), decoder.pos_src(pos)
        key_pe = as_sequence(pos)
        quick = _same(pos, t["pos_src"])
        queries, keys = tokens, as_sequence(src)
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
                attended = self._tokens_to_image(
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
                keys = layer.keys_4(self._image_to_tokens(i, layer, keys, key_pe, queries, tokens, touched, quick))
            else:
                keys = t[f"{name}.keys_4"]
        if start <= 1 + 4 * self.transformer.depth:
            attended = self._tokens_to_image(
                "transformer.final_attn_token_to_image", queries + tokens, keys, key_pe, self._keys[-1], touched, quick
            )
            queries = self.transformer.norm_final_attn(queries + attended)
        else:
            queries = t["hs"]
        return self._out(decoder.hs(queries), decoder.keys(keys), touched)

    def _tokens_to_image(
        self, name: str, q: Tensor, keys: Tensor, key_pe: Tensor, before: Tensor, touched: set[str], quick: bool
    ) -> Tensor:
        """Steps (2) and (6-1); `before` are the image tokens that the recorded keys and values were made from."""
        attention: Attention = self.decoder.get_submodule(name)  # type: ignore[assignment]
        if not quick or _touched_in(name, touched) - _FROM_TOKENS:
            return attention(q=q, k=keys + key_pe, v=keys)
        few = attention.q(by_head(attention.q_proj(q), attention.num_heads))
        scaled, w_v = few / math.sqrt(few.shape[-1]), _rows_by_head(attention.v_proj.weight, attention)
        if _same(keys, before):
            weights = attention.weights(torch.softmax(scaled @ self.t[f"{name}.k"].mT, dim=-1))
            heads = weights @ self.t[f"{name}.v"]
        else:
            scores = _folded_scores(scaled, keys, attention.k_proj.weight, self.encodings[name])
            weights = attention.weights(torch.softmax(scores, dim=-1))
            heads = (weights.flatten(1, 2) @ keys).unflatten(1, weights.shape[1:3]) @ w_v.mT
            # The weights need not sum to 1: they may have been changed.
            heads = heads + weights.sum(-1, keepdim=True) * attention.v_proj.bias.view(attention.num_heads, 1, -1)
        return attention.out(attention.out_proj(attention.heads(heads).transpose(1, 2).flatten(2)))

    def _image_to_tokens(
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
        replaced = _touched_in(name, touched)
        if not quick or replaced - _FROM_IMAGE:
            attended = attention(q=keys + key_pe, k=queries + tokens, v=queries)
            return layer.norm4(keys + attended)
        k = by_head(attention.k_proj(queries + tokens), attention.num_heads)
        v = by_head(attention.v_proj(queries), attention.num_heads)
        scaled = k / math.sqrt(k.shape[-1])
        if _same(keys, self._keys[number]):
            scores = scaled @ self.t[f"{name}.q"].mT
        else:
            scores = _folded_scores(scaled, keys, attention.q_proj.weight, self.encodings[name])
        # (1, heads, tokens, image_tokens): over a last axis of 7 a softmax would take twenty times longer.
        weights = torch.softmax(scores, dim=2)
        if not replaced:
            # The weights of a head sum to 1, so each head brings its share of the bias along.
            share = attention.out_proj.bias / attention.num_heads
            values = v @ _rows_by_head(attention.out_proj.weight.T, attention) + share
            return layer.norm4(keys + weights.flatten(1, 2).mT @ values.flatten(1, 2))
        heads = attention.heads(weights.mT @ attention.v(v))
        return layer.norm4(keys + attention.out(attention.out_proj(heads.transpose(1, 2).flatten(2))))

    def _out(self, hs: Tensor, keys: Tensor, touched: set[str]) -> tuple[Tensor, Tensor]:
        """Steps (5) to (7)."""
        decoder, grid = self.decoder, self.t["src"].shape[2:]
        hyper_in = decoder.hyper_in(decoder.output_hypernetworks_mlps(hs[:, 1 : 1 + decoder.num_mask_tokens]))
        upscaling, same = decoder.output_upscaling, _same(keys, self._keys[-1])
        replaced = _touched_in("output_upscaling", touched)
        if same and replaced <= {"activated_twice"}:
            masks = mask_product(hyper_in, upscaling.activated_twice(self.t["output_upscaling.activated_twice"]))
        elif replaced:
            masks = mask_product(hyper_in, upscaling(keys.transpose(1, 2).unflatten(2, grid)))
        else:
            image = begin([Step(None, [], None)], keys.mT)
            masks = paint(upscaling, image, hyper_in, grid)
        iou = decoder.iou_pred(decoder.iou_prediction_head(hs[:, 0]))
        return decoder.masks(masks), iou


def position_encodings(decoder: MaskDecoder, image_pe: Tensor) -> dict[str, Tensor]:
    """The grid's positional encodings, projected by each cross-attention: (1, heads, head_dim, image_tokens).

    W (x + pe) + b = W x + (W pe + b), and the second part is the same for every prompt.
    """
    encodings = {}
    for name in ATTENTIONS:
        if "self_attn" in name:
            continue
        attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
        linear = attention.q_proj if "image_to_token" in name else attention.k_proj
        encodings[name] = by_head(linear(as_sequence(image_pe)), attention.num_heads).mT
    return encodings


def _folded_scores(few: Tensor, keys: Tensor, weight: Tensor, encoding: Tensor) -> Tensor:
    """few_h . (W_h x + pe_h) = (W_h^T few_h) . x + few_h . pe_h: few are folded, no image token is projected."""
    folded = few @ weight.unflatten(0, (few.shape[1], -1))
    return (folded.flatten(1, 2) @ keys.mT).unflatten(1, few.shape[1:3]) + few @ encoding


def _rows_by_head(weight: Tensor, attention: Attention) -> Tensor:
    # (internal_dim, dim) -> (heads, head_dim, dim)
    return weight.unflatten(0, (attention.num_heads, -1))


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or torch.equal(a, b)


def _touched_in(attention: str, touched: set[str]) -> set[str]:
    """Which tensors of an attention are replaced."""
    return {point.removeprefix(f"{attention}.") for point in touched if point.startswith(f"{attention}.")}
