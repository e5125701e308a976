"""The door: anything that holds numbers -> an Array of ours.

float16/32/64 become float32; all integers int64, except uint8, which stays (images); bool stays. Complex numbers,
objects and strings are refused. Arrays of any layout and byte order are accepted; what comes in is copied.
"""
import numpy as np

from . import _core

__all__ = ["to_array", "dtype_name", "float_tensor", "index_tensor"]


MOST = 2**31 - 1  # elements of an axis


def to_array(data, dtype=None):
    """An Array with the values of `data`: numbers, nested lists, NumPy arrays, anything with the buffer protocol,
    tensors."""
    if isinstance(data, _core.TensorBase):
        array = _core.copy(data.array)
    elif type(data) is float:
        array = _core.from_scalar(data)
    else:
        array = _core.from_buffer(data) if isinstance(data, np.ndarray) else None
        if array is None or array.dtype == "uint64":
            array = _core.from_buffer(_plain(data))
    return array if dtype is None or array.dtype == dtype_name(dtype) else convert_array(array, dtype_name(dtype))


def dtype_name(dtype):
    """The name of one of our dtypes, from a name, a NumPy dtype or a Python type: float64 is float32, int32 int64."""
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
    if max(a.shape, default=0) > MOST:
        raise MemoryError(f"shape {a.shape}: an axis holds at most {MOST} elements")
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


def convert_array(array, dtype, truncate=False):
    """`array` in another dtype. Numbers that do not survive are refused: 0.5 or NaN as int64, 2**24 + 1 as float32.

    truncate: fractions are cut off instead, as NumPy's astype does; NaN and what is out of range are refused still.
    """
    if array.dtype == "float32" and dtype in ("int64", "uint8") and array.size:
        a = array.numpy()
        low, high = (-1.0, 256.0) if dtype == "uint8" else (-(2.0**63) - 2.0**40, 2.0**63)
        if not (a.min() > low and a.max() < high):
            raise ValueError(f"float32 values between {a.min()} and {a.max()} do not fit {dtype}")
        if not truncate and (np.trunc(a) != a).any():
            raise ValueError(f"float32 values as {dtype}: {a[np.trunc(a) != a].flat[0]} is not whole")
    elif array.dtype == "int64" and dtype == "uint8" and array.size:
        a = array.numpy()
        if a.min() < 0 or a.max() > 255:
            raise ValueError(f"integers between {a.min()} and {a.max()} do not fit uint8")
    return _core.cast(array, dtype)


def float_tensor(data):
    """`data` as a float32 tensor; a tensor of another dtype is converted, if its values are exact in float32."""
    if isinstance(data, (list, tuple)) and _core.grad_mode() and _wants_grad(data):
        raise TypeError("a list of tensors has no gradient, and one of these requires it: use stack() or concat()")
    array = data.array if isinstance(data, _core.TensorBase) else to_array(data)
    return _core.make_tensor(array if array.dtype == "float32" else convert_array(array, "float32"))


def _wants_grad(data):
    return any(x.requires_grad if isinstance(x, _core.TensorBase) else isinstance(x, (list, tuple)) and _wants_grad(x)
               for x in data)


def index_tensor(data, name):
    """`data` as an int64 tensor of indices or labels of the op `name`; floating-point numbers are refused."""
    array = data.array if isinstance(data, _core.TensorBase) else to_array(data)
    if array.dtype == "float32" and array.size:
        raise TypeError(f"{name}: integer labels or indices expected, got float32 of shape {array.shape}")
    return _core.make_tensor(array if array.dtype == "int64" else _core.cast(array, "int64"))


_core.set_converter(float_tensor)
