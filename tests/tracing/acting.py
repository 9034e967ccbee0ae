"""The proof that an intervention acted: its own tensor changed, and nothing before it."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.tracing import intervene, trace


def assert_acts(model: nn.Module, run: Callable[[], object], name: str, how: Any, **keywords: Any) -> None:
    """Prove that `intervene(model, name, how, **keywords)` acts in a forward pass, on the tensor that it names.

    Args:
        model: as for `trace`.
        run: carries out the forward pass, the same each time.
        name, how, keywords: of the intervention; keywords with the name of an axis are its selection.
    """
    with trace(model) as t:
        run()
    before = dict(t)
    with trace(model) as t, intervene(model, name, how, **keywords):
        run()
    select = {axis: value for axis, value in keywords.items() if axis in t.axes(name)}
    assert_acted(before, dict(t), {name}, {name: (t.axes(name), select)})


def assert_acted(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    points: Collection[str],
    selected: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] | None = None,
) -> None:
    """Prove by two traces that tensors were replaced.

    Args:
        before: all tensors of the unchanged pass, in the order of computation.
        after: those under the intervention.
        points: the tensors that it replaces. Each has to differ, and nothing before the first of them.
        selected: of points that nothing before has changed, the axes and what is replaced on some of them, as indices:
            nothing else of the tensor may differ.
    """
    assert list(before) == list(after), "the traces hold other tensors"
    changed = [name for name in before if not same(before[name], after[name])]
    unchanged = sorted(set(points) - set(changed))
    assert not unchanged, f"nothing changed at {', '.join(unchanged)}"
    first = min(points, key=list(before).index)
    too_early = changed[: changed.index(first)]
    assert not too_early, f"changed before {first}: {', '.join(too_early)}"
    for name, (axes, select) in (selected or {}).items():
        rest = torch.zeros(before[name].shape, dtype=torch.bool)
        for axis, wanted in select.items():
            chosen = torch.zeros(rest.shape[axes.index(axis)], dtype=torch.bool)
            chosen[wanted] = True
            rest |= ~chosen.reshape([-1 if one == axis else 1 for one in axes])
        assert same(before[name][rest], after[name][rest]), f"{name} changed outside {dict(select)}"


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal bit for bit; infinities equal themselves, NaN too."""
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
