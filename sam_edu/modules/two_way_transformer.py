"""TwoWayAttentionBlock and TwoWayTransformer: tokens and image tokens read each other."""

from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.attention import Attention
from sam_edu.modules.checks import check_batches, check_shape
from sam_edu.modules.mlp import MLPBlock
from sam_edu.modules.trace_point import TracePoint

# What the two classes hand to each other. "#": a batch of 1 serves all prompt sets.
Tokens = Float[Tensor, "#batch tokens dim"]
Pixels = Float[Tensor, "#batch pixels dim"]
Picture = Float[Tensor, "#batch dim height width"]


class TwoWayAttentionBlock(nn.Module):
    """Steps (1) to (4): self-attention, tokens to image, MLP, image to tokens.

    After each step the result is added to what was there, then normalised (post-norm, eps 1e-5). The positional codes
    are added again before every attention but step (1) of a block with `skip_first_layer_pe`, to queries and keys,
    never to values.

    Args:
        embedding_dim: width of tokens and image tokens.
        num_heads: heads of each attention.
        mlp_dim: inner width of the MLP.
        activation: class of the MLP's activation.
        attention_downsample_rate: of the two cross-attentions.
        skip_first_layer_pe: in step (1) leave out the positional code, and with it the residual. SAM sets it in block
            0, where the queries still equal their codes.

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
        self.keys_4 = TracePoint("batch pixels dim")

    def forward(self, queries: Tokens, keys: Pixels, query_pe: Tokens, key_pe: Pixels) -> tuple[Tokens, Pixels]:
        """Update tokens and image tokens once.

        Args:
            queries: the tokens.
            keys: the image tokens.
            query_pe: the tokens' positional codes: in SAM the tokens as they first came in.
            key_pe: the image tokens' positional codes.

        Returns:
            queries and keys, updated.

        Raises:
            ValueError: widths, lengths or batches that do not fit together.
        """
        dim = self.self_attn.embedding_dim
        check_shape("queries", queries, ("batch", "tokens", dim))
        check_shape("keys", keys, ("batch", "pixels", dim))
        check_shape("query_pe", query_pe, ("batch", queries.shape[1], dim))
        check_shape("key_pe", key_pe, ("batch", keys.shape[1], dim))
        check_batches(queries=queries.shape[0], keys=keys.shape[0], query_pe=query_pe.shape[0], key_pe=key_pe.shape[0])

        # Step (1): the tokens read each other.
        q = queries if self.skip_first_layer_pe else queries + query_pe
        attended = self.self_attn(q=q, k=q, v=queries)
        queries = self.queries_1(self.norm1(attended if self.skip_first_layer_pe else queries + attended))

        # Step (2): the tokens read the image.
        attended = self.cross_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys)
        queries = self.queries_2(self.norm2(queries + attended))

        # Step (3): each token thinks for itself.
        queries = self.queries_3(self.norm3(queries + self.mlp(queries)))

        # Step (4): the image reads the tokens; queries and keys change places.
        attended = self.cross_attn_image_to_token(q=keys + key_pe, k=queries + query_pe, v=queries)
        return queries, self.keys_4(self.norm4(keys + attended))


class TwoWayTransformer(nn.Module):
    """Blocks of steps (1) to (4), then a last look of the tokens at the image: step (6-1).

    Args:
        depth: number of blocks, 2 in SAM.
        embedding_dim: width of tokens and image tokens, 256 in SAM.
        num_heads: heads of each attention, 8 in SAM.
        mlp_dim: inner width of each block's MLP, 2048 in SAM.
        activation: class of the MLPs' activation.
        attention_downsample_rate: of the cross-attentions.

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

    def forward(self, image_embedding: Picture, image_pe: Picture, point_embedding: Tokens) -> tuple[Tokens, Pixels]:
        """Let the tokens and the image read each other, `depth` times.

        Args:
            image_embedding: the image tokens, as a picture.
            image_pe: their positional codes.
            point_embedding: the tokens. They serve as their own positional codes.

        Returns:
            the tokens and the image tokens (pixels = height * width), both updated. The tokens' last look (6-1)
            changes the tokens alone, so that upscaling (5) does not depend on it.

        Raises:
            ValueError: widths, grids or batches that do not fit together.
        """
        dim = self.embedding_dim
        check_shape("image_embedding", image_embedding, ("batch", dim, "height", "width"))
        check_shape("image_pe", image_pe, ("batch", dim, *image_embedding.shape[2:]))
        check_shape("point_embedding", point_embedding, ("batch", "tokens", dim))

        # (batch, dim, height, width) -> (batch, pixels, dim): a grid cell becomes an image token
        keys, key_pe = (x.flatten(2).transpose(1, 2) for x in (image_embedding, image_pe))
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries=queries, keys=keys, query_pe=point_embedding, key_pe=key_pe)

        # Step (6-1): the tokens read the image one last time.
        attended = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + attended), keys
