"""What a device is asked for: the operations of a call on the meta device, which has no values to read."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """Records the operations, and the bytes that are alive at most."""

    def __init__(self):
        super().__init__()
        self.names, self.alive, self.most = [], 0, 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(x, torch.Tensor):
                self._count(x.untyped_storage())
        return result

    def _count(self, storage):
        if storage._cdata not in self._known:
            size = storage.nbytes()
            self._known.add(storage._cdata)
            self.alive += size
            self.most = max(self.most, self.alive)
            weakref.finalize(storage, self._free, storage._cdata, size)

    def _free(self, key, size):
        self._known.discard(key)
        self.alive -= size


READS = ("_local_scalar_dense", "aten.equal", "nonzero", "aten.item", "is_nonzero", "_to_copy", "masked_select")
"""Parts of the names of operations that read a value back, or make the processor wait for one."""
