"""Tracing: look at every tensor of the real forward pass, and change one on its way.

    with sam_edu.trace(model) as t:
        model(...)
    t["transformer.layers.0.cross_attn_token_to_image.weights"]  # (batch, heads, queries, keys)

    with sam_edu.intervene(model, "transformer.layers.1.self_attn.heads", "zero", heads=3):
        model(...)

Both listen at the `TracePoint`s of `sam_edu.modules`. A tensor's name is its module's path, as in Meta's code, plus the
tensor. In a whole model the decoder's names stay those of a decoder on its own (`tokens`, not `mask_decoder.tokens`),
the prompt encoder's begin with `prompt_encoder.`.
"""

import difflib
import html
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Literal, NamedTuple, overload

import torch
from torch import Tensor, nn

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules.trace_point import TracePoint

# The end of a name, its step and the notebook that teaches it.
_PLACES = (
    (r"tokens|src|pos_src", "(0)", "08"),
    (r"self_attn\.\w+", "(1)", "02"),
    (r"queries_1", "(1)", "04"),
    (r"cross_attn_token_to_image\.\w+", "(2)", "02"),
    (r"queries_2", "(2)", "04"),
    (r"hidden", "(3)", "01"),
    (r"queries_3", "(3)", "04"),
    (r"cross_attn_image_to_token\.\w+", "(4)", "02"),
    (r"keys_4", "(4)", "04"),
    (r"final_attn_token_to_image\.\w+", "(6-1)", "02"),
    (r"hs", "(6-1)", "05"),
    (r"keys", "(5)", "05"),
    (r"doubled_once|normed|activated_once|doubled_twice|activated_twice", "(5)", "06"),
    (r"hyper_in", "(6-2)", "07"),
    (r"masks", "(6-3)", "07"),
    (r"iou_pred", "(7)", "08"),
    (r"sparse_embeddings|dense_embeddings", "prompt", "03"),
    (r"q|k|v|scores|weights|heads|out", "", "02"),  # an Attention on its own: it serves several steps
)

# What "mean" keeps apart: axes that say which part of the network it is, not where or for which prompt.
_UNITS = frozenset({"heads", "head_dim", "dim", "channels", "mlp_dim"})

How = Literal["zero", "mean"] | Tensor | Callable[[Tensor], Tensor]
Select = int | slice | Iterable[int]


class Row(NamedTuple):
    """One tensor of the shape_table."""

    name: str
    step: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    notebook: str


class ShapeTable(Sequence[Row]):
    """A trace as a table: name, step, axes, shape, notebook. Reads as text and as HTML."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> "ShapeTable": ...

    def __getitem__(self, index: int | slice) -> "Row | ShapeTable":
        return ShapeTable(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (row.name, row.step, " ".join(row.axes), " x ".join(map(str, row.shape)), row.notebook)
            for row in self._rows
        ]

    def __str__(self) -> str:
        table = [Row._fields, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in table]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        left = ' style="text-align: left"'
        head = "".join(f'<th scope="col"{left}>{field}</th>' for field in Row._fields)
        body = "\n".join(
            f"<tr><td{left}><code>{html.escape(name)}</code></td>"
            + "".join(f"<td{left}>{html.escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for name, *rest in self._cells()
        )
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


class Trace(Mapping[str, Tensor]):
    """The tensors of the last forward pass by name, in the order of computation.

    Each is detached from the graph and not copied. A new pass through the model replaces the one before; in a whole
    model, each of its parts (prompt encoder, decoder) counts its own passes.
    """

    def __init__(self, axes: dict[str, tuple[str, ...]]) -> None:
        self._axes = axes
        self._tensors: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of that name.

        Raises:
            KeyError: no such name (the closest ones are given), or nothing has passed it yet.
        """
        self._check(name)
        if name not in self._tensors:
            raise KeyError(f"{name!r}: nothing recorded, no forward pass went through it inside the block")
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} tensors: print(t.shape_table()) lists them>"

    def axes(self, name: str) -> tuple[str, ...]:
        """The names of the tensor's axes. Raises KeyError like `t[name]`."""
        self._check(name)
        return self._axes[name]

    def step(self, name: str) -> str:
        """The tensor's address in the decoder, "(0)" to "(7)", or "prompt"; "" where its name does not tell.

        Raises KeyError like `t[name]`.
        """
        self._check(name)
        return _place(name)[0]

    def shape_table(self, notebook: str | None = None) -> ShapeTable:
        """The table of all recorded tensors, or of those that one notebook teaches (`t.shape_table("02")`)."""
        rows = []
        for name, tensor in self._tensors.items():
            step, taught_in = _place(name)
            if notebook in (None, taught_in):
                rows.append(Row(name, step, self._axes[name], tuple(tensor.shape), taught_in))
        return ShapeTable(rows)

    def _check(self, name: str) -> None:
        if name not in self._axes:
            raise _unknown(name, self._axes)

    def _record(self, name: str, tensor: Tensor) -> None:
        self._tensors.pop(name, None)  # so that a tensor that comes again stands at the end
        self._tensors[name] = tensor.detach()

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._tensors.pop(name, None)


def trace(model: Any) -> AbstractContextManager[Trace]:
    """Record what passes the model's points while the block lasts.

    Leaving the block, by an exception too, takes every hook off the model. The trace stays, without a reference to
    the model. Under an intervention it shows what flows on, whichever block was entered first.

    Args:
        model: a `MaskDecoder` or any other of our modules, a whole `Sam`, or a `Predictor`.

    Returns:
        a context manager that gives the `Trace`.

    Raises:
        TypeError: `model` is neither a module nor has one as `.model`.
        ValueError: the model is compiled, is or holds a `FastMaskDecoder`, or has no point.
    """
    return _tracing(_find_points(model))


@contextmanager
def _tracing(parts: list[tuple[nn.Module, dict[str, TracePoint]]]) -> Iterator[Trace]:
    record = Trace({name: point.axes for _, points in parts for name, point in points.items()})
    with ExitStack() as hooks:  # a hook's handle is a context manager: leaving it removes the hook
        for part, points in parts:
            hooks.enter_context(part.register_forward_pre_hook(_forgetter(record, tuple(points))))
            for name, point in points.items():
                hooks.enter_context(point.register_forward_hook(_recorder(record, name)))
        yield record


def _forgetter(record: Trace, names: tuple[str, ...]) -> Callable[..., None]:
    return lambda module, args: record._forget(names)


def _recorder(record: Trace, name: str) -> Callable[..., None]:
    return lambda module, args, output: record._record(name, output)


def intervene(model: Any, name: str, how: How, **select: Select) -> AbstractContextManager[None]:
    """Replace what passes a point while the block lasts; everything computed from it changes with it.

    Blocks nest; at the same point the outer replacement comes first.

    Args:
        model: as for `trace`.
        name: the tensor, by its name in a trace.
        how: "zero"; "mean", the mean of this pass over prompt sets and positions (tokens, pixels, masks, queries,
            keys), for each head, head_dim, dim, channel or mlp_dim on its own; a tensor of the same dtype that
            broadcasts to the one replaced, for example a mean over many prompts; or a function that takes the tensor
            (a copy) and returns one of the same shape and dtype.
        select: per axis name the index, indices or slice to replace (`heads=3`, `tokens=[1, 2]`); together they
            select where all agree. Without any, the whole tensor is replaced.

    Returns:
        a context manager.

    Raises:
        KeyError: no such name.
        TypeError: `how` is none of these, `model` as for `trace`, or, in the forward pass, an index is no integer.
        ValueError: an unknown axis, a model as for `trace`; in the forward pass: an index out of range, a selection
            of nothing, a replacement of another shape or dtype.
    """
    points = {name: point for _, part in _find_points(model) for name, point in part.items()}
    if name not in points:
        raise _unknown(name, points)
    if how not in ("zero", "mean") if isinstance(how, str) else not (isinstance(how, Tensor) or callable(how)):
        raise TypeError(f'how: expected "zero", "mean", a tensor or a function, got {how!r}')
    axes = points[name].axes
    for axis in select:
        if axis not in axes:
            raise ValueError(f"{axis}: {name} has no such axis, only {', '.join(axes)}")

    def replace(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = args
        if x.ndim != len(axes):
            raise ValueError(f"{name}: expected the axes ({', '.join(axes)}), got shape {tuple(x.shape)}")
        new = _replacement(name, x, how, axes)
        for axis, wanted in select.items():
            chosen = _chosen(axis, wanted, x.shape[axes.index(axis)], x.device)
            new = torch.where(chosen.reshape([-1 if a == axis else 1 for a in axes]), new, x)
        return (new,)

    return _intervening(points[name], replace)


@contextmanager
def _intervening(point: TracePoint, replace: Callable[..., Any]) -> Iterator[None]:
    # A point returns its input, so to replace the input is enough; and this comes before a trace's forward hook.
    with point.register_forward_pre_hook(replace):
        yield


def _replacement(name: str, x: Tensor, how: How, axes: tuple[str, ...]) -> Tensor:
    """What stands in for the whole of `x`."""
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
        raise ValueError(f"how: {name} wants a tensor of shape {tuple(x.shape)} of {x.dtype}, got {got}")
    return new


def _broadcasts(new: Tensor, x: Tensor) -> bool:
    """Whether `new` broadcasts to the shape of `x`."""
    sizes = zip(reversed(new.shape), reversed(x.shape), strict=False)
    return new.ndim <= x.ndim and all(size in (1, wanted) for size, wanted in sizes)


def _chosen(axis: str, wanted: Select, size: int, device: torch.device) -> Tensor:
    """The selection on one axis, as a bool per index."""
    if isinstance(wanted, slice):
        indices = list(range(size)[wanted])
    else:
        try:
            indices = [operator.index(i) for i in (wanted if isinstance(wanted, Iterable) else (wanted,))]
        except TypeError:
            raise TypeError(f"{axis}: expected an index, several, or a slice, got {wanted!r}") from None
    if not indices or not all(-size <= i < size for i in indices):
        raise ValueError(f"{axis}: expected at least one index from 0 to {size - 1}, got {wanted!r}")
    chosen = torch.zeros(size, dtype=torch.bool, device=device)
    chosen[indices] = True
    return chosen


def _find_points(model: Any) -> list[tuple[nn.Module, dict[str, TracePoint]]]:
    """The model's parts, and the points of each by name."""
    root = model if isinstance(model, nn.Module) else getattr(model, "model", None)
    if not isinstance(root, nn.Module):
        raise TypeError(f"model: expected a module, a Sam or a Predictor, got {type(model).__name__}")
    if getattr(model, "fast_mask_decoder", None) is not None:
        raise ValueError("model: a fast Predictor passes no point of the decoder; make one without fast=True to look")
    for path, module in root.named_modules():
        # torch.compile(module) wraps it, module.compile() marks it; either way hooks on inner modules stay unseen.
        if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
            where = f" (at {path})" if path else ""
            raise ValueError(
                f"model: it is compiled{where}, and its points cannot be seen; use the model before compile"
            )
        if isinstance(module, FastMaskDecoder):  # it holds a decoder with points, but does not pass them
            raise ValueError("model: a FastMaskDecoder passes no point; trace the MaskDecoder that it was made from")
    if isinstance(getattr(root, "mask_decoder", None), nn.Module):
        parts = [("" if name == "mask_decoder" else f"{name}.", child) for name, child in root.named_children()]
    else:
        parts = [("", root)]
    found = [
        (part, {prefix + path: module for path, module in part.named_modules() if isinstance(module, TracePoint)})
        for prefix, part in parts
    ]
    if not any(points for _, points in found):
        raise ValueError(
            f"model: {type(root).__name__} holds no TracePoint, so there is nothing to see; use sam_edu.modules"
        )
    return found


def _place(name: str) -> tuple[str, str]:
    """Step and notebook, from the end of a name; empty where it is none of ours."""
    for end, step, notebook in _PLACES:
        if re.search(rf"(^|\.)({end})$", name):
            return step, notebook
    return "", ""


def _unknown(name: str, names: Iterable[str]) -> KeyError:
    """The error for a wrong name, with the closest right ones."""
    names = list(names)
    close = [n for n in names if name in n] or difflib.get_close_matches(name, names, n=5, cutoff=0.4)
    return KeyError(f"{name!r}: no tensor of that name; the closest: {', '.join(close[:5]) or 'none'}")
