"""Kept: results that are used again as long as the tensors that they were computed from are the same."""

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from sam_edu.fast.plan import Recognition

T = TypeVar("T")


class Identity(NamedTuple):
    """What a tensor is recognised by without reading a value: the object, its memory, its version and its layout.

    The object is that of the base where the tensor is a view, as `expand` and slices make a new view in every call. It
    is held weakly, so that nothing is kept alive; and so is the memory, so that its address cannot be given to another
    tensor meanwhile. The version counts all changes in place, also those through views, `detach` and under `no_grad`.
    It does not count what is written through `.data`, NumPy or DLPack.
    """

    owner: weakref.ref[Tensor]
    storage: StorageWeakRef
    version: int
    layout: tuple[Any, ...]

    @classmethod
    def of(cls, x: Tensor) -> "Identity | None":
        """The identity of a tensor; None for an inference tensor, whose changes nobody counts."""
        if x.is_inference():
            return None
        owner = x if x._base is None else x._base
        return cls(weakref.ref(owner), StorageWeakRef(x.untyped_storage()), x._version, _layout(x))

    def fits(self, x: Tensor) -> bool:
        """Whether `x` is that tensor, unchanged."""
        return (
            not x.is_inference()
            and self.owner() is (x if x._base is None else x._base)
            and self.storage.cdata == x.untyped_storage()._cdata
            and self.version == x._version
            and self.layout == _layout(x)
        )


class Values(NamedTuple):
    """What a tensor is recognised by where values can be read at once: a copy of them."""

    copy: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Values":
        """A copy of a tensor."""
        return cls(x.detach().clone())

    def fits(self, x: Tensor) -> bool:
        """Whether `x` has the same values, in the same dtype."""
        return self.copy.dtype == x.dtype and self.copy.device == x.device and torch.equal(self.copy, x)


class Kept:
    """Results by name, each with what its inputs are recognised by.

    A copy (`copy.deepcopy`, pickle) begins empty: what goes with it are copies of the inputs, and a reference to memory
    cannot be copied.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[Any], Hashable, Any]] = {}

    def __reduce__(self) -> tuple[type["Kept"], tuple[()]]:
        return type(self), ()

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __len__(self) -> int:
        return len(self._found)

    def get(
        self,
        name: str,
        inputs: Sequence[Tensor],
        compute: Callable[[], T],
        by: Recognition,
        settings: Hashable = None,
    ) -> T:
        """`compute()`, or its last result under this name if the inputs are the same as then.

        Args:
            name: of the result; one is kept under each name.
            inputs: all tensors that it is computed from.
            compute: computes it.
            by: "values" compares all of them with copies. "identity" asks whether they are the same tensors, and in
                no way changed, without reading a value. "nothing" computes and keeps nothing.
            settings: what else it depends on, compared with ==.
        """
        if by == "nothing":
            return compute()
        kind: Any = Values if by == "values" else Identity
        before, settings_before, result = self._found.get(name, ([], None, None))
        same = len(before) == len(inputs) and all(
            isinstance(a, kind) and a.fits(b) for a, b in zip(before, inputs, strict=True)
        )
        if not before or not same or settings_before != settings:
            result = compute()
            self._found[name] = ([kind.of(x) for x in inputs], settings, result)
        return result

    def forget(self, *names: str) -> None:
        """Drop what is kept under these names; under all without any."""
        for name in names or tuple(self._found):
            self._found.pop(name, None)


def _layout(x: Tensor) -> tuple[Any, ...]:
    return x.shape, x.stride(), x.storage_offset(), x.dtype
