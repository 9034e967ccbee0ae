"""Numbers on their way between PyTorch and NumPy: one way in, one way out.

Every input that may be an array, a tensor or a list passes `as_numbers`; every tensor that leaves as an array passes
`to_numpy`; every array that becomes a tensor passes `to_tensor`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

_NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor as a NumPy array, wherever it is and whether or not it requires a gradient.

    NumPy has no bfloat16 and no 8-bit floats: these become float32. Every other dtype stays what it is.

    Args:
        tensor: of any shape, dtype, device and layout that holds values.

    Raises:
        ValueError: a tensor without values (on the device meta).
    """
    if tensor.is_meta:
        raise ValueError(
            "expected a tensor with values, got one on the device meta; load the model with device='cpu', and create"
            " tensors while torch.get_default_device() is no meta device"
        )
    tensor = tensor.detach().cpu()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_floating_point() and tensor.dtype not in _NUMPY_FLOATS:
        tensor = tensor.float()
    return tensor.resolve_conj().resolve_neg().numpy()


def to_tensor(array: np.ndarray, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A NumPy array as a tensor of its own memory.

    A copy, so that it may be read-only, mirrored (negative strides), in Fortran's order or mapped from a file.

    Args:
        array: numbers, as `as_numbers` gives them.
        dtype: of the tensor; never PyTorch's default, which a caller may have changed.
        device: of the tensor.
    """
    return torch.from_numpy(np.array(array, order="C")).to(device, dtype)


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A prompt's tensor where the model is: dense, without a gradient, floats in float32 at least.

    Half precision cannot hold a position and its half pixel.
    """
    tensor = tensor.detach().to(device)
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    return tensor.float() if tensor.is_floating_point() and tensor.dtype.itemsize < 4 else tensor


def as_numbers(name: str, value: Any) -> np.ndarray:
    """Anything that holds numbers as a NumPy array of integers, floats or bools, in this machine's byte order.

    Args:
        name: the argument's name, for messages.
        value: an array, a tensor (of any device, dtype and layout), a number, or nested lists of these.

    Raises:
        TypeError: it holds something else than real numbers: text, None, objects, complex numbers, dates.
        ValueError: rows of different lengths, masked values, or a tensor without values (on the device meta).
    """
    try:
        array = np.asanyarray(_plain(name, value))
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(f"{name}: expected an array, got rows of different lengths: {shorten(value)}") from None
    except TypeError as error:  # an array library that leaves its device only when asked to
        raise TypeError(f"{name}: expected numbers, got {type(value).__name__}: {error}") from None
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(f"{name}: expected a number everywhere, got a masked array; fill it first with .filled(value)")
    array = np.asarray(array)  # np.matrix and other subclasses index in ways of their own
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name}: expected numbers, got {type(value).__name__} of {array.dtype}: {shorten(value)}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # PyTorch has no long double
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def shorten(value: Any, length: int = 60) -> str:
    """A value as text of one line, for a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= length else text[: length - 4] + " ..."


def _plain(name: str, value: Any) -> Any:
    """The value with every tensor in it as an array."""
    if isinstance(value, Tensor):
        if value.is_meta:
            raise ValueError(f"{name}: expected numbers, got a tensor without values (device meta)")
        if value.is_nested:
            raise ValueError(f"{name}: expected an array, got a nested tensor; pad it first with .to_padded_tensor(0)")
        return to_numpy(value)
    if isinstance(value, list | tuple):
        return [_plain(name, one) for one in value]
    return value
