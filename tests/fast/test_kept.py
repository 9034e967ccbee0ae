"""What is kept is used again for the same inputs, and never for others."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from sam_edu.fast.kept import Identity, Kept


def uses(kept, by, *inputs):
    """Whether the result is used again."""
    computed = []
    kept.get("name", list(inputs), lambda: computed.append(1), by)
    return not computed


@pytest.mark.parametrize("by", ["values", "identity"])
def test_the_same_tensors_are_recognised(by):
    kept, x, y = Kept(), torch.ones(3), torch.zeros(2, 2)
    assert not uses(kept, by, x, y)
    assert uses(kept, by, x, y)
    assert not uses(kept, by, y, x) or by == "values"
    assert not uses(kept, by, x)


def test_nothing_keeps_nothing():
    kept, x = Kept(), torch.ones(3)
    assert not uses(kept, "nothing", x)
    assert len(kept) == 0


def in_place(x):
    with torch.no_grad():
        x.add_(1)


def in_inference_mode(x):
    with torch.inference_mode():
        x.add_(1)


def new_memory(x):
    x.data = x.data + 1


def there_and_back(x):
    """Other values at the old address: the allocator gives it away again once it is free."""
    address = x.data_ptr()
    for _ in range(1000):
        x.data = x.data + 1
        if x.data_ptr() == address:
            return


CHANGES = {
    "in place": in_place,
    "in inference mode": in_inference_mode,
    "by a view": lambda x: x.detach()[0].add_(1),
    "by a slice": lambda x: x.detach()[1:].zero_(),
    "by detach": lambda x: x.detach().mul_(2),
    "by copy": lambda x: x.detach().copy_(torch.full((2, 3), 7.0)),
    "new memory": new_memory,
    "new memory twice": there_and_back,
    "by an optimiser": lambda x: torch.optim.SGD([with_gradient(x)], lr=1.0).step(),
    "by foreach": lambda x: torch._foreach_add_([x.detach()], 1.0),
}


def with_gradient(x):
    x.grad = torch.ones_like(x)
    return x


@pytest.mark.parametrize("by", ["values", "identity"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change, by):
    kept, x = Kept(), nn.Parameter(torch.ones(2, 3))
    assert not uses(kept, by, x)
    assert uses(kept, by, x)
    CHANGES[change](x)
    assert not uses(kept, by, x)
    assert uses(kept, by, x)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_through_a_view_made_anew_in_every_call(change):
    kept, x = Kept(), nn.Parameter(torch.ones(2, 3))
    with torch.no_grad():
        assert not uses(kept, "identity", x.view(2, 3, 1).expand(-1, -1, 4))
        assert uses(kept, "identity", x.view(2, 3, 1).expand(-1, -1, 4))
    CHANGES[change](x)
    with torch.no_grad():
        assert not uses(kept, "identity", x.view(2, 3, 1).expand(-1, -1, 4))


OTHERS = {
    "an equal copy": lambda x: x.clone(),
    "another view": lambda x: x.mT,
    "a part": lambda x: x[:1],
    "another part": lambda x: x[1:],
    "an alias that counts for itself": lambda x: x.data,
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_tensor_on_the_same_memory_is_another_one(other):
    kept, x = Kept(), torch.ones(2, 2)
    assert not uses(kept, "identity", x)
    assert not uses(kept, "identity", OTHERS[other](x))


def test_a_tensor_at_the_address_of_one_that_is_gone_is_another_one():
    kept = Kept()
    for _ in range(20):
        x = torch.ones(1000)
        assert not uses(kept, "identity", x)
        del x


def test_other_memory_at_the_same_address_is_other_memory():
    """A new storage can have its numbers where the old one had them, and lie where that lay if nobody holds it."""
    array = np.ones(3, np.float32)
    x = torch.from_numpy(array)
    before, address, storages = Identity.of(x), x.data_ptr(), []
    for _ in range(100):
        array += 1
        x.data = torch.from_numpy(array)
        storages.append(x.untyped_storage()._cdata)
        assert (x.data_ptr(), x._version) == (address, before.version)
        assert not before.fits(x)
    assert len(set(storages)) < len(storages)  # else nothing is shown


def test_inference_tensors_have_no_version_and_are_never_recognised():
    kept = Kept()
    with torch.inference_mode():
        x = torch.ones(3)
        assert not uses(kept, "identity", x)
        assert not uses(kept, "identity", x)
        assert not uses(kept, "values", x)
        assert uses(kept, "values", x)
        x.add_(1)
        assert not uses(kept, "values", x)


def test_what_only_values_see():
    """The stated limit of identity: `.data` and NumPy are not counted. On a processor values are compared."""
    for write in (lambda x: x.data.add_(1), lambda x: x.numpy().fill(5)):
        for by, seen in (("values", True), ("identity", False)):
            kept, x = Kept(), torch.ones(3)
            uses(kept, by, x)
            write(x)
            assert uses(kept, by, x) is not seen


def test_another_recognition_begins_anew():
    kept, x = Kept(), torch.ones(3)
    assert not uses(kept, "identity", x)
    assert not uses(kept, "values", x)
    assert uses(kept, "values", x)


def test_inputs_are_not_kept_alive():
    kept, x = Kept(), torch.ones(3)
    uses(kept, "identity", x)
    alive = weakref.ref(x)
    del x
    gc.collect()
    assert alive() is None


def test_forgetting():
    kept, x = Kept(), torch.ones(3)
    kept.get("a", [x], lambda: 1, "values")
    kept.get("b", [x], lambda: 2, "values")
    kept.forget("a")
    assert "a" not in kept
    assert "b" in kept
    kept.forget()
    assert len(kept) == 0


@pytest.mark.parametrize("by", ["values", "identity"])
def test_other_settings_are_other_inputs(by):
    kept, x = Kept(), torch.ones(3)
    assert [kept.get("a", [x], lambda n=n: n, by, n) for n in (1, 1, 2, None)] == [1, 1, 2, None]
    assert len(kept) == 1


@pytest.mark.parametrize("by", ["values", "identity"])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda kept: pickle.loads(pickle.dumps(kept))])
def test_a_copy_begins_empty(duplicate, by):
    kept, x = Kept(), torch.ones(3)
    uses(kept, by, x)
    assert len(duplicate(kept)) == 0
    assert uses(kept, by, x)
