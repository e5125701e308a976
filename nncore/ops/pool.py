"""Pooling of sequences x[..., t, c] and images x[..., h, w, c]: one channel at a time, over windows of positions.

A sequence is an image with one row. Sizes are (rows, columns) pairs from here on down.
"""
import math
import operator

from .. import _core
from .._core import as_float, record

__all__ = ["max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
           "adaptive_avg_pool1d", "adaptive_avg_pool2d"]

SUM, AVERAGE, INSIDE, ADAPTIVE = (_core.RESAMPLE[name] for name in ("sum", "average", "average inside", "adaptive"))
BYTE = 256  # places of a window that a byte can tell apart


def sizes(value, dims, least, name, what):
    """value, a whole number or one for each of `dims` axes, as a tuple; none is below `least`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    if len(values) != dims:
        raise ValueError(f"{name}: {what} is a number or {dims} of them, not {value!r}")
    try:
        values = tuple(map(operator.index, values))
    except TypeError:
        raise TypeError(f"{name}: {what} is made of whole numbers, not {value!r}") from None
    if not all(least <= v < 2**31 for v in values):
        raise ValueError(f"{name}: {what} is {value!r}, at least {least} expected")
    return values


def as_images(x, dims, name):
    """The Array of x as images, and the shape of x. There must be something to look at."""
    shape = x.array.shape
    if len(shape) < dims + 1:
        wanted = "(..., time, channels)" if dims == 1 else "(..., height, width, channels)"
        raise ValueError(f"{name}: {wanted} expected, got shape {shape}")
    if 0 in shape[-dims - 1:-1]:
        raise ValueError(f"{name}: shape {shape} has no positions")
    if dims == 2:
        return x.array, shape
    return _core.reshape(x.array, (math.prod(shape[:-2]), 1, *shape[-2:])), shape


def recorded(x, y, dims, gradient, *saved):
    """The tensor for images y that came from x, in the shape that x has; gradient: of images."""
    shape = x.array.shape
    if dims == 1:
        y = _core.reshape(y, shape[:-2] + y.shape[-2:])
    return record(y, gradient, (x,), (shape, dims, *saved))


def images_back(node, dy):
    """dy as images, and the rows and columns of x."""
    shape, dims = node.saved[:2]
    if dims == 2:
        return dy, shape[-3:-1]
    return _core.reshape(dy, (math.prod(shape[:-2]), 1, *dy.shape[-2:])), (1, shape[-2])


def _give(node, dx):
    shape, dims = node.saved[:2]
    node.give(0, dx if dims == 2 else _core.reshape(dx, shape), True)


# ---- windows ---------------------------------------------------------------------------------------------------------

def window(dims, kernel_size, stride, padding, dilation, name):
    """The four settings as (rows, columns) pairs."""
    kernel = sizes(kernel_size, dims, 1, name, "kernel_size")
    stride = kernel if stride is None else sizes(stride, dims, 1, name, "stride")
    padding, dilation = sizes(padding, dims, 0, name, "padding"), sizes(dilation, dims, 1, name, "dilation")
    if any(2 * p > k for k, p in zip(kernel, padding)):
        raise ValueError(f"{name}: padding {padding} is more than half of kernel_size {kernel}")
    if math.prod(kernel) >= 2**31:
        raise ValueError(f"{name}: a window of {kernel} positions")
    lead = 2 - dims
    return (1,) * lead + kernel, (1,) * lead + stride, (0,) * lead + padding, (1,) * lead + dilation


def _out(images, shape, settings, ceil_mode, name):
    """How many windows there are, along rows and columns."""
    found = []
    for n, k, s, p, d in zip(images.shape[-3:-1], *settings):
        room = n + 2 * p - d * (k - 1) - 1
        o = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (o - 1) * s >= n + p:  # the last window starts within the input or the padding before it
            o -= 1
        if o < 1:
            raise ValueError(f"{name}: a window of {settings[0]}, padding {settings[2]}, dilation {settings[3]} "
                             f"(rows, columns) does not fit shape {shape}")
        found.append(o)
    return tuple(found)


def _max_pool(x, dims, kernel_size, stride, padding, dilation, ceil_mode):
    name = f"max_pool{dims}d"
    x, settings = as_float(x), window(dims, kernel_size, stride, padding, dilation, name)
    images, shape = as_images(x, dims, name)
    y, where = _core.max_pool(images, _out(images, shape, settings, ceil_mode, name), *settings,
                              math.prod(settings[0]) > BYTE)
    return recorded(x, y, dims, _max_pool_grad, where, settings)


def _max_pool_grad(node, dy):
    where, settings = node.saved[2:]
    dy, size = images_back(node, dy)
    _give(node, _core.max_pool_grad(dy, where, size, *settings))


def max_pool1d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """y[..., o, c] = the largest of x[..., o stride - padding + k dilation, c] over k < kernel_size; NaN if there is
    one.

    x: (..., time, channels). stride: None is kernel_size. padding: positions on both sides that are no candidates.
    ceil_mode: windows may reach beyond the end. The gradient goes to the first of equal elements.
    Raises ValueError where no window fits, or the padding is more than half of one.
    """
    return _max_pool(x, 1, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """y[..., p, q, c] = the largest of a window of x[..., h, w, c]; NaN if there is one.

    x: (..., height, width, channels). Settings as max_pool1d's: numbers, or pairs for height and width.
    """
    return _max_pool(x, 2, kernel_size, stride, padding, dilation, ceil_mode)


def _avg_pool(x, dims, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    name = f"avg_pool{dims}d"
    x, settings = as_float(x), window(dims, kernel_size, stride, padding, 1, name)
    divisor, = (0,) if divisor_override is None else sizes(divisor_override, 1, -2**31, name, "divisor_override")
    if divisor == 0 and divisor_override is not None:
        raise ValueError(f"{name}: divisor_override is 0")
    images, shape = as_images(x, dims, name)
    size = _out(images, shape, settings, ceil_mode, name)
    how = SUM if divisor else AVERAGE if count_include_pad else INSIDE, settings[:3], divisor
    return recorded(x, _core.resample(images, size, *how), dims, resample_grad, how)


def resample_grad(node, dy):
    how, = node.saved[2:]
    dy, size = images_back(node, dy)
    _give(node, _core.resample(dy, size, *how, True))


def avg_pool1d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """y[..., o, c] = the mean of x[..., o stride - padding + k, c] over k < kernel_size.

    x: (..., time, channels). Padding counts as zeros, or not at all with count_include_pad=False. Other settings, and
    errors, as max_pool1d's.
    """
    return _avg_pool(x, 1, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """y[..., p, q, c] = the mean of a window of x[..., h, w, c], or its sum / divisor_override.

    x: (..., height, width, channels). Settings as avg_pool1d's: numbers, or pairs for height and width.
    """
    return _avg_pool(x, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


# ---- shares: output o of n sees positions floor(o h / n) .. ceil((o + 1) h / n) - 1 --------------------------------

def _shares(x, output_size, dims, name):
    """x as a tensor, its images, and the output's rows and columns."""
    x = as_float(x)
    images, shape = as_images(x, dims, name)
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    kept = tuple(n if o is None else o for o, n in zip(wanted, shape[-dims - 1:-1])) if len(wanted) == dims else wanted
    return x, images, (1,) * (2 - dims) + sizes(kept, dims, 1, name, "output_size")


def _adaptive_max(x, output_size, dims):
    x, images, size = _shares(x, output_size, dims, f"adaptive_max_pool{dims}d")
    settings = (0, 0), (1, 1), (0, 0), (1, 1)
    largest = math.prod(-(-n // o) + (n % o != 0) for n, o in zip(images.shape[-3:-1], size))
    y, where = _core.max_pool(images, size, *settings, largest > BYTE)
    return recorded(x, y, dims, _max_pool_grad, where, settings)


def _adaptive_avg(x, output_size, dims):
    x, images, size = _shares(x, output_size, dims, f"adaptive_avg_pool{dims}d")
    return recorded(x, _core.resample(images, size, ADAPTIVE), dims, resample_grad, (ADAPTIVE, None, 0))


def adaptive_max_pool1d(x, output_size):
    """y[..., o, c] = the largest of the o-th of output_size shares of x[..., t, c], which may overlap by one position.

    output_size: None keeps the size. Raises ValueError for sizes below 1.
    """
    return _adaptive_max(x, output_size, 1)


def adaptive_max_pool2d(x, output_size):
    """The same for images x[..., h, w, c]; output_size: a number, or a pair for height and width."""
    return _adaptive_max(x, output_size, 2)


def adaptive_avg_pool1d(x, output_size):
    """y[..., o, c] = the mean of the o-th of output_size shares of x[..., t, c], as adaptive_max_pool1d."""
    return _adaptive_avg(x, output_size, 1)


def adaptive_avg_pool2d(x, output_size):
    """The same for images x[..., h, w, c]; output_size: a number, or a pair for height and width. 1: the global
    mean."""
    return _adaptive_avg(x, output_size, 2)
