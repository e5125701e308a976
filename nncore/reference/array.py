"""Array: a shape and a flat list of numbers, floats or Values, in row-major order.

Nested lists alone would do, but for empty arrays: `[]` may be of shape (0,) or (0, 3), and the sum of the second over
its first axis has three elements. Everything here takes nested lists as well: `array` stands at every function's door.
"""
from itertools import product

from nncore.reference.scalar import Value, backward, number


class Array:
    """x[i, j, ...] for integers in range; x.shape; x.flat, the numbers in row-major order."""
    __slots__ = ("shape", "flat")

    def __init__(self, shape, flat):
        self.shape, self.flat = tuple(shape), list(flat)
        assert size(self.shape) == len(self.flat), (self.shape, len(self.flat))

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        assert len(index) == len(self.shape)
        at = 0
        for i, n in zip(index, self.shape):
            assert 0 <= i < n, (index, self.shape)
            at = at * n + i
        return self.flat[at]

    def __repr__(self):
        return f"Array({self.tolist()})"

    def tolist(self):
        """Nested lists; a bare number for shape ()."""
        def nest(shape, flat):
            if not shape:
                return flat[0]
            step = len(flat) // shape[0] if shape[0] else 0
            return [nest(shape[1:], flat[i * step:(i + 1) * step]) for i in range(shape[0])]
        return nest(self.shape, self.flat)


def array(x):
    """An Array from nested lists or a number; an Array as it is."""
    if isinstance(x, Array):
        return x
    shape, level = [], [x]
    while level and isinstance(level[0], (list, tuple)):
        shape.append(len(level[0]))
        if any(len(row) != shape[-1] for row in level):
            raise ValueError(f"rows of different lengths at depth {len(shape)}")
        level = [item for row in level for item in row]
    return Array(shape, level)


def size(shape):
    n = 1
    for s in shape:
        n *= s
    return n


def indices(shape):
    """All index tuples of a shape in row-major order; one empty tuple for shape ()."""
    return product(*map(range, shape))


def build(shape, element):
    """y[i, j, ...] = element(i, j, ...)"""
    return Array(shape, (element(*index) for index in indices(shape)))


def broadcast_shape(*shapes):
    """The shape that all of `shapes` are repeated to: aligned at the last axis, sizes equal or 1."""
    dims = max(map(len, shapes), default=0)
    result = []
    for sizes in zip(*((1,) * (dims - len(s)) + tuple(s) for s in shapes)):
        larger = {n for n in sizes if n != 1}
        if len(larger) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        result.append(larger.pop() if larger else 1)
    return tuple(result)


def broadcast(x, shape):
    """x repeated along axes of size 1 and along missing leading axes."""
    x = array(x)
    missing = len(shape) - len(x.shape)
    return build(shape, lambda *index: x[tuple(0 if n == 1 else i for i, n in zip(index[missing:], x.shape))])


def axes_of(axis, dims):
    """A sorted list of axes >= 0 from None (all), an integer or several, which may count from the end."""
    if axis is None:
        return list(range(dims))
    axes = [axis] if isinstance(axis, int) else list(axis)
    if any(not -dims <= a < dims for a in axes):
        raise ValueError(f"axis {axis} is out of range for {dims} dimensions")
    axes = sorted(a % dims for a in axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis {axis} names an axis twice")
    return axes


def gradients(function, inputs, wanted, dy=None):
    """Runs function(*inputs) and differentiates it: (output as floats, one Array of gradients per input in `wanted`).

    dy is the gradient of the output, of its shape; None stands for ones. Where function returns several Arrays, output
    and dy are lists of Arrays.
    """
    inputs = [array(x) if i in wanted else x for i, x in enumerate(inputs)]
    values = [Array(x.shape, map(Value, x.flat)) if i in wanted else x for i, x in enumerate(inputs)]
    result = function(*values)
    outputs = [array(y) for y in (result if isinstance(result, list) else [result])]
    if dy is None:
        dy = [Array(y.shape, [1.0] * size(y.shape)) for y in outputs]
    elif not isinstance(result, list):
        dy = [dy]
    backward([y for out in outputs for y in out.flat], [g for d in dy for g in array(d).flat])
    plain = [Array(y.shape, map(number, y.flat)) for y in outputs]
    return (plain if isinstance(result, list) else plain[0],
            [Array(values[i].shape, (v.grad for v in values[i].flat)) for i in wanted])
