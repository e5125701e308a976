"""The table of cases: for every op the inputs, attributes and tolerances it is judged with. No engine is imported here.

Sizes are those that hurt: 0, 1, 3, one below, at and one above the vector lengths 16 and 32, primes. Inputs are seeded
and exact in float32, so that reference and engine see the same numbers; where gradients are checked they keep away from
kinks, which have cases of their own.

A result r passes for an expected e if |r - e| <= ulps * ulp(e) + EPS * terms * max(1, largest |e| of the array).
- `ulps` is for functions of single elements, whose kernels promise it: vmath.h is within 2 ulp of the true value.
- `terms` counts the roundings that may add up in one element. Inputs are of size about 1, so one rounding is worth EPS
  times the largest result; the bound is reached only if all roundings fall on one side.
Gradients are products of a few such functions with dy: FACTORS roundings, more where they are sums.
"""
import math
import random
import struct
from dataclasses import dataclass

from nncore.reference.array import Array, array, broadcast_shape, size

EPS = 2.0**-24   # the largest relative error of one rounding to float32
FACTORS = 12     # roundings in the gradient of an elementwise function: a formula of about six operations, doubled
NAN, INF = math.nan, math.inf


class Integers(Array):
    """Reaches the engine as int64."""


class Booleans(Array):
    """Reaches the engine as bool."""


@dataclass
class Case:
    """op(*inputs, *arguments, **attributes), with the gradients of the inputs in `wanted`."""
    op: str
    inputs: list
    arguments: tuple = ()
    attributes: dict = None
    wanted: tuple = (0,)
    ulps: float = 0
    terms: float = 0
    gradient_terms: float = FACTORS
    listed: bool = False   # the op takes its inputs as one list
    note: str = ""

    def __str__(self):
        shapes = ",".join("x".join(map(str, array(x).shape)) or "scalar" for x in self.inputs if x is not None)
        more = [str(a).replace(" ", "") for a in self.arguments]
        more += [f"{k}={str(v).replace(' ', '')}"[:40] for k, v in (self.attributes or {}).items()]
        return "-".join([self.op, shapes, *more, *([self.note] if self.note else [])])


def rounded(x):
    """x as the nearest float32."""
    return struct.unpack("f", struct.pack("f", x))[0]


def uniform(shape, low=-2.0, high=2.0, avoid=(), seed=0):
    """Numbers of float32 between low and high, further than 0.05 from those in `avoid`."""
    rng = random.Random(f"{shape} {low} {high} {seed}")

    def draw():
        while True:
            x = rng.uniform(low, high)
            if all(abs(x - kink) > 0.05 for kink in avoid):
                return rounded(x)
    return Array(shape, (draw() for _ in range(size(shape))))


def integers(shape, low, high, seed=0):
    """Whole numbers, low <= i < high."""
    rng = random.Random(f"{shape} {low} {high} {seed}")
    return Integers(shape, (rng.randrange(low, high) for _ in range(size(shape))))


def probabilities(shape, seed=0):
    """Rows that add up to 1."""
    x = uniform(shape, 0.05, 1.0, seed=seed)
    c = shape[-1]
    return Array(shape, (rounded(a / sum(x.flat[i // c * c:i // c * c + c])) for i, a in enumerate(x.flat)))


CASES = []


def case(op, *inputs, **fields):
    CASES.append(Case(op, list(inputs), **fields))


# ---- functions of one element ----------------------------------------------------------------------------------------

@dataclass
class Unary:
    low: float = -3.0        # where gradients are checked
    high: float = 3.0
    kinks: tuple = ()
    points: tuple = ()       # more arguments of the forward function: its whole range
    arguments: tuple = ()
    ulps: float = 2


SIZES = [0, 1, 3, 15, 16, 17, 31, 32, 33, 67]
WIDE = tuple(sign * m * 10.0**e for e in range(-36, 38, 2) for m in (1.0, 3.7) for sign in (1, -1))
MIDDLE = tuple(i / 16 + 1 / 97 for i in range(-320, 321))
UNARIES = {
    "neg": Unary(points=WIDE, ulps=0), "abs": Unary(kinks=(0,), points=WIDE, ulps=0),
    "sqrt": Unary(0.1, 4, points=WIDE, ulps=0.5), "exp": Unary(points=tuple(i / 7 for i in range(-730, 640)) + WIDE),
    "log": Unary(0.1, 4, points=WIDE + tuple(1 + i / 512 for i in range(-200, 200))),
    "clip": Unary(kinks=(-1, 1.5), arguments=(-1.0, 1.5), points=WIDE, ulps=0.5),
    "step": Unary(kinks=(0,), points=WIDE, ulps=0), "relu": Unary(kinks=(0,), points=WIDE, ulps=0),
    "leaky_relu": Unary(kinks=(0,), points=WIDE, ulps=1.5), "elu": Unary(kinks=(0,), points=MIDDLE + WIDE, ulps=2.5),
    "gelu": Unary(points=MIDDLE[200:] + (1e4, -1e4, 1e30, -1e30, 1e-20)), "silu": Unary(points=MIDDLE + WIDE),
    "sigmoid": Unary(points=MIDDLE + WIDE), "tanh": Unary(points=MIDDLE + WIDE),
    "softplus": Unary(points=MIDDLE + WIDE),
}
for name, u in UNARIES.items():
    for n in SIZES:
        case(name, uniform((n,), u.low, u.high, u.kinks), arguments=u.arguments, ulps=u.ulps)
    for shape in ((), (2, 3, 5), (1, 1, 2, 1, 7)):
        case(name, uniform(shape, u.low, u.high, u.kinks), arguments=u.arguments, ulps=u.ulps)
    case(name, Array((len(u.points),), map(rounded, u.points)), arguments=u.arguments, ulps=u.ulps, wanted=(),
         note="range")
    infinite = (INF,) if name in ("gelu", "silu") else (INF, -INF)  # theirs at -inf is inf * 0 in other engines
    case(name, Array((len(infinite) + 2,), (NAN, *infinite, 0.5)), arguments=u.arguments, ulps=u.ulps, wanted=(),
         note="nan,inf")
    if u.kinks:
        case(name, Array((2 * len(u.kinks),), [k for kink in u.kinks for k in (float(kink), -float(kink))]),
             arguments=u.arguments, ulps=u.ulps, note="kink")
for name in ("exp", "sigmoid", "tanh", "softplus"):
    case(name, Array((5,), (-1e4, -90.0, 20.0, 85.0, 0.0)), ulps=2, note="saturated")
case("clip", uniform((17,)), attributes={"min": -0.5}, ulps=0)
case("clip", uniform((17,)), attributes={"max": 0.5}, ulps=0)
for slope in (0.0, 0.3, 1.0):
    case("leaky_relu", uniform((17,), avoid=(0,)), arguments=(slope,), ulps=1.5)
for alpha in (0.5, 2.0):
    case("elu", uniform((17,), avoid=(0,)), arguments=(alpha,), ulps=2.5)
for n in (1, 17, 33):
    case("gelu", uniform((n,), -3, 3), attributes={"approximate": "tanh"}, ulps=3)
case("gelu", Array((7,), (-1e4, -20.0, -9.0, -1e-3, 0.0, 9.0, 1e4)), attributes={"approximate": "tanh"}, wanted=(),
     terms=4)

# ---- functions of two or three elements ------------------------------------------------------------------------------

BROADCASTS = [
    ((), ()), ((1,), (17,)), ((33,), (33,)), ((3,), ()), ((), (2, 3)), ((16, 17), (16, 1)), ((16, 17), (1, 17)),
    ((2, 3, 4), (4,)), ((4,), (2, 3, 4)), ((2, 3, 1), (1, 3, 5)), ((2, 1, 4), (3, 1)), ((5, 1), (1, 7)),
    ((2, 1, 3, 1, 2), (1, 2, 1, 4, 1)), ((1, 1, 1, 1, 1), (2,)), ((0,), (1,)), ((0, 3), (3,)), ((0, 1), (1, 5)),
    ((2, 3, 4, 5, 2), (3, 1, 5, 1)), ((67,), (1,)), ((31, 1), (31, 3)),
]
BINARIES = {"add": (-2, 2), "sub": (-2, 2), "mul": (-2, 2), "div": (0.5, 2), "pow": (0.3, 2.5), "maximum": (-2, 2),
            "minimum": (-2, 2)}


def summed(x, y):
    """How many elements of the result share an element of the input that is broadcast most: terms of its gradient."""
    z = size(broadcast_shape(x, y))
    return max(1, z // max(1, min(size(x), size(y))))


for name, (low, high) in BINARIES.items():
    for x, y in BROADCASTS:
        case(name, uniform(x, low, high), uniform(y, low, high, seed=1), wanted=(0, 1),
             ulps=2 if name == "pow" else 0.5, gradient_terms=FACTORS + 4 * summed(x, y))
specials = [(a, b) for a in (NAN, INF, -INF, 0.0, -0.0, 2.0, -3.0) for b in (NAN, INF, -INF, 0.0, 0.5, 3.0, -2.0)]
for name in (*BINARIES, "eq", "ne", "lt", "le", "gt", "ge"):
    case(name, Array((49,), (a for a, _ in specials)), Array((49,), (b for _, b in specials)), wanted=(),
         ulps=2 if name == "pow" else 0.5, note="nan,inf")
for name in ("maximum", "minimum"):
    case(name, Array((5,), (1.0, 2.0, 0.0, -3.0, 4.0)), Array((5,), (1.0, 1.0, -0.0, -3.0, 5.0)), wanted=(0, 1),
         note="ties")
    case(name, Array((2, 2), (1.0, 2.0, 2.0, 0.0)), Array((), (2.0,)), wanted=(0, 1), note="ties")
for name in ("eq", "ne", "lt", "le", "gt", "ge"):
    for x, y in BROADCASTS[:12]:
        case(name, integers(x, 0, 3), integers(y, 0, 3, seed=1), wanted=())
case("pow", Array((6,), (0.0, -2.0, -1.5, 0.0, 3.0, 0.0)), Array((6,), (2.0, 3.0, 2.0, 1.0, 0.0, 0.0)), ulps=2,
     note="integer")
case("pow", Array((5,), (0.0, 1.0, 2.0, 0.0, 0.0)), Array((5,), (2.0, 0.0, -1.0, 0.5, 0.0)), wanted=(1,), ulps=2,
     note="edge")
case("pow", uniform((17,), 0.01, 30), uniform((17,), -20, 20), wanted=(), ulps=2, note="range")
for c, x, y in (((), (), ()), ((17,), (17,), (17,)), ((3, 1), (1, 5), ()), ((2, 1, 3), (3,), (2, 4, 1)),
                ((), (33,), (33,)), ((0,), (1,), (1,)), ((2, 1, 2, 1, 2), (1, 3, 1, 3, 1), ())):
    condition = Booleans(c, (i > 0 for i in integers(c, 0, 2, seed=2).flat))
    case("where", condition, uniform(x), uniform(y, seed=1), wanted=(1, 2), gradient_terms=FACTORS + 4 * 54)
case("where", Booleans((2,), (True, False)), Array((2,), (1.0, NAN)), Array((2,), (INF, 2.0)), wanted=(1, 2),
     note="nan")

# ---- reductions ------------------------------------------------------------------------------------------------------

REDUCED = [((), (None,)), ((1,), (None, 0, -1)), ((17,), (None, 0)), ((33,), (0,)), ((67,), (None,)),
           ((5, 7), (None, 0, 1, -1, -2, (0, 1), ())), ((3, 17), (0, 1)), ((17, 3), (0, 1)), ((16, 33), (0, 1)),
           ((2, 3, 4), (None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (-1, 0), (0, 1, 2))),
           ((2, 3, 2, 3), ((0, 2), (1, 3), (1, 2), -1)), ((2, 2, 3, 1, 2), ((0, 2, 4), (1, 3), (2, 3), 3, None)),
           ((1, 31, 1), (0, 1, (0, 2)))]
EMPTY = [((0,), (None, 0)), ((0, 3), (0, 1, None)), ((3, 0), (0, 1)), ((2, 0, 3), (1, (0, 2)))]
for name in ("sum", "mean", "max", "min", "var"):
    for shape, axes in REDUCED:
        for axis in axes:
            n = size(shape)
            for keepdims in ((False, True) if shape in ((5, 7), (2, 3, 4)) else (False,)):
                case(name, uniform(shape), attributes={"axis": axis, "keepdims": keepdims}, ulps=0.5 if n == 1 else 0,
                     terms=0 if name in ("max", "min") else 2 * n, gradient_terms=FACTORS + 2 * n)
    for shape, axes in EMPTY if name in ("sum", "mean", "var") else EMPTY[1:3]:
        for axis in axes:
            if name in ("max", "min") and (axis is None or shape[axis] == 0):
                continue  # an error: tests of its own
            case(name, uniform(shape), attributes={"axis": axis}, note="empty")
    for x in (NAN, INF, -INF):
        values = Array((3, 17), (x if i in (20, 50) else 0.25 * (i % 5) for i in range(51)))
        for axis in (None, 0, 1):
            case(name, values, attributes={"axis": axis}, wanted=(), terms=100, note=str(x))
for name in ("max", "min"):
    for axis in (None, 0, 1, (0, 2)):
        ties = integers((3, 5, 4), 0, 3)
        case(name, Array(ties.shape, map(float, ties.flat)), attributes={"axis": axis}, note="ties")
for correction in (0, 1, 2):
    case("var", uniform((5, 7)), attributes={"axis": 1, "correction": correction}, terms=14, gradient_terms=30)
case("var", Array((3, 33), (rounded(1000 + (i % 7) / 8) for i in range(99))), attributes={"axis": 1}, terms=66,
     gradient_terms=100, note="far-from-0")  # two passes: the mean is subtracted before squaring
for name in ("argmax", "argmin"):
    for shape, axes in REDUCED:
        for axis in axes:
            if axis is None or isinstance(axis, int) and shape:
                case(name, uniform(shape), attributes={"axis": axis}, wanted=())
    case(name, uniform((2, 3, 4)), attributes={"axis": 1, "keepdims": True}, wanted=())
    case(name, uniform((0, 3)), attributes={"axis": 1}, wanted=())
    ties = integers((3, 17), 0, 3)
    for axis in (None, 0, 1):
        case(name, Array(ties.shape, map(float, ties.flat)), attributes={"axis": axis}, wanted=(), note="ties")
        case(name, Array((3, 17), (NAN if i in (5, 20, 22, 50) else float(i % 5) for i in range(51))),
             attributes={"axis": axis}, wanted=(), note="nan")
        case(name, Array((2, 17), (-INF if i % 3 else INF if i % 2 else 0.0 for i in range(34))),
             attributes={"axis": axis}, wanted=(), note="inf")

# ---- moves: exact, forward and gradient ------------------------------------------------------------------------------

for shape, new in (((6,), (2, 3)), ((2, 3), (6,)), ((2, 3, 4), (4, -1)), ((1,), ()), ((), (1, 1)), ((0, 3), (3, 0)),
                   ((2, 2, 2, 2, 2), (-1,)), ((4, 4), (2, 2, 2, 2, 1))):
    case("reshape", uniform(shape), arguments=(new,))
for shape, axes in (((), ()), ((3,), (0,)), ((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)),
                    ((2, 3, 4), (-1, 0, 1)), ((2, 1, 3, 2), (3, 1, 0, 2)), ((2, 3, 1, 2, 2), (4, 2, 0, 3, 1)),
                    ((0, 3), (1, 0)), ((17, 33), (1, 0)), ((3, 16, 17), (0, 2, 1)), ((2, 3, 17), (1, 0, 2))):
    case("permute", uniform(shape), arguments=(axes,))
for shape, axes in (((3, 5), ()), ((17, 16), (0, 1)), ((2, 3, 4), ()), ((2, 3, 4), (0, -1)), ((2, 3, 4), (1, 1)),
                    ((33, 31), (-1, -2)), ((2, 3, 2, 2, 3), (0, 3))):
    case("transpose", uniform(shape), arguments=axes)
for shapes, axis in ((((3,), (2,)), 0), (((2, 3), (1, 3), (4, 3)), 0), (((2, 3), (2, 1), (2, 17)), 1),
                     (((2, 3, 4), (2, 2, 4)), -2), (((0, 3), (2, 3)), 0), (((2, 3),), 1), (((2, 0), (2, 0)), 1),
                     (((1, 1, 1, 1, 3), (1, 1, 1, 1, 2)), 4)):
    case("concat", *(uniform(s, seed=i) for i, s in enumerate(shapes)), listed=True, attributes={"axis": axis},
         wanted=tuple(range(len(shapes))))
for shape, count, axis in (((), 3, 0), ((3,), 2, 0), ((3,), 2, 1), ((2, 3), 3, 1), ((2, 3), 2, -1), ((0,), 2, 0),
                           ((2, 1, 3, 2), 1, 2), ((17,), 3, -2)):
    case("stack", *(uniform(shape, seed=i) for i in range(count)), listed=True, attributes={"axis": axis},
         wanted=tuple(range(count)))
for shape, sizes, axis in (((5,), 2, 0), ((5,), (1, 0, 4), 0), ((2, 6), 3, 1), ((4, 3), 2, 0),
                           ((2, 7, 2), (3, 3, 1), -2), ((0, 2), 3, 0), ((3, 2), 9, 0)):
    case("split", uniform(shape), arguments=(sizes,), attributes={"axis": axis})
ALL = slice(None)
for shape, index in (((5,), 2), ((5,), -1), ((5,), slice(1, 4)), ((5,), slice(None, None, -1)), ((5,), slice(4, 0, -2)),
                     ((5,), slice(3, 3)), ((17,), slice(1, None, 3)), ((4, 3), 1), ((4, 3), (ALL, 1)),
                     ((4, 3), (2, slice(None, None, 2))), ((4, 3), (slice(1, 3), slice(0, 2))), ((4, 3), (..., -1)),
                     ((4, 3), (None, 1)), ((4, 3), (ALL, None, ALL)), ((2, 3, 4), (0, ..., 0)), ((2, 3, 4), (1, 2, 3)),
                     ((2, 3, 4), ...), ((2, 3, 2, 3, 2), (ALL, 1, slice(None, None, -1), slice(0, 2), 0)),
                     ((), ()), ((4, 3), slice(-100, 100)), ((4, 3), slice(10, 20)), ((0, 3), (ALL, 1)),
                     ((4, 3), (-4, -3))):
    case("slice", uniform(shape), arguments=(index,))
for shape, widths in (((3,), ((1, 2),)), ((2, 3), ((0, 0), (1, 1))), ((2, 3), ((1, 0), (0, 2))), ((17,), ((0, 16),)),
                      ((2, 3, 2), ((1, 1), (0, 0), (2, 1))), ((0, 2), ((1, 1), (0, 1))), ((2, 2), ((0, 0), (0, 0))),
                      ((1, 2, 1, 2, 1), ((1, 0), (0, 1), (1, 1), (0, 0), (0, 2)))):
    case("pad", uniform(shape), arguments=(widths,))
    case("pad", uniform(shape), arguments=(widths,), attributes={"value": -1.5})
for mode, cases in (
        ("reflect", (((4,), ((3, 3),)), ((1, 5, 3), ((0, 0), (2, 1), (0, 0))),
                     ((2, 3, 4, 2), ((0, 0), (2, 1), (1, 3), (1, 0))),
                     ((0, 2), ((0, 0), (1, 1))), ((7, 17), ((6, 0), (0, 0))), ((2, 2), ((0, 0), (0, 0))))),
        ("replicate", (((1,), ((3, 4),)), ((1, 5, 3), ((0, 0), (9, 1), (0, 0))),
                       ((2, 3, 1, 5), ((0, 0), (2, 1), (1, 3), (0, 0))),
                       ((0, 2), ((0, 0), (1, 1))))),
        ("circular", (((4,), ((4, 3),)), ((1, 5, 3), ((0, 0), (5, 1), (0, 0))),
                      ((2, 3, 1, 5), ((0, 0), (2, 1), (1, 1), (0, 0))),
                      ((1, 1, 2, 1, 3), ((0, 1), (0, 0), (1, 1), (0, 0), (3, 3)))))):
    for shape, widths in cases:
        case("pad", uniform(shape), arguments=(widths, mode))
for shape, index, axis in (((5,), (3,), 0), ((5, 3), (7,), 0), ((5, 3), (4,), 1), ((4, 17), (33,), 0),
                           ((3, 5, 2), (2, 3), 1), ((3, 5, 2), (4,), -1), ((5,), (0,), 0), ((5,), (), 0),
                           ((2, 3, 4), (), 1), ((5, 0), (3,), 0)):
    n = shape[axis]
    case("take", uniform(shape), integers(index, -n, n), attributes={"axis": axis}, gradient_terms=2 * size(index) + 1)

# ---- products --------------------------------------------------------------------------------------------------------

MATMULS = [((m, k), (k, n)) for m, k, n in
           ((1, 1, 1), (3, 1, 2), (1, 5, 1), (2, 3, 4), (1, 17, 33), (7, 5, 3), (8, 8, 8), (15, 16, 17), (17, 3, 33),
            (31, 33, 1), (16, 1, 32), (13, 29, 11), (0, 3, 2), (3, 0, 2), (3, 2, 0), (2, 67, 5), (33, 2, 65))]
MATMULS += [((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((0,), (0,)), ((17,), (17, 16)), ((2, 2, 3), (2, 3, 2)),
            ((2, 3), (4, 3, 2)), ((4, 2, 3), (3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((1, 2, 3), (2, 3, 4)),
            ((2, 3, 1, 4, 3), (2, 1, 2, 3, 2)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,)), ((0, 2, 3), (3, 4)),
            ((2, 0, 3), (2, 3, 2)), ((1, 3), (2, 3, 1))]
for x, y in MATMULS:
    k = x[-1]
    case("matmul", uniform(x), uniform(y, seed=1), wanted=(0, 1), terms=k + 1,
         gradient_terms=FACTORS + 2 * max(x + y) * (4 if len(x) != len(y) else 1))
ACTIVATIONS = (*(name for name in UNARIES if name not in ("neg", "abs", "sqrt", "exp", "log", "clip")), "gelu_tanh")
for x, o in (((2, 3), 4), ((1, 1), 1), ((17, 16), 15), ((5, 33), 3), ((0, 3), 2), ((3, 0), 2), ((3,), 5),
             ((2, 3, 4), 7), ((2, 1, 2, 2, 3), 17)):
    i = x[-1]
    for bias in (True, False):
        case("linear", uniform(x), uniform((i, o), seed=1), *([uniform((o,), seed=2)] if bias else []),
             wanted=(0, 1, 2)[:2 + bias], terms=i + 2, gradient_terms=FACTORS + 2 * max(size(x), o))
for activation in ACTIVATIONS:
    for x, o in (((2, 3), 5), ((9, 17), 16), ((2, 2, 4), 33)):
        # the sum is off by a few roundings, which the activation and its gradient pass on: slopes are at most about 1
        case("linear", uniform(x, -1, 1), uniform((x[-1], o), -1, 1, seed=1), uniform((o,), seed=2), wanted=(0, 1, 2),
             attributes={"activation": activation}, terms=2 * x[-1] + 8,
             gradient_terms=2 * FACTORS + 4 * max(size(x), o))
    case("linear", uniform((4, 3), -1, 1), uniform((3, 2), -1, 1, seed=1), wanted=(0, 1), terms=16, gradient_terms=48,
         attributes={"activation": activation})

# ---- convolutions ----------------------------------------------------------------------------------------------------

CONVOLUTIONS = [  # x, window r s c/groups o, settings
    ((1, 1, 1, 1), (1, 1, 1, 1), {}), ((2, 4, 5, 3), (1, 1, 3, 5), {}), ((1, 7, 7, 1), (3, 3, 1, 5), {"padding": 1}),
    ((2, 5, 6, 3), (3, 2, 3, 17), {}), ((1, 13, 13, 1), (5, 5, 1, 3), {"padding": 2, "stride": 2}),
    ((1, 7, 7, 5), (3, 3, 5, 3), {"padding": "same", "stride": 2}), ((1, 3, 3, 48), (3, 3, 48, 1), {"padding": 1}),
    ((2, 3, 3, 1), (3, 3, 1, 48), {"padding": "same"}), ((2, 4, 4, 17), (2, 2, 17, 3), {"padding": ((0, 1), (1, 0))}),
    ((9, 2, 2, 3), (3, 3, 3, 4), {"padding": 1}), ((8, 1, 1, 3), (3, 3, 3, 2), {"padding": 1}),
    ((9, 2, 2, 4), (3, 3, 2, 6), {"padding": 1, "groups": 2}),
    ((8, 4, 4, 2), (3, 3, 2, 2), {"padding": 1, "stride": 2}),
    ((1, 7, 6, 4), (3, 3, 2, 6), {"groups": 2, "padding": (2, 1), "stride": (1, 2), "dilation": (2, 1)}),
    ((2, 5, 5, 3), (3, 3, 1, 3), {"groups": 3, "padding": 1}),
    ((1, 6, 6, 17), (3, 3, 1, 17), {"groups": 17, "stride": 2}),
    ((1, 9, 7, 17), (3, 3, 1, 17), {"groups": 17, "padding": 1}),
    ((2, 7, 9, 5), (3, 3, 1, 5), {"groups": 5, "padding": 1, "stride": 2}),
    ((1, 2, 1, 3), (3, 3, 1, 3), {"groups": 3, "padding": (3, 4)}),
    ((1, 1, 6, 3), (3, 3, 1, 3), {"groups": 3, "padding": ((3, 0), (0, 2)), "stride": 2}),
    ((1, 6, 1, 2), (3, 3, 1, 2), {"groups": 2, "padding": ((0, 2), (4, 3)), "stride": 2}),
    ((0, 4, 4, 2), (3, 3, 1, 2), {"groups": 2}),
    ((1, 5, 4, 2), (3, 2, 1, 6), {"groups": 2, "padding": 1}),
    ((1, 9, 9, 2), (3, 3, 2, 2), {"dilation": 3, "stride": 3, "padding": 3}),
    ((0, 4, 4, 2), (3, 3, 2, 3), {}), ((2, 4, 4, 0), (3, 3, 0, 3), {}), ((2, 4, 4, 2), (3, 3, 2, 0), {}),
    ((1, 2, 2, 2), (5, 5, 2, 2), {"padding": 2}), ((1, 8, 3, 2), (1, 3, 2, 33), {"stride": (3, 1)}),
]
for x, w, settings in CONVOLUTIONS:
    depth, pixels = w[0] * w[1] * w[2], x[0] * x[1] * x[2]
    for bias in (True, False):
        case("conv2d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1), *([uniform(w[-1:], seed=2)] if bias else []),
             attributes=settings, wanted=(0, 1, 2)[:2 + bias], terms=depth + 2,
             gradient_terms=FACTORS + 2 * max(pixels, w[0] * w[1] * w[3]))
for activation in ("relu", "gelu", "tanh"):
    case("conv2d", uniform((2, 4, 4, 3), -1, 1), uniform((3, 3, 3, 5), -1, 1, seed=1), uniform((5,), seed=2),
         wanted=(0, 1, 2), attributes={"padding": 1, "activation": activation}, terms=64, gradient_terms=256)
case("conv2d", uniform((1, 5, 6, 3), -1, 1), uniform((3, 3, 1, 3), -1, 1, seed=1), uniform((3,), seed=2),
     wanted=(0, 1, 2), attributes={"padding": 1, "groups": 3, "activation": "gelu"}, terms=64, gradient_terms=256)
for x, w, settings in (((2, 7, 3), (3, 3, 5), {"padding": 1}),
                       ((1, 13, 1), (5, 1, 17), {"stride": 2, "padding": (4, 0)}),
                       ((2, 6, 4), (3, 2, 4), {"groups": 2, "dilation": 2, "padding": "same"}),
                       ((9, 3, 2), (3, 2, 3), {"padding": 1}),
                       ((1, 5, 3), (2, 1, 3), {"groups": 3, "padding": "valid"})):
    case("conv1d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1), uniform(w[-1:], seed=2), attributes=settings,
         wanted=(0, 1, 2), terms=w[0] * w[1] + 2, gradient_terms=FACTORS + 2 * max(x[0] * x[1], w[0] * w[2]))
for x, w, settings in (((1, 1, 1, 1), (1, 1, 1, 1), {}), ((2, 3, 4, 5), (3, 3, 3, 5), {}),
                       ((1, 4, 4, 3), (2, 2, 17, 3), {"stride": 2}),
                       ((2, 3, 3, 4), (3, 3, 2, 4), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
                       ((1, 3, 2, 2), (3, 2, 2, 2), {"stride": (3, 1), "dilation": (1, 2)}),
                       ((9, 1, 1, 3), (2, 2, 2, 3), {}),
                       ((1, 3, 3, 5), (3, 3, 1, 5), {"groups": 5, "stride": 2, "padding": 1}),
                       ((2, 5, 7, 3), (3, 3, 1, 3), {"groups": 3, "stride": 2, "padding": 1, "output_padding": 1}),
                       ((1, 5, 4, 3), (3, 3, 1, 3), {"groups": 3, "padding": 1}),
                       ((0, 3, 3, 2), (3, 3, 2, 2), {}),
                       ((1, 3, 3, 2), (2, 2, 2, 2), {"stride": 2, "activation": "relu"}),
                       ((1, 3, 3, 2), (2, 2, 2, 2), {"stride": 2, "activation": "gelu"})):
    case("conv_transpose2d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1),
         uniform((w[2] * settings.get("groups", 1),), seed=2), attributes=settings, wanted=(0, 1, 2),
         terms=2 * w[0] * w[1] * w[3] + 8,
         gradient_terms=2 * FACTORS + 8 * max(x[0] * x[1] * x[2] * w[0] * w[1], w[2] * w[0] * w[1]))
for x, w, settings in (((2, 5, 3), (3, 2, 3), {"stride": 2}), ((1, 4, 2), (4, 3, 2), {"padding": 1, "dilation": 2})):
    case("conv_transpose1d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1), uniform(w[1:2], seed=2), attributes=settings,
         wanted=(0, 1, 2), terms=w[0] * w[2] + 2, gradient_terms=FACTORS + 8 * x[0] * x[1] * w[0])

# ---- softmax ---------------------------------------------------------------------------------------------------------

for name in ("softmax", "log_softmax"):
    for shape, axes in (((1,), (-1,)), ((3,), (0, -1)), ((17,), (-1,)), ((5, 10), (-1, 0)), ((2, 33), (1,)),
                        ((3, 16), (-1,)), ((2, 3, 4), (-1, 0, 1, -2)), ((2, 1, 3, 2, 5), (-1, 2)), ((0, 3), (-1,)),
                        ((3, 0), (-1,)), ((3, 67), (-1,)), ((33, 2), (-1, 0)), ((4, 1), (-1,))):
        for axis in axes:
            c = shape[axis]
            case(name, uniform(shape, -3, 3), attributes={"axis": axis}, terms=c + 8, gradient_terms=FACTORS + 4 * c)
    for row in ((1e4, -1e4, 0.0, 9999.0), (-1e4,) * 17, (1e4, 9998.5, 9999.0)):
        case(name, Array((1, len(row)), row), terms=len(row) + 8, gradient_terms=32, note="large")
    case(name, Array((3, 3), (1.0, NAN, 2.0, 1.0, 2.0, 3.0, INF, 0.0, 1.0)), wanted=(), terms=12, note="nan,inf")
    case(name, Array((2, 3), (1.0, -INF, 2.0, -INF, -INF, 3.0)), wanted=(), terms=12, note="-inf")

# ---- normalisation ---------------------------------------------------------------------------------------------------

# Values of size 1 over a deviation of about 1: an output is a few roundings, a gradient of x a few more and two means.
# Gradients of weight and bias are sums over all n positions, of chunks of 8. Of few values the deviation may be small,
# and 1 / deviation multiplies the rounding of means in the gradient of x: SMALL.
SMALL = 48
NORMED = [(2, 1), (3, 1), (7, 3), (5, 17), (2, 3, 5), (4, 1, 1, 3), (2, 3, 3, 1), (1, 7, 7, 5), (2, 7, 7, 3),
          (1, 13, 13, 3), (3, 3, 2, 17), (2, 2, 2, 48), (19, 16), (3, 5, 33)]
for shape in NORMED:
    c, n = shape[-1], size(shape) // shape[-1]
    x, w, b = uniform(shape), uniform((c,), 0.5, 2, seed=1), uniform((c,), seed=2)
    mean, var = uniform((c,), seed=3), uniform((c,), 0.5, 2, seed=4)
    for attributes in ({"training": True}, {"eps": 0.5}):
        for weights, wanted in (((w, b), (0, 3, 4)), ((w, None), (0, 3)), ((None, b), (0, 4)), ((None, None), (0,))):
            if weights == (w, b) or n < 20:
                case("batch_norm", x, mean, var, *weights, attributes=attributes, wanted=wanted, terms=24,
                     gradient_terms=FACTORS + SMALL + n)
        # ReLU: shifted by so much that some are let through, and none is near 0 where float32 could decide otherwise
        case("batch_norm", x, mean, var, w, uniform((c,), 3, 4, seed=5), attributes=attributes | {"activation": "relu"},
             wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n)
        case("batch_norm", x, mean, var, w, uniform((c,), -9, -8, seed=5),
             attributes=attributes | {"activation": "relu"}, wanted=(0, 3, 4), terms=24, note="shut")
    case("batch_norm", x, None, None, w, b, wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n)
    case("batch_norm", x, mean, var, w, b, attributes={"training": True, "activation": "tanh"}, wanted=(0, 3, 4),
         terms=36, gradient_terms=2 * FACTORS + SMALL + 2 * n)
    for groups in sorted({1, c, next(g for g in (3, 2, 17, 1) if c % g == 0)}):
        if c // groups * n // shape[0] > 1:
            for weights, wanted in (((w, b), (0, 2, 3)), ((None, None), (0,))):
                case("group_norm", x, groups, *weights, wanted=wanted, terms=24, gradient_terms=FACTORS + SMALL + n)
    if n // shape[0] > 1:
        case("instance_norm", x, None, None, w, b, wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n)
        case("instance_norm", x, mean, var, w, b, wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n,
             attributes={"eps": 0.1})
        case("instance_norm", x, mean, var, attributes={"use_input_stats": False}, terms=24)
for shape, last in (((3, 2), 1), ((5, 3), 1), ((2, 17), 1), ((16, 16), 1), ((17, 15), 1), ((33, 5), 1), ((2, 67), 1),
                    ((3, 130), 1), ((2, 3, 48), 1), ((2, 3, 5), 2), ((2, 3, 5), 3), ((3, 2, 2, 5), 2), ((7,), 1),
                    ((0, 5), 1), ((3, 257), 1)):
    inner = shape[len(shape) - last:]
    n, rows = size(inner), size(shape) // size(inner)
    x, w, b = uniform(shape), uniform(inner, 0.5, 2, seed=1), uniform(inner, seed=2)
    for eps in ({}, {"eps": 0.25}):
        for weights, wanted in (((w, b), (0, 2, 3)), ((w, None), (0, 2)), ((None, b), (0, 3)), ((None, None), (0,))):
            if eps and weights != (w, None):
                continue
            case("layer_norm", x, inner if last > 1 else n, *weights, wanted=wanted, attributes=eps, terms=24,
                 gradient_terms=FACTORS + SMALL + rows)
            if weights[1] is None:
                case("rms_norm", x, inner if last > 1 else n, weights[0], wanted=wanted, attributes=eps, terms=24,
                     gradient_terms=FACTORS + SMALL + rows)
for name, arguments in (("batch_norm", (None, None)), ("group_norm", (1,)), ("layer_norm", (3,)), ("rms_norm", (3,))):
    bad = Array((3, 2, 3), (NAN if i == 7 else 0.25 * (i % 5) for i in range(18)))
    case(name, bad, *arguments, wanted=(), terms=24, note="nan")
for name in ("batch_norm", "instance_norm", "group_norm", "layer_norm"):  # a mean of 1e4, exact in float32, deviation 1
    far = Array((2, 37, 5), (10000 + (i * 7919 % 1024) / 256 for i in range(370)))
    case(name, far, *{"group_norm": (5,), "layer_norm": (5,)}.get(name, (None, None)), terms=24, gradient_terms=100,
         note="far-from-0")

# ---- losses ----------------------------------------------------------------------------------------------------------

for reduction in ("mean", "sum", "none"):
    for name, low, high, options in (
            ("mse_loss", -2, 2, ({},)), ("l1_loss", -2, 2, ({},)), ("huber_loss", -2, 2, ({}, {"delta": 0.5})),
            ("smooth_l1_loss", -2, 2, ({}, {"beta": 0.5}, {"beta": 0.0})), ("binary_cross_entropy", 0.05, 0.95, ({},)),
            ("binary_cross_entropy_with_logits", -4, 4, ({},))):
        binary = name.startswith("binary")
        for shape in ((), (1,), (17,), (4, 33), (2, 3, 5), (0,), (0, 3)):
            for attributes in options:
                # both arguments of the differences have gradients; those of probabilities need another formula
                target = uniform(shape, 0, 1, seed=1) if binary else uniform(shape, seed=1)
                case(name, uniform(shape, low, high), target, attributes={"reduction": reduction, **attributes},
                     wanted=(0, 1), terms=8 + 2 * size(shape))
        case(name, Array((4,), (0.5, NAN, 0.25, 0.125)), Array((4,), (0.5, 0.0, 1.0, 0.0)), wanted=(), terms=20,
             attributes={"reduction": reduction}, note="nan")
for name, attributes in (("l1_loss", {}), ("huber_loss", {}), ("smooth_l1_loss", {}),
                         ("smooth_l1_loss", {"beta": 0.0})):
    case(name, Array((5,), (1.0, 1.0, 1.0, -3.0, 3.5)), Array((5,), (1.0, 0.0, 2.0, 0.0, 0.0)), wanted=(0, 1), terms=8,
         attributes={"reduction": "none", **attributes}, note="kink")
case("binary_cross_entropy", Array((6,), (0.0, 1.0, 0.0, 1.0, rounded(1e-20), 0.5)),
     Array((6,), (0.0, 1.0, 1.0, 0.0, 1.0, 0.25)), terms=8, attributes={"reduction": "none"}, note="edge")
case("binary_cross_entropy_with_logits", Array((6,), (1e4, -1e4, 1e4, -1e4, 30.0, -30.0)),
     Array((6,), (1.0, 0.0, 0.0, 1.0, 0.25, 0.75)), terms=8, attributes={"reduction": "none"}, note="large")

for shape in ((1, 2), (3, 5), (17, 10), (2, 3, 7), (4, 1), (5, 33), (3, 16), (5,)):
    rows, c = shape[:-1], shape[-1]
    labels, weight = integers(rows, 0, c, seed=1), uniform((c,), 0.2, 2, seed=2)
    terms = {"terms": 8 + 2 * size(shape), "gradient_terms": FACTORS + 4 * c + 2 * size(rows)}
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            for w in (None, weight):
                for target in (labels, probabilities(shape, seed=3)):
                    case("cross_entropy", uniform(shape, -3, 3), target, w, **terms,
                         wanted=(0,) if target is labels else (0, 1),
                         attributes={"reduction": reduction, "label_smoothing": smoothing})
        for w in (None, weight):
            case("nll_loss", uniform(shape, -3, 0), labels, w, attributes={"reduction": reduction}, **terms)
    for ignored in (labels.flat[0], -100):
        some = Integers(rows, (ignored if i % 3 == 0 else t for i, t in enumerate(labels.flat)))
        for name in ("cross_entropy", "nll_loss"):
            smooth = {"label_smoothing": 0.1} if name == "cross_entropy" else {}
            for reduction in ("mean", "none"):
                case(name, uniform(shape, -3, 3), some, weight, **terms, note="ignored",
                     attributes={"reduction": reduction, "ignore_index": ignored, **smooth})
for name in ("cross_entropy", "nll_loss"):
    for reduction in ("mean", "sum", "none"):
        for n in (0, 3):
            case(name, uniform((n, 4)), Integers((n,), [-100] * n), None, attributes={"reduction": reduction},
                 wanted=() if reduction == "mean" else (0,), note="all-ignored")
    case(name, Array((3, 2), (1.0, NAN, 2.0, 0.5, 1.0, 0.0)), Integers((3,), (1, 0, 1)), None, wanted=(), terms=12,
         attributes={"reduction": "none"}, note="nan")
for row in ((1e4, -1e4, 0.0), (-1e4, -1e4, -1e4), (1e4, 9999.0, 1e4)):
    for label in range(3):
        case("cross_entropy", Array((1, 3), row), Integers((1,), (label,)), None, terms=12, note="large")
        case("cross_entropy", Array((1, 3), row), Integers((1,), (label,)), None, terms=12, note="large",
             attributes={"label_smoothing": 0.1})

# ---- pooling and upsampling ------------------------------------------------------------------------------------------

# Windows that fit, overlap, leave gaps, and reach over borders, in maps that hurt; channels around the vector lengths.
POOLED1 = [((1, 1, 1), {"kernel_size": 1}), ((2, 7, 3), {"kernel_size": 2}),
           ((1, 13, 17), {"kernel_size": 3, "stride": 2}),
           ((2, 5, 5), {"kernel_size": 3, "stride": 1, "padding": 1}), ((1, 7, 48),
                                                                        {"kernel_size": 2, "ceil_mode": True}),
           ((2, 6, 1), {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
           ((0, 4, 3), {"kernel_size": 2}),
           ((1, 9, 2), {"kernel_size": 2, "stride": 5}), ((1, 3, 16), {"kernel_size": (5,), "stride": 1,
                                                                       "padding": (2,)})]
POOLED2 = [((1, 1, 1, 1), {"kernel_size": 1}), ((2, 7, 7, 3), {"kernel_size": 2}),
           ((1, 13, 13, 5), {"kernel_size": 3, "stride": 2}),
           ((1, 7, 5, 17), {"kernel_size": 3, "stride": 2, "padding": 1}), ((1, 4, 6, 48), {"kernel_size": 2}),
           ((1, 5, 7, 16), {"kernel_size": 3, "stride": 1, "padding": 1}),
           ((1, 5, 3, 33), {"kernel_size": (2, 3), "stride": 1}),
           ((1, 5, 8, 3), {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True}),
           ((1, 6, 6, 1), {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
           ((1, 9, 4, 2), {"kernel_size": 2, "stride": (5, 1)}), ((0, 4, 4, 3), {"kernel_size": 2}),
           ((2, 4, 4, 0), {"kernel_size": 2}), ((1, 2, 3, 31), {"kernel_size": 5, "stride": 1, "padding": 2})]


def places(attributes, dims):
    """The positions of a window: terms of its sum, and at most of its gradient's."""
    kernel = attributes["kernel_size"]
    return math.prod(kernel) if isinstance(kernel, tuple) else kernel ** dims


for dims, pooled in ((1, POOLED1), (2, POOLED2)):
    for shape, attributes in pooled:
        terms = 2 * places(attributes, dims)
        case(f"max_pool{dims}d", uniform(shape), attributes=attributes, gradient_terms=terms)
        case(f"max_pool{dims}d", Array(shape, map(float, integers(shape, 0, 3).flat)), attributes=attributes,
             gradient_terms=terms, note="ties")
        for inside in ({}, {"count_include_pad": False}):
            case(f"avg_pool{dims}d", uniform(shape), attributes=attributes | inside, terms=terms,
                 gradient_terms=4 + terms)
for shape, attributes in (((1, 8, 3), {"kernel_size": 3, "stride": 1, "dilation": 2}),
                          ((2, 7, 17), {"kernel_size": 2, "dilation": 3}),
                          ((1, 1, 2), {"kernel_size": 2, "padding": 1, "dilation": 2}),  # no window sees anything
                          ((1, 9, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 3, "ceil_mode": True})):
    case("max_pool1d", uniform(shape), attributes=attributes)
for shape, attributes in (((1, 7, 8, 3), {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 2}),
                          ((1, 5, 9, 17), {"kernel_size": (2, 3), "stride": 2, "padding": (0, 1), "dilation": (3, 2)})):
    case("max_pool2d", uniform(shape), attributes=attributes, gradient_terms=18)
case("max_pool2d", uniform((2, 17, 16, 3)), attributes={"kernel_size": (17, 16)}, note="272 places")
case("max_pool2d", uniform((1, 18, 19, 17)), attributes={"kernel_size": 17, "stride": 1}, gradient_terms=12,
     note="overlapping 289")
case("max_pool2d", uniform((1, 16, 16, 5)), attributes={"kernel_size": 16}, note="256 places")
case("avg_pool2d", uniform((1, 5, 4, 17)), attributes={"kernel_size": 2, "divisor_override": 3}, terms=8)
case("avg_pool2d", uniform((1, 5, 5, 3)), attributes={"kernel_size": 3, "padding": 1, "divisor_override": -1}, terms=18)
for x in (NAN, INF, -INF):
    for kernel, stride in ((2, 2), (3, 1)):
        values = Array((1, 5, 6, 3), (x if i in (4, 40, 50, 51, 52, 53) else 0.25 * (i % 5) for i in range(90)))
        case("max_pool2d", values, attributes={"kernel_size": kernel, "stride": stride}, note=str(x))
        case("avg_pool2d", values, attributes={"kernel_size": kernel, "stride": stride}, wanted=(), terms=18,
             note=str(x))
        case("max_pool1d", Array((3, 10, 3), values.flat), attributes={"kernel_size": kernel}, note=str(x))
case("max_pool2d", Array((1, 2, 2, 3), [-INF] * 12), attributes={"kernel_size": 2}, note="all -inf")
for shape, sizes in (((2, 7, 3), (1, 3, 7, 9)), ((1, 13, 17), (4, None)), ((1, 1, 5), (3,)), ((0, 4, 3), (2,))):
    for o in sizes:
        for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
            case(name, uniform(shape), attributes={"output_size": o}, terms=0 if "max" in name else 2 * shape[1],
                 gradient_terms=24)
for shape, sizes in (((2, 7, 7, 3), (1, 3, 7, (2, 5), (None, 4))), ((1, 13, 5, 17), (4, (1, 5))),
                     ((1, 1, 1, 5), (1, 3)),
                     ((1, 17, 33, 2), (1, (2, 2))), ((0, 4, 3, 3), (2,))):
    for o in sizes:
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            case(name, uniform(shape), attributes={"output_size": o},
                 terms=0 if "max" in name else 2 * shape[1] * shape[2],
                 gradient_terms=40)
# Two weights are off by one rounding each, and there are four products; as many terms meet in the gradient as there are
# positions made of one.
for shape, options in (((2, 5, 3), ({"size": 5}, {"size": 13}, {"size": 2}, {"size": 1}, {"scale_factor": 2},
                                    {"scale_factor": 1.3})),
                       ((1, 1, 17), ({"size": 4},)), ((1, 13, 1), ({"scale_factor": 0.3}, {"size": (29,)})),
                       ((0, 2, 3), ({"size": 3},)),
                       ((1, 41, 2), ({"size": 123},))):
    for attributes in options:
        for more in ({}, {"mode": "linear"}, {"mode": "linear", "align_corners": True}):
            case("interpolate", uniform(shape), attributes=attributes | more, terms=0 if more == {} else 8,
                 gradient_terms=2 * 30 if "scale" in str(attributes) else 40)
for shape, options in (((1, 7, 7, 3), ({"size": 7}, {"size": (13, 3)}, {"scale_factor": 2},
                                       {"scale_factor": (1.5, 0.4)})),
                       ((2, 3, 2, 17), ({"scale_factor": 2}, {"size": (2, 9)}, {"size": 1})),
                       ((1, 1, 1, 5), ({"size": (3, 2)},)),
                       ((1, 4, 5, 48), ({"size": (5, 4)},)), ((0, 2, 3, 3), ({"size": 3},))):
    for attributes in options:
        for more in ({}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}):
            case("interpolate", uniform(shape), attributes=attributes | more, terms=0 if more == {} else 12,
                 gradient_terms=60)
for factor in (1.2, 1.3):  # sizes that stay as they are under a factor that is not 1
    for mode in ("nearest", "linear"):
        case("interpolate", uniform((1, 3, 5)), attributes={"scale_factor": factor, "mode": mode}, terms=8,
             gradient_terms=40)
    for mode in ("nearest", "bilinear"):
        case("interpolate", uniform((1, 3, 7, 5)), attributes={"scale_factor": factor, "mode": mode}, terms=12,
             gradient_terms=60)
