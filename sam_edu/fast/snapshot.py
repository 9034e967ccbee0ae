"""Watch: whether a decoder is still as it was when `change_of` found nothing, asked in every call."""

from itertools import chain
from operator import itemgetter
from typing import Any

from torch import Tensor, nn

from sam_edu.fast.changes import change_of, has_global_hook
from sam_edu.fast.fused import stacked_parameters

_hooks_of = itemgetter("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Snapshot:
    """Attributes, members and classes of all modules of a decoder that is not changed.

    To compare them takes a third of the time of `change_of`, as nothing is looked up by name. What it holds it also
    keeps alive, so that no other object can take its place unseen.

    Args:
        decoder: of which `change_of` says nothing.

    Attributes:
        decoder: as given.
        stacked: `stacked_parameters` of it.
        parameters: all of its parameters.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self.decoder = decoder
        self.stacked: list[Tensor] = stacked_parameters(decoder)
        self.parameters: list[Tensor] = list(decoder.parameters())
        self._modules = list(decoder.modules())
        self._attributes = [module.__dict__ for module in self._modules]
        self._copies = [dict(attributes) for attributes in self._attributes]
        self._kinds = self._classes()
        self._forwards = {kind: kind.forward for kind in set(self._kinds)}
        tables: list[Any] = [table for m in self._modules for table in (m._modules, m._parameters)]
        self._tables: list[dict[str, Any]] = [table for table in tables if table]
        self._members: list[Any] = list(chain.from_iterable(map(dict.values, self._tables)))
        self._ids = list(map(id, self._members))

    def holds(self) -> bool:
        """Whether all is as it was. (A new mode, as by `eval`, is a change too: then `change_of` has to say.)"""
        return (
            not any(map(any, map(_hooks_of, self._attributes)))
            and list(map(id, chain.from_iterable(map(dict.values, self._tables)))) == self._ids
            and self._classes() == self._kinds
            and self._attributes == self._copies
            and all(kind.forward is forward for kind, forward in self._forwards.items())
        )

    def _classes(self) -> list[type[nn.Module]]:
        return list(map(type, self._modules))


class Watch:
    """Asks `change_of` of a decoder, and only again after something about it has changed.

    A copy (`copy.deepcopy`, pickle) begins anew, as the modules that go with it are others.
    """

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None

    def __reduce__(self) -> tuple[type["Watch"], tuple[()]]:
        return type(self), ()

    def change_of(self, decoder: nn.Module) -> str:
        """`sam_edu.fast.changes.change_of`, faster."""
        if self._current(decoder) is not None and not has_global_hook():
            return ""
        change = change_of(decoder)
        self._snapshot = None if change else Snapshot(decoder)
        return change

    def stacked_parameters(self, decoder: nn.Module) -> list[Tensor]:
        """`sam_edu.fast.fused.stacked_parameters` of a decoder that `change_of` was asked of just now, faster."""
        return stacked_parameters(decoder) if self._snapshot is None else self._snapshot.stacked

    def parameters(self, decoder: nn.Module) -> list[Tensor]:
        """All parameters, likewise."""
        return list(decoder.parameters()) if self._snapshot is None else self._snapshot.parameters

    def _current(self, decoder: nn.Module) -> Snapshot | None:
        snapshot = self._snapshot
        return snapshot if snapshot is not None and snapshot.decoder is decoder and snapshot.holds() else None
