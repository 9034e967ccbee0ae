"""Numbers between PyTorch and NumPy: every form that tensors and arrays have, in and out."""

from typing import Any

import numpy as np
import pytest
import torch

from sam_edu.arrays import as_numbers, on_device, shorten, to_numpy, to_tensor

VALUES = [[0.0, 1.0, 2.0], [4.0, 8.0, 16.0]]
TENSORS = {
    "float32": (lambda x: x, np.float32),
    "float64": (torch.Tensor.double, np.float64),
    "float16": (torch.Tensor.half, np.float16),
    "bfloat16": (torch.Tensor.bfloat16, np.float32),
    "8-bit floats": (lambda x: x.to(torch.float8_e5m2), np.float32),
    "int64": (torch.Tensor.long, np.int64),
    "uint16": (lambda x: x.to(torch.uint16), np.uint16),
    "with a gradient": (lambda x: x.requires_grad_(), np.float32),
    "computed": (lambda x: x.requires_grad_() * 1, np.float32),
    "transposed": (lambda x: x.mT.contiguous().mT, np.float32),
    "expanded": (lambda x: x[None].expand(3, -1, -1)[1], np.float32),
    "sparse": (torch.Tensor.to_sparse, np.float32),
    "sparse rows": (torch.Tensor.to_sparse_csr, np.float32),
    "quantised": (lambda x: torch.quantize_per_tensor(x, 0.5, 0, torch.quint8), np.float32),
    "negative view": (lambda x: x.mul(-1j).conj().imag, np.float32),
}


@pytest.mark.parametrize(("form", "dtype"), TENSORS.values(), ids=TENSORS)
def test_every_tensor_goes_out_and_in(form: Any, dtype: Any) -> None:
    tensor = form(torch.tensor(VALUES))
    for array in (to_numpy(tensor), as_numbers("x", tensor)):
        assert array.dtype == dtype
        assert array.tolist() == VALUES


def test_bools_and_single_numbers() -> None:
    assert to_numpy(torch.tensor([True, False])).tolist() == [True, False]
    assert to_numpy(torch.tensor(2.5, dtype=torch.bfloat16)).shape == ()
    assert as_numbers("x", 3).tolist() == 3
    assert as_numbers("x", [torch.tensor(1.5, dtype=torch.bfloat16), 2]).tolist() == [1.5, 2.0]
    assert as_numbers("x", [[torch.ones((), requires_grad=True)], (np.float32(2),)]).tolist() == [[1.0], [2.0]]


ARRAYS = {
    "mirrored": np.array(VALUES)[::-1, ::-1],
    "Fortran's order": np.asfortranarray(VALUES),
    "big-endian": np.array(VALUES, ">f8"),
    "big-endian integers": np.array(VALUES, ">i2"),
    "long double": np.array(VALUES, np.longdouble),
    "float16": np.array(VALUES, np.float16),
    "a matrix": np.matrix(VALUES),
    "one number": np.array(3.0),
    "none": np.zeros((0, 2)),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_every_array_becomes_a_tensor_of_its_own(array: np.ndarray, default: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        tensor = to_tensor(as_numbers("x", array), dtype=torch.float32, device=torch.device("cpu"))
    finally:
        torch.set_default_dtype(before)
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == array.tolist()
    tensor.zero_()
    assert array.any() or not array.size


def test_a_read_only_array_becomes_a_tensor_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    array = np.frombuffer(b"abc", np.uint8)
    assert to_tensor(array, dtype=torch.uint8, device=torch.device("cpu")).tolist() == [97, 98, 99]
    assert not recwarn.list


def test_what_is_numbers_keeps_its_dtype_and_its_memory() -> None:
    for dtype in (np.uint8, np.int32, np.float16, np.float32, bool):
        array = np.ones(3, dtype)
        assert as_numbers("x", array).dtype == dtype
        assert np.shares_memory(as_numbers("x", array), array)


def test_positions_are_wide_enough_for_half_pixels() -> None:
    for tensor in (torch.tensor([1000.5]), torch.tensor([1000.5], dtype=torch.float64), torch.tensor([1000])):
        assert on_device(tensor, torch.device("cpu")).dtype == tensor.dtype
    half = torch.tensor([1000.5], dtype=torch.float16, requires_grad=True)
    assert on_device(half, torch.device("cpu")).dtype == torch.float32
    assert not on_device(half, torch.device("cpu")).requires_grad
    assert on_device(half, torch.device("meta")).is_meta
    sparse = on_device(torch.tensor(VALUES).to_sparse(), torch.device("cpu"))
    assert sparse.layout == torch.strided
    assert sparse.tolist() == VALUES


def test_a_tensor_without_values_does_not_go_out() -> None:
    with pytest.raises(ValueError, match=r"expected a tensor with values, got one on the device meta; load the model"):
        to_numpy(torch.ones(2, device="meta"))


REFUSED = {
    "text": ("1, 2", TypeError, r"x: expected numbers, got str of <U4: '1, 2'"),
    "texts": (["1", "2"], TypeError, "x: expected numbers, got list"),
    "None": (None, TypeError, "x: expected numbers, got NoneType of object: None"),
    "objects": (np.array([1, None]), TypeError, "x: expected numbers, got ndarray of object"),
    "a dictionary": ({"x": 1}, TypeError, "x: expected numbers, got dict"),
    "a set": ({1, 2}, TypeError, "x: expected numbers, got set"),
    "complex": (np.array([1j]), TypeError, "x: expected numbers, got ndarray of complex128"),
    "a complex tensor": (torch.tensor([1j]), TypeError, "x: expected numbers, got Tensor of complex64"),
    "dates": (np.array(["2024-01-01"], "datetime64[D]"), TypeError, "x: expected numbers, got ndarray of datetime64"),
    "records": (np.zeros(2, [("a", "i4")]), TypeError, "x: expected numbers, got ndarray"),
    "other lengths": (
        [[1], [2, 3]],
        ValueError,
        r"x: expected an array, got rows of different lengths: \[\[1\], \[2, 3",
    ),
    "masked": (np.ma.masked_equal([1, 2], 2), ValueError, r"x: .*masked array; fill it first with \.filled"),
    "meta": (torch.ones(2, device="meta"), ValueError, "x: .*without values"),
    "meta in a list": ([torch.ones((), device="meta")], ValueError, "x: .*without values"),
    "nested": (torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), ValueError, "x: .*nested tensor; pad it"),
}


@pytest.mark.parametrize(("value", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_number_is_refused_by_name(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        as_numbers("x", value)


def test_a_long_value_is_shortened_to_one_line() -> None:
    assert shorten([1, 2]) == "[1, 2]"
    assert len(shorten(np.arange(1000.0).reshape(10, 100))) == 60
    assert "\n" not in shorten(np.zeros((3, 3)))
