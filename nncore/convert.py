"""The door: anything that holds numbers -> an Array of ours.

float16/32/64 become float32; all integers int64, except uint8, which stays (images); bool stays. Complex numbers, objects
and strings are refused. Arrays of any layout and byte order are accepted; what comes in is copied.
"""
import numpy as np

from . import _core

__all__ = ["to_array", "float_tensor", "index_tensor"]


def to_array(data, dtype=None):
    """An Array with the values of `data`: numbers, nested lists, NumPy arrays, anything with the buffer protocol, tensors."""
    if isinstance(data, _core.TensorBase):
        array = _core.copy(data.array)
    elif type(data) is float:
        array = _core.from_scalar(data)
    else:
        array = _core.from_buffer(data) if isinstance(data, np.ndarray) else None
        if array is None or array.dtype == "uint64":
            array = _core.from_buffer(_plain(data))
    return array if dtype is None or array.dtype == _name(dtype) else convert_array(array, _name(dtype))


def _name(dtype):
    names = {float: "float32", int: "int64", bool: "bool"}
    if isinstance(dtype, str) or dtype in names:
        dtype = names.get(dtype, dtype)
    else:
        dtype = np.dtype(dtype).name
    if dtype in ("float64", "float16"):
        dtype = "float32"
    elif dtype == "int32":
        dtype = "int64"
    if dtype not in ("float32", "int64", "uint8", "bool"):
        raise TypeError(f"dtype {dtype!r}: float32, int64, uint8 or bool expected")
    return dtype


def _plain(data):
    """A C-contiguous NumPy array in native byte order, of one of our dtypes."""
    a = np.asarray(data)
    kind = a.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):
            a = a.astype("=f4")
    elif kind == "b":
        pass
    elif kind == "u" and a.dtype.itemsize == 1:
        pass
    elif kind in "iu":
        if kind == "u" and a.dtype.itemsize == 8 and a.size and a.max() > 2**63 - 1:
            raise ValueError(f"integer {a.max()} does not fit int64")
        a = a.astype("=i8")
    elif kind == "c":
        raise TypeError(f"complex numbers are not supported (array of {a.dtype})")
    else:
        raise TypeError(f"numbers expected, got {type(data).__name__} with elements of type {a.dtype}")
    if a.ndim > 5:
        raise ValueError(f"at most 5 dimensions, got {a.ndim}: {a.shape}")
    return np.array(a, order="C", copy=None, ndmin=0)


def convert_array(array, dtype):
    """`array` in another dtype. Numbers that do not survive are refused: 0.5 or NaN as int64, 2**24 + 1 as float32."""
    result = _core.cast(array, dtype)
    if dtype == "bool" or array.dtype == "bool":
        return result
    a = array.numpy()
    if dtype == "float32":
        if array.dtype == "int64" and a.size and np.abs(a).max() > 2**24 and not np.array_equal(result.numpy().astype("i8"), a):
            raise ValueError("an integer beyond 2**24 is not exact in float32")
    elif array.dtype == "float32":
        low, high = (0, 255) if dtype == "uint8" else (-(2.0**63), 2.0**63)
        if a.size and not (a.min() >= low and a.max() <= high and (dtype == "uint8" or a.max() < high)):
            raise ValueError(f"float32 values between {a.min()} and {a.max()} do not fit {dtype}")
    elif dtype == "uint8" and a.size and (a.min() < 0 or a.max() > 255):
        raise ValueError(f"integers between {a.min()} and {a.max()} do not fit uint8")
    return result


def float_tensor(data):
    """`data` as a float32 tensor; a tensor of another dtype is converted, if its values are exact in float32."""
    array = data.array if isinstance(data, _core.TensorBase) else to_array(data)
    return _core.make_tensor(array if array.dtype == "float32" else convert_array(array, "float32"))


def index_tensor(data):
    """`data` as an int64 tensor of indices or labels; floating-point numbers are refused."""
    array = data.array if isinstance(data, _core.TensorBase) else to_array(data)
    if array.dtype == "float32" and array.size:
        raise TypeError(f"integer labels or indices expected, got float32 of shape {array.shape}")
    return _core.make_tensor(array if array.dtype == "int64" else _core.cast(array, "int64"))


_core.set_converter(float_tensor)
