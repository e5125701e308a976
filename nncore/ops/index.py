"""x[key]: what stands between the brackets, as slices and takes, which know their gradients."""
import math

import numpy as np

from .. import _core
from ..convert import index_tensor, to_array
from .move import as_tensor, reshape, slice_axis, take

__all__ = ["index", "put"]


def index(x, key):
    """x[key]: integers, slices with any step, None, ..., a mask of bools, and arrays of integers.

    Several arrays of integers must stand side by side; they broadcast, and pick one element, or row, for each of
    theirs: q[range(batch), actions]. An integer takes its axis away first, as PyTorch has it: x[0, :, [1, 2]] is
    x[0][:, [1, 2]], where NumPy puts the picked axis in front.
    """
    x = as_tensor(x)
    keys, arrays = _completed(x.array.shape, list(key) if isinstance(key, tuple) else [key])
    if any(arrays) and any(map(_is_integer, keys)):
        first, key = _parted(keys, arrays)
        return index(index(x, first), key)
    if sum(arrays) > 1:
        keys, arrays = _joined(keys, arrays)
    whole = x
    dim, final = 0, []  # dim: axis of x in work; final: the result's shape
    for k, array in zip(keys, arrays):
        if k is None:
            final.append(1)
        elif array:
            x, sizes = _pick_many(x, k, dim) if isinstance(k, _Together) else _pick(x, k, dim)
            final.extend(sizes)
            dim += len(sizes)
        elif isinstance(k, slice):
            n = x.array.shape[dim]
            start, stop, step = k.indices(n)
            count = len(range(start, stop, step))
            if count != n or step != 1:
                x = slice_axis(x, dim, start if count else 0, step, count)
            final.append(count)
            dim += 1
        else:
            n, i = x.array.shape[dim], _integer(k)
            if not -n <= i < n:
                raise IndexError(f"index {i} is out of range for axis {dim} of shape {x.array.shape}")
            x = slice_axis(x, dim, i % n, 1, 1)
            dim += 1
    return x if tuple(final) == x.array.shape and x is not whole else reshape(x, final)


def put(a, key, value):
    """a[key] = value in a NumPy array. Integers take their axes away first here, too."""
    if isinstance(key, tuple) and any(map(_is_array, key)) and any(map(_is_integer, key)):
        first, key = _parted(*_completed(a.shape, list(key)))
        a = a[first]
    a[key] = value


class _Together(list):
    """Arrays of integers that pick together."""


def _completed(shape, keys):
    """keys with one for every axis, `...` written out, and which of them are arrays."""
    arrays = list(map(_is_array, keys))
    consumed = sum(_mask_axes(k) if array else k is not None and k is not Ellipsis for k, array in zip(keys, arrays))
    if consumed > len(shape):
        raise IndexError(f"{consumed} indices for a tensor of shape {shape}")
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can have only one ellipsis")
    at = dots[0] if dots else len(keys)
    full = [slice(None)] * (len(shape) - consumed)
    return keys[:at] + full + keys[at + 1:], arrays[:at] + [False] * len(full) + arrays[at + 1:]


def _is_array(k):
    return isinstance(k, (list, range, _core.TensorBase)) or hasattr(k, "dtype") and getattr(k, "ndim", 0) > 0


def _is_integer(k):
    return hasattr(k, "__index__") and not _is_array(k) and not isinstance(k, (bool, np.bool_))


def _parted(keys, arrays):
    """keys, none left out, as two that stand for the same one after the other: integers and slices; arrays."""
    first, then = [], []
    for k, array in zip(keys, arrays):
        if array:
            first.extend([slice(None)] * _mask_axes(k))
            then.append(k)
        elif k is None:
            then.append(k)
        elif isinstance(k, slice):
            first.append(k)
            then.append(slice(None))
        else:
            first.append(_integer(k))
    return tuple(first), tuple(then)


def _joined(keys, arrays):
    """keys with the arrays among them as one _Together."""
    first, last = arrays.index(True), len(arrays) - arrays[::-1].index(True)
    if not all(arrays[first:last]):
        raise IndexError("arrays of indices must stand side by side, with nothing but integers between them")
    together = [as_tensor(k) for k in keys[first:last]]
    if any(k.array.dtype == "bool" for k in together):
        raise IndexError("a mask cannot stand beside other arrays of indices")
    together = _Together(index_tensor(k, "index").array for k in together)
    return keys[:first] + [together] + keys[last:], arrays[:first] + [True] + arrays[last:]


def _integer(k):
    try:
        if not isinstance(k, bool):
            return k.__index__()
    except (AttributeError, TypeError):  # TypeError: NumPy's bool
        pass
    raise IndexError(f"integers, slices, None, ... and arrays are indices, not {type(k).__name__}")


def _mask_axes(k):
    """How many axes an array of indices stands for: one, or as many as a mask has."""
    array = as_tensor(k).array
    return array.ndim if array.dtype == "bool" else 1


def _pick(x, k, dim):
    """x picked by an array of indices or a mask at axis dim, and the sizes that take the place of what it stands
    for."""
    k = as_tensor(k)
    if k.array.dtype == "bool":
        shape = x.array.shape
        n = k.array.ndim
        if k.array.shape != shape[dim:dim + n]:
            raise IndexError(f"a mask of shape {k.array.shape} does not fit axes {dim}.. of shape {shape}")
        if n != 1:
            x = reshape(x, shape[:dim] + (math.prod(shape[dim:dim + n]),) + shape[dim + n:])
        k = _core.make_tensor(to_array(k.array.numpy().reshape(-1).nonzero()[0]))
    return take(x, k, dim), k.array.shape


def _pick_many(x, arrays, dim):
    """The same for several arrays of integers at axes dim, dim + 1, ...: those axes become one, and one array picks
    there."""
    shape, flat, joined = x.array.shape, arrays[0], x.array.shape[dim]
    try:
        sizes = np.broadcast_shapes(*[a.shape for a in arrays])
    except ValueError:
        raise IndexError(f"arrays of indices of shapes {[a.shape for a in arrays]} do not broadcast") from None
    for axis, a in enumerate(arrays[1:], dim + 1):
        flat = _core.flat_index(flat, a, joined, shape[axis], sizes, shape, axis)
        joined *= shape[axis]
    rest = shape[dim + len(arrays):]
    return take(reshape(x, shape[:dim] + (joined,) + rest), _core.make_tensor(flat), dim), sizes
