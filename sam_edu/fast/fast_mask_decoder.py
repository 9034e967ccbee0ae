"""FastMaskDecoder: the outputs of `MaskDecoder` with far less work on the image side.

A prompt set has about 7 tokens, an image 4096. Meta's decoder projects all 4096 for those few queries, and copies the
image once per prompt set. Here the projections move to the side of the tokens, which changes nothing but the order of
the products. And where prompt sets share an image, no set ever stores image tokens of its own. The few tokens change
them by a low-rank update: an image token stays a number times its value for all prompt sets, plus a weighted sum of a
few rows (see `ImageTokens`). What layers compute from the shared part is computed once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.modules import Attention, MaskDecoder, TwoWayTransformer

# How many image tokens, over all prompt sets, are worked on at a time: four prompt sets of SAM; and fewer where each
# is stored or becomes 16 pixels, so that they stay in the cache (256 channels: 1 MB).
CHUNK, TILE = 16384, 1024

Tokens = Float[Tensor, "batch tokens dim"]
Image = Float[Tensor, "groups image_tokens dim"]
Heads = Float[Tensor, "batch heads tokens head_dim"]
Scores = Float[Tensor, "batch heads tokens image_tokens"]
Masks = Float[Tensor, "batch masks large_height large_width"]
Decoded = tuple[Masks, Float[Tensor, "batch masks"]]


class Step(NamedTuple):
    """What one step (a two-way block, or the end) needs to use the image tokens, see `ImageTokens`.

    Attributes:
        base: the base of the block's image tokens; at the end, the first transposed convolution of it.
        encodings: the projected positional encodings, one for each of `Readers.scored`; none where they are part of
            `projected`.
        projected: the base, projected by each of `Readers.scored` and by `Readers.value`; None without a base.
    """

    base: Tensor
    encodings: list[Tensor]
    projected: list[Tensor] | None


class Readers(NamedTuple):
    """The linear layers that a step applies to image tokens.

    Attributes:
        scored: those whose outputs go into attention scores: in a block the keys of step (2) and the queries of step
            (4), at the end the keys of step (6-1).
        value: the one for the values of step (2) or (6-1).
    """

    scored: list[nn.Linear]
    value: nn.Linear


class ImageTokens(NamedTuple):
    """The image tokens of prompt sets: scale * (base + coefficients^T rows) + shift.

    In step (4) an image token gets a weighted sum of a few values: x' = norm(x + A^T V). Where prompt sets share an
    image, that need not be stored. If x = s (b + C^T R) + c, then x + A^T V = s (b + [C, A/s, 1/s]^T [R, V, c]).
    The linear parts of the norm act on b and on the rows, and what it divides by, over s, is 1 / the new scale. So of
    4096 x 256 numbers for each prompt set and block there remain 49 x 4096 coefficients and 49 rows. A layer that
    multiplies the tokens by a matrix W needs W b, the same for all prompt sets, and W R, of a few rows.

    Where each prompt set has an image of its own that is no gain. Then scale is 1, base and shift are 0, the rows are
    the unit vectors, and each block stores the image tokens themselves as the coefficients.

    Args:
        steps: what this and the following steps need.
        scale: (batch or 1, 1, image_tokens).
        coefficients: (batch, rows, image_tokens).
        rows: (batch, rows, dim); None for unit vectors.
        shift: (dim).
    """

    steps: list[Step]
    scale: Tensor
    coefficients: Tensor
    rows: Tensor | None
    shift: Tensor

    def scores(self, few: Heads, weight: Tensor, which: int) -> Scores:
        """Scores of tokens with image tokens, of which none is projected.

        A score is few_h . W_h (x + pe) = (W_h^T few_h) . x + few_h . W_h pe. Folding W_h onto the token happens once
        per token and head. To project P image tokens takes P x dim x internal_dim multiplications, a product with one
        row per token and head P x dim x rows: 128 against 56 in SAM with 7 tokens. Of shared image tokens the base
        takes P x head_dim x rows, as it is `projected` already, and the update P x 49 x rows.
        """
        _, encodings, projected = self.steps[0]
        scores = few.new_zeros(1) if projected is None else per_head(few, projected[which])
        if self.coefficients.shape[1]:
            folded = fold(few, weight) if self.rows is None else fold(few, weight) @ self.rows.mT
            scores = scores + (folded @ self.coefficients).unflatten(1, few.shape[1:3])
        if not encodings:
            return scores
        return torch.addcmul(per_head(few, encodings[which]), self.scale.unsqueeze(1), scores)

    def gather(self, weights: Scores, linear: nn.Linear) -> Heads:
        """What each token and head gathers from the image, of which no token is projected.

        sum_x a_x (W_h x) = W_h (sum_x a_x x): gather first, project after. As the weights of a row sum to 1, bias and
        shift are added once.
        """
        projected, heads, weights = self.steps[0].projected, weights.shape[1], weights * self.scale.unsqueeze(1)
        gathered = weights.new_zeros(1) if projected is None else per_head(weights, projected[-1].mT)
        if self.coefficients.shape[1]:
            update = weights.flatten(1, 2) @ self.coefficients.mT
            gathered = gathered + unfold(update if self.rows is None else update @ self.rows, linear.weight, heads)
        return gathered + F.linear(self.shift, linear.weight, linear.bias).view(heads, 1, -1)

    def add_and_norm(self, norm: nn.LayerNorm, weights: Scores, values: Heads) -> "ImageTokens":
        """The end of step (4): norm(x + sum_t a_t v_t).

        Shared image tokens are computed only for their standard deviation, and not stored. As the weights of a head sum
        to 1, sum_t a_t v_t = v_0 + sum_{t > 0} a_t (v_t - v_0): a row less for each head. All v_0 and the shift are
        one row.
        """
        size = max(1, TILE // len(weights)) if _frugal() else weights.shape[3]
        if self.rows is None:
            tiles = low_rank_sum(self.coefficients.mT, weights.flatten(1, 2), values.flatten(1, 2), size)
            stored = torch.cat([norm(x) for x in tiles], dim=1)
            return self._replace(steps=self.steps[1:], coefficients=stored.mT)
        first = values[:, :, :1]
        rows = torch.cat([self.rows, (values[:, :, 1:] - first).flatten(1, 2), first.sum(1) + self.shift], dim=1)
        added = F.pad(weights[:, :, 1:].flatten(1, 2), (0, 0, 0, 1), value=1) / self.scale
        rows, coefficients = rows - rows.mean(dim=2, keepdim=True), torch.cat([self.coefficients, added], dim=1)
        tiles = low_rank_sum(self.steps[0].base, coefficients, rows, size)
        length = torch.cat([torch.linalg.vector_norm(x, dim=2) for x in tiles], dim=1).unsqueeze(1)
        deviation = (length.square() / rows.shape[2] + norm.eps / self.scale.square()).sqrt()
        return ImageTokens(self.steps[1:], 1 / deviation, coefficients, rows * norm.weight, norm.bias)

    def doubled(self, weight: Tensor, bias: Tensor, size: int) -> Iterator[Tensor]:
        """The tokens times weight^T plus bias, a few at a time; shared ones are never stored."""
        rows = weight.T.expand(len(self.coefficients), -1, -1) if self.rows is None else F.linear(self.rows, weight)
        tiles = low_rank_sum(self.steps[0].base, self.coefficients, rows, size)
        shift = F.linear(self.shift, weight, bias)
        for x, scale in zip(tiles, self.scale.split(size, dim=2), strict=True):
            yield torch.addcmul(shift, x, scale.mT)


def begin(steps: list[Step], image: Float[Tensor, "groups dim image_tokens"], batch: int) -> ImageTokens:
    """The image tokens before the first block: all base, or all coefficients."""
    (_, dim, number), zeros = image.shape, image.new_zeros
    update = (image, None) if steps[0].projected is None else (zeros(batch, 0, number), zeros(batch, 0, dim))
    return ImageTokens(steps, zeros(1, 1, number) + 1, *update, zeros(dim))  # type: ignore[call-arg]


def low_rank_sum(base: Image, coefficients: Tensor, rows: Tensor, size: int) -> Iterator[Tensor]:
    """base + coefficients^T rows, (batch, some image tokens, dim), a few image tokens at a time.

    No image token depends on another, so each tile can be finished while it is in the cache. This saves fresh memory:
    the system has to find and clear every page that is used for the first time, and for a whole grid that takes longer
    than the products.
    """
    for tile, some in zip(base.split(size, dim=1), coefficients.split(size, dim=2), strict=True):
        same = tile.unsqueeze(1).expand(-1, len(rows) // len(tile), -1, -1).flatten(0, 1)
        yield torch.baddbmm(same, some.mT, rows)


class FastMaskDecoder(nn.Module):
    """A faster forward pass with the parameters of a `MaskDecoder`, which are shared and not copied.

    Masks, IoU predictions and gradients equal the decoder's up to rounding. There are no trace points: to look inside,
    trace the decoder itself. Without autograd, the projected positional encodings and what is the same for all prompt
    sets of an image are kept for the next call. They are used again only where the weights and inputs that they were
    computed from have the same values as then, so no change of weights can leave them stale.

    Args:
        decoder: the decoder whose parameters are used.

    Raises:
        TypeError: not a `sam_edu.MaskDecoder` around a `sam_edu.TwoWayTransformer`.
    """

    untraceable = "a FastMaskDecoder passes no trace point; trace the MaskDecoder that it was made from"

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        for path, wanted in ("decoder", MaskDecoder), ("decoder.transformer", TwoWayTransformer):
            part = decoder if wanted is MaskDecoder else decoder.transformer
            if not isinstance(part, wanted):
                raise TypeError(f"{path}: expected a sam_edu.{wanted.__name__}, got {type(part).__name__}")
        self.decoder: Any = decoder
        transformer: Any = decoder.transformer
        final = transformer.final_attn_token_to_image
        self.readers = [_readers_of_block(layer) for layer in transformer.layers]
        self.readers.append(Readers([final.k_proj], final.v_proj))
        self._kept: dict[str, tuple[list[Tensor], Any]] = {}

    def forward(
        self,
        image_embeddings: Float[Tensor, "images dim height width"],
        image_pe: Float[Tensor, "_ dim height width"],
        sparse_prompt_embeddings: Float[Tensor, "_ prompt_tokens dim"],
        dense_prompt_embeddings: Float[Tensor, "_ dim height width"],
        multimask_output: bool,
    ) -> Decoded:
        """Decode prompt sets. Arguments, results and errors are those of `MaskDecoder.forward`.

        The image is shared where all prompt sets have the same image and the same dense prompt, as it is without mask
        prompts (`dense_prompt_embeddings` of batch 1, or expanded from one). The decoder itself decodes what
        cannot be made faster: no prompt set, or positional encodings of each prompt set.
        """
        inputs = (image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        batch = self.decoder.check_inputs(*inputs)
        if batch == 0 or len(image_pe) > 1:
            return self.decoder(*inputs, multimask_output)
        dense = dense_prompt_embeddings[: 1 if dense_prompt_embeddings.stride(0) == 0 else batch]
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return self.decode(image_embeddings + dense, image_pe, sparse_prompt_embeddings.expand(batch, -1, -1), chosen)

    def decode(self, src: Tensor, image_pe: Tensor, sparse_prompt_embeddings: Tokens, chosen: slice) -> Decoded:
        """Decode groups of prompt sets that share an image.

        Without autograd they are decoded a few at a time: the temporaries of many would leave the processor's cache,
        and memory would grow with their number. (With autograd, memory has to keep them all anyway.)

        Args:
            src: (groups, dim, height, width), per group of prompt sets the image embedding plus dense prompt. Prompt
                set i belongs to group i // (batch // groups).
            image_pe: the grid's positional encodings, of batch 1.
            sparse_prompt_embeddings: the prompt tokens.
            chosen: which masks to return.

        Returns:
            mask logits and IoU predictions of the chosen masks.
        """
        decoder, grid, batch = self.decoder, src.shape[2:], len(sparse_prompt_embeddings)
        sets, most = batch // len(src), batch if torch.is_grad_enabled() else max(1, CHUNK // grid.numel())
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(batch, -1, -1), sparse_prompt_embeddings], dim=1)

        parts = []
        n = max(1, most // sets)  # groups at a time; of one that is too large, some prompt sets at a time
        for some_src, some_tokens in zip(src.split(n), tokens.split(n * sets), strict=True):
            steps = self._steps(some_src, self._encodings(image_pe), sets)
            for few in some_tokens.split(most):
                parts.append(self._decode(few, begin(steps, some_src.flatten(2), len(few)), chosen, grid))
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))  # type: ignore[return-value]

    def _decode(self, tokens: Tensor, image: ImageTokens, chosen: slice, grid: torch.Size) -> Decoded:
        """Steps (1) to (8). After the last block only the IoU token and the chosen mask tokens are needed, so (6-1),
        (6-2) and the IoU head leave the others out."""
        decoder, transformer, queries = self.decoder, self.decoder.transformer, tokens
        for layer in transformer.layers:
            queries, image = _block(layer, queries, tokens, image)
        needed = [0, *range(1, 1 + decoder.num_mask_tokens)[chosen]]
        queries, tokens = queries[:, needed], tokens[:, needed]
        attended = tokens_to_image(transformer.final_attn_token_to_image, queries + tokens, image)
        queries = transformer.norm_final_attn(queries + attended)

        mlps = list(decoder.output_hypernetworks_mlps)[chosen]
        hyper_in = torch.stack([mlp(queries[:, i]) for i, mlp in enumerate(mlps, start=1)], dim=1)
        iou = decoder.iou_prediction_head(queries[:, 0])[:, chosen]
        return paint(decoder.output_upscaling, image, hyper_in, grid), iou

    def _encodings(self, image_pe: Tensor) -> list[list[Tensor]]:
        """The positional encodings, projected by each of `Readers.scored`, step by step.

        W (x + pe) = W x + W pe, and the second part depends on the model and the grid alone. So x + pe need not be
        stored for each prompt set.
        """
        n, readers = self.decoder.transformer.num_heads, self.readers
        used = [m for scored, value in readers for m in (*scored, value)]
        used += [*(layer.norm4 for layer in self.decoder.transformer.layers), self.decoder.output_upscaling[0]]

        def compute() -> list[list[Tensor]]:
            self._kept.pop("image", None)  # it was computed with the encodings and the weights before
            x = image_pe.flatten(2).mT
            # Without the keys' biases: they add the same to every score of a query and cancel, and as rounding leaves
            # a trace of a gradient, an optimiser would let them wander.
            return [[project(x, y.weight, n) + i * y.bias.view(n, -1, 1) for i, y in enumerate(r)] for r, _ in readers]

        return self._keep("encodings", [image_pe, *(p for m in used for p in m.parameters())], compute)

    def _steps(self, src: Tensor, encodings: list[list[Tensor]], sets: int) -> list[Step]:
        """What each step needs to use the image tokens.

        What prompt sets have in common is computed (`share`) where there are several to an image; and where there is
        one, from the second call with the same image on, as there may be a third.
        """
        image = self._keep("image", [src], dict) if len(src) == 1 else {}
        if sets == 1 and not image:
            image["met"] = True
            return [Step(src.new_zeros(1, src[0, 0].numel(), 1), encoding, None) for encoding in encodings]
        if "steps" not in image:
            image["steps"] = share(self.decoder, self.readers, src.flatten(2).mT.contiguous(), encodings)
        return image["steps"]

    def _keep(self, name: str, inputs: Sequence[Tensor], compute: Callable[[], Any]) -> Any:
        """`compute()`, or its last result if `inputs` still have the values that they had then.

        Values are compared, not identities or version counters, which `.data`, NumPy and inference mode bypass. To
        compare an image embedding takes a hundredth of the time of decoding it.
        """
        if not _frugal():
            return compute()
        before, result = self._kept.get(name, ([], None))
        if not before or not all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(before, inputs, strict=True)):
            result = compute()
            self._kept[name] = ([x.detach().clone() for x in inputs], result)
        return result


def _frugal() -> bool:
    """Whether memory may be used again and results kept: neither autograd, nor a precision that changes by the call."""
    autocast = any(map(torch.is_autocast_enabled, ("cpu", "cuda")))
    return not (torch.is_grad_enabled() or autocast or torch.compiler.is_compiling())


def share(decoder: Any, readers: list[Readers], base: Image, encodings: list[list[Tensor]]) -> list[Step]:
    """What all prompt sets of an image have in common in every step.

    A norm takes the mean, divides, multiplies by a gain g and adds a shift. All but the division are linear maps that
    depend on the model alone: they turn the shared part of the tokens, base, into centre(base) g, the same for
    all prompt sets; so are its projections, and the first transposed convolution of it. The division by a
    number for each image token and prompt set is left to `ImageTokens.scale`. And W (x + shift) = W x + W shift: to
    keys and queries the shift is one more positional encoding.
    """
    steps: list[Step] = []
    heads, shift = decoder.transformer.num_heads, base.new_zeros(base.shape[2])
    for layer, (scored, value), encoding in zip([*decoder.transformer.layers, None], readers, encodings, strict=True):
        projected = [project(base, linear.weight, heads) for linear in (*scored, value)]
        shifted = [e + (linear.weight @ shift).view(heads, -1, 1) for e, linear in zip(encoding, scored, strict=True)]
        if not steps:  # as long as the scale is 1, they are added here, for all
            projected, shifted = [*map(torch.add, projected, shifted), projected[-1]], []
        steps.append(Step(base - base.mean(dim=2, keepdim=True), shifted, projected))
        if layer:
            base, shift = steps[-1].base * layer.norm4.weight, layer.norm4.bias
    last = steps[-1]._replace(base=F.linear(base, _doubling(decoder.output_upscaling[0])[0]))
    return [*steps[:-1], last]


def _readers_of_block(layer: Any) -> Readers:
    tokens_read, image_reads = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    return Readers([tokens_read.k_proj, image_reads.q_proj], tokens_read.v_proj)


def _block(layer: Any, queries: Tensor, tokens: Tensor, image: ImageTokens) -> tuple[Tensor, ImageTokens]:
    """Steps (1) to (4) of one two-way block."""
    first = layer.skip_first_layer_pe  # in SAM block 0 does, and no other
    q = queries if first else queries + tokens
    attended = layer.self_attn(q=q, k=q, v=queries)
    queries = layer.norm1(attended if first else queries + attended)
    queries = layer.norm2(queries + tokens_to_image(layer.cross_attn_token_to_image, queries + tokens, image))
    queries = layer.norm3(queries + layer.mlp(queries))
    return queries, image_to_tokens(layer.cross_attn_image_to_token, layer.norm4, image, queries + tokens, queries)


def tokens_to_image(attention: Attention, q: Tokens, image: ImageTokens) -> Tokens:
    """Steps (2) and (6-1): the attention's output for each token. `q` includes positional encodings."""
    few = _scaled_heads(attention.q_proj(q), attention.num_heads)
    weights = torch.softmax(image.scores(few, attention.k_proj.weight, 0), dim=-1)
    return attention.out_proj(image.gather(weights, attention.v_proj).transpose(1, 2).flatten(2))


def image_to_tokens(attention: Attention, norm: nn.LayerNorm, image: ImageTokens, k: Tokens, v: Tokens) -> ImageTokens:
    """Step (4) with its residual and norm; `k` are the tokens plus their positional encodings, `v` the tokens.

    The attention's output is sum_t a_t W_o,h v_t,h + b_o: fold W_o onto the values of the few tokens. The softmax over
    the tokens has the image tokens as its last axis, along which the processor works on many at a time. Over a last
    axis of 7 it takes twenty times longer.
    """
    heads, out = attention.num_heads, attention.out_proj
    few, values = _scaled_heads(attention.k_proj(k), heads), attention.v_proj(v).unflatten(2, (heads, -1))
    weights = torch.softmax(image.scores(few, attention.q_proj.weight, 1), dim=2)
    # The weights of a head sum to 1, so b_o can ride on the values: a share of it on those of each head.
    folded = torch.einsum("bthd,chd->bhtc", values, out.weight.unflatten(1, (heads, -1))) + out.bias / heads
    return image.add_and_norm(norm, weights, folded)


def project(x: Image, weight: Tensor, heads: int) -> Heads:
    """An attention's projection of image tokens, split into heads.

    The image tokens come last, as `per_head` needs them: one product, and no copy to transpose the result.
    """
    return (weight.expand(len(x), -1, -1) @ x.mT).unflatten(1, (heads, -1))


def per_head(few: Tensor, many: Tensor) -> Tensor:
    """few @ many, where all prompt sets of a group share `many`.

    `few` (batch, heads, tokens, inner), `many` (groups, heads, inner, outer).

    Their tokens lie side by side as the rows of one product, so that `many` is read once and never repeated.
    """
    rows = few.unflatten(0, (len(many), -1)).transpose(1, 2)  # (groups, heads, sets, tokens, inner)
    return (rows.flatten(2, 3) @ many).unflatten(2, rows.shape[2:4]).transpose(1, 2).flatten(0, 1)


def fold(few: Heads, weight: Tensor) -> Float[Tensor, "batch rows dim"]:
    """W_h^T few_h: one row per head and token."""
    return torch.einsum("bhtd,hdc->bhtc", few, weight.unflatten(0, (few.shape[1], -1))).flatten(1, 2)


def unfold(rows: Float[Tensor, "batch rows dim"], weight: Tensor, heads: int) -> Heads:
    """W_h rows_h, the opposite of `fold`."""
    return torch.einsum("bhtc,hdc->bhtd", rows.unflatten(1, (heads, -1)), weight.unflatten(0, (heads, -1)))


def _scaled_heads(x: Tensor, heads: int) -> Heads:
    return x.unflatten(2, (heads, -1)).transpose(1, 2) / (x.shape[2] // heads) ** 0.5


def paint(upscaling: nn.Sequential, image: ImageTokens, hyper_in: Tensor, grid: torch.Size) -> Masks:
    """Steps (5) and (6-3) as matrix products, which write the rows of the masks one after the other.

    A transposed convolution with kernel 2 and stride 2 turns each position into 2 x 2 new ones, each by a matrix of its
    own, and no two overlap: it is one linear layer to 4 x channels. Channels stay last, which makes the layer norm a
    plain one, and the product with `hyper_in` comes before the new positions are sorted, when 32 channels have become a
    few masks. A row y of the grid becomes rows (y, dy, dy') of the masks. The second layer does one dy' at a time: then
    its positions (x, dx, dx') already lie in the order of a row, and only whole rows have to be moved. As no image
    token's pixels depend on another's, a few rows of the grid at a time will do: they fit in the cache.
    """
    first, norm, act1, second, act2 = list(upscaling)[:5]
    halves = list(zip(*(x.chunk(2) for x in _doubling(second)), strict=True))
    strips: list[Tensor] = []
    rows = max(1, TILE // (grid[1] * len(hyper_in))) if _frugal() else grid[0]
    for tile in image.doubled(*_doubling(first), rows * grid[1]):
        x = tile.unflatten(1, (-1, grid[1])).unflatten(-1, (2, 2, -1))
        x = act1(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))  # type: ignore[arg-type]
        x = x.transpose(2, 3).flatten(1, 4)  # (batch, y, x, dy, dx, channels) -> (batch, y dy x dx, channels)
        painted = [(act2(F.linear(x, *half)).view(len(x), -1, hyper_in.shape[2]) @ hyper_in.mT).mT for half in halves]
        strips.append(torch.stack([p.unflatten(2, (-1, 4 * grid[1])) for p in painted], dim=3).flatten(2, 3))
    return torch.cat(strips, dim=2)


def _doubling(conv: Any) -> tuple[Tensor, Tensor]:
    """A transposed convolution of kernel and stride 2 as a linear layer: dim -> (dy dx channels)."""
    return conv.weight.permute(2, 3, 1, 0).reshape(-1, len(conv.weight)), conv.bias.repeat(4)
