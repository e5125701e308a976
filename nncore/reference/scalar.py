"""Numbers that remember how they were made: `Value`, and functions that work on floats and Values alike.

A reference function is written once, for any number. Run with floats it gives the expected output; run with Values it
gives the exact gradients as well. No gradient formula of an op is written here, only those of a dozen scalar functions.

Arithmetic follows IEEE 754 where Python raises: 1/0 is inf, log(0) is -inf, log(-1) is NaN, exp(1000) is inf.
At the points where a function has no derivative, the conventions of PyTorch hold, so that training agrees with it:
maximum and minimum give each of two equal arguments half of the gradient, abs'(0) = 0, relu'(0) = 0.
"""
import math
from itertools import count

INF, NAN = math.inf, math.nan
_numbers = count()


class Value:
    """A number, the Values it was computed from, and its partial derivative to each of them."""
    __slots__ = ("data", "grad", "parents", "number")

    def __init__(self, data, parents=()):
        self.data = data
        self.grad = 0.0
        self.parents = parents  # pairs (Value, d self / d Value)
        self.number = next(_numbers)

    def __repr__(self):
        return f"Value({self.data}, grad={self.grad})"

    def __float__(self):
        return float(self.data)

    def __add__(self, y):
        return _binary(self, y, number(self) + number(y), 1.0, 1.0)

    def __sub__(self, y):
        return _binary(self, y, number(self) - number(y), 1.0, -1.0)

    def __rsub__(self, y):
        return _binary(y, self, number(y) - number(self), 1.0, -1.0)

    def __mul__(self, y):
        return _binary(self, y, number(self) * number(y), number(y), number(self))

    def __neg__(self):
        return Value(-self.data, ((self, -1.0),))

    def __truediv__(self, y):
        return div(self, y)

    def __rtruediv__(self, y):
        return div(y, self)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, y): return self.data < number(y)
    def __le__(self, y): return self.data <= number(y)
    def __gt__(self, y): return self.data > number(y)
    def __ge__(self, y): return self.data >= number(y)
    def __eq__(self, y): return self.data == number(y)
    def __ne__(self, y): return self.data != number(y)
    __hash__ = object.__hash__

    def backward(self, gradient=1.0):
        """Adds d self / d v * gradient to v.grad for every Value v that self was computed from."""
        backward([self], [gradient])


def backward(outputs, gradients):
    """Adds to v.grad the sum of gradient * d output / d v, for every Value v behind the outputs.

    A Value is younger than what it was made of: going down by number meets each one after all its uses.
    """
    seen, stack = {}, [y for y in outputs if isinstance(y, Value)]
    while stack:
        v = stack.pop()
        if v.number not in seen:
            seen[v.number] = v
            stack.extend(parent for parent, _ in v.parents)
    arrived = dict.fromkeys(seen, 0.0)
    for y, gradient in zip(outputs, gradients, strict=True):
        if isinstance(y, Value):
            arrived[y.number] += gradient
    for n in sorted(seen, reverse=True):
        v, g = seen[n], arrived[n]
        v.grad += g
        for parent, partial in v.parents:
            arrived[parent.number] += g * partial


def number(x):
    """The plain number of a float or a Value."""
    return x.data if isinstance(x, Value) else x


def _unary(x, data, partial):
    return Value(data, ((x, partial),)) if isinstance(x, Value) else data


def _binary(x, y, data, dx, dy):
    parents = ((x, dx),) if isinstance(x, Value) else ()
    if isinstance(y, Value):
        parents += ((y, dy),)
    return Value(data, parents) if parents else data


def _quotient(a, b):
    if b != 0:
        return a / b
    return NAN if a == 0 or a != a else math.copysign(INF, a) * math.copysign(1.0, b)


def _exp(a):
    return INF if a > 709.78 and a == a else math.exp(a)


def _power(a, b):
    try:
        return math.pow(a, b)
    except OverflowError:
        return -INF if a < 0 and b % 2 == 1 else INF
    except ValueError:
        if a == 0:  # and b < 0
            return math.copysign(INF, a) if b % 2 == 1 else INF
        return NAN


def _logarithm(a):
    return math.log(a) if a > 0 else -INF if a == 0 else NAN


def div(x, y):
    a, b = number(x), number(y)
    q = _quotient(a, b)
    return _binary(x, y, q, _quotient(1.0, b), -_quotient(q, b))


def pow(x, y):
    """x ** y. d/dx is 0 where y = 0, and d/dy is 0 where x = 0 and y >= 0, as the limits have it."""
    a, b = number(x), number(y)
    p = _power(a, b)
    dx = 0.0 if b == 0 else b * _power(a, b - 1)
    dy = 0.0 if a == 0 and b >= 0 else p * _logarithm(a)
    return _binary(x, y, p, dx, dy)


def exp(x):
    y = _exp(number(x))
    return _unary(x, y, y)


def expm1(x):
    a = number(x)
    return _unary(x, INF if a > 709.78 else math.expm1(a), _exp(a))


def log(x):
    a = number(x)
    return _unary(x, _logarithm(a), _quotient(1.0, a))


def log1p(x):
    a = number(x)
    return _unary(x, math.log1p(a) if a > -1 else _logarithm(1 + a), _quotient(1.0, 1 + a))


def sqrt(x):
    a = number(x)
    y = math.sqrt(a) if a >= 0 else NAN
    return _unary(x, y, _quotient(0.5, y))


def tanh(x):
    y = math.tanh(number(x))
    return _unary(x, y, 1 - y * y)


def erf(x):
    a = number(x)
    return _unary(x, math.erf(a), 2 / math.sqrt(math.pi) * _exp(-a * a))


def erfc(x):
    a = number(x)
    return _unary(x, math.erfc(a), -2 / math.sqrt(math.pi) * _exp(-a * a))


def abs(x):
    a = number(x)
    return _unary(x, math.fabs(a), NAN if a != a else 0.0 if a == 0 else math.copysign(1.0, a))


def maximum(x, y):
    """The larger; NaN if either is NaN. Two equal arguments get half of the gradient each."""
    return _choose(x, y, number(x) > number(y))


def minimum(x, y):
    """The smaller; NaN if either is NaN. Two equal arguments get half of the gradient each."""
    return _choose(x, y, number(x) < number(y))


def _choose(x, y, first):
    a, b = number(x), number(y)
    if a != a or b != b:
        return _binary(x, y, NAN, NAN, NAN)
    if a == b:
        return _binary(x, y, a, 0.5, 0.5)
    return _binary(x, y, a if first else b, float(first), float(not first))


def isnan(x):
    return number(x) != number(x)


def constant(x):
    """The same number, without its history: what is not differentiated."""
    return number(x)
