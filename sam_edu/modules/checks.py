"""check_shape, check_batches and check_one_or_each: refuse tensors whose types, shapes or batches do not fit.

Each of them passes its arguments to a function of this file that is registered with `torch.fx.wrap`. Where `torch.fx`
traces a module, tensors and sizes are symbols that cannot be compared: a registered function is not followed but
recorded as it is called, and checks when the traced module runs.
"""

import torch.fx
from torch import Tensor


def check_shape(name: str, tensor: Tensor, wanted: tuple[int | str, ...]) -> None:
    """Raise an error unless `tensor` has the rank and the fixed sizes of `wanted`.

    Args:
        name: the argument's name, for the message.
        tensor: the tensor to check.
        wanted: per axis an int (this size exactly) or a str (any size; the axis' name for the message). A first
            "..." stands for any number of axes.

    Raises:
        TypeError: not a tensor.
        ValueError: another rank, or another size where `wanted` has an int.
    """
    _check_shape(name, tensor, wanted)


@torch.fx.wrap
def _check_shape(name: str, tensor: Tensor, wanted: tuple[int | str, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor of shape {describe(wanted)}, got {type(tensor).__name__}")
    sizes, wants = tensor.shape, wanted
    if wanted[0] == "...":
        sizes, wants = tensor.shape[1 - len(wanted) :], wanted[1:]
    fits = len(sizes) == len(wants) and all(isinstance(w, str) or n == w for n, w in zip(sizes, wants, strict=True))
    if not fits:
        raise ValueError(f"{name}: expected shape {describe(wanted)}, got {describe(tuple(tensor.shape))}")


def check_batches(**batches: int) -> int:
    """The common batch of several tensors, each of batch 1 or of that size.

    Args:
        batches: per argument name the size of its batch axis.

    Returns:
        the largest of them, to which those of batch 1 broadcast.

    Raises:
        ValueError: two different sizes, neither of them 1.
    """
    return _check_batches(batches)


@torch.fx.wrap
def _check_batches(batches: dict[str, int]) -> int:
    largest = max(batches.values()) if 0 not in batches.values() else 0
    if not all(size == 1 or size == largest for size in batches.values()):
        given = ", ".join(f"{name} has {size}" for name, size in batches.items())
        raise ValueError(f"batch sizes do not fit together (each must be 1 or the same number): {given}")
    return largest


def check_one_or_each(name: str, size: int, batch: int, advice: str) -> None:
    """Raise an error unless a batch is 1, shared by all prompt sets, or has one entry per prompt set.

    Args:
        name: the argument's name, for the message.
        size: the size of its batch axis.
        batch: number of prompt sets.
        advice: the way out, for the message.

    Raises:
        ValueError: another size.
    """
    _check_one_or_each(name, size, batch, advice)


@torch.fx.wrap
def _check_one_or_each(name: str, size: int, batch: int, advice: str) -> None:
    if size not in (1, batch):
        raise ValueError(f"{name}: expected batch 1 (shared) or {batch} (one per prompt set), got {size}. {advice}")


def describe(shape: tuple[int | str, ...]) -> str:
    """A shape as text, for example "(batch, tokens, 256)"."""
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
