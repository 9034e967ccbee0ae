"""Attention: multi-head scaled dot-product attention."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.checks import check_batches, check_shape
from sam_edu.modules.trace_point import TracePoint

# "#": a batch of 1 broadcasts to all prompt sets.
Queries = Float[Tensor, "#batch queries dim"]
Keys = Float[Tensor, "#batch keys dim"]


class Attention(nn.Module):
    """Multi-head scaled dot-product attention with an inner width that can be smaller than the outer.

    Steps (1), (2), (4) and (6-1). Queries, keys and values have a projection each, because queries and keys can come
    from different sequences. In SAM there are 8 heads. The self-attention (1) has the inner width 256, which is 32 per
    head. The cross-attentions between tokens and image (2), (4), (6-1) have 128, which is 16 per head
    (`downsample_rate=2`).

    Args:
        embedding_dim: width of the inputs and of the output.
        num_heads: number of heads; must divide the internal width.
        downsample_rate: the internal width is `embedding_dim // downsample_rate`.

    Raises:
        ValueError: `num_heads` does not divide the internal width.

    Source: `segment_anything/modeling/transformer.py`; paper, appendix A ("Lightweight mask decoder").
    """

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        self.embedding_dim, self.num_heads = embedding_dim, num_heads
        self.internal_dim = embedding_dim // downsample_rate
        if self.internal_dim % num_heads != 0:
            raise ValueError(f"num_heads: must divide the internal width, {self.internal_dim}, got {num_heads}")
        self.q_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.k_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.v_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.out_proj = nn.Linear(self.internal_dim, embedding_dim)

        self.q = TracePoint("batch heads queries head_dim")
        self.k = TracePoint("batch heads keys head_dim")
        self.v = TracePoint("batch heads keys head_dim")
        self.scores = TracePoint("batch heads queries keys")
        self.weights = TracePoint("batch heads queries keys")
        self.heads = TracePoint("batch heads queries head_dim")
        self.out = TracePoint("batch queries dim")

    def forward(self, q: Queries, k: Keys, v: Keys) -> Queries:
        """Attend from `q` to `k`: for each query a weighted sum of `v`.

        Args:
            q: queries.
            k: keys.
            v: values, as many as keys.

        Returns:
            one vector per query. An input of batch 1 broadcasts to the whole batch.

        Raises:
            ValueError: a width that is not `embedding_dim`, batches that do not fit, or other than one value per key.
        """
        check_shape("q", q, ("batch", "queries", self.embedding_dim))
        check_shape("k", k, ("batch", "keys", self.embedding_dim))
        check_shape("v", v, ("batch", k.shape[1], self.embedding_dim))
        check_batches(q=q.shape[0], k=k.shape[0], v=v.shape[0])

        qh = self.q(self._separate_heads(self.q_proj(q)))
        kh = self.k(self._separate_heads(self.k_proj(k)))
        vh = self.v(self._separate_heads(self.v_proj(v)))

        scores = self.scores(qh @ kh.transpose(-2, -1) / math.sqrt(qh.shape[-1]))
        weights = self.weights(torch.softmax(scores, dim=-1))  # each query's weights over the keys sum to 1
        heads = self.heads(weights @ vh)
        # (batch, heads, queries, head_dim) -> (batch, queries, heads * head_dim)
        return self.out(self.out_proj(heads.transpose(1, 2).flatten(2)))

    def _separate_heads(self, x: Tensor) -> Tensor:
        # (batch, length, heads * head_dim) -> (batch, heads, length, head_dim)
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
