"""Moving elements: shapes, order, slices, joining and picking. Any dtype; gradients flow through float32."""
import math
import operator

import numpy as np

from .. import _core
from .._core import record
from ..convert import index_tensor, to_array
from .names import numpy_names

__all__ = ["reshape", "permute", "transpose", "slice_axis", "concat", "stack", "split", "pad", "take"]


def as_tensor(x):
    """x if it is a tensor, else a new tensor of its values."""
    return x if isinstance(x, _core.TensorBase) else _core.make_tensor(to_array(x))


def check_axis(name, dim, shape):
    """TypeError or ValueError where axis `dim` does not exist in an array of `shape`."""
    if not hasattr(dim, "__index__"):
        raise TypeError(f"{name}: axis {dim!r} is no integer")
    if not -len(shape) <= dim < len(shape):
        raise ValueError(f"{name}: axis {dim} does not exist in shape {shape}")


def reshape(x, *shape):
    """The same elements in another shape, sharing memory. One size may be -1."""
    x = as_tensor(x)
    if len(shape) == 1:
        shape = shape[0]
    return record(_core.reshape(x.array, shape), _reshape_grad, (x,), (x.array.shape,))


def _reshape_grad(node, dy):
    node.give(0, _core.reshape(dy, node.saved[0]))


def permute(x, *dims):
    """Axis d of the result is axis dims[d] of x."""
    x = as_tensor(x)
    if len(dims) == 1 and not hasattr(dims[0], "__index__"):
        dims = tuple(dims[0])
    inverse = [0] * len(dims)
    y = _core.permute(x.array, dims)
    for d, axis in enumerate(dims):
        inverse[axis] = d
    return record(y, _permute_grad, (x,), (tuple(inverse),))


def _permute_grad(node, dy):
    node.give(0, _core.permute(dy, node.saved[0]))


def transpose(x, dim0=-2, dim1=-1):
    """x with two axes swapped; the last two, if none are named."""
    x = as_tensor(x)
    n = x.array.ndim
    for d in (dim0, dim1):
        check_axis("transpose", d, x.array.shape)
    dims = list(range(n))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, dims)


def slice_axis(x, dim, start, step, count):
    """y[..., j, ...] = x[..., start + j*step, ...], j < count, along one axis."""
    x = as_tensor(x)
    y = _core.slice_axis(x.array, dim, start, step, count)
    return record(y, _slice_grad, (x,), (dim, start, step))


def _slice_grad(node, dy):
    node.give_slice(0, dy, *node.saved)


@numpy_names
def take(x, indices, dim=0):
    """y = x with an axis replaced by the rows that an array of integers names; negative ones count from the end."""
    x, indices = as_tensor(x), index_tensor(indices, "take")
    y = _core.take(x.array, indices.array, dim)
    return record(y, _take_grad, (x,), (indices.array, x.array.shape, dim % x.array.ndim))


def _take_grad(node, dy):
    indices, shape, dim = node.saved
    node.give(0, _core.take_grad(dy, indices, shape, dim), True)


@numpy_names
def concat(tensors, dim=0):
    """Tensors joined along an axis; their other axes agree, and so do their dtypes."""
    tensors = [as_tensor(x) for x in tensors]
    if not tensors:
        raise ValueError("concat: nothing to join")
    first = tensors[0].array
    if any(x.array.dtype != first.dtype for x in tensors):
        raise TypeError(f"concat: dtypes {[x.array.dtype for x in tensors]} differ")
    check_axis("concat", dim, first.shape)
    dim %= first.ndim
    shapes = [x.array.shape for x in tensors]
    if any(s[:dim] + s[dim + 1:] != first.shape[:dim] + first.shape[dim + 1:] for s in shapes):
        raise ValueError(f"concat: shapes {shapes} differ in more than axis {dim}")
    sizes = [s[dim] for s in shapes]
    y = _core.empty(first.shape[:dim] + (sum(sizes),) + first.shape[dim + 1:], first.dtype)
    start = 0
    for x, size in zip(tensors, sizes):
        _core.unslice(y, x.array, dim, start)
        start += size
    return record(y, _concat_grad, tuple(tensors), (dim, tuple(sizes)))


def _concat_grad(node, dy):
    dim, sizes = node.saved
    start = 0
    for i, size in enumerate(sizes):
        if node.needs(i):
            node.give(i, _core.slice_axis(dy, dim, start, 1, size))
        start += size


@numpy_names
def stack(tensors, dim=0):
    """Tensors of one shape joined along a new axis."""
    tensors = [as_tensor(x) for x in tensors]
    if not tensors:
        raise ValueError("stack: nothing to join")
    shapes = [x.array.shape for x in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(f"stack: shapes {shapes} differ")
    n = len(shapes[0]) + 1
    if not hasattr(dim, "__index__"):
        raise TypeError(f"stack: axis {dim!r} is no integer")
    if not -n <= dim < n:
        raise ValueError(f"stack: axis {dim} does not exist in a result of {n} axes")
    dim %= n
    shape = shapes[0][:dim] + (1,) + shapes[0][dim:]
    return concat([reshape(x, shape) for x in tensors], dim)


@numpy_names
def split(x, split_size, dim=0):
    """A tuple of pieces along an axis: of split_size each (the last may be smaller), or of the sizes in a list."""
    x = as_tensor(x)
    shape = x.array.shape
    check_axis("split", dim, shape)
    n = shape[dim]
    if hasattr(split_size, "__index__") and not getattr(split_size, "ndim", 0):
        if split_size < 1:
            raise ValueError(f"split: pieces of {split_size}")
        sizes = [min(split_size, n - start) for start in range(0, n, split_size)] or [0]
    else:
        try:
            sizes = [operator.index(size) for size in split_size]
        except TypeError:
            raise TypeError(f"split: an integer, or a list of integers, expected, got {split_size!r}") from None
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ValueError(f"split: sizes {sizes} do not add up to {n}, the size of axis {dim} of shape {shape}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(slice_axis(x, dim, start, 1, size) for start, size in zip(starts, sizes))


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular",
             "edge": "replicate", "wrap": "circular"}  # NumPy's names for two of them


def pad(x, padding, mode="constant", value=0.0):
    """x with a border. padding: (before, after) for the last axis, then for the one before it, ... as PyTorch's, or a
    list of such pairs, one for every axis from the first, as NumPy's.

    mode: what the border is made of. "constant": `value`; "reflect": x mirrored at its first and last position, which
    are not repeated; "replicate" (or "edge"): those two; "circular" (or "wrap"): the other end of x.
    Raises ValueError for negative padding, and for more than there is to mirror or to repeat.
    """
    x = as_tensor(x)
    shape = x.array.shape
    pairs = _pairs(padding, shape)
    if any(before < 0 or after < 0 for before, after in pairs):
        raise ValueError(f"pad: negative padding {padding}")
    if mode not in PAD_MODES:
        raise ValueError(f"pad: mode is one of {', '.join(PAD_MODES)}, not {mode!r}")
    mode, axes = PAD_MODES[mode], [dim for dim, pair in enumerate(pairs) if any(pair)]
    for dim in axes if mode != "constant" else ():
        n, most = shape[dim], max(pairs[dim])
        if n == 0 or mode == "reflect" and most >= n or mode == "circular" and most > n:
            raise ValueError(f"pad: {mode} padding {pairs[dim]} of axis {dim} needs more than shape {shape} has")
    if axes and x.array.dtype == "float32" and axes[-1] - axes[0] < 2 and axes[-1] < len(shape) - 1 \
            and (mode != "constant" or value == 0):
        return _pad_images(x, pairs, axes[-1] - (axes[-1] > 0), mode)
    return _pad_constant(x, pairs, value) if mode == "constant" else _pad_by_index(x, pairs, mode, axes)


def _pairs(padding, shape):
    try:
        padding = list(padding)
    except TypeError:
        raise TypeError(f"pad: a pair of numbers for each axis expected, got {padding!r}") from None
    if len(padding) and hasattr(padding[0], "__index__") and not getattr(padding[0], "ndim", 0):
        if len(padding) % 2 or len(padding) > 2 * len(shape):
            raise ValueError(f"pad: {len(padding)} numbers are not pairs for the axes of shape {shape}")
        last = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
        return ((0, 0),) * (len(shape) - len(last)) + tuple(reversed(last))
    if len(padding) != len(shape):
        raise ValueError(f"pad: {len(padding)} pairs for the axes of shape {shape}")
    return tuple((before, after) for before, after in padding)


def _pad_images(x, pairs, first, mode):
    """A border around axes `first` and the next, as rows and columns of images: in one pass."""
    shape = x.array.shape
    rows, columns = pairs[first:first + 2]
    size = (rows[0] + shape[first] + rows[1], columns[0] + shape[first + 1] + columns[1])
    how = _core.RESAMPLE[mode], ((1, 1), (1, 1), (rows[0], columns[0]))
    seen = (math.prod(shape[:first]), *shape[first:first + 2], math.prod(shape[first + 2:]))
    y = _core.reshape(_core.resample(_core.reshape(x.array, seen), size, *how),
                      shape[:first] + size + shape[first + 2:])
    return record(y, _pad_images_grad, (x,), (shape, seen, size, how))


def _pad_images_grad(node, dy):
    shape, seen, size, how = node.saved
    dx = _core.resample(_core.reshape(dy, (seen[0], *size, seen[3])), seen[1:3], *how, 0, True)
    node.give(0, _core.reshape(dx, shape), True)


def _pad_constant(x, pairs, value):
    y = x.array
    shape = y.shape
    for dim, (before, after) in enumerate(pairs):
        if before or after:
            sizes = y.shape[:dim] + (before + y.shape[dim] + after,) + y.shape[dim + 1:]
            to = _core.full(sizes, value) if y.dtype == "float32" else to_array(
                np.full(sizes, to_array(value, y.dtype)))
            _core.unslice(to, y, dim, before)
            y = to
    return record(y, _pad_constant_grad, (x,), (shape, pairs))


def _pad_constant_grad(node, dy):
    shape, pairs = node.saved
    for dim, (before, _) in enumerate(pairs):
        if dy.shape[dim] != shape[dim]:
            dy = _core.slice_axis(dy, dim, before, 1, shape[dim])
    node.give(0, dy)


def _pad_by_index(x, pairs, mode, axes):
    """A border made of elements of x, of any dtype and around any axes: one after the other is taken by index."""
    y, steps = x.array, []
    for dim in axes:
        (before, after), n = pairs[dim], y.shape[dim]
        at = np.arange(-before, n + after)
        if mode == "reflect":
            at = n - 1 - abs(n - 1 - abs(at))
        at = _core.from_buffer(at % n if mode == "circular" else at.clip(0, n - 1))
        steps.append((dim, at, y.shape))
        y = _core.take(y, at, dim)
    return record(y, _pad_by_index_grad, (x,), tuple(steps))


def _pad_by_index_grad(node, dy):
    for dim, at, shape in reversed(node.saved):
        dy = _core.take_grad(dy, at, shape, dim)
    node.give(0, dy)
