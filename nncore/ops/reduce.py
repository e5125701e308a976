"""Reductions over any axes: dim is None (all), an axis, or a tuple of axes; negative axes count from the end.

NumPy's names axis, keepdims and ddof work too.
"""
import operator

from .. import _core
from .._core import BINARY, as_float, binary, record
from .names import numpy_names

__all__ = ["sum", "mean", "max", "min", "var", "argmax", "argmin"]

SUB, MUL, DIV, EQ = (BINARY[name] for name in ("sub", "mul", "div", "eq"))


def _kept(shape, dim):
    """`shape` with the reduced axes as 1: the shape of the result, ready to broadcast."""
    if dim is None:
        return (1,) * len(shape)
    dims = {d % len(shape) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))}
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


@numpy_names
def sum(x, dim=None, keepdim=False):
    """y = the sum of x over axes."""
    x = as_float(x)
    a = x.array
    return record(_core.reduce("sum", a, dim, keepdim), _sum_grad, (x,), (a.shape, dim, 1.0))


@numpy_names
def mean(x, dim=None, keepdim=False):
    """y = the mean of x over axes; NaN where there is nothing."""
    x = as_float(x)
    a = x.array
    y = _core.reduce("mean", a, dim, keepdim)
    factor = y.size / a.size if a.size else 0.0
    return record(y, _sum_grad, (x,), (a.shape, dim, factor))


def _sum_grad(node, dy):
    shape, dim, factor = node.saved
    node.give(0, _core.expand(_core.reshape(dy, _kept(shape, dim)), shape, factor))


@numpy_names
def max(x, dim=None, keepdim=False):
    """y = the largest element over axes; NaN if there is one. Equal elements share the gradient."""
    return _extreme("max", x, dim, keepdim)


@numpy_names
def min(x, dim=None, keepdim=False):
    """y = the smallest element over axes; NaN if there is one. Equal elements share the gradient."""
    return _extreme("min", x, dim, keepdim)


def _extreme(kind, x, dim, keepdim):
    x = as_float(x)
    y = _core.reduce(kind, x.array, dim, keepdim)
    return record(y, _extreme_grad, (x,), (x.array, y, dim))


def _extreme_grad(node, dy):
    x, y, dim = node.saved
    kept = _kept(x.shape, dim)
    hit = binary(EQ, x, _core.reshape(y, kept))
    share = binary(DIV, _core.reshape(dy, kept), _core.reduce("sum", hit, dim, True))
    node.give(0, binary(MUL, hit, share))


@numpy_names
def var(x, dim=None, correction=1, keepdim=False):
    """y = the variance over axes: the sum of squared distances from the mean / (number of elements - correction)."""
    x, correction = as_float(x), operator.index(correction)
    if abs(correction) > 2**31:
        raise ValueError(f"var: correction {correction}")
    y = _core.var(x.array, dim, keepdim, correction)
    return record(y, _var_grad, (x,), (x.array, dim, correction))


def _var_grad(node, dy):
    x, dim, correction = node.saved
    kept = _kept(x.shape, dim)
    mean = _core.reduce("mean", x, dim, True)
    n = x.size / mean.size if mean.size else 0
    factor = 2.0 / (n - correction) if n > correction else float("nan")
    slope = _core.expand(_core.reshape(dy, kept), kept, factor)
    node.give(0, binary(MUL, binary(SUB, x, mean), slope))


@numpy_names
def argmax(x, dim=None, keepdim=False):
    """The index of the largest element along an axis (None: in the flattened array), int64; the first NaN, if any."""
    return _core.make_tensor(_core.argmax(as_float(x).array, dim, keepdim))


@numpy_names
def argmin(x, dim=None, keepdim=False):
    """The index of the smallest element along an axis (None: in the flattened array), int64; the first NaN, if any."""
    return _core.make_tensor(_core.argmax(as_float(x).array, dim, keepdim, True))
