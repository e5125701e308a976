"""Products. Axes: b batch, m n k, i features in, o features out."""
from nncore.reference import elementwise
from nncore.reference.array import Array, array, broadcast_shape, build
from nncore.reference.reduce import total


def matmul(x, y):
    """z[b..., m, n] = sum over k of x[b..., m, k] y[b..., k, n]

    Leading axes broadcast. A one-dimensional x is a row, a one-dimensional y a column; their axis is dropped from z.
    """
    x, y = array(x), array(y)
    row, column = len(x.shape) == 1, len(y.shape) == 1
    if row:
        x = Array((1,) + x.shape, x.flat)
    if column:
        y = Array(y.shape + (1,), y.flat)
    (m, k), (k2, n) = x.shape[-2:], y.shape[-2:]
    if k != k2:
        raise ValueError(f"matmul: {x.shape} does not fit {y.shape}")
    batch = broadcast_shape(x.shape[:-2], y.shape[:-2])

    def element(*index):
        *b, i, j = index
        bx, by = at(b, x.shape[:-2]), at(b, y.shape[:-2])
        return total(x[(*bx, i, l)] * y[(*by, l, j)] for l in range(k))
    z = build(batch + (m, n), element)
    return Array(batch + (m,) * (not row) + (n,) * (not column), z.flat)


def at(index, shape):
    """The index into an array of `shape` that is broadcast along `index`."""
    return tuple(0 if n == 1 else i for i, n in zip(index[len(index) - len(shape):], shape))


def linear(x, w, b=None, activation=None):
    """y[..., o] = f(sum over i of x[..., i] w[i, o] + b[o]), f the activation of that name"""
    y = matmul(x, w)
    if b is not None:
        y = elementwise.add(y, b)
    if activation == "gelu_tanh":
        return elementwise.gelu(y, approximate="tanh")
    return y if activation is None else elementwise.FUNCTIONS[activation](y)
