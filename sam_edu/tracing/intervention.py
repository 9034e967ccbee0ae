"""intervene: replace a named tensor during the forward pass."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sam_edu.arrays import shorten
from sam_edu.modules.trace_point import TracePoint
from sam_edu.selections import Select, as_indices, fixed
from sam_edu.tracing.block import Block, of_a_block
from sam_edu.tracing.trace import find_trace_points, known_name

# What "token_mean" keeps apart: axes that number parts of the network, not positions, tokens or prompt sets.
_UNITS = frozenset({"heads", "head_dim", "dim", "channels", "mlp_dim"})

How = Literal["zero", "token_mean"] | Tensor | Callable[[Tensor], Tensor]


def intervene(model: Any, name: str, how: How, **select: Select) -> AbstractContextManager[None]:
    """Replace the tensor at a trace point while the block lasts; everything computed from it changes with it.

    Blocks nest; at the same trace point the outer replacement comes first.

    Args:
        model: as for `trace`.
        name: the tensor, by its name in a trace, with or without `mask_decoder.` in front.
        how: "zero"; "token_mean", the mean of this pass over prompt sets and positions (tokens, image tokens, masks,
            queries, keys), for each head, head_dim, dim, channel or mlp_dim on its own; a tensor of the same dtype
            that broadcasts to the one replaced, for example a mean over many prompts; or a function that takes the
            tensor (a copy) and returns one of the same shape and dtype.
        select: per axis name what to replace: an index, several, a slice, or a mask with a bool per index (`heads=3`,
            `tokens=[1, 2]`, `heads=mask`), as numbers, lists, arrays or tensors; together they select where all agree.
            Without any, the whole tensor is replaced.

    Returns:
        a context manager.

    Raises:
        KeyError: no such name.
        TypeError: `how` is none of these, `model` as for `trace`, or an index is no integer.
        ValueError: an unknown axis, a model as for `trace`; in the forward pass: an index out of range, an empty
            selection, a mask of another length, a replacement of another shape or dtype.
    """
    points = {path: point for _, part in find_trace_points(model) for path, point in part.items()}
    point = points[known_name(name, points)]
    if how not in ("zero", "token_mean") if isinstance(how, str) else not (isinstance(how, Tensor) or callable(how)):
        raise TypeError(f'how: expected "zero", "token_mean", a tensor or a function, got {shorten(how)}{_way(how)}')
    axes = point.axes
    for axis in select:
        if axis not in axes:
            raise ValueError(f"{axis}: {name} has no such axis, only {', '.join(axes)}")
    chosen = {axis: fixed(axis, wanted) for axis, wanted in select.items()}

    def replace(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = args
        if x.ndim != len(axes):
            raise ValueError(f"{name}: expected the axes ({', '.join(axes)}), got shape {tuple(x.shape)}")
        new = _replacement(name, x, how, axes)
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


def _replacement(name: str, x: Tensor, how: How, axes: tuple[str, ...]) -> Tensor:
    """The replacement for the whole of `x`."""
    if isinstance(how, str):
        if how == "zero":
            return torch.zeros_like(x)
        averaged = [i for i, axis in enumerate(axes) if axis not in _UNITS]
        return x.mean(dim=averaged, keepdim=True).expand_as(x)
    # A copy, so that a function that writes into it cannot change what was computed before.
    new = how.to(x.device) if isinstance(how, Tensor) else how(x.clone())
    if isinstance(how, Tensor) and new.dtype == x.dtype and _broadcasts(new, x):
        return new.expand_as(x)
    if not isinstance(new, Tensor) or new.shape != x.shape or new.dtype != x.dtype:
        got = f"{tuple(new.shape)} of {new.dtype}" if isinstance(new, Tensor) else type(new).__name__
        hint = f"; .to({x.dtype}) converts it" if isinstance(new, Tensor) and new.dtype != x.dtype else ""
        raise ValueError(f"how: {name} needs a tensor of shape {tuple(x.shape)} of {x.dtype}, got {got}{hint}")
    return new


def _broadcasts(new: Tensor, x: Tensor) -> bool:
    """Whether `new` broadcasts to the shape of `x`."""
    sizes = zip(reversed(new.shape), reversed(x.shape), strict=False)
    return new.ndim <= x.ndim and all(size in (1, wanted) for size, wanted in sizes)


def _mask(axis: str, wanted: Select, size: int, device: torch.device) -> Tensor:
    """The selection on one axis, as a bool per index."""
    chosen = torch.zeros(size, dtype=torch.bool, device=device)
    chosen[as_indices(axis, wanted, size)] = True
    return chosen


def _way(how: object) -> str:
    """The way out for what is no replacement; "" where there is none."""
    if isinstance(how, np.ndarray | int | float | list):
        return "; give torch.as_tensor(value, dtype=torch.float32)"
    return '; the mean of one pass is called "token_mean"' if how == "mean" else ""
