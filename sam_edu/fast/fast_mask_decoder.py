"""FastMaskDecoder: the outputs of `MaskDecoder` with far less work on the image side.

A prompt set has about 7 tokens, an image 4096. Meta's decoder projects all 4096 for those few queries, and copies the
image once per prompt set. Here the projections move to the side of the tokens, which changes nothing but the order of
the products. And where prompt sets share an image, no set ever stores image tokens of its own. The few tokens change
them by a low-rank update: an image token stays a number times its value for all prompt sets, plus a weighted sum of a
few rows (see `ImageTokens`). What layers compute from the shared part is computed once.

All this saves operations and memory, and takes many small kernels. A GPU waits for their launches: there another form
is run, with few, large ones (`sam_edu.fast.fused`). `sam_edu.fast.plan` chooses.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.fast import plan
from sam_edu.fast.fused import Stacks, decode_fused, doubling, stack
from sam_edu.fast.kept import Kept
from sam_edu.fast.positional_encodings import dense_pe
from sam_edu.fast.snapshot import Watch
from sam_edu.modules import Attention, MaskDecoder, TwoWayTransformer

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
        projected: the base, projected by each of `Readers.scored` and by `Readers.value`; None without a base, where
            image tokens are stored.
    """

    base: Tensor | None
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

    Where each prompt set has an image of its own that is no gain. Then there is no scale, base or shift, the rows are
    the unit vectors, and each block stores the image tokens themselves as the coefficients. So it is after the last
    step of which the shared part is known.

    Args:
        steps: what this and the following steps need.
        scale: (batch, 1, image_tokens); None for 1.
        coefficients: (batch, rows, image_tokens); None for no row.
        rows: (batch, rows, dim); None for unit vectors, or for no row.
        shift: (dim); None for 0.
    """

    steps: list[Step]
    scale: Tensor | None
    coefficients: Tensor | None
    rows: Tensor | None
    shift: Tensor | None

    def scores(self, few: Heads, weight: Tensor, which: int) -> Scores:
        """Scores of tokens with image tokens, of which none is projected.

        A score is few_h . W_h (x + pe) = (W_h^T few_h) . x + few_h . W_h pe. Folding W_h onto the token happens once
        per token and head. To project P image tokens takes P x dim x internal_dim multiplications, a product with one
        row per token and head P x dim x rows: 128 against 56 in SAM with 7 tokens. Of shared image tokens the base
        takes P x head_dim x rows, as it is `projected` already, and the update P x 49 x rows.
        """
        _, encodings, projected = self.steps[0]
        parts = [] if projected is None else [per_head(few, projected[which])]
        if self.coefficients is not None:
            folded = fold(few, weight) if self.rows is None else fold(few, weight) @ self.rows.mT
            parts.append((folded @ self.coefficients).unflatten(1, few.shape[1:3]))
        scores = _sum(parts)
        if not encodings:
            return scores
        encoded = per_head(few, encodings[which])
        return encoded + scores if self.scale is None else torch.addcmul(encoded, self.scale.unsqueeze(1), scores)

    def gather(self, weights: Scores, linear: nn.Linear) -> Heads:
        """What each token and head gathers from the image, of which no token is projected.

        sum_x a_x (W_h x) = W_h (sum_x a_x x): gather first, project after. As the weights of a row sum to 1, bias and
        shift are added once.
        """
        projected, heads = self.steps[0].projected, weights.shape[1]
        weights = weights if self.scale is None else weights * self.scale.unsqueeze(1)
        parts = [] if projected is None else [per_head(weights, projected[-1].mT)]
        if self.coefficients is not None:
            update = weights.flatten(1, 2) @ self.coefficients.mT
            parts.append(unfold(update if self.rows is None else update @ self.rows, linear.weight, heads))
        bias = linear.bias if self.shift is None else F.linear(self.shift, linear.weight, linear.bias)
        return _sum(parts) + bias.view(heads, 1, -1)

    def add_and_norm(self, norm: nn.LayerNorm, weights: Scores, values: Heads) -> "ImageTokens":
        """The end of step (4): norm(x + sum_t a_t v_t).

        Shared image tokens are computed only for their standard deviation, and not stored. As the weights of a head sum
        to 1, sum_t a_t v_t = v_0 + sum_{t > 0} a_t (v_t - v_0): a row less for each head. All v_0 and the shift are
        one row.

        (A Gram matrix of base and rows would give the deviation with fewer operations. It saves 2 % of the time, and
        three digits are lost where what is added nearly cancels the base.)
        """
        base, size = self.steps[0].base, _tile(weights, values.shape[3])
        if base is None:
            tiles = low_rank_sum(
                self.coefficients.mT,  # type: ignore[union-attr]
                weights.flatten(1, 2),
                values.flatten(1, 2),
                size,
            )
            return _stored(self.steps[1:], torch.cat([norm(x) for x in tiles], dim=1))
        first = values[:, :, :1]
        shared = first.sum(1) if self.shift is None else first.sum(1) + self.shift
        rows = torch.cat([*self._rows(), (values[:, :, 1:] - first).flatten(1, 2), shared], dim=1)
        added = F.pad(weights[:, :, 1:].flatten(1, 2), (0, 0, 0, 1), value=1)
        added = added if self.scale is None else added / self.scale
        coefficients = added if self.coefficients is None else torch.cat([self.coefficients, added], dim=1)
        if self.steps[1].projected is None:
            # scale * x is stored. The norm does not see that the base is centred.
            tiles = low_rank_sum(base, coefficients, rows, size)
            if self.scale is not None:
                tiles = (x * s.mT for x, s in zip(tiles, self.scale.split(size, dim=2), strict=True))
            return _stored(self.steps[1:], torch.cat([norm(x) for x in tiles], dim=1))
        rows = rows - rows.mean(dim=2, keepdim=True)
        tiles = low_rank_sum(base, coefficients, rows, size)
        length = torch.cat([torch.linalg.vector_norm(x, dim=2) for x in tiles], dim=1).unsqueeze(1)
        eps = norm.eps if self.scale is None else norm.eps / self.scale.square()
        scale = (length.square() / rows.shape[2] + eps).rsqrt()
        return ImageTokens(self.steps[1:], scale, coefficients, rows * norm.weight, norm.bias)

    def _rows(self) -> list[Tensor]:
        return [] if self.rows is None else [self.rows]

    def doubled(self, weight: Tensor, bias: Tensor, size: int, batch: int) -> Iterator[Tensor]:
        """The tokens times weight^T plus bias, a few at a time; shared ones are never stored."""
        base, scale = self.steps[0].base, self.scale
        if base is None:  # stored, or all base before any block
            for x in self.coefficients.split(size, dim=2):  # type: ignore[union-attr]
                yield F.linear(x.mT, weight, bias)
            return
        if self.coefficients is None:
            for x in base.split(size, dim=1):
                yield (x + bias).unsqueeze(1).expand(-1, batch // len(base), -1, -1).flatten(0, 1)
            return
        shift = bias if self.shift is None else F.linear(self.shift, weight, bias)
        tiles = low_rank_sum(base, self.coefficients, F.linear(self.rows, weight), size)  # type: ignore[arg-type]
        for x, some in zip(tiles, scale.split(size, dim=2), strict=True):  # type: ignore[union-attr]
            yield torch.addcmul(shift, x, some.mT)


def begin(steps: list[Step], image: Float[Tensor, "groups dim image_tokens"]) -> ImageTokens:
    """The image tokens before the first block: all base, or all coefficients."""
    coefficients = image if steps[0].projected is None else None
    return ImageTokens(steps, None, coefficients, None, None)


def _stored(steps: list[Step], x: Float[Tensor, "batch image_tokens dim"]) -> ImageTokens:
    return ImageTokens(steps, None, x.mT, None, None)


def _sum(parts: list[Tensor]) -> Tensor:
    """The one part, or the sum of the two: image tokens are projected, held as a low-rank update, or both."""
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _tile(weights: Scores, dim: int) -> int:
    """How many image tokens of each prompt set are worked on at a time."""
    batch, _, _, image_tokens = weights.shape
    return _tile_of(weights, batch, image_tokens, dim)


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

    Masks, IoU predictions and gradients equal the decoder's up to rounding. `sam_edu.fast.plan` says which form of it
    is run on which device. There are no trace points: to look inside, trace the decoder itself.

    It computes what a `MaskDecoder` computes. One that was changed computes something else (with hooks, an open trace
    or intervention, an adapter or another layer in a layer's place, a subclass with a forward of its own): it is asked
    in every call (`sam_edu.fast.changes`) and then decodes by itself. So it does where nothing can be gained: no prompt
    set, positional encodings of each prompt set, very many tokens.

    Without autograd and autocast, what depends on weights and image alone is kept for the next call. It is used again
    only if these are still the same: on a processor if they have the same values, so that no change can leave it stale.
    Elsewhere a comparison would have to wait for the device. There they have to be the same tensors, unchanged as far
    as PyTorch counts changes; it counts those of optimisers and of `load_state_dict`, but not those written through
    `.data`. After such call `forget`, or set `recognition` to "nothing". Positional encodings that are the same tensor
    in every call are given by `dense_pe`. On a processor the first three calls with an image each prepare what the
    prompt sets share in one step of the decoder, so that none of them costs much.

    Args:
        decoder: the decoder whose parameters are used.
        budget: bytes for what is decoded at a time (`sam_edu.fast.plan.chunk`); None takes the device's own.

    Attributes:
        budget: as given; it can be set.
        recognition: how kept results are recognised: "values", "identity", "nothing" (`sam_edu.fast.kept`); None, at
            first, takes the device's own. It can be set.

    Raises:
        TypeError: not a `sam_edu.MaskDecoder` around a `sam_edu.TwoWayTransformer`.
        ValueError: a budget that is not above zero.
    """

    untraceable = "a FastMaskDecoder passes no trace point; trace the MaskDecoder that it was made from"

    def __init__(self, decoder: MaskDecoder, *, budget: int | None = None) -> None:
        super().__init__()
        for path, wanted in ("decoder", MaskDecoder), ("decoder.transformer", TwoWayTransformer):
            part = decoder if wanted is MaskDecoder else decoder.transformer
            if not isinstance(part, wanted):
                raise TypeError(f"{path}: expected a sam_edu.{wanted.__name__}, got {type(part).__name__}")
        if budget is not None and budget <= 0:
            raise ValueError(f"budget: expected a number of bytes above zero, or None, got {budget}")
        self.decoder: Any = decoder
        self.budget = budget
        self.recognition: plan.Recognition | None = None
        self._kept = Kept()
        self._watch = Watch()

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
        prompts (`dense_prompt_embeddings` of batch 1, or expanded from one).
        """
        inputs = (image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        return self.forward_with(None, *inputs, multimask_output)

    def forward_with(
        self,
        stacks: Stacks | None,
        image_embeddings: Float[Tensor, "images dim height width"],
        image_pe: Float[Tensor, "_ dim height width"],
        sparse_prompt_embeddings: Float[Tensor, "_ prompt_tokens dim"],
        dense_prompt_embeddings: Float[Tensor, "_ dim height width"],
        multimask_output: bool,
    ) -> Decoded:
        """`forward` with the products of weights that the fused form uses, `stack(decoder)`; None computes them."""
        inputs = (image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        batch = self.decoder.check_inputs(*inputs)
        if batch == 0 or len(image_pe) > 1 or self._change():
            return self.decoder(*inputs, multimask_output)
        dense = dense_prompt_embeddings[: 1 if dense_prompt_embeddings.stride(0) == 0 else batch]
        sparse = sparse_prompt_embeddings.expand(batch, -1, -1)
        sizes = self._sizes(max(len(image_embeddings), len(dense)), sparse, image_pe)
        form = self._form(image_embeddings, sizes)
        if form == "plain":
            return self.decoder(*inputs, multimask_output)
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        made_from = [image_embeddings, dense]
        return self._in_chunks(form, sizes, image_embeddings + dense, image_pe, sparse, chosen, made_from, stacks)

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

        Raises:
            ValueError: groups of different sizes, or a decoder whose own forward was changed, which only `forward` can
                hand over to.
        """
        if len(src) == 0 or len(sparse_prompt_embeddings) % len(src):
            raise ValueError(
                f"src: expected a number of groups that divides the {len(sparse_prompt_embeddings)} prompt sets,"
                f" got {len(src)}"
            )
        sizes = self._sizes(len(src), sparse_prompt_embeddings, image_pe)
        form, change = self._form(src, sizes), self._change()
        if change.startswith("the decoder "):
            raise ValueError(
                f"decoder: {change}, which decode() cannot take into account; call the fast decoder itself"
            )
        if change or form == "plain" or len(sparse_prompt_embeddings) == 0:
            return self._decode_plainly(src, image_pe, sparse_prompt_embeddings, chosen)
        return self._in_chunks(form, sizes, src, image_pe, sparse_prompt_embeddings, chosen, [src])

    def dense_pe(self, encoder: Any, dtype: torch.dtype) -> Float[Tensor, "1 dim height width"]:
        """A prompt encoder's `get_dense_pe` in a dtype, as the same tensor in every call as long as it is the same.

        `get_dense_pe` itself makes another tensor in every call. Where values are not compared, the decoder takes that
        for other encodings, and computes anew what it keeps. (`Predictor` uses this one.)
        """
        return dense_pe(self._kept, encoder, dtype, self._recognition)

    def forget(self) -> None:
        """Drop all that is kept, for instance after weights were changed through `.data` on a GPU."""
        self._kept.forget()

    @torch.compiler.assume_constant_result
    def _change(self) -> str:
        # A method, since `torch.compile` takes a module as an argument of such a function only since 2.12.
        return self._watch.change_of(self.decoder)

    def _sizes(self, groups: int, sparse: Tensor, image_pe: Tensor) -> plan.Sizes:
        decoder = self.decoder
        attention = decoder.transformer.final_attn_token_to_image
        tokens = 1 + decoder.num_mask_tokens + sparse.shape[1]
        sizes = (len(sparse) // groups, tokens, image_pe[0, 0].numel(), decoder.transformer_dim)
        return plan.Sizes(groups, *sizes, attention.num_heads, attention.internal_dim)

    def _form(self, image: Tensor, sizes: plan.Sizes) -> plan.Form:
        # Where results are kept, the first call with an image begins to prepare for the next.
        met = sizes.groups == 1 and self._recognition(image) != "nothing"
        return plan.form(image.device.type, sizes, met=met, grad=torch.is_grad_enabled())

    def _recognition(self, x: Tensor) -> plan.Recognition:
        if not _repeatable(x):
            return "nothing"
        return self.recognition or plan.recognition(x.device.type)

    def _decode_plainly(self, src: Tensor, image_pe: Tensor, sparse: Tokens, chosen: slice) -> Decoded:
        images = src.repeat_interleave(len(sparse) // len(src), dim=0) if len(src) > 1 else src
        masks, iou = self.decoder.predict_masks(images, image_pe, sparse, src.new_zeros(1, 1, 1, 1).expand_as(src[:1]))
        return masks[:, chosen], iou[:, chosen]

    def _in_chunks(
        self,
        form: plan.Form,
        sizes: plan.Sizes,
        src: Tensor,
        image_pe: Tensor,
        sparse: Tokens,
        chosen: slice,
        made_from: list[Tensor],
        stacks: Stacks | None = None,
    ) -> Decoded:
        """Decode all prompt sets, as many at a time as the plan says.

        `made_from` are the tensors that `src` was computed from, by which an image is recognised.
        """
        decoder, grid, batch = self.decoder, src.shape[2:], len(sparse)
        most = plan.chunk(src.device.type, sizes, src.element_size(), budget=self.budget)
        most = batch if torch.is_grad_enabled() else most
        output_tokens = [token.weight.expand(batch, -1, -1) for token in (decoder.iou_token, decoder.mask_tokens)]
        tokens = torch.cat([*output_tokens, sparse], dim=1)

        parts = []
        n = max(1, most // sizes.sets)  # groups at a time; of one that is too large, some prompt sets at a time
        for some_src, some_tokens in zip(src.split(n), tokens.split(n * sizes.sets), strict=True):
            known = made_from if len(src) == 1 else None
            decode = self._prepare(form, some_src, image_pe, sizes.sets, chosen, grid, known, stacks)
            parts += [decode(few) for few in some_tokens.split(most)]
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))  # type: ignore[return-value]

    def _prepare(
        self,
        form: plan.Form,
        src: Tensor,
        image_pe: Tensor,
        sets: int,
        chosen: slice,
        grid: torch.Size,
        made_from: list[Tensor] | None,
        stacks: Stacks | None,
    ) -> Callable[[Tensor], Decoded]:
        """Compute or find what prompt sets have in common; return the function that decodes their tokens."""
        if form == "fused":
            weights = self._stacks(src) if stacks is None else stacks
            return lambda few: decode_fused(self.decoder, weights, src, image_pe, few, chosen)
        steps = self._steps(src, self._encodings(image_pe), sets, made_from)
        return lambda few: self._decode(few, begin(steps, src.flatten(2)), chosen, grid)

    def _stacks(self, src: Tensor) -> Stacks:
        used = self._watch.stacked_parameters(self.decoder)
        return self._kept.get("stacks", used, lambda: stack(self.decoder), self._recognition(src))

    def _decode(self, tokens: Tensor, image: ImageTokens, chosen: slice, grid: torch.Size) -> Decoded:
        """Steps (1) to (8). After the last block only the IoU token and the chosen mask tokens are needed, so (6-1),
        (6-2) and the IoU head leave the others out."""
        decoder, transformer, queries = self.decoder, self.decoder.transformer, tokens
        for layer in transformer.layers:
            queries, image = _block(layer, queries, tokens, image)
        queries, tokens = (_needed(x, decoder.num_mask_tokens, chosen) for x in (queries, tokens))
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
        n, readers = self.decoder.transformer.final_attn_token_to_image.num_heads, _readers(self.decoder)
        used = [m for scored, value in readers for m in (*scored, value)]
        used += [*(layer.norm4 for layer in self.decoder.transformer.layers), self.decoder.output_upscaling[0]]

        def compute() -> list[list[Tensor]]:
            self._kept.forget("image")  # it was computed with the encodings and the weights before
            x = image_pe.flatten(2).mT
            # Without the keys' biases: they add the same to every score of a query and cancel, and as rounding leaves
            # a trace of a gradient, an optimiser would let them wander.
            return [[project(x, y.weight, n) + i * y.bias.view(n, -1, 1) for i, y in enumerate(r)] for r, _ in readers]

        return self._keep("encodings", [image_pe, *(p for m in used for p in m.parameters())], compute)

    def _steps(
        self, src: Tensor, encodings: list[list[Tensor]], sets: int, made_from: list[Tensor] | None
    ) -> list[Step]:
        """What each step needs to use the image tokens.

        What prompt sets have in common is computed (`share`) where there are several to an image. Where there is one,
        others may follow with the same image, in calls of their own. Each of the first calls prepares one step. So it
        costs less than Meta's decoder, and less than the call before; in the steps that are not prepared yet, image
        tokens are stored.
        """
        stored = [Step(None, encoding, None) for encoding in encodings]
        if sets == 1 and (made_from is None or self._recognition(src) == "nothing"):
            return stored
        shared = None
        if made_from is not None:
            values = [src] if self._recognition(src) == "values" else made_from
            shared = self._keep("image", values, lambda: [_begin_sharing(src)])
        known = _begin_sharing(src) if shared is None else shared[0]
        for _ in range(len(stored) if sets > 1 else 1):
            known = share(self.decoder, encodings, known)
        if shared is not None:
            shared[0] = known
        return [*known.steps, *stored[len(known.steps) :]]

    def _keep(self, name: str, inputs: Sequence[Tensor], compute: Callable[[], Any]) -> Any:
        """`compute()`, or its last result if it is known that it would be the same (`sam_edu.fast.kept`)."""
        return self._kept.get(name, inputs, compute, self._recognition(inputs[0]))


def _repeatable(x: Tensor) -> bool:
    """Whether results may be kept and used again: neither autograd, nor a precision that changes by the call, nor a
    recording of what is computed."""
    autocast = any(map(torch.is_autocast_enabled, {"cpu", x.device.type} & {"cpu", "cuda"}))
    if torch.is_grad_enabled() or autocast or torch.compiler.is_compiling():
        return False
    return x.device.type != "cuda" or not torch.cuda.is_current_stream_capturing()


def _tile_of(x: Tensor, batch: int, image_tokens: int, dim: int) -> int:
    """How many image tokens of each prompt set are worked on at a time: all where memory cannot be used again."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return image_tokens
    return plan.tile(x.device.type, batch, image_tokens, dim, x.element_size())


def _needed(x: Tokens, masks: int, chosen: slice) -> Float[Tensor, "batch needed dim"]:
    """The IoU token and the chosen mask tokens. (An index would be copied to the device, which no graph records.)"""
    return torch.cat([x[:, :1], x[:, 1 : 1 + masks][:, chosen]], dim=1)


class Shared(NamedTuple):
    """The steps whose shared part is known, and the base and shift that the next one begins with."""

    steps: list[Step]
    base: Tensor
    shift: Tensor


def _begin_sharing(src: Float[Tensor, "groups dim height width"]) -> Shared:
    base = src.flatten(2).mT.contiguous()
    return Shared([], base, base.new_zeros(base.shape[2]))


def share(decoder: Any, encodings: list[list[Tensor]], known: Shared) -> Shared:
    """Prepare one more step; nothing is left to do where all are known.

    A norm takes the mean, divides, multiplies by a gain g and adds a shift. All but the division are linear maps that
    depend on the model alone: they turn the shared part of the tokens, base, into centre(base) g, the same for
    all prompt sets; so are its projections, and the first transposed convolution of it. The division by a
    number for each image token and prompt set is left to `ImageTokens.scale`. And W (x + shift) = W x + W shift: to
    keys and queries the shift is one more positional encoding.
    """
    layers, number = list(decoder.transformer.layers), len(known.steps)
    if number > len(layers):
        return known
    heads, base, shift = decoder.transformer.final_attn_token_to_image.num_heads, known.base, known.shift
    scored, value = _readers(decoder)[number]
    projected = [project(base, linear.weight, heads) for linear in (*scored, value)]
    if number == 0:  # as long as the scale is 1, the encodings are added here, for all
        shifted, projected[:-1] = [], map(torch.add, projected, encodings[0])
    else:
        pairs = zip(encodings[number], scored, strict=True)
        shifted = [e + (linear.weight @ shift).view(heads, -1, 1) for e, linear in pairs]
    if number < len(layers):
        base = base - base.mean(dim=2, keepdim=True)
        norm = layers[number].norm4
        step = Step(base, shifted, projected)
        return Shared([*known.steps, step], base * norm.weight, norm.bias)
    step = Step(F.linear(base, doubling(decoder.output_upscaling[0])[0]), shifted, projected)
    return Shared([*known.steps, step], base[:, :0], shift)


def _readers(decoder: Any) -> list[Readers]:
    final = decoder.transformer.final_attn_token_to_image
    return [*map(_readers_of_block, decoder.transformer.layers), Readers([final.k_proj], final.v_proj)]


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
    the tokens has the image tokens as its last axis. Over a last axis of 7 it takes twenty times longer on a processor:
    PyTorch's kernel falls back to one number at a time for rows of fewer than 16. (The layout itself is not to blame:
    maximum, exponential, sum and division one after the other are nearly as fast over a last axis of 7 as here.)
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
    layers: list[Any] = list(upscaling)
    first, norm, act1, second, act2 = layers[:5]
    halves = list(zip(*(x.chunk(2) for x in doubling(second)), strict=True))
    strips: list[Tensor] = []
    rows = max(1, _tile_of(hyper_in, len(hyper_in), grid.numel(), first.in_channels) // grid[1])
    for tile in image.doubled(*doubling(first), rows * grid[1], len(hyper_in)):
        x = tile.unflatten(1, (-1, grid[1])).unflatten(-1, (2, 2, -1))
        x = act1(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
        x = x.transpose(2, 3).flatten(1, 4)  # (batch, y, x, dy, dx, channels) -> (batch, y dy x dx, channels)
        painted = [(act2(F.linear(x, *half)).view(len(x), -1, hyper_in.shape[2]) @ hyper_in.mT).mT for half in halves]
        strips.append(torch.stack([p.unflatten(2, (-1, 4 * grid[1])) for p in painted], dim=3).flatten(2, 3))
    return torch.cat(strips, dim=2)
