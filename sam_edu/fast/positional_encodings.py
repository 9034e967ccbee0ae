"""The positional encodings of a grid, as the same tensor in every call as long as they are the same."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sam_edu.fast.changes import has_global_hook
from sam_edu.fast.kept import Kept
from sam_edu.fast.plan import Recognition
from sam_edu.modules import PositionEmbeddingRandom, PromptEncoder

NAME = "positional encodings"

_METHODS = {"get_dense_pe", "forward", "_pe_encoding", "__call__", "_call_impl"}
# The methods that these classes had at first.
_FIRST = (PromptEncoder.get_dense_pe, PositionEmbeddingRandom.forward, PositionEmbeddingRandom._pe_encoding)


def dense_pe(
    kept: Kept, encoder: Any, dtype: torch.dtype, recognition: Callable[[Tensor], Recognition]
) -> Float[Tensor, "1 dim height width"]:
    """`PromptEncoder.get_dense_pe` in a dtype: the last result, if Gaussian matrix and grid are the same as then.

    Where values are not compared, a decoder recognises the encodings by being the same tensor (`sam_edu.fast.kept`).
    An encoder whose encodings may depend on anything else (a subclass, a hook, another layer) is asked in every call.

    Args:
        kept: where the result is kept.
        encoder: a prompt encoder, ours or another one with a `get_dense_pe`.
        dtype: of the result.
        recognition: how a tensor is recognised, here the matrix.
    """
    matrix = _gaussian_matrix(encoder)
    if matrix is None or (by := recognition(matrix)) == "nothing":
        return encoder.get_dense_pe().to(dtype)

    def compute() -> tuple[Tensor, int]:
        # A tensor made in inference mode has no version, so that nobody could see whether it was changed.
        with torch.inference_mode(False), torch.no_grad():
            encodings = encoder.get_dense_pe().to(dtype)
            return encodings, encodings._version

    settings = (*encoder.image_embedding_size, dtype)
    encodings, version = kept.get(NAME, [matrix], compute, by, settings)
    if encodings._version != version:  # a hook on the decoder may have written into them
        kept.forget(NAME)
        encodings, _ = kept.get(NAME, [matrix], compute, by, settings)
    return encodings


def _gaussian_matrix(encoder: Any) -> Tensor | None:
    """The only tensor that the encodings depend on; None where there may be more, or where someone watches."""
    layer = getattr(encoder, "pe_layer", None)
    if type(encoder) is not PromptEncoder or type(layer) is not PositionEmbeddingRandom:
        return None
    first = PromptEncoder.get_dense_pe, PositionEmbeddingRandom.forward, PositionEmbeddingRandom._pe_encoding
    replaced = first != _FIRST or not _METHODS.isdisjoint({*vars(encoder), *vars(layer)})
    if replaced or layer._forward_hooks or layer._forward_pre_hooks or has_global_hook():
        return None
    return layer.positional_encoding_gaussian_matrix
