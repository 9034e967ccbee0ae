"""trace: record every named tensor of the real forward pass."""

import difflib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from sam_edu.model_checks import unwrap
from sam_edu.modules.trace_point import TracePoint
from sam_edu.tracing import trace_points
from sam_edu.tracing.block import Block, of_a_block
from sam_edu.tracing.shape_table import Row, ShapeTable

_DECODER = "mask_decoder."


class Trace(Mapping[str, Tensor]):
    """The tensors of the last forward pass by name, in the order of computation.

    Each is detached from the graph and not copied. A new pass through the model replaces the one before; in a whole
    model, each of its parts (prompt encoder, decoder) counts its own passes. A decoder's names are the same on its own
    and in a whole model; they are accepted with `mask_decoder.` in front too.
    """

    def __init__(self, axes: dict[str, tuple[str, ...]]) -> None:
        self._axes = axes
        self._tensors: dict[str, Tensor] = {}
        self._thread: int | None = None

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of that name.

        Raises:
            KeyError: no such name (the message lists the closest ones), or no pass has recorded it yet.
        """
        known = known_name(name, self._axes)
        if known not in self._tensors:
            raise KeyError(f"{name!r}: nothing recorded, no forward pass went through it inside the block")
        return self._tensors[known]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._tensors or name.removeprefix(_DECODER) in self._tensors)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} tensors: print(t.shape_table()) lists them>"

    def axes(self, name: str) -> tuple[str, ...]:
        """The names of the tensor's axes. Raises KeyError like `t[name]`."""
        return self._axes[known_name(name, self._axes)]

    def step(self, name: str) -> str:
        """The tensor's address in the decoder, "(0)" to "(7)", or "prompt"; "" where it has none, or several.

        Raises KeyError like `t[name]`.
        """
        row = trace_points.find(known_name(name, self._axes))
        return row.step if row else ""

    def shape_table(self, notebook: str | None = None) -> ShapeTable:
        """The table of all recorded tensors, or of those that one notebook teaches (`t.shape_table("02")`).

        Raises:
            ValueError: not the two digits of a notebook.
        """
        if notebook is not None and not re.fullmatch("[0-9][0-9]", str(notebook)):
            raise ValueError(f'notebook: expected the two digits of its number, such as "02", got {notebook!r}')
        rows = []
        for name, tensor in self._tensors.items():
            found = trace_points.find(name)
            step, taught_in = (found.step, found.notebook) if found else ("", "")
            if notebook in (None, taught_in):
                rows.append(Row(name, step, self._axes[name], tuple(tensor.shape), taught_in))
        return ShapeTable(rows)

    def _record(self, name: str, tensor: Tensor) -> None:
        thread = threading.get_ident()
        if self._thread not in (None, thread):
            raise RuntimeError(
                "trace: two threads run the model inside this block at once, and their tensors would be mixed; trace a"
                " copy of the model in each thread (copy.deepcopy)"
            )
        self._thread = thread
        self._tensors.pop(name, None)  # so that a tensor that is recorded again is the last one
        self._tensors[name] = tensor.detach()

    def _start(self, names: Iterable[str]) -> None:
        """Begin a pass through the part of the model that has tensors of these names."""
        self._thread = threading.get_ident()
        for name in names:
            self._tensors.pop(name, None)


def trace(model: Any) -> AbstractContextManager[Trace]:
    """Record what passes the model's trace points while the block lasts.

    Leaving the block removes every hook, after an exception too. The trace stays, without a reference to the model.
    A copy of the model that is made inside the block has no hooks and is not traced.
    Under an intervention it shows the tensor after the replacement, whichever block was entered first.

    Args:
        model: a `MaskDecoder` or any other of our modules, a whole `Sam`, or a `Predictor`; what `nn.DataParallel`
            wraps is taken out.

    Returns:
        a context manager that gives the `Trace`.

    Raises:
        TypeError: `model` is neither a module nor has one as `.model`.
        ValueError: the model is compiled, is or holds a module that cannot be traced (`FastMaskDecoder`), or has no
            trace point.
    """
    return Block(partial(_tracing, find_trace_points(model)), "with sam_edu.trace(model) as t:")


@contextmanager
def _tracing(parts: list[tuple[nn.Module, dict[str, TracePoint]]]) -> Iterator[Trace]:
    record = Trace({name: point.axes for _, points in parts for name, point in points.items()})
    names = {part: tuple(points) for part, points in parts if points}
    with ExitStack() as hooks:  # a hook's handle is a context manager: leaving it removes the hook
        # One hook for all modules: a hook on a part, which may be of any class, would stay on copies of it.
        hooks.enter_context(register_module_forward_pre_hook(_starter(record, names)))
        for _, points in parts:
            for name, point in points.items():
                hooks.enter_context(point.register_forward_hook(of_a_block(_recorder(record, name))))
        yield record


def _starter(record: Trace, names: dict[nn.Module, tuple[str, ...]]) -> Callable[..., None]:
    def start(module: nn.Module, args: Any) -> None:
        if module in names:
            record._start(names[module])

    return start


def _recorder(record: Trace, name: str) -> Callable[..., None]:
    return lambda module, args, output: record._record(name, output)


def find_trace_points(model: Any) -> list[tuple[nn.Module, dict[str, TracePoint]]]:
    """The model's parts, and the trace points of each by name. Arguments and errors are those of `trace`."""
    root = unwrap(model if isinstance(model, nn.Module) else getattr(model, "model", None))
    if not isinstance(root, nn.Module):
        raise TypeError(f"model: expected a module, a Sam or a Predictor, got {type(model).__name__}")
    if getattr(model, "fast_mask_decoder", None) is not None:
        raise ValueError(
            "model: a fast Predictor passes no trace point of the decoder; make one without fast=True to trace it"
        )
    for path, module in root.named_modules():
        # torch.compile(module) wraps it, module.compile() marks it; either way hooks on inner modules are not called.
        if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
            where = f" (at {path})" if path else ""
            raise ValueError(
                f"model: it is compiled{where}, and its trace points cannot be seen; use the model before compile"
            )
        # A module that holds trace points without passing them says so, and says what to do instead.
        if reason := getattr(type(module), "untraceable", ""):
            raise ValueError(f"model: {reason}")
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
            f"model: {type(root).__name__} holds no TracePoint, so there is nothing to trace; use sam_edu.modules"
        )
    return found


def known_name(name: str, names: Iterable[str]) -> str:
    """The one of the `names` that `name` refers to: `name` itself, or `name` without `mask_decoder.` in front.

    Raises:
        KeyError: none of them; the message lists the closest ones.
    """
    names = list(names)
    for candidate in (name, name.removeprefix(_DECODER)):
        if candidate in names:
            return candidate
    close = [n for n in names if name in n] or difflib.get_close_matches(name, names, n=5, cutoff=0.4)
    raise KeyError(f"{name!r}: no tensor of that name; the closest: {', '.join(close[:5]) or 'none'}")
