"""Solutions of the exercises of notebook 10. Try first."""

import math

import torch
from torch import Tensor

from sam_edu.modules import Attention

COSTS: dict[str, int | tuple[int, ...]] = {
    "a": (56, 256),
    "b": 134_217_728,
    "c": 58_720_256,
    "d": 16,
    "e": 196_608,
    "f": (8, 448, 4096),
    "g": 917_504,
    "h": 1024,
}


def read(attention: Attention, q: Tensor, keys: Tensor, encodings: Tensor) -> Tensor:
    """Step (2) with both foldings, for any number of prompt sets of one image."""
    heads = attention.num_heads
    k_weight, v_weight = (linear.weight.unflatten(0, (heads, -1)) for linear in (attention.k_proj, attention.v_proj))
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
    queries = queries / math.sqrt(queries.shape[-1])
    folded = queries @ k_weight  # (sets, heads, tokens, dim)
    scores = folded @ keys[0].T + queries @ encodings
    gathered = torch.softmax(scores, dim=-1) @ keys[0]
    values = (gathered @ v_weight.mT).transpose(1, 2).flatten(2)
    return attention.out_proj(values + attention.v_proj.bias)


def only_best(scores: Tensor, keep: int) -> Tensor:
    """The `keep` largest scores of each row; the others become minus infinity."""
    best = scores.topk(keep, dim=-1)
    return torch.full_like(scores, -math.inf).scatter(-1, best.indices, best.values)
