"""Functions of single elements. Of one array: y[...] = f(x[...]); of several: z[...] = f(x[...], y[...]), where shapes
are broadcast to each other.

NaN in gives NaN out, everywhere. Comments give the derivative only at points where there is none.
"""
import math

from nncore.reference import scalar as s
from nncore.reference.array import Array, array, broadcast, broadcast_shape

FUNCTIONS = {}  # every function below, by its name


def register(apply, f):
    """Gives `apply` the name and the text of f, and a place among FUNCTIONS."""
    apply.__name__, apply.__doc__ = f.__name__, f.__doc__
    FUNCTIONS[f.__name__] = apply
    return apply


def unary(f):
    """The function of arrays that applies f to every element."""
    def apply(x, *attributes, **named):
        x = array(x)
        return Array(x.shape, (f(element, *attributes, **named) for element in x.flat))
    return register(apply, f)


def elementwise(f):
    """The function of arrays that applies f to the elements of its arguments, broadcast to one shape."""
    def apply(*arrays):
        shape = broadcast_shape(*(array(x).shape for x in arrays))
        return Array(shape, map(f, *(broadcast(x, shape).flat for x in arrays)))
    return register(apply, f)


# ---- arithmetic ------------------------------------------------------------------------------------------------------

@elementwise
def add(x, y):
    return x + y


@elementwise
def sub(x, y):
    return x - y


@elementwise
def mul(x, y):
    return x * y


@elementwise
def div(x, y):
    return s.div(x, y)


@elementwise
def pow(x, y):
    return s.pow(x, y)


@elementwise
def maximum(x, y):
    """Where x = y, each gets half of the gradient."""
    return s.maximum(x, y)


@elementwise
def minimum(x, y):
    """Where x = y, each gets half of the gradient."""
    return s.minimum(x, y)


@elementwise
def where(condition, x, y):
    """x where the condition is true (not 0), else y."""
    return x if s.number(condition) != 0 else y


@elementwise
def eq(x, y):
    return float(x == y)


@elementwise
def ne(x, y):
    return float(x != y)


@elementwise
def lt(x, y):
    return float(x < y)


@elementwise
def le(x, y):
    return float(x <= y)


@elementwise
def gt(x, y):
    return float(x > y)


@elementwise
def ge(x, y):
    return float(x >= y)


@unary
def neg(x):
    return -x


@unary
def abs(x):
    """d = 0 at 0."""
    return s.abs(x)


@unary
def sqrt(x):
    return s.sqrt(x)


@unary
def exp(x):
    return s.exp(x)


@unary
def log(x):
    return s.log(x)


@unary
def clip(x, min=-math.inf, max=math.inf):
    """min where x < min, max where x > max, else x. d = 1 at the bounds."""
    return min if x < min else max if x > max else x


# ---- activations -----------------------------------------------------------------------------------------------------

@unary
def step(x):
    """1 where x >= 0, else 0; NaN for NaN. d = 0 everywhere."""
    return s.NAN if s.isnan(x) else float(x >= 0)


@unary
def relu(x):
    """max(0, x). d = 0 at 0."""
    return 0.0 if x <= 0 else x


@unary
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope x. d = negative_slope at 0."""
    return x if x > 0 else negative_slope * x


@unary
def elu(x, alpha=1.0):
    """x where x > 0, else alpha (e^x - 1). Clevert, Unterthiner, Hochreiter 2015. d = alpha at 0."""
    return x if x > 0 else alpha * s.expm1(x)


@unary
def gelu(x, approximate="none"):
    """x P(X <= x) of a standard normal X; with "tanh" its approximation. Hendrycks, Gimpel 2016."""
    if approximate == "tanh":
        # (1 + tanh u) / 2 = sigmoid(2 u), which keeps its digits where tanh u is near -1
        return 0.0 if x < -1e3 else x * sigmoid_of(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    return 0.0 if x < -1e3 else x * (0.5 * s.erfc(-x / math.sqrt(2)))


@unary
def silu(x):
    """x sigmoid(x), also called swish. Elfwing, Uchibe, Doya 2017."""
    return 0.0 if x < -1e4 else x * sigmoid_of(x)


def sigmoid_of(x):
    """1 / (1 + e^-x), by the form whose exponential cannot overflow."""
    if x < 0:
        e = s.exp(x)
        return e / (1 + e)
    return 1 / (1 + s.exp(-x))


@unary
def sigmoid(x):
    """1 / (1 + e^-x)"""
    return sigmoid_of(x)


@unary
def tanh(x):
    return s.tanh(x)


def softplus_of(x):
    """log(1 + e^x), by the form whose exponential cannot overflow."""
    return x + s.log1p(s.exp(-x)) if x > 0 else s.log1p(s.exp(x))


@unary
def softplus(x):
    """log(1 + e^x)"""
    return softplus_of(x)
