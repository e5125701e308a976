"""Elementwise operations: y = f(x) and z = f(x, y) with broadcasting.

A function of one array is a line in csrc/kernels/unary.inc, which also says what its gradient reads; everything here is
made from that table. node.give sums a gradient over the axes that were broadcast.
"""
import functools

import types

from .. import _core
from .._core import BINARY, UNARY, as_float, binary, record, unary, unary_grad, unary_with_grad
from ..convert import to_array

__all__ = ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "where", "clip", "leaky_relu", "elu", "gelu",
           "eq", "ne", "lt", "le", "gt", "ge", "activation_code"]

ADD, SUB, MUL, DIV, POW = (BINARY[name] for name in ("add", "sub", "mul", "div", "pow"))
LE, LT, EQ, MAXIMUM, MINIMUM = (BINARY[name] for name in ("le", "lt", "eq", "maximum", "minimum"))
NEG, LOG, SQRT = (UNARY[name][0] for name in ("neg", "log", "sqrt"))

# ---- one array -------------------------------------------------------------------------------------------------------

DEFAULTS = {"leaky_relu": (0.01,), "elu": (1.0,)}  # attributes of activations that have some


def _unary_grad(node, dy):
    s, code, a, b = node.saved
    node.give(0, unary_grad(code, dy, s, a, b))


def _grad_of(name):
    """_unary_grad under the name of the op, for messages."""
    return types.FunctionType(_unary_grad.__code__, globals(), f"_{name}_grad")


GRADS = {name: _grad_of(name) for name in UNARY}


def apply_unary(name, x, a=0.0, b=0.0):
    """y = f(x) for a function of the table; a, b: its attributes, which have no gradient."""
    for number in (a, b):
        if isinstance(number, _core.TensorBase) and (number.requires_grad or number.array.size != 1):
            wants = " that requires a gradient" if number.requires_grad else ""
            hint = "; use maximum and minimum" if name == "clip" else ""
            raise TypeError(f"{name}: a number expected, not a tensor of shape {number.array.shape}{wants}{hint}")
    return unary_with_grad(x, UNARY[name][0], GRADS[name], a, b)


def _make_unary(name):
    code, grad = UNARY[name][0], GRADS[name]

    def f(x):
        return unary_with_grad(x, code, grad)
    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"y = {name}(x), element by element. x: any shape, float32."
    return f


for _name, (_code, _saved, _attributes) in UNARY.items():
    if not _attributes and not _name.startswith("gelu"):
        globals()[_name] = _make_unary(_name)
        __all__.append(_name)


def clip(x, min=None, max=None):
    """y = x, limited to [min, max] (None: no limit there). NaN stays NaN; the gradient is 1 within the limits.

    min, max: numbers; maximum() and minimum() have a limit for each element, and its gradient.
    """
    inf = float("inf")
    return apply_unary("clip", x, -inf if min is None else min, inf if max is None else max)


def leaky_relu(x, negative_slope=0.01):
    """y = x for x > 0, else negative_slope * x (Maas, Hannun and Ng, 2013)."""
    return apply_unary("leaky_relu", x, negative_slope)


def elu(x, alpha=1.0):
    """y = x for x > 0, else alpha * (exp(x) - 1) (Clevert, Unterthiner and Hochreiter, 2015)."""
    return apply_unary("elu", x, alpha)


def gelu(x, approximate="none"):
    """y = x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel, 2016); approximate="tanh": the formula with
    tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r}")
    return apply_unary("gelu" if approximate == "none" else "gelu_tanh", x)


@functools.lru_cache
def activation_code(activation):
    """(code, what the gradient reads, attribute) of an activation named for a dense layer: "relu", or ("elu", 0.5)."""
    name, *attributes = (activation,) if isinstance(activation, str) else activation
    if not isinstance(name, str) or name not in UNARY:
        raise ValueError(f"activation {name!r} is not one of {', '.join(UNARY)}")
    code, saved, count = UNARY[name]
    attributes = attributes or DEFAULTS.get(name, ())
    if len(attributes) != count or count > 1:
        raise ValueError(f"activation {name!r} takes {count} attributes, got {len(attributes)}")
    return code, saved, float(attributes[0]) if attributes else 0.0


# ---- two arrays ------------------------------------------------------------------------------------------------------

def add(x, y):
    """z = x + y."""
    x, y = as_float(x), as_float(y)
    return record(binary(ADD, x.array, y.array), _add_grad, (x, y), ())


def _add_grad(node, dz):
    node.give(0, dz)
    node.give(1, dz)


def sub(x, y):
    """z = x - y."""
    x, y = as_float(x), as_float(y)
    return record(binary(SUB, x.array, y.array), _sub_grad, (x, y), ())


def _sub_grad(node, dz):
    node.give(0, dz)
    if node.needs(1):
        node.give(1, unary(NEG, dz))


def mul(x, y):
    """z = x * y."""
    x, y = as_float(x), as_float(y)
    return record(binary(MUL, x.array, y.array), _mul_grad, (x, y), (x.array, y.array))


def _mul_grad(node, dz):
    x, y = node.saved
    if node.needs(0):
        node.give(0, binary(MUL, dz, y))
    if node.needs(1):
        node.give(1, binary(MUL, dz, x))


def div(x, y):
    """z = x / y."""
    x, y = as_float(x), as_float(y)
    z = binary(DIV, x.array, y.array)
    return record(z, _div_grad, (x, y), (y.array, z))


def _div_grad(node, dz):
    y, z = node.saved
    dx = binary(DIV, dz, y)
    node.give(0, dx)
    if node.needs(1):  # d(x/y)/dy = -z/y
        node.give(1, unary(NEG, binary(MUL, dx, z)))


def pow(x, y):
    """z = x to the power of y, as C's powf: NaN for a negative x and a y that is no integer."""
    x, y = as_float(x), as_float(y)
    z = binary(POW, x.array, y.array)
    return record(z, _pow_grad, (x, y), (x.array, y.array, z))


def _pow_grad(node, dz):
    x, y, z = node.saved
    if node.needs(0):  # y x^(y-1), and 0 for y = 0
        slope = binary(MUL, y, binary(POW, x, binary(SUB, y, _core.from_scalar(1.0))))
        zero = _core.compare(EQ, y, _core.from_scalar(0.0))
        node.give(0, binary(MUL, dz, _core.where(zero, _core.from_scalar(0.0), slope)))
    if node.needs(1):  # z log(x), and 0 where x = 0 and y >= 0, as the limits of x -> 0 have it
        zero = _core.from_scalar(0.0)
        dy = binary(MUL, z, unary(LOG, x))
        vanishes = _core.where(_core.compare(LE, zero, y), zero, dy)
        node.give(1, binary(MUL, dz, _core.where(_core.compare(EQ, x, zero), vanishes, dy)))


def maximum(x, y):
    """z = the larger of x and y; NaN if either is. Where they are equal, each gets half of the gradient."""
    x, y = as_float(x), as_float(y)
    z = binary(MAXIMUM, x.array, y.array)
    return record(z, _extreme_grad, (x, y), (x.array, y.array, LT))


def minimum(x, y):
    """z = the smaller of x and y; NaN if either is. Where they are equal, each gets half of the gradient."""
    x, y = as_float(x), as_float(y)
    z = binary(MINIMUM, x.array, y.array)
    return record(z, _extreme_grad, (x, y), (y.array, x.array, LT))


def _extreme_grad(node, dz):
    # maximum saves (x, y), minimum (y, x): x loses where the first is smaller, and shares where both are equal.
    x, y, less = node.saved
    half = binary(MUL, dz, binary(MUL, binary(EQ, x, y), _core.from_scalar(0.5)))
    if node.needs(0):
        node.give(0, _where_not(_core.compare(less, x, y), dz, half, x, y))
    if node.needs(1):
        node.give(1, _where_not(_core.compare(less, y, x), dz, half, x, y))


def _where_not(loses, dz, half, x, y):
    """0 where it loses, half where both are equal, else dz."""
    zero = _core.from_scalar(0.0)
    return _core.where(loses, zero, _core.where(_core.compare(EQ, x, y), half, dz))


def where(condition, x, y):
    """z = x where the condition (bool, or a number that is not 0) holds, else y."""
    c = condition.array if isinstance(condition, _core.TensorBase) else to_array(condition)
    if c.dtype != "bool":
        c = _core.cast(c, "bool")
    x, y = as_float(x), as_float(y)
    return record(_core.where(c, x.array, y.array), _where_grad, (x, y), (c,))


def _where_grad(node, dz):
    c, = node.saved
    zero = _core.from_scalar(0.0)
    if node.needs(0):
        node.give(0, _core.where(c, dz, zero))
    if node.needs(1):
        node.give(1, _core.where(c, zero, dz))


# ---- comparisons: bool, without gradient -----------------------------------------------------------------------------

def _make_comparison(name, sign):
    code = BINARY[name]

    def f(x, y):
        return _core.make_tensor(_core.compare(code, as_float(x).array, as_float(y).array))
    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"x {sign} y, element by element, as bool. Comparisons with NaN are false, but for !=."
    return f


for _name, _sign in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
    globals()[_name] = _make_comparison(_name, _sign)
