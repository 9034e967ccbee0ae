"""Plans of the fast decoder: which form of it is run on a device, and how much of it at a time.

A processor and a GPU are slow for different reasons. On a processor the work counts, and that temporaries stay in its
cache. On a GPU a small decode waits for the launch of its kernels, whatever they compute, and a large one for its
products and for memory. The functions here are the only place where devices are told apart; a measurement moves a
constant and nothing else.
"""

from typing import Literal, NamedTuple

Form = Literal["plain", "fused", "folded"]
"""How a decode is computed.

- plain: by the decoder itself; the fast decoder hands over.
- fused: few, large kernels, with all projections of the cross-attentions on the side of the tokens
  (`sam_edu.fast.fused`).
- folded: with the projections on the side of the tokens. Image tokens that prompt sets share are a shared part and a
  low-rank update, and are never stored; others are.
"""

Recognition = Literal["values", "identity", "nothing"]
"""How the tensors that a kept result was computed from are recognised (`sam_edu.fast.kept`)."""

MIB = 2**20
# On a processor: image tokens that are decoded at a time, and temporaries that are worked on at a time.
CACHE_BYTES, TILE_BYTES = 16 * MIB, MIB
# Elsewhere: all temporaries of the prompt sets that are decoded at a time.
MEMORY_BYTES = 8192 * MIB
# How many times the image tokens of a prompt set its temporaries take at their largest, results included
# (`tests/fast/test_plan.py` counts them).
TEMPORARIES = 12
# From so many image tokens on, over all prompt sets, the norm of the upscaling takes longer than five launches.
NORM_BY_LENGTH_FROM = 2**14
# So many times the attention's inner width may the rows of all heads be: then folding and the low-rank update cost as
# many operations as they save (`sam_edu.flops`). In SAM that is 24 tokens, and 20 where image tokens are stored.
SHARED_ROWS, STORED_ROWS = 1.5, 1.25
# On a GPU: so many times that width the rows may be. In SAM 32 tokens. With 29 tokens at batch 16 an H200 was a little
# faster than Meta's decoder, with 45 slower.
FUSED_ROWS = 2
# On a GPU, with autograd: from so many image tokens on, over all prompt sets. An H200 was slower with 2**16 of them (26
# against 23 ms a training step), and faster with 2**18 (30 against 46 ms).
FUSED_WITH_GRAD_FROM = 2**17


class Sizes(NamedTuple):
    """The sizes of a decode that a plan depends on.

    Attributes:
        groups: groups of prompt sets that share an image and its dense prompt.
        sets: prompt sets in each group.
        tokens: tokens of a prompt set, the output tokens included.
        image_tokens: positions of the grid.
        dim: width of a token.
        heads: heads of the cross-attentions.
        internal: their inner width.
    """

    groups: int
    sets: int
    tokens: int
    image_tokens: int
    dim: int
    heads: int
    internal: int


def form(device_type: str, sizes: Sizes, *, met: bool = False, grad: bool = False) -> Form:
    """The form of the decoder that is the fastest for these sizes on this kind of device.

    Args:
        device_type: "cpu", "cuda" or another of torch's; all but "cpu" are taken for a GPU.
        sizes: of the decode.
        met: whether this image was decoded before, so that what its prompt sets share is known, or soon will be.
        grad: whether autograd records, so that the products of weights are computed in every call, and backwards.
    """
    shared = sizes.sets > 1 or met
    rows = sizes.tokens * sizes.heads
    folding_pays = rows <= (SHARED_ROWS if shared else STORED_ROWS) * sizes.internal
    if device_type == "cpu":
        return "folded" if folding_pays else "plain"
    enough = not grad or sizes.groups * sizes.sets * sizes.image_tokens >= FUSED_WITH_GRAD_FROM
    return "fused" if rows <= FUSED_ROWS * sizes.internal and enough else "plain"


def chunk(device_type: str, sizes: Sizes, itemsize: int, *, budget: int | None = None) -> int:
    """How many prompt sets are decoded at a time: at least one, at most all.

    Args:
        device_type: as for `form`.
        sizes: of the decode.
        itemsize: bytes of a number.
        budget: bytes; None takes the device's own: on a processor for the image tokens, so that they stay in its cache;
            elsewhere for all temporaries.
    """
    image_tokens = sizes.image_tokens * sizes.dim * itemsize
    if device_type == "cpu":
        fitting = (CACHE_BYTES if budget is None else budget) // image_tokens
    else:
        fitting = (MEMORY_BYTES if budget is None else budget) // (TEMPORARIES * image_tokens)
    batch = sizes.groups * sizes.sets
    chunks = -(-batch // max(1, fitting))
    return -(-batch // chunks)  # about equally many in each: a small rest would cost as many launches as the others


def tile(device_type: str, sets: int, image_tokens: int, dim: int, itemsize: int) -> int:
    """How many image tokens of each prompt set are worked on at a time, where none depends on another.

    On a processor a few, so that they stay in the cache; elsewhere all of them, as every tile costs launches.
    """
    if device_type != "cpu":
        return image_tokens
    return max(1, min(TILE_BYTES // (sets * dim * itemsize), image_tokens))


def norm_by_length(positions: int) -> bool:
    """Whether the fused form computes the upscaling's norm from the length of rows, in six kernels in place of one."""
    return positions >= NORM_BY_LENGTH_FROM


def recognition(device_type: str) -> Recognition:
    """How kept results are recognised on a device, where nobody says otherwise.

    To compare values on a GPU, the processor would have to wait for it.
    """
    return "values" if device_type == "cpu" else "identity"
