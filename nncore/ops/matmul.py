"""Products: matmul, and the dense layer with its bias and activation in one pass."""
from .. import _core
from .._core import UNARY, as_float, record, unary, unary_grad, wants_grad
from .elementwise import activation_code

__all__ = ["matmul", "linear"]


def linear(x, weight, bias=None, activation=None):
    """y[..., o] = f(x[..., i] @ weight[i, o] + bias[o]).

    activation: None or the name of an elementwise function ("relu", "tanh", ...; ("elu", 0.5) with its attribute). It
    is applied while the product is in cache.
    """
    x = as_float(x)
    try:
        w, b = weight.array, None if bias is None else bias.array
    except AttributeError:  # not a tensor yet
        return linear(x, as_float(weight), None if bias is None else as_float(bias), activation)
    if activation is None:
        return record(_core.linear(x.array, w, b), _linear_grad, (x, weight, bias), (x.array, w))
    code, saved, a = activation_code(activation)
    if saved == "x" and wants_grad(x, weight, bias):
        s = _core.linear(x.array, w, b)
        y = unary(code, s, a)
    else:
        s = y = _core.linear(x.array, w, b, code, a)
    return record(y, _dense_grad, (x, weight, bias), (x.array, w, s, code, a))


def _linear_grad(node, dy):
    x, w = node.saved
    node.give_sum(2, dy)
    node.give_product(1, x, dy, True, False)   # dw = x^T dy
    node.give_product(0, dy, w, False, True)   # dx = dy w^T


def _dense_grad(node, dy):
    x, w, s, code, a = node.saved
    dz = unary_grad(code, dy, s, a)
    node.give_sum(2, dz)
    node.give_product(1, x, dz, True, False)
    node.give_product(0, dz, w, False, True)


def matmul(a, b):
    """c[..., m, n] = a[..., m, k] @ b[..., k, n]; leading axes broadcast. A vector is a row before, a column behind."""
    a, b = as_float(a), as_float(b)
    x, y = a.array, b.array
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"matmul: arrays with at least one axis expected, got {x.shape} and {y.shape}")
    if x.ndim == 2 and y.ndim == 2:
        return record(_core.gemm(x, y), _matmul_grad, (a, b), (x, y))
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ValueError(f"matmul: {x.shape} and {y.shape} do not fit")
    if x.ndim == 1:
        x = _core.reshape(x, (1,) + x.shape)
    if y.ndim == 1:
        y = _core.reshape(y, y.shape + (1,))
    z = _stacked(x, y)
    shape = z.shape
    if b.array.ndim == 1:
        shape = shape[:-1]
    if a.array.ndim == 1:
        shape = shape[:-2] + z.shape[-1:] if b.array.ndim > 1 else shape[:-1]
    return record(_core.reshape(z, shape), _stacked_grad, (a, b), (x, y, z.shape, a.array.shape, b.array.shape))


def _matmul_grad(node, dc):
    a, b = node.saved
    node.give_product(0, dc, b, False, True)
    node.give_product(1, a, dc, True, False)


def _stacked(x, y, tx=False, ty=False):
    """op(x) @ op(y) for arrays of at least two axes, whose leading axes broadcast."""
    if y.ndim == 2 and not tx:  # one matrix for all rows of x
        if x.shape[-1] == y.shape[ty]:
            z = _core.gemm(_core.reshape(x, (-1 if x.shape[-1] else _product(x.shape[:-1]), x.shape[-1])), y, False, ty)
            return _core.reshape(z, x.shape[:-1] + z.shape[-1:])
        raise ValueError(f"matmul: {x.shape} and {y.shape} do not fit")
    lead_x, lead_y = x.shape[:-2], y.shape[:-2]
    lead = _broadcast(lead_x, lead_y, x, y)
    sides = []
    for side, own in ((x, lead_x), (y, lead_y)):
        if _product(own) == 1:
            side = _core.reshape(side, (1,) + side.shape[-2:])
        else:
            if own != lead:
                side = _core.expand(side, lead + side.shape[-2:])
            side = _core.reshape(side, (_product(lead),) + side.shape[-2:])
        sides.append(side)
    z = _core.gemm(sides[0], sides[1], tx, ty)
    if z.shape[0] != _product(lead):  # both sides are stacks of one
        z = _core.expand(z, (_product(lead),) + z.shape[1:])
    return _core.reshape(z, lead + z.shape[1:])


def _product(sizes):
    n = 1
    for size in sizes:
        n *= size
    return n


def _broadcast(a, b, x, y):
    """The shape that two tuples of leading axes broadcast to."""
    n = max(len(a), len(b))
    lead = []
    for p, q in zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b):
        if p != q and 1 not in (p, q):
            raise ValueError(f"matmul: leading axes of {x.shape} and {y.shape} do not broadcast")
        lead.append(q if p == 1 else p)
    return tuple(lead)


def _stacked_grad(node, dz):
    x, y, shape, a_shape, b_shape = node.saved
    dz = _core.reshape(dz, shape)
    if node.needs(0):
        dx = _stacked(dz, y, False, True)
        node.give(0, _core.reshape(dx, a_shape) if len(a_shape) == 1 and dx.size == a_shape[0]
                  else _squeeze_row(dx, a_shape))
    if node.needs(1):
        if y.ndim == 2:
            dy = _core.gemm(_rows(x), _rows(dz), True, False)
        else:
            dy = _stacked(x, dz, True, False)
        node.give(1, _core.reshape(dy, b_shape) if dy.size == _product(b_shape) else _squeeze_column(dy, b_shape))


def _rows(x):
    return _core.reshape(x, (_product(x.shape[:-1]), x.shape[-1]))


def _squeeze_row(d, shape):
    """The gradient of a vector that stood as one row before a stack: without the row's axis; give sums the stack."""
    return _core.reshape(d, d.shape[:-2] + d.shape[-1:]) if len(shape) == 1 else d


def _squeeze_column(d, shape):
    """The same for a vector that stood as one column."""
    return _core.reshape(d, d.shape[:-1]) if len(shape) == 1 else d
