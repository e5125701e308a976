"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014), scaled while training."""
import math

from .. import _core
from .._core import as_float, record
from ..random import state_of
from .elementwise import MUL, mul

__all__ = ["dropout", "dropout1d", "dropout2d"]


def dropout(x, p=0.5, training=True, generator=None):
    """y = x / (1 - p), or 0 with probability p; x itself when not training.

    No mask is kept: which elements were dropped follows from the seed and the number of the call, and the gradient
    draws the same numbers again. generator: a nncore.random.Generator; None: the default one.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p = {p} is no probability")
    x = as_float(x)
    if not training or p == 0:
        return x
    if p == 1:
        return mul(x, 0.0)
    y, key = _core.dropout(x.array, state_of(generator), p)
    return record(y, _dropout_grad, (x,), (key, p))


def _dropout_grad(node, dy):
    key, p = node.saved
    node.give(0, _core.dropout_grad(dy, key, p))


def dropout1d(x, p=0.5, training=True, generator=None):
    """y[..., t, c] = x[..., t, c] / (1 - p), or 0 for all t with probability p (Tompson, Goroshin, Jain, LeCun and
    Bregler, 2015): whole channels, as neighbours in time are too much alike to be dropped alone. x itself when not
    training.

    x: (..., time, channels). Raises ValueError for other shapes and for a p that is no probability.
    """
    return _channels(x, 1, p, training, generator)


def dropout2d(x, p=0.5, training=True, generator=None):
    """The same for images: y[..., h, w, c] is dropped for all h and w. x: (..., height, width, channels)."""
    return _channels(x, 2, p, training, generator)


def _channels(x, dims, p, training, generator):
    """x times the dropout of ones, of which there is one for every channel of every image."""
    x = as_float(x)
    shape = x.array.shape
    if len(shape) < dims + 1:
        wanted = "(..., time, channels)" if dims == 1 else "(..., height, width, channels)"
        raise ValueError(f"dropout{dims}d: {wanted} expected, got shape {shape}")
    if not 0 <= p <= 1:
        raise ValueError(f"dropout{dims}d: p = {p} is no probability")
    if not training or p == 0:
        return x
    ones = _core.make_tensor(_core.full(shape[:-dims - 1] + (1,) * dims + shape[-1:], 1.0))
    mask = dropout(ones, p, True, generator).array
    rows = shape
    if dims == 2:  # the mask for a row of pixels, and rows of pixels as one axis: long runs, where channels may be few
        row = math.prod(shape[-2:])
        mask = _core.reshape(_core.expand(mask, mask.shape[:-2] + shape[-2:]), mask.shape[:-2] + (row,))
        rows = shape[:-2] + (row,)
    y = _core.binary(MUL, _core.reshape(x.array, rows), mask)
    return record(_core.reshape(y, shape), _channels_grad, (x,), (mask, rows, shape))


def _channels_grad(node, dy):
    mask, rows, shape = node.saved
    node.give(0, _core.reshape(_core.binary(MUL, _core.reshape(dy, rows), mask), shape))
