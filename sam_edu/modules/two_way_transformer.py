"""TwoWayAttentionBlock and TwoWayTransformer: self-attention of tokens and cross-attention with image tokens."""

from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.attention import Attention
from sam_edu.modules.checks import check_batches, check_shape
from sam_edu.modules.mlp import MLPBlock
from sam_edu.modules.trace_point import TracePoint

# "#": a batch of 1 broadcasts to all prompt sets.
Tokens = Float[Tensor, "#batch tokens dim"]
ImageTokens = Float[Tensor, "#batch image_tokens dim"]
FeatureMap = Float[Tensor, "#batch dim height width"]


class TwoWayAttentionBlock(nn.Module):
    """One decoder layer: self-attention, cross-attention to the image, MLP, cross-attention from the image.

    Steps (1) to (4). After each step the result is added to its input, then normalised (post-norm, eps 1e-5). The
    positional encodings are added again before every attention, to queries and keys, never to values. The exception is
    step (1) of a block with `skip_first_layer_pe`.

    Args:
        embedding_dim: width of tokens and image tokens.
        num_heads: heads of each attention.
        mlp_dim: inner width of the MLP.
        activation: class of the MLP's activation.
        attention_downsample_rate: `downsample_rate` of the two cross-attentions.
        skip_first_layer_pe: in step (1) leave out the positional encoding, and the residual too. SAM sets it in block
            0, where the queries still equal their positional encodings.

    Source: `segment_anything/modeling/transformer.py`; paper, appendix A and figure 14.
    """

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int = 2048,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
        skip_first_layer_pe: bool = False,
    ) -> None:
        super().__init__()
        self.self_attn = Attention(embedding_dim, num_heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = Attention(embedding_dim, num_heads, attention_downsample_rate)
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim, mlp_dim, activation)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = Attention(embedding_dim, num_heads, attention_downsample_rate)
        self.skip_first_layer_pe = skip_first_layer_pe

        self.queries_1 = TracePoint("batch tokens dim")
        self.queries_2 = TracePoint("batch tokens dim")
        self.queries_3 = TracePoint("batch tokens dim")
        self.keys_4 = TracePoint("batch image_tokens dim")

    def forward(
        self, queries: Tokens, keys: ImageTokens, query_pe: Tokens, key_pe: ImageTokens
    ) -> tuple[Tokens, ImageTokens]:
        """Update tokens and image tokens once.

        Args:
            queries: the tokens.
            keys: the image tokens.
            query_pe: the positional encodings of the tokens: in SAM the tokens before the first block.
            key_pe: the positional encodings of the image tokens.

        Returns:
            queries and keys, updated.

        Raises:
            ValueError: widths, lengths or batches that do not fit together.
        """
        dim = self.self_attn.embedding_dim
        check_shape("queries", queries, ("batch", "tokens", dim))
        check_shape("keys", keys, ("batch", "image_tokens", dim))
        check_shape("query_pe", query_pe, ("batch", queries.shape[1], dim))
        check_shape("key_pe", key_pe, ("batch", keys.shape[1], dim))
        check_batches(queries=queries.shape[0], keys=keys.shape[0], query_pe=query_pe.shape[0], key_pe=key_pe.shape[0])

        # Step (1): self-attention among tokens.
        q = queries if self.skip_first_layer_pe else queries + query_pe
        attended = self.self_attn(q=q, k=q, v=queries)
        queries = self.queries_1(self.norm1(attended if self.skip_first_layer_pe else queries + attended))

        # Step (2): cross-attention, the tokens attend to the image.
        attended = self.cross_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys)
        queries = self.queries_2(self.norm2(queries + attended))

        # Step (3): the MLP, at each token on its own.
        queries = self.queries_3(self.norm3(queries + self.mlp(queries)))

        # Step (4): cross-attention, the image tokens attend to the tokens; queries and keys are exchanged.
        attended = self.cross_attn_image_to_token(q=keys + key_pe, k=queries + query_pe, v=queries)
        return queries, self.keys_4(self.norm4(keys + attended))


class TwoWayTransformer(nn.Module):
    """SAM's two-way transformer: blocks of steps (1) to (4), then a last cross-attention from tokens to image (6-1).

    Args:
        depth: number of blocks, 2 in SAM.
        embedding_dim: width of tokens and image tokens, 256 in SAM.
        num_heads: heads of each attention, 8 in SAM.
        mlp_dim: inner width of the MLP of each block, 2048 in SAM.
        activation: class of the activation in the MLPs.
        attention_downsample_rate: `downsample_rate` of the cross-attentions.

    Source: `segment_anything/modeling/transformer.py`; paper, appendix A and figure 14.
    """

    def __init__(
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
    ) -> None:
        super().__init__()
        self.depth, self.embedding_dim = depth, embedding_dim
        self.num_heads, self.mlp_dim = num_heads, mlp_dim
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim, num_heads, mlp_dim, activation, attention_downsample_rate, skip_first_layer_pe=(i == 0)
            )
            for i in range(depth)
        )
        self.final_attn_token_to_image = Attention(embedding_dim, num_heads, attention_downsample_rate)
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(
        self, image_embedding: FeatureMap, image_pe: FeatureMap, point_embedding: Tokens
    ) -> tuple[Tokens, ImageTokens]:
        """Update tokens and image tokens in each block, then the tokens once more.

        Args:
            image_embedding: the image tokens as a feature map.
            image_pe: their positional encodings.
            point_embedding: the tokens. They are their own positional encodings.

        Returns:
            the tokens and the image tokens (image_tokens = height * width), both updated. The last cross-attention
            (6-1) changes the tokens alone, so that upscaling (5) does not depend on it.

        Raises:
            ValueError: widths, grids or batches that do not fit together.
        """
        dim = self.embedding_dim
        check_shape("image_embedding", image_embedding, ("batch", dim, "height", "width"))
        height, width = image_embedding.shape[2:]
        check_shape("image_pe", image_pe, ("batch", dim, height, width))
        check_shape("point_embedding", point_embedding, ("batch", "tokens", dim))

        # (batch, dim, height, width) -> (batch, image_tokens, dim): each grid position becomes an image token
        keys, key_pe = (x.flatten(2).transpose(1, 2) for x in (image_embedding, image_pe))
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries=queries, keys=keys, query_pe=point_embedding, key_pe=key_pe)

        # Step (6-1): the last cross-attention, the tokens attend to the image.
        attended = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + attended), keys
