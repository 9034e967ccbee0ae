"""check_shape and check_batches: refuse tensors whose types, shapes or batches do not fit."""

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
    largest = max(batches.values()) if 0 not in batches.values() else 0
    if not all(size == 1 or size == largest for size in batches.values()):
        given = ", ".join(f"{name} has {size}" for name, size in batches.items())
        raise ValueError(f"batch sizes do not fit together (each must be 1 or the same number): {given}")
    return largest


def describe(shape: tuple[int | str, ...]) -> str:
    """A shape as text, for example "(batch, tokens, 256)"."""
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
