"""Floating point operations (FLOPs), counted by hand; a multiplication and an addition are 2. Kernels and bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sam_edu.fast import plan

GRID, PROMPT_TOKENS = 64, 2


@dataclass(frozen=True)
class Sizes:
    """A decoder's sizes; SAM's by default."""

    dim: int = 256
    inner: int = 128
    heads: int = 8
    mlp: int = 2048
    depth: int = 2
    iou_hidden: int = 256
    masks: int = 4


SAM = Sizes()


@dataclass(frozen=True)
class Case:
    """A decoding task. `images`: one for all prompt sets, or one each. `dense`: one mask prompt for each prompt set."""

    name: str
    batch: int
    tokens: int = PROMPT_TOKENS
    grid: int = GRID
    multimask: bool = True
    dense: bool = False
    images: int = 1
    fresh: bool = False  # another image in every call, so that nothing kept can be used again


def plain_flops(case: Case, s: Sizes = SAM) -> int:
    """FLOPs of Meta's decoder and ours: the same per prompt set, shared image or not."""
    image_tokens, n = case.grid**2, 1 + s.masks + case.tokens
    cross = 2 * n * s.dim * s.inner + 2 * image_tokens * s.dim * s.inner + 2 * n * image_tokens * s.inner
    token_side = s.depth * _self_attention_and_mlp(n, s)
    image_side = (2 * s.depth + 1) * cross
    return 2 * case.batch * (token_side + image_side + _upscaling(image_tokens, s) + _heads(image_tokens, s.masks, s))


def fast_flops(case: Case, s: Sizes = SAM, call: int | None = None) -> int:
    """FLOPs of the fast decoder on a processor.

    Args:
        case: the task. With several images, or a mask prompt for each of several prompt sets, image tokens are stored.
        s: the decoder's sizes.
        call: 1 for the first call with an image, 2 for the second, and so on; None for later ones, when all that is
            kept is there. The positional encodings are taken to be known: they are the same for every image.
    """
    image_tokens, n, chosen = case.grid**2, 1 + s.masks + case.tokens, s.masks - 1 if case.multimask else 1
    one_image = case.batch == 1 or (not case.dense and case.images == 1)
    groups, sets = (1, case.batch) if one_image else (case.batch, 1)
    planned = plan.Sizes(groups, sets, n, image_tokens, s.dim, s.heads, s.inner)
    if plan.form("cpu", planned, met=one_image) == "plain":
        return plain_flops(case, s)
    number = s.depth + 1  # of the steps that use the image tokens: the blocks, and the end
    each = 1 if sets == 1 else number  # steps that a call prepares
    known = 0 if not one_image else number if call is None else min(number, call * each)
    prepared = 0 if not one_image or call is None else max(0, known - (call - 1) * each)
    meet = image_tokens * s.inner  # one token with the projected image tokens or positional encodings, all heads
    more = s.heads * (n - 1) + 1  # rows that a block adds to the low-rank update

    def through(tokens: int, step: int) -> int:  # scores of some tokens with the image tokens, or what they gather
        folded, rows = tokens * s.inner * s.dim, step * more
        if step >= known:
            return folded + tokens * s.heads * s.dim * image_tokens
        return meet * tokens + (folded + tokens * s.heads * rows * (s.dim + image_tokens) if rows else 0)

    total = 0
    for block in range(s.depth):
        ends = 4 * n * s.dim * s.inner  # q and out of step (2), k and v of step (4)
        total += _self_attention_and_mlp(n, s) + ends + 3 * through(n, block) + n * s.inner * s.dim
        total += image_tokens * s.dim * ((block + 1) * more if block < known else s.heads * n)
        total += 2 * meet * n if block or not known else 0  # positional encodings
    read, rows = 1 + chosen, s.depth * more
    total += 2 * read * s.dim * s.inner + 2 * through(read, s.depth) + meet * read
    total += image_tokens * rows * s.dim + rows * s.dim**2 if known == number else image_tokens * s.dim**2
    total += _upscaling(image_tokens, s) - image_tokens * s.dim**2 + _heads(image_tokens, chosen, s)
    chunks = -(-case.batch // plan.chunk("cpu", planned, 4))
    # The shifts of the norms, projected.
    shifts = max(0, known - 1) * s.dim * s.inner + (s.dim**2 if known == number else 0)
    projections = sum(3 if step < s.depth else 2 for step in range(known - prepared, known))
    last = image_tokens * s.dim**2 if prepared and known == number else 0
    preparing = projections * image_tokens * s.dim * s.inner + last
    return 2 * (case.batch * total + chunks * shifts + preparing)


def _self_attention_and_mlp(n: int, s: Sizes) -> int:
    return 4 * n * s.dim**2 + 2 * n * n * s.dim + 2 * n * s.dim * s.mlp


def _upscaling(image_tokens: int, s: Sizes) -> int:
    return image_tokens * s.dim * s.dim + 4 * image_tokens * (s.dim // 4) * (s.dim // 2)


def _heads(image_tokens: int, masks: int, s: Sizes) -> int:
    """The hypernetworks of some masks, their product with the feature map, and the IoU head."""
    hypernetwork = 2 * s.dim**2 + s.dim * (s.dim // 8)
    iou = s.dim * s.iou_hidden + s.iou_hidden**2 + s.iou_hidden * s.masks
    return masks * (hypernetwork + 16 * image_tokens * (s.dim // 8)) + iou


def counted_flops(call: Callable[[], Any]) -> int:
    """What torch counts in a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def vit_b_flops(grid: int = GRID, dim: int = 768, depth: int = 12, window: int = 14, out: int = 256) -> int:
    """FLOPs of SAM's image encoder with a ViT-B, one image: four blocks attend globally, the others within windows.

    Source: `segment_anything/modeling/image_encoder.py`.
    """
    image_tokens, windows = grid**2, (-(-grid // window)) ** 2

    def block(tokens: int, side: int) -> int:  # tokens padded to whole windows; keys of each: side x side
        relative = 2 * tokens * side * dim  # scores by distance, for each axis
        return tokens * dim * 4 * dim + 2 * tokens * side**2 * dim + relative + 8 * image_tokens * dim**2

    blocks = (depth - 4) * block(windows * window**2, window) + 4 * block(image_tokens, grid)
    neck = image_tokens * (dim * out + 9 * out**2)
    return 2 * (image_tokens * dim * 3 * 16**2 + blocks + neck)


@dataclass(frozen=True)
class Traffic:
    """What a call asks of a device.

    Attributes:
        kernels: operations that compute something, each at least one kernel.
        views: operations that only describe a tensor anew; they too take time on the processor.
        bytes: what the kernels read and write.
    """

    kernels: int
    views: int
    bytes: int


class _Operations(TorchDispatchMode):
    kernels = views = bytes = 0
    inside = False  # an attention in one kernel, whose parts do not count

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.inside:
            return result
        if func.is_view or func in _FREE:
            self.views += 1
        else:
            self.kernel(args, kwargs, result)
        return result

    def kernel(self, *tree: Any) -> None:
        """Count one that reads and writes these tensors."""
        self.kernels += 1
        tensors = [x for x in tree_leaves(tree) if isinstance(x, Tensor)]
        self.bytes += sum(min(x.nbytes, x.untyped_storage().nbytes()) for x in tensors)


class _Attentions(TorchFunctionMode):
    """`scaled_dot_product_attention` as on a GPU: one kernel, whose result lies as its queries do."""

    def __init__(self, operations: _Operations) -> None:
        super().__init__()
        self.operations = operations

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self.operations.inside = True
        result = func(*args, **(kwargs or {})).transpose(1, 2).contiguous().transpose(1, 2)
        self.operations.inside = False
        self.operations.kernel(args, result)
        return result


_FREE = (torch.ops.aten._unsafe_view.default, torch.ops.aten.detach.default, torch.ops.aten.empty.memory_format)


def counted_traffic(call: Callable[[], Any]) -> Traffic:
    """Kernels and bytes of a call, counted as it runs; on the meta device too, where nothing is computed."""
    with _Operations() as found, _Attentions(found):
        call()
    return Traffic(found.kernels, found.views, found.bytes)
