"""Compare our forward with Meta's, tensor by tensor."""

import html
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sam_edu.modules import TracePoint
from sam_edu.tracing import trace, trace_points
from sam_edu.tracing.trace import find_trace_points
from sam_edu.tracing.trace_points import Counterpart


@dataclass(frozen=True)
class Row:
    """One named tensor of ours beside Meta's.

    Attributes:
        name: the path of our `TracePoint`, or `output[...]` for what `forward` returns.
        shape: the shape of ours.
        reference_shape: the shape of Meta's; None where nothing in Meta's forward corresponds.
        max_difference: the largest absolute difference (infinite where the shapes do not fit, NaN without a reference).
        reference_max: the largest absolute value of Meta's.
        tolerance: how large the difference may be.
    """

    name: str
    shape: tuple[int, ...]
    reference_shape: tuple[int, ...] | None
    max_difference: float
    reference_max: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the difference is within the tolerance (so is NaN never)."""
        return self.max_difference <= self.tolerance

    @property
    def verdict(self) -> str:
        if self.reference_shape is None:
            return "no reference"
        return "same" if self.within else "DIFFERS"


@dataclass(frozen=True, repr=False)
class Comparison:
    """Our forward beside Meta's: a row per named tensor, in the order of computation."""

    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Row:
        """The row of that name.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(row.name for row in self.rows)}")

    @property
    def first_divergence(self) -> str | None:
        """The name of the first tensor outside its tolerance; None if all are within."""
        return next((row.name for row in self.rows if row.reference_shape is not None and not row.within), None)

    @property
    def max_difference(self) -> float:
        """The largest difference of all rows; NaN where one of them is."""
        differences = [row.max_difference for row in self.rows if row.reference_shape is not None]
        return math.nan if any(map(math.isnan, differences)) else max(differences, default=0.0)

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of our tensors that nothing in Meta's forward corresponds to."""
        return tuple(row.name for row in self.rows if row.reference_shape is None)

    @property
    def summary(self) -> str:
        compared = (
            f"{len(self.rows) - len(self.missing)} tensors compared, largest difference {self.max_difference:.2g}"
        )
        if self.first_divergence is None:
            return f"{compared}: all within tolerance."
        return f"{compared}. First to differ: {self.first_divergence}"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.name,
                _shape_text(row.shape),
                _shape_text(row.reference_shape),
                f"{row.max_difference:.2g}",
                f"{row.reference_max:.3g}",
                row.verdict,
            )
            for row in self.rows
        ]

    def __str__(self) -> str:
        table = [_HEADINGS, *self._cells()]
        widths = [max(len(line[i]) for line in table) for i in range(len(_HEADINGS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(line.rstrip() for line in [*lines, self.summary])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str, style: str = "") -> str:
            inside = "".join(f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in cells)
            return f"<tr{style}>{inside}</tr>"

        # Not by colour alone: the last column says it in words.
        mark = ' style="background: #fde0dd; color: #000; font-weight: bold"'
        first = self.first_divergence
        body = "".join(
            line(cells, "td", mark if row.name == first else "")
            for row, cells in zip(self.rows, self._cells(), strict=True)
        )
        caption = f'<caption style="text-align: left">{html.escape(self.summary)}</caption>'
        return f"<table>{caption}<thead>{line(_HEADINGS, 'th')}</thead><tbody>{body}</tbody></table>"


_HEADINGS = ("tensor", "sam_edu", "Meta", "max difference", "max |Meta|", "verdict")
_TOLERANCES = {torch.float32: 2e-6, torch.float64: 1e-12}


def tolerance(reference: Tensor) -> float:
    """How far a tensor may be from `reference`: relative to its largest value, or to 1 where that is larger.

    Half precision has no tolerance of its own in this project; 16 roundings are allowed.

    Raises:
        TypeError: no tensor.
    """
    if not isinstance(reference, Tensor):
        raise TypeError(f"reference: expected a torch.Tensor, got {type(reference).__name__}")
    relative = _TOLERANCES.get(reference.dtype)
    if relative is None:
        relative = 16 * torch.finfo(reference.dtype).eps if reference.is_floating_point() else 0.0
    largest = _largest(reference)
    return relative * max(1.0, largest) if math.isfinite(largest) else 0.0


def compare(ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, Any]) -> Comparison:
    """Run both forwards on the same inputs and compare every named tensor on the way.

    Our tensors come from a trace. Meta's own forward runs unchanged: hooks on its submodules record their inputs and
    outputs, and a `TorchFunctionMode` records each softmax between them. Where a tensor of ours appears in Meta's
    forward is read from the table of trace points. No hook stays on either module.

    Args:
        ours: a module of `sam_edu.modules`, or one that contains some.
        theirs: Meta's module; neither configuration nor weights need to be the same.
        inputs: the arguments of `forward` by name.

    Returns:
        a row per named tensor, in the order of our computation, and then one per output.

    Raises:
        TypeError: no modules, or inputs that are no dictionary.
        ValueError: `ours` is compiled, or cannot be traced; the two are exchanged; or Meta's returns more than ours.
    """
    for name, module in (("ours", ours), ("theirs", theirs)):
        if not isinstance(module, nn.Module):
            what = f"the class {module.__name__} itself" if isinstance(module, type) else type(module).__name__
            raise TypeError(f"{name}: expected a module, got {what}")
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs: expected the arguments of forward by name, got {type(inputs).__name__}")
    if _has_trace_points(theirs) and not _has_trace_points(ours):
        raise ValueError("ours, theirs: expected our module first and Meta's second, got them exchanged")
    with torch.no_grad():
        seen, output = _run_ours(ours, inputs)
        record = _Record()
        reference_output = record.run(theirs, inputs)
    rows = [
        compare_tensor(name, tensor, _find_reference(name, theirs, record), broadcast=True)
        for name, tensor in seen.items()
    ]
    references, outputs = dict(_flatten("output", reference_output)), dict(_flatten("output", output))
    if more := [name for name in references if name not in outputs]:
        raise ValueError(f"theirs: returns {', '.join(more)}, which ours does not; ours returns {', '.join(outputs)}")
    rows += [compare_tensor(name, tensor, references.get(name), broadcast=False) for name, tensor in outputs.items()]
    return Comparison(tuple(rows))


def _has_trace_points(module: nn.Module) -> bool:
    return any(isinstance(one, TracePoint) for one in module.modules())


def _run_ours(ours: nn.Module, inputs: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """What passes each trace point by its path, in the order of computation, and the output."""
    paths = {module: path for path, module in ours.named_modules() if isinstance(module, TracePoint)}
    if not paths:
        return {}, ours(**inputs)
    named = {name: point for _, points in find_trace_points(ours) for name, point in points.items()}
    with trace(ours) as t:
        output = ours(**inputs)
    return {paths[named[name]]: tensor for name, tensor in t.items()}, output


class _Record(TorchFunctionMode):
    """The inputs and outputs of Meta's modules in one forward, by their paths, and each softmax between them."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: dict[str, tuple[Any, ...]] = {}
        self.outputs: dict[str, Any] = {}
        self.softmax: dict[str, tuple[Tensor, Tensor]] = {}
        self._running: list[str] = []

    def run(self, theirs: nn.Module, inputs: Mapping[str, Any]) -> Any:
        with ExitStack() as stack:
            for path, module in theirs.named_modules():
                before = module.register_forward_pre_hook(partial(self._enter, path), with_kwargs=True)
                after = module.register_forward_hook(partial(self._leave, path))
                stack.callback(before.remove)
                stack.callback(after.remove)
                if hasattr(module, "predict_masks"):
                    # All masks, before `forward` chooses: a method, so no hook sees it. The instance's own
                    # attribute hides the class' method until it is deleted.
                    vars(module)["predict_masks"] = partial(self._predict, path, module.predict_masks)
                    stack.callback(vars(module).pop, "predict_masks")
            with self:
                return theirs(**inputs)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.softmax, torch.Tensor.softmax, nn.functional.softmax) and self._running:
            self.softmax[self._running[-1]] = (args[0], result)
        return result

    def _enter(self, path: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._running.append(path)
        self.inputs[path] = (*args, *kwargs.values())

    def _leave(self, path: str, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        self._running.pop()
        self.outputs[path] = output

    def _predict(self, path: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.outputs[_join(path, "predict_masks")] = result = method(*args, **kwargs)
        return result


def _find_reference(name: str, theirs: nn.Module, record: _Record) -> Tensor | None:
    """The tensor of Meta's forward that a traced tensor corresponds to; None where there is none."""
    path = name.rpartition(".")[0]
    row = trace_points.find(name)
    if row is None or row.counterpart is None or path not in record.outputs:
        return None
    try:
        return _read(row.counterpart, path, theirs, record).detach()
    except (LookupError, AttributeError):  # Meta's module has no such part, or its forward did not call it
        return None


def _read(counterpart: Counterpart, path: str, theirs: nn.Module, record: _Record) -> Tensor:
    part = _join(path, counterpart.part)
    tensor: Any
    match counterpart.kind:
        case "input":
            tensor = record.inputs[part]
        case "output":
            tensor = record.outputs[part]
        case "stacked outputs":
            children = theirs.get_submodule(part).named_children()
            tensor = torch.stack([record.outputs[_join(part, child)] for child, _ in children], dim=1)
        case "softmax input":
            tensor = record.softmax[part][0]
        case "softmax output":
            tensor = record.softmax[part][1]
    if counterpart.index is not None:
        tensor = tensor[counterpart.index]
    if counterpart.split_heads:
        heads: Any = theirs.get_submodule(path)
        tensor = tensor.unflatten(-1, (heads.num_heads, -1)).transpose(1, 2)
    return tensor


def compare_tensor(name: str, ours: Tensor, reference: Tensor | None, broadcast: bool) -> Row:
    """One row: how far `ours` is from `reference`.

    Args:
        name: the row's name.
        ours: our tensor.
        reference: Meta's; None where there is none.
        broadcast: whether a batch of 1 on either side fits any batch on the other.
    """
    shape = tuple(ours.shape)
    if reference is None:
        return Row(name, shape, None, math.nan, math.nan, math.nan)
    reference = reference.detach()
    # Meta's code repeats where ours broadcasts: a batch of 1 fits any batch.
    fits = ours.shape == reference.shape or (
        broadcast and ours.shape[1:] == reference.shape[1:] and 1 in (ours.shape[0], reference.shape[0])
    )
    difference = _largest(ours.detach().double() - reference.double()) if fits else math.inf
    return Row(name, shape, tuple(reference.shape), difference, _largest(reference), tolerance(reference))


def _largest(tensor: Tensor) -> float:
    return tensor.detach().double().abs().max().item() if tensor.numel() else 0.0


def _join(*paths: str) -> str:
    """Module paths below one another as one; "" is the module itself."""
    return ".".join(filter(None, paths))


def _flatten(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested tuples, lists and dicts, named by where they stand in them."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(f"{name}[{key!r}]", item)
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from _flatten(f"{name}[{i}]", item)


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else "x".join(map(str, shape)) or "()"
