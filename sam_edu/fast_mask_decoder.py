"""FastMaskDecoder: the same masks as `MaskDecoder`, with far less work on the image side.

A prompt set has about 7 tokens, an image 4096. Meta's decoder projects all 4096 for those few queries, and copies the
image once per prompt set. Here the projections are moved to the side of the tokens, which changes nothing but the order
of the products, and what the prompt sets of one image share is computed once.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.modules import Attention, MaskDecoder, TwoWayAttentionBlock, TwoWayTransformer


class FastMaskDecoder(nn.Module):
    """A faster forward pass over the parameters of a `MaskDecoder`, which it shares and does not copy.

    Masks, IoU predictions and gradients equal the decoder's up to rounding. There are no trace points: to look inside,
    trace the decoder itself.

    Args:
        decoder: the decoder whose parameters are used.

    Raises:
        TypeError: not a `sam_edu.MaskDecoder` around a `sam_edu.TwoWayTransformer`.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        if not isinstance(decoder, MaskDecoder):
            raise TypeError(f"decoder: expected a sam_edu.MaskDecoder, got {type(decoder).__name__}")
        if not isinstance(decoder.transformer, TwoWayTransformer):
            raise TypeError(
                f"decoder.transformer: expected a sam_edu.TwoWayTransformer, got {type(decoder.transformer).__name__}"
            )
        self.decoder = decoder

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
        decoder = self.decoder
        batch = decoder._check(image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        if batch == 0:  # nothing to make fast
            return decoder(
                image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, multimask_output
            )
        if dense_prompt_embeddings.stride(0) == 0:
            dense_prompt_embeddings = dense_prompt_embeddings[:1]
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        src = image_embeddings + dense_prompt_embeddings
        if image_pe.shape[0] > 1:  # the image side is no longer the same for all
            src = src.expand(batch, -1, -1, -1)
        return self.decode(src, image_pe, sparse_prompt_embeddings.expand(batch, -1, -1), chosen)

    def decode(
        self,
        src: Float[Tensor, "groups dim height width"],
        image_pe: Float[Tensor, "_ dim height width"],
        sparse_prompt_embeddings: Float[Tensor, "batch prompt_tokens dim"],
        chosen: slice,
    ) -> tuple[Float[Tensor, "batch masks 4*height 4*width"], Float[Tensor, "batch masks"]]:
        """Decode groups of prompt sets that share a picture.

        Args:
            src: per group the image embedding plus dense prompt. Prompt set i belongs to group
                i // (batch // groups).
            image_pe: the grid's positional codes, of batch 1 or one per group.
            sparse_prompt_embeddings: the prompt tokens.
            chosen: which of the mask tokens' masks to draw.

        Returns:
            mask logits and IoU predictions of the chosen masks.
        """
        decoder = self.decoder
        height, width = src.shape[2:]
        batch = sparse_prompt_embeddings.shape[0]
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(batch, -1, -1), sparse_prompt_embeddings], dim=1)

        keys = src.flatten(2).transpose(1, 2).contiguous()
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries, keys = _transform(decoder.transformer, keys, key_pe, tokens)  # type: ignore[arg-type]

        mask_tokens = range(1, 1 + decoder.num_mask_tokens)[chosen]
        mlps = list(decoder.output_hypernetworks_mlps)[chosen]
        hyper_in = torch.stack([mlp(queries[:, i]) for mlp, i in zip(mlps, mask_tokens, strict=True)], dim=1)
        masks = _upscale_and_multiply(decoder.output_upscaling, keys, hyper_in, height, width)
        return masks, decoder.iou_prediction_head(queries[:, 0])[:, chosen]


def _transform(transformer: TwoWayTransformer, keys: Tensor, key_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Steps (1) to (4) in each block and (6-1): `keys` (groups, pixels, dim), `tokens` (batch, tokens, dim)."""
    queries = tokens
    placed = keys + key_pe
    for layer in transformer.layers:
        queries, keys = _block(layer, queries, keys, placed, tokens)  # type: ignore[arg-type]
        placed = keys + key_pe
    attended = tokens_to_image(transformer.final_attn_token_to_image, queries + tokens, placed, keys)
    return transformer.norm_final_attn(queries + attended), keys


def _block(
    layer: TwoWayAttentionBlock, queries: Tensor, keys: Tensor, placed: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """One two-way block; `placed` is keys + key_pe, which steps (2) and (4) have in common."""
    if layer.skip_first_layer_pe:
        queries = layer.self_attn(q=queries, k=queries, v=queries)
    else:
        q = queries + tokens
        queries = queries + layer.self_attn(q=q, k=q, v=queries)
    queries = layer.norm1(queries)
    queries = layer.norm2(queries + tokens_to_image(layer.cross_attn_token_to_image, queries + tokens, placed, keys))
    queries = layer.norm3(queries + layer.mlp(queries))
    keys = layer.norm4(image_to_tokens(layer.cross_attn_image_to_token, keys, placed, queries + tokens, queries))
    return queries, keys


def tokens_to_image(
    attention: Attention,
    q: Float[Tensor, "batch tokens dim"],
    placed: Float[Tensor, "groups pixels dim"],
    keys: Float[Tensor, "groups pixels dim"],
) -> Float[Tensor, "batch tokens dim"]:
    """Steps (2) and (6-1) without projecting a single image token.

    A score is q_h . (W_k,h x + b_k,h). The first part is (q_h W_k,h) . x: fold W_k onto the query, once per token and
    head, and multiply with the image tokens as they are. The second is the same for every key of a query, so it cancels
    in the softmax. The output is sum_x a_x (W_v,h x + b_v,h) = W_v,h (sum_x a_x x) + b_v,h, as the weights sum to 1:
    gather first, project after.

    Args:
        attention: whose weights to use.
        q: queries, positional code included.
        placed: image tokens plus their positional codes.
        keys: image tokens, which are the values.

    Returns:
        what each token gathered, after the output projection.
    """
    batch, length, dim = q.shape
    heads, groups = attention.num_heads, keys.shape[0]
    w_k = attention.k_proj.weight.unflatten(0, (heads, -1))
    w_v = attention.v_proj.weight.unflatten(0, (heads, -1))
    qh = attention.q_proj(q).unflatten(2, (heads, -1))
    folded = torch.einsum("bthd,hdc->bhtc", qh / math.sqrt(qh.shape[-1]), w_k)
    # (batch, heads, tokens, dim) -> (groups, rows, dim): the prompt sets of a group lie side by side as rows
    scores = folded.reshape(groups, -1, dim) @ placed.transpose(1, 2)
    gathered = (torch.softmax(scores, dim=-1) @ keys).view(batch, heads, length, dim)
    values = torch.einsum("bhtc,hdc->bthd", gathered, w_v).flatten(2) + attention.v_proj.bias
    return attention.out_proj(values)


def image_to_tokens(
    attention: Attention,
    keys: Float[Tensor, "groups pixels dim"],
    placed: Float[Tensor, "groups pixels dim"],
    k: Float[Tensor, "batch tokens dim"],
    v: Float[Tensor, "batch tokens dim"],
) -> Float[Tensor, "batch pixels dim"]:
    """Step (4) and its residual without projecting a single image token.

    A score is (W_q,h x + b_q,h) . k_h = x . (W_q,h^T k_h) + b_q,h . k_h: fold W_q onto the keys, here the few tokens.
    The output is sum_t a_t W_o,h v_t,h + b_o: fold W_o onto the values. The softmax over the few tokens is laid out
    with the pixels as the last axis, along which the processor can work on many at a time.

    Args:
        attention: whose weights to use.
        keys: image tokens, to which the result is added.
        placed: image tokens plus their positional codes: the queries.
        k: tokens plus their positional codes.
        v: tokens.

    Returns:
        the image tokens of every prompt set plus what they gathered, not yet normalised.
    """
    batch, length, dim = k.shape
    heads, (groups, pixels, _) = attention.num_heads, keys.shape
    w_q = attention.q_proj.weight.unflatten(0, (heads, -1))
    b_q = attention.q_proj.bias.unflatten(0, (heads, -1))
    w_o = attention.out_proj.weight.unflatten(1, (heads, -1))
    kh = attention.k_proj(k).unflatten(2, (heads, -1))
    kh = kh / math.sqrt(kh.shape[-1])
    vh = attention.v_proj(v).unflatten(2, (heads, -1))
    folded = torch.einsum("bthd,hdc->bhtc", kh, w_q).reshape(groups, -1, dim)
    offset = torch.einsum("bthd,hd->bht", kh, b_q).reshape(groups, -1, 1)
    scores = folded @ placed.transpose(1, 2) + offset
    weights = torch.softmax(scores.view(batch, heads, length, pixels), dim=2).view(batch, -1, pixels)
    # The weights of a head sum to 1, so b_o can ride on the values: a share of it on those of each head.
    values = torch.einsum("bthd,chd->bhtc", vh, w_o) + attention.out_proj.bias / heads
    gathered = (weights.transpose(1, 2) @ values.reshape(batch, -1, dim)).view(groups, -1, pixels, dim)
    return (keys.unsqueeze(1) + gathered).view(batch, pixels, dim)


def _upscale_and_multiply(
    upscaling: nn.Sequential, keys: Tensor, hyper_in: Tensor, height: int, width: int
) -> Float[Tensor, "batch masks {4*height} {4*width}"]:
    """Steps (5) and (6-3) as three matrix products and one final shuffle of the masks.

    A transposed convolution with kernel 2 and stride 2 turns each place into 2 x 2 new ones, each by a matrix of its
    own, and no two overlap: it is one linear layer to 4 x channels. Channels stay last, which makes the layer norm a
    plain one, and the pixels are put in their places after the product, when 32 channels have become a few masks.
    """
    first, norm, act1, second, act2 = list(upscaling)[:5]
    weight, bias = norm.get_parameter("weight"), norm.get_parameter("bias")
    x = act1(F.layer_norm(_double(first, keys), tuple(weight.shape), weight, bias, norm.eps))  # type: ignore[arg-type]
    x = act2(_double(second, x)).flatten(1, 3)  # (batch, pixels * 16, channels)
    masks = hyper_in @ x.transpose(1, 2)
    grid = masks.view(*masks.shape[:2], height, width, 2, 2, 2, 2)
    # (batch, masks, y, x, dy, dx, dy', dx') -> (batch, masks, y dy dy', x dx dx')
    return grid.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*masks.shape[:2], 4 * height, 4 * width)


def _double(conv: nn.Module, x: Tensor) -> Tensor:
    """A transposed convolution of kernel and stride 2 on channels-last places: (..., dim) -> (..., 4, channels)."""
    weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
    # (dim, channels, dy, dx) -> (dy dx channels, dim)
    matrix = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])
    return F.linear(x, matrix, bias.repeat(4)).unflatten(-1, (4, -1))
