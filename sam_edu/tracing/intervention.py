"""intervene: replace a named tensor during the forward pass."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.modules.trace_point import TracePoint
from sam_edu.selections import Select, as_indices, fixed
from sam_edu.tracing.block import Block, of_a_block
from sam_edu.tracing.replacements import Generator, How, Reference, replacement
from sam_edu.tracing.trace import find_trace_points, known_name


def intervene(
    model: Any,
    name: str,
    how: How,
    *,
    reference: Reference | None = None,
    generator: Generator | None = None,
    **select: Select,
) -> AbstractContextManager[None]:
    """Replace the tensor at a trace point while the block lasts; everything computed from it changes with it.

    Blocks nest; at the same trace point the outer replacement comes first.

    Args:
        model: as for `trace`.
        name: the tensor, by its name in a trace, with or without `mask_decoder.` in front.
        how: what replaces it.
            "mean": the mean over the runs of `reference`, slot by slot: each token has its own, and so has each
            position of the image. This is the usual ablation: what the part says to every prompt stays, what it says
            to this one is removed.
            "mean_over_positions": the mean over the runs and over the image's positions (image tokens, height and
            width; in an attention its queries or keys, where they are image tokens). All positions get the same.
            "resample": the tensor of one run of `reference`, drawn by `generator` for each prompt set at every pass.
            "transplant": the tensor of `reference`, which is one trace.
            "zero": zeros.
            "token_mean": the mean of this pass over prompt sets and positions (tokens, image tokens, masks, queries,
            keys), for each head, head_dim, dim, channel or mlp_dim on its own.
            Or a tensor of the same dtype that broadcasts to the one replaced; or a function that takes the tensor (a
            copy) and returns one of the same shape and dtype.
        reference: for "mean", "mean_over_positions" and "resample": runs of other prompts, a mapping of names to
            tensors with the runs first (runs, *shape of one prompt set), as `sam_edu.ablation.reference` gives it.
            For "transplant": a trace, or a mapping of names to tensors of as many prompt sets as there are, or of one.
        generator: for "resample": a torch.Generator or a numpy.random.Generator.
        select: per axis name what to replace: an index, several, a slice, or a mask with a bool per index (`heads=3`,
            `tokens=[1, 2]`, `heads=mask`), as numbers, lists, arrays or tensors; together they select where all agree.
            Without any, the whole tensor is replaced.

    Returns:
        a context manager.

    Raises:
        KeyError: no such name, in the model or in `reference`.
        TypeError: `how` is none of these, a mode lacks its `reference` or `generator` or gets one that it does not
            use, `model` as for `trace`, or an index is no integer.
        ValueError: an unknown axis, a model as for `trace`, a reference without runs or with other axes, a mean over
            positions of a tensor that has none; in the forward pass: an index out of range, an empty selection, a mask
            of another length, a replacement of another shape or dtype.
    """
    points = {path: point for _, part in find_trace_points(model) for path, point in part.items()}
    path = known_name(name, points)
    point, axes = points[path], points[path].axes
    make = replacement(path, axes, how, reference, generator)
    for axis in select:
        if axis not in axes:
            raise ValueError(f"{axis}: {name} has no such axis, only {', '.join(axes)}")
    chosen = {axis: fixed(axis, wanted) for axis, wanted in select.items()}

    def replace(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = args
        if x.ndim != len(axes):
            raise ValueError(f"{name}: expected the axes ({', '.join(axes)}), got shape {tuple(x.shape)}")
        new = make(x)
        for axis, wanted in chosen.items():
            mask = _mask(axis, wanted, x.shape[axes.index(axis)], x.device)
            new = torch.where(mask.reshape([-1 if a == axis else 1 for a in axes]), new, x)
        return (new,)

    return Block(partial(_intervening, point, replace), "with sam_edu.intervene(model, name, how):")


@contextmanager
def _intervening(point: TracePoint, replace: Callable[..., Any]) -> Iterator[None]:
    # A trace point returns its input, so replacing the input is enough; and this hook runs before a trace's hook.
    with point.register_forward_pre_hook(of_a_block(replace)):
        yield


def _mask(axis: str, wanted: Select, size: int, device: torch.device) -> Tensor:
    """The selection on one axis, as a bool per index."""
    chosen = torch.zeros(size, dtype=torch.bool, device=device)
    chosen[as_indices(axis, wanted, size)] = True
    return chosen
