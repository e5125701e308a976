"""softmax and log_softmax along an axis: stable for scores of any size, as the largest is subtracted first."""
from .. import _core
from .._core import as_float, record
from .move import check_axis, transpose
from .names import numpy_names

__all__ = ["softmax", "log_softmax"]


@numpy_names
def softmax(x, dim=-1):
    """y = exp(x) / sum(exp(x)) along an axis."""
    x = as_float(x)
    if dim not in (-1, x.array.ndim - 1):
        check_axis("softmax", dim, x.array.shape)
        return transpose(softmax(transpose(x, dim, -1)), dim, -1)
    y = _core.softmax(x.array)
    return record(y, _softmax_grad, (x,), (y,))


def _softmax_grad(node, dy):
    node.give(0, _core.softmax_grad(dy, node.saved[0]))


@numpy_names
def log_softmax(x, dim=-1):
    """y = x - log(sum(exp(x))) along an axis."""
    x = as_float(x)
    if dim not in (-1, x.array.ndim - 1):
        check_axis("log_softmax", dim, x.array.shape)
        return transpose(log_softmax(transpose(x, dim, -1)), dim, -1)
    y = _core.log_softmax(x.array)
    return record(y, _log_softmax_grad, (x,), (y,))


def _log_softmax_grad(node, dy):
    node.give(0, _core.log_softmax_grad(dy, node.saved[0]))
