"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014), scaled while training."""
from .. import _core
from .._core import as_float, record
from ..random import state_of
from .elementwise import mul

__all__ = ["dropout"]


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
