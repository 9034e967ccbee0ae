"""FastMaskDecoder: the same masks as `MaskDecoder`, with far less work on the image side.

A prompt set has about 7 tokens, an image 4096. Meta's decoder projects all 4096 for those few queries, and copies the
image once per prompt set. Here the projections move to the side of the tokens, which changes nothing but the order of
the products, what the prompt sets of one image have in common is computed once, and many prompt sets are decoded a few
at a time, so that what is written down on the way stays in the processor's cache.
"""

import math
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.modules import Attention, MaskDecoder, TwoWayAttentionBlock, TwoWayTransformer

# How many image tokens, over all prompt sets, are worked on at a time: four prompt sets of SAM; and fewer where each
# becomes 16 pixels, or many small steps follow one another, so that they stay in the cache (256 channels: 1 MB).
CHUNK, TILE = 16384, 1024

Tokens = Float[Tensor, "batch tokens dim"]
Pixels = Float[Tensor, "groups pixels dim"]
Heads = Float[Tensor, "batch heads tokens head_dim"]
Scores = Float[Tensor, "batch heads tokens pixels"]
Projected = Float[Tensor, "_ heads head_dim pixels"]  # of batch 1 for all groups, or one per group
Weight = Float[Tensor, "internal_dim dim"]
Picture = Float[Tensor, "_ dim height width"]
Masks = Float[Tensor, "batch masks large_height large_width"]
# What layer 0 makes of the image tokens, the same for every prompt set of an image: k and v for step (2), and q for
# step (4); k and q with positional code, q with its bias as well.
Known = tuple[Projected, Projected, Projected]


class FastMaskDecoder(nn.Module):
    """A faster forward pass over the parameters of a `MaskDecoder`, which it shares and does not copy.

    Masks, IoU predictions and gradients equal the decoder's up to rounding. There are no trace points: to look inside,
    trace the decoder itself. Without autograd, the projected positional codes and what layer 0 computes on the image
    are kept for the next call. They are used again only where the weights and inputs that they were made from have
    the same values as then, so no change of weights, however it is made, can leave them stale.

    Args:
        decoder: the decoder whose parameters are used.

    Raises:
        TypeError: not a `sam_edu.MaskDecoder` around a `sam_edu.TwoWayTransformer`.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        for path, wanted in ("decoder", MaskDecoder), ("decoder.transformer", TwoWayTransformer):
            part = decoder if wanted is MaskDecoder else decoder.transformer
            if not isinstance(part, wanted):
                raise TypeError(f"{path}: expected a sam_edu.{wanted.__name__}, got {type(part).__name__}")
        self.decoder = decoder
        self._kept: dict[str, tuple[list[Tensor], Any]] = {}

    @classmethod
    def from_decoder(cls, decoder: MaskDecoder) -> "FastMaskDecoder":
        """Wrap `decoder`."""
        return cls(decoder)

    def forward(
        self,
        image_embeddings: Float[Tensor, "images dim height width"],
        image_pe: Float[Tensor, "_ dim height width"],
        sparse_prompt_embeddings: Float[Tensor, "_ prompt_tokens dim"],
        dense_prompt_embeddings: Float[Tensor, "_ dim height width"],
        multimask_output: bool,
    ) -> tuple[Float[Tensor, "batch masks 4*height 4*width"], Float[Tensor, "batch masks"]]:
        """Decode prompt sets. Arguments, results and errors are those of `MaskDecoder.forward`.

        The image side of layer 0 is shared where all prompt sets have the same image and the same dense prompt, as it
        is without mask prompts (`dense_prompt_embeddings` of batch 1, or expanded from one).
        """
        inputs = (image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        batch = self.decoder._check(*inputs)
        if batch == 0:  # nothing to make fast
            return self.decoder(*inputs, multimask_output)
        dense = dense_prompt_embeddings[: 1 if dense_prompt_embeddings.stride(0) == 0 else batch]
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        groups = batch if image_pe.shape[0] > 1 else -1  # with codes of its own, each prompt set is a group
        src = (image_embeddings + dense).expand(groups, -1, -1, -1)
        return self.decode(src, image_pe, sparse_prompt_embeddings.expand(batch, -1, -1), chosen)

    def decode(
        self, src: Picture, image_pe: Picture, sparse_prompt_embeddings: Tokens, chosen: slice
    ) -> tuple[Masks, Float[Tensor, "batch masks"]]:
        """Decode groups of prompt sets that share a picture.

        Without autograd they are decoded a few at a time: the temporaries of many would leave the processor's cache,
        and memory would grow with their number. (With autograd, memory has to keep them all anyway.)

        Args:
            src: per group of prompt sets the image embedding plus dense prompt. Prompt set i belongs to group
                i // (batch // groups).
            image_pe: the grid's positional codes, of batch 1 or one per group.
            sparse_prompt_embeddings: the prompt tokens.
            chosen: which of the mask tokens' masks to draw.

        Returns:
            mask logits and IoU predictions of the chosen masks.
        """
        decoder, grid, batch = self.decoder, src.shape[2:], len(sparse_prompt_embeddings)
        sets, most = batch // len(src), batch if torch.is_grad_enabled() else max(1, CHUNK // grid.numel())
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(batch, -1, -1), sparse_prompt_embeddings], dim=1)

        parts: list[tuple[Tensor, Tensor]] = []
        n = max(1, most // sets)  # groups at a time; of one that is too large, some prompt sets at a time
        pes = image_pe.split(n) if len(image_pe) > 1 else repeat(image_pe)
        for some_src, pe, some_tokens in zip(src.split(n), pes, tokens.split(n * sets), strict=False):
            codes = self._codes(pe)
            keys, known = self._image_side(some_src, codes, sets * tokens.shape[1])
            parts += [self._decode_some(few, keys, codes, known, chosen, grid) for few in some_tokens.split(most)]
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))  # type: ignore[return-value]

    def _decode_some(
        self, tokens: Tensor, keys: Tensor, codes: list[Tensor], known: Known | None, chosen: slice, grid: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """Steps (1) to (8). After the last block only the IoU token and the chosen mask tokens are read, so (6-1),
        (6-2) and the IoU head leave the others out."""
        decoder = self.decoder
        transformer: TwoWayTransformer = decoder.transformer  # type: ignore[assignment]
        queries = tokens
        for i, layer in enumerate(transformer.layers):
            queries, keys = _block(layer, queries, keys, tokens, codes[2 * i : 2 * i + 2], known)  # type: ignore[arg-type]
            known = None  # from here on the image side differs between prompt sets
        read = [0, *range(1, 1 + decoder.num_mask_tokens)[chosen]]
        queries, tokens = queries[:, read], tokens[:, read]
        attended = tokens_to_image(transformer.final_attn_token_to_image, queries + tokens, keys, codes[-1], None)
        queries = transformer.norm_final_attn(queries + attended)

        mlps = list(decoder.output_hypernetworks_mlps)[chosen]
        hyper_in = torch.stack([mlp(queries[:, i]) for i, mlp in enumerate(mlps, start=1)], dim=1)
        return paint(decoder.output_upscaling, keys, hyper_in, grid), decoder.iou_prediction_head(queries[:, 0])[
            :, chosen
        ]

    def _codes(self, image_pe: Tensor) -> list[Tensor]:
        """The positional codes in the space of every attention's heads: steps (2), (4) of each block, then (6-1).

        W (x + pe) = W x + W pe, and the second part depends on the model and the grid alone. With it at hand nobody
        has to write down x + pe for each prompt set.
        """
        transformer: TwoWayTransformer = self.decoder.transformer  # type: ignore[assignment]
        linears = [y for t2i, i2t in map(_cross_attentions, transformer.layers) for y in (t2i.k_proj, i2t.q_proj)]
        linears.append(transformer.final_attn_token_to_image.k_proj)

        def compute() -> list[Tensor]:
            self._kept.pop("image", None)  # it was made with the codes before
            pe, heads = image_pe.flatten(2).transpose(1, 2), transformer.num_heads
            # Without the keys' biases: they add the same to every score of a query and cancel, and as rounding leaves
            # a trace of a gradient, an optimiser would let them wander.
            return [project(pe, y.weight, heads) + i % 2 * y.bias.view(heads, -1, 1) for i, y in enumerate(linears)]

        return self._keep("codes", [image_pe, *(x for y in linears for x in (y.weight, y.bias))], compute)

    def _image_side(self, src: Tensor, codes: list[Tensor], rows: int) -> tuple[Tensor, Known | None]:
        """Image tokens (groups, pixels, dim), and what layer 0 makes of them where that is worth it.

        Layer 0 sees the same image tokens in every prompt set of an image, so their projections serve all sets: an
        ordinary attention, whose price is paid once. It is worth it from `internal_dim` rows (tokens x heads of all
        prompt sets of the image) up, and from the second call with the same image on, as there may be a third.
        """
        transformer: TwoWayTransformer = self.decoder.transformer  # type: ignore[assignment]
        if transformer.depth == 0:
            return src.flatten(2).transpose(1, 2).contiguous(), None
        t2i, i2t = _cross_attentions(transformer.layers[0])
        weights = [t2i.k_proj.weight, t2i.v_proj.weight, i2t.q_proj.weight]

        def flattened() -> dict[str, Any]:
            return {"keys": src.flatten(2).transpose(1, 2).contiguous()}

        image = self._keep("image", [src, *weights], flattened) if len(src) == 1 else flattened()
        if "known" not in image and ("met" in image or rows * t2i.num_heads >= t2i.internal_dim):
            added = (codes[0], None, codes[1])
            image["known"] = tuple(map(project, repeat(image["keys"]), weights, repeat(t2i.num_heads), added))
        image["met"] = True
        return image["keys"], image.get("known")

    def _keep(self, name: str, inputs: Sequence[Tensor], compute: Callable[[], Any]) -> Any:
        """`compute()`, or its last result if `inputs` still have the values that they had then.

        Values are compared, not identities or version counters, which `.data`, NumPy and inference mode get around. To
        read an image embedding again takes a hundredth of the time of decoding it.
        """
        if not _frugal():
            return compute()
        before, result = self._kept.get(name, ([], None))
        if not before or not all(map(_same, before, inputs)):
            result = compute()
            self._kept[name] = ([x.detach().clone() for x in inputs], result)
        return result


def _frugal() -> bool:
    """Whether memory may be used again and results kept: neither autograd, nor a precision that changes by the call."""
    autocast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    return not (torch.is_grad_enabled() or autocast or torch.compiler.is_compiling())


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)


def _cross_attentions(layer: nn.Module) -> tuple[Attention, Attention]:
    """Those of steps (2) and (4)."""
    return layer.cross_attn_token_to_image, layer.cross_attn_image_to_token  # type: ignore[return-value]


def _block(
    layer: TwoWayAttentionBlock, queries: Tensor, keys: Tensor, tokens: Tensor, codes: list[Tensor], known: Known | None
) -> tuple[Tensor, Tensor]:
    """Steps (1) to (4) of one two-way block."""
    first = layer.skip_first_layer_pe  # in SAM block 0 does, and no other
    q = queries if first else queries + tokens
    attended = layer.self_attn(q=q, k=q, v=queries)
    queries = layer.norm1(attended if first else queries + attended)
    attended = tokens_to_image(layer.cross_attn_token_to_image, queries + tokens, keys, codes[0], known)
    queries = layer.norm2(queries + attended)
    queries = layer.norm3(queries + layer.mlp(queries))
    weights, values = image_to_tokens(layer.cross_attn_image_to_token, keys, queries + tokens, queries, codes[1], known)
    return queries, add_and_norm(layer.norm4, keys, weights, values, in_place=not first)


def project(x: Pixels, weight: Weight, heads: int, code: Projected | None = None) -> Projected:
    """An attention's projection of image tokens, split into heads, plus the projection of their positional codes.

    The pixels come last, as `per_head` wants them: one product and no copy to turn the result round.
    """
    weights, x = weight.expand(len(x), -1, -1), x.transpose(1, 2)
    product = weights @ x if code is None else torch.baddbmm(code.flatten(1, 2), weights, x)
    return product.unflatten(1, (heads, -1))


def per_head(few: Tensor, many: Tensor) -> Tensor:
    """few @ many, where all prompt sets of a group have `many` in common.

    `few` (batch, heads, tokens, inner), `many` (groups, heads, inner, outer).

    Their tokens lie side by side as the rows of one product, so that `many` is read once and never repeated.
    """
    rows = few.unflatten(0, (len(many), -1)).transpose(1, 2)  # (groups, heads, sets, tokens, inner)
    product = rows.flatten(2, 3) @ many
    return product.unflatten(2, rows.shape[2:4]).transpose(1, 2).flatten(0, 1)


def folding_pays(few: Heads, keys: Pixels, weight: Weight) -> bool:
    """Whether a projection is cheaper on the side of the tokens.

    With P pixels, to project them takes P x dim x internal_dim multiplications; a product of all pixels with one row
    per token and head, of all prompt sets of a group, takes P x dim x rows: 128 against 56 in SAM with 7 tokens.
    """
    return few.shape[0] // keys.shape[0] * few.shape[1] * few.shape[2] < weight.shape[0]


def scores(few: Heads, keys: Pixels, weight: Weight, code: Projected, known: Projected | None) -> Scores:
    """Scores between tokens and image tokens, without projecting an image token where `folding_pays`.

    A score is few_h . W_h (x + pe) = (W_h^T few_h) . x + few_h . (W_h pe). Folding W_h onto the token happens once per
    token and head, and the image tokens are used as they are; the second part has its `code` ready (see `_codes`).
    With `known`, the image tokens as W and code make them, it is an ordinary product.
    """
    (groups, pixels, dim), heads = keys.shape, few.shape[1]
    if known is not None or not folding_pays(few, keys, weight):
        return per_head(few, project(keys, weight, heads, code) if known is None else known)
    folded = torch.einsum("bhtd,hdc->bhtc", few, weight.unflatten(0, (heads, -1))).reshape(groups, -1, dim)
    placed = per_head(few, code).reshape(groups, -1, pixels)
    return torch.baddbmm(placed, folded, keys.transpose(1, 2)).view(*few.shape[:3], pixels)


def gather(weights: Scores, keys: Pixels, weight: Weight, known: Projected | None) -> Heads:
    """What each token and head gathers from the image, without projecting an image token where `folding_pays`.

    sum_x a_x (W_h x) = W_h (sum_x a_x x): gather first, project after.
    """
    heads = weights.shape[1]
    if known is not None or not folding_pays(weights, keys, weight):
        return per_head(weights, (project(keys, weight, heads) if known is None else known).transpose(2, 3))
    gathered = weights.view(len(keys), -1, keys.shape[1]) @ keys
    return torch.einsum("bhtc,hdc->bhtd", gathered.view(*weights.shape[:3], -1), weight.unflatten(0, (heads, -1)))


def tokens_to_image(attention: Attention, q: Tokens, keys: Pixels, code: Projected, known: Known | None) -> Tokens:
    """Steps (2) and (6-1): see `scores` and `gather`. As a query's weights sum to 1, b_v is added once, at the end.

    Args:
        attention: whose weights to use.
        q: queries, positional code included.
        keys: image tokens, without their positional codes: the keys and the values.
        code: the positional codes as projected by `attention.k_proj`.
        known: the image tokens as projected for this attention, where they are known.

    Returns:
        what each token gathered, after the output projection.
    """
    few = _scaled_heads(attention.q_proj(q), attention.num_heads)
    weights = torch.softmax(scores(few, keys, attention.k_proj.weight, code, known and known[0]), dim=-1)
    values = gather(weights, keys, attention.v_proj.weight, known and known[1]).transpose(1, 2).flatten(2)
    return attention.out_proj(values + attention.v_proj.bias)


def image_to_tokens(
    attention: Attention, keys: Pixels, k: Tokens, v: Tokens, code: Projected, known: Known | None
) -> tuple[Float[Tensor, "batch rows pixels"], Float[Tensor, "batch rows dim"]]:
    """Step (4) without projecting an image token.

    Scores: see `scores`. The output is sum_t a_t W_o,h v_t,h + b_o: fold W_o onto the values of the few tokens. The
    softmax over the tokens is laid out with the pixels as the last axis, along which the processor works on many at a
    time; over a last axis of 7 it takes twenty times longer.

    Args:
        attention: whose weights to use.
        keys: image tokens: the queries.
        k: tokens plus their positional codes.
        v: tokens.
        code: the positional codes as projected by `attention.q_proj`, bias included.
        known: the image tokens as projected for this block, where they are known.

    Returns:
        weights and values, a row per head and token. The product of the two is the attention's output.
    """
    heads, out = attention.num_heads, attention.out_proj
    few, values = _scaled_heads(attention.k_proj(k), heads), attention.v_proj(v).unflatten(2, (heads, -1))
    weights = torch.softmax(scores(few, keys, attention.q_proj.weight, code, known and known[2]), dim=2)
    # The weights of a head sum to 1, so b_o can ride on the values: a share of it on those of each head.
    folded = torch.einsum("bthd,chd->bhtc", values, out.weight.unflatten(1, (heads, -1))) + out.bias / heads
    return weights.flatten(1, 2), folded.flatten(1, 2)


def add_and_norm(norm: nn.LayerNorm, keys: Pixels, weights: Tensor, values: Tensor, in_place: bool) -> Tensor:
    """The end of step (4): LayerNorm(x + sum_t a_t v_t), with the sum of `image_to_tokens`: (batch, pixels, dim).

    Each image token minds its own business, so without autograd a few at a time are finished, sum, residual and norm,
    while they are in the cache. Fresh memory is what this saves: for every page of it that is touched for the first
    time the system has to find and clear one, and a whole grid's worth takes longer than the products. `in_place`:
    nobody else needs `keys`, they may be overwritten.
    """
    batch, (groups, pixels, _) = len(weights), keys.shape
    step = max(1, TILE // batch) if _frugal() else pixels
    result = keys if in_place or step >= pixels else keys.new_empty(batch, *keys.shape[1:])
    for start in range(0, pixels, step):
        here = slice(start, start + step)
        gathered = (weights[:, :, here].transpose(1, 2) @ values).unflatten(0, (groups, -1))
        x = norm((keys[:, here].unsqueeze(1) + gathered).flatten(0, 1))
        if step >= pixels:
            return x
        result[:, here] = x
    return result


def _scaled_heads(x: Tensor, heads: int) -> Heads:
    return x.unflatten(2, (heads, -1)).transpose(1, 2) / math.sqrt(x.shape[2] // heads)


def paint(upscaling: nn.Sequential, keys: Tensor, hyper_in: Tensor, grid: torch.Size) -> Masks:
    """Steps (5) and (6-3) as matrix products, which write the rows of the masks one after the other.

    A transposed convolution with kernel 2 and stride 2 turns each place into 2 x 2 new ones, each by a matrix of its
    own, and no two overlap: it is one linear layer to 4 x channels. Channels stay last, which makes the layer norm a
    plain one, and the product with `hyper_in` comes before the new places are sorted, when 32 channels have become a
    few masks. A row y of the grid becomes rows (y, dy, dy') of the masks. The second layer does one dy' at a time: then
    its places (x, dx, dx') already lie in the order of a row, and only whole rows have to be moved. As no image
    token's pixels depend on another's, a few rows of the grid at a time will do: they fit in the cache.
    """
    first, norm, act1, second, act2 = list(upscaling)[:5]
    doubled, halves = _doubling(first), list(zip(*(x.chunk(2) for x in _doubling(second)), strict=True))
    strips: list[Tensor] = []
    rows = max(1, TILE // (grid[1] * len(keys))) if _frugal() else grid[0]
    for tile in keys.unflatten(1, grid).split(rows, dim=1):
        x = F.linear(tile.contiguous(), *doubled).unflatten(-1, (2, 2, -1))
        x = act1(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))  # type: ignore[arg-type]
        x = x.transpose(2, 3).flatten(1, 4)  # (batch, y, x, dy, dx, channels) -> (batch, y dy x dx, channels)
        painted = [_weigh(hyper_in, act2(F.linear(x, *half)).view(len(x), -1, hyper_in.shape[2])) for half in halves]
        # of each dy' (batch, masks, y dy x dx dx') -> (batch, masks, y dy dy', x dx dx')
        strips.append(torch.stack([p.unflatten(2, (-1, 4 * grid[1])) for p in painted], dim=3).flatten(2, 3))
    return torch.cat(strips, dim=2)


def _weigh(hyper_in: Tensor, x: Tensor) -> Tensor:
    """hyper_in @ x^T. For autograd in the order in which the gradient of x is contiguous: GELU's backward would crawl
    over the other."""
    if torch.is_grad_enabled():
        return (x @ hyper_in.transpose(1, 2)).transpose(1, 2)
    return hyper_in @ x.transpose(1, 2)


def _doubling(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """A transposed convolution of kernel and stride 2 as a linear layer: dim -> (dy dx channels)."""
    weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0]), bias.repeat(4)
